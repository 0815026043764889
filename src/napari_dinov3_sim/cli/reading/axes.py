"""Axes of a file: whether three or four planes are colours or a stack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

ReadAs = Literal["auto", "rgb", "stack"]
"""What the user says of them; 'auto' leaves it to the file."""

STACK_DOUBT = (
    "is read as a stack of {count} planes, as napari shows it; if they are the colours of one "
    "image, add --read-as rgb."
)
COLOUR_DOUBT = (
    "is read as one colour image, although the file does not call its {count} channels colours; "
    "if they are planes of their own, add --read-as stack."
)


@dataclass(frozen=True)
class AxisOrder:
    """How the axes of a file become those of an image or of a stack.

    Attributes
    ----------
    move : tuple of (source, destination) or None
        For `numpy.moveaxis`.
    doubt : str
        How it was read and what changes it, where the file leaves that open; else empty.
    """

    move: tuple[int, int] | None = None
    doubt: str = ""

    def applied(self, data: Any) -> Any:
        """Return an array, or what has its `transpose`, with its axes in this order, unread."""
        return data if self.move is None else np.moveaxis(data, *self.move)


COLOURS_LAST, PLANES_FIRST = AxisOrder((0, -1)), AxisOrder((-1, 0))


def npy_order(shape: tuple[int, ...], read_as: ReadAs) -> AxisOrder:
    """Return the order of the axes of a NumPy array, which names none of them."""
    return COLOURS_LAST if read_as == "rgb" and has_planes_of_colour(shape) else AxisOrder()


def has_planes_of_colour(shape: tuple[int, ...]) -> bool:
    """Whether an array has 3 or 4 planes, one after the other."""
    return len(shape) == 3 and shape[0] in (3, 4)


def tiff_order(tiff: Any, read_as: ReadAs) -> AxisOrder:
    """Return the order of the axes of a TIFF file.

    Samples that are interleaved are colours where the file says RGB, and are taken for them, with
    doubt, where it does not. Samples in planes of their own are colours where the file says RGB,
    unless tifffile wrote it: that calls every array of 3 or 4 planes RGB, stacks as well.

    Parameters
    ----------
    tiff : tifffile.TiffFile
    read_as : {'auto', 'rgb', 'stack'}
    """
    series = tiff.series[0]
    if len(series.shape) == 3 and series.axes == "YXS" and series.shape[2] in (3, 4):
        return _interleaved(tiff, read_as)
    if has_planes_of_colour(series.shape):
        return _planar(tiff, read_as)
    return AxisOrder()


def _interleaved(tiff: Any, read_as: ReadAs) -> AxisOrder:
    if _says_rgb(tiff) or read_as == "rgb":
        return AxisOrder()
    if read_as == "stack":
        return PLANES_FIRST
    return AxisOrder(doubt=COLOUR_DOUBT.format(count=tiff.series[0].shape[2]))


def _planar(tiff: Any, read_as: ReadAs) -> AxisOrder:
    are_samples = tiff.series[0].axes == "SYX"
    is_sure = are_samples and _says_rgb(tiff) and not _by_tifffile(tiff)
    if read_as == "rgb" or (is_sure and read_as == "auto"):
        return COLOURS_LAST
    if read_as == "stack" or not are_samples:
        return AxisOrder()
    return AxisOrder(doubt=STACK_DOUBT.format(count=tiff.series[0].shape[0]))


def _says_rgb(tiff: Any) -> bool:
    from tifffile import PHOTOMETRIC

    return bool(tiff.pages.first.photometric == PHOTOMETRIC.RGB)


def _by_tifffile(tiff: Any) -> bool:
    # scikit-image and imageio write TIFF files with it, too.
    return bool(tiff.is_shaped or str(tiff.pages.first.software).startswith("tifffile"))

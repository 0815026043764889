"""Masks as PNG of 8 or 16 bits, in which each pixel is the number of its object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.exchange.placement import METRES, pixels_along
from napari_dinov3_sim.exchange.shapes import ExchangeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from napari_dinov3_sim.exchange.placement import Axis

MAX_PIXELS = 2**28
"""Of a picture, which is whole in memory."""


def write_label_png(path: Path, labels: NDArray[Any], axes: Sequence[Axis]) -> None:
    """Write the labels of a plane as a gray PNG.

    Parameters
    ----------
    path : Path
        Written as it is; see `store.safetensors_io.replacing`.
    labels : ndarray of int, shape (rows, columns)
    axes : sequence of Axis
        Those of rows and columns; their size becomes the resolution of the picture.

    Raises
    ------
    ExchangeError
        There are more than 65,535 labels, or more than 2**28 pixels.
    """
    from PIL import Image

    most = int(labels.max(initial=0))
    if most > np.iinfo(np.uint16).max or labels.size > MAX_PIXELS:
        what = f"the label {most}" if labels.size <= MAX_PIXELS else f"{labels.size} pixels"
        raise ExchangeError(
            f"A PNG does not hold {what}; write the labels as OME-TIFF or OME-Zarr instead."
        )
    dtype = np.uint8 if most <= np.iinfo(np.uint8).max else np.uint16
    sizes = [axis.size * METRES.get(axis.unit, 0.0) for axis in axes]
    picture = Image.fromarray(np.maximum(labels, 0).astype(dtype))
    picture.save(path, "PNG", compress_level=1, **png_resolution(sizes))


def png_resolution(sizes: Sequence[float]) -> dict[str, tuple[float, float]]:
    """Return the size of a pixel as Pillow takes it; nothing where a PNG does not hold it.

    Parameters
    ----------
    sizes : sequence of float
        Height and width of a pixel in metres; 0 where they are not known.
    """
    # A PNG says how many go into a metre, and Pillow asks how many go into an inch.
    per_metre = pixels_along(1.0, sizes)
    if per_metre is None:
        return {}
    across, down = per_metre
    return {"dpi": (across * METRES["inch"], down * METRES["inch"])}

"""The pixels of a plane, read lazily in the worker, with one window per layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.images.intensity import IntensityWindow, has_contrast, uses_window
from napari_dinov3_sim.core.images.levels import pixel_in_level

if TYPE_CHECKING:
    from napari_dinov3_sim.core.images.sources import ArraySource, PixelSource
    from napari_dinov3_sim.session.images.planes import IntensityWindows, Plane


Check = Callable[[int, int], None]
"""Called with (parts read, parts in all); may raise `EmbeddingCancelled`."""

COPIED = 2**28
"""Arrays up to so many bytes a plane are copied before they are read, so that what is written
into them meanwhile does no harm; larger ones are read a second time to see that nothing was."""


@dataclass(frozen=True, eq=False)
class PlanePixels:
    """What there is to be embedded.

    Attributes
    ----------
    source : PixelSource
    window : IntensityWindow or None
    windows : tuple of IntensityWindow or None
        Those of the layer.
    digest : str
        Of the pixels, as `window` and `source` will show them.
    contrast : bool
        Whether anything is visible in the layer.
    """

    source: PixelSource
    window: IntensityWindow | None
    windows: IntensityWindows
    digest: str
    contrast: bool


def read_pixels(plane: Plane, windows: IntensityWindows | None, check: Check) -> PlanePixels:
    """Read all pixels of a plane once, for their digest and, if not known, their window.

    Parameters
    ----------
    plane : Plane
    windows : tuple or None
        Of the whole layer, where they are known.
    check : callable

    Returns
    -------
    PlanePixels

    Raises
    ------
    ImageError
        The pixels cannot be read, or cannot be embedded.
    """
    from napari_dinov3_sim.core.images.scanning import scan_pixels

    sources = [_settled(_source(plane, part), plane) for part in range(len(plane.data))]
    if windows is None:
        windows = _layer_windows(plane, check)
    source, window = _joined(sources, windows)
    scan = scan_pixels(source, check)
    if windows == ():
        windows = (scan.window,)
        window = scan.window
    # An empty plane of a stack is nothing unusual.
    contrast = scan.contrast if len(plane.shape) == 2 else any(map(has_contrast, windows))
    return PlanePixels(source, window, windows, scan.digest, contrast)


def open_pixels(
    plane: Plane, windows: IntensityWindows
) -> tuple[PixelSource, IntensityWindow | None]:
    """Return the pixels of a plane as the model saw them, unread, and their window."""
    return _joined([_source(plane, part) for part in range(len(plane.data))], windows)


def _joined(
    sources: Sequence[PixelSource], windows: IntensityWindows
) -> tuple[PixelSource, IntensityWindow | None]:
    from napari_dinov3_sim.core.images.sources import merge_channels

    if len(sources) == 1:
        return sources[0], windows[0] if windows else None
    known = [window for window in windows if window is not None]
    return merge_channels(sources, known), IntensityWindow(0.0, 1.0)


def _source(plane: Plane, part: int, position: tuple[int, ...] | None = None) -> ArraySource:
    """Return an array of a plane, or of the plane at another position of the leading axes."""
    from napari_dinov3_sim.core.images.sources import ArraySource

    axes, at = plane.key.axes, dict(plane.key.position)
    if position is not None:
        ndim = len(plane.shape)
        axes, at = (ndim - 2, ndim - 1), dict(enumerate(position))
    index: list[int | slice] = []
    for axis, (full, size) in enumerate(zip(plane.shape, plane.level_shape, strict=True)):
        index.append(slice(None) if axis in axes else pixel_in_level(at[axis], full, size))
    return ArraySource(plane.data[part], tuple(index), plane.rgb, plane.name)


def _layer_windows(plane: Plane, check: Check) -> IntensityWindows:
    """Return the windows of the *whole* layer; none yet for a single plane of a single array.

    A stack is sampled on evenly spaced planes, so that the noise of an empty plane is not
    stretched to full contrast, and always across the last two axes, so that the window does not
    depend on what was viewed first.
    """
    from napari_dinov3_sim.core.images.scanning import stack_window

    if not uses_window(_source(plane, 0).dtype, _source(plane, 0).channels):
        return (None,)
    if len(plane.data) == 1 and len(plane.shape) == 2:
        return ()
    leading = plane.shape[:-2]
    return tuple(
        stack_window(lambda at, part=part: _source(plane, part, at), leading, check)  # type: ignore[misc]
        for part in range(len(plane.data))
    )


def _settled(source: ArraySource, plane: Plane) -> PixelSource:
    """Return a source that nobody writes into while it is read, where that costs little."""
    from napari_dinov3_sim.core.images.sources import ArraySource as Source

    height, width = source.shape
    small = height * width * source.channels * source.dtype.itemsize <= COPIED
    if not (small and isinstance(source.data, np.ndarray)):
        return source
    pixels = np.array(source.read(slice(None), slice(None)))
    return Source(pixels, channels_last=plane.rgb, name=plane.name)


def may_be_written_into(read: PlanePixels, plane: Plane) -> bool:
    """Whether its pixels are in memory and too many to be copied before they are read."""
    in_memory = any(isinstance(data, np.ndarray) for data in plane.data)
    return in_memory and not _is_copied(read.source)


def _is_copied(source: PixelSource) -> bool:
    height, width = source.shape
    return height * width * source.channels * source.dtype.itemsize <= COPIED

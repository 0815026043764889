"""What the pixels of a plane look like, as far as it guides the edges of objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.images.intensity import convert_to_rgb

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.core.images.sources import PixelSource

SMOOTHED = 1.0
"""Standard deviation of the Gaussian over the colours, in pixels: the noise of single pixels is
no edge. This and the numbers below were chosen by ``bench_objects.py``."""

GRADIENT = 2.0
"""Standard deviation of the Gaussian whose gradient is a feature, in pixels."""

GRADIENT_WEIGHT = 3.0
"""How much the gradient counts beside a colour."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Brightness of red, green and blue (ITU-R BT.601)."""

STRIP = 2**20
"""About so many pixels are read and filtered at once."""

REACH = 3.0
"""Standard deviations after which a Gaussian ends."""

MAX_PIXELS = 2**24
"""Of a plane whose objects have edges: 4096², which is also the largest level that is embedded
where there are several."""

MAX_STACK = 2**27
"""Of all planes of such an image, of which labels of every pixel are made."""

HALO = 8
"""Rows around a strip that its filters see, with one for differences and one for rounding."""


@dataclass(frozen=True, eq=False)
class PixelGuide:
    """Features of the pixels of a plane, and their means over patches.

    They are the colours, slightly smoothed, and the strength of edges. The guide depends on the
    image alone and serves all queries.

    Attributes
    ----------
    grid : PatchGrid
    features : ndarray of float16, shape (k, H, W)
        4 for colours, 2 for grey.
    means : ndarray of float32, shape (rows, columns, k)
        Padding does not count.
    """

    grid: PatchGrid
    features: NDArray[np.float16] = field(repr=False)
    means: NDArray[np.float32] = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.features.nbytes + self.means.nbytes


def may_have_edges(shape: tuple[int, int], planes: int = 1) -> bool:
    """Whether an image is small enough for objects with edges.

    Parameters
    ----------
    shape : tuple of int
        Height and width of a plane of the embedded level.
    planes : int, optional
    """
    pixels = shape[0] * shape[1]
    return pixels <= MAX_PIXELS and pixels * planes <= MAX_STACK


def read_guide(
    source: PixelSource,
    window: IntensityWindow | None,
    grid: PatchGrid,
    check: Callable[[int, int], None] | None = None,
) -> PixelGuide:
    """Read a plane strip by strip and return its guide.

    Parameters
    ----------
    source : PixelSource
    window : IntensityWindow or None
        That the model saw it through.
    grid : PatchGrid
        Of the same size.
    check : callable, optional
        Called with (strips done, strips in all); may raise.

    Returns
    -------
    PixelGuide

    Raises
    ------
    ImageError
        The pixels cannot be read any more.
    """
    height, width = grid.image_shape
    side = grid.patch_size
    step = max(1, STRIP // (width * side)) * side
    features = np.empty((4 if source.channels > 1 else 2, height, width), np.float16)
    means: list[NDArray[np.float32]] = []
    tops = range(0, height, step)
    for number, top in enumerate(tops):
        bottom = min(height, top + step)
        above, below = max(0, top - HALO), min(height, bottom + HALO)
        pixels = source.read(slice(above, below), slice(0, width))
        part = pixel_features(pixels, window)[:, top - above : bottom - above]
        features[:, top:bottom] = part
        means.append(_patch_means(part, side))
        if check is not None:
            check(number + 1, len(tops))
    return PixelGuide(grid, features, np.concatenate(means))


def pixel_features(
    pixels: NDArray[np.generic], window: IntensityWindow | None
) -> NDArray[np.float32]:
    """Return the features of pixels.

    Parameters
    ----------
    pixels : ndarray, shape (H, W), (H, W, 3) or (H, W, 4)
    window : IntensityWindow or None
        As for `convert_to_rgb`.

    Returns
    -------
    ndarray of float32, shape (k, H, W)
        Red, green, blue and the gradient; or grey, which counts like three equal colours, and
        the gradient.
    """
    from scipy.ndimage import gaussian_filter

    rgb = convert_to_rgb(pixels, window)
    is_grey = pixels.ndim == 2
    grey = rgb[..., 0] if is_grey else rgb @ LUMA
    channels = [grey * np.float32(np.sqrt(3))] if is_grey else [rgb[..., c] for c in range(3)]
    smooth = [gaussian_filter(one, SMOOTHED, mode="nearest", truncate=REACH) for one in channels]
    return np.stack([*smooth, GRADIENT_WEIGHT * _gradient(grey)])


def _gradient(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the length of the gradient; an axis of a single pixel has none."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(grey, GRADIENT, mode="nearest", truncate=REACH)
    squares = np.zeros_like(smooth)
    for axis in (0, 1):
        if smooth.shape[axis] > 1:
            squares += np.gradient(smooth, axis=axis) ** 2
    length: NDArray[np.float32] = np.sqrt(squares)
    return length


def _patch_means(features: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return the mean over each patch; those at the border may have fewer pixels."""
    height, width = features.shape[1:]
    rows, columns = np.arange(0, height, side), np.arange(0, width, side)
    sums = np.add.reduceat(np.add.reduceat(features, rows, axis=1), columns, axis=2)
    heights, widths = np.diff(rows, append=height), np.diff(columns, append=width)
    means: NDArray[np.float32] = np.moveaxis(sums / np.outer(heights, widths), 0, -1)
    return np.ascontiguousarray(means, np.float32)

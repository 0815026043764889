"""An image at the resolution of the model: resampled and padded, read region by region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from napari_dinov3_sim.core.images.intensity import IntensityWindow, convert_to_rgb

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.images.sources import PixelSource


Padding = Literal["zeros", "reflect"]
"""What lies beyond the right and the bottom border of an image."""


Interval = tuple[int, int]

_Pixel = TypeVar("_Pixel", bound=np.generic)


@dataclass(frozen=True, eq=False)
class ResampledImage:
    """An image at the resolution of the model, as RGB in [0, 1], read region by region.

    Pixel centres are aligned: pixel i of the model lies at (i + ½) / factor - ½ of the image.
    Enlarging is bilinear, halving is the mean of 2 × 2 pixels. Every region comes out as it
    would be cut from the resampled whole.

    Attributes
    ----------
    source : PixelSource
    window : IntensityWindow or None
        Of the whole image.
    factor : float
        ½, or a whole number.
    padding : {'zeros', 'reflect'}
        What lies outside.
    """

    source: PixelSource
    window: IntensityWindow | None
    factor: float = 1.0
    padding: Padding = "zeros"

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in pixels of the model."""
        height, width = self.source.shape
        return int(np.ceil(height * self.factor)), int(np.ceil(width * self.factor))

    def read(self, rows: Interval, columns: Interval) -> NDArray[np.float32]:
        """Return a region, parts outside the image padded, as float32 (h, w, 3)."""
        return self._padded(rows, columns, self._inside)

    @property
    def can_be_converted_later(self) -> bool:
        """Whether `read_stored` gives all that `read` does.

        So it is for 8-bit and 16-bit integers that are not resampled, where a stored 0, which is
        what padding is made of, is drawn black.
        """
        if self.factor != 1 or self.source.dtype not in (np.uint8, np.uint16):
            return False
        return self.window is None or 0 <= self.window.low < self.window.high

    def read_stored(self, rows: Interval, columns: Interval) -> NDArray[Any]:
        """Return a region as `read` does, but of the stored values, (h, w, 1) or (h, w, 3)."""
        return self._padded(rows, columns, self._stored)

    def _padded(
        self,
        rows: Interval,
        columns: Interval,
        inside: Callable[[Interval, Interval], NDArray[_Pixel]],
    ) -> NDArray[_Pixel]:
        if self.padding == "reflect":
            return self._reflected(rows, columns, inside)
        (top, bottom), (left, right) = (
            (max(start, 0), min(stop, size))
            for (start, stop), size in zip((rows, columns), self.shape, strict=True)
        )
        outside = ((top - rows[0], rows[1] - bottom), (left - columns[0], columns[1] - right))
        return np.pad(inside((top, bottom), (left, right)), (*outside, (0, 0)))

    def _reflected(
        self,
        rows: Interval,
        columns: Interval,
        inside: Callable[[Interval, Interval], NDArray[_Pixel]],
    ) -> NDArray[_Pixel]:
        y, x = (
            reflect(np.arange(*interval), size)
            for interval, size in zip((rows, columns), self.shape, strict=True)
        )
        top, left = int(y.min()), int(x.min())
        region = inside((top, int(y.max()) + 1), (left, int(x.max()) + 1))
        return region[np.ix_(y - top, x - left)]

    def _inside(self, rows: Interval, columns: Interval) -> NDArray[np.float32]:
        if self.factor == 1:
            return self._rgb(rows, columns)
        if self.factor < 1:
            return self._halved(rows, columns)
        return self._enlarged(rows, columns)

    def _rgb(self, rows: Interval, columns: Interval) -> NDArray[np.float32]:
        return convert_to_rgb(self.source.read(slice(*rows), slice(*columns)), self.window)

    def _stored(self, rows: Interval, columns: Interval) -> NDArray[Any]:
        pixels = self.source.read(slice(*rows), slice(*columns))
        return pixels[..., :3] if pixels.ndim == 3 else pixels[..., np.newaxis]

    def _halved(self, rows: Interval, columns: Interval) -> NDArray[np.float32]:
        y, x = (
            (2 * start, min(2 * stop, size))
            for (start, stop), size in zip((rows, columns), self.source.shape, strict=True)
        )
        rgb = self._rgb(y, x)
        # Where the image ends in the middle of a pixel of the model, its mean is of what is there.
        odd = tuple((0, size % 2) for size in rgb.shape[:2])
        rgb = np.pad(rgb, (*odd, (0, 0)), mode="edge")
        height, width = rgb.shape[0] // 2, rgb.shape[1] // 2
        mean: NDArray[np.float32] = rgb.reshape(height, 2, width, 2, 3).mean((1, 3))
        return mean

    def _enlarged(self, rows: Interval, columns: Interval) -> NDArray[np.float32]:
        import torch

        factor = int(self.factor)
        # One pixel more on each side: bilinear interpolation looks that far.
        y, x = (
            (max(start // factor - 1, 0), min((stop - 1) // factor + 2, size))
            for (start, stop), size in zip((rows, columns), self.source.shape, strict=True)
        )
        pixels = torch.from_numpy(self._rgb(y, x).transpose(2, 0, 1))[None]
        large = torch.nn.functional.interpolate(
            pixels, scale_factor=factor, mode="bilinear", align_corners=False
        )[0].permute(1, 2, 0)
        top, left = y[0] * factor, x[0] * factor
        region = large[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left]
        return region.numpy()


def reflect(index: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Return the pixels that lie at `index` when an axis is mirrored at its outermost pixels.

    Parameters
    ----------
    index : ndarray of int
        Any integers.
    size : int
        Length of the axis, at least 1.

    Returns
    -------
    ndarray of int
        In [0, size); as ``numpy.pad(mode="reflect")`` places them.
    """
    period = max(2 * (size - 1), 1)
    index = index % period
    return np.minimum(index, period - index)

"""Intensity windows: any real image to RGB in [0, 1], never tile by tile."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.geometry import no_pixels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

PERCENTILES = (0.1, 99.9)
"""Percentiles that bound the intensity window, of the finite values of the whole image."""

MAX_WINDOW_SAMPLES = 2**24
"""Above this many values the percentiles are taken from an evenly strided sample."""

MAX_SIDE, MAX_PIXELS = 2**20, 2**36
"""Of a plane: what is more has embeddings that no memory holds, as 262144² pixels barely have."""

MAX_CHANNELS = 16
"""A last axis that is longer, and no shorter than another, is one of pixels."""


@dataclass(frozen=True)
class IntensityWindow:
    """The intensities drawn black (`low`) and white (`high`).

    Equal bounds belong to a constant image, which is drawn black.

    Raises
    ------
    ImageError
        A bound is not finite, or `low` is above `high`.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low <= self.high):
            raise ImageError(
                f"The intensity window ({self.low}, {self.high}) cannot be used; give two finite "
                "numbers, the smaller one first."
            )


def check_image(image: ArrayLike) -> NDArray[Any]:
    """Return the image as an array, or raise why it cannot be embedded.

    Parameters
    ----------
    image : array_like, shape (H, W), (H, W, 3) or (H, W, 4)
        Grayscale, RGB or RGBA pixels of any real dtype.

    Raises
    ------
    ImageError
        A path, the wrong number of axes or channels, no pixels, or a dtype that is not real.
    """
    if isinstance(image, str | os.PathLike):
        raise ImageError(
            f"{os.fspath(image)!r} is the path of a file, not an image; read the file first, for "
            "example with skimage.io.imread or tifffile.imread."
        )
    try:
        array = np.asarray(image)
    except ValueError as error:
        raise ImageError(
            f"The image is no array ({error}); give rows of the same length."
        ) from error
    check_shape(array.shape)
    check_dtype(array.dtype)
    return array


def check_shape(shape: tuple[int, ...]) -> None:
    """Raise `ImageError` unless `shape` is (H, W), (H, W, 3) or (H, W, 4) with pixels in it.

    It must not have more of them than can be embedded: whatever is planned for rows, tiles and
    chunks is planned after this.
    """
    if len(shape) not in (2, 3):
        raise ImageError(
            f"An image of shape {shape} cannot be embedded; give one plane of shape (H, W), "
            "(H, W, 3) or (H, W, 4)."
        )
    if 0 in shape:
        raise no_pixels(shape)
    if max(shape[:2]) > MAX_SIDE or shape[0] * shape[1] > MAX_PIXELS:
        raise ImageError(
            f"The image has {shape[0]} rows and {shape[1]} columns, which is more than can be "
            f"embedded (at most {MAX_SIDE} along a side, and {MAX_PIXELS} in all); crop it, or "
            "open a coarser level of it."
        )
    if len(shape) == 3 and shape[2] not in (3, 4):
        if shape[2] > MAX_CHANNELS and shape[2] >= min(shape[:2]):
            raise ImageError(
                f"An array of shape {shape} is a stack of {shape[0]} planes; give one plane, such "
                "as image[0], or for colours in the last axis (H, W, 3) or (H, W, 4)."
            )
        raise ImageError(
            f"The image has {shape[2]} channels; give grayscale (H, W), RGB (H, W, 3) or RGBA "
            "(H, W, 4), or split the channels into single images."
        )


def check_dtype(dtype: np.dtype[Any]) -> None:
    """Raise `ImageError` unless `dtype` is bool, integer or real floating point."""
    if np.isdtype(dtype, "complex floating"):
        raise ImageError(
            "A complex image has no single brightness; take its magnitude or phase first, "
            "for example numpy.abs(image)."
        )
    if not np.isdtype(dtype, ("bool", "integral", "real floating")):
        raise ImageError(
            f"Pixels of dtype {dtype} are not numbers; convert the image to integers or floats."
        )


def compute_window(
    image: NDArray[Any] | Iterable[NDArray[Any]],
    percentiles: tuple[float, float] = PERCENTILES,
) -> IntensityWindow:
    """Return the intensity window of a whole image, or of all sampled planes of a stack.

    Parameters
    ----------
    image : ndarray or iterable of ndarray
        Intensities of any real dtype and shape (no alpha channel). NaN and infinity are ignored.
    percentiles : tuple of float, optional
        The two percentiles, in [0, 100].

    Returns
    -------
    IntensityWindow
        Where the two percentiles fall together (a few bright pixels on a constant ground) the
        window spans minimum to maximum; with no finite value at all it is (0, 0).
    """
    parts = [image] if isinstance(image, np.ndarray) else list(image)
    budget = MAX_WINDOW_SAMPLES // max(len(parts), 1)
    values = np.concatenate([_finite_sample(part, budget) for part in parts] or [np.empty(0)])
    if values.size == 0:
        return IntensityWindow(0.0, 0.0)
    low, high = _percentiles(values, percentiles)
    if not low < high:
        low, high = float(values.min()), float(values.max())
    return IntensityWindow(low, high)


def _finite_sample(part: NDArray[Any], budget: int) -> NDArray[Any]:
    flat = part.reshape(-1)
    flat = flat[:: max(1, -(-flat.size // max(budget, 1)))]
    if np.isdtype(flat.dtype, "bool"):
        return flat.astype(np.uint8)
    # The percentiles subtract, which wraps around in signed integers.
    if np.isdtype(flat.dtype, "signed integer"):
        return flat.astype(np.float64)
    if not np.isdtype(flat.dtype, "real floating"):
        return flat
    flat = flat.astype(np.promote_types(flat.dtype, np.float32), copy=False)
    finite: NDArray[Any] = flat[np.isfinite(flat)]
    if finite.dtype.itemsize <= 8:
        return finite
    # Extended precision reaches beyond what a window can hold.
    limit = np.finfo(np.float64).max
    within: NDArray[Any] = np.clip(finite, -limit, limit)
    return within.astype(np.float64)


def _percentiles(values: NDArray[Any], percentiles: tuple[float, float]) -> tuple[float, float]:
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = (float(value) for value in np.percentile(values, percentiles))
    if not (np.isfinite(low) and np.isfinite(high)):  # the interpolation overflowed
        return float(values.min()), float(values.max())
    return low, high


def uses_window(dtype: np.dtype[Any], channels: int) -> bool:
    """Whether such pixels are drawn through a window; 8-bit RGB and RGBA are used as they are."""
    return not (dtype == np.uint8 and channels in (3, 4))


def window_of(image: NDArray[Any]) -> IntensityWindow | None:
    """Return the window an image is drawn through, or None where it is used as it is."""
    channels = image.shape[2] if image.ndim == 3 else 1
    if not uses_window(image.dtype, channels):
        return None
    return compute_window(image[..., :3] if image.ndim == 3 else image)


NO_CONTRAST = "{name} has no contrast: every patch looks the same."
"""What the user is told of an image for which `has_contrast` is false."""


def has_contrast(window: IntensityWindow | None) -> bool:
    """Whether an image that is drawn through such a window shows anything.

    Parameters
    ----------
    window : IntensityWindow or None
        As `compute_window` and `window_of` return it.

    Returns
    -------
    bool
        False for an image of a single value, or without a finite one: all its patches look the
        same, and have a cosine of 1 with each other. True for None, which does not decide it.
    """
    return window is None or window.low < window.high


def convert_to_rgb(image: NDArray[Any], window: IntensityWindow | None) -> NDArray[np.float32]:
    """Return an image, or a part of one, as RGB.

    Parameters
    ----------
    image : ndarray, shape (H, W), (H, W, 3) or (H, W, 4)
        Pixels of any real dtype. Alpha is dropped, grayscale is repeated.
    window : IntensityWindow or None
        Window of the *whole* image; None divides by 255.

    Returns
    -------
    ndarray of float32, shape (H, W, 3)
        Values in [0, 1]; NaN and infinity are black.
    """
    colour = image[..., :3] if image.ndim == 3 else image[..., np.newaxis]
    scaled = _divide_by_255(colour) if window is None else _apply_window(colour, window)
    return np.array(np.broadcast_to(scaled, (*image.shape[:2], 3)), order="C")


def _divide_by_255(colour: NDArray[Any]) -> NDArray[np.float32]:
    return colour.astype(np.float32) / np.float32(255)


def _apply_window(colour: NDArray[Any], window: IntensityWindow) -> NDArray[np.float32]:
    if window.low == window.high:
        return np.zeros(colour.shape, np.float32)
    wide = np.promote_types(colour.dtype, np.float64)
    low, high = float(window.low), float(window.high)
    # Halves where high - low would overflow; not always, for the smallest numbers have none.
    factor = 1.0 if np.isfinite(high - low) else 0.5
    values = colour.astype(wide) * factor
    low, high = low * factor, high * factor
    finite = np.isfinite(values)
    values = np.clip(np.where(finite, values, low), low, high)
    return ((values - low) / (high - low)).astype(np.float32)

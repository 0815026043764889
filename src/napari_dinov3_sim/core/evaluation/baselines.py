"""Features without a model: what one must beat to be worth its time.

Each takes RGB in [0, 1], float32 of shape (H, W, 3), and returns one vector for each whole patch,
(rows, columns, D).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.evaluation.clicks import PATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

FILTER_SCALES = (0.7, 1.0, 1.6, 3.5, 5.0, 10.0)
"""Standard deviations of the filter bank, in pixels: those of ilastik's pixel classification."""

GREY = 0.02
"""An image whose channels differ nowhere by more has no colours."""

_RINGS = ((1, 8), (3, 24))
"""Radius and number of neighbours of the local binary patterns."""


def raw_pixels(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the pixels of each patch, less the mean patch of the image."""
    blocks = _blocks(rgb)
    pixels = blocks.reshape(*blocks.shape[:2], -1)
    found: NDArray[np.float32] = pixels - blocks.mean((0, 1)).ravel()
    return found


def colour_statistics(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return mean and standard deviation of the colours of each patch, standardized."""
    return _standardized(_moments(rgb))


def binary_patterns(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return square roots of histograms of uniform local binary patterns at two radii.

    Ojala, Pietikäinen, Mäenpää, IEEE TPAMI 24 (2002), by scikit-image. Roots make the cosine
    of two histograms their Bhattacharyya coefficient.
    """
    from skimage.feature import local_binary_pattern

    grey = (rgb.mean(-1) * 255).round().astype(np.uint8)
    parts = []
    for radius, neighbours in _RINGS:
        codes = local_binary_pattern(grey, neighbours, radius, "uniform")
        hits = codes[..., np.newaxis] == np.arange(neighbours + 2)
        parts.append(np.sqrt(_blocks(hits.astype(np.float32)).mean((2, 3))))
    return np.concatenate(parts, -1)


def oriented_gradients(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return histograms of oriented gradients of the four quarters of each patch.

    Dalal, Triggs, CVPR (2005), by scikit-image.
    """
    from skimage.feature import hog

    rows, columns = rgb.shape[0] // PATCH, rgb.shape[1] // PATCH
    whole = rgb[: rows * PATCH, : columns * PATCH]
    cells = hog(
        whole,
        orientations=8,
        pixels_per_cell=(PATCH // 2, PATCH // 2),
        cells_per_block=(1, 1),
        feature_vector=False,
        channel_axis=-1,
    )
    quarters = cells.reshape(rows, 2, columns, 2, -1).transpose(0, 2, 1, 3, 4)
    found: NDArray[np.float32] = quarters.reshape(rows, columns, -1).astype(np.float32)
    return found


def filter_bank(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return mean and standard deviation of the responses of a filter bank, standardized.

    Gaussian (of each colour), Laplacian, length of the gradient, difference of Gaussians, and the
    eigenvalues of structure tensor and Hessian matrix, at six scales: the features of ilastik
    (Berg et al., Nature Methods 16, 2019), by SciPy.
    """
    moments = [_moments(response[..., np.newaxis]) for response in _responses(rgb)]
    return _standardized(np.concatenate(moments, -1))


def _responses(rgb: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    grey = rgb.mean(-1)
    colours = [rgb[..., at] for at in range(3)] if np.ptp(rgb, -1).max() > GREY else []
    finer = grey
    for scale in FILTER_SCALES:
        blurred = _blurred(grey, scale)
        yield from [_blurred(colour, scale) for colour in colours] or [blurred]
        down, across = np.gradient(blurred)
        hyy, hyx = np.gradient(down)
        hxx = np.gradient(across, axis=1)
        yield scale**2 * (hyy + hxx)
        yield scale * np.hypot(down, across)
        yield blurred - finer
        yield from _eigenvalues(
            _blurred(down * down, scale),
            _blurred(down * across, scale),
            _blurred(across * across, scale),
        )
        yield from _eigenvalues(hyy, hyx, hxx)
        finer = blurred


def _blurred(values: Any, scale: float) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    smooth: NDArray[np.float32] = gaussian_filter(values, scale, truncate=3)
    return smooth


def _eigenvalues(yy: Any, yx: Any, xx: Any) -> tuple[NDArray[np.float32], ...]:
    """Return the larger and the smaller eigenvalue of symmetric 2 × 2 matrices."""
    half = np.sqrt(((yy - xx) / 2) ** 2 + yx * yx)
    middle = (yy + xx) / 2
    return middle + half, middle - half


def _blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the pixels of each whole patch, (rows, columns, PATCH, PATCH, channels)."""
    rows, columns = values.shape[0] // PATCH, values.shape[1] // PATCH
    whole = values[: rows * PATCH, : columns * PATCH]
    return whole.reshape(rows, PATCH, columns, PATCH, -1).transpose(0, 2, 1, 3, 4)


def _moments(values: NDArray[np.float32]) -> NDArray[np.float32]:
    blocks = _blocks(values)
    return np.concatenate([blocks.mean((2, 3)), blocks.std((2, 3))], -1)


def _standardized(features: NDArray[np.float32]) -> NDArray[np.float32]:
    spread = features.std((0, 1)) + np.float32(1e-6)
    found: NDArray[np.float32] = (features - features.mean((0, 1))) / spread
    return found


BASELINES: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
    "raw": raw_pixels,
    "rgb": colour_statistics,
    "lbp": binary_patterns,
    "hog": oriented_gradients,
    "filters": filter_bank,
}
"""Every baseline by its name."""

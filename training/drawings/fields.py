"""Smooth random fields, the raw material of shapes and textures."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

Array = np.ndarray
COARSE = 8
"""Wide fields are made on a grid this much coarser, which takes a fiftieth of the time."""


def smooth_noise(rng: np.random.Generator, size: int, sigma: float) -> Array:
    """Gaussian noise smoothed with `sigma` pixels, of variance 1; shape (size, size)."""
    if sigma < 1.5 * COARSE:
        noise = rng.standard_normal((size, size)).astype(np.float32)
        field = ndimage.gaussian_filter(noise, sigma, mode="wrap", truncate=3)
    else:
        coarse = rng.standard_normal((size // COARSE, size // COARSE)).astype(np.float32)
        coarse = ndimage.gaussian_filter(coarse, sigma / COARSE, mode="wrap")
        field = ndimage.zoom(coarse, COARSE, order=1)
    return field / (field.std() + 1e-6)


def fibrous_noise(rng: np.random.Generator, size: int, length: float, angle: Array) -> Array:
    """Noise drawn out along the direction `angle` (radians), a quarter turn at most off it."""
    noise = rng.standard_normal((4, size, size)).astype(np.float32)
    sigmas = ((length, 0.8), (0.8, length))
    straight = [ndimage.gaussian_filter(noise[k], sigmas[k], mode="wrap") for k in range(2)]
    kernel = np.eye(max(3, int(2 * length)), dtype=np.float32)
    slanted = [
        ndimage.convolve(ndimage.gaussian_filter(noise[2 + k], 0.7), kernel[:, :: 1 - 2 * k])
        for k in range(2)
    ]
    fields = [f / (f.std() + 1e-6) for f in (straight[1], slanted[0], straight[0], slanted[1])]
    nearest = np.round(angle / (np.pi / 4)).astype(int) % 4
    return np.choose(nearest, fields)


def warped_grid(rng: np.random.Generator, size: int, amplitude: float) -> tuple[Array, Array]:
    """Row and column of every pixel, displaced smoothly by about `amplitude` pixels."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    if amplitude < 0.5:
        return rows, columns
    return (
        rows + amplitude * smooth_noise(rng, size, 14),
        columns + amplitude * smooth_noise(rng, size, 14),
    )

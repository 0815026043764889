"""Preprocessing: RGB pixels to the tensor that goes into the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.vectors import EPSILON

if TYPE_CHECKING:
    from numpy.typing import NDArray


def normalize_pixels(
    rgb: NDArray[np.float32],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> torch.Tensor:
    """Subtract the mean and divide by the standard deviation of each channel.

    Parameters
    ----------
    rgb : ndarray of float32, shape (H, W, 3)
        RGB in [0, 1].
    mean, std : tuple of float
        Statistics of the weights.

    Returns
    -------
    torch.Tensor, shape (3, H, W), float32
    """
    normalized = (rgb - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(normalized.transpose(2, 0, 1)))


def lengths(embeddings: torch.Tensor) -> torch.Tensor:
    """Return what rows are divided by to have unit length, as `normalize_embeddings` does.

    Parameters
    ----------
    embeddings : torch.Tensor, shape (..., D)

    Returns
    -------
    torch.Tensor, shape (..., 1)
        Euclidean norms plus 1e-8.
    """
    norms: torch.Tensor = torch.linalg.vector_norm(embeddings, dim=-1, keepdim=True)
    return norms + EPSILON


def pad_and_normalize_image(
    image: NDArray[np.float32],
    patch_size: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> torch.Tensor:
    """Pad an RGB image with black to multiples of the patch size, then normalise it.

    Parameters
    ----------
    image : ndarray of float32, shape (H, W, 3)
        RGB in [0, 1].
    patch_size : int
        Side P of a patch, in pixels.
    mean, std : tuple of float
        Statistics of the weights, per channel.

    Returns
    -------
    torch.Tensor, shape (1, 3, H', W'), float32
        The image at the top left; zeros at the right and the bottom *before* normalisation.
    """
    height, width = PatchGrid((image.shape[0], image.shape[1]), patch_size).padded_shape
    padded = np.zeros((height, width, 3), np.float32)
    padded[: image.shape[0], : image.shape[1]] = image
    return normalize_pixels(padded, mean, std)[None]

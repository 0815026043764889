"""The two normalisations: of pixels by the statistics of the weights, of vectors by length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

EPSILON = 1e-8
"""Added to a norm or a range before dividing by it."""


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


def normalize_embeddings(embeddings: torch.Tensor) -> torch.Tensor:
    """Divide each row by its Euclidean norm plus 1e-8.

    Parameters
    ----------
    embeddings : torch.Tensor, shape (..., D)

    Returns
    -------
    torch.Tensor, shape (..., D)
    """
    norms: torch.Tensor = torch.linalg.vector_norm(embeddings, dim=-1, keepdim=True)
    return embeddings / (norms + EPSILON)

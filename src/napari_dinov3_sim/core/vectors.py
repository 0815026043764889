"""Unit vectors, and the small number that keeps a division from being by zero."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EPSILON = 1e-8
"""Added to a norm or a range before dividing by it."""


def normalize_embeddings(embeddings: NDArray[Any]) -> NDArray[np.float32]:
    """Divide each row by its Euclidean norm plus 1e-8.

    Parameters
    ----------
    embeddings : ndarray, shape (..., D)

    Returns
    -------
    ndarray of float32, shape (..., D)
    """
    rows = np.asarray(embeddings, np.float32)
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: NDArray[np.float32] = rows / (norms + np.float32(EPSILON))
    return unit

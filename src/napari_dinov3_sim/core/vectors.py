"""Unit vectors and their products."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.resident import RESIDENT

if TYPE_CHECKING:
    from types import ModuleType

    import torch
    from numpy.typing import NDArray


FULL_PRECISION_ELEMENTS = 2**24
"""Up to this many numbers embeddings are kept in float32, above it in float16."""

_FEW_VECTORS = 8
"""Up to this many float16 vectors are multiplied one by one, each at the speed of memory."""

_SMALL, _FEW_QUERIES = 2**21, 4
"""Up to so many numbers and query vectors, one thread is as fast as BLAS (4096 × 384: 0.15 ms for
one vector, 0.34 for four). Of two threads, one waits for the other, which waits for a core while a
window is drawn without a graphics card: 8 ms for one, measured while `bench_drag.py` ran."""

_ROWS_IN_CACHE = 512
"""Rows that are widened to float32 at a time; they stay in the cache."""


def storage_dtype(patches: int, dim: int) -> np.dtype[np.float32 | np.float16]:
    """Return the dtype in which the embeddings of an image are kept.

    A product with one vector is mostly bound by memory. On two cores of an EPYC, 1M × 384 numbers
    took 21 ms in float16 with torch 2.13, where reading them took 10 ms, and 27 ms in float32
    (`benchmarks/bench_answer.py`). float16 moves a cosine by at most 5e-4, and NumPy has no
    bfloat16. Small images stay exact.

    Parameters
    ----------
    patches, dim : int
        Number and length of the embeddings.

    Returns
    -------
    numpy.dtype
        float32 up to 2**24 numbers, float16 above.
    """
    exact = patches * dim <= FULL_PRECISION_ELEMENTS
    return np.dtype(np.float32 if exact else np.float16)


def dot(embeddings: NDArray[Any], vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Multiply embeddings with query vectors, on a device if it has a copy of the embeddings.

    Parameters
    ----------
    embeddings : ndarray, shape (N, D)
        float32, float16 or any other real floating dtype.
    vectors : ndarray, shape (D, Q)
        The query vectors, as columns, of any floating dtype.

    Returns
    -------
    ndarray of float32, shape (N, Q)
        All N · Q dot products.
    """
    vectors = np.asarray(vectors, np.float32)
    resident = RESIDENT.find(embeddings)
    if resident is not None:
        return _on_device(resident, vectors)
    if embeddings.dtype == np.float32:
        if embeddings.size <= _SMALL and vectors.shape[1] <= _FEW_QUERIES:
            small: NDArray[np.float32] = np.vecdot(
                embeddings[:, np.newaxis], np.ascontiguousarray(vectors.T)
            )
            return small
        if vectors.shape[1] == 1:  # of a matrix of one column NumPy makes a product of matrices
            one: NDArray[np.float32] = embeddings @ np.ascontiguousarray(vectors[:, 0])
            return one[:, np.newaxis]
        product: NDArray[np.float32] = embeddings @ vectors
        return product
    torch = _imported_torch()
    if torch is None or embeddings.dtype != np.float16 or vectors.shape[1] > _FEW_VECTORS:
        return _widened(embeddings, vectors)
    return _one_by_one(torch, embeddings, vectors)


def _on_device(resident: torch.Tensor, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    import torch

    queries = torch.from_numpy(np.ascontiguousarray(vectors)).to(resident)
    # With one column a product of matrices takes the kernel for many.
    products = (resident @ queries[:, 0])[:, None] if queries.shape[1] == 1 else resident @ queries
    found: NDArray[np.float32] = products.to("cpu", torch.float32).numpy()
    return found


def _imported_torch() -> ModuleType | None:
    """Return PyTorch if it is there; to import it takes longer than any product without it."""
    torch = sys.modules.get("torch")
    # A thread may be in the middle of importing it.
    importing = torch is None or getattr(torch.__spec__, "_initializing", False)
    return None if importing else torch


def _one_by_one(
    torch: ModuleType, embeddings: NDArray[np.float16], vectors: NDArray[np.float32]
) -> NDArray[np.float32]:
    # Matrix times vector has a fast kernel in float16, matrix times matrix has none on the CPU,
    # and NumPy has neither.
    products = np.empty((len(embeddings), vectors.shape[1]), np.float32)
    rows = torch.from_numpy(embeddings)
    # Of contiguous vectors: with one in strides the kernel is 17 times slower.
    for number, vector in enumerate(np.ascontiguousarray(vectors.T, np.float16)):
        products[:, number] = torch.mv(rows, torch.from_numpy(vector)).numpy()
    return products


def _widened(embeddings: NDArray[Any], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    products = np.empty((len(embeddings), vectors.shape[1]), np.float32)
    for start in range(0, len(embeddings), _ROWS_IN_CACHE):
        part = embeddings[start : start + _ROWS_IN_CACHE].astype(np.float32)
        np.matmul(part, vectors, out=products[start : start + _ROWS_IN_CACHE])
    return products


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

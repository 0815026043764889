"""The product of many embeddings with a few vectors, as fast as memory can be read."""

from __future__ import annotations

import torch

FULL_PRECISION_ELEMENTS = 2**24
"""Up to this many numbers embeddings are kept in float32, above it in float16."""

_FEW_VECTORS = 8
"""Up to this many float16 vectors are multiplied one by one, each at the speed of memory."""

_WORTH_ALL_CORES = 2**21
"""From this many float32 numbers on, waking all cores costs less than it saves."""

_ROWS_IN_CACHE = 4096
"""Rows that are widened to float32 at a time; they stay in the cache."""


def storage_dtype(patches: int, dim: int) -> torch.dtype:
    """Return the dtype in which the embeddings of an image are kept.

    A product with one vector is bound by memory. With torch 2.13 on two cores of an EPYC, 1M ×
    384 numbers took 25 ms in float16, which is the time of reading them, 75 to 170 ms in
    float32 and 80 ms in bfloat16 (`benchmarks/bench_answer.py`). float16 moves a cosine by at
    most 5e-4, bfloat16 by ten times as much. Small images stay exact.

    Parameters
    ----------
    patches, dim : int
        Number and length of the embeddings.

    Returns
    -------
    torch.dtype
        float32 up to 2**24 numbers, float16 above.
    """
    exact = patches * dim <= FULL_PRECISION_ELEMENTS
    return torch.float32 if exact else torch.float16


def dot(embeddings: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    """Multiply embeddings with query vectors.

    Parameters
    ----------
    embeddings : torch.Tensor, shape (N, D)
        On the CPU; float32, float16 or any other real floating dtype.
    vectors : torch.Tensor, shape (D, Q)
        The query vectors, as columns, of any floating dtype.

    Returns
    -------
    torch.Tensor, shape (N, Q), float32
        All N · Q dot products.
    """
    vectors = vectors.to(torch.float32)
    if embeddings.dtype == torch.float32:
        return _full_precision(embeddings, vectors)
    if embeddings.dtype == torch.float16 and vectors.shape[1] <= _FEW_VECTORS:
        return _one_by_one(embeddings, vectors)
    return _widened(embeddings, vectors)


def _full_precision(embeddings: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    if vectors.shape[1] != 1 or embeddings.numel() < _WORTH_ALL_CORES:
        return embeddings @ vectors
    # NumPy's library runs this on all cores, torch's on one.
    product = embeddings.detach().numpy() @ vectors[:, 0].detach().numpy()
    return torch.from_numpy(product)[:, None]


def _one_by_one(embeddings: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    # Matrix times vector has a fast kernel in float16, matrix times matrix has none on the CPU.
    products = torch.empty((len(embeddings), vectors.shape[1]), dtype=torch.float32)
    for number, vector in enumerate(vectors.to(torch.float16).unbind(1)):
        products[:, number] = torch.mv(embeddings, vector.contiguous())
    return products


def _widened(embeddings: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
    products = torch.empty((len(embeddings), vectors.shape[1]), dtype=torch.float32)
    for start in range(0, len(embeddings), _ROWS_IN_CACHE):
        part = embeddings[start : start + _ROWS_IN_CACHE].to(torch.float32)
        torch.mm(part, vectors, out=products[start : start + _ROWS_IN_CACHE])
    return products

"""Milliseconds for the cosines of N patches with Q queries, beside the speed of memory.

Run `python benchmarks/bench_answer.py [--patches 4096 65536 1000000] [--dim 384]`. For each
number of patches it prints how long reading the embeddings takes (a sum of their bytes as whole
numbers), how long `core.product.dot` takes for 1 and 4 queries in the dtype the embeddings are
kept in, the ratio of the two for one query, one query before PyTorch has been imported, and a
float32 product by NumPy. Each is the least of some runs. *Off by* is the greatest difference of a
cosine to the float32 product.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import torch

from napari_dinov3_sim.core.vectors import dot, normalize_embeddings, storage_dtype

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Print one row per number of patches."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, nargs="+", default=[4096, 65_536, 262_144, 10**6])
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    print(f"D = {options.dim}; torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("patches  kept as   read ms   GB/s   1 query ms   dot/read   4 queries ms", end="")
    print("   no torch ms   float32 ms   off by")
    for patches in options.patches:
        print(row(patches, options.dim, options.repeats))


def row(patches: int, dim: int, repeats: int) -> str:
    """Measure one size."""
    exact = normalize_embeddings(np.random.default_rng(0).standard_normal((patches, dim), "f4"))
    kept = exact.astype(storage_dtype(patches, dim))
    queries = np.ascontiguousarray(exact[:4].T)
    # In turns, so that a busy machine disturbs all alike.
    read, one, four, without, plain = least(
        [
            torch.from_numpy(kept.view(np.int64)).sum,  # faster than NumPy's
            lambda: dot(kept, queries[:, :1]),
            lambda: dot(kept, queries),
            lambda: without_torch(kept, queries[:, :1]),
            lambda: exact @ queries[:, :1],
        ],
        repeats,
    )
    off = np.abs(dot(kept, queries) - exact @ queries).max()
    return (
        f"{patches:7}  {kept.dtype!s:8} {1e3 * read:8.2f} {kept.nbytes / read / 1e9:6.1f} "
        f"{1e3 * one:12.2f} {one / read:10.2f} {1e3 * four:14.2f} {1e3 * without:13.2f} "
        f"{1e3 * plain:12.2f} {off:8.1e}"
    )


def without_torch(kept: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Answer as a process does that has not imported PyTorch."""
    with mock.patch.dict(sys.modules):
        del sys.modules["torch"]
        return dot(kept, queries)


def least(calls: list[Callable[[], object]], repeats: int) -> list[float]:
    """Return the least seconds of each call, run in turns: what it takes when left alone."""
    times = [float("inf")] * len(calls)
    for _ in range(repeats + 1):
        for number, call in enumerate(calls):
            start = time.perf_counter()
            call()
            times[number] = min(times[number], time.perf_counter() - start)
    return times


if __name__ == "__main__":
    main()

"""Milliseconds for the cosines of N patches with Q queries, beside the speed of memory.

Run `python benchmarks/bench_answer.py [--patches 4096 65536 1000000] [--dim 384]`. For each
number of patches it prints how long reading the embeddings takes (a sum of their bytes as whole
numbers), how long `core.product.dot` takes for 1 and 4 queries in the dtype the embeddings are
kept in, the ratio of the two for one query, and a float32 product by `torch.matmul`. Each is the
least of some runs. *Off by* is the greatest difference of a cosine to the float32 product.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import torch

from napari_dinov3_sim.core.product import dot, storage_dtype

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
    print(
        "patches  kept as   read ms   GB/s   1 query ms   dot/read   4 queries ms   float32 ms",
        end="",
    )
    print("   off by")
    for patches in options.patches:
        print(row(patches, options.dim, options.repeats))


def row(patches: int, dim: int, repeats: int) -> str:
    """Measure one size."""
    exact = torch.nn.functional.normalize(torch.randn(patches, dim), dim=1)
    kept = exact.to(storage_dtype(patches, dim))
    queries = exact[:4].T.contiguous()
    words = kept.view(torch.int64).reshape(-1)
    # In turns, so that a busy machine disturbs all alike.
    read, one, four, plain = least(
        [
            words.sum,
            lambda: dot(kept, queries[:, :1]),
            lambda: dot(kept, queries),
            lambda: exact @ queries[:, :1],
        ],
        repeats,
    )
    off = float((dot(kept, queries) - exact @ queries).abs().max())
    return (
        f"{patches:7}  {str(kept.dtype).removeprefix('torch.'):8} {1e3 * read:8.2f} "
        f"{kept.nbytes / read / 1e9:6.1f} {1e3 * one:12.2f} {one / read:10.2f} "
        f"{1e3 * four:14.2f} {1e3 * plain:12.2f} {off:8.1e}"
    )


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

"""Draw the training images: `python -m training.draw --out FOLDER --groups 4000`.

Each group is drawn from a seed of its own, so the same command gives the same files. Groups are
written in shards of 100: every fourth shard holds single images of 512 × 512 pixels, the others
four images of 256 × 256. A shard that is there already is not drawn again.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from training.drawings.groups import draw_group
from training.images import save_whole

PER_SHARD = 100


def draw_shard(shard: int, *, out: Path, per_shard: int, seed: int) -> str:
    """Draw one shard, unless it is there; return its name."""
    large = shard % 4 == 3
    name = f"{'large' if large else 'small'}-{shard:04d}"
    images = out / f"{name}.images.npy"
    if images.exists():
        return f"{name} was there"
    first = seed * 10_000_000 + shard * per_shard
    groups = [draw_group(first + k, large=large) for k in range(per_shard)]
    save_whole(out / f"{name}.shares.npy", np.stack([g.shares for g in groups]))
    save_whole(images, np.stack([g.images for g in groups]))
    return name


def main() -> None:
    """Draw all shards, with two processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--groups", type=int, default=4000)
    parser.add_argument("--per-shard", type=int, default=PER_SHARD)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    shards = range(-(-options.groups // options.per_shard))
    job = partial(draw_shard, out=options.out, per_shard=options.per_shard, seed=options.seed)
    with ProcessPoolExecutor(options.processes) as pool:
        for done in pool.map(job, shards):
            print(done, flush=True)


if __name__ == "__main__":
    main()

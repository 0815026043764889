"""Seconds to find stored embeddings, and to reopen an image that was embedded yesterday.

Run `python benchmarks/bench_store.py [--sides 1024 4096] [--model FILE]`. Without a model a
ViT-S/16 with random weights is used. The embeddings are random unit vectors, which cost on disk
and in a product what real ones do. "Reopen" is a fresh process: it loads the model, reads and
hashes the pixels, fetches the embeddings from disk and answers a click.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from common import machine, median_seconds, picture
from safetensors.torch import save_file
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from napari_dinov3_sim import PatchImageState, load_backbone
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.core.images.sources import as_source
from napari_dinov3_sim.core.vectors import normalize_embeddings, storage_dtype
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore, digest_of

if TYPE_CHECKING:
    from napari_dinov3_sim.backbones import DINOv3Backbone

REOPEN = """
import json, sys, time
start = time.perf_counter()
last = [start]
def lap():
    now = time.perf_counter(); spent = now - last[0]; last[0] = now
    return spent
from pathlib import Path
import numpy as np
from napari_dinov3_sim import load_backbone, Recipe, query_vector, similarity_map
from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.core.images.sources import as_source
from napari_dinov3_sim.store import DiskStore, digest_of
laps = {"imports": lap()}
backbone = load_backbone(sys.argv[1], device="cpu", dtype="float32")
laps["model"] = lap()
seen = scan_pixels(as_source(np.load(sys.argv[2])))
laps["pixels"] = lap()
digest = digest_of(seen.digest, backbone.fingerprint, seen.window, Recipe())
state = DiskStore(Path(sys.argv[3])).get(digest)
laps["fetch"] = lap()
def click():
    similarity_map(query_vector([(state, (5, 5))]), state)
    return lap()
laps["click"] = click()
laps["second click"] = click()
laps["all"] = sum(laps.values()) - laps["second click"]
print(json.dumps(laps))
"""


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--model", help="a weights file; by default a random ViT-S/16")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or random_weights(Path(folder))
        backbone = load_backbone(model, device="cpu", dtype="float32")
        runs = [Case(Path(folder) / f"{side}", side, backbone) for side in options.sides]
        tell_store(runs, options.repeats)
        tell_reopen(runs, model, options.repeats)


def random_weights(folder: Path) -> str:
    """Write a ViT-S/16 with random weights and return its file."""
    torch.manual_seed(0)
    model = DINOv3ViTModel(DINOv3ViTConfig(num_register_tokens=4))
    path = folder / "random-vits16.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return f"{path}"


class Case:
    """An image of one size, and embeddings of its shape."""

    def __init__(self, folder: Path, side: int, backbone: DINOv3Backbone) -> None:
        self.folder, self.side = folder / "store", side
        folder.mkdir()
        self.image = folder / "image.npy"
        np.save(self.image, picture(side)[..., 1].astype(np.uint16) * 200)
        seen = scan_pixels(as_source(np.load(self.image)))
        self.digest = digest_of(seen.digest, backbone.fingerprint, seen.window, Recipe())
        grid = PatchGrid((side, side), backbone.patch_size)
        random = np.random.default_rng(0).standard_normal((len(grid), backbone.dim), "f4")
        vectors = normalize_embeddings(random).astype(storage_dtype(*random.shape))
        self.state = PatchImageState(vectors, grid, backbone.fingerprint, seen.window)
        self.disk = DiskStore(self.folder)
        self.disk.put(self.digest, self.state, "image")


def tell_store(runs: list[Case], repeats: int) -> None:
    """Print what a hit and a miss cost, in milliseconds."""
    print("\nmilliseconds     side  patches    MB   write  disk hit  memory hit    miss")
    for case in runs:
        both = EmbeddingStore(MemoryStore(), case.disk)
        times = [
            median_seconds(lambda c=case: c.disk.put(c.digest, c.state), repeats),
            median_seconds(lambda c=case: c.disk.get(c.digest), repeats),
        ]
        both.fetch(case.digest)
        times.append(median_seconds(lambda c=case, b=both: b.get(c.digest), repeats))
        times.append(median_seconds(lambda b=both: b.fetch("0" * 64), repeats))
        write, hit, memory, miss = (1000 * seconds for seconds in times)
        megabytes = case.state.nbytes / 1e6
        print(
            f"{'':12} {case.side:>8} {len(case.state.grid):>8} {megabytes:5.0f} {write:7.1f}"
            f" {hit:9.2f} {memory:11.4f} {miss:7.3f}"
        )


def tell_reopen(runs: list[Case], model: str, repeats: int) -> None:
    """Print what it costs to reopen an image, in seconds, part by part."""
    names = ["imports", "model", "pixels", "fetch", "click", "second click", "all"]
    print("\nreopen, seconds  side " + "".join(f"{name:>14}" for name in names))
    for case in runs:
        laps = [reopen(case, model) for _ in range(repeats)]
        medians = (statistics.median(lap[name] for lap in laps) for name in names)
        print(f"{'':12} {case.side:>8} " + "".join(f"{value:14.3f}" for value in medians))


def reopen(case: Case, model: str) -> dict[str, float]:
    """Answer a click in a fresh process and return its timings."""
    done = subprocess.run(
        [sys.executable, "-c", REOPEN, model, f"{case.image}", f"{case.folder}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    main()

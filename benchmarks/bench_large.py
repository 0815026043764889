"""Large images in bounded memory: counted chunks, peak memory, a cancelled run that is resumed.

Run `python benchmarks/bench_large.py [--sides 512 1024 2048 4096 8192] [--resumed 16384]`. The
images are uint16 dask arrays in chunks of 1024², computed when they are read, each read counted.
The model is a ViT/16 of 2 layers and width 64 with random weights, beside which the cost of
everything else shows. Every line is a process of its own. *Peak* is the most memory the process
held, less what it held when the model was loaded and had embedded one patch; the embeddings are
part of it.

The image of `--resumed` is read once for its digest and window, embedded up to half of its tiles,
and cancelled; a second process goes on from the tiles in the store on disk and writes the result;
a third one opens the image again and answers a click.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import dask.array as da
import numpy as np
from common import machine, peak_mib, picture, tiny_vit

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.errors import EmbeddingCancelled
from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.core.images.sources import ArraySource
from napari_dinov3_sim.store import DiskStore, digest_of

CHUNK = 1024
STEPS = ("cancelled", "resumed", "reopened")


def main() -> None:
    """Print a table of whole runs, and one of a run in three processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="*", default=[512, 1024, 2048, 4096, 8192])
    parser.add_argument("--resumed", type=int, default=16384)
    parser.add_argument("--step", choices=("whole", *STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step is not None:
        print(json.dumps(run(options.step, options.resumed, options.folder)))
        return
    print(f"ViT/16 of 2 layers and width 64; {machine()}")
    print("          side  tiles    MP     s  s/MP  core-s/MP  embeddings MiB  peak MiB", end="")
    print("  reads per chunk:   scan  tiles")
    with tempfile.TemporaryDirectory() as folder:
        for side in options.sides:
            print(line(in_a_process("whole", side, folder)), flush=True)
        for step in STEPS:
            facts = in_a_process(step, options.resumed, folder)
            print(line(facts), flush=True)
    print(f"reopened and a click answered {facts['answered']:.2f} s after the scan of the pixels")


def in_a_process(step: str, side: int, folder: str) -> dict[str, float]:
    """Return the facts that a fresh process found out."""
    command = [sys.executable, __file__, "--step", step, "--resumed", f"{side}"]
    done = subprocess.run(
        [*command, "--folder", folder], stdout=subprocess.PIPE, text=True, check=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def line(facts: dict[str, float]) -> str:
    """Return one row of the table."""
    megapixels = facts["megapixels"]
    rate, cores = ((facts[name] / megapixels if megapixels else 0) for name in ("wall", "cpu"))
    return (
        f"{facts['step']:9} {facts['side']:5} {facts['tiles']:6} {megapixels:6.1f} "
        f"{facts['wall']:5.1f} {rate:5.2f} {cores:10.2f} {facts['embeddings']:15.1f} "
        f"{facts['peak']:9.1f} {facts['scan']:>25} {facts['reads']:>6}"
    )


class CountedImage:
    """A dask image whose chunks are counted as they are computed."""

    def __init__(self, side: int) -> None:
        self._texture = picture(CHUNK)[..., 1].astype(np.uint16) * 16
        self._counts: Counter[tuple[int, ...]] = Counter()
        self._lock = threading.Lock()
        chunk = min(side, CHUNK)
        self.chunks = (-(-side // chunk)) ** 2
        blank = da.zeros((side, side), np.uint16, chunks=chunk)
        self.data = blank.map_blocks(self._compute, dtype=np.uint16, meta=np.empty((0, 0)))

    def _compute(self, block: np.ndarray, block_info: object = None) -> np.ndarray:
        place = tuple(block_info[0]["chunk-location"])
        with self._lock:
            self._counts[place] += 1
        height, width = block.shape
        turned = np.rot90(self._texture, sum(place))[:height, :width]
        return turned + np.uint16(37 * place[0] + 11 * place[1])

    def reads(self) -> str:
        """Return how often chunks were read since the last call: least and most."""
        counts = [*self._counts.values(), *[0] * (self.chunks - len(self._counts))]
        self._counts.clear()
        least, most = min(counts), max(counts)
        return f"{least}" if least == most else f"{least}-{most}"


def run(step: str, side: int, folder: Path) -> dict[str, object]:
    """Do one step and return what it took."""
    backbone, image = tiny_vit(), CountedImage(side)
    create_patch_image_state(np.zeros((16, 16)), backbone)
    baseline = peak_mib()
    seen = scan_pixels(ArraySource(image.data))
    scanned = image.reads()
    digest = digest_of(seen.digest, backbone.fingerprint, seen.window, Recipe())
    store = DiskStore(folder / "store")
    counting = Counting(store.tiles(digest, "large"), cancels=step == "cancelled")
    walls, cpus = time.perf_counter(), time.process_time()
    state = store.get(digest) if step == "reopened" else None
    if step != "reopened":
        try:
            state = create_patch_image_state(
                ArraySource(image.data),
                backbone,
                window=seen.window,
                tiles=counting,
                progress=counting.progress,
            )
        except EmbeddingCancelled:
            state = None
    wall, cpu = time.perf_counter() - walls, time.process_time() - cpus
    if step == "resumed":
        store.put(digest, state, "large")
    facts = {
        "step": step,
        "side": side,
        "tiles": counting.computed,
        "megapixels": side * side / 1e6 * counting.computed / max(counting.total, 1),
        "wall": wall,
        "cpu": cpu,
        "scan": scanned,
        "reads": image.reads(),
        "embeddings": 0.0 if state is None else state.nbytes / 2**20,
    }
    if step == "reopened":
        (map_,) = nds.create_similarity_images(state, (side // 2, side // 2), [state])
        facts["answered"] = time.perf_counter() - walls
        assert map_.cosine.max() > 0.99
    return facts | {"peak": peak_mib() - baseline}


class Counting:
    """Keeps tiles in a store, knows how many were computed, and may cancel half-way."""

    def __init__(self, tiles: object, *, cancels: bool) -> None:
        self.put = tiles.put
        self._tiles, self._cancels = tiles, cancels
        self._recalled = self._done = self.total = 0

    def get(self, number: int) -> object:
        """Return a tile that is there."""
        found = self._tiles.get(number)
        self._recalled += found is not None
        return found

    @property
    def computed(self) -> int:
        """Tiles that went through the model."""
        return self._done - self._recalled

    def progress(self, done: int, total: int) -> None:
        """Take note, and cancel."""
        self._done, self.total = done, total
        if self._cancels and done == total // 2:
            raise EmbeddingCancelled


if __name__ == "__main__":
    main()

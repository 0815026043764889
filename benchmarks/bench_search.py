"""A search over many stored images, from disk and from the system's cache of files.

Run `python benchmarks/bench_search.py [--images 1000] [--folder PLACE] [--repeats 3]`. Random
unit vectors of so many images, 4096 × 384 each in float32 (6.3 MB), are written into a folder of
PLACE, searched, and removed. 10,000 images need 63 GB.

- *read* is what the disk or the memory gives: all bytes of the files into one block for each
  thread, with as many threads as the search has.
- *search* finds the 100 best patches with `search_embeddings`.
- *share* is how much of that speed the search has.

*From disk*, the system is asked before each pass to forget the files; where it does not, as on
macOS and Windows, this is skipped. *From memory*, they were read just before; with more images
than fit there, leave it out by `--no-memory`. Both take turns; the median of each counts.
*Memory* is how much more this process holds after the searches than before.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from common import peak_mib

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.state import PatchImageState
from napari_dinov3_sim.core.vectors import normalize_embeddings
from napari_dinov3_sim.store import SUFFIX, save_state
from napari_dinov3_sim.store.stored_search import BLOCK_BYTES, MOST_THREADS, search_embeddings

if TYPE_CHECKING:
    from collections.abc import Callable

DIM = 384


def main() -> None:
    """Print one row for the disk, and one for the memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--side", type=int, default=1024, help="of an image, in pixels")
    parser.add_argument("--folder", type=Path, help="where there is room; by default temporary")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-memory", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        query = write(folder, options)
        paths = sorted(folder.iterdir())
        size = sum(path.stat().st_size for path in paths) / 1e9
        print(f"{len(paths)} images, {size:.2f} GB, {threads()} threads")
        print("                     read GB/s   search GB/s   share   search s   memory MiB")
        if hasattr(os, "posix_fadvise"):
            print(row("from disk", paths, query, options, before=forget), flush=True)
        if not options.no_memory:
            print(row("from memory", paths, query, options, before=read), flush=True)
            alone = "  without checksum"
            print(row(alone, paths, query, options, before=read, verify=False), flush=True)


def write(folder: Path, options: argparse.Namespace) -> np.ndarray:
    """Write the images, and return the first vector of the first one."""
    grid = PatchGrid((options.side, options.side), 16)
    rng = np.random.default_rng(0)
    query = np.empty(0)
    for number in range(options.images):
        values = rng.standard_normal((len(grid), DIM), dtype=np.float32)
        state = PatchImageState(normalize_embeddings(values), grid, "model:float32")
        save_state(state, folder / f"{number:032x}{SUFFIX}")
        query = query if number else state.vectors[0].copy()
    os.sync()
    return query


def row(
    name: str,
    paths: list[Path],
    query: np.ndarray,
    options: argparse.Namespace,
    before: Callable[[list[Path]], object],
    *,
    verify: bool = True,
) -> str:
    """Measure reading and searching in turns."""
    size = sum(path.stat().st_size for path in paths) / 1e9
    folder = paths[0].parent
    times: dict[str, list[float]] = {"read": [], "search": []}
    search_embeddings(folder, query)  # what is loaded once counts for nothing
    held = peak_mib()
    for _ in range(options.repeats):
        for what, call in (
            ("read", lambda: read(paths)),
            ("search", lambda: search_embeddings(folder, query, verify=verify)),
        ):
            before(paths)
            start = time.perf_counter()
            call()
            times[what].append(time.perf_counter() - start)
    reading, searching = (statistics.median(taken) for taken in times.values())
    return (
        f"{name:18} {size / reading:11.2f} {size / searching:13.2f} {reading / searching:7.0%} "
        f"{searching:10.2f} {peak_mib() - held:12.1f}"
    )


def threads() -> int:
    """Return how many threads the search has."""
    return min(MOST_THREADS, os.cpu_count() or 1)


def read(paths: list[Path]) -> None:
    """Read all bytes, and do nothing with them."""

    def one(path: Path) -> None:
        buffer = bytearray(BLOCK_BYTES)
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    with ThreadPoolExecutor(threads()) as pool:
        list(pool.map(one, paths))


def forget(paths: list[Path]) -> None:
    """Ask the system to forget what it has of the files."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


if __name__ == "__main__":
    main()

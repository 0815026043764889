"""How a folder is searched from the dock: the window meanwhile, its memory, a stop half way.

A folder of small images is searched with the built-in model by the process that *Folder…* starts.
Meanwhile a timer of 5 ms beats in the window: its beats in a second are the updates that are
possible, its longest gap the longest stall. Memory is that of the window's process, without the
other one's. Then the search is stopped half way and resumed. The first search is one of five
images, so that what is loaded once counts for nothing.

``xvfb-run -a -s "-screen 0 1400x900x24" python benchmarks/bench_folder.py --files 100``
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from bench_gui_stall import Heartbeat, run_until
from PIL import Image
from skimage import data

if TYPE_CHECKING:
    from napari_dinov3_sim.session.file_search.file_search import FileSearch

SIDE = 128
"""Of an image, in pixels."""

WIDE = 2 * SIDE

IDLE = 5.0
"""Seconds in which nothing is searched, to see what else the computer does."""

TARGET = 30
"""Updates a second that the window must keep."""


def resident_mib() -> float:
    """Return the memory of this process now, in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def write_images(folder: Path, count: int) -> None:
    """Write parts of a stained section, each with noise of its own."""
    folder.mkdir()
    picture, rng = data.immunohistochemistry(), np.random.default_rng(0)
    for number in range(count):
        top, left = rng.integers(0, 512 - SIDE), rng.integers(0, 512 - WIDE)
        part = picture[top : top + SIDE, left : left + WIDE]
        noise = rng.integers(-5, 6, part.shape)
        pixels = np.clip(part + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04}.png")


def slowest_second(heart: Heartbeat, since: float) -> int:
    """Return the least number of beats in a second."""
    beats = np.array([beat for beat in heart.beats if beat > since])
    seconds = np.arange(since, beats[-1] - 1, 0.25)
    first, last = np.searchsorted(beats, seconds), np.searchsorted(beats, seconds + 1)
    return int((last - first).min())


def search(dock: Any, files: Path, heart: Heartbeat) -> float:
    """Search a folder; tell how the window fared, and return its memory afterwards."""
    session: FileSearch = dock.session.file_search
    count = len(list(files.iterdir()))
    start = time.perf_counter()
    session.start(files, replaces=False)
    run_until(lambda: not session.state.is_running)
    seconds = time.perf_counter() - start
    memory = resident_mib()
    heart.report(f"{count} images", start)
    print(
        f"  {session.state.sentence} At least {slowest_second(heart, start)} updates a second "
        f"(wanted: {TARGET}); {memory:.0f} MiB in the window; {seconds / count:.2f} s an image"
    )
    return memory


def stop_and_resume(dock: Any, files: Path, heart: Heartbeat) -> None:
    """Stop a search half way and resume it."""
    session: FileSearch = dock.session.file_search
    half = len(list(files.iterdir())) // 2
    out = session.start(files)
    run_until(lambda: session.state.done >= half or not session.state.is_running)
    start = time.perf_counter()
    session.cancel()
    run_until(lambda: not session.state.is_running)
    stopped = time.perf_counter() - start
    kept = len(list((out / "search" / "embeddings").glob("*.safetensors")))
    print(f"stopped within {stopped:.2f} s: {kept} images embedded, {session.state.done} done")
    start = time.perf_counter()
    session.resume(out)
    run_until(lambda: not session.state.is_running)
    heart.report("resumed", start)
    state = session.state
    print(f"  {state.stored} were there, {state.done - state.stored} computed. {state.sentence}")


def main() -> None:
    """Measure a folder of a few images, one of many, and one that is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100)
    count = parser.parse_args().files
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = os.environ["XDG_CONFIG_HOME"] = folder
        for name, size in (("few", 5), ("many", count), ("stopped", count // 2)):
            write_images(Path(folder) / name, size)
        viewer = napari.Viewer(show_welcome_screen=False)
        heart = Heartbeat()
        _, dock = viewer.window.add_plugin_dock_widget("napari-dinov3-sim", "DINOv3 similarity")
        session = dock.session
        session.set_model("builtin")
        image = viewer.add_image(data.immunohistochemistry()[:256, :256])
        run_until(lambda: session.queries is not None)
        session.queries.add(image.data_to_world((100, 130)))
        run_until(lambda: bool(session.heatmaps) and not session.busy)
        idle, end = time.perf_counter(), time.monotonic() + IDLE
        run_until(lambda: time.monotonic() > end)
        heart.report("idle", idle)
        print(f"  At least {slowest_second(heart, idle)} updates a second")
        before = search(dock, Path(folder) / "few", heart)
        after = search(dock, Path(folder) / "many", heart)
        print(f"memory of the window: {after - before:+.1f} MiB for {count - 5} images more")
        stop_and_resume(dock, Path(folder) / "stopped", heart)
        viewer.close()


if __name__ == "__main__":
    main()

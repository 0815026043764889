"""How long the window stands still during the first click, and after.

A heartbeat of 5 ms runs on the main thread; its longest gap is the longest stall. A second after
an image is opened, torch and transformers are imported; the first click loads the built-in model
and embeds two images, all in workers, which compete with the window for Python's lock.

``xvfb-run -a -s "-screen 0 1400x900x24" python benchmarks/bench_gui_stall.py``
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, QTimer

if TYPE_CHECKING:
    from collections.abc import Callable

BEAT = 0.005

POLL = 4
"""Milliseconds: a quarter of the time between two moves of a mouse."""


class Heartbeat:
    """Notes when it beats; while the main thread is busy it cannot."""

    def __init__(self) -> None:
        self.beats: list[float] = []
        self._timer = QTimer()
        self._timer.timeout.connect(self._beat)
        self._timer.start(round(1000 * BEAT))

    def _beat(self) -> None:
        self.beats.append(time.perf_counter())

    def report(self, what: str, since: float) -> None:
        """Print the longest gaps since a time."""
        times = np.array([since, *(t for t in self.beats if t > since), time.perf_counter()])
        gaps = np.sort(np.diff(times))[::-1] * 1000
        longest = ", ".join(f"{gap:.0f}" for gap in gaps[:5])
        late = int((gaps > 50).sum())
        print(
            f"{what:34} {times[-1] - since:6.2f} s; longest stalls {longest} ms; "
            f"{late} over 50 ms, {gaps[gaps > 50].sum():.0f} ms in all"
        )


def run_until(done: Callable[[], bool]) -> None:
    """Run the event loop as an application does: it sleeps when there is nothing to do."""
    loop, poll = QEventLoop(), QTimer()
    poll.timeout.connect(lambda: loop.quit() if done() else None)
    poll.start(POLL)
    loop.exec()
    poll.stop()


def add_query(dock: Any, pixel: tuple[int, int]) -> None:
    """Add a point as a click does."""
    image = dock.session.images[0]
    dock.session.queries.add(image.data_to_world(pixel))


def main() -> None:
    """Measure start, idling, first and second click, and a large image."""
    # Not above: the early checkouts that `bench_repaint.py` compares with have no such module.
    from napari_dinov3_sim.backbones.background_import import is_imported

    viewer = napari.Viewer(show_welcome_screen=False)
    heart = Heartbeat()
    run_until(lambda: len(heart.beats) > 100)
    start = time.perf_counter()
    _, dock = viewer.window.add_plugin_dock_widget("napari-dinov3-sim", "DINOv3 similarity")
    print(
        f"opening the dock: {time.perf_counter() - start:.2f} s, torch: {'torch' in sys.modules}"
    )
    session = dock.session
    session.set_model("builtin")
    rng = np.random.default_rng()  # other pixels each time: none whose embeddings are on disk
    for number in range(2):
        pixels = rng.integers(0, 255, (512, 512, 3), np.uint8)
        viewer.add_image(pixels, translate=(0, 540 * number))
    start = time.perf_counter()
    run_until(lambda: session.queries is not None and is_imported())
    heart.report("images opened, imports in the lull", start)

    start, end = time.perf_counter(), time.monotonic() + 2
    run_until(lambda: time.monotonic() > end)
    heart.report("idle", start)

    start = time.perf_counter()
    add_query(dock, (100, 100))
    run_until(lambda: session.backbone is not None)
    heart.report("first click: loading", start)
    start = time.perf_counter()
    run_until(lambda: len(session.heatmaps) == 2 and not session.busy)
    heart.report("first click: embedding, heatmaps", start)

    start = time.perf_counter()
    add_query(dock, (300, 300))
    run_until(lambda: not session.busy)
    heart.report("second click", start)

    start = time.perf_counter()
    viewer.add_image(rng.integers(0, 255, (3000, 3000, 3), np.uint8), translate=(600, 0))
    heart.report("opening 3000 × 3000 in napari", start)
    start = time.perf_counter()
    run_until(lambda: len(session.heatmaps) == 3 and not session.busy)
    heart.report("embedding 3000 × 3000", start)
    viewer.close()


if __name__ == "__main__":
    main()

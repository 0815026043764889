"""From a click of the mouse to the last repaint of the canvas, with ten images and the dock open.

Real Qt events in a real window. Two ends are noted: that of the first drawing of the canvas in
which all heatmaps are new, and that of the last drawing, with the contours of all images. With
``--against``, the package of another checkout is measured in a window of its own, and the two take
turns click by click, so that whatever else the computer does slows both alike.

``bash scripts/with_display.sh python benchmarks/bench_repaint.py [--against ../old/src]``
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

QUIET = 0.25
"""Seconds without a drawing after which the answer is complete."""


class Click(NamedTuple):
    """What one click took.

    Attributes
    ----------
    heatmaps : float
        Seconds from the press of the button until all heatmaps were painted.
    thread : float
        Seconds of the processor that the thread of the window needed for that.
    all : float
        Seconds until the last drawing.
    processor : float
        Seconds of the processor, of all threads, until it was quiet.
    drawings : int
    """

    heatmaps: float
    thread: float
    all: float
    processor: float
    drawings: int


class Window:
    """A window with images, the dock, and a first answer.

    Parameters
    ----------
    images, side : int
        How many, and the length of their sides.
    """

    def __init__(self, images: int, side: int) -> None:
        import napari
        from bench_drag import canvas_of, on_canvas
        from bench_gui_stall import run_until
        from common import picture

        self._run_until, self._on_canvas = run_until, on_canvas
        self.viewer = napari.Viewer(show_welcome_screen=False)
        self.viewer.window.resize(1300, 850)
        _, dock = self.viewer.window.add_plugin_dock_widget(
            "napari-dinov3-sim", "DINOv3 similarity"
        )
        self.session: Any = dock.session
        self.session.set_model("builtin")
        for number in range(images):
            place = (side * (number // 5), side * (number % 5))
            self.viewer.add_image(picture(side, number), translate=place, name=f"image {number}")
        self.viewer.reset_view()
        self._canvas = canvas_of(self.viewer)
        self._side, self._clicks = side, 0
        self._drawn: list[tuple[float, float]] = []
        self._changed = 0.0
        scene = self.viewer.window._qt_viewer.canvas._scene_canvas
        scene.events.draw.connect(self._on_draw, position="last")
        run_until(lambda: self.session.queries is not None)
        self.click()
        run_until(lambda: len(self.session.heatmaps) == images and not self.session.busy)
        for _ in range(3):
            self.click()
        for layer in self.session.heatmaps.values():
            layer.events.set_data.connect(self._on_change)
            layer.events.contrast_limits.connect(self._on_change)

    def _on_draw(self, event: object) -> None:
        del event
        self._drawn.append((time.perf_counter(), time.thread_time()))

    def _on_change(self, event: object) -> None:
        del event
        self._changed = time.perf_counter()

    def click(self) -> Click:
        """Click somewhere else on the first image, and wait until nothing is drawn any more."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        self._clicks += 1
        across = (0.1 + 0.77 * self._clicks) % 0.8 + 0.1
        world = (self._side * (0.1 + 0.05 * (self._clicks % 16)), self._side * across)
        self.session.queries.mode = "add"
        at = self._on_canvas(self.viewer, world)
        QTest.mouseMove(self._canvas, at)
        self._settle()
        number = len(self.session.queries.data)
        self._drawn.clear()
        processor, thread = time.process_time(), time.thread_time()
        start = self._changed = time.perf_counter()
        QTest.mouseClick(self._canvas, Qt.MouseButton.LeftButton, pos=at)
        self._settle()
        spent = time.process_time() - processor
        if len(self.session.queries.data) != number + 1:
            raise RuntimeError("The click has set no point.")
        wall, by_then = next(drawn for drawn in self._drawn if drawn[0] > self._changed)
        last = self._drawn[-1][0] - start
        return Click(wall - start, by_then - thread, last, spent, len(self._drawn))

    def _settle(self) -> None:
        quiet_since = time.perf_counter()

        def quiet() -> bool:
            last = max([quiet_since, *(drawn[0] for drawn in self._drawn[-1:])])
            parts = getattr(self.session, "_coordinator", None)  # early checkouts find no objects
            finder = getattr(parts, "finder", None)
            busy = self.session.busy or (finder is not None and finder.pending)
            return not busy and time.perf_counter() - last > QUIET

        self._run_until(quiet)


def serve(images: int, side: int) -> None:
    """Make a click for every line that is read, and print what it took."""
    window = Window(images, side)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(*window.click(), flush=True)
    window.session.close()
    window.viewer.close()


class Other:
    """A window in a process of its own, with the package of a folder of sources."""

    def __init__(self, sources: Path, options: argparse.Namespace) -> None:
        sizes = ["--images", str(options.images), "--side", str(options.side)]
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", *sizes],
            env={**os.environ, "PYTHONPATH": str(sources)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def wait(self) -> None:
        """Wait until its window is there."""
        while (line := self._line()) != "ready":
            if not line and self._process.poll() is not None:
                raise RuntimeError("The other process has ended.")

    def click(self) -> Click:
        """Have it click once."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        *seconds, drawings = self._line().split()
        return Click(*map(float, seconds), int(drawings))

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    """Print medians of both and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--clicks", type=int, default=12)
    parser.add_argument("--against", type=Path, help="folder of the sources of another checkout")
    parser.add_argument("--profile", action="store_true", help="where the main thread was")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.images, options.side)
        return
    if options.profile:
        profile(options)
        return
    here = Path(__file__).parents[1] / "src"
    places = {"this": here} | ({"other": options.against} if options.against else {})
    windows = {}
    for name, sources in places.items():
        windows[name] = Other(sources, options)
        windows[name].wait()
    clicks: dict[str, list[Click]] = {name: [] for name in windows}
    for _ in range(options.clicks):
        for name, window in windows.items():
            clicks[name].append(window.click())
    for window in windows.values():
        window.close()
    medians = {}
    print(f"{options.images} images of {options.side}², medians of {options.clicks} clicks")
    for name, found in clicks.items():
        medians[name] = Click(*(statistics.median(part) for part in zip(*found, strict=True)))
        print(
            "{:6} {:6.0f} ms until heatmaps are painted ({:.0f} ms of the window's thread), "
            "{:6.0f} ms until all is, {:6.0f} ms of the processor, {:.0f} drawings".format(
                name, *(1e3 * one for one in medians[name][:4]), medians[name].drawings
            )
        )
    if "other" in medians:
        ratios = [one / other for one, other in zip(*medians.values(), strict=True)]
        print("this / other: " + "".join(f"{ratio:22.2f}" for ratio in ratios))


def profile(options: argparse.Namespace) -> None:
    """Print what the main thread did during the clicks."""
    window = Window(options.images, options.side)
    profiler = cProfile.Profile()
    profiler.enable()
    found = [window.click() for _ in range(options.clicks)]
    profiler.disable()
    print(f"{1e3 * statistics.median(click.all for click in found):.0f} ms under the profiler")
    statistic = pstats.Stats(profiler)
    statistic.sort_stats("cumulative").print_stats(90)
    statistic.sort_stats("tottime").print_stats(30)


if __name__ == "__main__":
    main()

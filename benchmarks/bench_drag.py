"""How often heatmaps follow a point that is dragged, and how long the window stands still.

A real mouse drags a query point over a real canvas for a second, at 60 moves a second, with
targets of 1024². Counted are the heatmaps that were given new values, and the gaps of a heartbeat
of 5 ms on the main thread. The same with the mouse only moving, in hover mode.

``xvfb-run -a -s "-screen 0 1400x900x24" python benchmarks/bench_drag.py [--targets 2 10]``
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import napari
import numpy as np
from bench_gui_stall import Heartbeat, run_until
from common import picture
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_dinov3_sim import SimilaritySession

SIDE = 1024
SECONDS = 1.0
RATE = 60.0


def canvas_of(viewer: napari.Viewer) -> Any:
    """Return the widget that draws."""
    return viewer.window._qt_viewer.canvas.native


def on_canvas(viewer: napari.Viewer, world: tuple[float, float]) -> QPoint:
    """Return where a point of the world is drawn, for a view that shows all of it."""
    canvas = canvas_of(viewer)
    centre = np.array(viewer.scene.camera.center[-2:])
    y, x = (np.array(world) - centre) * viewer.scene.camera.zoom
    return QPoint(round(canvas.width() / 2 + x), round(canvas.height() / 2 + y))


class Counter:
    """Counts how often a heatmap layer is given new values."""

    def __init__(self, session: SimilaritySession) -> None:
        self.times: list[float] = []
        self._last: dict[int, Any] = {}
        for image, layer in session.heatmaps.items():
            self._last[image.unique_id] = layer.data
            layer.events.set_data.connect(self._on_set_data)

    def _on_set_data(self, event: Any) -> None:
        layer = event.source
        if self._last.get(layer.unique_id) is not layer.data:
            self._last[layer.unique_id] = layer.data
            self.times.append(time.perf_counter())


def sweep(viewer: napari.Viewer, start: QPoint, end: QPoint) -> int:
    """Move the mouse along a line for a second; return how many moves were made."""
    began, moves = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < SECONDS:
        share = elapsed / SECONDS
        at = QPoint(
            round(start.x() + share * (end.x() - start.x())),
            round(start.y() + share * (end.y() - start.y())),
        )
        QTest.mouseMove(canvas_of(viewer), at)
        until = began + (moves + 1) / RATE
        run_until(lambda until=until: time.perf_counter() >= until)
        moves += 1
    return moves


def measure(targets: int) -> None:
    """Print what a drag and a hover over so many targets give."""
    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(1200, 800)
    session = SimilaritySession(viewer, backbone="builtin")
    for number in range(targets):
        place = (SIDE * (number // 5), SIDE * (number % 5))
        viewer.add_image(picture(SIDE, number), translate=place, name=f"image {number}")
    heart = Heartbeat()
    run_until(lambda: session.queries is not None)
    session.add_query(session.images[0], 200, 200)
    run_until(lambda: len(session.heatmaps) == targets and not session.busy)
    viewer.reset_view()
    session.queries.mode = "select"
    session.queries.selected_data = set()
    settle = time.monotonic() + 1
    run_until(lambda: time.monotonic() > settle)
    report("drag", viewer, session, heart, pressed=True)
    session.queries.data = np.empty((0, 2))
    session.hovering = True
    report("hover", viewer, session, heart, pressed=False)
    session.close()
    viewer.close()


def report(
    what: str,
    viewer: napari.Viewer,
    session: SimilaritySession,
    heart: Heartbeat,
    *,
    pressed: bool,
) -> None:
    """Make one sweep and print the figures."""
    canvas = canvas_of(viewer)
    start, end = on_canvas(viewer, (200, 200)), on_canvas(viewer, (800, 820))
    if not pressed:
        QTest.mouseMove(canvas, start)
        run_until(lambda: bool(session.heatmaps) and not session.busy)
    counter = Counter(session)
    began = time.perf_counter()
    if pressed:
        QTest.mousePress(canvas, Qt.LeftButton, Qt.NoModifier, start)
    moves = sweep(viewer, start, end)
    if pressed:
        QTest.mouseRelease(canvas, Qt.LeftButton, Qt.NoModifier, end)
    elapsed = time.perf_counter() - began
    run_until(lambda: not session.busy)
    targets = len(session.heatmaps)
    updates = len(counter.times) / max(1, targets)
    rounds = (
        f"{moves} moves, {updates:.1f} updates of each of {targets} heatmaps in {elapsed:.2f} s"
    )
    heart.report(f"{what}: {rounds}", began)


def main() -> None:
    """Measure for each number of targets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", type=int, nargs="+", default=[2, 10])
    for targets in parser.parse_args().targets:
        measure(targets)


if __name__ == "__main__":
    main()

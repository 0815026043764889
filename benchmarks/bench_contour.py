"""How often contours follow a threshold that is dragged, and how long the window stands still.

A real mouse drags the line of the histogram for two seconds, at 60 moves a second, with
heatmaps of 1024² pixels. Counted are the contours that were drawn anew on every image, the frames
of the canvas in which they were seen, the time of the processor on the main thread, which other
work on the computer does not change, and the gaps of a heartbeat of 5 ms.

``xvfb-run -a -s "-screen 0 1400x900x24" python benchmarks/bench_contour.py [--images 2 10]
[--classes 1] [--outline edges] [--screenshot FILE]``
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from bench_gui_stall import Heartbeat, run_until
from common import picture
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

if TYPE_CHECKING:
    from napari_dinov3_sim import SimilaritySession

SECONDS = 2.0
RATE = 60.0


class Frames:
    """Counts new contours, and the frames of the canvas that show some."""

    def __init__(self, viewer: napari.Viewer, session: SimilaritySession) -> None:
        self._new, self.contours, self.frames = False, 0, 0
        for layer in session._coordinator.overlays.contours.layers.values():
            layer.events.set_data.connect(self._on_contour)
        viewer.window._qt_viewer.canvas._scene_canvas.events.draw.connect(self._on_draw)

    def _on_contour(self) -> None:
        self.contours += 1
        self._new = True

    def _on_draw(self, event: Any) -> None:
        del event
        self.frames += self._new
        self._new = False


def measure(side: int, images: int, classes: int, outline: str, screenshot: Path | None) -> None:
    """Print what a drag over so many images gives."""
    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(1280, 720)
    _, dock = viewer.window.add_plugin_dock_widget("napari-dinov3-sim", "DINOv3 similarity")
    session, heart = dock.session, Heartbeat()
    session.outline = outline
    session.set_model("builtin")
    for number in range(images):
        place = (1.03 * side * (number // 5), 1.03 * side * (number % 5))
        viewer.add_image(picture(side, number), translate=place, name=f"image {number}")
    run_until(lambda: session.queries is not None)
    for number in range(classes):
        at = 200 + 150 * number
        session.add_query(session.images[0], at, at, class_name=f"class {number + 1}")
    run_until(lambda: len(session.heatmaps) == images and not session.busy)
    viewer.reset_view()
    settle = time.monotonic() + 1
    run_until(lambda: time.monotonic() > settle)
    frames, began, busy = Frames(viewer, session), time.perf_counter(), time.thread_time()
    moves = drag(dock.views.results.histogram, session.automatic_threshold() or 0.0)
    elapsed, busy = time.perf_counter() - began, time.thread_time() - busy
    found = session.found[session.class_name]
    updates = frames.contours / images
    heart.report(
        f"{images} images, {classes} classes, {outline}: {moves} moves, "
        f"{updates / elapsed:.1f} contours and {frames.frames / elapsed:.1f} frames a second, "
        f"{1000 * busy / moves:.0f} ms of the processor for each move; {found.objects} objects;",
        began,
    )
    if screenshot is not None:
        run_until(lambda: not session.busy)
        viewer.screenshot(str(screenshot), canvas_only=False, flash=False)
    session.close()
    viewer.close()


def drag(histogram: Any, start: float) -> int:
    """Drag the line up and down around a score; return how many moves were made."""
    middle, width, moves = histogram.position(start), histogram.width() / 8, 0
    QTest.mousePress(histogram, Qt.LeftButton, Qt.NoModifier, QPoint(round(middle), 40))
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < SECONDS:
        share = abs(4 * (elapsed / SECONDS % 1) - 2) - 1
        QTest.mouseMove(histogram, QPoint(round(middle + share * width), 40))
        until = began + (moves + 1) / RATE
        run_until(lambda until=until: time.perf_counter() >= until)
        moves += 1
    QTest.mouseRelease(histogram, Qt.LeftButton, Qt.NoModifier, QPoint(round(middle), 40))
    return moves


def main() -> None:
    """Measure for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--images", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--classes", type=int, default=1)
    parser.add_argument("--outline", choices=("edges", "patches"), default="edges")
    parser.add_argument("--screenshot", type=Path)
    options = parser.parse_args()
    for images in options.images:
        measure(options.side, images, options.classes, options.outline, options.screenshot)


if __name__ == "__main__":
    main()

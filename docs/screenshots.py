"""Makes the pictures of the documentation: a real viewer, a real mouse, the built-in model.

Needs a screen, for example ``xvfb-run -a -s "-screen 0 1400x900x24" python docs/screenshots.py``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from collections.abc import Callable

PLUGIN, WIDGET = "napari-dinov3-sim", "DINOv3 similarity"
FOLDER = Path(__file__).parent / "images"
SIZE = (1180, 740)


def spin(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Run the event loop for some time, or until something has happened."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        QApplication.processEvents()
        time.sleep(0.005)


def open_viewer(sample: str, model: str = "builtin") -> tuple[napari.Viewer, Any]:
    """Return a viewer that shows a sample, and its dock."""
    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(*SIZE)
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    dock.session.set_model(model)
    viewer.open_sample(PLUGIN, sample)
    spin(1.0)
    viewer.reset_view()
    spin(0.5)
    return viewer, dock


def click(viewer: napari.Viewer, layer: Any, pixel: tuple[int, ...]) -> None:
    """Click on a pixel (row, column) of an image, as a user does."""
    canvas, camera = viewer.window._qt_viewer.canvas.native, viewer.scene.camera
    world = np.asarray(layer.data_to_world(pixel))[-2:]
    y, x = (world - camera.center[-2:]) * camera.zoom
    at = QPoint(round(x + canvas.width() / 2), round(y + canvas.height() / 2))
    QTest.mouseMove(canvas, at)
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
    QTest.mouseMove(canvas, QPoint(5, 5))


def shoot(
    name: str, sample: str, source: int, pixel: tuple[int, ...], *, bright: bool = True
) -> None:
    """Open a sample, click once, and write the window when every heatmap is there."""
    viewer, dock = open_viewer(sample)
    if bright:
        blending = dock.views.style.blending
        blending.setCurrentIndex(blending.findData("translucent"))
    images = dock.session.images
    click(viewer, images[source], pixel)
    session = dock.session
    spin(180, lambda: len(session.heatmaps) == len(images) and not session.busy)
    spin(0.7)
    write(viewer, name)
    viewer.close()
    spin(0.2)


def shoot_offer() -> None:
    """Write the window after a model could not be had."""
    viewer, dock = open_viewer("coin_pair", model="no-such-model")
    dock.controller.embed()
    spin(60, lambda: not dock.views.offer.isHidden())
    spin(1.0)
    write(viewer, "offer")
    viewer.close()
    spin(0.2)


def write(viewer: napari.Viewer, name: str) -> None:
    """Write the window as a PNG."""
    path = FOLDER / f"{name}.png"
    pixels = viewer.screenshot(canvas_only=False, flash=False)[..., :3]
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


SHOTS: dict[str, Callable[[], None]] = {
    "dock": lambda: shoot("dock", "histology_pair", 0, (200, 100)),
    "turned": lambda: shoot("turned", "turned_pair", 0, (110, 180)),
    "stereo": lambda: shoot("stereo", "stereo_pair", 0, (230, 373), bright=False),
    "stack": lambda: shoot("stack", "stack", 0, (0, 100, 100)),
    "offer": shoot_offer,
}


def main(names: list[str]) -> None:
    """Write the pictures of these names, by default all."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or SHOTS:
        SHOTS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])

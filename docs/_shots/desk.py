"""A real viewer with a dock, a real mouse, and a camera."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from qtpy.QtCore import QPoint, QRect, Qt
from qtpy.QtGui import QImage
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QComboBox, QWidget

from _shots.pictures import crop, rgb_of, trim, with_pointer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from _shots.pictures import Picture

PLUGIN, WIDGET = "napari-dinov3-sim", "DINOv3 similarity"
SIZE = (1240, 860)
PATIENCE = 240.0


def spin(seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
    """Run the event loop for some time, or until something has happened."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        if until():
            return True
        time.sleep(0.005)
    return False


def pixels_of(widget: QWidget) -> Picture:
    """Return what a widget shows that is a window of its own."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGBA8888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
    shape = image.height(), image.width(), 4
    return rgb_of(rows[:, : 4 * image.width()].reshape(shape).copy())


class Desk:
    """A viewer and its dock, and the hand that uses them.

    Parameters
    ----------
    sample : str, optional
        A sample of the plugin.
    model : str
    size : tuple of int
        Of the window.
    wide : bool
        Whether napari's own docks are hidden, so that there is more space for the images.
    """

    def __init__(
        self,
        sample: str = "",
        model: str = "builtin",
        size: tuple[int, int] = SIZE,
        *,
        wide: bool = False,
    ) -> None:
        self.viewer = napari.Viewer(show_welcome_screen=False)
        self.viewer.window.resize(*size)
        _, self.dock = self.viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
        self.views, self.session = self.dock.views, self.dock.session
        self.session.set_model(model)
        if wide:
            napari_viewer = self.viewer.window._qt_viewer
            napari_viewer.dockLayerList.hide()
            napari_viewer.dockLayerControls.hide()
        if sample:
            self.viewer.open_sample(PLUGIN, sample)
        self.home()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.viewer.close()
        spin(0.3)

    # -- the hand ---------------------------------------------------------------------------

    def home(self) -> None:
        """Show all images."""
        spin(0.8)
        self.viewer.reset_view()
        spin(0.5)

    @property
    def canvas(self) -> QWidget:
        """What the layers are drawn on."""
        return self.viewer.window._qt_viewer.canvas.native

    def at(self, layer: Any, pixel: Sequence[float]) -> QPoint:
        """Return where a pixel (row, column) of a layer is drawn."""
        camera = self.viewer.scene.camera
        world = np.asarray(layer.data_to_world(pixel))[-2:]
        y, x = (world - camera.center[-2:]) * camera.zoom
        return QPoint(round(x + self.canvas.width() / 2), round(y + self.canvas.height() / 2))

    def click(self, layer: Any, *pixels: Sequence[float], answered: bool = True) -> None:
        """Click on pixels, as a user does, and wait for the answer."""
        for pixel in pixels:
            place = self.at(layer, pixel)
            QTest.mouseMove(self.canvas, place)
            left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
            QTest.mouseClick(self.canvas, left, none, place)
            spin(0.3)
        QTest.mouseMove(self.canvas, QPoint(5, 5))
        if answered:
            self.settle()

    def point_at(self, layer: Any, pixel: Sequence[float]) -> QPoint:
        """Move the mouse to a pixel and leave it there."""
        place = self.at(layer, pixel)
        QTest.mouseMove(self.canvas, place - QPoint(3, 2))
        spin(0.2)
        QTest.mouseMove(self.canvas, place)
        spin(0.6)
        return place

    def press(self, button: QWidget) -> None:
        """Press a button of the dock."""
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        spin(0.3)

    def choose(self, combo: QComboBox, value: Any) -> None:
        """Choose an entry of a list of the dock by its value or by its text."""
        index = max(combo.findData(value), combo.findText(str(value)))
        if index < 0:
            raise ValueError(f"There is no entry {value!r}.")
        combo.setCurrentIndex(index)
        combo.activated.emit(index)
        spin(0.3)

    def fade(self, percent: int) -> None:
        """Let less of the heatmaps be seen, and more of the images."""
        self.views.style.opacity.setValue(percent)
        spin(0.2)

    def advanced(self, number: int) -> QWidget:
        """Show the rarer choices of a step of the dock, and return what holds them."""
        step = self.views.steps[number - 1]
        step.open()
        spin(0.4)
        return step.advanced

    def settle(self) -> None:
        """Wait until every heatmap is up to date, and has been for a while."""
        for _ in range(2):  # between an embedding and its answer nothing is busy for a moment
            spin(0.6)
            if not spin(PATIENCE, self._is_settled):
                raise TimeoutError(self.session.status)

    def _is_settled(self) -> bool:
        session = self.session
        parts = (session.results, session.discovery, session.tracking)
        working = session.busy or any(part.pending for part in parts)
        return not working and not session.status.startswith("Working")

    # -- the camera -------------------------------------------------------------------------

    def window(self) -> Picture:
        """Return the whole window, without the messages that float over it."""
        for message in self.viewer.window._qt_window.findChildren(QWidget):
            if type(message).__name__ == "NapariQtNotification":
                message.close()
        spin(0.2)
        return rgb_of(self.viewer.screenshot(canvas_only=False, flash=False))

    def box(self, *widgets: QWidget) -> QRect:
        """Return the part of the window that shows these widgets."""
        main, found = self.viewer.window._qt_window, QRect()
        for widget in widgets:
            found = found.united(QRect(widget.mapTo(main, QPoint(0, 0)), widget.size()))
        return found

    def parts(self, *widgets: QWidget) -> Picture:
        """Return the part of the window that shows these widgets."""
        return crop(self.window(), self.box(*widgets))

    def scene(self, mouse: QPoint | None = None) -> Picture:
        """Return the canvas, with the pointer drawn in where the mouse is."""
        picture = rgb_of(self.viewer.screenshot(canvas_only=True, flash=False))
        return picture if mouse is None else with_pointer(picture, mouse)

    def images(self, mouse: QPoint | None = None, margin: int = 6) -> Picture:
        """Return the part of the canvas that is not empty."""
        picture = self.scene(mouse)
        return trim(picture, margin)

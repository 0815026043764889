"""The animation at the top of the README: a click, all images, judged matches, objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from _shots.desk import Desk, spin
from _shots.pictures import with_pointer, write_animation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from qtpy.QtWidgets import QWidget

    from _shots.pictures import Picture

SIZE = (1240, 780)
CLICKS = ((200, 100), (90, 60))
NEGATIVE = (330, 220)
JUDGED = 10
"""Matches that are judged; glands are brown, stroma is blue and white."""


class Film:
    """Frames with the pointer drawn in, and how long each is shown."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.frames: list[Picture] = []
        self.seconds: list[float] = []
        self._mouse = QPoint(600, 500)

    def shoot(self, seconds: float) -> None:
        """Take a frame of the window as it is."""
        self.frames.append(with_pointer(self.desk.window(), self._mouse))
        self.seconds.append(seconds)

    def move(self, place: QPoint, steps: int = 4) -> None:
        """Move the pointer to a place of the window."""
        start = self._mouse
        for part in np.linspace(0, 1, steps + 1)[1:]:
            self._mouse = start + (place - start) * float(part)
            self.shoot(0.08)

    def click(self, layer: Any, pixel: Sequence[float]) -> None:
        """Move to a pixel of an image, and click on it."""
        desk = self.desk
        self.move(_in_window(desk, desk.canvas, desk.at(layer, pixel)))
        desk.click(layer, pixel)
        self.shoot(0.7)

    def press(self, button: QWidget) -> None:
        """Move to a button and press it."""
        middle = QPoint(button.width() // 2, button.height() // 2)
        self.move(_in_window(self.desk, button, middle))
        self.desk.press(button)
        self.desk.settle()
        self.shoot(0.7)


def _in_window(desk: Desk, widget: QWidget, place: QPoint) -> QPoint:
    return widget.mapTo(desk.viewer.window._qt_window, place)


def search() -> None:
    """From a click to objects, as a user does it."""
    with Desk("histology_pair", size=SIZE) as desk:
        film, views, left = Film(desk), desk.views, desk.session.images[0]
        film.shoot(1.0)
        film.click(left, CLICKS[0])
        film.shoot(1.0)
        film.click(left, CLICKS[1])
        film.press(views.signs.negative_button)
        film.click(left, NEGATIVE)
        film.press(views.results.gallery_button)
        spin(1.5)
        film.press(desk.dock.controller.gallery.view.order_buttons["teach"])
        spin(1.5)
        film.shoot(1.0)
        _judge(film)
        desk.viewer.reset_view()
        _drag_threshold(film)
        film.press(views.results.labels_button)
        film.shoot(2.5)
        write_animation("search", film.frames, film.seconds, width=960)


def _judge(film: Film) -> None:
    """Say of each match whether it is a gland, by what the picture shows."""
    desk = film.desk
    view = desk.dock.controller.gallery.view
    view.setFocus()
    for match in desk.session.gallery.matches[:JUDGED]:
        pixels = desk.session.gallery.thumbnail(match, 64)
        red, _, blue = np.asarray(pixels, float)[16:-16, 16:-16].mean((0, 1))
        key = Qt.Key.Key_Y if red > blue else Qt.Key.Key_N
        QTest.keyClick(view.focusWidget() or view, key)
        desk.settle()
        film.shoot(0.35)
    film.shoot(0.8)


def _drag_threshold(film: Film) -> None:
    """Drag the line of the histogram a little, and let go."""
    histogram = film.desk.views.results.histogram
    start = film.desk.session.thresholds[film.desk.session.class_name]
    left, height = Qt.MouseButton.LeftButton, histogram.height() // 2
    film.move(_in_window(film.desk, histogram, QPoint(round(histogram.position(start)), height)))
    QTest.mousePress(histogram, left, pos=QPoint(round(histogram.position(start)), height))
    for shift in (0.06, 0.12, 0.08, 0.03, -0.01):
        place = QPoint(round(histogram.position(start + shift)), height)
        QTest.mouseMove(histogram, place)
        spin(0.3)
        film.move(_in_window(film.desk, histogram, place), steps=1)
    QTest.mouseRelease(histogram, left, pos=place)
    film.shoot(0.5)

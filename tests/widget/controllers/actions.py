"""What a user does with the dock, and waits for."""

from __future__ import annotations

from contextlib import contextmanager

from napari.utils.key_bindings import KeymapHandler
from qtpy.QtCore import QLocale, QPoint, Qt

from napari_dinov3_sim.widget.views.query import NAME


@contextmanager
def default_locale(language):
    """Widgets that are made meanwhile have the decimals of a language."""
    before = QLocale()
    QLocale.setDefault(QLocale(language))
    try:
        yield
    finally:
        QLocale.setDefault(before)


def press(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def tick(qtbot, box):
    """Click where the box is: a click beside its text does nothing."""
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))


def choose(combo, text):
    combo.setCurrentIndex(combo.findText(text))
    combo.activated.emit(combo.currentIndex())


def answer(qtbot, dock, image, *pixels):
    for x, y in pixels:
        dock.session.add_query(image, x, y)
    # The first answer of a process imports what the mathematics needs.
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2 and not dock.session.busy)


def classes(dock):
    items = dock.views.classes
    return [items.topLevelItem(row).text(NAME) for row in range(items.topLevelItemCount())]


def show(dock, number):
    """Show the rarer choices of a step of the dock."""
    dock.views.steps[number - 1].open()


def press_key(dock, key):
    handler = KeymapHandler()
    handler.keymap_providers = [dock.session.queries]
    used = handler.press_key(key)
    handler.release_key(key)
    return used

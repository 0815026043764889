"""The list of classes says what was clicked, and shows what it is told."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QColor

from napari_dinov3_sim.widget.views.query import (
    COUNTS,
    DELETE,
    EYE,
    NAME,
    SWATCH,
    ClassEntry,
    ClassList,
)

ENTRIES = (
    ClassEntry("gland", "#00ffff", positive=3, negative=2, regions=1),
    ClassEntry("stroma", "#e69f00", visible=False),
)


@pytest.fixture
def classes(qtbot):
    classes = ClassList()
    qtbot.addWidget(classes)
    classes.resize(300, 80)
    classes.show_classes(ENTRIES, "gland")
    classes.show()
    return classes


def click(qtbot, classes, row, column):
    item = classes.topLevelItem(row)
    place = classes.visualRect(classes.indexFromItem(item, column)).center()
    qtbot.mouseClick(classes.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_what_is_shown(classes):
    first, second = classes.topLevelItem(0), classes.topLevelItem(1)
    assert (first.text(NAME), second.text(NAME)) == ("gland", "stroma")
    assert (first.text(COUNTS), second.text(COUNTS)) == ("+3 −2 ▭1", "")
    assert "3 positive and 2 negative points" in first.toolTip(COUNTS)
    swatch = first.icon(SWATCH).pixmap(12, 12).toImage()
    assert swatch.pixelColor(6, 6) == QColor("#00ffff")
    assert first.toolTip(EYE).startswith("Hide")
    assert second.toolTip(EYE).startswith("Show")


def test_showing_is_not_choosing(qtbot, classes):
    with qtbot.assertNotEmitted(classes.picked), qtbot.assertNotEmitted(classes.renamed):
        classes.show_classes(ENTRIES[::-1], "stroma")
    assert classes.currentItem().text(NAME) == "stroma"


@pytest.mark.parametrize(
    ("row", "column", "signal", "values"),
    [
        (0, SWATCH, "colour_clicked", ["gland"]),
        (1, EYE, "visible_changed", ["stroma", True]),
        (0, EYE, "visible_changed", ["gland", False]),
        (1, DELETE, "delete_clicked", ["stroma"]),
        (1, NAME, "picked", ["stroma"]),
    ],
)
def test_a_click_on_a_cell(qtbot, classes, row, column, signal, values):
    with qtbot.waitSignal(getattr(classes, signal)) as seen:
        click(qtbot, classes, row, column)
    assert seen.args == values


@pytest.mark.parametrize(
    ("key", "signal", "values"),
    [
        (Qt.Key.Key_Delete, "delete_clicked", ["gland"]),
        (Qt.Key.Key_Space, "visible_changed", ["gland", False]),
        (Qt.Key.Key_Down, "picked", ["stroma"]),
        (Qt.Key.Key_2, "picked", ["stroma"]),
    ],
)
def test_the_keyboard_does_the_same(qtbot, classes, key, signal, values):
    with qtbot.waitSignal(getattr(classes, signal)) as seen:
        qtbot.keyClick(classes, key)
    assert seen.args == values


@pytest.mark.parametrize(
    ("number", "signal", "values"),
    [
        (1, "colour_clicked", ["stroma"]),
        (2, "visible_changed", ["stroma", True]),
        (3, "delete_clicked", ["stroma"]),
        (4, "move_clicked", ["stroma", True]),
        (5, "move_clicked", ["stroma", False]),
    ],
)
def test_the_menu_of_a_class(qtbot, classes, number, signal, values):
    with qtbot.waitSignal(getattr(classes, signal)) as seen:
        classes.menu_of(classes.topLevelItem(1)).actions()[number].trigger()
    assert seen.args == values


def test_icons_are_drawn_in_the_ink_of_the_theme(classes):
    before = classes.topLevelItem(0).icon(EYE).cacheKey()
    palette = classes.palette()
    palette.setColor(palette.ColorRole.WindowText, QColor("#ff0000"))
    classes.setPalette(palette)
    classes.changeEvent(QEvent(QEvent.Type.PaletteChange))
    assert classes.topLevelItem(0).icon(EYE).cacheKey() != before

"""Classes, signs, combinations and regions are chosen in the dock and reach the session."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemDelegate, QLineEdit

from napari_dinov3_sim.core.search.combine import EXPLANATIONS
from napari_dinov3_sim.widget.views.query import NAME

from .actions import answer, choose, classes, press


def cell(items, row, column):
    """The middle of a cell of the list of classes."""
    item = items.topLevelItem(row)
    return items.visualRect(items.indexFromItem(item, column)).center()


# -- classes and signs ----------------------------------------------------------------------------


def test_a_new_class_is_the_next_one(qtbot, dock, pair):
    press(qtbot, dock.views.signs.new_button)
    assert dock.session.class_name == "class 2"
    assert classes(dock) == ["class 1", "class 2"]
    assert dock.views.classes.currentItem().text(NAME) == "class 2"
    answer(qtbot, dock, pair[0], (40, 20))
    assert list(dock.session.heatmaps_of("class 2")) == list(pair)


def test_a_new_class_begins_with_what_is_meant(qtbot, dock):
    press(qtbot, dock.views.signs.negative_button)
    press(qtbot, dock.views.signs.new_button)
    assert dock.session.positive
    assert dock.views.signs.positive_button.isChecked()


def test_a_click_on_a_class_chooses_it(qtbot, dock):
    press(qtbot, dock.views.signs.new_button)
    items = dock.views.classes
    place = cell(items, 0, NAME)
    qtbot.mouseClick(items.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert dock.session.class_name == "class 1"


def test_a_double_click_renames_a_class_with_its_points(qtbot, dock, pair):
    answer(qtbot, dock, pair[0], (40, 20))
    items = dock.views.classes
    items.editItem(items.topLevelItem(0), NAME)
    editor = items.findChild(QLineEdit)
    editor.setText("gland")
    items.commitData(editor)
    items.closeEditor(editor, QAbstractItemDelegate.EndEditHint.NoHint)
    assert list(dock.session.queries.features["class"]) == ["gland"]
    assert classes(dock) == ["gland"]


def test_a_class_without_a_name_is_refused_in_one_sentence(qtbot, dock, notified):
    dock.views.classes.topLevelItem(0).setText(NAME, "  ")
    assert [n.message for n in notified] == ["A class needs a name; give at least one letter."]
    assert classes(dock) == ["class 1"]


def test_the_sign_of_the_next_point(qtbot, dock, pair):
    press(qtbot, dock.views.signs.negative_button)
    assert not dock.session.positive
    dock.session.add_query(pair[0], 40, 20)
    assert list(dock.session.queries.features["sign"]) == ["negative"]
    dock.session.positive = True
    assert dock.views.signs.positive_button.isChecked()


def test_a_combination_is_chosen_and_explained(dock):
    view = dock.views.combination
    assert view.explanation.text() == EXPLANATIONS["auto"]
    view.combo.setCurrentIndex(view.combo.findData("best"))
    view.combo.activated.emit(view.combo.currentIndex())
    assert dock.session.combination == "best"
    assert view.explanation.text() == EXPLANATIONS["best"]


def test_undo_takes_the_last_point_back(qtbot, dock, pair, notified):
    answer(qtbot, dock, pair[0], (40, 20))
    dock.session.add_query(pair[0], 8, 8)
    qtbot.waitUntil(lambda: not dock.session.busy)
    press(qtbot, dock.views.signs.undo_button)
    assert len(dock.session.queries.data) == 1
    press(qtbot, dock.views.signs.undo_button)
    press(qtbot, dock.views.signs.undo_button)
    assert "no edit" in notified[-1].message


# -- regions --------------------------------------------------------------------------------------


def test_a_shape_is_added_as_a_query_and_removed(qtbot, dock, pair, viewer_model):
    row = dock.views.regions
    shapes = viewer_model.add_shapes(
        [np.array([[16, 32], [16, 47], [31, 47], [31, 32]])], name="s"
    )
    row.combo.opened.emit()
    choose(row.combo, "s")
    assert not row.remove_button.isEnabled()
    press(qtbot, row.add_button)
    assert dock.session.regions.layers == [shapes]
    assert row.used.text() == "In use: s"
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    press(qtbot, row.remove_button)
    assert dock.session.regions.layers == []
    qtbot.waitUntil(lambda: dock.session.heatmaps == {})

"""Classes, signs, combinations and regions are chosen in the dock and reach the session."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemDelegate, QLineEdit

from napari_dinov3_sim.core.search.combine import EXPLANATIONS
from napari_dinov3_sim.widget.views.query import COUNTS, DELETE, EYE, NAME, SWATCH

from ..dock_helpers import squares
from .actions import answer, choose, classes, press

pytestmark = pytest.mark.slow


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


def test_the_line_of_a_class_says_what_was_clicked(qtbot, dock, pair):
    answer(qtbot, dock, pair[0], (40, 20), (44, 24))
    dock.session.add_query(pair[0], 8, 8, positive=False)
    line = dock.views.classes.topLevelItem(0)
    qtbot.waitUntil(lambda: line.text(COUNTS) == "+2 −1")


def test_the_eye_hides_the_heatmaps_of_a_class(qtbot, dock, pair):
    answer(qtbot, dock, pair[0], (40, 20))
    classes = dock.views.classes
    for visible in (False, True):
        press_cell(qtbot, classes, 0, EYE)
        assert {layer.visible for layer in dock.session.heatmaps.values()} == {visible}
        assert (dock.session.hidden_classes == frozenset()) == visible


def test_a_class_is_deleted_and_comes_back_by_undo_and_goes_by_redo(qtbot, dock, pair):
    press(qtbot, dock.views.signs.new_button)
    answer(qtbot, dock, pair[0], (40, 20))
    press_cell(qtbot, dock.views.classes, 1, DELETE)
    qtbot.waitUntil(lambda: dock.session.heatmaps_of("class 2") == {})
    assert len(dock.session.queries.data) == 0
    press(qtbot, dock.views.signs.undo_button)
    qtbot.waitUntil(lambda: len(dock.session.heatmaps_of("class 2")) == 2)
    assert dock.views.signs.redo_button.isEnabled()
    press(qtbot, dock.views.signs.redo_button)
    qtbot.waitUntil(lambda: dock.session.heatmaps_of("class 2") == {})


def test_a_click_on_the_colour_asks_for_another(qtbot, make_dock, pair):
    class Picks:
        colour = "#123456"

        def ask_for_colour(self, title, colour):
            return self.colour

    dock = make_dock(dialogs=Picks())
    dock.session.new_queries()
    answer(qtbot, dock, pair[0], (40, 20))
    dock.show()
    press_cell(qtbot, dock.views.classes, 0, SWATCH)
    assert dock.session.classes == {"class 1": "#123456"}
    Picks.colour = ""
    press_cell(qtbot, dock.views.classes, 0, SWATCH)
    assert dock.session.classes == {"class 1": "#123456"}


def test_selected_points_get_another_class_and_sign(qtbot, dock, pair, notified):
    answer(qtbot, dock, pair[0], (40, 20), (8, 8))
    press(qtbot, dock.views.signs.new_button)
    dock.session.queries.selected_data = {1}
    dock.views.classes.move_clicked.emit("class 2", False)
    assert list(dock.session.queries.features["class"]) == ["class 1", "class 2"]
    assert list(dock.session.queries.features["sign"]) == ["positive", "negative"]
    dock.session.queries.selected_data = set()
    dock.views.classes.move_clicked.emit("class 2", False)
    assert "arrow tool" in notified[-1].message


def test_a_box_is_drawn_with_one_drag_and_the_points_are_active_again(qtbot, dock, pair):
    press(qtbot, dock.views.signs.box_button)
    assert dock.session.awaiting_box
    assert dock.views.signs.box_button.isChecked()
    drawn = dock.session.drawn_regions
    drawn.add(np.array([[16, 32], [16, 47], [31, 47], [31, 32]]), shape_type="rectangle")
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    assert not dock.views.signs.box_button.isChecked()
    assert dock.session._viewer.layers.selection.active == dock.session.queries
    line = dock.views.classes.topLevelItem(0)
    qtbot.waitUntil(lambda: line.text(COUNTS) == "▭1")


def press_cell(qtbot, classes, row, column):
    """Click on a cell of the list of classes."""
    place = cell(classes, row, column)
    qtbot.mouseClick(classes.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_a_combination_is_chosen_and_explained(dock):
    view = dock.views.combination
    assert view.explanation.text() == EXPLANATIONS["auto"]
    view.combo.setCurrentIndex(view.combo.findData("best"))
    view.combo.activated.emit(view.combo.currentIndex())
    assert dock.session.combination == "best"
    assert view.explanation.text() == EXPLANATIONS["best"]


def test_where_images_overlap_the_dock_says_which_one_was_clicked(qtbot, make_dock, viewer_model):
    for name in ("below", "above"):
        viewer_model.add_image(squares((1, 2)), name=name)
    dock = make_dock()
    dock.session.new_queries()
    dock.session.queries.add((20, 40))
    qtbot.waitUntil(lambda: dock.views.hint.text().startswith("The last click is on above."))


def test_undo_takes_the_last_point_back(qtbot, dock, pair, notified):
    answer(qtbot, dock, pair[0], (40, 20))
    dock.session.add_query(pair[0], 8, 8)
    qtbot.waitUntil(lambda: not dock.session.busy)
    press(qtbot, dock.views.signs.undo_button)
    assert len(dock.session.queries.data) == 1
    press(qtbot, dock.views.signs.undo_button)
    assert not dock.views.signs.undo_button.isEnabled()
    dock.controller.queries.undo()
    assert "no step" in notified[-1].message


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

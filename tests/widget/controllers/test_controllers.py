"""What the user does in the dock reaches the session, and what it says is shown."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.key_bindings import KeymapHandler
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractItemDelegate, QApplication, QLineEdit

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.search.combine import EXPLANATIONS
from napari_dinov3_sim.widget.views.section import Scroll

from ..dock_helpers import Loader, squares


@pytest.fixture
def pair(viewer_model):
    a = viewer_model.add_image(squares((1, 2)), name="a")
    b = viewer_model.add_image(squares((4, 3)), name="b", translate=(0, 100))
    return a, b


@pytest.fixture
def dock(make_dock, pair, qtbot):
    dock = make_dock()
    dock.session.new_queries()
    dock.show()
    for section in dock.views.sections.values():
        section.unfold()
    return dock


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
    items = dock.views.classes.list
    return [items.item(row).text() for row in range(items.count())]


def press_key(dock, key):
    handler = KeymapHandler()
    handler.keymap_providers = [dock.session.queries]
    used = handler.press_key(key)
    handler.release_key(key)
    return used


# -- classes and signs --------------------------------------------------------------------------


def test_a_new_class_is_the_next_one(qtbot, dock, pair):
    press(qtbot, dock.views.classes.new_button)
    assert dock.session.class_name == "class 2"
    assert classes(dock) == ["class 1", "class 2"]
    assert dock.views.classes.list.currentItem().text() == "class 2"
    answer(qtbot, dock, pair[0], (40, 20))
    assert list(dock.session.heatmaps_of("class 2")) == list(pair)


def test_a_new_class_begins_with_what_is_meant(qtbot, dock):
    press(qtbot, dock.views.classes.negative_button)
    press(qtbot, dock.views.classes.new_button)
    assert dock.session.positive
    assert dock.views.classes.positive_button.isChecked()


def test_a_click_on_a_class_chooses_it(qtbot, dock):
    press(qtbot, dock.views.classes.new_button)
    items = dock.views.classes.list
    place = items.visualItemRect(items.item(0)).center()
    qtbot.mouseClick(items.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert dock.session.class_name == "class 1"


def test_a_double_click_renames_a_class_with_its_points(qtbot, dock, pair):
    answer(qtbot, dock, pair[0], (40, 20))
    items = dock.views.classes.list
    items.editItem(items.item(0))
    editor = items.findChild(QLineEdit)
    editor.setText("gland")
    items.commitData(editor)
    items.closeEditor(editor, QAbstractItemDelegate.EndEditHint.NoHint)
    assert list(dock.session.queries.features["class"]) == ["gland"]
    assert classes(dock) == ["gland"]


def test_a_class_without_a_name_is_refused_in_one_sentence(qtbot, dock, notified):
    dock.views.classes.list.item(0).setText("  ")
    assert [n.message for n in notified] == ["A class needs a name; give at least one letter."]
    assert classes(dock) == ["class 1"]


def test_the_sign_of_the_next_point(qtbot, dock, pair):
    press(qtbot, dock.views.classes.negative_button)
    assert not dock.session.positive
    dock.session.add_query(pair[0], 40, 20)
    assert list(dock.session.queries.features["sign"]) == ["negative"]
    dock.session.positive = True
    assert dock.views.classes.positive_button.isChecked()


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
    press(qtbot, dock.views.queries.undo_button)
    assert len(dock.session.queries.data) == 1
    press(qtbot, dock.views.queries.undo_button)
    press(qtbot, dock.views.queries.undo_button)
    assert "no edit" in notified[-1].message


# -- looking around ---------------------------------------------------------------------------


def test_the_image_that_is_clicked_can_be_chosen(dock, pair, viewer_model):
    source = dock.views.navigation.source
    choose(source, "a")
    assert dock.session.source == pair[0]
    viewer_model.layers.remove(pair[0])
    assert source.currentText() == "topmost under the click"
    choose(source, "topmost under the click")
    assert dock.session.source is None


@pytest.mark.parametrize("name", ["hovering", "outlines", "side_by_side"])
def test_switches_follow_both_ways(qtbot, dock, pair, name):
    answer(qtbot, dock, pair[0], (40, 20))
    box = getattr(dock.views.navigation, name)
    before = getattr(dock.session, name)
    assert box.isChecked() == before
    tick(qtbot, box)
    assert getattr(dock.session, name) != before
    setattr(dock.session, name, before)
    qtbot.waitUntil(lambda: box.isChecked() == before)


def test_best_match_without_a_query_says_so(qtbot, dock, pair, notified):
    press(qtbot, dock.views.navigation.best_match)
    assert "no match" in notified[-1].message
    answer(qtbot, dock, pair[0], (40, 20))
    press(qtbot, dock.views.navigation.best_match)
    assert [n.message for n in notified if "no match" in n.message] == [notified[0].message]


# -- regions ----------------------------------------------------------------------------------


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


# -- images -----------------------------------------------------------------------------------


def test_resolution_shifts_and_padding_change_the_recipe(dock):
    options = dock.views.options
    for combo, value in ((options.factor, 2.0), (options.shifts, 2), (options.padding, "reflect")):
        combo.setCurrentIndex(combo.findData(value))
        combo.activated.emit(combo.currentIndex())
    recipe = dock.session.recipe
    assert (recipe.factor, recipe.shifts, recipe.padding) == (2.0, 2, "reflect")


def test_all_planes_of_stacks(qtbot, dock):
    tick(qtbot, dock.views.options.all_planes)
    assert dock.session.all_planes
    dock.controller.images.toggle_all_planes()
    assert not dock.views.options.all_planes.isChecked()


def test_selected_layers_become_one_image_and_come_apart(qtbot, make_dock, viewer_model, notified):
    layers = [viewer_model.add_image(squares()[..., 0], name=name) for name in "rgb"]
    dock = make_dock()
    options, images = dock.views.options, dock.views.images
    viewer_model.layers.selection = {layers[0]}
    options.merge_button.click()
    assert "1 image selected" in notified[-1].message
    viewer_model.layers.selection = set(layers)
    options.merge_button.click()
    assert "r + g + b" in [images.item(row).text() for row in range(images.count())]
    options.split_button.click()
    assert [images.item(row).text() for row in range(images.count())] == ["b", "g", "r"]
    options.split_button.click()
    assert "No image is merged" in notified[-1].message


def test_the_only_merged_image_is_split_whatever_is_selected(make_dock, viewer_model, notified):
    layers = [viewer_model.add_image(squares()[..., 0], name=name) for name in "rgbc"]
    dock = make_dock()
    options, session = dock.views.options, dock.session
    session.merge_channels(layers[:2])
    session.new_queries()
    assert list(viewer_model.layers.selection) == [session.queries]
    options.split_button.click()
    assert session.merged == {}
    assert notified == []
    session.merge_channels(layers[:2])
    session.merge_channels(layers[2:])
    options.split_button.click()
    assert len(session.merged) == 2
    assert "No merged image is selected" in notified[-1].message
    viewer_model.layers.selection = {layers[3]}
    options.split_button.click()
    assert list(session.merged) == [layers[0]]


# -- heatmaps ---------------------------------------------------------------------------------


def test_a_window_of_cosines(dock):
    style = dock.views.style
    style.limits.setValue((0.25, 0.75))
    assert dock.session.limits == (0.25, 0.75)
    assert style.scaling.currentData() == "fixed"
    style.limits.setValue((0.5, 0.5))
    assert dock.session.limits == (0.25, 0.75)


def test_light_that_is_lost_on_a_bright_image_is_told_of(qtbot, dock, pair, viewer_model):
    style = dock.views.style
    answer(qtbot, dock, pair[0], (40, 20))
    assert style.hint.isHidden()
    white = viewer_model.add_image(np.full((96, 96, 3), 230, np.uint8), translate=(100, 0))
    qtbot.waitUntil(lambda: not style.hint.isHidden())
    style.blending.setCurrentIndex(style.blending.findData("translucent"))
    assert style.hint.isHidden()
    dock.session.style(blending="additive")
    assert not style.hint.isHidden()
    viewer_model.layers.remove(white)
    qtbot.waitUntil(style.hint.isHidden)


def test_class_maps_are_shown(qtbot, dock, pair):
    tick(qtbot, dock.views.style.class_maps)
    dock.session.add_query(pair[0], 40, 20, class_name="bright")
    dock.session.add_query(pair[0], 4, 4, class_name="dark")
    qtbot.waitUntil(lambda: len(dock.session.class_maps) == 2)
    assert all(layer.visible for layer in dock.session.class_maps.values())
    dock.session.show_class_maps = False
    assert not dock.views.style.class_maps.isChecked()
    assert not any(layer.visible for layer in dock.session.class_maps.values())


def test_why_there_is_no_best_class_is_said_below_the_tick(qtbot, dock, pair):
    hint = dock.views.style.class_map_hint
    answer(qtbot, dock, pair[0], (40, 20))
    assert hint.isHidden()
    tick(qtbot, dock.views.style.class_maps)
    assert hint.text() == "Needs two classes that have a heatmap each."
    assert hint.isVisible()
    dock.session.add_query(pair[0], 4, 4, class_name="dark", positive=False)
    qtbot.waitUntil(lambda: "dark has no positive point" in dock.views.status.text())
    assert hint.isVisible()
    dock.session.add_query(pair[0], 4, 4, class_name="dark")
    qtbot.waitUntil(hint.isHidden)
    qtbot.waitUntil(lambda: len(dock.session.class_maps) == 2)
    tick(qtbot, dock.views.results.has_threshold)
    dock.session.threshold = 0.61
    qtbot.waitUntil(lambda: hint.text() == "No class below the threshold (0.61).")
    dock.session.threshold = None
    qtbot.waitUntil(hint.isHidden)


# -- results ----------------------------------------------------------------------------------


def test_the_histogram_follows_the_answers_and_its_line_is_dragged(qtbot, dock, pair):
    panel = dock.views.results
    answer(qtbot, dock, pair[0], (40, 20))
    histogram = panel.histogram
    low, high = histogram.range
    assert -1 <= low < high == 1
    place = QPoint(round(histogram.position((low + high) / 2)), 20)
    qtbot.mousePress(histogram, Qt.MouseButton.LeftButton, pos=place)
    assert dock.session.threshold == pytest.approx((low + high) / 2, abs=0.02)
    assert panel.has_threshold.isChecked()
    assert panel.threshold.value() == pytest.approx(dock.session.threshold)
    panel.threshold.setValue(0.9)
    assert dock.session.threshold == pytest.approx(0.9)
    tick(qtbot, panel.has_threshold)
    assert dock.session.threshold is None


def test_otsu_is_where_to_start(qtbot, dock, pair, notified):
    panel = dock.views.results
    press(qtbot, panel.otsu_button)
    assert dock.session.threshold is None
    assert "no heatmap" in notified[-1].message
    answer(qtbot, dock, pair[0], (40, 20))
    press(qtbot, panel.otsu_button)
    assert -1 < dock.session.threshold < 1


@pytest.mark.parametrize("name", ["labels", "peaks", "colours"])
def test_buttons_make_layers(qtbot, dock, pair, viewer_model, notified, name):
    answer(qtbot, dock, pair[0], (40, 20))
    before = len(viewer_model.layers)
    press(qtbot, getattr(dock.views.results, f"{name}_button"))
    qtbot.waitUntil(lambda: len(viewer_model.layers) == before + 2)
    qtbot.waitUntil(lambda: bool(notified))
    assert notified[-1].type == "info"


def test_two_images_are_matched(qtbot, dock, pair, viewer_model, notified):
    answer(qtbot, dock, pair[0], (40, 20))
    row = dock.views.matches
    assert (row.first.currentText(), row.second.currentText()) == ("b", "a")
    before = len(viewer_model.layers)
    press(qtbot, row.button)
    qtbot.waitUntil(lambda: len(viewer_model.layers) == before + 2)
    choose(row.second, "b")
    press(qtbot, row.button)
    assert "two different ones" in notified[-1].message


class Answers:
    """A user who answers every dialog."""

    def __init__(self, folder):
        self.folder, self.path = folder, None

    def ask_for_new_file(self, title, name, filters):
        self.path = self.folder / name
        return str(self.path)

    def ask_for_file(self, title, filters):
        return str(self.path)


def test_tables_and_queries_are_saved_and_loaded(qtbot, make_dock, pair, tmp_path):
    dialogs = Answers(tmp_path)
    dock = make_dock(dialogs=dialogs)
    dock.session.new_queries()
    answer(qtbot, dock, pair[0], (40, 20))
    dock.views.results.csv_button.click()
    qtbot.waitUntil(dialogs.path.exists)
    dock.views.files.save_button.click()
    qtbot.waitUntil(dialogs.path.exists)
    dock.session.queries.data = np.empty((0, 2))
    qtbot.waitUntil(lambda: dock.session.heatmaps == {})
    files = dock.views.files
    assert files.loaded.isHidden()
    files.load_button.click()
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    assert not files.loaded.isHidden()
    assert not dock.views.sections["Combination"].folded
    assert files.file.text() == dialogs.path.name
    assert files.classes.text() == "asks for class 1"
    dock.session.rename_class("class 1", "nuclei")
    qtbot.waitUntil(lambda: files.classes.text() == "asks for nuclei")
    files.drop_button.click()
    qtbot.waitUntil(lambda: dock.session.heatmaps == {})
    assert files.loaded.isHidden()


def test_a_query_that_the_model_cannot_ask_says_why(qtbot, make_dock, pair, tmp_path):
    dialogs = Answers(tmp_path)
    dock = make_dock(dialogs=dialogs)
    dock.session.new_queries()
    answer(qtbot, dock, pair[0], (40, 20))
    dock.views.files.save_button.click()
    qtbot.waitUntil(dialogs.path.exists)
    dock.views.files.load_button.click()
    dock.session.set_model("another")
    files = dock.views.files
    qtbot.waitUntil(lambda: "another" in files.classes.text())
    assert files.file.text() == dialogs.path.name
    assert files.classes.toolTip() == dock.session.results.problem


def test_a_cancelled_dialog_does_nothing(make_dock, pair, notified):
    class Cancels:
        def ask_for_new_file(self, *args):
            return ""

        def ask_for_file(self, *args):
            return ""

    dock = make_dock(dialogs=Cancels())
    for button in (
        dock.views.results.csv_button,
        dock.views.files.save_button,
        dock.views.files.load_button,
    ):
        button.click()
    assert notified == []


def test_what_the_session_notices_is_told(dock, notified):
    dock.session.noticed.emit("Something happened.")
    assert [(n.message, n.type) for n in notified] == [("Something happened.", "info")]


def test_a_mistake_is_one_sentence(qtbot, dock, notified, monkeypatch):
    def refuse(*args):
        raise SimilarityError("It cannot be; do otherwise.")

    monkeypatch.setattr(type(dock.session.results), "colours", refuse)
    press(qtbot, dock.views.results.colours_button)
    assert [(n.message, n.type) for n in notified] == [("It cannot be; do otherwise.", "warning")]


# -- keys -------------------------------------------------------------------------------------


def test_keys_do_what_the_buttons_do(qtbot, dock, pair):
    assert press_key(dock, "N")
    assert not dock.session.positive
    press_key(dock, "Shift-K")
    assert dock.session.class_name == "class 2"
    press_key(dock, "K")
    assert dock.session.class_name == "class 1"
    press_key(dock, "H")
    assert dock.session.hovering
    assert dock.views.navigation.hovering.isChecked()


def test_tooltips_name_the_keys(dock):
    assert "(N)" in dock.views.classes.negative_button.toolTip()
    assert "(B)" in dock.views.navigation.best_match.toolTip()
    assert "Z)" in dock.views.queries.undo_button.toolTip()


def test_keys_move_to_the_next_query_layer_and_go_with_the_dock(qtbot, dock, viewer_model):
    first = dock.session.queries
    viewer_model.layers.remove(first)
    press(qtbot, dock.views.queries.button)
    second = dock.session.queries
    qtbot.waitUntil(lambda: bool(second.keymap))
    assert first.keymap == {}
    dock.controller.close()
    assert second.keymap == {}


# -- the dock as a whole ----------------------------------------------------------------------


def turn_wheel(dock, widget):
    """Turn the wheel a notch over a widget, as the window system does."""
    place = QPointF(widget.mapTo(dock, widget.rect().center()))
    QTest.wheelEvent(dock.windowHandle(), place, QPoint(0, -120))
    QApplication.processEvents()


def test_scrolling_over_a_choice_does_not_change_it(qtbot, dock, monkeypatch):
    dock.resize(320, 300)
    dock.views.options.advanced.unfold()
    qtbot.wait(20)
    scroll, combo = dock.findChild(Scroll), dock.views.options.factor
    scroll.ensureWidgetVisible(combo)
    before, down = dock.session.recipe, scroll.verticalScrollBar().value()
    dock.setFocus()
    turn_wheel(dock, combo)
    assert dock.session.recipe == before
    assert scroll.verticalScrollBar().value() > down
    scroll.ensureWidgetVisible(combo)
    # Only an active window gives the focus, and nothing activates one on a bare X server.
    monkeypatch.setattr(combo, "hasFocus", lambda: True)
    turn_wheel(dock, combo)
    assert dock.session.recipe != before


@pytest.mark.parametrize("height", [450, 250])
def test_a_section_that_is_opened_comes_into_sight(qtbot, dock, height):
    """All of it, or as much from the heading on as there is room for."""
    dock.resize(320, height)
    scroll = dock.findChild(Scroll)
    for name in ("Results", "Model", "Results"):
        section = dock.views.sections[name]
        section.heading.setChecked(False)
        qtbot.wait(20)
        section.heading.setChecked(True)
        seen = section.heading if (name, height) == ("Results", 250) else section
        qtbot.waitUntil(lambda w=seen: sees(scroll, w))
    fits = section.height() <= scroll.viewport().height()
    assert fits == (height == 450)


def test_the_offer_of_the_builtin_model_comes_into_sight(qtbot, make_dock, pair, notified):
    dock = make_dock(loader=Loader(failing=("gone",)), model="gone")
    dock.resize(320, 400)
    dock.show()
    dock.views.sections["Model"].heading.setChecked(False)
    dock.controller.embed()
    qtbot.waitUntil(dock.views.offer.isVisible)
    qtbot.waitUntil(lambda: sees(dock.findChild(Scroll), dock.views.offer.button))
    assert len(notified) == 1


def sees(scroll, widget):
    """Whether a widget is in the view of a scroll area as a whole."""
    top = widget.mapTo(scroll.viewport(), QPoint(0, 0)).y()
    return top >= 0 and top + widget.height() <= scroll.viewport().height()


def test_a_section_folds_and_the_dock_keeps_its_width(qtbot, dock):
    section = dock.views.sections["Results"]
    width = dock.minimumSizeHint().width()
    press(qtbot, section.heading)
    assert section.folded
    assert not dock.views.results.isVisible()
    assert dock.minimumSizeHint().width() == width
    assert dock.minimumSizeHint().height() < 300
    press(qtbot, section.heading)
    assert dock.views.results.isVisible()


# -- the end ----------------------------------------------------------------------------------


def test_closed_rooms_hear_nothing(make_dock, pair):
    dock = make_dock()
    session = dock.session
    signals = [session.queried, session.answered, session.listed, session.results.done]
    assert all(len(signal) for signal in signals)
    dock.controller.close()
    assert not any(len(signal) for signal in signals)

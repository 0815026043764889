"""Results are made, saved and loaded from the dock, and mistakes are one sentence."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.widget.views.results import ResultsPanel

from .actions import answer, choose, default_locale, press, show

pytestmark = pytest.mark.slow


def test_the_histogram_follows_the_answers_and_its_line_is_dragged(qtbot, dock, pair):
    panel, session = dock.views.results, dock.session
    assert not panel.threshold.isEnabled()
    answer(qtbot, dock, pair[0], (40, 20))
    assert panel.automatic_button.isChecked()
    automatic = session.thresholds["class 1"]
    assert panel.threshold.value() == pytest.approx(automatic, abs=0.01)
    histogram = panel.histogram
    low, high = histogram.range
    assert -1 <= low < high == 1
    place = QPoint(round(histogram.position((low + high) / 2)), 20)
    qtbot.mousePress(histogram, Qt.MouseButton.LeftButton, pos=place)
    assert session.threshold == pytest.approx((low + high) / 2, abs=0.02)
    assert not panel.automatic_button.isChecked()
    assert panel.threshold.value() == pytest.approx(session.threshold, abs=0.01)
    assert "object" in histogram.found_text
    panel.threshold.setValue(0.9)
    assert session.threshold == pytest.approx(0.9)
    press(qtbot, panel.automatic_button)
    assert session.threshold is None
    assert session.thresholds["class 1"] == automatic
    assert panel.automatic_button.isChecked()


def test_a_result_that_is_out_of_date_is_renewed(qtbot, dock, pair, viewer_model):
    answer(qtbot, dock, pair[0], (40, 20))
    press(qtbot, dock.views.results.labels_button)
    qtbot.waitUntil(lambda: not dock.session.results.pending)
    state = dock.views.state
    assert not state.renew_button.isVisible()
    dock.session.threshold = 0.95
    qtbot.waitUntil(state.renew_button.isVisible)
    assert state.state.text() == "Out of date: Labels"
    press(qtbot, state.renew_button)
    qtbot.waitUntil(lambda: not dock.session.results.pending)
    assert not state.renew_button.isVisible()
    dock.session.threshold = 0.9
    qtbot.waitUntil(state.renew_button.isVisible)
    for layer in [layer for layer in viewer_model.layers if "objects" in layer.name]:
        viewer_model.layers.remove(layer)
    assert not state.renew_button.isVisible()


def test_the_line_belongs_to_the_class_that_is_chosen(qtbot, dock, pair):
    session, panel = dock.session, dock.views.results
    answer(qtbot, dock, pair[0], (40, 20))
    session.threshold = 0.25
    session.class_name = "other"
    assert not panel.threshold.isEnabled()
    session.class_name = "class 1"
    assert panel.threshold.value() == 0.25


@pytest.mark.parametrize("name", ["labels", "peaks", "colours"])
def test_buttons_make_layers(qtbot, dock, pair, viewer_model, notified, name):
    answer(qtbot, dock, pair[0], (40, 20))
    before = len(viewer_model.layers)
    show(dock, 3)
    panel = dock.views.results if name == "labels" else dock.views.result_options
    press(qtbot, getattr(panel, f"{name}_button"))
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
        self.asked, self.says = "", None

    def ask(self, title, question, yes):
        self.asked = question
        return self.says

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
    dock.views.results.export_button.actions_by_name["peaks"].trigger()
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
    assert dock.views.steps[1].is_open
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
    dock.views.results.export_button.actions_by_name["peaks"].trigger()
    for button in (
        dock.views.files.save_button,
        dock.views.files.load_button,
        dock.views.regions.import_button,
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
    show(dock, 3)
    press(qtbot, dock.views.result_options.colours_button)
    assert [(n.message, n.type) for n in notified] == [("It cannot be; do otherwise.", "warning")]


def test_what_counts_as_an_object_is_chosen(qtbot, dock, pair):
    session, form = dock.session, dock.views.object_options
    answer(qtbot, dock, pair[0], (40, 20))
    show(dock, 3)
    assert (form.outline.currentText(), session.outline) == ("edges", "edges")
    choose(form.outline, "patches")
    assert session.outline == "patches"
    press(qtbot, form.split)
    assert session.split_touching
    choose(form.connection, "joined in depth")
    assert session.connect_planes == "depth"
    form.min_area.setValue(400)
    form.max_area.setValue(1500.5)
    assert (session.min_area, session.max_area) == (400, 1500.5)
    choose(form.unit, "µm²")
    assert (session.min_area, session.max_area) == ("400 µm²", "1500.5 µm²")
    form.max_area.setValue(0)
    assert session.max_area == float("inf")
    session.outline, session.min_area, session.split_touching = "edges", "2.5 nm2", False
    assert (form.outline.currentText(), form.min_area.text()) == ("edges", "2.5")
    assert (form.unit.currentText(), form.split.isChecked()) == ("nm²", False)


@pytest.mark.parametrize("area", ["1234567 px", "0.004 mm²", "12345.67 µm²", "1000000000 nm²"])
def test_areas_come_back_as_they_were_set(dock, area):
    session, form = dock.session, dock.views.object_options
    session.min_area = area
    shown = session.min_area
    number, unit = area.split()
    assert (form.min_area.text(), form.unit.currentText()) == (number, unit)
    form.max_area.setValue(0.000001)  # the form says both
    form.max_area.setValue(0)
    assert session.min_area == shown


def type_keys(qtbot, box, keys):
    """Type into a box in place of what it shows, as far as a person has got."""
    box.activateWindow()
    box.setFocus()
    qtbot.waitUntil(box.hasFocus)
    box.selectAll()
    qtbot.keyClicks(box, keys)


def test_what_is_being_typed_is_not_lost_when_something_is_answered(qtbot, dock, pair):
    session, panel, form = dock.session, dock.views.results, dock.views.object_options
    answer(qtbot, dock, pair[0], (40, 20))
    show(dock, 3)
    for box, keys, value in (
        (panel.threshold, "0.6", lambda: session.threshold),
        (form.min_area, "77", lambda: session.min_area),
        (form.max_area, "7777.5", lambda: session.max_area),
    ):
        type_keys(qtbot, box, keys)
        session.queried.emit()
        session.answered.emit()
        qtbot.keyClick(box, Qt.Key.Key_Return)
        assert value() == float(keys)
        session.queried.emit()
        assert box.value() == float(keys)


def test_a_button_ends_typing_wherever_a_click_gives_no_focus(qtbot, dock, pair):
    panel = dock.views.results
    for button in (panel.labels_button, panel.table_button, panel.export_button):
        assert button.focusPolicy() == Qt.FocusPolicy.StrongFocus


def test_the_value_that_is_shown_can_be_typed(qtbot):
    panel = ResultsPanel()
    qtbot.addWidget(panel)
    panel.show()
    panel.show_threshold(0.4573, automatic=True)
    said = []
    panel.threshold_changed.connect(said.append)
    panel.threshold.selectAll()
    qtbot.keyClicks(panel.threshold, "0.46")
    qtbot.keyClick(panel.threshold, Qt.Key.Key_Return)
    assert said == [0.46]
    qtbot.keyClick(panel.threshold, Qt.Key.Key_Return)
    assert said == [0.46]


@pytest.mark.parametrize(("keys", "value"), [("-0,05", -0.05), ("0.25", 0.25), (",5", 0.5)])
@pytest.mark.parametrize("language", ["C", "de_DE"])
def test_decimals_begin_with_a_comma_or_a_point(qtbot, language, keys, value):
    with default_locale(language):
        panel = ResultsPanel()
        qtbot.addWidget(panel)
    panel.show()
    panel.show_threshold(0.61, automatic=True)
    said = []
    panel.threshold_changed.connect(said.append)
    panel.threshold.selectAll()
    qtbot.keyClicks(panel.threshold, keys)
    qtbot.keyClick(panel.threshold, Qt.Key.Key_Return)
    assert said == [value]
    assert panel.threshold.text() == f"≥ {value:.2f}"


def test_a_query_of_another_model_is_asked_again(qtbot, make_dock, pair, tmp_path):
    dialogs = Answers(tmp_path)
    dock = make_dock(dialogs=dialogs)
    dock.session.new_queries()
    answer(qtbot, dock, pair[0], (40, 20))
    dock.views.files.save_button.click()
    qtbot.waitUntil(dialogs.path.exists)
    dock.session.queries.data = np.empty((0, 2))
    dock.session.set_model("dinov3-vitb16")
    answer(qtbot, dock, pair[0], (40, 20))
    dock.session.queries.data = np.empty((0, 2))
    files = dock.views.files
    for says in (None, True):
        dialogs.says = says
        files.load_button.click()
        assert "was made with the model tiny, and this is dinov3-vitb16" in dialogs.asked
        if says is None:
            assert files.loaded.isHidden()
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    assert files.again_button.isHidden()
    dock.session.set_model("builtin")
    qtbot.waitUntil(lambda: not files.again_button.isHidden())
    assert "was made with the model dinov3-vitb16" in files.classes.text()
    files.again_button.click()
    qtbot.waitUntil(lambda: files.classes.text() == "asks for class 1")
    assert files.again_button.isHidden()

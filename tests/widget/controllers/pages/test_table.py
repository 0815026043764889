"""The page of the table: opened, renewed, gone to, saved."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.widget.controllers.pages import table as module
from napari_dinov3_sim.widget.controllers.pages.table import TableController

from ..actions import answer, press

pytestmark = pytest.mark.slow


@pytest.fixture
def dialogs():
    asked = []

    def ask_for_new_file(*what):
        asked.append(what)
        return dialogs.path

    dialogs = SimpleNamespace(ask_for_new_file=ask_for_new_file, asked=asked, path="")
    return dialogs


@pytest.fixture
def controller(dock, viewer_model, dialogs):
    dock.controller.table.close()
    controller = TableController(viewer_model, dock.session, dock.views, dialogs)
    yield controller
    controller.close()


@pytest.fixture
def page(qtbot, dock, pair, controller):
    """The page with the objects of one click, for which Labels were made."""
    answer(qtbot, dock, pair[0], (40, 20))
    press(qtbot, dock.views.results.table_button)
    view = controller.view
    view.resize(900, 240)
    qtbot.waitUntil(lambda: view.line.text() == "2 objects")
    return view


def labels_layers(viewer):
    return [layer for layer in viewer.layers if (mark_of(layer, "result") or {}).get("what")]


def click(qtbot, table, row, column=3):
    rect = table.visualRect(table.rows.index(row, column))
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())


def test_one_press_makes_labels_and_measures_them(dock, page, viewer_model):
    assert len(labels_layers(viewer_model)) == 2
    model = page.objects.rows
    assert model.rowCount() == len(dock.session.measurements.table) == 2
    assert page.line.text() == "2 objects"
    assert page.images.rows.rowCount() == 2


def test_before_a_click_it_says_what_to_do(qtbot, dock, controller, notified):
    view = controller.open()
    assert view.line.text() == f"0 objects · {module.NOTHING}"
    assert not view.measure_button.isEnabled()
    assert not view.save_button.isEnabled()


def test_a_click_on_a_row_goes_there_and_selects_the_label(qtbot, dock, page, viewer_model):
    click(qtbot, page.objects, 1)
    columns = dock.session.measurements.table.columns
    place = (columns["centroid_y_px"][1], columns["centroid_x_px"][1] + 100)
    np.testing.assert_allclose(viewer_model.scene.camera.center[-2:], place)
    layer = next(x for x in labels_layers(viewer_model) if x.name.startswith("b"))
    assert layer.selected_label == columns["label"][1]
    viewer_model.scene.camera.center = (0, 0, 0)
    click(qtbot, page.objects, 1)  # again: the view has been moved
    np.testing.assert_allclose(viewer_model.scene.camera.center[-2:], place)


def test_arrow_keys_go_from_row_to_row(qtbot, dock, page, viewer_model):
    click(qtbot, page.objects, 1)
    before = viewer_model.scene.camera.center
    qtbot.keyClick(page.objects, Qt.Key.Key_Up)
    assert page.objects.current == 0
    assert viewer_model.scene.camera.center != before


def test_a_label_that_is_picked_chooses_its_row(qtbot, dock, page, viewer_model):
    centre = viewer_model.scene.camera.center
    for at, layer in enumerate(labels_layers(viewer_model)):
        layer.selected_label = 0
        layer.selected_label = 1
        names = dock.session.measurements.table.columns["image"]
        assert names[page.objects.current] == layer.name.split()[0], at
    assert viewer_model.scene.camera.center == centre


def test_what_is_painted_is_measured_again_by_itself(qtbot, dock, page, viewer_model):
    layer = labels_layers(viewer_model)[0]
    click(qtbot, page.objects, 1)
    layer.data_setitem((np.array([0, 0]), np.array([0, 1])), 9)
    assert "out of date" in page.line.text()
    qtbot.waitUntil(lambda: page.line.text() == "3 objects")
    columns = dock.session.measurements.table.columns
    assert columns["image"][page.objects.current] == "b"  # the same object as before


def test_what_has_not_changed_is_soon_up_to_date(qtbot, dock, page, viewer_model):
    layer = labels_layers(viewer_model)[0]
    layer.refresh()  # as a change of the look of the layer does it
    dock.session.measurements.note_changes()
    press(qtbot, page.measure_button)
    qtbot.waitUntil(lambda: page.line.text() == "2 objects")
    assert not dock.session.measurements.pending


def test_what_takes_long_waits_for_the_button(qtbot, dock, page, viewer_model, controller):
    dock.session.measurements.seconds = 60
    labels_layers(viewer_model)[0].data_setitem((np.array([0]), np.array([0])), 9)
    qtbot.waitUntil(lambda: not controller._soon.isActive())
    assert page.line.text() == "2 objects · out of date"
    press(qtbot, page.measure_button)
    qtbot.waitUntil(lambda: page.line.text() == "3 objects")


@pytest.mark.parametrize("by", ["Measure", "Table"])
def test_new_labels_after_all_were_removed_can_be_measured(
    qtbot, dock, page, viewer_model, controller, by
):
    """Also where measuring takes so long that the table does not follow by itself."""
    for layer in labels_layers(viewer_model):
        viewer_model.layers.remove(layer)
    assert not page.measure_button.isEnabled()
    dock.session.measurements.seconds = 60
    if by == "Table":
        press(qtbot, dock.views.results.table_button)
    else:
        dock.session.results.labels()
        qtbot.waitUntil(page.measure_button.isEnabled)
        qtbot.waitUntil(lambda: not controller._soon.isActive())
        assert page.line.text() == "0 objects · out of date"
        press(qtbot, page.measure_button)
    qtbot.waitUntil(lambda: page.line.text() == "2 objects")


def test_labels_that_are_removed_leave_the_table(qtbot, dock, page, viewer_model):
    for layer in labels_layers(viewer_model):
        viewer_model.layers.remove(layer)
    assert page.objects.rows.rowCount() == 0
    assert not page.measure_button.isEnabled()


def test_a_filter_and_a_heading_arrange_the_rows(qtbot, dock, page):
    qtbot.keyClicks(page.filter, "image = b")
    qtbot.keyClick(page.filter, Qt.Key.Key_Return)
    assert page.line.text() == "1 of 2 objects"
    assert page.images.rows.rowCount() == 1
    page.filter.clear()
    qtbot.waitUntil(lambda: page.objects.rows.rowCount() == 2)
    header = page.objects.horizontalHeader()
    place = header.sectionViewportPosition(0) + 5
    for _ in range(2):
        qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(place, 5))
    names = dock.session.measurements.table.columns["image"][page.objects.rows.rows]
    assert names.tolist() == ["b", "a"]


def test_the_tab_that_is_shown_is_saved(qtbot, dock, page, dialogs, tmp_path, notified):
    press(qtbot, page.save_button)  # the user cancels
    dialogs.path = str(tmp_path / "t.csv")
    for tab, name, row_count in ((0, "objects.csv", 2), (1, "summary.csv", 2)):
        page.tabs.setCurrentIndex(tab)
        press(qtbot, page.save_button)
        qtbot.waitUntil((tmp_path / "t.csv").exists)
        with (tmp_path / "t.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == row_count
        assert ("label" in rows[0]) == (tab == 0)
        assert dialogs.asked[-1][:2] == ("Save table", name)
        (tmp_path / "t.csv").unlink()


def test_the_plot_has_the_colours_of_theme_and_classes(dock, page, viewer_model, controller):
    viewer_model.theme = "light"
    assert page.plot._colours.background.lower() != "#262930"
    dock.session.set_class_colour("class 1", "#123456")
    assert page.plot._colours.classes["class 1"] == "#123456"


def test_every_control_has_a_tooltip_and_a_name(page):
    controls = [page.filter, page.measure_button, page.save_button, page.objects, page.images]
    controls += [page.plot.column, page.plot.shape]
    assert all(control.toolTip() and control.accessibleName() for control in controls)


def test_a_closed_controller_hears_nothing(qtbot, dock, page, viewer_model, controller):
    controller.close()
    labels_layers(viewer_model)[0].data_setitem((np.array([0]), np.array([0])), 9)
    viewer_model.theme = "light"
    dock.session.measurements.measure()
    qtbot.waitUntil(lambda: not dock.session.measurements.pending)
    assert controller.view is None

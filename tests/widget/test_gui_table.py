"""The table in a real window: twelve discs, from a click on the canvas to a file."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget

from discs import MeanIntensity, check_same, check_table, read_table, write_discs
from napari_dinov3_sim.readers.reader import read_layers
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.runner import InlineRunner
from napari_dinov3_sim.widget.controllers.pages.table import NAME
from napari_dinov3_sim.widget.dock import SimilarityWidget

from .dock_helpers import click

pytestmark = pytest.mark.gui


def press(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def opened(make_napari_viewer, qtbot, tmp_path):
    """A viewer of 1280 × 720 with the dock, and the table of the discs after one click."""
    discs = write_discs(tmp_path / "discs.tif")
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 720)
    dialogs = SimpleNamespace(ask_for_new_file=lambda *_: str(tmp_path / "dock.csv"))
    dock = SimilarityWidget(viewer, model=MeanIntensity(), dialogs=dialogs)
    viewer.window.add_dock_widget(dock, name="DINOv3 similarity", area="right")
    for data, attributes, _ in read_layers(str(tmp_path / "discs.tif")):
        viewer.add_image(data, **attributes)
    viewer.reset_view()
    qtbot.waitUntil(lambda: dock.session.queries is not None)
    press(qtbot, dock.views.embed.embed_button)
    qtbot.waitUntil(lambda: not dock.session.busy)
    image, last = viewer.layers["discs"], discs[-1]
    click(qtbot, viewer, image, (round(last.y), round(last.x)))
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 1 and not dock.session.busy)
    press(qtbot, dock.views.results.labels_button)
    qtbot.waitUntil(lambda: dock.session.measurements.can_measure)
    press(qtbot, dock.views.results.table_button)
    view = dock.controller.table.view
    qtbot.waitUntil(lambda: view.objects.rows.rowCount() == 12)
    yield viewer, dock, view, discs
    dock.controller.table.close()


def by_session(path):
    """The same click in a session without a window."""
    viewer = ViewerModel()
    session = SimilaritySession(viewer, backbone=MeanIntensity(), runner=InlineRunner())
    for data, attributes, _ in read_layers(str(path)):
        viewer.add_image(data, **attributes)
    return viewer, session


def test_from_a_click_to_a_file_it_is_the_table_of_a_session(opened, qtbot, tmp_path):
    _, _dock, view, discs = opened
    press(qtbot, view.save_button)
    qtbot.waitUntil((tmp_path / "dock.csv").exists)
    rows = read_table(tmp_path / "dock.csv")
    check_table(rows, discs)
    _, session = by_session(tmp_path / "discs.tif")
    last = discs[-1]
    session.add_query(session.images[0], round(last.x), round(last.y))
    session.wait()
    session.results.labels()
    session.measurements.measure()
    session.measurements.save_csv(tmp_path / "session.csv")
    session.wait()
    session.close()
    check_same(rows, read_table(tmp_path / "session.csv"))


def test_rows_and_labels_choose_each_other_with_the_mouse(opened, qtbot):
    viewer, dock, view, discs = opened
    assert (viewer.window._qt_window.width(), viewer.window._qt_window.height()) == (1280, 720)
    columns = dock.session.measurements.table.columns
    rect = view.objects.visualRect(view.objects.rows.index(3, 2))
    qtbot.mouseClick(view.objects.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    place = [columns[f"centroid_{axis}_um"][3] for axis in "yx"]
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], place)
    layer = next(x for x in viewer.layers if (mark_of(x, "result") or {}).get("what"))
    assert layer.selected_label == columns["label"][3]
    # The other way: pick the label of another object in the canvas.
    viewer.reset_view()
    viewer.layers.selection.active = layer
    layer.mode = "pick"
    click(qtbot, viewer, layer, (round(discs[7].y), round(discs[7].x)))
    qtbot.waitUntil(lambda: view.objects.current not in (None, 3))
    chosen = view.objects.current
    np.testing.assert_allclose(columns["centroid_y_px"][chosen], discs[7].y, atol=4)
    np.testing.assert_allclose(columns["centroid_x_px"][chosen], discs[7].x, atol=4)


def test_a_stroke_of_the_brush_is_measured(opened, qtbot):
    viewer, dock, view, _discs = opened
    layer = next(x for x in viewer.layers if (mark_of(x, "result") or {}).get("what"))
    viewer.layers.selection.active = layer
    layer.mode, layer.brush_size, layer.selected_label = "paint", 3, 40
    click(qtbot, viewer, layer, (2, 2))
    qtbot.waitUntil(lambda: view.objects.rows.rowCount() == 13)
    assert 40 in dock.session.measurements.table.columns["label"]


def test_it_is_gone_with_its_dock(opened, qtbot):
    viewer, dock, _view, _ = opened
    dock.controller.table.close()
    qtbot.waitUntil(lambda: not viewer.window._qt_window.findChildren(QDockWidget, NAME))

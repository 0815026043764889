"""A project saved and opened in a real window of a small laptop, with real clicks and a drop."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt

from napari_dinov3_sim.widget.commands import PLUGIN, WIDGET

from .controllers.test_project import Answers, finished
from .dock_helpers import Loader, best_patch, click, drawn, squares

pytestmark = pytest.mark.gui


@pytest.fixture
def open_viewer(make_napari_viewer, qtbot, monkeypatch):
    monkeypatch.setattr("napari_dinov3_sim.widget.dock.ModelLoader", lambda device: Loader())

    def make(answers):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1280, 720)
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
        dock.controller.project._dialogs = answers
        return viewer, dock

    return make


def press(qtbot, dock, name):
    """Click on *Advanced* of the first step, and on a button there; it is seen at once."""
    step, button = dock.views.steps[0], getattr(dock.views.project, name)
    if not button.isVisible():
        qtbot.mouseClick(step.button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(button.isVisible)
    qtbot.waitUntil(lambda: not button.visibleRegion().isEmpty())
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_saved_closed_and_dropped_onto_another_window(open_viewer, qtbot, tmp_path):
    for name, place in (("a", (1, 2)), ("b", (4, 3))):
        tifffile.imwrite(tmp_path / f"{name}.tif", squares(place), photometric="rgb")
    path = tmp_path / "p.dinov3sim.zip"
    viewer, dock = open_viewer(Answers(path))
    for name in ("a", "b"):
        layer = viewer.open(str(tmp_path / f"{name}.tif"), plugin=PLUGIN)[0]
        layer.translate = (0, 100 * (name == "b"))
    qtbot.waitUntil(lambda: dock.session.queries is not None)
    viewer.reset_view()
    drawn(qtbot, viewer)
    click(qtbot, viewer, dock.session.images[0], (24, 40))
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2 and not dock.session.busy)
    expected = [np.array(heatmap.data) for heatmap in dock.session.heatmaps.values()]
    finished(qtbot, dock, lambda: press(qtbot, dock, "save_button"))
    assert path.exists()
    viewer.close()

    viewer, dock = open_viewer(Answers(path))
    drop = lambda: viewer.window._qt_viewer._qt_open([str(path)], stack=False)  # noqa: E731
    finished(qtbot, dock, drop)
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2 and not dock.session.busy)
    found = [np.array(heatmap.data) for heatmap in dock.session.heatmaps.values()]
    np.testing.assert_array_equal(found, expected)
    assert best_patch(list(dock.session.heatmaps.values())[1]) == (4, 3)
    drawn(qtbot, viewer)
    click(qtbot, viewer, dock.session.images[1], (5, 5))  # it goes on as before
    qtbot.waitUntil(lambda: len(dock.session.queries.data) == 2)

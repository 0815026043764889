"""A real viewer, a real mouse. Few, for each costs a second."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.utils import progress as napari_progress
from qtpy.QtCore import Qt

from napari_dinov3_sim.widget.commands import PLUGIN, WIDGET, click_to_query, embed_all_images

from .dock_helpers import PATCH, Loader, best_patch, canvas_of, click, drawn, squares, workers

pytestmark = pytest.mark.gui


@pytest.fixture
def open_viewer(make_napari_viewer, qtbot, monkeypatch):
    """Open a visible viewer with the dock, whose models load with the given loader."""

    def make(loader=None):
        loader = loader or Loader()
        monkeypatch.setattr("napari_dinov3_sim.widget.dock.ModelLoader", lambda device: loader)
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1200, 800)
        _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
        return viewer, dock

    return make


def settle(qtbot, viewer, dock):
    """Wait until the layers are drawn and the mouse is ready to query."""
    qtbot.waitUntil(lambda: dock.session.queries is not None)
    viewer.reset_view()
    drawn(qtbot, viewer)


def answered(dock, number):
    return lambda: len(dock.session.heatmaps) == number and not dock.session.busy


def test_open_sample_click_and_see(open_viewer, qtbot):
    """The whole way with the real built-in model: open a sample, click, two heatmaps."""
    from napari_dinov3_sim.backbones.loader import ModelLoader

    viewer, dock = open_viewer(ModelLoader("cpu"))
    dock.session.set_model("builtin")
    viewer.open_sample(PLUGIN, "coin_pair")
    settle(qtbot, viewer, dock)
    assert viewer.layers.selection.active == dock.session.queries
    source = dock.session.images[0]
    click(qtbot, viewer, source, (40, 50))
    qtbot.waitUntil(answered(dock, 2))
    assert best_patch(dock.session.heatmaps[source]) == (40 // PATCH, 50 // PATCH)
    assert viewer.layers[-1] == dock.session.queries
    assert viewer.layers.selection.active == dock.session.queries


def test_the_patch_under_the_mouse_is_asked_for_in_turned_and_scaled_layers(open_viewer, qtbot):
    viewer, dock = open_viewer()
    places = (1, 4)
    viewer.add_image(
        squares(places), scale=(3, 2), rotate=25, shear=[0.2], translate=(40, -30), name="turned"
    )
    viewer.add_image(squares((3, 1)), scale=(2, 2), translate=(0, 300), name="far")
    settle(qtbot, viewer, dock)
    turned, far = dock.session.images
    for pixel in [(17, 65), (30, 78)]:  # just inside opposite corners of the bright patch
        dock.session.queries.data = np.empty((0, 2))
        click(qtbot, viewer, turned, pixel)
        qtbot.waitUntil(answered(dock, 2))
        found = turned.world_to_data(
            dock.session.queries.data_to_world(dock.session.queries.data[0])
        )
        np.testing.assert_allclose(found, pixel, atol=1.0)
        assert best_patch(dock.session.heatmaps[turned]) == places
        assert best_patch(dock.session.heatmaps[far]) == (3, 1)


def test_a_patch_is_drawn_exactly_over_its_pixels(open_viewer, qtbot):
    """Pixels lit by the image's bright patch and by its heatmap are the same on the screen."""
    viewer, dock = open_viewer()
    dock.session.style(colormap="gray", opacity=1.0)
    dock.session.outlines = False
    viewer.add_image(squares((2, 3), colour=(255, 255, 255)), rotate=20, scale=(1.5, 1))
    settle(qtbot, viewer, dock)
    image = dock.session.images[0]
    click(qtbot, viewer, image, (40, 56))
    qtbot.waitUntil(answered(dock, 1))
    heatmap = dock.session.heatmaps[image]
    heatmap.contrast_limits = (0.98, 1.0)
    dock.session.queries.visible = False
    lit = []
    for shown in (image, heatmap):
        image.visible, heatmap.visible = shown == image, shown == heatmap
        drawn(qtbot, viewer)
        lit.append(viewer.screenshot(canvas_only=True, flash=False)[..., 0] > 128)
    assert lit[0].sum() > 1000
    overlap = (lit[0] & lit[1]).sum() / (lit[0] | lit[1]).sum()
    assert overlap > 0.99


@pytest.mark.parametrize("what", ["viewer", "dock"])
def test_closed_during_embedding(open_viewer, qtbot, what):
    gate = threading.Event()
    viewer, dock = open_viewer(Loader(gate=gate))
    viewer.add_image(squares((1, 1)))
    settle(qtbot, viewer, dock)
    click(qtbot, viewer, dock.session.images[0], (20, 20))
    session, task = dock.session, dock.views.embed.task
    qtbot.waitUntil(lambda: "Embedding" in task.text())
    ended = []
    dock.destroyed.connect(lambda: ended.append(True))
    del dock
    if what == "viewer":
        viewer.close()
    else:
        viewer.window.remove_dock_widget("all")
    qtbot.waitUntil(lambda: ended == [True])
    gate.set()
    qtbot.waitUntil(lambda: workers() == [])
    qtbot.let_pass()
    assert not session.busy
    assert len(napari_progress._all_instances) == 0
    if what == "dock":
        _, again = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
        qtbot.waitUntil(answered(again, 1))


def test_two_viewers_at_once(open_viewer, make_napari_viewer, qtbot):
    """The second stays hidden: vispy trips over two canvases that draw in one test process."""
    one, first = open_viewer()
    two = make_napari_viewer(show=False)
    _, second = two.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    one.add_image(squares((1, 1)))
    image = two.add_image(squares((2, 2)))
    settle(qtbot, one, first)
    click(qtbot, one, first.session.images[0], (20, 20))
    qtbot.waitUntil(answered(first, 1))
    assert second.session.heatmaps == {}
    one.close()
    second.session.add_query(image, 40, 40)
    qtbot.waitUntil(answered(second, 1))


def test_keys_act_while_the_query_layer_is_active_and_the_dock_open(open_viewer, qtbot):
    viewer, dock = open_viewer()
    viewer.add_image(squares((1, 1)))
    settle(qtbot, viewer, dock)
    session, canvas = dock.session, canvas_of(viewer)
    click(qtbot, viewer, session.images[0], (20, 20))
    qtbot.waitUntil(answered(dock, 1))
    qtbot.keyClick(canvas, Qt.Key.Key_N)
    assert not session.positive
    assert dock.views.signs.negative_button.isChecked()
    qtbot.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert len(session.queries.data) == 0
    viewer.layers.selection.active = session.images[0]
    qtbot.keyClick(canvas, Qt.Key.Key_N)
    assert not session.positive
    queries = session.queries
    viewer.window.remove_dock_widget("all")
    qtbot.waitUntil(lambda: queries.keymap == {})


def test_commands_act_on_the_dock_of_the_current_viewer(make_napari_viewer, qtbot, monkeypatch):
    from napari._app_model import get_app_model

    loader = Loader()
    monkeypatch.setattr("napari_dinov3_sim.widget.dock.ModelLoader", lambda device: loader)
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(squares((1, 1)))
    app = get_app_model()
    app.commands.execute_command("napari-dinov3-sim.query").result()
    assert viewer.layers.selection.active.name == "DINOv3 query"
    app.commands.execute_command("napari-dinov3-sim.embed").result()
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    qtbot.waitUntil(lambda: dock.session.backbone is not None and not dock.session.busy)
    app.commands.execute_command("napari-dinov3-sim.cancel").result()
    assert dock.session.images == [image]
    assert canvas_of(viewer).isVisible()
    assert callable(embed_all_images)
    assert callable(click_to_query)


def rows(viewer):
    """Names in napari's list of layers, as they are seen."""
    view = viewer.window._qt_viewer.layers
    shown = [row for row in range(view.model().rowCount()) if not view.isRowHidden(row)]
    return [view.model().index(row, 0).data() for row in shown]


def test_helpers_are_no_rows_of_the_layer_list_while_the_dock_is_open(open_viewer, qtbot):
    viewer, dock = open_viewer()
    viewer.add_image(squares((1, 1)), name="one")
    viewer.add_image(squares((2, 2)), name="two", translate=(0, 110))
    settle(qtbot, viewer, dock)
    session = dock.session
    session.add_query(session.images[0], 20, 20, class_name="a")
    session.add_query(session.images[0], 60, 60, class_name="b")
    listed = ["DINOv3 query", "two · b", "two · a", "two", "one · b", "one · a", "one"]
    qtbot.waitUntil(lambda: len(session.class_maps) == 2 and not session.busy)
    qtbot.waitUntil(lambda: rows(viewer) == listed)
    session.side_by_side = True
    qtbot.waitUntil(lambda: viewer.canvas.grid.enabled)
    assert rows(viewer) == listed
    session.show_class_maps = True
    maps = ["DINOv3 query", "two · class map", "two", "one · class map", "one"]
    qtbot.waitUntil(lambda: rows(viewer) == maps)
    viewer.layers.move(0, len(viewer.layers))
    session.side_by_side = False
    qtbot.waitUntil(lambda: len(rows(viewer)) == len(maps))
    viewer.window.remove_dock_widget("all")
    qtbot.waitUntil(lambda: len(rows(viewer)) == len(viewer.layers))


def test_a_sample_is_seen_as_a_whole(open_viewer, qtbot):
    viewer, _ = open_viewer()
    viewer.open_sample(PLUGIN, "coin_pair")
    zoom = viewer.scene.camera.zoom
    extent = viewer.layers.extent.world
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], extent.mean(0), atol=1)
    canvas = canvas_of(viewer)
    assert np.ptp(extent, axis=0)[1] * zoom <= canvas.width()

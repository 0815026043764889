"""The dock on a viewer model: what it shows, what it calls, and how it ends."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from napari.layers import Image
from napari.utils import progress as napari_progress
from qtpy.QtCore import QCoreApplication, QEvent, Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow

from napari_dinov3_sim.widget.dock import SimilarityWidget
from napari_dinov3_sim.widget.preferences import Preferences
from napari_dinov3_sim.widget.views.model import LOSS, OTHER_FOLDER
from patience import PATIENCE

from .dock_helpers import Loader, MeanColour, best_patch, squares, workers

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(viewer_model):
    a = viewer_model.add_image(squares((1, 2)), name="a")
    b = viewer_model.add_image(squares((4, 3)), name="b", translate=(0, 100))
    return a, b


class SlowLoader(Loader):
    """Waits for a gate while it loads, and hears of no cancel meanwhile."""

    def __init__(self, gate):
        super().__init__()
        self.wait = gate.wait

    def __call__(self, model, report):
        backbone = super().__call__(model, report)
        assert self.wait(PATIENCE)
        return backbone


def query(dock, pixel, layer):
    dock.session.queries.add(layer.data_to_world(pixel))


def lines(dock):
    images = dock.views.images
    return [images.topLevelItem(row).text(0) for row in range(images.topLevelItemCount())]


def line_of(dock, name):
    return dock.views.images.topLevelItem(lines(dock).index(name))


def process_deletions():
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


# -- from a click to heatmaps -----------------------------------------------------------------


def test_a_point_lights_up_every_image(qtbot, make_dock, pair):
    dock = make_dock()
    qtbot.waitUntil(lambda: dock.session.queries is not None)
    query(dock, (20, 40), pair[0])
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    assert best_patch(dock.session.heatmaps[pair[0]]) == (1, 2)
    assert best_patch(dock.session.heatmaps[pair[1]]) == (4, 3)
    qtbot.waitUntil(lambda: not dock.session.busy)
    assert dock.views.state.state.text() == "2 heatmaps."


def test_the_model_is_loaded_in_a_worker_and_not_before_it_is_needed(qtbot, make_dock, pair):
    loader = Loader()
    dock = make_dock(loader=loader)
    qtbot.waitUntil(lambda: dock.session.queries is not None)
    qtbot.let_pass()
    assert loader.thread is None
    assert dock.views.model.device.text() == "Device: chosen when the model loads"
    query(dock, (20, 40), pair[0])
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    assert loader.thread not in (None, threading.main_thread())
    assert dock.views.model.device.text() == "Device: cpu, float32"


def test_wait_works_without_the_event_loop(make_dock, pair):
    dock = make_dock()
    dock.session.new_queries()
    query(dock, (20, 40), pair[0])
    dock.session.wait(PATIENCE)
    assert len(dock.session.heatmaps) == 2


def test_a_loaded_model_can_be_given(make_dock, pair):
    dock = make_dock(model=MeanColour())
    assert dock.views.model.device.text() == "Device: cpu, float32"
    assert dock.views.model.combo.currentText() == "tiny"


# -- embedding, progress, cancelling ----------------------------------------------------------


def test_embed_button_embeds_and_leaves_the_mouse_ready(qtbot, make_dock, pair):
    dock = make_dock()
    dock.session.new_queries()
    dock.session._viewer.layers.selection.active = pair[0]
    qtbot.mouseClick(dock.views.embed.embed_button, Qt.MouseButton.LeftButton)
    queries = dock.session.queries
    assert dock.session._viewer.layers.selection.active == queries
    assert queries.mode == "add"
    qtbot.waitUntil(lambda: dock.session.backbone is not None and not dock.session.busy)
    dock.session._viewer.layers.selection.active = pair[0]
    query(dock, (20, 40), pair[0])
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    assert dock.session._viewer.layers.selection.active == pair[0]


def test_opening_images_leaves_the_mouse_with_whoever_had_it(qtbot, make_dock, viewer_model):
    dock = make_dock()
    selection = viewer_model.layers.selection
    first = viewer_model.add_image(squares((1, 2)))
    qtbot.waitUntil(lambda: dock.session.queries is not None)
    assert selection.active == dock.session.queries
    viewer_model.add_image(squares((1, 1)))
    viewer_model.add_image(squares((1, 1)))
    qtbot.waitUntil(lambda: selection.active == dock.session.queries)
    selection.active = first
    last = viewer_model.add_image(squares((1, 1)))
    qtbot.let_pass()
    assert selection.active == last
    labels = viewer_model.add_labels(np.zeros((8, 8), int))
    qtbot.let_pass()
    assert selection.active == labels


def test_progress_is_shown_here_and_in_the_activity_dock(qtbot, make_dock, pair):
    gate = threading.Event()
    dock = make_dock(loader=Loader(gate=gate))
    row = dock.views.embed
    bars = set(napari_progress._all_instances)
    assert not row.cancel_button.isEnabled()
    dock.controller.embed()
    qtbot.waitUntil(lambda: "Embedding a" in row.task.text())
    assert row.cancel_button.isEnabled()
    assert (row.bar.minimum(), row.bar.maximum(), row.bar.value()) == (0, 1000, 0)
    assert len(set(napari_progress._all_instances) - bars) == 1
    gate.set()
    qtbot.waitUntil(lambda: not dock.session.busy)
    assert not row.cancel_button.isEnabled()
    assert row.state.text() == "2 of 2 images ready."
    assert set(napari_progress._all_instances) == bars


def test_cancel_stops_and_the_next_click_asks_again(qtbot, make_dock, pair):
    gate = threading.Event()
    loader = Loader(gate=gate)
    dock = make_dock(loader=loader)
    dock.session.new_queries()
    query(dock, (20, 40), pair[0])
    qtbot.waitUntil(lambda: "Embedding" in dock.views.embed.task.text())
    qtbot.mouseClick(dock.views.embed.cancel_button, Qt.MouseButton.LeftButton)
    assert not dock.session.busy
    assert not dock.views.embed.cancel_button.isEnabled()
    gate.set()
    qtbot.waitUntil(lambda: not dock.session._runner._tokens)
    qtbot.let_pass()
    query(dock, (20, 40), pair[0])
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)


# -- models and failures ----------------------------------------------------------------------


def test_a_model_that_fails_is_reported_and_the_builtin_one_offered(
    qtbot, make_dock, pair, notified
):
    loader = Loader(failing=("dinov3-vits16plus",))
    dock = make_dock(loader=loader, model="dinov3-vits16plus")
    dock.session.new_queries()
    query(dock, (20, 40), pair[0])
    qtbot.waitUntil(lambda: not dock.views.offer.isHidden())
    assert [n.message for n in notified] == ["The model dinov3-vits16plus is not here; get it."]
    assert dock.views.offer.button.toolTip() == LOSS
    assert "not a DINOv3 checkpoint" in LOSS
    qtbot.mouseClick(dock.views.offer.button, Qt.MouseButton.LeftButton)
    assert dock.views.offer.isHidden()
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    assert loader.loaded == ["builtin"]
    assert "not DINOv3" in dock.views.model.combo.currentText()


def test_the_offer_goes_on_with_what_the_embed_button_began(qtbot, make_dock, pair, notified):
    loader = Loader(failing=("dinov3-vits16plus",))
    dock = make_dock(loader=loader, model="dinov3-vits16plus")
    dock.controller.embed()
    qtbot.waitUntil(lambda: not dock.views.offer.isHidden())
    dock.views.offer.button.click()
    qtbot.waitUntil(lambda: loader.loaded == ["builtin"] and not dock.session.busy)
    assert len(dock.session.store.memory) == 2


def test_the_builtin_model_is_not_offered_in_place_of_itself(qtbot, make_dock, pair, notified):
    dock = make_dock(loader=Loader(failing=("builtin",)), model="builtin")
    dock.controller.embed()
    qtbot.waitUntil(lambda: bool(notified))
    assert dock.views.offer.isHidden()


def test_choosing_a_model_loads_nothing_until_points_need_it(qtbot, make_dock, pair):
    loader = Loader()
    dock = make_dock(loader=loader)
    combo = dock.views.model.combo
    combo.setCurrentIndex(combo.findData("dinov3-vitb16"))
    combo.activated.emit(combo.currentIndex())
    assert dock.session.model == "dinov3-vitb16"
    assert loader.loaded == []
    dock.session.new_queries()
    query(dock, (20, 40), pair[0])
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    combo.setCurrentIndex(combo.findData("builtin"))
    combo.activated.emit(combo.currentIndex())
    assert dock.session.heatmaps == {}
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    assert loader.loaded == ["dinov3-vitb16", "builtin"]


def test_weights_of_ones_own(make_dock, tmp_path):
    dock = make_dock()
    picker = dock.views.model
    path = str(tmp_path / "my_weights.safetensors")
    picker.choose_path(path)
    assert dock.session.model == path
    assert picker.combo.currentText() == "my_weights.safetensors"
    assert picker.combo.itemText(picker.combo.count() - 1) == OTHER_FOLDER
    picker.choose_path("")
    assert dock.session.model == path
    assert picker.combo.currentData() == path


# -- the list of images -----------------------------------------------------------------------


def test_the_list_follows_the_layers(make_dock, viewer_model, pair):
    dock = make_dock()
    assert lines(dock) == ["b", "a"]
    pair[0].name = "nuclei"
    assert lines(dock) == ["b", "nuclei"]
    viewer_model.layers.remove(pair[1])
    assert lines(dock) == ["nuclei"]
    viewer_model.add_image(squares((0, 0)), name="c")
    viewer_model.add_labels(np.zeros((8, 8), int))
    assert lines(dock) == ["c", "nuclei"]


def test_unticking_leaves_an_image_out(qtbot, make_dock, pair):
    dock = make_dock()
    dock.session.new_queries()
    query(dock, (20, 40), pair[0])
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    line_of(dock, "b").setCheckState(0, Qt.CheckState.Unchecked)
    assert dock.session.targets == [pair[0]]
    qtbot.waitUntil(lambda: list(dock.session.heatmaps) == [pair[0]])
    dock.session.set_target(pair[1], True)
    assert line_of(dock, "b").checkState(0) == Qt.CheckState.Checked


def test_a_refused_image_is_grey_and_says_why(make_dock, viewer_model, monkeypatch):
    monkeypatch.setattr(
        "napari_dinov3_sim.session.images.targets.refusal",
        lambda layer: f"{layer.name}: is complex.",
    )
    viewer_model.add_image(squares((1, 1)), name="phase")
    dock = make_dock()
    line = line_of(dock, "phase")
    assert not line.flags() & Qt.ItemFlag.ItemIsEnabled
    assert line.checkState(0) == Qt.CheckState.Unchecked
    assert line.toolTip(0) == "phase: is complex."


# -- heatmaps ---------------------------------------------------------------------------------


def test_style_and_scale_reach_the_heatmaps(qtbot, make_dock, pair):
    dock = make_dock()
    dock.session.new_queries()
    query(dock, (20, 40), pair[0])
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    style = dock.views.style
    style.opacity.setValue(30)
    style.colormap.setCurrentText("viridis")
    style.blending.setCurrentIndex(style.blending.findData("opaque"))
    style.scaling.setCurrentIndex(style.scaling.findData("each"))
    assert {h.blending for h in dock.session.heatmaps.values()} == {"opaque"}
    assert {h.opacity for h in dock.session.heatmaps.values()} == {0.3}
    assert {h.colormap.name for h in dock.session.heatmaps.values()} == {"viridis opaque"}
    assert dock.session.scaling == "each"
    dock.session.style(colormap="inferno", blending="additive")
    dock.session.scaling = "shared"
    assert style.colormap.currentText() == "inferno"
    assert style.blending.currentData() == "additive"
    assert style.scaling.currentData() == "shared"


def test_a_new_dock_adopts_points_and_heatmaps(qtbot, make_dock, viewer_model, pair):
    first = make_dock()
    first.session.new_queries()
    query(first, (20, 40), pair[0])
    qtbot.waitUntil(lambda: len(first.session.heatmaps) == 2)
    first.views.style.colormap.setCurrentText("viridis")
    points = first.session.queries
    first.controller.close()
    second = make_dock()
    assert second.views.style.colormap.currentText() == "viridis"
    qtbot.waitUntil(lambda: second.session.queries == points and len(second.session.heatmaps) == 2)
    qtbot.waitUntil(lambda: not second.session.busy and second.session.backbone is not None)
    ours = [layer for layer in viewer_model.layers if layer.metadata]
    assert len({layer.name for layer in ours}) == len(ours)
    assert len([layer for layer in ours if isinstance(layer, Image)]) == 2


@pytest.mark.parametrize("why", ["cancelled", "no model"])
def test_a_dock_that_cannot_answer_leaves_what_is_true(
    qtbot, make_dock, pair, viewer_model, monkeypatch, why
):
    first = make_dock()
    first.session.new_queries()
    query(first, (20, 40), pair[0])
    qtbot.waitUntil(lambda: len(first.session.heatmaps) == 2 and not first.session.busy)
    first.controller.close()
    gate = threading.Event()
    if why == "no model":
        monkeypatch.setattr("napari_dinov3_sim.widget.dock.model_in_use", lambda layers: "")
        monkeypatch.setattr(
            "napari_dinov3_sim.widget.dock.read_preferences", lambda: Preferences(model="")
        )
        second = make_dock(model=None)
    else:
        second = make_dock(loader=SlowLoader(gate))
        qtbot.waitUntil(lambda: second.session.busy)
        second.session.cancel()
    qtbot.waitUntil(lambda: second.session.queries is not None)
    qtbot.let_pass()
    assert len(second.session.heatmaps) == 2
    query(second, (70, 70), pair[0])
    qtbot.waitUntil(lambda: second.session.heatmaps == {} or why == "cancelled")
    gate.set()
    if why == "cancelled":
        qtbot.waitUntil(lambda: not second.session.busy and len(second.session.heatmaps) == 2)


def test_cancel_and_a_click_while_the_model_loads_load_it_once(qtbot, make_dock, pair):
    gate = threading.Event()
    loader = SlowLoader(gate)
    dock = make_dock(loader=loader)
    dock.session.new_queries()
    query(dock, (20, 40), pair[0])
    qtbot.waitUntil(lambda: loader.thread is not None)
    qtbot.mouseClick(dock.views.embed.cancel_button, Qt.MouseButton.LeftButton)
    query(dock, (24, 44), pair[0])
    qtbot.let_pass()
    gate.set()
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    assert loader.loaded == ["tiny"]


def test_click_to_query_makes_the_points_layer(qtbot, make_dock, pair, viewer_model):
    dock = make_dock()
    qtbot.mouseClick(dock.views.signs.positive_button, Qt.MouseButton.LeftButton)
    assert viewer_model.layers.selection.active == dock.session.queries
    assert dock.views.signs.positive_button.isChecked()
    viewer_model.layers.selection.active = pair[0]
    assert not dock.views.signs.positive_button.isChecked()


# -- the end ----------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["idle", "loading", "embedding", "answered"])
def test_destroyed_at_any_moment(qtbot, viewer_model, pair, moment, recwarn):
    gate = threading.Event()
    if moment in ("idle", "answered"):
        gate.set()
    dock = SimilarityWidget(viewer_model, model="tiny", load_model=Loader(gate=gate))
    session, bars = dock.session, set(napari_progress._all_instances)
    if moment != "idle":
        session.new_queries()
        query(dock, (20, 40), pair[0])
    if moment == "embedding":
        qtbot.waitUntil(lambda: "Embedding" in dock.views.embed.task.text())
    if moment == "answered":
        qtbot.waitUntil(lambda: len(session.heatmaps) == 2)
    dock.deleteLater()
    process_deletions()
    gate.set()
    qtbot.waitUntil(lambda: workers() == [])
    qtbot.let_pass()
    assert not session.busy
    assert set(napari_progress._all_instances) == bars
    before = list(viewer_model.layers)
    viewer_model.add_image(squares((0, 0)))
    qtbot.let_pass()
    assert len(viewer_model.layers) == len(before) + 1


def test_closing_its_dock_ends_it(qtbot, viewer_model, pair):
    """As napari does: the dock goes, its content is left without a parent."""
    window, container = QMainWindow(), QDockWidget()
    qtbot.addWidget(window)
    dock = SimilarityWidget(viewer_model, model="tiny", load_model=Loader())
    container.setWidget(dock)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, container)
    dock.session.new_queries()
    query(dock, (20, 40), pair[0])
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    ended = []
    dock.destroyed.connect(lambda: ended.append(True))
    dock.setParent(None)
    window.removeDockWidget(container)
    container.deleteLater()
    qtbot.waitUntil(lambda: ended == [True])
    qtbot.waitUntil(lambda: workers() == [])


def test_moving_to_another_dock_does_not(qtbot, viewer_model, pair):
    window = QMainWindow()
    qtbot.addWidget(window)
    first, second = QDockWidget(window), QDockWidget(window)
    dock = SimilarityWidget(viewer_model, model="tiny", load_model=Loader())
    first.setWidget(dock)
    dock.setParent(None)
    second.setWidget(dock)
    qtbot.let_pass()
    dock.controller.embed()
    qtbot.waitUntil(lambda: dock.session.backbone is not None)
    dock.controller.close()


def test_nothing_keeps_a_closed_dock(qtbot, viewer_model, pair):
    dock = SimilarityWidget(viewer_model, model="tiny", load_model=Loader())
    dock.controller.embed()
    dock.session.wait(PATIENCE)
    references = [weakref.ref(x) for x in (dock, dock.session, dock.controller)]
    dock.deleteLater()
    process_deletions()
    del dock
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]


def test_closing_twice_is_fine(make_dock, pair):
    dock = make_dock()
    dock.controller.close()
    dock.controller.close()


def test_two_docks_on_two_viewers_do_not_mix(qtbot, make_dock, pair, viewer_model):
    from napari.components import ViewerModel

    other = ViewerModel()
    other.add_image(squares((3, 3)), name="c")
    one, two = make_dock(), make_dock(other)
    one.session.new_queries()
    two.session.new_queries()
    query(one, (20, 40), pair[0])
    qtbot.waitUntil(lambda: len(one.session.heatmaps) == 2)
    assert two.session.heatmaps == {}
    assert lines(one) == ["b", "a"]
    assert lines(two) == ["c"]
    one.controller.close()
    query(two, (50, 50), other.layers[0])
    qtbot.waitUntil(lambda: len(two.session.heatmaps) == 1)

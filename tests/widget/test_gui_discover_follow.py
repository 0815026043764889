"""Classes without a click, and objects followed by one click, in a real viewer."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QDockWidget

from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.widget.controllers.pages.suggestions import NAME
from napari_dinov3_sim.widget.dock import SimilarityWidget

from .dock_helpers import PATCH, Loader, click, drawn

pytestmark = pytest.mark.gui


@pytest.fixture
def opened(make_napari_viewer):
    """A viewer of 1280 × 720 with the dock."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 720)
    dock = SimilarityWidget(viewer, model="tiny", load_model=Loader())
    viewer.window.add_dock_widget(dock, name="DINOv3 similarity", area="right")
    yield viewer, dock
    dock.controller.close()


def press(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def result(viewer, what):
    marks = [(mark_of(layer, "result"), layer) for layer in viewer.layers]
    return [layer for mark, layer in marks if mark is not None and mark["what"][0] == what]


def test_suggested_classes_are_made_by_mouse_below_the_canvas(opened, qtbot):
    viewer, dock = opened
    rng = np.random.default_rng(3)
    colours = np.array([[220, 40, 40], [40, 200, 60], [50, 60, 230]], np.uint8)
    for number, shape in enumerate([(8, 12), (5, 6)]):
        pixels = colours[rng.integers(0, 3, shape)].repeat(PATCH, 0).repeat(PATCH, 1)
        viewer.add_image(pixels, name=f"image {number}", translate=(0, 200 * number))
    qtbot.waitUntil(lambda: dock.session.queries is not None)
    press(qtbot, dock.views.steps[1].button)
    qtbot.waitUntil(dock.views.suggest_button.isVisible)
    press(qtbot, dock.views.suggest_button)
    discovery = dock.session.discovery
    qtbot.waitUntil(lambda: len(discovery.suggestions) == 3 and not discovery.pending)
    view = dock.controller.suggestions.view
    assert viewer.window._qt_window.height() == 720
    assert view.height() > 180
    seen = view._scroll.viewport()
    for row in view.rows:
        assert seen.rect().contains(row.mapTo(seen, row.rect().center()))
    tick = view.rows[1].tick
    qtbot.mouseClick(tick, Qt.MouseButton.LeftButton, pos=QPoint(8, tick.height() // 2))
    press(qtbot, view.make_button)
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    assert len(dock.session.queries.data) == 3
    view.parent().destroyOnClose()  # as the cross on its title does
    qtbot.waitUntil(lambda: discovery.suggestions == ())
    assert not viewer.window._qt_window.findChildren(QDockWidget, NAME)
    assert not any("suggested" in layer.name for layer in viewer.layers)
    press(qtbot, dock.views.suggest_button)
    qtbot.waitUntil(lambda: len(discovery.suggestions) == 3 and not discovery.pending)


def test_one_click_is_followed_through_all_planes(opened, qtbot):
    viewer, dock = opened
    frames = 6
    stack = np.full((frames, 160, 160, 3), 30, np.uint8)
    for t in range(frames):
        stack[t, 16:48, 16 * t : 16 * t + 32] = (255, 40, 40)
        stack[t, 96:128, 112 - 16 * t : 144 - 16 * t] = (255, 40, 40)
    image = viewer.add_image(stack, rgb=True, name="cells", axis_labels=("t", "y", "x"))
    qtbot.waitUntil(lambda: dock.session.queries is not None)
    viewer.dims.set_current_step(0, 0)
    viewer.reset_view()
    drawn(qtbot, viewer)
    dock.views.options.all_planes.click()
    click(qtbot, viewer, image, (0, 30, 10))
    qtbot.waitUntil(lambda: len(dock.session._coordinator.answers.planes()) == frames)
    qtbot.waitUntil(lambda: not dock.session.busy)
    press(qtbot, dock.views.results.labels_button)
    qtbot.waitUntil(lambda: not dock.session.results.pending)
    press(qtbot, dock.views.steps[2].button)
    follow = dock.views.result_options.follow
    qtbot.waitUntil(follow.button.isVisible)
    press(qtbot, follow.button)
    qtbot.waitUntil(lambda: not dock.session.tracking.pending)
    (tracks,) = result(viewer, "tracks")
    assert [int(one) for one in np.bincount(tracks.data[:, 0].astype(int))] == [0, frames, frames]
    (tracked,) = result(viewer, "tracked objects")
    assert [int(plane[20, 16 * t + 8]) for t, plane in enumerate(tracked.data)] == [1] * frames
    follow.distance.setValue(0.5)
    press(qtbot, follow.button)
    qtbot.waitUntil(lambda: not dock.session.tracking.pending)
    assert len(np.unique(tracks.data[:, 0])) == 2 * frames

"""How many actions of a user it takes, from an open sample, in a real viewer with real events."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_dinov3_sim.backbones.loader import ModelLoader
from napari_dinov3_sim.widget.commands import PLUGIN, WIDGET

from .dock_helpers import click, drawn

pytestmark = pytest.mark.gui


class User:
    """Counts what it does."""

    def __init__(self, qtbot, viewer, dock):
        self.qtbot, self.viewer, self.dock, self.actions = qtbot, viewer, dock, 0

    def click(self, layer, pixel):
        self.actions += 1
        click(self.qtbot, self.viewer, layer, pixel)

    def press(self, button):
        self.actions += 1
        assert button.isVisible()
        self.qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    def settle(self):
        session = self.dock.session
        self.qtbot.let_pass()  # a click is noticed in the next turn of the event loop
        self.qtbot.waitUntil(
            lambda: (
                len(session.heatmaps) == len(session.targets) > 0
                and not session.busy
                and not session.results.pending
            )
        )


@pytest.fixture
def user(make_napari_viewer, qtbot, monkeypatch, tmp_path):
    """Someone on a small laptop who has no weights, and has just opened a sample."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("napari_dinov3_sim.widget.dock.ModelLoader", lambda _: ModelLoader("cpu"))
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 720)
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    viewer.open_sample(PLUGIN, "histology_pair")
    qtbot.waitUntil(lambda: dock.session.queries is not None)
    drawn(qtbot, viewer)
    return User(qtbot, viewer, dock)


def test_from_an_open_sample_to_objects(user):
    session, views = user.dock.session, user.dock.views
    left, right = session.images
    user.click(left, (200, 100))
    user.settle()
    assert user.actions == 1
    assert list(session.heatmaps) == [left, right]

    user.click(left, (90, 60))
    user.click(left, (140, 128))
    user.press(views.signs.negative_button)
    user.click(left, (330, 220))
    user.click(left, (430, 230))
    user.settle()
    assert session.class_counts["class 1"].positive == 3
    assert session.class_counts["class 1"].negative == 2
    assert user.actions <= 7

    before = user.actions
    user.press(views.results.labels_button)
    user.settle()
    assert user.actions - before <= 2
    for image in (left, right):
        objects = user.viewer.layers[f"{image.name} objects"]
        assert objects.visible
        assert np.asarray(objects.data).max() > 0

    before = user.actions
    user.press(views.results.best_match)
    assert user.actions - before <= 1
    centre = right.world_to_data(user.viewer.scene.camera.center[-2:])
    assert ((centre >= 0) & (centre < right.data.shape[:2])).all()
    assert user.viewer.window._qt_window.height() <= 720

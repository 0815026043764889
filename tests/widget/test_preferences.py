"""Preferences reach the dock, and wrong ones harm nothing."""

from __future__ import annotations

import logging

import pytest

from napari_dinov3_sim.backbones.loader import ModelLoader
from napari_dinov3_sim.store import DEFAULT_BUDGET
from napari_dinov3_sim.widget import preferences
from napari_dinov3_sim.widget.dock import SimilarityWidget
from napari_dinov3_sim.widget.preferences import Preferences, read_preferences


def test_defaults():
    assert read_preferences() == Preferences()
    assert Preferences().memory_budget == DEFAULT_BUDGET


def test_what_the_user_sets_is_read(preferred):
    preferred.model, preferred.device, preferred.memory_gib = "builtin", "cpu", 0.5
    preferred.disk_gib, preferred.store_folder = 0.25, "/data/embeddings"
    assert read_preferences() == Preferences("builtin", "cpu", 0.5, 0.25, "/data/embeddings")


def test_napari_refuses_values_that_cannot_be(preferred):
    with pytest.raises(ValueError, match="dinov9"):
        preferred.model = "dinov9"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "dinov9"),
        ("model", None),
        ("device", "gpu"),
        ("memory_gib", -1.0),
        ("memory_gib", "much"),
        ("memory_gib", float("nan")),
        ("disk_gib", -1),
        ("store_folder", 3),
    ],
)
def test_a_wrong_value_falls_back_alone(monkeypatch, caplog, name, value):
    class Start:
        model, device, memory_gib = "builtin", "cpu", 0.5
        disk_gib, store_folder = 1.0, "/data"

    setattr(Start, name, value)
    monkeypatch.setattr(preferences, "_settings", lambda: Start)
    with caplog.at_level(logging.WARNING):
        read = read_preferences()
    assert getattr(read, name) == getattr(Preferences(), name)
    assert sum(getattr(read, n) == getattr(Start, n) for n in ("model", "device")) >= 1
    assert repr(value) in caplog.text


def test_without_the_plugin_there_are_defaults(npe2pm):
    assert read_preferences() == Preferences()


def test_the_dock_starts_with_them(qtbot, viewer_model, preferred):
    preferred.model, preferred.memory_gib = "dinov3-vitb16", 0.25
    dock = SimilarityWidget(viewer_model)
    qtbot.addWidget(dock, before_close_func=lambda dock: dock.controller.close())
    assert dock.session.model == "dinov3-vitb16"
    assert dock.session.store.budget == 2**28


def test_the_device_reaches_the_loader(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "napari_dinov3_sim.backbones.loading.load_backbone",
        lambda *args, **kwargs: calls.append((args, kwargs)),
    )
    ModelLoader("mps")("builtin", print)
    assert calls == [(("builtin",), {"device": "mps", "progress": print})]

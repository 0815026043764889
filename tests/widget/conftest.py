"""A dock on a viewer model offscreen, and on a real viewer where there is a display."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QTimer

from napari_dinov3_sim.versions import plugin_preferences
from napari_dinov3_sim.widget.preferences import PLUGIN
from patience import PATIENCE

from .dock_helpers import Loader, workers


class PatientQtBot(QtBot):
    """Waits for events only, and for each as long as everything here does."""

    def waitUntil(self, callback, *, timeout=PATIENCE * 1000):
        super().waitUntil(callback, timeout=timeout)

    def waitSignal(self, signal, *, timeout=PATIENCE * 1000, **options):
        return super().waitSignal(signal, timeout=timeout, **options)

    def let_pass(self):
        """Have the event loop do what waits for its next turns, and what comes of that."""
        passed = []
        for number in range(1, 5):
            QTimer.singleShot(0, lambda: passed.append(1))
            self.waitUntil(lambda number=number: len(passed) == number)


@pytest.fixture
def qtbot(qapp, request):
    return PatientQtBot(request)


@pytest.fixture(autouse=True)
def _settings_of_the_test_only(tmp_path, monkeypatch):
    """Preferences are neither read from nor written to the user's own."""
    from napari import settings

    if not hasattr(settings, "get_plugin_settings"):  # before napari 0.9 there are none
        yield
        return
    settings._clear_plugin_settings_cache()
    monkeypatch.setattr(settings, "_CFG_PATH", str(tmp_path / "settings.yaml"))
    yield
    settings._clear_plugin_settings_cache()


@pytest.fixture
def preferred():
    """What the user sets for the plugin in napari's preferences."""
    settings = plugin_preferences(PLUGIN)
    if settings is None:
        pytest.skip("this napari has no preferences of plugins")
    return settings.start


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Embeddings are kept in a folder of the test's, never in the user's cache."""
    folder = tmp_path / "cache" / "embeddings"
    monkeypatch.setattr("napari_dinov3_sim.widget.preferences.default_folder", lambda: folder)
    return folder


class Clipboard:
    """The part of Qt's clipboard that is used here."""

    def __init__(self):
        self._text = ""

    def setText(self, text):
        self._text = text

    def text(self):
        return self._text


@pytest.fixture(autouse=True)
def clipboard(monkeypatch):
    """A clipboard of the test's: that of the screen belongs to the user and to other programs."""
    found = Clipboard()
    monkeypatch.setattr("qtpy.QtGui.QGuiApplication.clipboard", lambda: found)
    return found


@pytest.fixture(autouse=True)
def _threads_end():
    """Whatever happens to a dock, its workers end."""
    yield
    for thread in workers():
        thread.join(PATIENCE)
    assert workers() == []


@pytest.fixture
def viewer_model():
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def notified():
    """Notifications that were sent during the test."""
    from napari.utils.notifications import notification_manager

    records = []

    def record(notification):
        records.append(notification)

    notification_manager.notification_ready.connect(record)
    yield records
    notification_manager.notification_ready.disconnect(record)


@pytest.fixture
def make_dock(qtbot, viewer_model):
    """Make a dock on a viewer model, with a loader that counts and can be told to fail."""
    from napari_dinov3_sim.widget.dock import SimilarityWidget

    def make(viewer=None, loader=None, model="tiny", **kwargs):
        dock = SimilarityWidget(
            viewer or viewer_model, model=model, load_model=loader or Loader(), **kwargs
        )
        qtbot.addWidget(dock, before_close_func=lambda dock: dock.controller.close())
        return dock

    return make

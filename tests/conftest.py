"""No test reads or writes what is remembered of models for the user, or passes over a failure.

Those that open windows share one screen, one after the other; without one they are skipped.
"""

from __future__ import annotations

import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest

from napari_dinov3_sim.backbones import identity

# napari makes folders in the home of the user when it is imported, and cannot without.
if sys.platform == "linux" and not os.access(Path.home(), os.W_OK):
    HOME = tempfile.TemporaryDirectory(prefix="home-of-tests-")  # until the end of the process
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        os.environ.setdefault(name, HOME.name)


@pytest.fixture(autouse=True)
def identity_folder(tmp_path_factory, monkeypatch) -> Path:
    """An empty folder of model identities for every test."""
    folder = tmp_path_factory.mktemp("identities")
    monkeypatch.setattr(identity, "identity_folder", lambda: folder)
    return folder


HAS_DISPLAY = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
if sys.platform.startswith("linux") and not HAS_DISPLAY:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
CAN_SHOW = os.environ.get("QT_QPA_PLATFORM", "") not in ("offscreen", "minimal") and (
    HAS_DISPLAY or not sys.platform.startswith("linux")
)

ON_SCREEN = ("tests/widget/", "tests/test_docs.py::test_the_readme_runs_in_a_real_viewer")
"""Tests that open windows."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give the screen to one process: it has one mouse, one clipboard, and room for one window.

    The groups of pytest-xdist 3.8 do nothing under pytest 9.2, which keeps the names of tests
    elsewhere.
    """
    from xdist.scheduler import LoadScopeScheduling

    class OneScreen(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return "screen" if nodeid.startswith(ON_SCREEN) else nodeid

    return OneScreen(config, log)


def pytest_collection_modifyitems(items):
    skip = pytest.mark.skip(reason="a real viewer needs a display: run under xvfb-run, Qt on xcb")
    for item in items:
        if item.get_closest_marker("gui") and not item.nodeid.startswith(ON_SCREEN):
            raise pytest.UsageError(f"Name {item.nodeid} in ON_SCREEN of tests/conftest.py.")
        if item.get_closest_marker("gui") and not CAN_SHOW:
            item.add_marker(skip)


def pytest_configure() -> None:
    """Let the tests speak of a viewer as napari 0.9 does, with older releases too."""
    if int(version("napari").split(".")[1]) < 9:
        from napari.components import ViewerModel

        ViewerModel.scene = ViewerModel.canvas = property(lambda self: self)


@pytest.fixture(autouse=True)
def nothing_was_guarded(request, monkeypatch):
    """Fail if a part of a refresh raised something, unless the test is marked ``guarded``."""
    if "napari" not in sys.modules:
        yield
        return
    from napari_dinov3_sim.session.guard import Guard

    raised, run = [], Guard.run

    def noting(self, part, work, /, *args, **kwargs):
        def noted(*args, **kwargs):
            try:
                return work(*args, **kwargs)
            except Exception as error:
                raised.append(error)
                raise

        return run(self, part, noted, *args, **kwargs)

    monkeypatch.setattr(Guard, "run", noting)
    yield
    if raised and request.node.get_closest_marker("guarded") is None:
        raise raised[0]

"""No test reads or writes what is remembered of models for the user, or passes over a failure."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from napari_dinov3_sim.backbones import identity

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def identity_folder(tmp_path_factory, monkeypatch) -> Path:
    """An empty folder of model identities for every test."""
    folder = tmp_path_factory.mktemp("identities")
    monkeypatch.setattr(identity, "identity_folder", lambda: folder)
    return folder


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

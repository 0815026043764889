"""No test reads or writes what is remembered of models for the user."""

from __future__ import annotations

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

"""Fixtures: a viewer model, a session that works inline, a backbone without a network."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner

from .brute_force import PatchProjection


@pytest.fixture
def backbone() -> PatchProjection:
    return PatchProjection()


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def session(viewer, backbone):
    session = SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())
    yield session
    session.close()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)

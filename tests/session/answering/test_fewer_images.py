"""Thresholds, limits and histograms are those of the images that are shown now."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_dinov3_sim.core.search import combine
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from patience import PATIENCE

from ..brute_force import PatchProjection


def images():
    """The last one is much like the first, and its scores are far from all others."""
    rng = np.random.default_rng(0)
    plain = [rng.normal(size=(96, 96)) for _ in range(3)]
    return [*plain, np.tile(plain[0][:16, :16], (6, 6))]


def over_all(session):
    return {
        "limits": session.limits,
        "thresholds": session.thresholds,
        "histograms": {name: list(found) for name, found in session.histograms.items()},
        "heatmaps": [layer.contrast_limits for layer in session.heatmaps.values()],
    }


def started(data, runner):
    viewer = ViewerModel()
    session = SimilaritySession(viewer, backbone=PatchProjection(), runner=runner)
    layers = [viewer.add_image(pixels, name=f"{n}") for n, pixels in enumerate(data)]
    session.add_query(layers[0], 8, 8)
    return session, layers


@pytest.fixture
def expected():
    """What a session shows that never had the last image."""
    session, _ = started(images()[:-1], InlineRunner())
    yield over_all(session)
    session.close()


@pytest.fixture(params=[InlineRunner, ThreadRunner])
def session(request):
    session, _ = started(images(), request.param())
    session.wait(PATIENCE)
    yield session
    session.close()


def test_an_image_that_was_removed_does_not_count(session, expected):
    assert over_all(session) != expected
    session._viewer.layers.remove("3")
    session.wait(PATIENCE)
    assert over_all(session) == expected


def test_an_image_that_is_not_ticked_any_more_does_not_count(session, expected):
    last = session.images[-1]
    before = over_all(session)
    session.set_target(last, ticked=False)
    session.wait(PATIENCE)
    assert over_all(session) == expected
    session.set_target(last, ticked=True)
    session.wait(PATIENCE)
    assert over_all(session) == before


def test_an_image_that_leaves_while_it_is_compared_does_not_count(monkeypatch, expected):
    score, begun, go_on = combine.score_classes, threading.Event(), threading.Event()

    def held(*arguments):
        begun.set()
        go_on.wait(PATIENCE)
        return score(*arguments)

    session, layers = started(images(), ThreadRunner())
    try:
        session.wait(PATIENCE)
        session.queries.data = session.queries.data[:0]
        session.wait(PATIENCE)
        monkeypatch.setattr(combine, "score_classes", held)
        session.add_query(layers[0], 8, 8)
        assert begun.wait(PATIENCE)
        session._viewer.layers.remove(layers[-1])
        go_on.set()
        session.wait(PATIENCE)
        assert over_all(session) == expected
    finally:
        session.close()


def test_when_all_images_leave_nothing_is_asked(session):
    session._viewer.layers.clear()
    session.wait(PATIENCE)
    assert not session.heatmaps
    assert not session.busy

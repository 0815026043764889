"""The rooms around the coordinator: how often they look, and what waits for what."""

from __future__ import annotations

import sys
from contextlib import closing

import pandas as pd
import pytest

from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner


@pytest.fixture
def image(viewer, rng):
    return viewer.add_image(rng.normal(size=(40, 40)), name="image")


def test_a_refresh_looks_for_the_shown_planes_once(session, viewer, image, rng, monkeypatch):
    viewer.add_image(rng.normal(size=(40, 40)), name="other")
    session.add_query(image, 5, 5)
    found, planes = [], session._targets.planes
    monkeypatch.setattr(session._targets, "planes", lambda: found.append(planes()) or found[-1])
    session._schedule()
    assert [len(shown) for shown in found] == [2]
    assert session.status == "2 heatmaps for 1 point."


class HeldRunner(InlineRunner):
    """Keeps the first job until it is told to go on."""

    def __init__(self):
        super().__init__()
        self.held = []

    def submit(self, lane, job, receive):
        if self.held:
            return super().submit(lane, job, receive)
        self.held.append((lane, job, receive))
        return None

    def go_on(self):
        super().submit(*self.held[0])


def test_the_points_layer_waits_until_a_worker_has_imported_pandas(
    viewer, backbone, image, monkeypatch
):
    monkeypatch.delitem(sys.modules, "pandas")
    runner = HeldRunner()
    with closing(SimilaritySession(viewer, backbone=backbone, runner=runner)) as session:
        assert session.busy
        assert session.queries is None
        monkeypatch.setitem(sys.modules, "pandas", pd)
        runner.go_on()
        assert not session.busy
        assert session.queries is not None


def test_nothing_waits_where_pandas_is_imported(viewer, backbone, image):
    runner = HeldRunner()
    with closing(SimilaritySession(viewer, backbone=backbone, runner=runner)) as session:
        assert session.queries is not None

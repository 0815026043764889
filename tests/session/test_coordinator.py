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


def test_what_has_not_changed_is_the_same_object_in_the_next_state(session, viewer, image, rng):
    viewer.add_image(rng.normal(size=(40, 40)), name="other")
    session.add_query(image, 5, 5)
    before = session._coordinator.state
    assert len(before.images.planes) == 2
    session._coordinator.schedule()
    assert session._coordinator.state is not before
    assert session._coordinator.state.images is before.images
    assert session._coordinator.state.picked is before.picked
    session.add_query(image, 9, 9)
    after = session._coordinator.state
    assert after.images is before.images
    assert len(after.picked.picks) == 2
    viewer.layers[0].translate = (3, 0)
    assert session._coordinator.state.images is not after.images
    assert session.status == "2 heatmaps for 2 points."


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

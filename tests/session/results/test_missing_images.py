"""A result that was asked for too early says what it does not have."""

from __future__ import annotations

from contextlib import suppress

import dask.array as da
import numpy as np
import pytest

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import ThreadRunner
from patience import PATIENCE, wait_until

from ..brute_force import PatchProjection

pytestmark = pytest.mark.slow


class Slow(PatchProjection):
    """Embeds one image, and waits before the next until it is told to go on."""

    waits = True

    def embed_patches(self, pixel_values):
        found = super().embed_patches(pixel_values)
        if self.waits:
            self.gate.clear()
        return found

    def go_on(self):
        self.waits = False
        self.gate.set()


@pytest.fixture
def slow():
    backbone = Slow()
    yield backbone
    backbone.gate.set()


@pytest.fixture
def session(viewer, slow):
    session = SimilaritySession(viewer, backbone=slow, runner=ThreadRunner())
    yield session
    slow.go_on()
    session.close()


@pytest.fixture
def said(session):
    sentences = []
    session.results.done.connect(sentences.append)
    return sentences


def deliver(session, until):
    """Go on until something has happened, also if the rest takes longer or fails."""

    def go_on():
        with suppress(TimeoutError, SimilarityError):
            session.wait(0)

    wait_until(until, go_on)


def images(viewer, rng, count):
    return [viewer.add_image(rng.normal(size=(48, 64)), name=name) for name in "abcdef"[:count]]


@pytest.fixture
def early(session, viewer, rng):
    """Two more images are still being embedded."""
    a, *_ = images(viewer, rng, 3)
    session.add_query(a, 20, 20)
    deliver(session, lambda: bool(session.heatmaps))


@pytest.mark.parametrize("ask", ["labels", "peaks", "save_csv", "colours"])
def test_what_is_still_being_embedded_is_named(session, slow, said, early, tmp_path, ask):
    path = [tmp_path / "peaks.csv"] if ask == "save_csv" else []
    getattr(session.results, ask)(*path)
    deliver(session, lambda: bool(said))
    assert said[0].startswith("Press again when b and c are embedded: ")
    assert " 1 of 3 images" in said[0] or ask == "save_csv"
    slow.go_on()
    session.wait(PATIENCE)
    getattr(session.results, ask)(*path)
    session.wait(PATIENCE)
    assert "press" not in said[1].lower()
    assert " 3 images" in said[1] or ask == "save_csv"


def test_of_many_some_are_named(session, viewer, rng, said):
    session.add_query(images(viewer, rng, 6)[0], 20, 20)
    deliver(session, lambda: bool(session.heatmaps))
    session.results.labels(0.2)
    deliver(session, lambda: bool(said))
    assert " in 1 of 6 images " in said[0]
    assert said[0].startswith("Press again when b, c, d and 2 more are embedded: ")


def test_what_was_cancelled_does_not_come_by_itself(session, slow, said, early):
    session.cancel()
    slow.go_on()
    session.results.labels(0.2)
    session.results.colours()
    session.wait(PATIENCE)
    assert said[0].startswith("Press Embed and try again, b and c have no heatmap: ")
    assert said[1] == (
        "Press Embed and try again, b and c are not embedded yet: colours of the embeddings of 1 "
        "of 3 images."
    )


def test_what_failed_does_not_come_by_itself(session, slow, viewer, rng, said):
    def gone(block):
        raise OSError("the file has been deleted")

    slow.go_on()
    lazy = da.zeros((40, 40), chunks=40).map_blocks(gone, dtype=float, meta=np.empty(0))
    viewer.add_image(lazy, name="broken", contrast_limits=(0, 1), visible=False)
    session.add_query(images(viewer, rng, 1)[0], 20, 20)
    deliver(session, lambda: bool(session.heatmaps) and not session.busy)
    session.results.peaks(0.2)
    deliver(session, lambda: bool(said))
    assert " in 1 of 2 images " in said[0]
    assert said[0].startswith("Press Embed and try again, broken has no heatmap: ")


def test_planes_out_of_sight_are_waited_for_too(session, slow, viewer, rng, said):
    stack = viewer.add_image(rng.normal(size=(4, 48, 64)), name="stack")
    session.all_planes = True
    session.add_query(stack, 20, 20)
    deliver(session, lambda: bool(session.heatmaps))
    session.results.labels(0.2)
    deliver(session, lambda: bool(said))
    assert said[0].startswith("Press again when all planes are embedded: ")
    slow.go_on()
    session.wait(PATIENCE)
    session.results.labels(0.2)
    session.wait(PATIENCE)
    assert "press" not in said[1].lower()

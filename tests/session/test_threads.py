"""With real threads: nothing waits, nothing stale is shown, and whatever fails says so."""

from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel

from heatmap_values import over_image
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling
from napari_dinov3_sim.core.errors import BackboneError, ImageError, SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import ThreadRunner
from napari_dinov3_sim.session.worker_messages import Progress
from patience import PATIENCE, deliver_until, wait_until

from .brute_force import PatchProjection, reference_embeddings, reference_map, reference_window

pytestmark = pytest.mark.slow


@pytest.fixture
def session(viewer, backbone):
    session = SimilaritySession(
        viewer, backbone=backbone, runner=ThreadRunner(), recipe=Recipe(Tiling(32, 0))
    )
    yield session
    backbone.gate.set()
    session.close()


def own_map(layer):
    embeddings = reference_embeddings(layer.data, *reference_window(layer.data))
    return reference_map(embeddings[0, 0], embeddings, layer.data.shape)


def test_embed_returns_at_once_and_wait_waits(session, viewer, rng, backbone):
    backbone.gate.clear()
    image = viewer.add_image(rng.normal(size=(70, 70)))
    session.add_query(image, 0, 0)
    session.embed()
    assert session.busy
    assert session.heatmaps == {}
    with pytest.raises(TimeoutError):
        session.wait(0)
    backbone.gate.set()
    session.wait(PATIENCE)
    assert not session.busy
    np.testing.assert_allclose(
        over_image(image, session.heatmaps[image]), own_map(image), atol=1e-5
    )


def test_progress_counts_the_pixels_of_all_images(session, viewer, rng):
    seen = []
    session.progressed.connect(seen.append)
    for size in (30, 60, 90):
        viewer.add_image(rng.normal(size=(size, size)), name=str(size))
    session.embed()
    session.wait(PATIENCE)
    totals = {message.total for message in seen if isinstance(message, Progress)}
    done = [message.done for message in seen if isinstance(message, Progress)]
    assert totals == {30**2 + 60**2 + 90**2}
    assert done == sorted(done)
    assert done[-1] == 30**2 + 60**2 + 90**2
    assert seen[-1] is None


def test_cancel_keeps_what_is_done_and_the_next_click_goes_on(session, viewer, rng, backbone):
    first = viewer.add_image(rng.normal(size=(30, 30)), name="first")
    session.embed()
    session.wait(PATIENCE)
    second = viewer.add_image(rng.normal(size=(90, 90)), translate=(0, 100), name="second")
    backbone.gate.clear()
    backbone.entered.clear()
    session.add_query(first, 0, 0)
    assert backbone.entered.wait(PATIENCE)
    session.cancel()
    assert not session._coordinator.embedder.busy
    backbone.gate.set()
    session.wait(PATIENCE)
    calls = backbone.calls
    assert set(session.heatmaps) == {first}
    session.add_query(first, 1, 1)
    session.wait(PATIENCE)
    assert set(session.heatmaps) == {first, second}
    assert backbone.calls == calls + 9


def test_a_layer_that_vanishes_while_it_is_embedded_loses_nothing_else(
    session, viewer, rng, backbone
):
    stays = viewer.add_image(rng.normal(size=(90, 90)), name="stays")
    goes = viewer.add_image(rng.normal(size=(90, 90)), translate=(0, 100), name="goes")
    backbone.gate.clear()
    session.add_query(stays, 0, 0)
    assert backbone.entered.wait(PATIENCE)
    viewer.layers.remove(goes)
    backbone.gate.set()
    session.wait(PATIENCE)
    assert set(session.heatmaps) == {stays}


def test_pixels_that_change_while_they_are_embedded_are_embedded_again(
    session, viewer, rng, backbone
):
    image = viewer.add_image(rng.normal(size=(90, 90)))
    backbone.gate.clear()
    session.add_query(image, 0, 0)
    assert backbone.entered.wait(PATIENCE)
    image.data = rng.normal(size=(50, 40))
    backbone.gate.set()
    session.wait(PATIENCE)
    np.testing.assert_allclose(
        over_image(image, session.heatmaps[image]), own_map(image), atol=1e-5
    )


def test_a_model_chosen_while_another_embeds_gives_the_answer(session, viewer, rng, backbone):
    image = viewer.add_image(rng.normal(size=(90, 90)))
    backbone.gate.clear()
    session.add_query(image, 0, 0)
    assert backbone.entered.wait(PATIENCE)
    other = PatchProjection("projection-2")
    session.set_model(other)
    backbone.gate.set()
    session.wait(PATIENCE)
    state = session._coordinator.embedder.handle(
        next(iter(session._coordinator.targets.resolve().planes.values())).key
    ).state
    assert state.fingerprint == "projection-2"
    assert set(session.heatmaps) == {image}


def test_only_the_last_of_many_questions_is_shown(session, viewer, rng):
    image = viewer.add_image(rng.normal(size=(90, 90)))
    session.embed()
    session.wait(PATIENCE)
    shown = []
    session.answered.connect(lambda: shown.append(1))
    session.add_query(image, 40, 40)
    points = session.queries
    for step in range(50):
        points.data = np.array([[step, step]])
    points.data = np.array([[0, 0]])
    session.wait(PATIENCE)
    np.testing.assert_allclose(
        over_image(image, session.heatmaps[image]), own_map(image), atol=1e-5
    )
    assert len(shown) <= 2, "no queue builds up: the first question, and the last"


def test_closing_while_embedding_ends_the_thread(session, viewer, rng, backbone):
    viewer.add_image(rng.normal(size=(90, 90)))
    backbone.gate.clear()
    session.embed()
    assert backbone.entered.wait(PATIENCE)
    session.close()
    backbone.gate.set()
    names = lambda: [thread.name for thread in threading.enumerate()]  # noqa: E731
    wait_until(lambda: not any("napari-dinov3-sim-embed" in name for name in names()))
    assert backbone.calls == 1, "it stopped at the tile it was at"


def test_two_viewers_do_not_meet(backbone, rng):
    sessions = [
        SimilaritySession(ViewerModel(), backbone=backbone, runner=ThreadRunner())
        for _ in range(2)
    ]
    for session in sessions:
        image = session._viewer.add_image(rng.normal(size=(40, 40)))
        session.add_query(image, 0, 0)
    for session in sessions:
        session.wait(PATIENCE)
        assert list(session.heatmaps) == session.images
        session.close()


def test_a_click_is_answered_while_another_image_is_embedded(session, viewer, rng, backbone):
    first = viewer.add_image(rng.normal(size=(30, 30)))
    session.embed()
    session.wait(PATIENCE)
    backbone.gate.clear()
    backbone.entered.clear()
    viewer.add_image(rng.normal(size=(90, 90)), translate=(0, 100))
    session.add_query(first, 0, 0)
    deliver_until(session, lambda: first in session.heatmaps)
    assert session._coordinator.embedder.busy


# -- failures ---------------------------------------------------------------------------------


def failing(*errors):
    """A loader that fails with each error in turn, then loads."""
    left = list(errors)

    def load(name, report):
        report(f"Downloading {name}", 1, 2)
        if left:
            raise left.pop(0)
        return PatchProjection()

    return load


def test_a_model_that_cannot_be_had_says_so_once_and_waits_to_be_asked(viewer, rng):
    error = BackboneError("The model x is gated; ask for access.")
    session = SimilaritySession(
        viewer, backbone="x", runner=ThreadRunner(), load_model=failing(error)
    )
    failures, progress = [], []
    session.failed.connect(failures.append)
    session.progressed.connect(progress.append)
    image = viewer.add_image(rng.normal(size=(40, 40)))
    session.add_query(image, 0, 0)
    with pytest.raises(BackboneError, match="is gated"):
        session.wait(PATIENCE)
    assert [failure.subject for failure in failures] == ["model"]
    assert Progress("Downloading x", 1, 2) in progress
    assert progress[-1] is None
    session.add_query(image, 1, 1)
    session.wait(PATIENCE)
    assert len(failures) == 1, "not at every click again"
    session.embed()
    session.wait(PATIENCE)
    assert set(session.heatmaps) == {image}
    session.close()


def test_a_bug_in_a_loader_is_reported_not_swallowed(viewer, rng):
    session = SimilaritySession(
        viewer, backbone="x", runner=ThreadRunner(), load_model=failing(ZeroDivisionError("oops"))
    )
    viewer.add_image(rng.normal(size=(40, 40)))
    session.embed()
    with pytest.raises(SimilarityError, match="ZeroDivisionError: oops"):
        session.wait(PATIENCE)
    assert not session.busy
    session.close()


def test_one_bad_image_does_not_stop_the_others(session, viewer, rng):
    def broken(block):
        raise OSError("the disk is gone")

    lazy = da.from_array(rng.normal(size=(40, 40))).map_blocks(
        broken, dtype=float, meta=np.empty((0, 0))
    )
    good = viewer.add_image(rng.normal(size=(40, 40)), name="good")
    failures = []
    session.failed.connect(failures.append)
    from napari.layers import Image

    bad = Image(np.zeros((40, 40)), name="bad", translate=(0, 100))
    viewer.add_layer(bad)
    bad._data = lazy
    bad.events.data()
    session.add_query(good, 0, 0)
    with pytest.raises(
        ImageError, match=r"pixels of bad cannot be read any more.*open the image again"
    ):
        session.wait(PATIENCE)
    assert len(failures) == 1
    assert set(session.heatmaps) == {good}


def test_a_gpu_that_runs_out_of_memory_leaves_a_usable_session(session, viewer, rng, backbone):
    image = viewer.add_image(rng.normal(size=(40, 40)))
    working = backbone.embed_patches

    def full(pixel_values):
        raise BackboneError("The model x does not fit the GPU's memory; load it on the CPU.")

    backbone.embed_patches = full
    session.add_query(image, 0, 0)
    with pytest.raises(BackboneError, match="does not fit"):
        session.wait(PATIENCE)
    backbone.embed_patches = working
    session.add_query(image, 1, 1)
    session.wait(PATIENCE)
    assert session.heatmaps == {}, "not tried again at every click"
    session.embed()
    session.wait(PATIENCE)
    assert set(session.heatmaps) == {image}

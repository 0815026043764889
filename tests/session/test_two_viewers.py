"""Several viewers, several sessions, and what goes away in the middle: no error, no leak."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest
from napari.components import ViewerModel

from heatmap_values import over_image
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from patience import PATIENCE, wait_until

from .brute_force import (
    PATCH,
    PatchProjection,
    over_pixels,
    reference_embeddings,
    reference_window,
)

pytestmark = pytest.mark.slow


def own_map(image, x=0, y=0):
    embeddings = reference_embeddings(image.data, *reference_window(image.data))
    return over_pixels(embeddings @ embeddings[y // PATCH, x // PATCH], image.data.shape)


def check(session, image, x=0, y=0):
    np.testing.assert_allclose(
        over_image(image, session.heatmaps[image]), own_map(image, x, y), atol=1e-4
    )


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("napari-dinov3-sim")]


@pytest.fixture
def threaded(viewer, backbone):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    yield session
    backbone.gate.set()
    session.close()


# -- several at once ----------------------------------------------------------------------------


def test_two_viewers_know_nothing_of_each_other(rng):
    viewers = [ViewerModel(), ViewerModel()]
    models = [PatchProjection("projection-1"), PatchProjection("projection-2")]
    sessions = [
        SimilaritySession(viewer, backbone=model, runner=ThreadRunner())
        for viewer, model in zip(viewers, models, strict=True)
    ]
    images = [
        [viewer.add_image(rng.normal(size=(50, 40)), translate=(0, 60 * n)) for n in range(2)]
        for viewer in viewers
    ]
    for step in range(5):
        for session, mine in zip(sessions, images, strict=True):
            session.class_name = f"class {step % 2}"
            session.add_query(mine[step % 2], 5 * step, 8 * step)
    sessions[0].combination = "best"
    for session in sessions:
        session.wait(PATIENCE)
    for session, viewer, mine in zip(sessions, viewers, images, strict=True):
        assert set(session.heatmaps) == set(mine) == set(session.class_maps)
        assert len(session.queries.data) == 5
        assert session.queries in viewer.layers
    sessions[0].close()
    sessions[1].queries.data = np.array([[0.0, 0.0]])
    sessions[1].wait(PATIENCE)
    check(sessions[1], images[1][0])
    sessions[1].close()


def test_one_array_in_two_viewers_is_embedded_for_each_and_right_in_both(backbone, rng):
    data = rng.normal(size=(50, 40))
    sessions = [
        SimilaritySession(ViewerModel(), backbone=backbone, runner=InlineRunner())
        for _ in range(2)
    ]
    for number, session in enumerate(sessions):
        image = session._viewer.add_image(data)
        session.add_query(image, 20 * number, 30 * number)
        check(session, image, 20 * number, 30 * number)
        session.close()


def test_two_sessions_on_one_viewer_do_not_fight(viewer, backbone, rng):
    first = SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())
    image = viewer.add_image(rng.normal(size=(50, 40)))
    first.add_query(image, 5, 5)
    second = SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())
    assert second.queries == first.queries
    first.add_query(image, 30, 40)
    second.queries.data = np.array([[0.0, 0.0]])
    heatmaps = [layer for layer in viewer.layers if mark_of(layer, "heatmap")]
    assert len(heatmaps) == 1
    check(first, image)
    check(second, image)
    first.close()
    second.queries.data = np.array([[40.0, 30.0]])
    check(second, image, 30, 40)
    second.close()
    assert heatmaps[0] in viewer.layers


# -- what goes away in the middle -----------------------------------------------------------------


def test_a_session_closed_while_it_embeds_leaves_the_viewer_and_no_thread(
    threaded, viewer, backbone, rng
):
    image = viewer.add_image(rng.normal(size=(50, 40)))
    backbone.gate.clear()
    threaded.add_query(image, 5, 5)
    assert backbone.entered.wait(PATIENCE)
    threaded.close()
    backbone.gate.set()
    wait_until(lambda: not threads())
    assert threaded.heatmaps == {}
    assert not any(mark_of(layer, "heatmap") for layer in viewer.layers)
    image.data = rng.normal(size=(20, 20))
    viewer.layers.clear()


def test_a_viewer_cleared_while_it_embeds(threaded, viewer, backbone, rng):
    image = viewer.add_image(rng.normal(size=(50, 40)))
    backbone.gate.clear()
    threaded.add_query(image, 5, 5)
    assert backbone.entered.wait(PATIENCE)
    viewer.layers.clear()
    backbone.gate.set()
    threaded.wait(PATIENCE)
    assert len(viewer.layers) == 0
    assert not threaded.busy
    again = viewer.add_image(rng.normal(size=(30, 40)))
    threaded.add_query(again, 0, 0)
    threaded.wait(PATIENCE)
    check(threaded, again)


def test_a_layer_removed_while_its_answer_is_on_the_way(threaded, viewer, rng):
    stays = viewer.add_image(rng.normal(size=(50, 40)))
    goes = viewer.add_image(rng.normal(size=(50, 40)), translate=(0, 60))
    threaded.embed()
    threaded.wait(PATIENCE)
    threaded.add_query(stays, 0, 0)
    threaded._runner._lanes["answer"].submit(int).result(PATIENCE)
    viewer.layers.remove(goes)
    threaded.wait(PATIENCE)
    check(threaded, stays)
    assert list(threaded.heatmaps) == [stays]
    assert sum(bool(mark_of(layer, "heatmap")) for layer in viewer.layers) == 1


def test_pixels_replaced_in_place_while_they_are_embedded(threaded, viewer, backbone, rng):
    image = viewer.add_image(rng.normal(size=(50, 40)))
    backbone.gate.clear()
    threaded.add_query(image, 0, 0)
    assert backbone.entered.wait(PATIENCE)
    image.data[...] = rng.normal(size=(50, 40))
    image.refresh()
    threaded.embed()
    backbone.gate.set()
    threaded.wait(PATIENCE)
    check(threaded, image)


def test_a_points_layer_removed_while_its_answer_is_on_the_way(threaded, viewer, rng):
    image = viewer.add_image(rng.normal(size=(50, 40)))
    threaded.embed()
    threaded.wait(PATIENCE)
    threaded.add_query(image, 0, 0)
    threaded._runner._lanes["answer"].submit(int).result(PATIENCE)
    viewer.layers.remove(threaded.queries)
    threaded.wait(PATIENCE)
    assert threaded.heatmaps == {}


def test_close_twice_and_use_after_close_harm_nothing(threaded, viewer, rng):
    image = viewer.add_image(rng.normal(size=(50, 40)))
    threaded.add_query(image, 0, 0)
    threaded.wait(PATIENCE)
    threaded.close()
    threaded.close()
    threaded.embed()
    threaded.cancel()
    threaded.wait(PATIENCE)
    threaded.all_planes = True
    threaded.combination = "best"
    threaded.undo()
    assert not threaded.busy


# -- nothing is kept ------------------------------------------------------------------------------


@pytest.mark.parametrize("runner", [InlineRunner, ThreadRunner])
def test_nothing_of_a_closed_session_is_kept(viewer, rng, runner):
    backbone = PatchProjection()
    session = SimilaritySession(viewer, backbone=backbone, runner=runner())
    # Without a name napari looks for one in this frame, whose variables then outlive `del`.
    image = viewer.add_image(rng.normal(size=(3, 50, 40)), name="stack")
    session.all_planes = True
    session.add_query(image, 5, 5, class_name="cell")
    session.add_query(image, 30, 30, class_name="debris")
    session.wait(PATIENCE)
    session.undo()
    session.wait(PATIENCE)
    seen = weakref.ref(session), weakref.ref(backbone), weakref.ref(session.store)
    states = [
        weakref.ref(state) for state in session._coordinator.embedder._record.states.values()
    ]
    assert states
    session.close()
    del session, backbone
    wait_until(lambda: not threads())
    gc.collect()
    assert [ref() for ref in (*seen, *states)] == [None] * (len(seen) + len(states))
    assert image in viewer.layers


def test_nothing_of_a_removed_image_is_kept_but_within_the_budget(viewer, backbone, rng):
    session = SimilaritySession(viewer, backbone=backbone, runner=InlineRunner(), memory_budget=0)
    stays = viewer.add_image(rng.normal(size=(50, 40)))
    goes = viewer.add_image(rng.normal(size=(50, 40)), translate=(0, 60))
    session.add_query(goes, 5, 5)
    session.add_query(stays, 5, 5)
    states = {
        k.layer_id: weakref.ref(s) for k, s in session._coordinator.embedder._record.states.items()
    }
    assert len(states) == 2
    viewer.layers.remove(goes)
    gc.collect()
    assert states[goes.unique_id]() is None
    assert states[stays.unique_id]() is not None
    session.close()

"""Sequences that have gone wrong once, and what must be true after them."""

from __future__ import annotations

import asyncio

import dask.array as da
import numpy as np
import pytest
import torch
from napari.layers import Image

from heatmap_values import over_image
from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.errors import BackboneError, SimilarityError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.state import PatchImageState
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from napari_dinov3_sim.store import MemoryStore
from patience import PATIENCE

from .brute_force import (
    PATCH,
    PatchProjection,
    reference_embeddings,
    reference_map,
    reference_query,
    reference_window,
)

pytestmark = pytest.mark.slow


def embed(plane, data=None):
    return reference_embeddings(plane, *reference_window(plane if data is None else data))


def own_map(image, x, y):
    embeddings = embed(image.data)
    return reference_map(embeddings[y // PATCH, x // PATCH], embeddings, image.data.shape)


def shown(session, image):
    return over_image(image, session.heatmaps[image])


@pytest.fixture
def image(viewer, rng):
    return viewer.add_image(rng.normal(size=(60, 60)), name="image")


@pytest.fixture
def other(viewer, rng):
    return viewer.add_image(rng.normal(size=(60, 60)), translate=(0, 100), name="other")


def test_a_layer_that_comes_back_with_other_pixels_is_embedded_anew(session, viewer, image, rng):
    session.add_query(image, 5, 5)
    viewer.layers.remove(image)
    image.data = rng.normal(size=(60, 60))
    viewer.layers.insert(0, image)
    session.wait(PATIENCE)
    np.testing.assert_allclose(shown(session, image), own_map(image, 5, 5), atol=1e-5)


def test_embed_reads_every_plane_of_a_stack_again(session, viewer, rng):
    data = rng.normal(size=(3, 40, 40))
    stack = viewer.add_image(data)
    viewer.dims.set_current_step(0, 1)
    session.add_query(stack, 5, 5)
    viewer.dims.set_current_step(0, 0)
    data[...] = rng.normal(size=data.shape) * 3
    session.embed()
    query = embed(data[1], data)[0, 0]
    for plane in (0, 1):
        viewer.dims.set_current_step(0, plane)
        wanted = reference_map(query, embed(data[plane], data), (40, 40))
        np.testing.assert_allclose(shown(session, stack)[plane], wanted, atol=1e-5)


def test_an_image_that_cannot_be_embedded_again_keeps_no_old_answer(
    session, image, other, backbone, monkeypatch
):
    session.add_query(image, 5, 5)
    assert len(session.heatmaps) == 2
    working = backbone.embed_patches

    def fail(pixels):
        raise BackboneError("The GPU is full.")

    monkeypatch.setattr(backbone, "embed_patches", fail)
    other.data[:] = other.data * 2 + np.eye(60)
    session.embed()
    with pytest.raises(BackboneError):
        session.wait(PATIENCE)
    session.queries.data = session.queries.data + 20
    assert list(session.heatmaps) == [image]
    monkeypatch.setattr(backbone, "embed_patches", working)
    session.embed()
    assert len(session.heatmaps) == 2


def test_a_click_whose_image_was_cancelled_leaves_no_answer_without_it(viewer, rng, backbone):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    first = viewer.add_image(rng.normal(size=(40, 40)))
    session.add_query(first, 5, 5)
    session.wait(PATIENCE)
    backbone.gate.clear()
    backbone.entered.clear()
    late = viewer.add_image(rng.normal(size=(40, 40)), translate=(0, 100))
    session.add_query(late, 5, 5)
    assert backbone.entered.wait(PATIENCE)
    session.cancel()
    backbone.gate.set()
    session.wait(PATIENCE)
    assert session.heatmaps == {}
    assert "press Embed" in session.status
    session.embed()
    session.wait(PATIENCE)
    assert set(session.heatmaps) == {first, late}
    session.close()


def test_a_stack_beyond_the_slider_keeps_no_answer_to_an_older_question(session, viewer, rng):
    short = viewer.add_image(rng.normal(size=(3, 40, 40)))
    long = viewer.add_image(rng.normal(size=(10, 40, 40)), translate=(0, 0, 100))
    viewer.dims.set_current_step(0, 1)
    session.add_query(long, 5, 5)
    assert set(session.heatmaps) == {short, long}
    viewer.dims.set_current_step(0, 8)
    session.queries.data = session.queries.data + np.array([0, 20, 0])
    assert set(session.heatmaps) == {long}


def test_moving_the_points_layer_moves_the_query(session, image):
    session.add_query(image, 5, 5)
    session.queries.translate = (32, 16)
    np.testing.assert_allclose(shown(session, image), own_map(image, 21, 37), atol=1e-5)


def test_a_point_outside_survives_the_3d_view(session, viewer, image):
    session.add_query(image, 5, 5)
    session.set_target(image, False)
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    session.set_target(image, True)
    assert list(session.heatmaps) == [image]


def test_points_in_another_order_keep_their_images(session, viewer, image, rng):
    session.add_query(image, 40, 40)
    top = viewer.add_image(rng.normal(size=(60, 60)), name="top")
    session.add_query(top, 5, 5)
    before = shown(session, top)
    session.queries.data = session.queries.data[::-1].copy()
    np.testing.assert_allclose(shown(session, top), before, atol=1e-5)


def test_clicks_in_the_grid_are_ignored_and_it_is_said(session, viewer, image, other):
    session.add_query(image, 5, 5)
    before = shown(session, image)
    viewer.canvas.grid.enabled = True
    session.queries.add((40, 40))
    np.testing.assert_array_equal(shown(session, image), before)
    assert "Clicks in the grid are not queries" in session.status
    viewer.canvas.grid.enabled = False


def test_finer_units_of_any_layer_do_not_lose_the_next_click(session, viewer, rng):
    image = viewer.add_image(rng.normal(size=(60, 60)), units="um")
    viewer.add_labels(np.zeros((60, 60), int), units="nm")
    points = session.queries
    points.add(points.world_to_data((5 * 1000, 40 * 1000)))
    np.testing.assert_allclose(shown(session, image), own_map(image, 40, 5), atol=1e-5)


def test_a_flat_point_on_a_stack_stays_on_its_plane(session, viewer, image, rng):
    session.add_query(image, 5, 5)
    stack = viewer.add_image(rng.normal(size=(4, 40, 40)), translate=(0, 0, 100))
    assert session.queries.ndim == 2
    viewer.dims.set_current_step(0, 1)
    session.queries.add((5, 105))
    first = shown(session, image)
    viewer.dims.set_current_step(0, 3)
    np.testing.assert_allclose(shown(session, image), first, atol=1e-5)
    vectors = [embed(image.data)[0, 0], embed(stack.data[1], stack.data)[0, 0]]
    wanted = reference_map(reference_query(vectors), embed(stack.data[3], stack.data), (40, 40))
    np.testing.assert_allclose(shown(session, stack)[3], wanted, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize("options", [{"rotate": (0, 20, 0)}, {"shear": (0.3, 0.2, 0)}])
def test_the_plane_is_the_one_that_napari_shows(session, viewer, rng, options):
    stack = viewer.add_image(rng.normal(size=(12, 40, 40)), **options)
    for step in range(0, viewer.dims.nsteps[0], 3):
        viewer.dims.set_current_step(0, step)
        raw = stack._slice.image.raw
        planes = list(session._coordinator.targets.resolve().planes.values())
        if planes and not stack._slice.empty:
            ((_, index),) = planes[0].key.position
            np.testing.assert_array_equal(stack.data[index], raw)
    assert planes or stack._slice.empty


def test_a_heatmap_comes_back_above_its_image(session, viewer, image, other):
    session.add_query(image, 5, 5)
    viewer.layers.move(viewer.layers.index(image), len(viewer.layers))
    layers = viewer.layers
    assert layers.index(session.heatmaps[image]) == layers.index(image) + 1


def test_copies_of_our_layers_are_the_users(session, viewer, image, backbone):
    session.add_query(image, 5, 5)
    heatmap, points = session.heatmaps[image], session.queries
    copy = Image(heatmap.data.copy(), name="copy", metadata=dict(heatmap.metadata))
    viewer.add_layer(copy)
    kept = np.array(copy.data)
    session.close()
    again = SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())
    assert again.heatmaps == {image: heatmap}
    assert again.queries == points
    assert copy not in again.images
    again.queries.data = again.queries.data + 20
    again.queries.data = np.empty((0, 2))
    assert heatmap not in viewer.layers
    assert copy in viewer.layers
    np.testing.assert_array_equal(copy.data, kept)
    again.close()


def test_an_array_taken_from_a_heatmap_never_changes(session, image):
    session.add_query(image, 5, 5)
    taken = session.heatmaps[image].data
    kept = np.array(taken)
    session.add_query(image, 50, 50)
    np.testing.assert_array_equal(taken, kept)
    assert np.abs(session.heatmaps[image].data - kept).max() > 1e-3


def test_a_nan_coordinate_is_a_point_on_no_image(session, viewer, rng):
    stack = viewer.add_image(rng.normal(size=(3, 40, 40)))
    session.add_query(stack, 5, 5)
    before = shown(session, stack)
    session.queries.add([np.nan, 5, 5])
    np.testing.assert_array_equal(shown(session, stack), before)
    assert "1 point outside all ticked images." in session.status


def test_a_tensor_as_image(session, viewer):
    tensor = viewer.add_image(torch.arange(1600.0).reshape(40, 40), contrast_limits=(0, 1600))
    session.add_query(tensor, 5, 5)
    assert list(session.heatmaps) == [tensor]


def test_nothing_is_kept_of_pixels_that_are_gone(session, viewer, image, rng):
    session.add_query(image, 5, 5)
    for _ in range(5):
        image.data = rng.normal(size=(60, 60))
    record = session._coordinator.embedder._record
    assert len(record.embedded_planes()) == len(record.windows) == len(record.states) == 1
    viewer.layers.clear()
    assert not record.embedded_planes()
    assert not record.windows


def test_wait_on_a_closed_session_returns(viewer, image, backbone):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    session.embed()
    session.close()
    session.wait(PATIENCE)
    session.set_model(backbone)
    assert session.heatmaps == {}


def test_whatever_a_lazy_array_raises_the_session_comes_to_rest(viewer, rng, backbone):
    class Cancelled:
        shape, ndim, dtype = (40, 40), 2, np.dtype(float)

        def __getitem__(self, key):
            raise asyncio.CancelledError

        def __array__(self, dtype=None, copy=None):
            return np.zeros(self.shape)

    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    layer = viewer.add_image(np.zeros((40, 40)))
    layer._data = Cancelled()
    layer.events.data()
    session.embed()
    with pytest.raises(SimilarityError, match="CancelledError"):
        session.wait(PATIENCE)
    assert not session.busy
    session.close()


def test_a_model_that_is_loading_is_loaded_once(viewer, rng):
    loads, backbone = [], PatchProjection()

    def load(name, report):
        loads.append(name)
        backbone.gate.wait(PATIENCE)
        return backbone

    backbone.gate.clear()
    session = SimilaritySession(viewer, backbone="x", runner=ThreadRunner(), load_model=load)
    first = viewer.add_image(rng.normal(size=(40, 40)))
    session.add_query(first, 5, 5)
    session.embed()
    late = viewer.add_image(rng.normal(size=(40, 40)), translate=(0, 100))
    session.cancel()
    session.add_query(first, 20, 20)
    backbone.gate.set()
    session.wait(PATIENCE)
    session.embed()
    session.wait(PATIENCE)
    assert set(session.heatmaps) == {first, late}
    assert len(loads) <= 2, "once, and once more at most after Cancel"
    session.set_model("x")
    session.wait(PATIENCE)
    assert set(session.heatmaps) == {first, late}
    assert len(loads) <= 2
    session.close()


def test_a_broken_stack_is_reported_once(session, viewer, rng):
    told = []
    session.failed.connect(told.append)

    def gone(block):
        raise OSError("the file has been deleted")

    lazy = da.zeros((5, 40, 40), chunks=(1, 40, 40)).map_blocks(
        gone, dtype=float, meta=np.empty(0)
    )
    # Hidden, because napari itself does not survive a slice that it cannot read.
    viewer.add_image(lazy, name="stack", contrast_limits=(0, 1), visible=False)
    good = viewer.add_image(rng.normal(size=(40, 40)), translate=(0, 100))
    session.add_query(good, 5, 5)
    for step in range(5):
        viewer.dims.set_current_step(0, step)
    session.add_query(good, 20, 20)
    assert len(told) == 1
    assert "The pixels of stack cannot be read any more (OSError" in told[0].message
    assert told[0].message.endswith("open the image again.")
    assert list(session.heatmaps) == [good]


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ({"colormap": "nope"}, "There is no colormap 'nope'; choose class, or one of"),
        ({"opacity": 3}, "Opacity goes from 0 to 1, not 3."),
        ({"blending": "nope"}, "There is no blending 'nope'; choose one of translucent"),
    ],
)
def test_a_style_that_does_not_exist_is_refused_and_harms_nothing(session, image, style, message):
    with pytest.raises(SimilarityError, match=message):
        session.style(**style)
    session.add_query(image, 5, 5)
    assert session.heatmaps[image].colormap.name == "class #00ffff"


def test_a_points_layer_that_comes_back_is_listened_to(session, viewer, image):
    session.add_query(image, 5, 5)
    points = session.queries
    viewer.layers.remove(points)
    assert session.heatmaps == {}
    viewer.add_layer(points)
    assert list(session.heatmaps) == [image]
    points.add((50, 50))
    assert session.queries == points


def test_a_heatmap_that_was_deleted_comes_back_with_embed(session, viewer, image):
    session.add_query(image, 5, 5)
    viewer.layers.remove(session.heatmaps[image])
    assert session.heatmaps == {}
    session.embed()
    assert list(session.heatmaps) == [image]


def test_a_heatmap_hidden_by_the_user_stays_hidden(session, image):
    session.add_query(image, 5, 5)
    session.heatmaps[image].visible = False
    image.visible = False
    image.visible = True
    assert not session.heatmaps[image].visible


def test_a_state_over_the_budget_drives_nothing_out():
    store = MemoryStore(1000)
    small, big = (
        PatchImageState(torch.zeros(n, 4), PatchGrid((16 * n, 16), 16), "f") for n in (2, 200)
    )
    store.put("small", small)
    store.put("big", big)
    assert store.get("small") is small
    assert store.get("big") is None


def test_a_backbone_that_tracks_gradients(rng):
    backbone = PatchProjection()
    plain = backbone.embed_patches
    backbone.embed_patches = lambda pixels: plain(pixels).requires_grad_()
    state = create_patch_image_state(rng.normal(size=(40, 40)), backbone)
    assert not state.embeddings_normalized.requires_grad


def loading(viewer, backbone):
    """A session whose model loads for as long as the gate of the backbone is closed."""
    loads = []

    def load(name, report):
        loads.append(name)
        backbone.gate.wait(PATIENCE)
        report("loading", 0, 0)
        return backbone

    backbone.gate.clear()
    session = SimilaritySession(viewer, backbone="x", runner=ThreadRunner(), load_model=load)
    return session, loads


def test_cancel_while_the_model_loads_starts_no_second_load(viewer, rng, backbone):
    session, loads = loading(viewer, backbone)
    stack = viewer.add_image(rng.normal(size=(5, 40, 40)))
    session.add_query(stack, 5, 5)
    viewer.dims.set_current_step(0, 3)
    session.cancel()
    backbone.gate.set()
    session.wait(PATIENCE)
    assert len(loads) == 1
    assert not session.busy
    session.close()


def test_embed_pressed_twice_while_the_model_loads(viewer, image, backbone):
    session, loads = loading(viewer, backbone)
    session.embed()
    session.embed()
    backbone.gate.set()
    session.wait(PATIENCE)
    assert len(loads) == 1
    assert len(session._coordinator.embedder._record.states) == 1
    session.close()


def test_a_listener_that_raises_does_not_stop_the_session(session, image):
    def broken(message):
        raise ZeroDivisionError

    session.progressed.connect(broken)
    with pytest.raises(Exception, match="ZeroDivisionError"):
        session.add_query(image, 5, 5)
    session.progressed.disconnect(broken)
    session.wait(PATIENCE)
    session.queries.add((20, 20))
    session.wait(PATIENCE)
    assert list(session.heatmaps) == [image]
    assert not session.busy


def test_a_change_of_units_moves_no_point_to_another_image(viewer, rng, backbone):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    place = {"scale": (0.5, 0.5), "translate": (100, 100), "units": "um"}
    lower = viewer.add_image(rng.normal(size=(64, 64)), **place)
    upper = viewer.add_image(rng.normal(size=(64, 64)), **place)
    session.add_query(lower, 5, 40)
    session.wait(PATIENCE)
    before = shown(session, upper)
    viewer.add_labels(np.zeros((64, 64), int), scale=(500, 500), units="nm")
    session.wait(PATIENCE)
    np.testing.assert_allclose(shown(session, upper), before, atol=1e-5)
    session.close()

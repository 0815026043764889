"""Stacks, rolled axes, 3-D view, multiscale, units: the plane shown is the plane answered."""

from __future__ import annotations

from itertools import islice

import dask.array as da
import numpy as np
import pytest

from heatmap_values import over_image
from napari_dinov3_sim.core.images import levels
from napari_dinov3_sim.session.images.planes import LayerAxes, Plane, PlaneKey
from napari_dinov3_sim.session.images.stack_order import StackOrder

from ..brute_force import (
    PATCH,
    reference_embeddings,
    reference_map,
    reference_query,
    reference_window,
)

pytestmark = pytest.mark.slow


def plane_map(query_plane, pick, target_plane, window_query, window_target):
    x, y = pick
    vector = reference_embeddings(query_plane, *window_query)[y // PATCH, x // PATCH]
    embeddings = reference_embeddings(target_plane, *window_target)
    return reference_map(reference_query([vector]), embeddings, target_plane.shape)


@pytest.fixture
def stack(viewer, rng):
    data = rng.integers(0, 60000, (5, 40, 70)).astype(np.uint16)
    return viewer.add_image(data, name="stack", scale=(3, 0.5, 0.5), translate=(6, 1, 2))


def test_the_plane_shown_is_answered_and_drawn_on_that_plane(session, stack, viewer):
    viewer.dims.set_current_step(0, 3)
    session.add_query(stack, 50, 20)
    window = reference_window(stack.data)
    volume = over_image(stack, session.heatmaps[stack])
    wanted = plane_map(stack.data[3], (50, 20), stack.data[3], window, window)
    np.testing.assert_allclose(volume[3], wanted, atol=1e-5)
    assert np.isnan(np.delete(volume, 3, axis=0)).all()
    assert volume.shape == stack.data.shape

    viewer.dims.set_current_step(0, 1)
    volume = over_image(stack, session.heatmaps[stack])
    wanted = plane_map(stack.data[3], (50, 20), stack.data[1], window, window)
    np.testing.assert_allclose(volume[1], wanted, atol=1e-5)


def test_moving_the_slider_without_a_query_embeds_nothing(session, stack, viewer, backbone):
    for step in range(5):
        viewer.dims.set_current_step(0, step)
    assert backbone.calls == 0


def test_a_plane_seen_before_is_not_embedded_again(session, stack, viewer, backbone):
    session.add_query(stack, 5, 5)
    for step in (0, 1, 2, 1, 0, 2):
        viewer.dims.set_current_step(0, step)
    calls = backbone.calls
    for step in (0, 1, 2, 1, 0, 2):
        viewer.dims.set_current_step(0, step)
    assert backbone.calls == calls


def test_a_query_on_a_stack_stays_on_the_plane_it_was_set_on(session, stack, viewer, rng):
    flat = viewer.add_image(rng.normal(size=(33, 40)), translate=(100, 0), name="flat")
    viewer.dims.set_current_step(0, 2)
    session.add_query(stack, 50, 20)
    viewer.dims.set_current_step(0, 4)
    windows = reference_window(stack.data), reference_window(flat.data)
    right, wrong = (plane_map(stack.data[z], (50, 20), flat.data, *windows) for z in (2, 4))
    np.testing.assert_allclose(over_image(flat, session.heatmaps[flat]), right, atol=1e-5)
    assert np.abs(right - wrong).max() > 1e-3


def test_an_image_opened_before_the_stack_has_clicks_that_know_their_plane(session, viewer, rng):
    viewer.add_image(rng.normal(size=(33, 40)), name="flat")
    assert session.queries.ndim == 2
    viewer.add_image(rng.normal(size=(4, 33, 40)), translate=(0, 100, 0), name="stack")
    assert session.queries.ndim == 3
    assert [layer.name for layer in viewer.layers if layer == session.queries] == ["DINOv3 query"]


def test_rolled_axes_embed_the_plane_that_is_seen(session, stack, viewer):
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_current_step(1, 7)
    session.add_query(stack, 50, 4)
    window = reference_window(stack.data)
    volume = over_image(stack, session.heatmaps[stack])
    row = next(iter(session._coordinator.targets.resolve().planes.values())).key.position
    assert row[0][0] == 1
    at = row[0][1]
    wanted = plane_map(stack.data[:, at], (50, 4), stack.data[:, at], window, window)
    np.testing.assert_allclose(volume[:, at], wanted, atol=1e-5)


def test_clicks_in_the_3d_view_are_ignored_and_it_is_said(session, stack, viewer):
    session.add_query(stack, 5, 5)
    before, elements = (
        over_image(stack, session.heatmaps[stack]),
        session.heatmaps[stack].data.size,
    )
    viewer.dims.ndisplay = 3
    assert session.heatmaps[stack].data.shape == stack.data.shape, "rays need every pixel"
    session.queries.add((1, 20, 60))
    np.testing.assert_array_equal(over_image(stack, session.heatmaps[stack]), before)
    assert "3-D view are not queries" in session.status
    viewer.dims.ndisplay = 2
    np.testing.assert_array_equal(over_image(stack, session.heatmaps[stack]), before)
    assert session.heatmaps[stack].data.size == elements < stack.data.size
    np.testing.assert_array_equal(session.scores_over(stack), before)
    left = "1 point was set in 3-D or in the grid and is not used; undo or delete it."
    assert session.status == f"1 heatmap for 1 point. {left}"
    session.undo()
    assert session.status == "1 heatmap for 1 point."
    assert len(session.queries.data) == 1


def test_outside_the_stack_there_is_no_plane(session, stack, viewer, rng):
    long = viewer.add_image(rng.normal(size=(30, 20, 20)), translate=(0, 200, 0), name="long")
    session.add_query(stack, 5, 5)
    seen = [viewer.dims.current_step[0], viewer.dims.nsteps[0] - 1]
    viewer.dims.set_current_step(0, seen[1])
    assert "1 image outside the shown plane." in session.status
    answered = np.isfinite(over_image(long, session.heatmaps[long])).all((1, 2))
    assert answered.sum() == len(seen), "what has been answered stays"
    assert answered[-1]


def test_a_four_dimensional_stack(session, viewer, rng):
    data = rng.normal(size=(2, 3, 33, 40)).astype(np.float32)
    layer = viewer.add_image(data, scale=(1, 4, 1, 1))
    viewer.dims.set_current_step((0, 1), (1, 2))
    session.add_query(layer, 39, 32)
    volume = over_image(layer, session.heatmaps[layer])
    window = reference_window(data)
    np.testing.assert_allclose(
        volume[1, 2], plane_map(data[1, 2], (39, 32), data[1, 2], window, window), atol=1e-5
    )
    assert np.isfinite(volume).any((2, 3)).sum() == 1


def test_dask_is_read_plane_by_plane(session, viewer, rng):
    data = rng.normal(size=(6, 40, 40)).astype(np.float32)
    read = []

    def block(x, block_info=None):
        read.append(1)
        return x

    lazy = da.from_array(data, chunks=(1, 40, 40)).map_blocks(block, dtype=data.dtype)
    layer = viewer.add_image(lazy, contrast_limits=(-1, 1))
    session.add_query(layer, 5, 5)
    window = reference_window(data)
    got = over_image(layer, session.heatmaps[layer])
    at = next(iter(session._coordinator.targets.resolve().planes.values())).key.position[0][1]
    np.testing.assert_allclose(
        got[at], plane_map(data[at], (5, 5), data[at], window, window), atol=1e-5
    )


def test_multiscale_embeds_the_level_that_fits_and_says_so(session, viewer, rng, monkeypatch):
    monkeypatch.setattr(levels, "MAX_LEVEL_PIXELS", 60 * 60)
    full = rng.normal(size=(97, 101)).astype(np.float32)
    half = full[::2, ::2].copy()
    layer = viewer.add_image([full, half], multiscale=True, name="pyramid")
    session.add_query(layer, 99, 90)
    got = over_image(layer, session.heatmaps[layer])
    assert got.shape == full.shape
    assert "pyramid is searched at level 1." in session.status
    embeddings = reference_embeddings(half, *reference_window(half))
    at = [(2 * 90 + 1) * 49 // (2 * 97) // PATCH, (2 * 99 + 1) * 51 // (2 * 101) // PATCH]
    cosine = embeddings @ embeddings[tuple(at)]
    rows = (2 * np.arange(97) + 1) * 49 // (2 * 97) // PATCH
    columns = (2 * np.arange(101) + 1) * 51 // (2 * 101) // PATCH
    np.testing.assert_allclose(got, cosine[np.ix_(rows, columns)], atol=1e-5)


def test_units_that_differ_are_converted(session, viewer, rng):
    nano = viewer.add_image(rng.normal(size=(60, 60)), scale=(500, 500), units="nm", name="nm")
    micro = viewer.add_image(
        rng.normal(size=(60, 60)), scale=(0.5, 0.5), translate=(0, 40), units="um", name="um"
    )
    points = session.queries
    assert points.units == viewer.layers.units
    # A click in the middle of pixel (20, 50) of `micro`, in the nanometres of the viewer.
    world = (0.5 * 20 * 1000, (0.5 * 50 + 40) * 1000)
    points.add(points.world_to_data(world))
    window = reference_window(micro.data)
    wanted = plane_map(micro.data, (50, 20), micro.data, window, window)
    np.testing.assert_allclose(over_image(micro, session.heatmaps[micro]), wanted, atol=1e-5)
    assert session.heatmaps[nano].units == nano.units
    assert session.heatmaps[micro].units == micro.units


def test_a_points_layer_made_first_follows_the_units_of_the_world(session, viewer, rng):
    micro = viewer.add_image(rng.normal(size=(60, 60)), scale=(0.5, 0.5), units="um")
    session.add_query(micro, 50, 20)
    before = over_image(micro, session.heatmaps[micro])
    viewer.add_image(rng.normal(size=(60, 60)), scale=(500, 500), translate=(0, 90000), units="nm")
    np.testing.assert_array_equal(over_image(micro, session.heatmaps[micro]), before)
    assert session.queries.units == viewer.layers.units
    assert len(session.heatmaps) == 2


def test_of_a_large_stack_only_the_planes_that_are_asked_for_are_made():
    layer = LayerAxes("layer", 0, (2, 3))
    shape = (100, 200, 64, 64)
    plane = Plane(PlaneKey(layer, ((0, 40), (1, 50))), "", shape, (np.empty(shape[2:]),), False, 0)
    order = StackOrder({"layer"})
    for _ in range(2):
        near = list(islice(order.other_planes([plane]), 10))
        assert near[0].key.indices == (39, 49)
        assert len({one.key for one in near}) == 10
        assert all(max(abs(z - 40), abs(t - 50)) <= 2 for z, t in (p.key.indices for p in near))
    ranked = order._neighbours(plane)
    assert len(ranked.made) <= 11
    assert len(ranked.places) == 19_999

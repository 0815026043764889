"""The session as a script meets it: every heatmap equals brute force and lies on its image."""

from __future__ import annotations

import numpy as np
import pytest

from heatmap_values import over_image
from napari_dinov3_sim.core.errors import PointError, SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner

from .brute_force import (
    PATCH,
    PatchProjection,
    reference_embeddings,
    reference_map,
    reference_query,
    reference_window,
)

pytestmark = pytest.mark.slow


def embed(layer):
    return reference_embeddings(layer.data, *reference_window(layer.data))


def expected(queries, layer):
    """The heatmap of `layer` for queries given as (image layer, x, y)."""
    vectors = [embed(image)[y // PATCH, x // PATCH] for image, x, y in queries]
    return reference_map(reference_query(vectors), embed(layer), layer.data.shape)


@pytest.fixture
def three(viewer, rng):
    """Three images: plain, scaled and translated, rotated and sheared; none over another."""
    return [
        viewer.add_image(rng.normal(size=(70, 100)), name="plain"),
        viewer.add_image(
            rng.integers(0, 4000, (90, 65)).astype(np.uint16),
            name="scaled",
            scale=(0.5, 2.5),
            translate=(200, -30),
        ),
        viewer.add_image(
            rng.normal(size=(50, 120)).astype(np.float32),
            name="turned",
            rotate=25,
            shear=[0.4],
            translate=(-300, 10),
        ),
    ]


def check(session, queries, layers):
    assert set(session.heatmaps) == set(layers)
    for layer in layers:
        heatmap = session.heatmaps[layer]
        over = over_image(layer, heatmap)
        np.testing.assert_allclose(over, expected(queries, layer), atol=1e-5)
        ends = [np.array(one.data.shape) - 0.5 for one in (heatmap, layer)]
        for end, own in ((np.full(2, -0.5), np.full(2, -0.5)), ends):
            np.testing.assert_allclose(
                heatmap.data_to_world(end), layer.data_to_world(own), atol=1e-9
            )


def click(session, layer, x, y):
    """Add a point as napari's add mode does: in the data coordinates of the Points layer."""
    points = session.queries
    points.add(points.world_to_data(layer.data_to_world((y, x))))


def test_a_click_lights_up_every_image_over_its_own_pixels(session, three):
    click(session, three[1], 40, 33)
    check(session, [(three[1], 40, 33)], three)
    assert over_image(three[1], session.heatmaps[three[1]])[33, 40] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("offset", [-0.5, -0.49, 0.0, 0.49])
def test_a_click_anywhere_on_a_pixel_is_that_pixel(session, three, offset):
    click(session, three[0], 32 + offset, 16 + offset)
    check(session, [(three[0], 32, 16)], three)


def test_points_are_followed_when_they_come_move_and_go(session, three):
    a, b, c = three
    click(session, a, 5, 5)
    layers = {image: session.heatmaps[image] for image in three}
    click(session, c, 100, 20)
    check(session, [(a, 5, 5), (c, 100, 20)], three)
    points = session.queries
    moved = points.data.copy()
    moved[0] = points.world_to_data(b.data_to_world((80, 60)))
    points.data = moved
    check(session, [(b, 60, 80), (c, 100, 20)], three)
    points.selected_data = {0}
    points.remove_selected()
    check(session, [(c, 100, 20)], three)
    assert {image: session.heatmaps[image] for image in three} == layers, "updated, not added"
    points.selected_data = {0}
    points.remove_selected()
    assert session.heatmaps == {}


def test_a_pasted_point_counts(session, three):
    click(session, three[0], 5, 5)
    points = session.queries
    points.selected_data = {0}
    points._copy_data()
    points._paste_data()
    points.selected_data = {1}
    assert len(points.data) == 2
    check(session, [(three[0], 5, 5), (three[0], 5, 5)], three)


def test_heatmaps_follow_every_transform(session, three):
    click(session, three[1], 5, 5)
    image, heatmap = three[0], session.heatmaps[three[0]]
    image.scale = (3, 0.25)
    image.translate = (7, 8)
    image.rotate = 40
    image.shear = [0.3]
    image.affine = np.array([[1, 0.2, 3], [0, 2, 1], [0, 0, 1]])
    image.units = ("um", "um")
    check(session, [(three[1], 5, 5)], three)
    assert heatmap.units == image.units
    assert session.heatmaps[image] == heatmap


def test_a_point_stays_with_its_image_whatever_lies_above(session, viewer, rng):
    bottom = viewer.add_image(rng.normal(size=(60, 60)), name="bottom")
    click(session, bottom, 20, 20)
    top = viewer.add_image(rng.normal(size=(60, 60)), name="top")
    check(session, [(bottom, 20, 20)], [bottom, top])
    click(session, top, 50, 50)
    check(session, [(bottom, 20, 20), (top, 50, 50)], [bottom, top])
    top.visible = False
    check(session, [(bottom, 20, 20), (top, 50, 50)], [bottom, top])
    assert not session.heatmaps[top].visible
    click(session, top, 40, 5)
    check(session, [(bottom, 20, 20), (top, 50, 50), (bottom, 40, 5)], [bottom, top])


def test_layers_are_ordered_images_below_heatmaps_below_points(session, three, viewer):
    click(session, three[0], 5, 5)
    order = list(viewer.layers)
    for image in three:
        assert order.index(session.heatmaps[image]) == order.index(image) + 1
    assert order[-1] == session.queries
    assert [layer for layer in order if layer in three] == three


def test_the_next_click_is_a_query_again(session, three, viewer):
    session.new_queries()
    click(session, three[0], 5, 5)
    assert viewer.layers.selection.active == session.queries
    assert session.queries.mode == "add"


def test_a_selection_of_the_users_is_left_alone(session, three, viewer):
    viewer.layers.selection.active = three[1]
    click(session, three[0], 5, 5)
    assert len(session.heatmaps) == 3
    assert viewer.layers.selection.active == three[1]
    viewer.layers.selection = {three[0], three[2]}
    click(session, three[1], 5, 5)
    assert viewer.layers.selection == {three[0], three[2]}


def test_new_images_become_targets_and_are_embedded_when_needed(
    session, three, viewer, rng, backbone
):
    late = viewer.add_image(rng.normal(size=(40, 40)), name="late", translate=(600, 0))
    assert late in session.targets
    assert backbone.calls == 0
    click(session, three[0], 5, 5)
    assert backbone.calls == 4
    later = viewer.add_image(rng.normal(size=(40, 40)), name="later", translate=(0, 500))
    assert backbone.calls == 5
    check(session, [(three[0], 5, 5)], [*three, late, later])


def test_removed_and_unticked_images_take_their_heatmap_along(session, three, viewer):
    click(session, three[0], 5, 5)
    viewer.layers.remove(three[2])
    check(session, [(three[0], 5, 5)], three[:2])
    session.set_target(three[1], False)
    check(session, [(three[0], 5, 5)], three[:1])
    session.set_target(three[1], True)
    check(session, [(three[0], 5, 5)], three[:2])
    viewer.layers.remove(three[0])
    assert session.heatmaps == {}
    assert "outside all ticked images" in session.status


def test_replaced_pixels_are_embedded_again(session, three, rng):
    click(session, three[0], 5, 5)
    three[0].data = rng.normal(size=(33, 47))
    check(session, [(three[0], 5, 5)], three)


def test_pixels_changed_in_place_are_seen_by_embed(session, three):
    click(session, three[0], 5, 5)
    layers = session.heatmaps
    three[1].data[:] = three[1].data[::-1] // 2
    session.embed()
    check(session, [(three[0], 5, 5)], three)
    assert session.heatmaps == layers, "updated, not made again"


def test_pixels_changed_in_place_while_unticked_are_seen_by_embed(session, three):
    click(session, three[0], 5, 5)
    session.set_target(three[1], False)
    three[1].data[:] = three[1].data[::-1] // 2
    session.embed()
    session.set_target(three[1], True)
    check(session, [(three[0], 5, 5)], three)


def test_embed_again_reads_from_the_store(session, three, backbone):
    session.embed()
    calls = backbone.calls
    session.embed()
    assert backbone.calls == calls == 3


def test_nothing_of_the_users_changes(session, three, viewer):
    before = [
        (layer.data.copy(), layer.scale.copy(), layer.translate.copy(), layer.contrast_limits[:],
         layer.opacity, layer.colormap.name, layer.name)
        for layer in three
    ]  # fmt: skip
    click(session, three[0], 5, 5)
    session.embed()
    session.scaling = "each"
    for layer, (data, scale, translate, *rest) in zip(three, before, strict=True):
        np.testing.assert_array_equal(layer.data, data)
        np.testing.assert_array_equal(layer.scale, scale)
        np.testing.assert_array_equal(layer.translate, translate)
        now = [layer.contrast_limits, layer.opacity, layer.colormap.name, layer.name]
        assert now == list(rest)


def test_one_scale_for_all_images_or_one_each(session, three):
    click(session, three[0], 5, 5)
    maps = {image: np.array(layer.data) for image, layer in session.heatmaps.items()}
    low, high = 0.0, max(m.max() for m in maps.values())
    assert min(m.min() for m in maps.values()) < 0
    for layer in session.heatmaps.values():
        assert layer.contrast_limits == pytest.approx([low, high], abs=1e-6)
    session.scaling = "each"
    for image, layer in session.heatmaps.items():
        assert layer.contrast_limits == pytest.approx(
            [maps[image].min(), maps[image].max()], abs=1e-6
        )


def test_limits_set_by_hand_stay(session, three):
    click(session, three[0], 5, 5)
    mine = session.heatmaps[three[1]]
    mine.contrast_limits = (0.25, 0.5)
    mine.colormap = "viridis"
    click(session, three[0], 60, 60)
    assert mine.contrast_limits == [0.25, 0.5]
    assert mine.colormap.name == "viridis"


def test_style_reaches_present_and_later_heatmaps(session, three, viewer, rng):
    click(session, three[0], 5, 5)
    session.style(colormap="viridis", opacity=0.3)
    viewer.add_image(rng.normal(size=(40, 40)), translate=(900, 0))
    assert len(session.heatmaps) == 4
    assert {layer.colormap.name for layer in session.heatmaps.values()} == {"viridis with alpha"}
    assert {layer.opacity for layer in session.heatmaps.values()} == {0.3}


def test_another_model_answers_anew(session, three, viewer):
    click(session, three[0], 5, 5)
    first = over_image(three[1], session.heatmaps[three[1]])
    session.set_model(PatchProjection("projection-2", sign=-3.0))
    second = over_image(three[1], session.heatmaps[three[1]])
    assert np.abs(first - second).max() > 0.01
    assert set(session.heatmaps) == set(three)


def test_add_query_takes_pixels_of_a_layer(session, three):
    session.add_query(three[2], 100, 20)
    check(session, [(three[2], 100, 20)], three)
    with pytest.raises(PointError, match="outside turned of 120 × 50 pixels; choose x from 0"):
        session.add_query(three[2], 120, 20)


def test_embed_without_a_model_says_so(viewer):
    session = SimilaritySession(viewer, runner=InlineRunner())
    with pytest.raises(SimilarityError, match="No model is chosen"):
        session.embed()
    session.close()


def test_renaming_changes_nothing_but_the_name(session, three):
    click(session, three[0], 5, 5)
    three[1].name = "plain"
    three[0].name = "other"
    check(session, [(three[0], 5, 5)], three)


def test_the_points_layer_can_go_and_come_back(session, three, viewer):
    click(session, three[0], 5, 5)
    viewer.layers.remove(session.queries)
    assert session.heatmaps == {}
    assert session.queries is None
    session.new_queries()
    assert viewer.layers.selection.active == session.queries
    click(session, three[0], 60, 5)
    check(session, [(three[0], 60, 5)], three)


def test_a_second_session_adopts_what_the_first_left(session, three, viewer, backbone):
    click(session, three[0], 5, 5)
    points, maps, count = session.queries, session.heatmaps, len(viewer.layers)
    session.close()
    again = SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())
    assert again.queries == points
    assert again.heatmaps == maps
    assert len(viewer.layers) == count
    click(again, three[1], 20, 70)
    check(again, [(three[0], 5, 5), (three[1], 20, 70)], three)
    again.close()


def test_a_closed_session_does_not_react(session, three, viewer):
    click(session, three[0], 5, 5)
    before = over_image(three[0], session.heatmaps[three[0]]).copy()
    points, heatmap = session.queries, session.heatmaps[three[0]]
    session.close()
    session.close()
    points.add((60, 60))
    scale, three[0].scale = heatmap.scale, (9, 9)
    np.testing.assert_array_equal(heatmap.scale, scale)
    three[0].scale = (1, 1)
    np.testing.assert_array_equal(over_image(three[0], heatmap), before)


def test_status_leads_through_the_first_steps(viewer, backbone, rng):
    session = SimilaritySession(viewer, runner=InlineRunner())
    lines = []
    session.status_changed.connect(lines.append)
    assert session.status == "Open an image to begin."
    image = viewer.add_image(rng.normal(size=(40, 40)))
    assert session.status == "Choose a model."
    session.set_model(backbone)
    assert session.status == "Click on a structure in an image."
    click(session, image, 5, 5)
    assert session.status == "1 heatmap for 1 point."
    session.set_target(image, False)
    assert session.status.startswith("Tick at least one image to search.")
    assert lines[-1] == session.status
    session.close()


def test_smooth_heatmaps_have_the_scores_in_the_middle_of_patches(session, three):
    click(session, three[0], 5, 5)
    plain = over_image(three[0], session.heatmaps[three[0]])
    session.smooth = True
    smooth = over_image(three[0], session.heatmaps[three[0]])
    assert not np.array_equal(plain, smooth)
    assert np.unique(smooth).size > 2 * np.unique(plain).size
    corner = np.s_[0, 0]  # beyond the outermost centres the scores go on
    assert smooth[corner] == pytest.approx(plain[corner])
    session.smooth = False
    np.testing.assert_array_equal(over_image(three[0], session.heatmaps[three[0]]), plain)


def test_a_click_on_images_that_overlap_says_which_it_hit(session, viewer, rng):
    below = viewer.add_image(rng.normal(size=(64, 64)), name="below")
    viewer.add_image(rng.normal(size=(64, 64)), name="above", translate=(0, 32))
    assert session.hit_name == ""
    session.queries.add((10, 10))
    assert session.hit_name == ""
    session.queries.add((10, 40))
    assert session.hit_name == "above"
    session.source = below
    session.queries.add((10, 41))
    assert session.hit_name == "below"


@pytest.mark.parametrize("what", ["query", "mirror"])
def test_a_layer_without_a_point_on_the_plane_has_no_least_size(session, viewer, rng, what):
    image = viewer.add_image(rng.normal(size=(3, 40, 40)), name="stack")
    viewer.dims.set_current_step(0, 0)
    session.add_query(image, 3, 3)
    session.side_by_side = what == "mirror"
    layer = session.queries
    if what == "mirror":
        layer = viewer.layers["DINOv3 query: points"]
    least = layer.canvas_size_limits
    assert least[0] > 0
    viewer.dims.set_current_step(0, 2)
    assert layer.canvas_size_limits == (0, least[1])
    viewer.dims.set_current_step(0, 0)
    assert layer.canvas_size_limits == least
    viewer.dims.set_current_step(0, 2)
    session.close()
    assert session.queries is None or session.queries.canvas_size_limits == least

"""A box around a thing is a question: of the class and the sign that are chosen, by one drag."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from heatmap_values import over_image
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner

from ..brute_force import (
    over_pixels,
    reference_background,
    reference_embeddings,
    reference_scores,
    reference_window,
)
from .test_regions import vector_of

pytestmark = pytest.mark.slow

SQUARE = np.array([[10, 10], [10, 30], [30, 30], [30, 10]], float)


def embed(image):
    return reference_embeddings(image.data, *reference_window(image.data))


def inside(image, top, left, bottom, right):
    """Which pixels a rectangle covers."""
    mask = np.zeros(image.data.shape, bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.fixture
def image(viewer, rng):
    return viewer.add_image(rng.normal(size=(64, 64)), name="image")


def box(session, top, left, bottom, right):
    """Draw a box along the borders of pixels."""
    session.start_box()
    t, le, b, r = top - 0.5, left - 0.5, bottom - 0.5, right - 0.5
    corners = [(t, le), (t, r), (b, r), (b, le)]
    session.drawn_regions.add([np.array(corners)], shape_type="rectangle")


def test_a_box_is_asked_at_once_as_its_class(session, viewer, image):
    session.class_name = "cell"
    box(session, 3, 5, 40, 33)
    wanted = embed(image) @ vector_of(inside(image, 3, 5, 40, 33), embed(image))
    found = over_image(image, session.heatmaps_of("cell")[image])
    np.testing.assert_allclose(found, over_pixels(wanted, image.data.shape), atol=1e-4)
    assert viewer.layers.selection.active == session.queries
    assert session.queries.mode == "add"
    assert not session.awaiting_box


def test_a_negative_box_is_what_is_not_meant(session, image):
    box(session, 3, 5, 40, 33)
    session.positive = False
    box(session, 40, 40, 60, 60)
    vectors = embed(image)
    wanted = reference_scores(
        "learned",
        [vector_of(inside(image, 3, 5, 40, 33), vectors)],
        [vector_of(inside(image, 40, 40, 60, 60), vectors)],
        reference_background([vectors]),
        vectors,
    )
    found = over_image(image, session.heatmaps[image])
    np.testing.assert_allclose(found, over_pixels(wanted, image.data.shape), atol=1e-4)


@pytest.mark.parametrize("class_name", [None, "cell"])
def test_labels_are_a_class_each_or_all_of_one(session, viewer, image, class_name):
    values = np.zeros((64, 64), np.uint8)
    values[3:40, 5:33], values[40:60, 40:60] = 1, 2
    labels = viewer.add_labels(values, name="seg")
    session.regions.add(labels, image, class_name)
    vectors = embed(image)
    one, two = (vector_of(values == number, vectors) for number in (1, 2))
    wanted = {"seg 1": [one], "seg 2": [two]} if class_name is None else {"cell": [one, two]}
    assert set(session.histograms) == set(wanted)
    for name, positives in wanted.items():
        scores = reference_scores("mean", positives, [], None, vectors)
        found = over_image(image, session.heatmaps_of(name)[image])
        np.testing.assert_allclose(found, over_pixels(scores, image.data.shape), atol=1e-4)


def test_negative_labels_and_shapes_of_the_user_are_what_is_not_meant(session, viewer, image):
    session.add_query(image, 5, 5, class_name="cell")
    values = np.zeros((64, 64), np.uint8)
    values[40:60, 40:60] = 7
    labels = viewer.add_labels(values)
    session.regions.add(labels, class_name="cell", positive=False)
    shapes = viewer.add_shapes([SQUARE - 0.5], shape_type="polygon")
    session.regions.add(shapes, class_name="cell", positive=False)
    vectors, mask = embed(image), inside(image, 10, 10, 30, 30)
    wanted = reference_scores(
        "learned",
        [vectors[0, 0]],
        [vector_of(values > 0, vectors), vector_of(mask, vectors)],
        reference_background([vectors]),
        vectors,
    )
    found = over_image(image, session.heatmaps_of("cell")[image])
    np.testing.assert_allclose(found, over_pixels(wanted, image.data.shape), atol=1e-4)


def test_only_negative_labels_say_that_a_positive_is_missing(session, viewer, image):
    labels = viewer.add_labels(np.ones((64, 64), np.uint8))
    session.regions.add(labels, class_name="cell", positive=False)
    assert session.heatmaps_of("cell") == {}
    assert "negative" in session.status or "positive" in session.status


def test_more_labels_than_classes_can_be_regions_of_one_class(session, viewer, image):
    values = np.arange(64 * 64).reshape(64, 64) // 40
    labels = viewer.add_labels(values)
    with pytest.raises(SimilarityError, match="would be a class"):
        session.regions.add(labels)
    session.regions.add(labels, class_name="cell")
    assert set(session.histograms) == {"cell"}


def test_what_shapes_say_themselves_counts_more_than_what_is_said_of_all(session, viewer, image):
    shapes = viewer.add_shapes([SQUARE, SQUARE + 20], shape_type="polygon")
    shapes.features = {"class": ["rim", None], "sign": [None, "positive"]}
    session.regions.add(shapes, class_name="cell", positive=False)
    assert set(session.histograms) == {"cell"}
    assert session.class_counts["rim"].regions == 1


def test_every_shape_that_is_drawn_there_has_the_present_class_and_sign(session, image):
    """Also after another one was selected, which napari takes as an example."""
    box(session, 0, 0, 20, 20)
    layer = session.drawn_regions
    session.class_name, session.positive = "cell", False
    layer.selected_data = {0}
    layer.add([SQUARE], shape_type="ellipse")
    layer.add([SQUARE + 5], shape_type="polygon")
    assert list(layer.features["class"]) == ["class 1", "cell", "cell"]
    assert list(layer.features["sign"]) == ["positive", "negative", "negative"]
    assert (session.class_name, session.positive) == ("cell", False)


def test_our_layer_is_none_of_the_users(session, viewer, image):
    box(session, 0, 0, 20, 20)
    assert session.drawn_regions not in session.regions.candidates()
    assert session.regions.layers == []
    with pytest.raises(SimilarityError, match="of your own"):
        session.regions.add(session.drawn_regions)


def test_a_later_session_asks_what_was_drawn(viewer, backbone, image):
    def open_session():
        return closing(SimilaritySession(viewer, backbone=backbone, runner=InlineRunner()))

    with open_session() as session:
        session.class_name = "cell"
        box(session, 3, 5, 40, 33)
        layer = session.drawn_regions
    with open_session() as session:
        assert set(session.heatmaps_of("cell")) == {image}
        assert session.drawn_regions == layer
        assert not session.can_undo
        session.class_name = "cell"
        box(session, 40, 40, 60, 60)
        assert len(layer.data) == 2
        assert session.undo()
        assert len(layer.data) == 1


def test_boxes_on_a_stack_lie_on_their_plane(session, viewer, rng):
    stack = viewer.add_image(rng.normal(size=(3, 64, 64)), name="stack")
    viewer.dims.set_point(0, 1)
    session.start_box()
    corners = np.insert(SQUARE, 0, 1, axis=1)
    session.drawn_regions.add([corners], shape_type="rectangle")
    (pick,) = session._coordinator.state.picked.picks
    assert pick.plane.position == ((0, 1),)
    assert session.drawn_regions.ndim == stack.ndim


def test_what_cannot_be_drawn_says_why(session, viewer, rng):
    with pytest.raises(SimilarityError, match="open one"):
        session.start_box()
    viewer.add_image(rng.normal(size=(3, 64, 64)))
    viewer.dims.ndisplay = 3
    with pytest.raises(SimilarityError, match="2-D"):
        session.start_box()
    viewer.dims.ndisplay = 2
    session.side_by_side = True
    with pytest.raises(SimilarityError, match="side by side"):
        session.start_box()


def test_clicking_points_again_gives_the_box_up(session, viewer, image):
    session.start_box()
    assert session.awaiting_box
    assert viewer.layers.selection.active == session.drawn_regions
    session.new_queries()
    assert not session.awaiting_box
    assert viewer.layers.selection.active == session.queries

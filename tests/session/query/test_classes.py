"""Classes, signs, combinations, class maps and undo: what is asked, and how it is taken back."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest
from napari.layers.base import ActionType

from heatmap_values import over_image
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner

from ..brute_force import (
    PATCH,
    PatchProjection,
    over_pixels,
    reference_background,
    reference_embeddings,
    reference_scores,
    reference_window,
)

pytestmark = pytest.mark.slow


def embed(image):
    return reference_embeddings(image.data, *reference_window(image.data))


def at(image, x, y):
    return embed(image)[y // PATCH, x // PATCH]


def shown(session, image, class_name):
    return over_image(image, session.heatmaps_of(class_name)[image])


@pytest.fixture
def image(viewer, rng):
    return viewer.add_image(rng.normal(size=(70, 60)), name="image")


@pytest.fixture
def other(viewer, rng):
    return viewer.add_image(rng.normal(size=(50, 60)), translate=(0, 100), name="other")


# -- what is asked ----------------------------------------------------------------------------


@pytest.mark.parametrize("combination", ["auto", "mean", "best", "contrast", "learned"])
@pytest.mark.parametrize("negatives", [0, 2])
def test_every_combination_is_its_formula(session, image, other, combination, negatives):
    session.combination = combination
    session.add_query(image, 5, 5, class_name="cell")
    session.add_query(other, 40, 20, class_name="cell")
    minus = [(image, 50, 60), (image, 20, 30)][:negatives]
    for layer, x, y in minus:
        session.add_query(layer, x, y, class_name="cell", positive=False)
    wanted = reference_scores(
        combination,
        [at(image, 5, 5), at(other, 40, 20)],
        [at(*pick) for pick in minus],
        reference_background([embed(image), embed(other)]),
        embed(other),
    )
    np.testing.assert_allclose(
        shown(session, other, "cell"), over_pixels(wanted, other.data.shape), atol=1e-4
    )


def test_a_class_with_negatives_only_has_no_heatmap_and_the_others_keep_theirs(
    session, image, other
):
    session.add_query(image, 5, 5, class_name="cell")
    session.add_query(image, 50, 60, class_name="debris")
    assert set(session.class_maps) == {image, other}
    session.queries.features = session.queries.features.assign(sign=["positive", "negative"])
    assert set(session.heatmaps_of("cell")) == {image, other}
    assert session.heatmaps_of("debris") == {}
    assert session.class_maps == {}
    assert set(session.histograms) == {"cell"}


def test_without_a_positive_nothing_is_shown_nor_counted(session, image):
    session.add_query(image, 5, 5)
    assert session.histograms
    session.queries.features = session.queries.features.assign(sign=["negative"])
    assert session.heatmaps == {}
    assert session.histograms == {}


def test_no_histogram_outlives_its_points(session, image):
    session.add_query(image, 5, 5)
    assert session.histograms["class 1"].sum() == embed(image)[..., 0].size
    session.queries.selected_data = {0}
    session.queries.remove_selected()
    assert session.histograms == {}


def test_the_best_class_is_the_greatest_above_the_threshold(session, image):
    session.combination = "mean"
    session.add_query(image, 5, 5, class_name="cell")
    session.add_query(image, 50, 60, class_name="debris")
    scores = np.stack([embed(image) @ at(image, 5, 5), embed(image) @ at(image, 50, 60)])
    number = scores.argmax(0) + 1
    np.testing.assert_array_equal(
        session.class_maps[image].data, over_pixels(number, image.data.shape)
    )
    # Neither is the current class's alone: each class has its own, and the rest is shared out.
    thresholds = [
        float(np.quantile(each, part)) + 1e-4
        for each, part in zip(scores, (0.4, 0.7), strict=True)
    ]
    for class_name, threshold in zip(("cell", "debris"), thresholds, strict=True):
        session.class_name = class_name
        session.threshold = threshold
    reached = np.where(scores >= np.array(thresholds)[:, None, None], scores, -2)
    number = np.where(reached.max(0) == -2, 0, reached.argmax(0) + 1)
    assert set(number.ravel()) == {0, 1, 2}
    np.testing.assert_array_equal(
        session.class_maps[image].data, over_pixels(number, image.data.shape)
    )


def test_what_the_user_writes_into_the_columns_is_taken_kindly(session, image):
    session.add_query(image, 5, 5)
    session.add_query(image, 50, 60)
    points = session.queries
    classes = {"class": [" cell ", np.nan]}
    points.features = points.features.assign(**classes, sign=["Negative", "+"])
    assert session.heatmaps_of("cell") == {}
    assert set(session.heatmaps_of("class 1")) == {image}
    points.features = points.features.drop(columns=["class", "sign"])
    assert set(session.heatmaps_of("class 1")) == {image}
    session.class_name = "cell"
    session.add_query(image, 20, 20)
    assert set(session.heatmaps_of("cell")) == {image}


def test_points_of_an_earlier_version_keep_their_classes(session, image):
    """Their column was called ``kind``."""
    session.add_query(image, 5, 5)
    session.add_query(image, 50, 60)
    points = session.queries
    points.features = {"kind": ["cell", " rim "]}
    assert list(session.class_maps) == [image]
    np.testing.assert_allclose(
        shown(session, image, "rim"),
        over_pixels(embed(image) @ at(image, 50, 60), image.data.shape),
        atol=1e-4,
    )
    session.rename_class("rim", "edge")
    session.add_query(image, 20, 20, class_name="gap", positive=False)
    assert list(points.features["class"]) == ["cell", "edge", "gap"]
    assert list(points.features["sign"]) == ["positive", "positive", "negative"]
    session.undo()
    session.undo()
    assert list(points.features["class"]) == ["cell", "rim"]


def test_a_former_column_counts_where_the_present_one_says_nothing(session, image):
    """As after pasting points of an earlier version among others."""
    session.add_query(image, 5, 5)
    session.add_query(image, 50, 60)
    session.queries.features = {"class": ["cell", None], "kind": ["old", "rim"]}
    assert set(session.heatmaps_of("rim")) == set(session.heatmaps_of("cell")) == {image}
    assert session.heatmaps_of("old") == {}


def test_a_scaling_that_does_not_exist_is_refused(session):
    with pytest.raises(SimilarityError, match="shared, each or fixed"):
        session.scaling = "other"
    assert session.scaling == "shared"


# -- names and colours ------------------------------------------------------------------------


def test_a_class_that_is_renamed_before_any_point_takes_clicks(session, image):
    session.rename_class("class 1", "cell")
    assert session.class_name == "cell"
    session.queries.add((5, 5))
    assert set(session.heatmaps_of("cell")) == {image}


def test_a_class_can_be_renamed_before_there_is_a_layer(session):
    session.class_name = "cell"
    session.rename_class("cell", "nucleus")
    assert session.class_name == "nucleus"
    assert list(session.classes) == ["nucleus"]


def test_a_renamed_class_keeps_its_layers_and_what_the_user_made_of_them(session, image):
    session.add_query(image, 5, 5, class_name="cell")
    session.add_query(image, 50, 60, class_name="debris")
    before = session.heatmaps_of("cell")[image]
    before.colormap = "viridis"
    before.contrast_limits = (0.25, 0.5)
    session.rename_class("cell", "nucleus")
    after = session.heatmaps_of("nucleus")[image]
    assert after == before
    assert after.colormap.name == "viridis"
    assert tuple(after.contrast_limits) == (0.25, 0.5)
    assert session.heatmaps_of("cell") == {}


def test_columns_of_the_users_and_the_next_points_role_survive_undo(session, image):
    session.add_query(image, 5, 5, class_name="cell")
    points = session.queries
    points.features = points.features.assign(note=["mine"])
    points.selected_data = {0}
    session.class_name, session.positive = "debris", False
    points.remove_selected()
    assert session.undo()
    assert list(points.features["note"]) == ["mine"]
    assert (session.class_name, session.positive) == ("debris", False)


def test_the_class_of_points_that_are_selected_is_the_current_one_and_it_is_told(session, image):
    session.add_query(image, 5, 5, class_name="cell")
    session.add_query(image, 15, 15, class_name="debris", positive=False)
    session.class_name, session.positive = "cell", True
    told = []
    session.queried.connect(lambda: told.append((session.class_name, session.positive)))
    session.queries.selected_data = {1}
    assert (session.class_name, session.positive) == told[-1] == ("debris", False)
    session.queries.features = session.queries.features.assign(**{"class": "cell"})
    assert (session.class_name, session.positive) == told[-1] == ("cell", False)


def test_a_program_that_gives_points_another_class_is_followed_by_all(session, image):
    """Also where the last of them is of the class that the next point would get."""
    session.add_query(image, 5, 5, class_name="cell")
    points = session.queries
    points.features = points.features.assign(**{"class": "debris"})
    snapshot = session._coordinator.queries.snapshot()
    assert [role.class_name for role in snapshot.roles] == ["debris"]
    assert list(session.heatmaps_of("debris")) == [image]
    assert session.class_name == "debris"
    assert session.undo()
    assert list(points.features["class"]) == ["cell"]


def test_undo_leaves_what_was_noted_since_of_the_points_that_stay(session, image):
    for place in (5, 15, 25):
        session.add_query(image, place, place)
    points = session.queries
    points.features = points.features.assign(note=["a", "b", "c"], size=[1, 2, 3])
    assert session.undo()
    assert list(points.features["note"]) == ["a", "b"]
    assert list(points.features["size"]) == [1, 2]
    points.selected_data = {0}
    points.remove_selected()
    points.features = points.features.assign(note=["b again"])
    assert session.undo()
    assert list(points.features["note"]) == ["a", "b again"]


def test_undo_takes_a_column_that_holds_something_else_by_now(session, image):
    session.add_query(image, 5, 5)
    points = session.queries
    points.features = points.features.assign(note=[1.5])
    points.selected_data = {0}
    points.remove_selected()
    points.features = points.features.assign(note=np.empty(0, object))
    session.add_query(image, 15, 15)
    points.features = points.features.assign(note=["text"])
    assert session.undo()
    assert session.undo()
    assert list(points.features["note"]) == [1.5]


def names(session, image, *classes):
    return [session.heatmaps_of(class_name)[image].name for class_name in classes]


def test_a_heatmap_is_named_after_its_image_and_its_class(session, image):
    session.add_query(image, 5, 5)
    session.add_query(image, 50, 60, class_name="class 2")
    assert names(session, image, "class 1", "class 2") == ["image · class 1", "image · class 2"]
    session.rename_class("class 2", "cell")
    assert names(session, image, "cell") == ["image · cell"]


def test_a_name_that_the_user_has_given_stays_also_in_a_later_session(
    session, viewer, image, other, backbone
):
    session.add_query(image, 5, 5)
    session.heatmaps[image].name = "mine"
    session.close()
    with closing(SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())) as later:
        later.add_query(image, 50, 60, class_name="class 2")
        assert names(later, image, "class 1") == ["mine"]
        assert names(later, other, "class 1") == ["other · class 1"]


def test_names_of_an_earlier_version_follow(session, viewer, image, backbone):
    session.add_query(image, 5, 5)
    layer = session.heatmaps[image]
    session.close()
    layer.name = layer.metadata["napari_dinov3_sim"]["name"] = "image similarity"
    with closing(SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())) as later:
        later.add_query(image, 50, 60)
        assert later.heatmaps[image] == layer
        assert layer.name == "image · class 1"


def test_a_number_that_napari_has_added_is_no_name_of_the_users(session, viewer, image):
    viewer.add_labels(np.zeros((5, 5), int), name="image · class 1")
    session.add_query(image, 5, 5)
    assert names(session, image, "class 1") == ["image · class 1 [1]"]
    session.rename_class("class 1", "cell")
    assert names(session, image, "cell") == ["image · cell"]


# -- undo -------------------------------------------------------------------------------------


def test_the_first_edit_of_a_layer_that_came_back_can_be_undone(session, viewer, image):
    session.add_query(image, 5, 5)
    layer = session.queries
    viewer.layers.remove(layer)
    assert not session.undo()
    viewer.add_layer(layer)
    session.add_query(image, 50, 60)
    assert session.undo()
    assert len(layer.data) == 1
    assert not session.undo()


def test_undo_after_undo_goes_further_back_to_the_beginning(session, image):
    for step in range(4):
        session.add_query(image, 10 * step, 5, class_name=f"class {step}")
    for left in (3, 2, 1, 0):
        assert session.undo()
        assert len(session.queries.data) == left
    assert not session.undo()
    assert session.heatmaps == {}
    session.queries.add((5, 5))
    assert len(session.heatmaps) == 1


def test_a_drag_is_one_edit(session, image):
    session.add_query(image, 5, 5)
    points = session.queries
    for step in range(1, 6):
        points.data[0] = (5 + step, 5 + 2 * step)
        points.refresh()
    points.events.data(
        value=points.data, action=ActionType.CHANGED, data_indices=(0,), vertex_indices=((),)
    )
    assert session.undo()
    np.testing.assert_array_equal(points.data, [[5, 5]])
    assert session.undo()
    assert len(points.data) == 0


def test_a_paste_and_a_clear_are_one_edit_each(session, image):
    session.add_query(image, 5, 5, class_name="cell", positive=True)
    session.add_query(image, 50, 60, class_name="cell", positive=False)
    points = session.queries
    points.selected_data = {0, 1}
    points._copy_data()
    points._paste_data()
    assert len(points.data) == 4
    signs = list(points.features["sign"])
    points.data = np.empty((0, 2))
    assert session.heatmaps == {}
    assert session.undo()
    assert list(points.features["sign"]) == signs
    assert session.undo()
    assert list(points.features["sign"]) == ["positive", "negative"]
    assert set(session.heatmaps_of("cell")) == {image}


def test_undo_after_an_image_has_gone_and_after_another_model(session, viewer, image, other):
    session.add_query(image, 5, 5)
    session.add_query(other, 20, 20)
    viewer.layers.remove(image)
    session.set_model(PatchProjection("projection-2", -1.0))
    assert session.undo()
    assert len(session.queries.data) == 1
    assert session.heatmaps == {}, "the only point lies on no image any more"
    assert "1 point outside" in session.status


def test_undo_brings_back_which_image_a_point_was_on(session, viewer, rng):
    below = viewer.add_image(rng.normal(size=(40, 40)), name="below")
    session.add_query(below, 5, 5)
    viewer.add_image(rng.normal(size=(40, 40)), name="above")
    session.queries.data = [[100.0, 100.0]]
    assert session.heatmaps == {}
    assert session.undo()
    wanted = over_pixels(embed(below) @ at(below, 5, 5), below.data.shape)
    np.testing.assert_allclose(shown(session, below, "class 1"), wanted, atol=1e-4)


def test_undo_does_not_bring_back_an_image_that_a_point_had_left(session, viewer, image, rng):
    session.add_query(image, 5, 5)
    viewer.layers.remove(image)
    second = viewer.add_image(rng.normal(size=(40, 40)), name="second")
    viewer.layers.insert(0, image)
    session.add_query(second, 30, 30)
    assert session.undo()
    wanted = over_pixels(embed(second) @ at(second, 5, 5), second.data.shape)
    np.testing.assert_allclose(shown(session, second, "class 1"), wanted, atol=1e-4)


@pytest.mark.parametrize("others", [(), ("stroma",)])
def test_undo_of_a_new_name_leaves_no_false_class_and_keeps_the_layer(session, image, others):
    for number, name in enumerate(("cell", *others)):
        session.add_query(image, 5 + 16 * number, 5, class_name=name)
    session.class_name = "cell"
    layer = session.heatmaps_of("cell")[image]
    layer.gamma = 0.5
    colours = session.classes
    session.rename_class("cell", "nucleus")
    assert session.undo()
    assert session.classes == colours
    assert session.class_name == "cell"
    assert session.heatmaps_of("cell")[image] == layer
    assert session.heatmaps_of("nucleus") == {}
    assert layer.name == "image · cell"
    assert layer.gamma == 0.5


def test_undo_of_a_new_name_gives_back_name_and_colour(session, image):
    session.add_query(image, 5, 5, class_name="cell")
    session.add_query(image, 50, 60, class_name="debris")
    before = session.classes
    session.rename_class("cell", "debris")
    assert set(session.heatmaps_of("debris")) == {image}
    assert session.undo()
    assert list(session.queries.features["class"]) == ["cell", "debris"]
    assert session.classes == before


# -- another recipe ---------------------------------------------------------------------------


def test_nothing_of_an_earlier_recipe_is_used(session, image):
    session.add_query(image, 5, 5)
    session.recipe = Recipe(factor=2.0)
    embeddings = reference_embeddings(image.data, *reference_window(image.data), factor=2.0)
    wanted = over_pixels(embeddings @ embeddings[0, 0], image.data.shape, PATCH // 2)
    np.testing.assert_allclose(shown(session, image, "class 1"), wanted, atol=1e-4)


def test_only_negative_points_say_what_to_do(session, image):
    session.add_query(image, 5, 5, positive=False)
    assert session.heatmaps == {}
    assert session.status == "There are only negative points; add a positive one."
    session.add_query(image, 40, 40)
    assert session.status == "1 heatmap for 2 points."


def test_a_class_without_a_positive_point_is_named(session, image):
    session.add_query(image, 5, 5)
    session.add_query(image, 40, 40, class_name="rim", positive=False)
    assert session.status == (
        "1 heatmap for 2 points. rim has no positive point yet: click with + positive."
    )
    session.add_query(image, 40, 5, class_name="cell", positive=False)
    assert session.status.endswith("rim, cell have no positive point yet: click with + positive.")
    session.add_query(image, 20, 20, class_name="rim")
    session.add_query(image, 20, 20, class_name="cell")
    assert session.status == "3 heatmaps for 5 points."


def test_no_class_gets_another_colour_when_others_come_back_or_are_joined(session, viewer, image):
    session.add_query(image, 5, 5, class_name="cell")
    corners = np.array([[2, 2], [2, 30], [30, 30]])
    session.regions.add(viewer.add_shapes([corners], shape_type="polygon", name="drawn"))
    drawn = session.classes["drawn"]
    assert session.undo()
    assert session.classes["drawn"] == drawn
    session.add_query(image, 5, 5, class_name="cell")
    session.rename_class("cell", "class 1")
    assert session.classes["drawn"] == drawn


def test_shapes_keep_their_class_and_its_heatmap_when_it_is_renamed(session, viewer, image):
    corners = np.array([[2, 2], [2, 30], [30, 30]])
    shapes = viewer.add_shapes(
        [corners], shape_type="polygon", features={"class": ["cell"]}, name="drawn"
    )
    session.regions.add(shapes)
    session.rename_class("cell", "nucleus")
    assert list(shapes.features["class"]) == ["cell"]
    assert session.heatmaps_of("nucleus") == {}
    assert list(session.heatmaps_of("cell")) == [image]

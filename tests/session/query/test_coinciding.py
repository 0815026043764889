"""Points and shapes at one place, each on an image of its own, are never taken for one another."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.layers.base import ActionType

from heatmap_values import over_image
from napari_dinov3_sim.session.query.point_features import ID

pytestmark = pytest.mark.slow

LOW, UP = "low", "up"


@pytest.fixture
def twins(session, viewer, rng):
    """Two images at one place, and a point on each, at one place as well."""
    lower, upper = (viewer.add_image(rng.normal(size=(64, 64)), name=name) for name in (LOW, UP))
    session.add_query(lower, 20, 20, class_name=LOW)
    session.add_query(upper, 20, 20, class_name=UP)
    np.testing.assert_array_equal(*session.queries.data)
    return SimpleNamespace(session=session, points=session.queries, images={LOW: lower, UP: upper})


def assert_true(twins, *present, y=20, x=20):
    """The patch of each class is on its own image: there it is like itself, and nowhere else."""
    for class_name in present:
        heatmaps = twins.session.heatmaps_of(class_name)
        scores = {n: over_image(i, heatmaps[i])[y, x] for n, i in twins.images.items()}
        for name, score in scores.items():
            assert (score > 0.999) == (name == class_name), (class_name, scores)


def delete(twins, *rows):
    twins.points.selected_data = set(rows)
    twins.points.remove_selected()


def copy(twins, row):
    twins.points.selected_data = {row}
    twins.points._copy_data()


@pytest.mark.parametrize(("row", "left"), [(0, UP), (1, LOW)])
def test_the_one_that_is_left_keeps_its_image(twins, row, left):
    assert_true(twins, LOW, UP)
    delete(twins, row)
    assert_true(twins, left)


@pytest.mark.parametrize("row", [0, 1])
def test_undo_brings_the_right_one_back(twins, row):
    delete(twins, row)
    assert twins.session.undo()
    assert_true(twins, LOW, UP)
    delete(twins, 1 - row)
    assert_true(twins, (LOW, UP)[row])


@pytest.mark.parametrize("order", [[1, 0], [2, 0, 1], [1, 2, 0]])
def test_points_that_a_program_sorts_keep_their_images(twins, order):
    if len(order) == 3:
        twins.session.add_query(twins.images[LOW], 50, 50, class_name="third")
    features = twins.points.features
    twins.points.data = twins.points.data[order]
    twins.points.features = features.iloc[order]
    assert list(twins.points.features["class"])[:2] != [LOW, UP]
    assert_true(twins, LOW, UP)


def test_points_that_a_program_filters_keep_their_images(twins):
    twins.session.add_query(twins.images[LOW], 50, 50, class_name="third")
    features = twins.points.features
    twins.points.data = twins.points.data[1:]
    twins.points.features = features.iloc[1:]
    assert list(twins.points.features["class"]) == [UP, "third"]
    assert_true(twins, UP)
    low = twins.images[LOW]
    assert over_image(low, twins.session.heatmaps_of("third")[low])[50, 50] > 0.999


@pytest.mark.parametrize("row", [0, 1])
def test_the_one_that_is_dragged_away_and_back_keeps_its_image(twins, row):
    points = twins.points
    for place in ((40, 40), (20, 20)):
        points.data[row] = place
        points.refresh()
        points.events.data(
            value=points.data, action=ActionType.CHANGED, data_indices=(row,), vertex_indices=((),)
        )
    assert_true(twins, LOW, UP)


def test_one_that_is_dragged_to_where_another_was_is_not_the_other(session, viewer, rng):
    lower, upper = (viewer.add_image(rng.normal(size=(64, 64)), name=name) for name in (LOW, UP))
    session.add_query(lower, 4, 4, class_name=LOW)
    session.add_query(upper, 24, 24, class_name=UP)
    points = session.queries
    twins = SimpleNamespace(session=session, points=points, images={LOW: lower, UP: upper})
    points.data[:] += 20
    points.refresh()
    assert_true(twins, LOW, y=24, x=24)
    assert_true(twins, UP, y=44, x=44)


@pytest.mark.parametrize("row", [0, 1])
def test_a_copy_is_a_point_of_its_own(twins, row):
    copy(twins, row)
    twins.points._paste_data()
    assert_true(twins, *([UP] if row == 0 else [LOW, UP]))  # on the topmost, as any new point
    delete(twins, 2)
    assert_true(twins, LOW, UP)
    copy(twins, row)
    delete(twins, row)
    twins.points._paste_data()
    assert_true(twins, (UP, LOW)[row])


def test_a_click_after_a_deletion_is_a_new_point(twins):
    """Though napari gives it what the selected point had in its columns."""
    twins.points.selected_data = {0}
    twins.points.remove_selected()
    assert twins.points.feature_defaults[ID][0] != 0
    twins.points.add((40, 40))
    twins.session.rename_class(LOW, "next")
    scores = {n: over_image(n, h)[40, 40] for n, h in twins.session.heatmaps_of("next").items()}
    assert scores[twins.images[UP]] > 0.999 > scores[twins.images[LOW]]


def test_numbers_that_somebody_overwrites_are_set_right(twins):
    delete(twins, 0)
    twins.session.add_query(twins.images[LOW], 20, 20, class_name=LOW)
    points = twins.points
    for wrong in ([7, 7], [None, "x"], [0, 0], [-1, 10**30]):
        points.features = points.features.assign(**{ID: np.array(wrong, object)})
        assert_true(twins, LOW, UP)
    points.features = points.features.drop(columns=[ID])
    assert_true(twins, LOW, UP)
    assert len(set(points.features[ID])) == 2
    twins.session.class_name = "another"
    points.add((40, 40))
    delete(twins, 1, 2)
    assert_true(twins, UP)


# -- shapes -----------------------------------------------------------------------------------

SQUARE = np.array([[20, 20], [20, 30], [30, 30], [30, 20]])


def drawn_on_two(session, viewer, rng, second=SQUARE):
    """A shape on an image, and another on the image that has been opened above it since."""
    lower = viewer.add_image(rng.normal(size=(64, 64)), name=LOW)
    features = {"class": np.array([LOW], object)}
    shapes = viewer.add_shapes([SQUARE], shape_type="polygon", features=features)
    session.regions.add(shapes)
    upper = viewer.add_image(rng.normal(size=(64, 64)), name=UP)
    shapes.add([second], shape_type="polygon")
    shapes.features = {"class": np.array([LOW, UP], object)}
    return shapes, lower, upper


def owners(session, shapes):
    return [source.image for source in session.regions._followed[shapes.unique_id]._sources]


@pytest.mark.parametrize("row", [0, 1])
def test_of_two_shapes_the_one_that_is_left_keeps_its_image(session, viewer, rng, row):
    shapes, *images = drawn_on_two(session, viewer, rng)
    before = {name: session.heatmaps_of(name)[images[0]].data[:] for name in (LOW, UP)}
    shapes.selected_data = {row}
    shapes.remove_selected()
    left = (UP, LOW)[row]
    now = session.heatmaps_of(left)[images[0]].data[:]
    np.testing.assert_allclose(now, before[left], atol=1e-5)
    assert owners(session, shapes) == [images[1 - row].unique_id]


def test_shapes_that_are_dragged_together_keep_their_images(session, viewer, rng):
    shapes, lower, upper = drawn_on_two(session, viewer, rng, SQUARE + 10)
    for row in (0, 1):
        shapes._data_view.shift(row, np.array([10.0, 10.0]))
    shapes.refresh()
    assert owners(session, shapes) == [lower.unique_id, upper.unique_id]


def test_shapes_that_a_program_sorts_or_filters_keep_their_images(session, viewer, rng):
    shapes, lower, upper = drawn_on_two(session, viewer, rng, SQUARE + 10)
    shapes.data = shapes.data[::-1]
    assert owners(session, shapes) == [upper.unique_id, lower.unique_id]
    shapes.data = shapes.data[1:]
    assert owners(session, shapes) == [lower.unique_id]

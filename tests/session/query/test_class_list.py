"""What a list of classes shows and does: counts, removal, another class or sign."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.colormaps.standardize_color import transform_color

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.layers.style import darkened
from napari_dinov3_sim.session.resolved_state import ClassCounts

pytestmark = pytest.mark.slow

SQUARE = np.array([[10, 10], [10, 30], [30, 30], [30, 10]], float)


@pytest.fixture
def image(viewer, rng):
    return viewer.add_image(rng.normal(size=(70, 60)), name="image")


def draw(session, shift=0, class_name="cell", *, positive=True):
    session.class_name, session.positive = class_name, positive
    session.start_box()
    session.drawn_regions.add([SQUARE + shift], shape_type="rectangle")


def test_counts_are_of_points_by_sign_and_of_regions_of_both(session, viewer, image):
    for x, positive in ((5, True), (20, True), (40, False)):
        session.add_query(image, x, 5, class_name="cell", positive=positive)
    draw(session)
    draw(session, 20, positive=False)
    shapes = viewer.add_shapes([SQUARE, SQUARE + 5], name="rim", shape_type="polygon")
    session.regions.add(shapes)
    values = np.zeros((70, 60), np.uint8)
    values[:20, :20], values[40:, 40:] = 1, 3
    session.regions.add(viewer.add_labels(values, name="seg"))
    assert session.class_counts == {
        "class 1": ClassCounts(),
        "cell": ClassCounts(2, 1, 2),
        "rim": ClassCounts(regions=2),
        "seg 1": ClassCounts(regions=1),
        "seg 3": ClassCounts(regions=1),
    }


def test_a_removed_class_is_gone_from_points_and_boxes_and_asked_no_more(session, viewer, image):
    session.add_query(image, 5, 5, class_name="cell")
    session.add_query(image, 50, 60, class_name="debris")
    draw(session, class_name="cell")
    draw(session, 20, class_name="debris")
    session.remove_class("cell")
    assert list(session.classes) == ["class 1", "debris"]
    assert list(session.queries.features["class"]) == ["debris"]
    assert list(session.drawn_regions.features["class"]) == ["debris"]
    assert session.heatmaps_of("cell") == {}
    assert set(session.heatmaps_of("debris")) == {image}


def test_the_next_point_is_of_another_class_than_the_one_removed(session, image):
    session.add_query(image, 5, 5)
    session.class_name = "cell"
    session.remove_class("cell")
    assert session.class_name == "class 1"
    session.remove_class("class 1")
    assert session.class_name == "class 1"
    assert list(session.classes) == ["class 1"]
    assert len(session.queries.data) == 0
    assert session.undo()
    assert len(session.queries.data) == 1


def test_shapes_and_labels_of_the_user_stay_and_are_not_asked(session, viewer, image):
    shapes = viewer.add_shapes([SQUARE, SQUARE + 20], shape_type="polygon", name="mine")
    shapes.features = {"class": ["cell", "rim"]}
    values = np.zeros((70, 60), np.uint8)
    values[:20, :20], values[40:, 40:] = 1, 3
    labels = viewer.add_labels(values, name="seg")
    session.regions.add(shapes)
    session.regions.add(labels)
    assert set(session.histograms) == {"cell", "rim", "seg 1", "seg 3"}
    session.remove_class("cell")
    session.remove_class("seg 3")
    assert len(shapes.data) == 2
    assert list(shapes.features["class"]) == ["cell", "rim"]
    np.testing.assert_array_equal(np.unique(labels.data), [0, 1, 3])
    assert set(session.histograms) == {"rim", "seg 1"}
    assert not {"cell", "seg 3"} & set(session.classes)
    assert session.regions.layers == [shapes, labels]
    session.undo()
    assert set(session.histograms) == {"rim", "seg 1", "seg 3"}
    session.regions.add(shapes)
    assert set(session.histograms) == {"cell", "rim", "seg 1", "seg 3"}


def test_a_class_of_a_loaded_query_is_asked_no_more_until_undo(session, image, tmp_path):
    session.add_query(image, 5, 5, class_name="cell")
    session.add_query(image, 50, 60, class_name="debris")
    session.results.save_query(tmp_path / "both")
    session.wait()
    path = next(tmp_path.iterdir())
    session.queries.selected_data = {0, 1}
    session.queries.remove_selected()
    session.results.load_query(path)
    assert set(session.histograms) == {"cell", "debris"}
    session.remove_class("cell")
    assert set(session.histograms) == {"debris"}
    session.undo()
    assert set(session.histograms) == {"cell", "debris"}
    session.results.load_query(path)
    session.undo()  # an edit of the points, and nothing of a query that was loaded since
    assert set(session.histograms) == {"cell", "debris"}


def test_selected_points_get_another_class_and_sign(session, image):
    for x in (5, 20, 40):
        session.add_query(image, x, 5)
    points = session.queries
    points.selected_data = {0, 2}
    assert session.move_selected("cell") == 2
    assert list(points.features["class"]) == ["cell", "class 1", "cell"]
    assert session.move_selected(positive=False) == 2
    assert list(points.features["sign"]) == ["negative", "positive", "negative"]
    assert session.move_selected(positive=False) == 0
    assert session.undo()
    assert list(points.features["sign"]) == ["positive"] * 3
    assert session.class_name == "class 1"


def test_what_is_moved_is_of_the_layer_that_is_active(session, viewer, image):
    """The last point is still selected when a region is chosen, as napari has it."""
    session.add_query(image, 5, 5)
    draw(session)
    points, shapes = session.queries, session.drawn_regions
    points.selected_data, shapes.selected_data = {0}, {0}
    viewer.layers.selection.active = shapes
    assert session.move_selected("debris") == 1
    assert list(points.features["class"]) == ["class 1"]
    assert list(shapes.features["class"]) == ["debris"]
    viewer.layers.selection.active = image
    assert session.move_selected("both") == 2


def test_shapes_of_the_user_are_not_moved(session, viewer, image):
    shapes = viewer.add_shapes([SQUARE], shape_type="polygon", name="mine")
    session.regions.add(shapes)
    shapes.selected_data = {0}
    assert session.move_selected("cell") == 0
    assert "class" not in shapes.features


def test_a_class_needs_a_name(session, image):
    with pytest.raises(SimilarityError, match="needs a name"):
        session.move_selected("  ")


def test_what_is_negative_is_crossed_and_darker(session, image):
    session.add_query(image, 5, 5, class_name="cell")
    session.add_query(image, 50, 60, class_name="cell", positive=False)
    draw(session)
    draw(session, 20, positive=False)
    colour = session.classes["cell"]
    wanted = transform_color([colour, darkened(colour)])
    np.testing.assert_allclose(session.queries.border_color, wanted, atol=1e-6)
    assert [str(symbol) for symbol in session.queries.symbol] == ["disc", "cross"]
    np.testing.assert_allclose(session.drawn_regions.edge_color, wanted, atol=1e-6)
    session.rename_class("cell", "nucleus")
    np.testing.assert_allclose(session.drawn_regions.edge_color, wanted, atol=1e-6)

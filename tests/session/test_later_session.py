"""A session that is opened on a viewer where an earlier one was closed."""

from __future__ import annotations

from contextlib import closing, suppress

import numpy as np
import pytest
from napari.layers import Points
from napari.utils import Colormap

from heatmap_values import over_image
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layers.style import CLASS_COLOURS
from napari_dinov3_sim.session.resolved_state import ClassCounts
from napari_dinov3_sim.session.runner import InlineRunner

pytestmark = pytest.mark.slow


@pytest.fixture
def later(viewer, backbone):
    """Open another session, to be called when the first one is closed."""
    sessions = []

    def open_():
        sessions.append(SimilaritySession(viewer, backbone=backbone, runner=InlineRunner()))
        return sessions[-1]

    yield open_
    for session in sessions:
        session.close()


@pytest.fixture
def image(viewer, session, rng):
    image = viewer.add_image(rng.normal(size=(40, 40)), name="image")
    session.add_query(image, 3, 3)
    return image


def test_a_heatmap_follows_an_image_that_moved_while_nobody_looked(session, image, later):
    heatmap = session.heatmaps[image]
    session.close()
    image.translate = (0, -4)
    assert later().heatmaps[image] is heatmap
    corner = image.data_to_world((-0.5, -0.5))
    np.testing.assert_allclose(heatmap.data_to_world((-0.5, -0.5)), corner)
    over_image(image, heatmap)  # which looks at the other corners, too


@pytest.fixture
def other(viewer, session, image, rng):
    """An image that nothing was clicked in, and so may be hidden when a session begins."""
    return viewer.add_image(rng.normal(size=(40, 40)), name="other", translate=(0, 50))


def test_a_heatmap_that_was_hidden_with_its_image_is_shown_with_it(session, other, later):
    heatmap = session.heatmaps[other]
    other.visible = False
    session.close()
    later()
    assert not heatmap.visible
    other.visible = True
    assert heatmap.visible


@pytest.mark.parametrize("visible", [True, False])
def test_a_heatmap_is_shown_as_its_image_is_by_now(session, other, later, visible):
    heatmap = session.heatmaps[other]
    other.visible = not visible
    session.close()
    other.visible = visible
    later()
    assert heatmap.visible == visible


def test_a_heatmap_that_the_user_hid_stays_hidden(session, image, later):
    heatmap = session.heatmaps[image]
    heatmap.visible = False
    session.close()
    later()
    image.visible = False
    image.visible = True
    assert not heatmap.visible


def test_a_look_that_only_napari_knows_does_not_stop_the_controls(session, image, later):
    heatmap = session.heatmaps[image]
    session.style(opacity=0.4)
    session.close()
    with suppress(ValueError):  # older versions of napari have no such blending
        heatmap.blending = "multiplicative"
    heatmap.colormap = Colormap([[0, 0, 0, 0], [1, 0, 1, 1]], name="of a script")
    second = later()
    assert second.heatmap_style.opacity == 0.4
    second.heatmap_style.check()
    second.style(opacity=0.6)
    assert heatmap.opacity == 0.6


def test_classes_keep_their_colours_thresholds_and_numbers(session, image, later):
    session.add_query(image, 30, 30, class_name="glands")
    session.add_query(image, 30, 3, class_name="gone")
    session.set_class_colour("glands", "#123456")
    session.class_name = "glands"
    session.threshold = 0.4
    session.set_class_visible("glands", False)
    session.remove_class("gone")
    before = dict(session.classes)
    session.close()
    second = later()
    assert dict(second.classes) == before
    assert second.class_name == "glands"
    assert (second.threshold, second.thresholds["glands"]) == (0.4, 0.4)
    assert second.hidden_classes == {"glands"}
    second.add_query(image, 3, 30, class_name="new")
    assert second.classes["new"] == CLASS_COLOURS[3]  # "gone" keeps the one before
    second.class_name = "glands"
    second.threshold = None
    assert second.thresholds["glands"] != 0.4


def test_what_was_asked_and_set_is_so_again(viewer, session, image, later):
    square = [[[5, 5], [5, 20], [20, 20], [20, 5]]]
    shapes, gone = (viewer.add_shapes(square, name=name) for name in ("shapes", "gone"))
    labels = viewer.add_labels(np.eye(40, dtype=np.uint8), name="labels")
    session.regions.add(shapes, image, "drawn", positive=False)
    session.regions.add(labels)
    session.regions.add(gone)
    session.remove_class("labels 1")
    session.outline, session.min_area, session.limits = "patches", "2 px", (0.1, 0.7)
    session.all_planes = session.smooth = True
    before = dict(session.class_counts)
    assert before.keys() == {"class 1", "drawn", "gone"}
    session.close()
    viewer.layers.remove(gone)
    second = later()
    assert second.regions.layers == [shapes, labels]
    assert dict(second.class_counts) == before | {"gone": ClassCounts()}
    assert (second.outline, second.min_area) == ("patches", 2)
    assert (second.scaling, second.limits) == ("fixed", (0.1, 0.7))
    assert second.all_planes
    assert second.smooth


def test_a_loaded_query_is_asked_again_until_it_is_dropped(session, image, later, tmp_path):
    session.class_name = "class 1"
    session.threshold = 0.3
    path = tmp_path / "one.query.safetensors"
    session.results.save_query(path)
    session.new_queries()
    session.threshold = None
    session.results.load_query(path)
    assert session.threshold == 0.3
    session.rename_class("class 1", "renamed")
    session.close()
    second = later()
    assert second.results.saved.name == path.name
    assert "renamed" in second.classes
    second.class_name = "renamed"
    assert second.threshold == 0.3
    second.results.drop_query()
    assert second.threshold is None


def test_images_that_were_left_out_merged_or_split_stay_so(viewer, session, image, other, later):
    third = viewer.add_image(np.ones((40, 40)) * np.arange(40), name="third")
    session.merge_channels([image, third, None])
    session.set_target(other, False)
    session.close()
    second = later()
    assert [tuple(group) for group in second.merged.values()] == [(image, third, None)]
    assert second.targets == [image]
    assert second.split_channels(image)
    second.close()
    assert later().merged == {}


def test_only_what_is_still_there_is_taken_up(viewer, session, image, other, later):
    session.set_target(other, False)
    session.close()
    viewer.layers.remove(other)
    again = viewer.add_image(np.zeros((40, 40)), name="other")
    second = later()
    assert again in second.targets
    second.close()
    viewer.layers.remove("DINOv3 query")
    assert dict(later().class_counts) == {"class 1": ClassCounts()}


def drawn(x):
    return [[5, x], [5, x + 10], [15, x + 10], [15, x]]


def test_shapes_that_were_edited_while_nobody_looked_are_asked(viewer, session, image, later):
    over = viewer.add_image(np.array(image.data), name="over")  # lies on the same place
    shapes = viewer.add_shapes([drawn(0), drawn(12), drawn(24)], name="shapes")
    session.regions.add(shapes, image)
    over.visible = False
    session.wait()
    session.close()
    over.visible = True
    shapes.data = [drawn(12), drawn(25), drawn(1), drawn(8)]  # one is gone, two new, one moved
    second = later()
    assert second.class_counts["shapes"].regions == 4
    (regions,) = (one for one in second.regions.followed if one.layer is shapes)
    assert regions.origins[0].image == image.unique_id
    shapes.add(drawn(20))
    assert second.class_counts["shapes"].regions == 5


def test_resolution_source_and_look_are_as_they_were(viewer, session, image, other, later):
    session.recipe = Recipe(factor=2)
    session.source = other
    session.style(opacity=0.3, colormap="magma")
    session.close()
    for layer in [one for one in viewer.layers if one not in (image, other)]:
        if not isinstance(layer, Points):
            viewer.layers.remove(layer)
    second = later()
    assert second.recipe == Recipe(factor=2)
    assert second.source == other
    assert (second.heatmap_style.opacity, second.heatmap_style.colormap) == (0.3, "magma")


def test_channels_that_were_found_are_found_anew_and_asked(viewer, session, later, rng):
    layers = viewer.add_image(rng.normal(size=(3, 40, 40)), channel_axis=0, name="cells")
    session.add_query(layers[0], 5, 5)
    assert session.merged.keys() == {layers[0]}
    session.close()
    viewer.layers.remove(layers[0])
    second = later()
    assert second.merged == {layers[1]: (layers[1], layers[2], None)}
    assert second.targets == [layers[1]]
    (group,) = second.channel_groups.values()
    assert group.automatic


def test_what_is_given_to_a_session_counts(viewer, session, image, later, backbone):
    session.recipe = Recipe(factor=2)
    session.close()
    with closing(
        SimilaritySession(
            viewer,
            backbone=backbone,
            runner=InlineRunner(),
            recipe=Recipe(shifts=2),
            auto_merge=False,
        )
    ) as second:
        assert second.recipe == Recipe(shifts=2)
        assert not second.auto_merge

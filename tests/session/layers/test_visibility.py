"""Which heatmaps and class maps are shown: by image, by class, one or the other."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layer_metadata import is_helper
from napari_dinov3_sim.session.runner import InlineRunner

pytestmark = pytest.mark.slow


@pytest.fixture
def image(viewer, session, rng):
    return viewer.add_image(rng.normal(size=(96, 96)), name="image")


@pytest.fixture
def two(session, image):
    """The heatmaps of two classes of one image."""
    session.add_query(image, 5, 5, class_name="a")
    session.add_query(image, 50, 60, class_name="b")
    return [session.heatmaps_of(class_name)[image] for class_name in "ab"]


def visible(layers):
    return [layer.visible for layer in layers]


def test_the_class_map_takes_the_place_of_the_heatmaps(session, image, two):
    session.show_class_maps = True
    assert session.class_maps[image].visible
    assert visible(two) == [False, False]
    session.show_class_maps = False
    assert not session.class_maps[image].visible
    assert visible(two) == [True, True]


def test_with_one_class_the_heatmap_stays(session, image):
    session.show_class_maps = True
    session.add_query(image, 5, 5, class_name="a")
    assert session.heatmaps[image].visible
    session.add_query(image, 50, 60, class_name="b")
    assert not session.heatmaps[image].visible
    session.queries.selected_data = {1}
    session.queries.remove_selected()
    assert session.heatmaps[image].visible


def test_what_the_user_has_hidden_stays_hidden(session, two):
    two[0].visible = False
    session.show_class_maps = True
    session.show_class_maps = False
    session.set_class_visible("a", False)
    session.set_class_visible("a", True)
    assert visible(two) == [False, True]


def test_what_the_user_shows_meanwhile_is_not_hidden_again(session, image, two):
    session.show_class_maps = True
    two[1].visible = True
    session.add_query(image, 20, 20, class_name="a")
    assert visible(two) == [False, True]
    session.show_class_maps = False
    assert visible(two) == [True, True]


def test_nothing_of_a_hidden_image_is_shown(session, image, two):
    image.visible = False
    session.show_class_maps = True
    assert not session.class_maps[image].visible
    session.show_class_maps = False
    assert visible(two) == [False, False]
    image.visible = True
    assert visible(two) == [True, True]


def test_the_class_map_that_is_removed_gives_the_heatmaps_back(session, viewer, image, two):
    session.show_class_maps = True
    viewer.layers.remove(session.class_maps[image])
    assert visible(two) == [True, True]


@pytest.mark.parametrize("shown", [True, False])
def test_a_later_session_goes_on_with_the_same_view(session, viewer, image, two, backbone, shown):
    session.show_class_maps = shown
    session.close()
    with closing(SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())) as later:
        assert later.show_class_maps == shown
        assert visible(two) == [not shown, not shown]
        later.show_class_maps = not shown
        assert visible(two) == [shown, shown]


def test_only_what_is_a_view_of_its_own_belongs_in_a_list(session, viewer, image, two):
    def listed():
        return [layer.name for layer in viewer.layers if not is_helper(layer)]

    assert listed() == ["image", "image · a", "image · b", "DINOv3 query"]
    session.show_class_maps = True
    assert listed() == ["image", "image · class map", "DINOv3 query"]
    session.side_by_side = True
    assert len(listed()) == 3
    session.show_class_maps = False
    copied = viewer.layers["image · outlines"].as_layer_data_tuple()
    assert viewer._add_layer_from_data(*copied)[0].name in listed(), "a copy is the user's"


# -- one class -------------------------------------------------------------------------------


def test_a_hidden_class_is_hidden_everywhere_and_in_images_to_come(
    session, viewer, image, two, rng
):
    session.set_class_visible("a", False)
    assert session.hidden_classes == {"a"}
    other = viewer.add_image(rng.normal(size=(96, 96)), translate=(0, 100))
    both = [*two, *(session.heatmaps_of(class_name)[other] for class_name in "ab")]
    assert visible(both) == [False, True, False, True]
    assert list(session.colour_scale.colours) == ["b"]
    session.set_class_visible("a", True)
    assert visible(both) == [True] * 4
    assert session.hidden_classes == set()


def test_a_hidden_class_leaves_no_colour_in_the_class_map(session, image, two):
    colours = session.class_maps[image].colormap
    assert colours.map(1)[3] == 1
    session.set_class_visible("a", False)
    colours = session.class_maps[image].colormap
    assert (colours.map(1)[3], colours.map(2)[3]) == (0, 1)


def test_a_hidden_class_stays_hidden_under_its_new_name(session, image, two):
    session.set_class_visible("a", False)
    session.rename_class("a", "cell")
    assert session.hidden_classes == {"cell"}
    assert visible(two) == [False, True]
    assert "a" not in session.classes


def test_a_class_that_takes_the_name_of_a_hidden_one_is_shown(session, image, two):
    session.set_class_visible("a", False)
    session.rename_class("b", "a")
    session.wait()
    assert session.hidden_classes == set()
    assert visible(session.heatmaps_of("a").values()) == [True]


@pytest.mark.parametrize("hidden", ["a", "b"])
def test_a_renamed_class_keeps_its_colour_in_the_class_map(session, image, two, hidden):
    session.show_class_maps = True
    session.set_class_visible(hidden, False)
    colour = session.classes["a"]
    session.rename_class("a", "cell")
    session.wait()
    assert session.classes["cell"] == colour
    drawn = session.class_maps[image].colormap
    assert drawn.map(1)[3] == (hidden != "a")
    assert drawn.map(2)[3] == (hidden != "b")


# -- colours ---------------------------------------------------------------------------------


def test_the_colour_of_a_class_is_that_of_all_that_is_drawn_of_it(session, viewer, image, two):
    session.set_class_colour("b", "#FF0080")
    wanted = np.array([1, 0, 0x80 / 255, 1])
    assert session.classes["b"] == "#ff0080"
    np.testing.assert_allclose(two[1].colormap.colors[-1], wanted, atol=1e-3)
    np.testing.assert_allclose(session.class_maps[image].colormap.map(2), wanted, atol=1e-2)
    np.testing.assert_allclose(session.queries.border_color[1], wanted, atol=1e-3)
    outlines = viewer.layers["image · outlines"]
    np.testing.assert_allclose(outlines.edge_color[-1], wanted, atol=1e-3)
    np.testing.assert_allclose(
        session.colour_scale.colours["b"][-1], [*wanted[:3], 0.7], atol=1e-3
    )


def test_a_colormap_that_the_user_has_chosen_stays(session, two):
    two[0].colormap = "viridis"
    session.set_class_colour("a", "#ff0080")
    assert two[0].colormap.name == "viridis"


@pytest.mark.parametrize("colour", ["nope", "#12", "", "#12345g", "red"])
def test_what_is_no_colour_is_refused(session, two, colour):
    from napari_dinov3_sim import SimilarityError

    with pytest.raises(SimilarityError, match="give one as #rrggbb"):
        session.set_class_colour("a", colour)


def test_the_scale_of_the_colours(session, image, two):
    assert session.colour_scale.limits == session.limits
    session.limits = (0.25, 0.75)
    assert session.colour_scale.limits == (0.25, 0.75)
    session.scaling = "each"
    assert session.colour_scale.limits is None
    session.queries.data = np.empty((0, 2))
    assert session.colour_scale.colours == {}

"""One threshold per class: by hand or automatic; contours and Labels show the same pixels."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.colormaps.standardize_color import transform_color
from scipy.ndimage import label as label_objects

from heatmap_values import over_image
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layer_metadata import is_helper, mark_of
from napari_dinov3_sim.session.runner import CancelToken, InlineRunner

from ..brute_force import PatchProjection

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def patches(session):
    """Objects of patches; those with edges are tested in ``test_edges.py``."""
    session.outline = "patches"


@pytest.fixture
def two(viewer, rng):
    return [
        viewer.add_image(rng.normal(size=(70, 100)), name="plain"),
        viewer.add_image(rng.normal(size=(90, 65)), name="turned", scale=(0.5, 2), rotate=30),
    ]


def of_role(viewer, role, image):
    found = [(layer, mark_of(layer, role)) for layer in viewer.layers]
    return [layer for layer, mark in found if mark and mark["image"] == image.unique_id]


def contour_of(viewer, image):
    layers = of_role(viewer, "contour", image)
    assert len(layers) <= 1
    return layers[0] if layers else None


def inside(layer, shape, position=()):
    """Fill contours: a pixel lies inside if a line from the left crosses an odd number of vertical
    vectors. Where a horizontal vector lies, the pixels on both sides of it must differ.
    """
    steps = np.zeros((shape[0], shape[1] + 1), int)
    horizontal = np.zeros((shape[0] + 1, shape[1]), int)
    for start, along in np.asarray(layer.data):
        assert tuple(start[:-2]) == tuple(position)
        (y, x), (height, width) = start[-2:] + 0.5, along[-2:]
        assert (y, x, height, width) == tuple(map(round, (y, x, height, width)))
        y, x, height, width = map(round, (y, x, height, width))
        assert min(height, width) == 0 < max(height, width)
        if height:
            steps[y : y + height, x] += 1
        else:
            horizontal[y, x : x + width] += 1
    found = np.cumsum(steps, axis=1)[:, :-1] % 2 == 1
    changes = np.diff(np.pad(found, ((1, 1), (0, 0))), axis=0)
    np.testing.assert_array_equal(changes, horizontal == 1)
    return found


def labels_of(session, viewer, image):
    session.results.labels()
    return np.asarray(of_role(viewer, "result", image)[-1].data)


# -- which threshold ------------------------------------------------------------------------------


def test_without_a_threshold_by_hand_the_automatic_one_is_in_force(session, two):
    assert (session.threshold, session.thresholds, session.found) == (None, {}, {})
    assert session.automatic_threshold() is None
    session.add_query(two[0], 40, 33)
    automatic = session.automatic_threshold()
    assert session.threshold is None
    assert session.thresholds == {"class 1": automatic}
    assert automatic == pytest.approx(session.results.otsu())
    session.add_query(two[0], 80, 50)
    session.add_query(two[0], 10, 60, positive=False)
    assert session.automatic_threshold() != automatic


def test_each_class_has_its_own(session, two):
    session.add_query(two[0], 40, 33, class_name="cell")
    session.add_query(two[0], 80, 50, class_name="gap")
    session.class_name = "cell"
    session.threshold = 0.25
    assert session.thresholds == {"cell": 0.25, "gap": session.automatic_threshold("gap")}
    session.class_name = "gap"
    assert session.threshold is None
    session.threshold = 0.5
    assert session.thresholds == {"cell": 0.25, "gap": 0.5}
    session.use_automatic_threshold()
    assert session.thresholds == {"cell": 0.25, "gap": session.automatic_threshold("gap")}
    session.rename_class("cell", "nucleus")
    assert session.thresholds == {"nucleus": 0.25, "gap": session.automatic_threshold("gap")}


def by_hand(session):
    return session._coordinator.thresholds.by_hand


def test_a_threshold_goes_with_its_class_and_comes_back_with_it(session, two):
    session.add_query(two[0], 40, 33, class_name="cell")
    session.class_name = "cell"
    session.threshold = 0.25
    session.remove_class("cell")
    session.add_query(two[0], 80, 50, class_name="cell")  # another class of the same name
    session.class_name = "cell"
    assert session.threshold is None
    assert session.thresholds == {"cell": session.automatic_threshold("cell")}
    session.threshold = 0.5
    session.rename_class("cell", "gap")
    assert by_hand(session) == {"gap": 0.5}
    session.use_automatic_threshold()
    for _ in range(3):  # the name, the point, the removal
        session.undo()
    assert by_hand(session) == {"cell": 0.25}


def test_classes_that_are_joined_keep_the_threshold_of_the_name(session, two):
    session.add_query(two[0], 40, 33, class_name="cell")
    session.add_query(two[0], 80, 50, class_name="gap")
    session.class_name = "cell"
    session.threshold = 0.25
    session.rename_class("cell", "gap")
    assert by_hand(session) == {}
    session.undo()
    assert by_hand(session) == {"cell": 0.25}
    session.rename_class("gap", "cell")
    assert by_hand(session) == {"cell": 0.25}
    session.undo()
    assert by_hand(session) == {"cell": 0.25}


def test_a_class_that_is_not_there_gets_none_by_a_new_name(session, two):
    session.add_query(two[0], 40, 33, class_name="cell")
    session.class_name = "cell"
    session.threshold = 0.25
    session.remove_class("cell")
    session.rename_class("cell", "gap")
    assert by_hand(session) == {}
    assert "gap" not in session.classes


@pytest.mark.parametrize("threshold", [1.5, -2, float("nan")])
def test_a_threshold_by_hand_is_a_cosine(session, two, threshold):
    session.add_query(two[0], 40, 33)
    with pytest.raises(SimilarityError, match="from -1 to 1"):
        session.threshold = threshold
    assert session.threshold is None


def test_changes_are_told_and_one_class_is_asked_nothing_anew(session, two):
    session.add_query(two[0], 40, 33)
    told = []
    session.thresholded.connect(lambda: told.append(dict(session.thresholds)))
    before, data = session._coordinator.answers.question, session.heatmaps[two[0]].data
    session.threshold = 0.3
    session.threshold = 0.4
    session.use_automatic_threshold()
    automatic = session.automatic_threshold()
    assert [one["class 1"] for one in told] == [0.3, 0.4, automatic]
    assert session._coordinator.answers.question is before
    assert session.heatmaps[two[0]].data is data
    session.queries.selected_data = {0}
    session.queries.remove_selected()
    assert told[-1] == session.thresholds == {}


# -- what is found --------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [None, -0.2, 0.1, 0.6, 1.0])
def test_found_counts_what_labels_have(session, two, viewer, threshold):
    session.add_query(two[0], 40, 33)
    session.threshold = threshold
    found = session.found["class 1"]
    pixels = [labels_of(session, viewer, image) for image in two]
    assert found.objects == sum(label_objects(one, np.ones((3, 3)))[1] for one in pixels)
    assert found.area == sum((one > 0).sum() for one in pixels)
    assert found.area_fraction == found.area / sum(one.size for one in pixels)
    assert found.images == sum(one.any() for one in pixels)


def test_what_has_not_changed_is_not_counted_again(session, two, monkeypatch):
    from napari_dinov3_sim.session.objects import finder

    session.add_query(two[0], 40, 33, class_name="cell")
    session.add_query(two[0], 80, 50, class_name="gap")
    counted = []
    find = finder.find_objects

    def count(request, scores):
        counted.append(request.class_name)
        return find(request, scores)

    monkeypatch.setattr(finder, "find_objects", count)
    first = session.found
    session.split_touching = True
    assert sorted(counted) == ["cell", "cell", "gap", "gap"]
    session.split_touching = False
    assert session.found == first
    counted.clear()
    session.class_name = "gap"
    session.threshold = 0.1
    assert session.found["cell"] == first["cell"]
    assert counted == ["gap", "gap"]


def test_with_several_classes_a_drag_waits_for_no_answer(session, two, viewer, monkeypatch):
    session.add_query(two[0], 40, 33, class_name="cell")
    session.add_query(two[0], 80, 50, class_name="gap")
    session.class_name = "gap"
    answers = session._coordinator.answers
    submit, token = answers._submit, CancelToken()
    monkeypatch.setattr(answers, "_submit", lambda missing: setattr(answers, "_token", token))
    for threshold in (0.1, 0.3):  # another question each, of which no answer comes
        session.threshold = threshold
        assert answers.question.thresholds == (("gap", threshold),)
        pixels = over_image(two[0], session.heatmaps_of("gap")[two[0]]) >= np.float32(threshold)
        session.set_class_visible("cell", False)
        np.testing.assert_array_equal(inside(contour_of(viewer, two[0]), pixels.shape), pixels)
        session.set_class_visible("cell", True)
        assert session.found["gap"].objects > 0
    monkeypatch.setattr(answers, "_submit", submit)
    session.combination = "mean"  # other scores: those that were known are no answer any more
    assert answers._same_scores == {}
    assert set(session.found) == {"cell", "gap"}


# -- contours -------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [None, 0.0, 0.2])
def test_labels_are_exactly_what_contours_show(session, two, viewer, threshold):
    session.add_query(two[0], 40, 33)
    session.threshold = threshold
    for image in two:
        contour = contour_of(viewer, image)
        pixels = labels_of(session, viewer, image) > 0
        assert pixels.any()
        assert not pixels.all()
        np.testing.assert_array_equal(inside(contour, image.data.shape), pixels)
        np.testing.assert_allclose(
            contour.data_to_world((3, 7)), image.data_to_world((3, 7)), atol=1e-9
        )
        assert viewer.layers.index(contour) > viewer.layers.index(session.heatmaps[image])
        assert is_helper(contour)


def test_contours_follow_the_threshold_at_once_and_a_layer_is_made_once(session, two, viewer):
    session.add_query(two[0], 40, 33)
    layer, count = contour_of(viewer, two[0]), len(viewer.layers)
    for threshold in (0.3, 0.1, 1.0, -1.0, 0.2):
        session.threshold = threshold
        pixels = over_image(two[0], session.heatmaps[two[0]]) >= np.float32(threshold)
        np.testing.assert_array_equal(inside(layer, pixels.shape), pixels)
    assert len(viewer.layers) == count
    assert contour_of(viewer, two[0]) is layer


def test_contours_of_a_coarse_level_part_pixels_of_the_finest(session, viewer, rng):
    fine = rng.normal(size=(150, 118))
    image = viewer.add_image([fine, fine[:75, :59]], multiscale=True)
    image.scale = (2, 3)
    session.add_query(image, 40, 33)
    session.threshold = 0.1
    pixels = labels_of(session, viewer, image) > 0
    np.testing.assert_array_equal(inside(contour_of(viewer, image), fine.shape), pixels)


def test_contours_lie_in_the_plane_of_a_stack_that_is_shown(session, viewer, rng):
    image = viewer.add_image(rng.normal(size=(3, 64, 80)))
    viewer.dims.set_point(0, 0)
    session.add_query(image, 40, 33)
    session.threshold = 0.1
    for z in (0, 2):
        viewer.dims.set_point(0, z)
        session.wait()
        pixels = over_image(image, session.heatmaps[image])[z] >= np.float32(0.1)
        found = inside(contour_of(viewer, image), pixels.shape, position=(z,))
        np.testing.assert_array_equal(found, pixels)


def test_every_class_has_contours_in_its_colour_while_it_is_shown(session, two, viewer):
    session.add_query(two[0], 40, 33, class_name="cell")
    session.add_query(two[0], 80, 50, class_name="gap")
    layer = contour_of(viewer, two[0])
    colours = {tuple(np.round(255 * colour[:3]).astype(int)) for colour in layer.edge_color}
    wanted = [tuple(bytes.fromhex(session.classes[name][1:])) for name in ("cell", "gap")]
    assert colours == set(wanted)
    session.set_class_visible("gap", False)
    colours = {tuple(np.round(255 * colour[:3]).astype(int)) for colour in layer.edge_color}
    assert colours == {wanted[0]}


def test_contours_can_be_turned_off_and_go_with_their_image_and_their_query(session, two, viewer):
    session.add_query(two[0], 40, 33)
    assert session.show_contours
    session.show_contours = False
    assert contour_of(viewer, two[0]) is None
    session.threshold = 0.2
    assert contour_of(viewer, two[0]) is None
    session.show_contours = True
    assert contour_of(viewer, two[0]) is not None
    two[0].visible = False
    assert not contour_of(viewer, two[0]).visible
    two[0].visible = True
    assert contour_of(viewer, two[0]).visible
    viewer.layers.remove(two[1])
    assert contour_of(viewer, two[1]) is None
    session.queries.selected_data = {0}
    session.queries.remove_selected()
    assert contour_of(viewer, two[0]) is None


def test_a_contour_that_was_deleted_is_drawn_again_with_the_next_threshold(session, two, viewer):
    session.add_query(two[0], 40, 33)
    viewer.layers.remove(contour_of(viewer, two[0]))
    session.threshold = 0.2
    assert contour_of(viewer, two[0]) is not None


def test_a_later_session_goes_on_with_the_contours(rng):
    viewer = ViewerModel()
    image = viewer.add_image(rng.normal(size=(70, 100)))
    first = SimilaritySession(viewer, backbone=PatchProjection(), runner=InlineRunner())
    first.add_query(image, 40, 33)
    first.close()
    second = SimilaritySession(viewer, backbone=PatchProjection(), runner=InlineRunner())
    second.add_query(image, 80, 50)
    assert contour_of(viewer, image) is not None
    second.close()


def test_lines_are_as_wide_on_the_screen_at_any_zoom_and_scale(session, two, viewer):
    session.add_query(two[0], 40, 33)
    widths = {}
    for zoom in (0.25, 1.0, 8.0):
        viewer.scene.camera.zoom = zoom
        widths[zoom] = [contour_of(viewer, image).edge_width for image in two]
    assert np.ptp([zoom * width for zoom, (width, _) in widths.items()]) < 1e-6
    # A pixel of the second image is 0.5 × 2 units of the world, one of the first 1 × 1.
    assert widths[1.0][0] == pytest.approx(widths[1.0][1])


def test_class_maps_are_parted_by_thresholds_set_by_hand_only(session, two):
    session.add_query(two[0], 40, 33, class_name="cell")
    session.add_query(two[0], 80, 50, class_name="gap")
    assert (np.asarray(session.class_maps[two[0]].data) > 0).all()
    session.class_name = "cell"
    session.threshold = 1.0
    numbers = np.asarray(session.class_maps[two[0]].data)
    cell = over_image(two[0], session.heatmaps_of("cell")[two[0]])
    np.testing.assert_array_equal(numbers, np.where(cell >= 1, 1, 2))


# -- the minimum area -------------------------------------------------------------------------


def test_small_objects_have_neither_contour_nor_count_nor_label(session, viewer, two):
    session.add_query(two[0], 40, 33)
    session.threshold = 0.2
    before = session.found["class 1"]
    told = []
    session.thresholded.connect(lambda: told.append(session.min_area))
    session.min_area = 400
    assert told == [400]
    for image in two:
        drawn = inside(contour_of(viewer, image), image.data.shape)
        labels = labels_of(session, viewer, image)
        np.testing.assert_array_equal(labels > 0, drawn)
        sizes = np.bincount(labels.ravel())[1:]
        assert (sizes >= 400).all()
    found = session.found["class 1"]
    assert 0 < found.objects < before.objects
    assert session.results.outdated == ()
    session.min_area = 0
    assert session.found["class 1"] == before
    assert session.results.outdated == ("labels",)


# -- stacks -----------------------------------------------------------------------------------


def test_the_contour_of_every_plane_has_the_colour_of_its_class(session, viewer, rng):
    """napari gives vectors that are added to others a colour of its own."""
    stack = viewer.add_image(rng.normal(size=(3, 80, 80)), name="stack")
    viewer.dims.set_current_step(0, 0)
    session.add_query(stack, 20, 20)
    session.threshold = 0.9
    few = len(contour_of(viewer, stack).data)
    session.threshold = 0.0
    colour = np.array(transform_color(session.classes["class 1"])[0])
    for plane in (1, 2, 0):
        viewer.dims.set_current_step(0, plane)
        session.wait()
        contour = contour_of(viewer, stack)
        assert len(contour.data) > few
        np.testing.assert_allclose(contour.edge_color, np.tile(colour, (len(contour.data), 1)))

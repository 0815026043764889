"""Results of a session: each equals brute force, lies on its image, and is the user's."""

from __future__ import annotations

import csv
import threading
from itertools import pairwise

import numpy as np
import pint
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.utils import CyclicLabelColormap
from napari.utils.colormaps.standardize_color import transform_color
from scipy.ndimage import label as label_objects
from skimage.color import rgb2lab

from heatmap_values import over_image
from napari_dinov3_sim.core.errors import EmbeddingCancelled, SimilarityError
from napari_dinov3_sim.core.images import levels
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.layers.style import CLASS_COLOURS
from napari_dinov3_sim.session.results import computations as result_data
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from napari_dinov3_sim.session.worker_messages import Progress
from patience import PATIENCE, deliver_until

from ..brute_force import PATCH, PatchProjection, reference_embeddings, reference_window

pytestmark = pytest.mark.slow


@pytest.fixture
def said(session):
    sentences = []
    session.results.done.connect(sentences.append)
    return sentences


@pytest.fixture(autouse=True)
def patches(session):
    """Objects of patches; those with edges are tested in ``test_edges.py``."""
    session.outline = "patches"


@pytest.fixture
def two(viewer, rng):
    """A plain image, and one that is scaled, moved, rotated and has units."""
    return [
        viewer.add_image(rng.normal(size=(70, 100)), name="plain"),
        viewer.add_image(
            rng.integers(0, 4000, (90, 65)).astype(np.uint16),
            name="turned",
            scale=(0.5, 2.5),
            rotate=30,
            translate=(200, -30),
        ),
    ]


def results(viewer, what, image=None):
    """The result layers of a sort, the bottom one first."""
    marks = [(layer, mark_of(layer, "result")) for layer in viewer.layers]
    return [
        layer
        for layer, mark in marks
        if mark is not None
        and mark["what"][0] == what
        and (image is None or mark["image"] == image.unique_id)
    ]


def heatmap(session, image, class_name="class 1"):
    return over_image(image, session.heatmaps_of(class_name)[image])


def objects_of(cosine, threshold, min_area=0):
    """Brute force: connected pixels, not patches."""
    objects, count = label_objects(cosine >= np.float32(threshold), np.ones((3, 3)))
    for number in range(1, count + 1):
        if (objects == number).sum() < min_area:
            objects[objects == number] = 0
    return objects


def same_objects(labels, expected):
    """Whether two labellings part the pixels alike, whatever the numbers."""
    pairs = set(zip(labels.ravel().tolist(), expected.ravel().tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def lies_over(layer, image, data=(3.0, 7.0)):
    np.testing.assert_allclose(layer.data_to_world(data), image.data_to_world(data), atol=1e-9)
    assert tuple(layer.units) == tuple(image.units)


# -- labels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("threshold", "min_area"), [(0.3, 0), (0.3, 300), (0.1, 257)])
def test_labels_are_the_connected_pixels_above_the_threshold(
    session, two, viewer, said, threshold, min_area
):
    session.add_query(two[0], 40, 33)
    session.results.labels(threshold, min_area)
    count = 0
    for image in two:
        (layer,) = results(viewer, "labels", image)
        expected = objects_of(heatmap(session, image), threshold, min_area)
        assert layer.data.shape == image.data.shape
        assert same_objects(layer.data, expected)
        count += len(np.unique(expected[expected > 0]))
        lies_over(layer, image)
        assert viewer.layers.index(layer) > viewer.layers.index(session.heatmaps[image])
    noun = "object" if count == 1 else "objects"
    assert said == [f"{count} {noun} in 2 images at score {threshold:.2f}."]


def test_results_of_merged_channels_lie_above_the_topmost_of_them(session, viewer, rng):
    low, middle, high = (
        viewer.add_image(rng.normal(size=(70, 100)), name=name) for name in ("low", "mid", "high")
    )
    session.merge_channels([low, high])
    session.add_query(low, 40, 33)
    session.results.labels(0.3)
    session.results.colours()
    order = viewer.layers.index
    for what in ("labels", "colours"):
        for image, top in ((low, high), (middle, middle)):
            (layer,) = results(viewer, what, image)
            assert order(layer) > order(session.heatmaps[image])
            assert order(layer) > order(top)
    (layer,) = results(viewer, "labels", middle)
    assert order(layer) < order(high)


def test_results_are_not_searched_and_leave_the_selection_as_it_was(session, two, viewer):
    session.add_query(two[0], 40, 33)
    active = viewer.layers.selection.active
    session.results.labels(0.3)
    session.results.peaks(0.3)
    session.results.colours()
    session.results.matches()
    assert session.images == two
    assert viewer.layers.selection.active is active


def test_the_default_threshold_is_the_sessions_and_without_one_otsus(session, two, viewer, said):
    session.add_query(two[0], 40, 33)
    from skimage.filters import threshold_otsu

    patches = np.concatenate([heatmap(session, i)[::PATCH, ::PATCH].ravel() for i in two])
    assert session.results.otsu() == pytest.approx(threshold_otsu(patches), abs=1e-6)
    session.results.labels()
    assert f"score {session.results.otsu():.2f}" in said[-1]
    session.threshold = 0.42
    session.results.labels()
    assert said[-1].endswith("at score 0.42.")


def test_each_class_has_labels_of_its_own(session, two, viewer, said):
    session.add_query(two[0], 40, 33, class_name="cell")
    session.add_query(two[1], 10, 70, class_name="gap")
    session.results.labels(0.2)
    for image in two:
        layers = results(viewer, "labels", image)
        assert len(layers) == 2
        for class_name in ("cell", "gap"):
            (layer,) = [one for one in layers if one.name.endswith(class_name)]
            assert same_objects(layer.data, objects_of(heatmap(session, image, class_name), 0.2))
    session.results.labels(0.9, class_name="gap")
    assert len(results(viewer, "labels")) == 4
    with pytest.raises(SimilarityError, match="choose one of cell, gap"):
        session.results.labels(0.2, class_name="nothing")


def test_objects_are_named_as_heatmaps_are(session, two, viewer):
    def names():
        return {layer.name for layer in results(viewer, "labels", two[0])}

    called = two[0].name
    session.add_query(two[0], 40, 33)
    session.results.labels(0.2)
    assert names() == {f"{called} objects"}
    session.add_query(two[1], 10, 70, class_name="class 2")
    session.results.labels(0.2)
    assert names() == {f"{called} objects: class 1", f"{called} objects: class 2"}
    session.rename_class("class 2", "gap")
    assert names() == {f"{called} objects: class 1", f"{called} objects: gap"}
    session.rename_class("class 1", "cell")
    assert names() == {f"{called} objects: cell", f"{called} objects: gap"}


def test_objects_that_the_user_has_named_keep_their_name(session, two, viewer):
    session.add_query(two[0], 40, 33)
    session.results.labels(0.2)
    (layer,) = results(viewer, "labels", two[0])
    layer.name = "mine"
    session.rename_class("class 1", "cell")
    session.results.labels(0.2)
    assert [one.name for one in results(viewer, "labels", two[0])] == ["mine"]


def test_labels_are_updated_in_place_until_the_user_paints_in_them(session, two, viewer):
    session.add_query(two[0], 40, 33)
    session.results.labels(0.3)
    (layer,) = results(viewer, "labels", two[0])
    layer.name, layer.opacity = "mine", 0.2
    session.results.labels(0.1)
    assert results(viewer, "labels", two[0]) == [layer]
    assert same_objects(layer.data, objects_of(heatmap(session, two[0]), 0.1))
    assert (layer.name, layer.opacity) == ("mine", 0.2)

    layer.paint((5, 5), 9)
    painted = layer.data.copy()
    session.results.labels(0.5)
    old, new = results(viewer, "labels", two[0])
    assert {old, new} > {layer}
    new = old if new is layer else new
    np.testing.assert_array_equal(layer.data, painted)
    assert same_objects(new.data, objects_of(heatmap(session, two[0]), 0.5))
    session.results.labels(0.4)
    assert len(results(viewer, "labels", two[0])) == 2
    np.testing.assert_array_equal(layer.data, painted)


def test_labels_written_into_by_a_script_are_kept_too(session, two, viewer):
    session.add_query(two[0], 40, 33)
    session.results.labels(0.3)
    (layer,) = results(viewer, "labels", two[0])
    layer.data[0, 0] = 77
    session.results.labels(0.5)
    assert layer.data[0, 0] == 77
    assert len(results(viewer, "labels", two[0])) == 2


def test_a_copy_of_a_result_is_the_users(session, two, viewer):
    session.add_query(two[0], 40, 33)
    session.results.labels(0.3)
    (layer,) = results(viewer, "labels", two[0])
    copy = type(layer)(layer.data.copy(), metadata=dict(layer.metadata), name="copy")
    viewer.add_layer(copy)
    before = copy.data.copy()
    session.results.labels(0.9)
    np.testing.assert_array_equal(copy.data, before)


def test_a_later_session_goes_on_with_the_layers_of_an_earlier_one(session, two, viewer, backbone):
    session.add_query(two[0], 40, 33)
    session.results.labels(0.3)
    layers = results(viewer, "labels")
    session.close()
    later = SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())
    later.outline = "patches"
    later.results.labels(0.1)
    assert results(viewer, "labels") == layers
    assert same_objects(layers[0].data, objects_of(heatmap(later, two[0]), 0.1))
    later.close()


def test_objects_of_a_renamed_class_stay_in_their_layer(session, two, viewer):
    session.add_query(two[0], 40, 33, class_name="cell")
    session.results.labels(0.3)
    layers = results(viewer, "labels")
    session.rename_class("cell", "nucleus")
    session.results.labels(0.1)
    assert results(viewer, "labels") == layers
    expected = objects_of(heatmap(session, two[0], "nucleus"), 0.1)
    assert same_objects(layers[0].data, expected)


def test_large_labels_are_computed_where_they_are_seen(session, two, viewer, monkeypatch):
    monkeypatch.setattr(result_data, "MAX_EDITABLE", 1000)
    monkeypatch.setattr("napari_dinov3_sim.session.images.patch_array.MAX_PLAIN", 1000)
    session.add_query(two[0], 40, 33)
    session.results.labels(0.3)
    (layer,) = results(viewer, "labels", two[0])
    assert not layer.editable
    assert not isinstance(layer.data, np.ndarray)
    session.results.labels(0.1)
    assert results(viewer, "labels", two[0]) == [layer]
    assert same_objects(np.asarray(layer.data), objects_of(heatmap(session, two[0]), 0.1))


# -- stacks, levels -------------------------------------------------------------------------------


@pytest.fixture
def stack(viewer, rng):
    data = rng.integers(0, 60000, (4, 40, 70)).astype(np.uint16)
    return viewer.add_image(data, name="stack", scale=(3, 0.5, 0.5), translate=(6, 1, 2))


@pytest.mark.parametrize("all_planes", [False, True])
def test_labels_of_a_stack_are_numbered_through_on_the_planes_that_are_answered(
    session, stack, viewer, all_planes
):
    session.all_planes = all_planes
    viewer.dims.set_current_step(0, 2)
    session.add_query(stack, 50, 20)
    session.results.labels(0.2)
    (layer,) = results(viewer, "labels", stack)
    assert layer.data.shape == stack.data.shape
    volume = heatmap(session, stack)
    seen: set[int] = set()
    for z in range(4):
        if not all_planes and z != 2:
            assert not layer.data[z].any()
            continue
        assert same_objects(layer.data[z], objects_of(volume[z], 0.2))
        numbers = set(np.unique(layer.data[z])) - {0}
        assert not numbers & seen
        seen |= numbers
    assert seen == set(range(1, len(seen) + 1))


def test_planes_that_were_not_searched_are_told_of(session, stack, said):
    session.add_query(stack, 50, 20)
    session.results.labels(0.2)
    assert said[-1].startswith("Tick All planes, 3 other planes were not searched: ")
    session.all_planes = True
    session.wait()
    session.results.labels(0.2)
    assert "not searched" not in said[-1]


def test_peaks_of_a_stack_lie_on_their_planes(session, stack, viewer):
    session.all_planes = True
    session.add_query(stack, 50, 20)
    session.results.peaks(0.2)
    (layer,) = results(viewer, "peaks", stack)
    volume = heatmap(session, stack)
    lies_over(layer, stack, (1, 20, 50))
    assert len(set(layer.data[:, 0])) > 1
    for (z, y, x), score in zip(layer.data, layer.features["score"], strict=True):
        assert score == pytest.approx(volume[int(z), int(y), int(x)], abs=1e-6)


def test_results_of_a_rolled_stack_lie_in_the_planes_shown(session, stack, viewer):
    viewer.dims.order = (1, 0, 2)
    session.add_query(stack, 50, 2)
    session.results.labels(0.9)
    session.results.peaks(0.9)
    session.results.colours()
    y = int(viewer.dims.current_step[1])
    (labels,) = results(viewer, "labels", stack)
    assert same_objects(labels.data[:, y], objects_of(heatmap(session, stack)[:, y], 0.9))
    (peaks,) = results(viewer, "peaks", stack)
    assert set(peaks.data[:, 1]) == {y}
    (colours,) = results(viewer, "colours", stack)
    clear = np.asarray(colours.data)[..., 3] == 0
    assert not clear[:, y].any()
    assert np.delete(clear, y, axis=1).all()


def test_results_of_a_multiscale_image_are_in_pixels_of_level_0(
    session, viewer, rng, monkeypatch, said, tmp_path
):
    monkeypatch.setattr(levels, "MAX_LEVEL_PIXELS", 60 * 90)
    fine = rng.normal(size=(120, 180))
    image = viewer.add_image([fine, fine[::2, ::2]], multiscale=True, name="levels")
    session.add_query(image, 101, 50)
    session.results.peaks(0.2, min_distance=40)
    (layer,) = results(viewer, "peaks", image)
    whole = over_image(image, session.heatmaps[image])
    assert whole.shape == fine.shape
    for (y, x), score in zip(layer.data, layer.features["score"], strict=True):
        assert whole[round(y), round(x)] == pytest.approx(score, abs=1e-6)
        # Patches are 32 pixels of level 0; the last ones are cut at 120 and 180.
        assert y % 32 == 15.5 or y == (96 + 119) / 2
        assert x % 32 == 15.5 or x == (160 + 179) / 2
    apart = np.abs(layer.data[:, None] - layer.data[None]).max(-1) + 99 * np.eye(len(layer.data))
    assert apart.min() >= 40
    session.results.labels(0.2, min_area=1500)
    (labels,) = results(viewer, "labels", image)
    assert same_objects(labels.data, objects_of(whole, 0.2, 1500))


# -- peaks ----------------------------------------------------------------------------------------


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(st.integers(17, 90), st.integers(17, 90)),
    scale=st.tuples(st.floats(0.1, 8), st.floats(0.1, 8)),
    rotate=st.floats(-180, 180),
    shear=st.floats(-0.9, 0.9),
    translate=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
    threshold=st.floats(-0.5, 0.9),
    seed=st.integers(0, 99),
)
def test_peaks_lie_in_the_middle_of_their_patches_wherever_the_image_is(
    shape, scale, rotate, shear, translate, threshold, seed
):
    viewer = ViewerModel()
    image = viewer.add_image(
        np.random.default_rng(seed).normal(size=shape),
        scale=scale,
        rotate=rotate,
        shear=[shear],
        translate=translate,
    )
    session = SimilaritySession(viewer, backbone=PatchProjection(), runner=InlineRunner())
    session.add_query(image, 8, 8)
    session.results.peaks(threshold)
    (layer,) = results(viewer, "peaks", image)
    whole = heatmap(session, image)
    patches = whole[::PATCH, ::PATCH]
    expected = set()
    for row, column in np.argwhere(patches >= np.float32(threshold)):
        near = patches[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        if patches[row, column] == near.max() and patches.min() < patches.max():
            y = (row * PATCH + min(row * PATCH + PATCH, shape[0]) - 1) / 2
            x = (column * PATCH + min(column * PATCH + PATCH, shape[1]) - 1) / 2
            expected.add((y, x, float(patches[row, column])))
    found = {
        (*place, score) for place, score in zip(layer.data, layer.features["score"], strict=True)
    }
    assert found == expected
    for point in layer.data:
        np.testing.assert_allclose(
            layer.data_to_world(point), image.data_to_world(point), rtol=1e-9, atol=1e-6
        )
    session.close()


def test_peaks_have_their_features_and_the_colour_of_their_class(session, two, viewer, said):
    session.add_query(two[0], 40, 33, class_name="cell")
    session.add_query(two[1], 10, 70, class_name="gap")
    session.results.peaks(0.1)
    total = 0
    for image in two:
        (layer,) = results(viewer, "peaks", image)
        features = layer.features
        total += len(features)
        assert list(features.columns) == ["score", "class", "image"]
        assert set(features["class"]) == {"cell", "gap"}
        assert set(features["image"]) == {image.name}
        for class_name in ("cell", "gap"):
            scores = features["score"][features["class"] == class_name]
            assert (np.diff(scores) <= 0).all()
        colours = dict(zip(features["class"], layer.border_color, strict=True))
        for class_name in ("cell", "gap"):
            np.testing.assert_allclose(
                colours[class_name], transform_color(session.classes[class_name])[0]
            )
        assert str(layer.symbol[0]) == "ring"
        lies_over(layer, image)
    assert said == [f"{total} peaks in 2 images from score 0.10 up."]


def test_peaks_are_updated_unless_the_user_has_moved_or_annotated_them(session, two, viewer):
    session.add_query(two[0], 40, 33)
    session.results.peaks(0.1)
    (layer,) = results(viewer, "peaks", two[0])
    many = len(layer.data)
    session.results.peaks(0.99)
    assert len(layer.data) == 1 < many
    session.results.peaks(0.1)
    assert len(layer.data) == many
    assert results(viewer, "peaks", two[0]) == [layer]

    features = layer.features.copy()
    features["checked"] = True
    layer.features = features
    session.results.peaks(0.99)
    assert len(layer.data) == many
    assert "checked" in layer.features
    assert len(results(viewer, "peaks", two[0])) == 2
    (new,) = [one for one in results(viewer, "peaks", two[0]) if one is not layer]
    new.data = new.data + 1
    session.results.peaks(0.5)
    assert len(results(viewer, "peaks", two[0])) == 3


# -- the table ------------------------------------------------------------------------------------


def test_the_table_has_pixels_positions_and_the_world_with_its_units(
    session, viewer, said, tmp_path, rng
):
    data = rng.integers(0, 60000, (4, 40, 70)).astype(np.uint16)
    where = {"scale": (3, 0.5, 0.5), "translate": (6, 1, 2), "units": ("um", "um", "um")}
    stack = viewer.add_image(data, name="stack", **where)
    flat = viewer.add_image(
        rng.normal(size=(33, 40)), name="=flat", scale=(200, 200), units=("nm", "nm")
    )
    viewer.dims.axis_labels = ("z", "y", "x")
    session.all_planes = True
    session.add_query(stack, 50, 20)
    session.results.save_csv(tmp_path / "peaks.csv", threshold=0.2)
    lines = (tmp_path / "peaks.csv").read_text("utf-8").splitlines()
    rows = list(csv.DictReader(lines))
    heads = ["z_px", "world_z_nm", "world_y_nm", "world_x_nm"]
    assert list(rows[0]) == ["image", "class", "x_px", "y_px", *heads, "score"]
    volumes = {"stack": heatmap(session, stack), "'=flat": heatmap(session, flat)[None]}
    assert {row["image"] for row in rows} == set(volumes)
    for row in rows:
        data = [float(row[name]) for name in ("z_px", "y_px", "x_px")]
        world = [float(row[name]) for name in heads[1:]]
        if row["image"] == "stack":
            in_um = np.array(stack.data_to_world(data))
            np.testing.assert_allclose(world, in_um * 1000, rtol=1e-9)
        else:
            assert np.isnan([data[0], world[0]]).all()
            data[0] = 0
            np.testing.assert_allclose(world[1:], np.array(data[1:]) * 200, rtol=1e-9)
        z, y, x = (int(value) for value in data)
        assert float(row["score"]) == pytest.approx(volumes[row["image"]][z, y, x], abs=1e-6)
    assert said == [f"{len(rows)} peaks saved to {tmp_path / 'peaks.csv'}."]


def test_the_table_is_by_default_of_the_peaks_that_were_made(session, two, viewer, tmp_path):
    session.add_query(two[0], 40, 33)
    session.results.peaks(0.3, 20)
    session.results.save_csv(tmp_path / "peaks.csv")
    lines = (tmp_path / "peaks.csv").read_text().splitlines()
    assert lines[0] == "image,class,x_px,y_px,world_y_pixel,world_x_pixel,score"
    assert len(lines) - 1 == sum(len(layer.data) for layer in results(viewer, "peaks"))


def test_a_table_that_cannot_be_written_is_a_failure(session, two, tmp_path, said):
    session.add_query(two[0], 40, 33)
    session.results.save_csv(tmp_path / "missing" / "peaks.csv")
    with pytest.raises(SimilarityError, match="cannot be written"):
        session.wait()
    assert said == []


# -- matches --------------------------------------------------------------------------------------


def embed(image):
    return reference_embeddings(image.data, *reference_window(image.data))


def is_mostly_image(image, index):
    """Whether at least half of a patch lies inside its image."""
    height, width = image.data.shape
    row, column = divmod(index, -(-width // PATCH))
    inside = min(PATCH, height - row * PATCH) * min(PATCH, width - column * PATCH)
    return 2 * inside >= PATCH**2


def test_matches_are_mutual_nearest_neighbours_in_two_linked_layers(session, two, viewer, said):
    session.add_query(two[0], 40, 33)
    session.results.matches(*two, count=1000)
    first, second = (results(viewer, "matches", image)[0] for image in two)
    one, other = (embed(image) for image in two)
    product = one.reshape(-1, one.shape[-1]) @ other.reshape(-1, other.shape[-1]).T
    expected = {
        (a, b): product[a, b]
        for a in range(len(product))
        if product[:, (b := int(product[a].argmax()))].argmax() == a
        and is_mostly_image(two[0], a)
        and is_mostly_image(two[1], b)
    }
    patch = [
        [int(y) // PATCH * e.shape[1] + int(x) // PATCH for y, x in layer.data]
        for layer, e in ((first, one), (second, other))
    ]
    assert set(zip(*patch, strict=True)) == set(expected)
    cosine = first.features["cosine"]
    np.testing.assert_allclose(
        cosine, [expected[pair] for pair in zip(*patch, strict=True)], atol=1e-5
    )
    assert (np.diff(cosine) <= 0).all()
    assert first.features.equals(second.features)
    assert list(first.features["match"]) == list(range(1, len(expected) + 1))
    np.testing.assert_array_equal(first.border_color, second.border_color)
    assert len(np.unique(first.border_color, axis=0)) == len(expected)
    lies_over(first, two[0])
    lies_over(second, two[1])
    first.visible = False
    assert not second.visible
    assert said[0].startswith(f"{len(expected)} mutual best match")


def test_matches_are_updated_together_or_made_anew_together(session, two, viewer):
    session.add_query(two[0], 40, 33)
    session.results.matches(count=5)
    pair = results(viewer, "matches")
    session.results.matches(count=2)
    assert results(viewer, "matches") == pair
    assert [len(layer.data) for layer in pair] == [2, 2]
    pair[0].data = pair[0].data + 1
    session.results.matches(count=3)
    assert len(results(viewer, "matches")) == 4
    assert [len(layer.data) for layer in pair] == [2, 2]


def test_matching_shows_how_far_it_is_and_can_be_cancelled(threaded, two, viewer, monkeypatch):
    seen, gate, stopped = [], threading.Event(), threading.Event()

    def matching(*_states, progress, **_options):
        progress(0, 3)
        assert gate.wait(PATIENCE)
        try:
            progress(1, 3)
        except EmbeddingCancelled:
            stopped.set()
            raise

    threaded.embed()
    threaded.wait(PATIENCE)
    monkeypatch.setattr("napari_dinov3_sim.core.search.matches.mutual_matches", matching)
    threaded.progressed.connect(seen.append)
    threaded.results.matches()
    deliver_until(threaded, lambda: seen)
    assert seen == [Progress("Matching plain and turned", 0, 3)]
    threaded.cancel()
    gate.set()
    threaded.wait(PATIENCE)
    assert stopped.wait(PATIENCE)
    assert (seen[-1], results(viewer, "matches")) == (None, [])


def test_cancelling_stops_no_result_that_is_soon_there(threaded, two, viewer):
    threaded.add_query(two[0], 40, 33)
    threaded.wait(PATIENCE)
    gate = held_back(threaded)
    threaded.results.labels(0.2)
    threaded.cancel()
    gate.set()
    threaded.wait(PATIENCE)
    assert len(results(viewer, "labels")) == 2


def test_progress_of_matching_ends_with_it(session, two, monkeypatch):
    monkeypatch.setattr("napari_dinov3_sim.core.search.matches.BLOCK_BYTES", 1)
    session.embed()
    seen = []
    session.progressed.connect(seen.append)
    session.results.matches()
    assert (seen[0].done, seen[-2].done, seen[-1]) == (0, seen[-2].total, None)
    assert seen[0].total > 1


def test_matches_need_two_embedded_images(session, viewer, rng):
    only = viewer.add_image(rng.normal(size=(40, 40)), name="only")
    with pytest.raises(SimilarityError, match="two images"):
        session.results.matches()
    with pytest.raises(SimilarityError, match="two images"):
        session.results.matches(only, only)
    viewer.add_image(rng.normal(size=(40, 40)), name="more")
    with pytest.raises(SimilarityError, match="only is not embedded yet; press Embed"):
        session.results.matches()
    session.embed()
    with pytest.raises(SimilarityError, match="At least one"):
        session.results.matches(count=0)
    session.set_target(only, False)
    with pytest.raises(SimilarityError, match="tick it"):
        session.results.matches(only, viewer.layers["more"])


# -- colours --------------------------------------------------------------------------------------


def test_colours_are_the_principal_components_of_all_images_in_one_basis(session, two, viewer):
    session.embed()
    session.results.colours()
    vectors = [embed(image).reshape(-1, 12).astype(float) for image in two]
    whole = np.concatenate(vectors)
    centred = whole - whole.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:3].T
    axes *= np.sign(axes[np.abs(axes).argmax(0), range(3)])
    parts = centred @ axes
    low, high = np.percentile(parts, (1, 99), axis=0)
    scaled = np.clip((parts - low) / (high - low), 0, 1)
    start = 0
    for image, own in zip(two, vectors, strict=True):
        (layer,) = results(viewer, "colours", image)
        assert layer.rgb
        assert layer.data.dtype == np.uint8
        assert layer.data.shape == (*image.data.shape, 3)
        rows, columns = (-(-n // PATCH) for n in image.data.shape)
        expected = scaled[start : start + len(own)].reshape(rows, columns, 3) * 255
        start += len(own)
        expected = expected.repeat(PATCH, 0).repeat(PATCH, 1)
        expected = expected[: image.data.shape[0], : image.data.shape[1]]
        np.testing.assert_allclose(layer.data, expected, atol=1)
        lies_over(layer, image)


def test_large_colours_are_a_lazy_pyramid_of_the_same_pixels(session, two, viewer, monkeypatch):
    session.embed()
    session.results.colours()
    plain = [np.asarray(layer.data) for layer in results(viewer, "colours")]
    for layer in results(viewer, "colours"):
        viewer.layers.remove(layer)
    monkeypatch.setattr(result_data, "MAX_COLOURS", 1000)
    monkeypatch.setattr("napari_dinov3_sim.session.images.patch_array.MAX_LEVEL_SIDE", 60)
    session.results.colours()
    for layer, expected in zip(results(viewer, "colours"), plain, strict=True):
        assert layer.multiscale
        assert not isinstance(layer.data[0], np.ndarray)
        np.testing.assert_array_equal(np.asarray(layer.data[0]), expected)
        assert layer.data[1].shape[0] == -(-expected.shape[0] // 2)


def test_colours_say_what_is_not_embedded(session, two, viewer, said, rng):
    with pytest.raises(SimilarityError, match="No image is embedded"):
        session.results.colours()
    session.set_target(two[1], False)
    session.embed()
    session.set_target(two[1], True)
    session.results.colours()
    (sentence,) = said
    assert sentence == (
        "Press Embed and try again, turned is not embedded yet: colours of the embeddings of 1 of "
        "2 images."
    )


# -- never wrong, never in the way ----------------------------------------------------------------


@pytest.mark.parametrize("ask", ["labels", "peaks", "otsu"])
def test_without_a_heatmap_the_error_says_what_to_do(session, two, ask):
    with pytest.raises(SimilarityError, match="click on what you mean"):
        getattr(session.results, ask)()


@pytest.mark.parametrize("threshold", [1.5, -2, float("nan")])
def test_a_threshold_is_a_cosine(session, two, threshold):
    session.add_query(two[0], 40, 33)
    with pytest.raises(SimilarityError, match="from -1 to 1"):
        session.results.labels(threshold)


@pytest.fixture
def threaded(viewer, backbone):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    session.outline = "patches"
    yield session
    session.close()


def held_back(session):
    """Keep the lane of results busy until the event is set."""
    gate = threading.Event()
    session._runner.submit(
        "answer", lambda post, token: gate.wait(PATIENCE) and None, lambda m: None
    )
    return gate


def spoil_by_removing(viewer, image):
    viewer.layers.remove(image)


def spoil_by_replacing(viewer, image):
    image.data = np.asarray(image.data) * 2.0


def spoil_by_more_axes(viewer, image):
    image.data = np.ones((3, 40, 40))


@pytest.mark.parametrize("spoil", [spoil_by_removing, spoil_by_replacing, spoil_by_more_axes])
@pytest.mark.parametrize("what", ["labels", "peaks", "colours", "matches"])
def test_what_is_computed_of_pixels_that_are_gone_is_not_shown(threaded, two, viewer, spoil, what):
    threaded.add_query(two[0], 40, 33)
    threaded.wait(PATIENCE)
    sentences = []
    threaded.results.done.connect(sentences.append)
    gate = held_back(threaded)
    getattr(threaded.results, what)()
    assert threaded.results.pending
    spoil(viewer, two[1])
    gate.set()
    threaded.wait(PATIENCE)
    assert results(viewer, what, two[1]) == []
    there = 0 if what == "matches" else 1
    assert len(results(viewer, what, two[0])) == there
    assert len(sentences) == there


def test_a_layer_that_is_deleted_or_moved_meanwhile_does_no_harm(threaded, two, viewer):
    threaded.add_query(two[0], 40, 33)
    threaded.wait(PATIENCE)
    threaded.results.labels(0.3)
    threaded.wait(PATIENCE)
    (layer,) = results(viewer, "labels", two[0])
    gate = held_back(threaded)
    threaded.results.labels(0.1)
    viewer.layers.remove(layer)
    two[1].translate = (7, 8)
    gate.set()
    threaded.wait(PATIENCE)
    (new,) = results(viewer, "labels", two[0])
    assert new is not layer
    lies_over(results(viewer, "labels", two[1])[0], two[1])


@pytest.mark.parametrize("deed", ["rename", "delete", "delete and undo", "join"])
@pytest.mark.parametrize("what", ["labels", "peaks"])
def test_classes_that_are_renamed_or_deleted_meanwhile(threaded, two, viewer, deed, what):
    """What is made is of classes as they are called when it is there."""
    threaded.add_query(two[0], 40, 33)
    threaded.add_query(two[0], 60, 13, class_name="cells")
    threaded.add_query(two[0], 10, 50, class_name="other")
    threaded.wait(PATIENCE)
    before = set(threaded.classes)
    gate = held_back(threaded)
    getattr(threaded.results, what)(0.3)
    if deed == "rename":
        threaded.rename_class("cells", "nuclei")
    elif deed == "join":
        threaded.rename_class("cells", "other")
    else:
        threaded.remove_class("cells")
    if deed == "delete and undo":
        threaded.undo()
    gate.set()
    threaded.wait(PATIENCE)
    wanted = {
        "rename": before - {"cells"} | {"nuclei"},
        "delete and undo": before,
    }.get(deed, before - {"cells"})
    assert set(threaded.classes) == wanted
    found = results(viewer, what, two[0])
    if what == "labels":
        classes = [mark_of(layer, "result")["what"][1] for layer in found]
        assert len(set(classes)) == len(classes)
        assert {layer.name for layer in found} == {f"plain objects: {name}" for name in wanted}
    else:
        classes = found[0].features["class"]
    assert set(classes) == wanted


def test_of_many_requests_the_newest_one_counts(threaded, two, viewer):
    threaded.add_query(two[0], 40, 33)
    threaded.wait(PATIENCE)
    sentences = []
    threaded.results.done.connect(sentences.append)
    gate = held_back(threaded)
    for threshold in (0.1, 0.2, 0.3, 0.4):
        threaded.results.labels(threshold)
    gate.set()
    threaded.wait(PATIENCE)
    assert [sentence[-5:] for sentence in sentences] == ["0.40."]
    (layer,) = results(viewer, "labels", two[0])
    assert same_objects(layer.data, objects_of(heatmap(threaded, two[0]), 0.4))


def test_a_session_closed_meanwhile_shows_nothing_and_waits_for_nothing(threaded, two, viewer):
    threaded.add_query(two[0], 40, 33)
    threaded.wait(PATIENCE)
    gate = held_back(threaded)
    threaded.results.labels(0.3)
    threaded.close()
    gate.set()
    threaded.wait(PATIENCE)
    assert results(viewer, "labels") == []
    assert not threaded.results.pending


def test_results_never_run_the_mathematics_on_the_main_thread(threaded, two, viewer, monkeypatch):
    import torch

    threaded.add_query(two[0], 40, 33)
    threaded.wait(PATIENCE)
    main = threading.get_ident()
    used: list[str] = []

    def guarded(name, function):
        def call(*args, **kwargs):
            assert threading.get_ident() != main, name
            used.append(name)
            return function(*args, **kwargs)

        return call

    from napari_dinov3_sim.core.objects import labelling
    from napari_dinov3_sim.core.search import matches, pca, peaks

    for module, name in (
        (labelling, "label_patches"),
        (peaks, "find_peaks"),
        (matches, "mutual_matches"),
        (pca, "pca_colours"),
        (torch, "from_numpy"),
        (torch.linalg, "eigh"),
    ):
        monkeypatch.setattr(module, name, guarded(name, getattr(module, name)))
    for what in ("labels", "peaks", "matches", "colours"):
        getattr(threaded.results, what)()
    threaded.wait(PATIENCE)
    assert {"label_patches", "find_peaks", "mutual_matches", "pca_colours"} <= set(used)


def test_nothing_of_the_users_is_touched(session, two, viewer, rng):
    painted = viewer.add_labels(rng.integers(0, 3, (70, 100)), name="plain objects")
    dots = viewer.add_points(rng.uniform(0, 60, (5, 2)), name="plain peaks")
    session.add_query(two[0], 40, 33)
    before = painted.data.copy(), dots.data.copy(), [image.data.copy() for image in two]
    for what in ("labels", "peaks", "matches", "colours"):
        getattr(session.results, what)()
    np.testing.assert_array_equal(painted.data, before[0])
    np.testing.assert_array_equal(dots.data, before[1])
    for image, data in zip(two, before[2], strict=True):
        np.testing.assert_array_equal(image.data, data)
    assert painted.metadata == dots.metadata == {}


def test_units_of_results_are_those_of_their_image(session, two, viewer):
    two[0].units = ("um", "um")
    two[1].units = ("nm", "nm")
    session.add_query(two[0], 40, 33)
    session.results.labels(0.3)
    session.results.peaks(0.3)
    for what in ("labels", "peaks"):
        for image in two:
            (layer,) = results(viewer, what, image)
            lies_over(layer, image)
            assert layer.units[0] == pint.get_application_registry()(str(image.units[0])).units


def test_that_there_are_no_matches_is_said(session, viewer, said, rng):
    """The only good one is in a patch that is padding for the most part."""
    data = rng.integers(0, 2, (16, 20)).astype(float)
    viewer.add_image(data, name="whole")
    viewer.add_image(data[:, 16:], name="rim", translate=(0, 30))
    session.embed()
    session.results.matches()
    assert said == ["There are no mutual best matches between whole and rim."]


# -- colours of objects ---------------------------------------------------------------------------


def nearest_class(rgba, palette):
    """The class whose colour a colour is nearest to, in CIELAB."""
    lab = rgb2lab(rgba[:3])
    away = {
        n: np.linalg.norm(lab - rgb2lab(transform_color(c)[0, :3])) for n, c in palette.items()
    }
    return min(away, key=away.get)


def test_objects_of_several_classes_are_in_shades_of_their_class(session, two, viewer):
    session.add_query(two[0], 40, 33)
    session.results.labels(0.3)
    (before,) = results(viewer, "labels", two[0])
    plain = transform_color(list(CLASS_COLOURS))
    np.testing.assert_allclose([before.get_color(n) for n in range(1, 9)], plain, atol=1e-6)
    session.class_name = "other"
    session.add_query(two[0], 90, 3)
    session.results.labels(0.3)
    drawn = {mark_of(one, "result")["what"][1]: one for one in results(viewer, "labels", two[0])}
    assert drawn.keys() == {"class 1", "other"}
    for name, layer in drawn.items():
        colours = [layer.get_color(number) for number in range(1, 7)]
        assert [nearest_class(one, session.classes) for one in colours] == [name] * 6
        assert all(np.abs(a - b).max() > 0.05 for a, b in pairwise(colours))


def test_labels_follow_the_colour_of_their_class_but_not_over_the_users(session, two, viewer):
    for row, name in ((40, "class 1"), (3, "other")):
        session.class_name = name
        session.add_query(two[0], row, 33)
    session.results.labels(0.3)
    session.rename_class("other", "cell")
    session.set_class_colour("cell", "#cc79a7")
    session.results.labels(0.3)
    layers = {mark_of(one, "result")["what"][1]: one for one in results(viewer, "labels", two[0])}
    assert layers.keys() == {"class 1", "cell"}
    wanted = transform_color("#cc79a7")[0]
    np.testing.assert_allclose(layers["cell"].get_color(1), wanted, atol=1e-6)
    layers["cell"].colormap = CyclicLabelColormap(["transparent", "red", "blue"])
    session.set_class_colour("cell", "#009e73")
    session.results.labels(0.3)
    np.testing.assert_allclose(layers["cell"].get_color(1), (1, 0, 0, 1), atol=1e-6)

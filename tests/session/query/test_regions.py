"""Shapes and Labels layers as queries, against a pixel-by-pixel recomputation."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from skimage.measure import points_in_poly

from heatmap_values import over_image
from napari_dinov3_sim.core.errors import PointError, SimilarityError
from napari_dinov3_sim.core.images import levels
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from patience import PATIENCE

from ..brute_force import (
    PATCH,
    PatchProjection,
    reference_embeddings,
    reference_map,
    reference_query,
    reference_window,
)

pytestmark = pytest.mark.slow


def embed(image, plane=None):
    return reference_embeddings(
        image.data if plane is None else plane, *reference_window(image.data)
    )


def factor(layer, image):
    """Units of `image` per unit of `layer`."""
    return pint.Quantity(1, image.units[0]).to(layer.units[0]).magnitude


def pixels_in(layer, image):
    """Where each pixel centre of an image lies in the data of another layer: (H * W, 2)."""
    pixels = np.indices(image.data.shape).reshape(2, -1).T
    world = np.array([image.data_to_world(pixel) for pixel in pixels]) * factor(layer, image)
    return np.array([layer.world_to_data(point) for point in world])


def vector_of(inside, embeddings):
    """Mean of the patches, weighted by the share of their pixels that are inside."""
    height, width = inside.shape
    total = np.zeros(embeddings.shape[-1])
    for row, column in np.ndindex(embeddings.shape[:2]):
        y, x = row * PATCH, column * PATCH
        share = inside[y : min(y + PATCH, height), x : min(x + PATCH, width)].mean()
        total += share * embeddings[row, column]
    return total / (np.linalg.norm(total) + 1e-8)


def assert_maps(session, class_name, query, images):
    heatmaps = session.heatmaps_of(class_name)
    assert set(heatmaps) == set(images)
    for image in images:
        wanted = reference_map(query, embed(image), image.data.shape)
        np.testing.assert_allclose(over_image(image, heatmaps[image]), wanted, atol=1e-5)


@pytest.fixture
def two(viewer, rng):
    plain = viewer.add_image(rng.normal(size=(70, 100)), name="plain", units="um")
    turned = viewer.add_image(
        rng.normal(size=(50, 90)),
        name="turned",
        scale=(0.5, 2.0),
        rotate=20,
        shear=[0.3],
        translate=(300, -40),
        units="um",
    )
    return plain, turned


TRIANGLE = np.array([[4.0, 7.3], [41.2, 20.1], [18.7, 77.9]])
RIGHT = np.array([0, 1])


def over(image, corners, layer_of, **transform):
    """A layer of `layer_of` whose shape has `corners` in the data of an image."""
    probe = layer_of([np.zeros((3, 2)) + np.eye(3, 2)], shape_type="polygon", **transform)
    world = np.array([image.data_to_world(corner) for corner in corners])
    probe.data = [np.array([probe.world_to_data(w * factor(probe, image)) for w in world])]
    return probe


@pytest.mark.parametrize("number", [0, 1])
def test_a_polygon_is_the_mean_of_its_patches_by_coverage(session, viewer, two, number):
    image = two[number]
    shapes = over(
        image,
        TRIANGLE,
        viewer.add_shapes,
        scale=(40.0, 250.0),
        rotate=-35,
        translate=(-7000, 900),
        units="nm",
        name="cell",
    )
    session.regions.add(shapes)
    inside = points_in_poly(pixels_in(shapes, image), shapes.data[0]).reshape(image.data.shape)
    assert inside.sum() > 200
    assert_maps(session, "cell", vector_of(inside, embed(image)), two)
    assert session.status == "2 heatmaps for 1 region."


def test_an_ellipse_is_round(session, viewer, two):
    box = [[10, 20], [10, 80], [50, 80], [50, 20]]
    session.regions.add(viewer.add_shapes([box], shape_type="ellipse", name="round", units="um"))
    y, x = np.indices(two[0].data.shape)
    inside = ((y - 30) / 20) ** 2 + ((x - 50) / 30) ** 2 < 1
    query = vector_of(inside, embed(two[0]))
    found = session.heatmaps_of("round")[two[1]]
    wanted = reference_map(query, embed(two[1]), two[1].data.shape)
    np.testing.assert_allclose(over_image(two[1], found), wanted, atol=2e-3)


def test_a_path_is_what_it_runs_over_and_not_what_it_encloses(session, viewer, two):
    path = [[8, 8], [8, 88], [60, 88], [60, 8]]
    shapes = viewer.add_shapes([path], shape_type="path", name="path", units="um")
    session.regions.add(shapes)
    inside = np.zeros(two[0].data.shape, bool)
    inside[8, 8:89] = inside[60, 8:89] = True
    inside[8:61, 88] = True
    assert_maps(session, "path", vector_of(inside, embed(two[0])), two)


def test_class_and_sign_come_from_the_columns(session, viewer, two):
    corners = [TRIANGLE, TRIANGLE + 20, TRIANGLE + RIGHT * 20]
    shapes = viewer.add_shapes(
        corners,
        shape_type="polygon",
        features={"class": ["a", "b", None], "sign": ["positive", "positive", "negative"]},
        name="drawn",
        units="um",
    )
    session.regions.add(shapes)
    picks, planes = session.regions.picks()
    assert [(p.class_name, p.positive) for p in picks] == [
        ("a", True),
        ("b", True),
        ("drawn", False),
    ]
    assert [plane.name for plane in planes.values()] == ["plain"]
    assert set(session.classes) >= {"a", "b", "drawn"}
    assert session.heatmaps_of("drawn") == {}
    shapes.features = shapes.features.assign(**{"class": ["a", "c", "c"]})
    assert set(session.heatmaps_of("c")) == set(two)
    shapes.name = "other"
    shapes.features = shapes.features.drop(columns=["class", "sign"])
    assert [p.class_name for p in session.regions.picks()[0]] == ["other"] * 3


def test_shapes_drawn_for_an_earlier_version_keep_their_classes(session, viewer, two):
    """Their column was called ``kind``."""
    shapes = viewer.add_shapes(
        [TRIANGLE, TRIANGLE + 20, TRIANGLE + RIGHT * 20],
        shape_type="polygon",
        features={"kind": ["a", " b ", None]},
        name="drawn",
        units="um",
    )
    session.regions.add(shapes)
    assert [p.class_name for p in session.regions.picks()[0]] == ["a", "b", "drawn"]
    assert set(session.heatmaps_of("b")) == set(two)


def test_a_shape_is_followed_while_it_is_drawn_moved_and_taken_away(session, viewer, two):
    shapes = viewer.add_shapes(ndim=2, name="s", units="um")
    session.regions.add(shapes)
    assert session.status == "Click on a structure in an image."
    shapes.add([TRIANGLE], shape_type="polygon")

    def inside():
        found = points_in_poly(pixels_in(shapes, two[0]), shapes.data[0])
        return found.reshape(two[0].data.shape)

    assert_maps(session, "s", vector_of(inside(), embed(two[0])), two)
    # As a drag does it: no data event until the end, only a redraw.
    shapes._data_view.shift(0, np.array([15.0, 4.0]))
    shapes.refresh()
    assert_maps(session, "s", vector_of(inside(), embed(two[0])), two)
    shapes.translate = (5, 0)
    assert_maps(session, "s", vector_of(inside(), embed(two[0])), two)
    shapes.selected_data = {0}
    shapes.remove_selected()
    assert session.heatmaps == {}


def test_a_shape_keeps_its_image_for_as_long_as_it_touches_it(session, viewer, rng):
    below = viewer.add_image(rng.normal(size=(70, 100)), name="below")
    shapes = viewer.add_shapes([TRIANGLE], shape_type="polygon")
    session.regions.add(shapes)
    above = viewer.add_image(rng.normal(size=(70, 100)), name="above", translate=(0, 40))

    def owner():
        (pick,) = session.regions.picks()[0]
        return pick.plane.layer_id

    assert owner() == below.unique_id
    shapes.data = [TRIANGLE + RIGHT * 80]
    assert owner() == below.unique_id, "one corner is still on it"
    shapes.data = [TRIANGLE + RIGHT * 95]
    assert owner() == above.unique_id


def test_the_image_given_is_the_image_meant(session, viewer, rng):
    below = viewer.add_image(rng.normal(size=(70, 100)), name="below")
    above = viewer.add_image(rng.normal(size=(70, 100)), name="above")
    shapes = viewer.add_shapes([TRIANGLE], shape_type="polygon")
    labels = viewer.add_labels(np.ones((70, 100), int))
    for layer in (shapes, labels):
        session.regions.add(layer)
        (pick,) = session.regions.picks()[0]
        assert pick.plane.layer_id == above.unique_id
        session.regions.add(layer, below)
        (pick,) = session.regions.picks()[0]
        assert pick.plane.layer_id == below.unique_id
        session.regions.remove(layer)


def test_what_is_no_region_of_an_image_is_counted_and_harms_nothing(session, viewer, two):
    far, dot = TRIANGLE + 5000, np.full((3, 2), 30.2)
    around = [[-300, -300], [-300, 300], [300, 300], [300, 200], [-200, 200], [-200, -300]]
    shapes = viewer.add_shapes([far], shape_type="polygon", name="s", units="um")
    session.regions.add(shapes)
    assert (
        session.status == "Click on a structure in an image. 1 region outside all ticked images."
    )
    assert session.heatmaps == {}
    shapes.add([dot], shape_type="polygon")
    assert_maps(session, "s", embed(two[0])[30 // PATCH, 30 // PATCH], two)
    shapes.add([around], shape_type="polygon")
    session.add_query(two[1], 3, 3, class_name="point")
    session.wait()
    assert set(session.heatmaps_of("point")) == set(two)


def test_a_shape_in_a_stack_lies_on_its_plane(session, viewer, rng):
    data = rng.normal(size=(5, 40, 70))
    stack = viewer.add_image(data, name="stack", scale=(3, 0.5, 0.5))
    viewer.dims.set_current_step(0, 4)
    corners = np.array([[6, 2.1, 3.1], [6, 2.1, 30.1], [6, 15.1, 30.1], [6, 15.1, 3.1]])
    session.regions.add(viewer.add_shapes([corners], shape_type="polygon", name="s"))
    y, x = np.indices((40, 70)) * 0.5
    inside = (y > 2.1) & (y < 15.1) & (x > 3.1) & (x < 30.1)
    query = vector_of(inside, embed(stack, data[2]))
    for step in (4, 1):
        viewer.dims.set_point(0, 3 * step)
        volume = over_image(stack, session.heatmaps_of("s")[stack])
        wanted = reference_map(query, embed(stack, data[step]), (40, 70))
        np.testing.assert_allclose(volume[step], wanted, atol=1e-5)


def test_a_flat_shape_over_a_stack_stays_on_the_plane_where_it_was_added(session, viewer, rng):
    viewer.add_image(rng.normal(size=(5, 40, 70)), name="stack")
    viewer.dims.set_current_step(0, 3)
    session.regions.add(viewer.add_shapes([TRIANGLE * 0.8], shape_type="polygon"))
    viewer.dims.set_current_step(0, 1)
    (pick,) = session.regions.picks()[0]
    assert pick.plane.position == ((0, 3),)


# -- labels ------------------------------------------------------------------------------------


def labels_under(layer, image, values):
    at = np.floor(pixels_in(layer, image) + 0.5).astype(int)
    shape = np.array(values.shape)
    seen = ((at >= 0) & (at < shape)).all(axis=1)
    found = np.zeros(len(at), int)
    found[seen] = values[tuple(at[seen].T)]
    return found.reshape(image.data.shape)


@pytest.mark.parametrize("number", [0, 1])
def test_labels_of_any_scale_and_turn_are_classes(session, viewer, two, rng, number):
    image = two[number]
    values = np.zeros((33, 27), np.uint8)
    values[:14, :13], values[18:, 9:] = 2, 200
    centre = image.data_to_world(np.array(image.data.shape) / 2)
    labels = viewer.add_labels(
        values,
        name="seg",
        scale=(1.371e3, 2.713e3),
        rotate=11,
        translate=np.array(centre) * 1000 - (10000, 40000),
        units="nm",
    )
    session.regions.add(labels)
    under = labels_under(labels, image, values)
    for number in (2, 200):
        assert (under == number).sum() > 100
        query = vector_of(under == number, embed(image))
        assert_maps(session, f"seg {number}", query, two)
    assert set(session.class_maps) == set(two)


def region_query(values, number, image):
    return vector_of(values == number, embed(image))


def test_painting_undo_and_new_data_are_followed(session, viewer, two):
    values = np.zeros((70, 100), int)
    labels = viewer.add_labels(values, name="seg", units="um")
    session.regions.add(labels)
    assert session.heatmaps == {}
    assert session.status == "Click on a structure in an image."
    labels.data_setitem(tuple(np.indices((20, 30)).reshape(2, -1)), 1)
    assert_maps(session, "seg 1", region_query(labels.data, 1, two[0]), two)
    labels.paint((40, 60), 1)
    labels.paint((40, 90), 4)
    assert_maps(session, "seg 1", region_query(labels.data, 1, two[0]), two)
    assert_maps(session, "seg 4", region_query(labels.data, 4, two[0]), two)
    labels.undo()
    assert session.heatmaps_of("seg 4") == {}
    labels.data[:30] = 5
    labels.refresh()
    assert_maps(session, "seg 5", region_query(labels.data, 5, two[0]), two)
    labels.data = np.eye(70, 100, dtype=int) * 6
    assert_maps(session, "seg 6", region_query(labels.data, 6, two[0]), two)
    labels.data = np.ones((20, 10, 10), int)
    labels.data = np.zeros((70, 100), int)
    assert session.heatmaps == {}


def test_a_redraw_asks_nothing(session, viewer, two):
    labels = viewer.add_labels(np.ones((70, 100), int), units="um")
    shapes = viewer.add_shapes([TRIANGLE], shape_type="polygon", units="um")
    session.regions.add(labels)
    session.regions.add(shapes)
    before = session._coordinator.answers.question
    asked = []
    session.queried.connect(lambda: asked.append(1))
    for layer in (labels, shapes):
        layer.refresh()
        layer.opacity = 0.3
    labels.contour = 1
    assert not asked
    assert session._coordinator.answers.question is before


def test_labels_on_a_stack_are_those_of_the_planes_they_were_painted_on(session, viewer, rng):
    data = rng.normal(size=(5, 40, 70))
    stack = viewer.add_image(data, name="stack")
    labels = viewer.add_labels(np.zeros((5, 40, 70), int), name="seg")
    session.regions.add(labels)
    for step, row in ((2, 8), (4, 24)):
        viewer.dims.set_current_step(0, step)
        labels.paint((step, row, 20), 1)
    viewer.dims.set_current_step(0, 1)
    parts = [vector_of(labels.data[z] == 1, embed(stack, data[z])) for z in (2, 4)]
    wanted = reference_map(reference_query(parts), embed(stack, data[1]), (40, 70))
    over = over_image(stack, session.heatmaps_of("seg 1")[stack])
    np.testing.assert_allclose(over[1], wanted, atol=1e-5)
    assert session.regions.count == 2, "the empty plane of the start asks nothing"


def test_lazy_labels_are_read_only_in_the_worker(session, viewer, two):
    reads = []

    def block(values):
        reads.append(values.shape)
        return values

    values = np.zeros((70, 100), int)
    values[20:50, 30:60] = 3
    lazy = da.from_array(values, chunks=-1).map_blocks(
        block, dtype=int, meta=np.empty((0, 0), int)
    )
    labels = viewer.add_labels(lazy, name="seg", units="um", visible=False)
    session._runner.submit = lambda *args: pytest.fail("nothing is to be read before it is asked")
    reads.clear()
    picks, _ = session.regions.picks()
    assert not picks
    del session._runner.submit
    session.regions.add(labels)
    assert len(reads) == 1
    assert_maps(session, "seg 3", region_query(values, 3, two[0]), two)


def test_coarse_levels_of_image_and_labels_lie_over_each_other(session, viewer, rng, monkeypatch):
    monkeypatch.setattr(levels, "MAX_LEVEL_PIXELS", 1000)
    fine = rng.normal(size=(96, 64))
    image = viewer.add_image([fine, fine[::4, ::4]], multiscale=True, contrast_limits=(-3, 3))
    values = np.zeros((96, 64), int)
    values[:48, :32] = 1
    labels = viewer.add_labels([values, values[::3, ::3]], multiscale=True, name="seg")
    session.regions.add(labels)
    (pick,), planes = session.regions.picks()
    assert next(iter(planes.values())).embedded_shape == (24, 16)
    assert np.asarray(pick.labels).shape == (32, 22)
    for y, x in ((0, 0), (11, 7), (23, 15)):
        full = (np.array([y, x]) + 0.5) * 4 - 0.5
        wanted = (full + 0.5) * np.array([32 / 96, 22 / 64]) - 0.5
        found = np.reshape(pick.matrix, (2, 2)) @ (y, x) + pick.offset
        np.testing.assert_allclose(found, wanted, atol=1e-9)
    assert set(session.heatmaps_of("seg 1")) == {image}


def test_hundreds_of_labels_are_refused_with_a_sentence(session, viewer, two):
    values = np.arange(7000).reshape(70, 100) // 100
    labels = viewer.add_labels(values, name="nuclei", units="um")
    with pytest.raises(SimilarityError, match=r"nuclei has 69 labels here.*at most 50"):
        session.regions.add(labels)
    assert session.regions.layers == []
    session.regions.add(viewer.add_labels(da.from_array(values), name="lazy", units="um"))
    with pytest.raises(PointError, match=r"lazy has 69 labels.*at most 50 labels"):
        session.wait()


def test_layers_come_and_go(session, viewer, two):
    shapes = viewer.add_shapes([TRIANGLE], shape_type="polygon", name="s", units="um")
    labels = viewer.add_labels(np.ones((70, 100), int), name="l", units="um")
    session.add_query(two[0], 3, 3, class_name="a")
    assert session.regions.candidates() == [shapes, labels]
    session.regions.add(shapes)
    session.regions.add(labels)
    assert session.regions.layers == [shapes, labels]
    assert session.regions.candidates() == [shapes, labels], "class maps are none of the user's"
    for layer in (shapes, labels):
        viewer.layers.remove(layer)
        assert layer not in session.regions.layers
        viewer.layers.append(layer)
        session.regions.add(layer)
        session.regions.remove(layer)
        session.regions.remove(layer)
    assert session._coordinator.state.picked.picks == tuple(
        p for p in session._coordinator.state.picked.picks if p.class_name == "a"
    )
    with pytest.raises(SimilarityError, match="plain cannot be a query region"):
        session.regions.add(two[0])
    with pytest.raises(SimilarityError, match="none of the images"):
        session.regions.add(shapes, labels)
    session.regions.add(shapes)
    session.close()
    shapes.data = [TRIANGLE + 3]


def test_layers_of_the_user_are_not_changed(session, viewer, two):
    shapes = viewer.add_shapes([TRIANGLE], shape_type="polygon", name="s", units="um")
    labels = viewer.add_labels(np.ones((70, 100), int), name="l", units="um")
    before = shapes.as_layer_data_tuple()[1], labels.as_layer_data_tuple()[1]
    session.regions.add(shapes)
    session.regions.add(labels)
    session.add_query(two[0], 3, 3, class_name="a")
    after = shapes.as_layer_data_tuple()[1], labels.as_layer_data_tuple()[1]
    for old, new in zip(before, after, strict=True):
        assert str(old) == str(new)


transforms = st.fixed_dictionaries(
    {
        "scale": st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)),
        "rotate": st.floats(-180, 180),
        "shear": st.tuples(st.floats(-0.8, 0.8)),
    }
)
HYPOTHESIS = PatchProjection()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(of_image=transforms, of_labels=transforms, y=st.floats(-5, 60), x=st.floats(-5, 60))
def test_a_pixel_of_the_image_is_found_in_the_labels(of_image, of_labels, y, x):
    viewer = ViewerModel()
    session = SimilaritySession(viewer, backbone=HYPOTHESIS, runner=InlineRunner())
    image = viewer.add_image(np.ones((20, 30)), translate=(7, -3), **of_image)
    labels = viewer.add_labels(np.ones((9, 14), int), **of_labels)
    shift = np.array(image.data_to_world((9.5, 14.5))) - labels.data_to_world((4, 6.5))
    labels.translate = np.array(labels.translate) + shift
    session.regions.add(labels)
    (pick,) = session.regions.picks()[0]
    found = np.reshape(pick.matrix, (2, 2)) @ (y, x) + pick.offset
    wanted = labels.world_to_data(image.data_to_world((y, x)))
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    session.close()


def test_regions_are_measured_once_while_a_point_is_dragged(session, viewer, two, monkeypatch):
    from napari_dinov3_sim.core.search import regions as core_regions

    calls = []
    for name in ("label_shares", "coverage_of_polygon"):
        real = getattr(core_regions, name)
        monkeypatch.setattr(
            core_regions, name, lambda *args, real=real: (calls.append(1), real(*args))[1]
        )
    shapes = viewer.add_shapes([TRIANGLE], shape_type="polygon", name="s", units="um")
    values = np.ones((70, 100), int)
    session.regions.add(shapes)
    session.regions.add(viewer.add_labels(values, name="l", units="um"))
    session.add_query(two[0], 3, 3, class_name="s")
    before = len(calls)
    assert before == 2
    for step in range(3):
        session.queries.data = np.array([[20.0 + step, 40.0]])
    assert len(calls) == before
    query = reference_query(
        [
            embed(two[0])[22 // PATCH, 40 // PATCH],
            vector_of(
                points_in_poly(pixels_in(shapes, two[0]), TRIANGLE).reshape(70, 100),
                embed(two[0]),
            ),
        ]
    )
    assert_maps(session, "s", query, two)
    shapes.data = [TRIANGLE + 1]
    assert len(calls) == before + 1


def test_labels_painted_while_threads_work_are_right_in_the_end(viewer, two):
    session = SimilaritySession(viewer, backbone=PatchProjection(), runner=ThreadRunner())
    labels = viewer.add_labels(np.zeros((70, 100), int), name="seg", units="um")
    session.regions.add(labels)
    for column in range(5, 95, 6):
        labels.paint((30 + column % 7, column), 1)
        session._runner.deliver(0.001)
    session.wait(PATIENCE)
    assert_maps(session, "seg 1", region_query(labels.data, 1, two[0]), two)
    session.close()

"""Grayscale layers merged into one image: equal to brute force, split when they fall apart."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from heatmap_values import over_image
from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images import levels

from ..brute_force import (
    MEAN,
    PATCH,
    PROJECTION,
    STD,
    reference_embeddings,
    reference_map,
    reference_query,
    reference_window,
)

pytestmark = pytest.mark.slow


def rgb_embeddings(channels):
    """Unit embeddings of the RGB made of (plane, window) or None for each channel."""
    shape = next(c[0].shape for c in channels if c is not None)
    rows, columns = (-(-n // PATCH) for n in shape)
    rgb = np.zeros((rows * PATCH, columns * PATCH, 3))
    for number, channel in enumerate(channels):
        if channel is not None:
            plane, (low, high) = channel
            scaled = np.clip((plane.astype(float) - low) / (high - low), 0, 1)
            rgb[: shape[0], : shape[1], number] = scaled
    normal = ((rgb - MEAN) / STD).astype(np.float32)
    blocks = normal.reshape(rows, PATCH, columns, PATCH, 3).transpose(0, 2, 4, 1, 3)
    features = blocks.reshape(rows, columns, -1) @ PROJECTION + 1
    return features / (np.linalg.norm(features, axis=-1, keepdims=True) + 1e-8)


def windowed(layer, plane=None):
    data = np.asarray(layer.data)
    return (data if plane is None else data[plane]), reference_window(data)


def assert_shows(session, image, query, embeddings):
    shape = image.data.shape[-2:]
    found = over_image(image, session.heatmaps[image])
    np.testing.assert_allclose(found, reference_map(query, embeddings, shape), atol=1e-5)


@pytest.fixture
def three(viewer, rng):
    place = {"scale": (0.5, 0.5), "rotate": 15, "translate": (3, 4), "units": "um"}
    return [
        viewer.add_image(rng.integers(0, 4000, (70, 100)).astype(np.uint16), name="dapi", **place),
        viewer.add_image(rng.normal(size=(70, 100)), name="gfp", **place),
        viewer.add_image(rng.integers(0, 255, (70, 100)).astype(np.uint8), name="rfp", **place),
    ]


@pytest.fixture
def notices(session):
    found = []
    session.noticed.connect(found.append)
    return found


def test_three_layers_are_one_image_each_through_its_own_window(session, viewer, three, rng):
    other = viewer.add_image(rng.normal(size=(40, 40)), name="other", translate=(500, 0))
    order = [layer.unique_id for layer in viewer.layers]
    session.merge_channels(three)
    assert session.targets == [three[0], other]
    assert session.merged == {three[0]: tuple(three)}
    assert session.refusal(three[1]) == (
        "gfp is the green of dapi + gfp + rfp; split them to search it alone."
    )
    session.add_query(three[2], 50, 20)
    embeddings = rgb_embeddings([windowed(layer) for layer in three])
    query = embeddings[20 // PATCH, 50 // PATCH]
    assert set(session.heatmaps) == {three[0], other}
    assert_shows(session, three[0], query, embeddings)
    assert_shows(session, other, query, reference_embeddings(*_plane_and_window(other)))
    assert [i.unique_id for i in viewer.layers if i.unique_id in order] == order
    assert viewer.layers.index(session.heatmaps[three[0]]) > viewer.layers.index(three[2])
    assert viewer.layers.index(session.heatmaps[three[0]]) < viewer.layers.index(other)


def _plane_and_window(layer):
    return (layer.data, *reference_window(layer.data))


def test_all_that_is_shown_over_them_keeps_its_order(session, viewer, three, rng):
    other = viewer.add_image(rng.normal(size=(40, 40)), name="other", translate=(500, 0))
    session.merge_channels(three)
    session.add_query(three[0], 50, 20, class_name="a")
    session.add_query(three[0], 20, 50, class_name="b")
    names = [layer.name for layer in viewer.layers]

    def order(name):
        return [n.removeprefix(f"{name} ") for n in names if n.startswith(f"{name} ")]

    merged = session.name_of(three[0])
    assert [n for n in order(merged) if "outlines" not in n] == order(other.name)
    assert order(other.name) == ["· a", "· b", "· class map", "contours"]
    assert min(names.index(f"{merged} {n}") for n in order(merged)) > names.index("rfp")


def test_what_is_merged_is_called_after_all_its_channels(session, viewer, three, tmp_path):
    session.add_query(three[0], 50, 20)
    assert session.heatmaps[three[0]].name == "dapi · class 1"
    session.merge_channels(three[:2])
    both = f"dapi + {three[1].name}"
    assert [session.name_of(layer) for layer in three[:2]] == [both, three[1].name]
    assert session.heatmaps[three[0]].name == f"{both} · class 1"
    session.add_query(three[0], 20, 50, class_name="b")
    assert session.class_maps[three[0]].name == f"{both} · class map"
    for make in (session.results.labels, session.results.peaks, session.results.colours):
        make()
    session.results.save_csv(tmp_path / "peaks.csv")
    session.wait()
    names = {layer.name for layer in viewer.layers}
    classes = {f"{both} objects: class 1", f"{both} objects: b"}
    assert classes | {f"{both} peaks", f"{both} colours"} <= names
    assert set(viewer.layers[f"{both} peaks"].features["image"]) == {both}
    assert f"\n{both}," in (tmp_path / "peaks.csv").read_text()
    session.split_channels(three[1])
    assert session.heatmaps[three[0]].name == "dapi · class 1"
    assert session.class_maps[three[0]].name == "dapi · class map"


@pytest.mark.parametrize("present", [(0,), (1,), (0, 2), (1, 2), (0, 1)])
def test_missing_channels_are_black(session, three, present):
    channels = [layer if number in present else None for number, layer in enumerate(three)]
    session.merge_channels(channels)
    lead = three[present[0]]
    session.add_query(lead, 50, 20)
    embeddings = rgb_embeddings([None if c is None else windowed(c) for c in channels])
    assert_shows(session, lead, embeddings[1, 3], embeddings)
    assert set(session.targets) == {lead, *(t for t in three if t not in channels)}


def test_a_click_on_any_of_them_belongs_to_all(session, viewer, three):
    session.merge_channels(three)
    points = session.queries
    world = three[2].data_to_world((20, 50))
    for hidden in ([], [0], [0, 1]):
        for number in hidden:
            three[number].visible = False
        points.data = np.array([points.world_to_data(world)])
        assert session._coordinator.queries.owners == (three[0].unique_id,)
        assert session.heatmaps[three[0]].visible
        points.data = np.empty((0, 2))
    three[2].visible = False
    points.add(points.world_to_data(world))
    assert session.heatmaps == {}, "nothing to be seen, nothing clicked"
    three[1].visible = True
    assert session.heatmaps[three[0]].visible
    three[1].visible = False
    assert not session.heatmaps[three[0]].visible


def test_a_chosen_channel_is_the_source_of_clicks(session, viewer, three):
    cover = viewer.add_image(np.ones((400, 400)), name="cover", translate=(-100, -100))
    session.merge_channels(three)
    session.source = three[1]
    assert session.source == three[0]
    session.queries.add(session.queries.world_to_data(three[0].data_to_world((20, 50))))
    assert session._coordinator.queries.owners == (three[0].unique_id,)
    session.source = None
    session.queries.add(session.queries.world_to_data(three[0].data_to_world((21, 50))))
    assert session._coordinator.queries.owners == (three[0].unique_id, cover.unique_id)


def test_new_pixels_of_any_channel_are_embedded(session, three, rng):
    session.merge_channels(three)
    session.add_query(three[0], 50, 20)
    for layer in three[::-1]:
        layer.data = rng.integers(0, 200, (70, 100)).astype(np.uint8)
        embeddings = rgb_embeddings([windowed(layer) for layer in three])
        assert_shows(session, three[0], embeddings[1, 3], embeddings)


def test_splitting_gives_back_three_images(session, three):
    session.merge_channels(three)
    session.add_query(three[0], 50, 20)
    assert session.split_channels(three[2])
    assert not session.split_channels(three[2])
    assert session.merged == {}
    assert session.targets == three
    assert set(session.heatmaps) == set(three)
    assert [session.refusal(layer) for layer in three] == [None] * 3
    embeddings = reference_embeddings(*_plane_and_window(three[0]))
    assert_shows(session, three[0], embeddings[1, 3], embeddings)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_channel_that_leaves_splits_the_others(session, viewer, three, notices, number):
    session.merge_channels(three)
    session.add_query(three[0], 50, 20)
    viewer.layers.remove(three[number])
    rest = [layer for layer in three if layer is not three[number]]
    assert session.merged == {}
    assert session.targets == rest
    assert set(session.heatmaps) == set(rest)
    assert notices == [f"{three[number].name} was removed; the channels merged with it are split."]
    viewer.layers.append(three[number])
    assert session.merged == {}
    assert set(session.heatmaps) == set(three)


def test_channels_that_diverge_are_split_with_a_notice(session, three, notices, rng):
    for change, sentence in (
        (lambda: setattr(three[2], "data", rng.normal(size=(60, 100))), "differ in size"),
        (lambda: setattr(three[1], "translate", (3, 4.2)), "gfp does not lie over dapi"),
        (lambda: setattr(three[0], "rotate", 16), "gfp does not lie over dapi"),
        (lambda: setattr(three[1], "data", np.ones((3, 70, 100))), "differ in size"),
    ):
        session.merge_channels(three)
        session.set_target(three[0], False)
        session.set_target(three[0], True)
        change()
        assert session.merged == {}
        assert sentence in notices.pop()
        assert notices == []
        for layer in three:
            layer.data = np.zeros((70, 100))
            layer.translate, layer.rotate = (3, 4), 15


def test_what_is_unticked_stays_so_when_it_is_split(session, three):
    session.merge_channels(three)
    session.set_target(three[1], True)
    assert session.targets == [three[0]]
    session.set_target(three[0], False)
    session.split_channels(three[0])
    assert session.targets == []


def test_what_is_unticked_stays_so_when_its_first_channel_leaves(session, viewer, three):
    session.merge_channels(three)
    session.set_target(three[0], False)
    viewer.layers.remove(three[0])
    assert session.targets == []


def test_what_cannot_be_one_image_is_refused_with_a_sentence(session, viewer, three):
    colour = viewer.add_image(np.zeros((70, 100, 3), np.uint8), rgb=True, name="photo")
    stranger = type(three[0])(np.zeros((70, 100)), name="stranger")
    for channels, sentence in (
        ([], "0 layers cannot be merged"),
        ([*three, three[0]], "4 layers cannot be merged"),
        ([None, None], "cannot be merged"),
        ([three[0], three[0]], "each once"),
        ([three[0], colour], "photo is a colour image already"),
        ([three[0], stranger], "stranger is none of the images"),
        ([three[0], viewer.add_image(np.zeros((70, 100)), name="far")], "far does not lie over"),
        ([three[0], viewer.add_image(np.zeros((70, 99)))], "differ in size"),
    ):
        with pytest.raises(ImageError, match=sentence):
            session.merge_channels(channels)
    assert session.merged == {}


def test_merging_anew_leaves_the_former_group(session, three):
    session.merge_channels(three[:2])
    session.merge_channels([three[2], three[1]])
    assert session.merged == {three[2]: (three[2], three[1], None)}
    assert session.targets == [three[0], three[2]]
    three[2].name = "red"
    assert session.refusal(three[1]).startswith("gfp is the green of red + gfp;")


def test_units_that_mean_the_same_lie_together(session, viewer, rng):
    first = viewer.add_image(rng.normal(size=(40, 40)), scale=(0.5, 0.5), units="um")
    second = viewer.add_image(rng.normal(size=(40, 40)), scale=(500, 500), units="nm")
    session.merge_channels([first, second])
    session.add_query(second, 20, 20)
    assert set(session.heatmaps) == {first}


def test_stacks_are_merged_plane_by_plane(session, viewer, rng):
    data = rng.integers(0, 60000, (2, 5, 40, 70)).astype(np.uint16)
    red, blue = (viewer.add_image(volume, scale=(3, 0.5, 0.5)) for volume in data)
    session.merge_channels([red, None, blue])
    viewer.dims.set_current_step(0, 3)
    session.add_query(blue, 50, 20)
    at_3 = rgb_embeddings([windowed(red, 3), None, windowed(blue, 3)])
    viewer.dims.set_current_step(0, 1)
    at_1 = rgb_embeddings([windowed(red, 1), None, windowed(blue, 1)])
    volume = over_image(red, session.heatmaps[red])
    wanted = reference_map(at_3[1, 3], at_1, (40, 70))
    np.testing.assert_allclose(volume[1], wanted, atol=1e-5)
    session.all_planes = True
    assert np.isfinite(over_image(red, session.heatmaps[red])).all()


def test_the_same_level_of_all_is_embedded(session, viewer, rng, monkeypatch):
    monkeypatch.setattr(levels, "MAX_LEVEL_PIXELS", 2000)
    fine = rng.normal(size=(2, 96, 64)).astype(np.float32)
    layers = [
        viewer.add_image([plane, plane[::2, ::2]], multiscale=True, contrast_limits=(-3, 3))
        for plane in fine
    ]
    lazy = [da.from_array(fine[0]), da.from_array(fine[0])[::3, ::3]]
    other = viewer.add_image(lazy, multiscale=True, contrast_limits=(-3, 3))
    session.merge_channels(layers)
    session.add_query(layers[1], 40, 40)
    halves = [(plane[::2, ::2], reference_window(plane[::2, ::2])) for plane in fine]
    embeddings = rgb_embeddings([*halves, None])
    wanted = reference_map(reference_query([embeddings[1, 1]]), embeddings, (48, 32))
    shown = over_image(layers[0], session.heatmaps[layers[0]])
    np.testing.assert_allclose(shown[::2, ::2], wanted, atol=1e-5)
    with pytest.raises(ImageError, match="differ in size or in levels"):
        session.merge_channels([layers[0], other])


def test_the_layers_are_not_touched(session, viewer, three):
    before = [str(layer.as_layer_data_tuple()[1]) for layer in three]
    session.merge_channels(three)
    session.add_query(three[0], 50, 20)
    session.split_channels(three[0])
    assert [str(layer.as_layer_data_tuple()[1]) for layer in three] == before

"""Objects of a session that are followed through time and depth."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from core.objects.moving_discs import (
    PATCH,
    association_accuracy,
    discs_of_labels,
    moving_discs,
)
from heatmap_values import over_image
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from napari_dinov3_sim.session.tracking import follow_job
from napari_dinov3_sim.session.tracking.stack_axes import choose_axes
from patience import PATIENCE

pytestmark = pytest.mark.slow

COLOURS = np.array([[40, 40, 40], [230, 60, 50], [60, 90, 240]], np.uint8)


class MeanColour:
    """Embeds each patch as its mean colour."""

    name, fingerprint = "colour", "colour"
    patch_size, dim, mean, std = PATCH, 4, (0.0,) * 3, (1.0,) * 3

    def embed_patches(self, pixel_values):
        means = torch.nn.functional.avg_pool2d(pixel_values, PATCH).flatten(2).transpose(1, 2)
        return torch.cat([means, torch.full((*means.shape[:2], 1), 0.1)], dim=2)


@pytest.fixture
def session(viewer):
    session = SimilaritySession(viewer, backbone=MeanColour(), runner=InlineRunner())
    session.all_planes = True
    yield session
    session.close()


def results(viewer, what):
    """The layers of a result, the bottom one first."""
    marks = [(mark_of(layer, "result"), layer) for layer in viewer.layers]
    return [layer for mark, layer in marks if mark is not None and mark["what"][0] == what]


def rods(frames=8):
    """Rods through depth that slant, each of its own colour; the second ends half-way."""
    stack = np.full((frames, 96, 96, 3), COLOURS[0])
    for index in range(frames):
        stack[index, 8:32, 8 + 4 * index : 32 + 4 * index] = COLOURS[1]
        if index < frames // 2:
            stack[index, 56:80, 56 - 3 * index : 80 - 3 * index] = COLOURS[1]
    return stack


UM = {"scale": (2.0, 0.5, 0.5), "units": ("um", "um", "um")}


@pytest.fixture
def depth(session, viewer):
    """Two rods, clicked once on the first plane; their objects on all planes."""
    image = viewer.add_image(rods(), rgb=True, name="rods", axis_labels=("z", "y", "x"), **UM)
    viewer.dims.set_current_step(0, 0)
    session.add_query(image, 20, 20)
    session.results.labels(threshold=0.95)
    return image


def table(layer):
    return layer.features.assign(frame=layer.data[:, 1].astype(int))


def test_a_time_series_is_followed_as_it_was_made(session, viewer):
    series = moving_discs(14, seed=2)
    image = viewer.add_image(COLOURS[series.looks], rgb=True, axis_labels=("t", "y", "x"))
    viewer.dims.set_current_step(0, 0)
    session.combination = "best"
    seen = np.flatnonzero(np.isfinite(series.places[0, :, 0]))
    for look in (0, 1):  # one click on each
        y, x = series.places[0, next(disc for disc in seen if disc % 2 == look)]
        session.add_query(image, x, y)
    session.results.labels(threshold=0.97)
    said = []
    session.tracking.done.connect(said.append)
    session.tracking.follow()
    (tracks,) = results(viewer, "tracks")
    found = table(tracks)
    number = dict(
        zip(zip(found["frame"], found["label"], strict=True), found["track_id"], strict=True)
    )
    (labels,) = results(viewer, "labels")
    inside = [discs_of_labels(*one) for one in zip(labels.data, series.places, strict=True)]
    accuracy = association_accuracy(inside, number)
    assert accuracy.count > 200
    assert accuracy.links >= 0.95, accuracy
    assert accuracy.own >= 0.95, accuracy
    assert f"{found['track_id'].nunique()} tracks of {len(found)} objects along t" in said[0]


def test_rods_are_followed_through_depth_and_lie_over_their_image(session, viewer, depth):
    session.tracking.follow()
    (tracks,) = results(viewer, "tracks")
    found = table(tracks)
    assert found.groupby("track_id")["frame"].agg(list).tolist() == [list(range(8)), [0, 1, 2, 3]]
    assert tracks.name == "rods tracks"
    np.testing.assert_allclose(tracks.scale, depth.scale)
    assert tracks.units == depth.units
    assert set(found["class"]) == {"class 1"}
    for row, (_, frame, y, x) in zip(found.to_dict("records"), tracks.data, strict=True):
        (labels,) = results(viewer, "labels")
        ys, xs = np.nonzero(labels.data[int(frame)] == row["label"])
        assert row["area_px"] == len(ys)
        assert (y, x) == pytest.approx((ys.mean(), xs.mean()))
        heatmap = over_image(depth, session.heatmaps[depth])[int(frame)]
        assert row["score"] == pytest.approx(heatmap[ys, xs].mean(), abs=1e-5)


def test_labels_carry_the_number_of_their_track(session, viewer, depth):
    (labels,) = results(viewer, "labels")
    labels.features = {"index": [1, 2], "mine": ["a", "b"]}
    session.tracking.follow()
    (tracks,), (tracked,) = results(viewer, "tracks"), results(viewer, "tracked objects")
    found = table(tracks)
    own = dict(zip(found["label"], found["track_id"], strict=True))
    wanted = np.vectorize(lambda label: own.get(label, 0))(labels.data)
    np.testing.assert_array_equal(tracked.data, wanted)
    features = labels.features.set_index("index")
    assert features["track"].to_dict() == own
    assert features["mine"][1] == "a"
    np.testing.assert_allclose(tracked.extent.world, depth.extent.world)


def test_a_label_of_several_tracks_has_none_of_them(session, viewer, depth):
    (labels,) = results(viewer, "labels")
    labels.data[...] = 0
    labels.data[:4, 8:16, 8:16] = labels.data[4:, 72:80, 72:80] = 1  # far from each other
    labels.data[:, 40:56, 40:56] = 2
    session.tracking.follow()
    (tracked,) = results(viewer, "tracked objects")
    assert len({*tracked.data[labels.data == 1]}) > 1
    (own,) = {*tracked.data[labels.data == 2]}
    session.measurements.measure(by_plane=True)
    found = session.measurements.table.columns
    assert np.isnan(found["track"][found["label"] == 1]).all()
    assert set(found["track"][found["label"] == 2]) == {own}


@pytest.mark.parametrize("measured", ["before", "after", "before and after"])
def test_the_table_has_the_tracks_of_objects(session, viewer, depth, measured):
    if "before" in measured:
        session.measurements.measure(by_plane=True)
        assert "track" not in session.measurements.table.columns
    session.tracking.follow()
    if "after" in measured:
        session.measurements.measure(by_plane=True)
    (tracks,), found = results(viewer, "tracks"), session.measurements.table
    own = table(tracks).set_index("label")["track_id"]
    assert len(found) == 12
    assert found.columns["track"].tolist() == own[found.columns["label"]].tolist()
    assert "mine" not in found.columns


def test_labels_are_taken_as_the_user_has_painted_them(session, viewer, depth):
    (labels,) = results(viewer, "labels")
    data = labels.data.copy()
    data[:, 40:, :] = 0  # the second rod was none
    data[5] = 0
    labels.data = data
    session.tracking.follow()
    (tracks,) = results(viewer, "tracks")
    assert table(tracks)["frame"].tolist() == [0, 1, 2, 3, 4, 6, 7]
    session.tracking.follow(max_gap=0)
    assert len(np.unique(results(viewer, "tracks")[0].data[:, 0])) == 2


def test_asked_again_it_goes_into_its_layers_unless_they_were_changed(session, viewer, depth):
    session.tracking.follow()
    (tracks,), (tracked,) = results(viewer, "tracks"), results(viewer, "tracked objects")
    session.tracking.follow(patches=0.1)
    assert results(viewer, "tracks") == [tracks]
    assert results(viewer, "tracked objects") == [tracked]
    assert len(np.unique(tracks.data[:, 0])) > 8
    tracked.data = np.where(tracked.data == 1, 0, tracked.data)
    mine = tracked.data.copy()
    session.tracking.follow()
    assert len(results(viewer, "tracked objects")) == 2
    np.testing.assert_array_equal(tracked.data, mine)
    assert len(results(viewer, "tracks")) == 1


def test_the_greatest_distance_is_in_the_units_of_the_viewer(session, viewer, depth):
    session.tracking.follow(max_distance=2.1)  # the first moves by 4 pixels of 0.5 um
    assert len(np.unique(results(viewer, "tracks")[0].data[:, 0])) == 2
    session.tracking.follow(max_distance=1.4)
    assert len(np.unique(results(viewer, "tracks")[0].data[:, 0])) > 8


def test_classes_are_followed_each_for_itself_and_keep_their_layers(session, viewer, depth):
    session.add_query(depth, 90, 5, class_name="dark")
    session.results.labels(threshold=0.99)
    session.tracking.follow()
    names = {layer.name for layer in results(viewer, "tracks")}
    assert names == {"rods tracks: class 1", "rods tracks: dark"}
    session.rename_class("dark", "background")
    assert "rods tracks: background" in {layer.name for layer in results(viewer, "tracks")}
    session.tracking.follow(class_name="background")
    assert len(results(viewer, "tracks")) == 2


def test_volumes_are_followed_through_time(session, viewer):
    stack = np.full((4, 3, 64, 64, 3), COLOURS[0])
    for t in range(4):
        stack[t, 0, 8:24, 8 + 8 * t : 24 + 8 * t] = COLOURS[1]
        stack[t, 2, 8:24, 32 - 8 * t : 48 - 8 * t] = COLOURS[1]
    image = viewer.add_image(stack, rgb=True, scale=(1, 9, 1, 1), axis_labels=("t", "z", "y", "x"))
    viewer.dims.set_current_step((0, 1), (0, 0))
    session.add_query(image, 12, 12)
    session.results.labels(threshold=0.95)
    session.tracking.follow()
    (tracks,) = results(viewer, "tracks")
    by_track = [tracks.data[tracks.data[:, 0] == one] for one in (1, 2)]
    assert len(tracks.data) == 8
    # Over each other in the second frame, and told apart by their depth.
    assert [np.unique(one[:, 2]).tolist() for one in by_track] == [[0], [2]]
    assert [one[:, 1].tolist() for one in by_track] == [[0, 1, 2, 3]] * 2
    session.tracking.follow(axis="z")
    assert len(np.unique(results(viewer, "tracks")[0].data[:, 0])) >= 4  # each time for itself


def test_what_is_painted_meanwhile_is_in_no_track(session, viewer, depth, monkeypatch):
    (labels,) = results(viewer, "labels")
    labels.data = labels.data.astype(np.int32)
    last = int(labels.data.max())
    labels.data[0, :2, :2] = last + 5
    labels.data[0, 4, :2] = -1
    paint = follow_job._paint

    def painted_first(*arguments):
        labels.data[0, 2:4, :2] = last + 9  # above all that there were
        labels.data[0, 2:4, 4:6] = last + 2  # between two of them
        paint(*arguments)

    monkeypatch.setattr(follow_job, "_paint", painted_first)
    session.tracking.follow()
    (tracks,), (tracked,) = results(viewer, "tracks"), results(viewer, "tracked objects")
    assert set(tracks.features["label"]) == {*range(1, last + 1), last + 5}
    assert (tracked.data[0, :2, :2] > 0).all()
    assert not tracked.data[0, 2:5, :6].any()


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("depth", [False, True])
def test_divisions_do_not_depend_on_the_size_of_a_pixel(session, viewer, scale, depth):
    stack = np.full((2, 3, 96, 96, 3), COLOURS[0])
    stack[0, :, 32:64, 32:64] = COLOURS[1]
    stack[1, :, 32:64, 32:46] = stack[1, :, 32:64, 52:66] = COLOURS[1]
    stack, names = (stack, ("t", "z", "y", "x")) if depth else (stack[:, 0], ("t", "y", "x"))
    image = viewer.add_image(stack, rgb=True, scale=(scale,) * len(names), axis_labels=names)
    viewer.dims.set_current_step(0, 0)
    session.add_query(image, 48, 48)
    session.connect_planes = "depth"
    session.results.labels(threshold=0.95)
    (labels,) = results(viewer, "labels")
    labels.data[...] = 0
    labels.data[0, ..., 32:64, 32:64] = 1
    labels.data[1, ..., 32:64, 32:46] = 2
    labels.data[1, ..., 32:64, 52:66] = 3
    session.tracking.follow(max_distance=9.5 * scale)
    (tracks,) = results(viewer, "tracks")
    assert tracks.graph == {2: [1], 3: [1]}


def test_what_cannot_be_followed_is_refused(session, viewer, rng):
    with pytest.raises(SimilarityError, match="press Make Labels first"):
        session.tracking.follow()
    image = viewer.add_image(rods()[0], rgb=True)
    session.add_query(image, 20, 20)
    session.results.labels(threshold=0.95)
    with pytest.raises(SimilarityError, match="open a stack"):
        session.tracking.follow()
    with pytest.raises(SimilarityError, match="distance above 0"):
        session.tracking.follow(patches=0)


def test_an_axis_is_chosen_by_name_or_number_and_time_comes_first():
    shape, names = (5, 3, 4, 64, 64), ["z", "c", "t", "y", "x"]
    assert choose_axes(shape, (3, 4), names, None).along == 2
    assert choose_axes(shape, (3, 4), names, None).series == (0, 1)
    assert choose_axes(shape, (3, 4), names, "Z").along == 0
    assert choose_axes(shape, (3, 4), names, "z").space == (2,)
    assert choose_axes(shape, (3, 4), names, 0).series == (1,)
    plain = ["axis -4", "axis -3", "axis -2", "axis -1"]
    assert choose_axes((1, 6, 64, 64), (2, 3), plain, None).name == "axis 1"
    for wanted in ("q", 4):
        with pytest.raises(SimilarityError, match="several planes along"):
            choose_axes(shape, (3, 4), names, wanted)


def test_labels_that_are_not_in_memory_have_tracks_too(session, viewer, depth, monkeypatch):
    monkeypatch.setattr("napari_dinov3_sim.session.results.computations.MAX_EDITABLE", 10)
    monkeypatch.setattr("napari_dinov3_sim.session.images.patch_array.MAX_PLAIN", 10)
    viewer.layers.remove(results(viewer, "labels")[0])
    session.results.labels(threshold=0.95)
    session.tracking.follow()
    assert len(results(viewer, "tracks")[0].data) == 12
    assert results(viewer, "tracked objects") == []


def test_planes_without_embeddings_go_by_place_and_are_told_of(session, viewer, depth):
    said = []
    session.tracking.done.connect(said.append)
    session.store.memory._budget = 0
    record = session._coordinator.embedder._record
    gone = [key for key in record.embedded_planes() if key.indices in ((2,), (3,))]
    for key in gone:
        record._states.pop(key, None)
        record._digests.pop(key)
    session.tracking.follow()
    assert len(np.unique(results(viewer, "tracks")[0].data[:, 0])) == 2
    assert "2 planes have no embeddings" in said[-1]


def test_negative_labels_need_no_embeddings(session, viewer, depth):
    said = []
    session.tracking.done.connect(said.append)
    (labels,) = results(viewer, "labels")
    labels.data = labels.data.astype(np.int32)
    labels.data[2] = -1
    session.store.memory._budget = 0
    record = session._coordinator.embedder._record
    (gone,) = [key for key in record.embedded_planes() if key.indices == (2,)]
    record._states.pop(gone, None)
    record._digests.pop(gone)
    session.tracking.follow()
    assert "no embeddings" not in said[-1]


def test_labels_of_some_planes_only_are_told_of(session, viewer):
    said = []
    session.all_planes = False
    image = viewer.add_image(rods(), rgb=True, name="rods", axis_labels=("z", "y", "x"))
    viewer.dims.set_current_step(0, 0)
    session.add_query(image, 20, 20)
    session.tracking.done.connect(said.append)
    for index in range(3):
        viewer.dims.set_current_step(0, index)
    session.results.labels(threshold=0.95)
    session.tracking.follow()
    of = "follow again, the objects are of 3 of 8 planes: 2 tracks of 6 objects along z"
    assert said[-1].startswith(f"Tick All planes, make Labels and {of}")
    session.all_planes = True
    session.tracking.follow()
    assert said[-1].startswith(f"Press Make Labels and {of}")
    session.results.labels(threshold=0.95)
    session.tracking.follow()
    assert said[-1].startswith("2 tracks of 12 objects along z")


def test_labels_that_are_out_of_date_are_told_of(session, viewer, depth):
    said = []
    session.tracking.done.connect(said.append)
    session.results.labels()
    session.threshold = 0.5
    assert "labels" in session.results.outdated
    session.tracking.follow()
    assert said[-1].startswith("Press Renew and follow again, the Labels are out of date: ")
    session.results.renew()
    session.tracking.follow()
    assert "Renew" not in said[-1]


# -- in the background ----------------------------------------------------------------------------


@pytest.fixture
def threaded(viewer):
    session = SimilaritySession(viewer, backbone=MeanColour(), runner=ThreadRunner())
    session.all_planes = True
    image = viewer.add_image(rods(), rgb=True, name="rods")
    session.add_query(image, 20, 20)
    session.wait(PATIENCE)
    session.results.labels(threshold=0.95)
    session.wait(PATIENCE)
    yield session
    session.close()


def test_it_tells_how_far_it_is_and_can_be_cancelled(threaded, viewer):
    seen = []
    threaded.progressed.connect(seen.append)
    threaded.tracking.follow()
    threaded.cancel()
    threaded.wait(PATIENCE)
    assert results(viewer, "tracks") == []
    threaded.tracking.follow()
    threaded.wait(PATIENCE)
    told = [one for one in seen if one is not None and one.description == "Following rods"]
    assert told[-1].done == told[-1].total == 8
    assert seen[-1] is None
    assert len(results(viewer, "tracks")) == 1


def test_an_image_that_goes_meanwhile_gets_no_tracks(threaded, viewer):
    threaded.tracking.follow()
    viewer.layers.remove(viewer.layers["rods"])
    threaded.wait(PATIENCE)
    assert results(viewer, "tracks") == []


@pytest.mark.parametrize("deed", ["rename", "delete", "delete and undo", "join", "deleted before"])
def test_classes_that_are_renamed_or_deleted_meanwhile(threaded, viewer, deed):
    """Tracks are of classes as they are called when they are there."""
    image, go_on = viewer.layers["rods"], threading.Event()
    threaded.add_query(image, 90, 5, class_name="dark")
    threaded.wait(PATIENCE)
    threaded.results.labels(threshold=0.99)
    threaded.wait(PATIENCE)
    if deed == "deleted before":
        threaded.remove_class("dark")
        threaded.wait(PATIENCE)
    threaded._runner.submit("analysis", lambda *_: go_on.wait(PATIENCE) and None, lambda _: None)
    threaded.tracking.follow()
    if deed == "rename":
        threaded.rename_class("dark", "background")
    elif deed == "join":
        threaded.rename_class("dark", "class 1")
    elif deed != "deleted before":
        threaded.remove_class("dark")
    if deed == "delete and undo":
        threaded.undo()
    go_on.set()
    threaded.wait(PATIENCE)
    other = {"rename": ["background"], "delete": [], "join": []}.get(deed, ["dark"])
    for what in ("tracks", "tracked objects"):
        found = results(viewer, what)
        classes = [mark_of(layer, "result")["what"][1] for layer in found]
        assert sorted(classes) == sorted(["class 1", *other])
        assert {layer.name for layer in found} == {f"rods {what}: {name}" for name in classes}
    for layer in results(viewer, "tracks"):
        assert set(layer.features["class"]) == {mark_of(layer, "result")["what"][1]}
    assert "dark" not in threaded.classes or deed == "delete and undo"

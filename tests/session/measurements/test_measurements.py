"""The table of a session: every number is that of the layers as they are now."""

from __future__ import annotations

import csv
import threading

import dask.array as da
import numpy as np
import pytest

from heatmap_values import over_image
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.objects import stacks
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from patience import PATIENCE

pytestmark = pytest.mark.slow

MICRON = {"scale": (0.5, 0.25), "units": ("um", "um")}


def labels_of(viewer, image, class_name="class 1"):
    """The Labels layer of a class over an image."""
    for layer in viewer.layers:
        mark = mark_of(layer, "result")
        if mark and (mark["image"], mark["what"]) == (image.unique_id, ("labels", class_name)):
            return layer
    raise LookupError(image.name)


def columns(session):
    return session.measurements.table.columns


def measure(session):
    session.measurements.measure()
    session.wait()
    return columns(session)


def read(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def session(session):
    """The objects of noise have no edges, but patches."""
    session.outline = "patches"
    return session


@pytest.fixture
def image(viewer, rng):
    return viewer.add_image(rng.normal(size=(96, 112)), name="field", **MICRON)


@pytest.fixture
def made(session, viewer, image):
    """Objects of one click."""
    session.add_query(image, 40, 33)
    session.results.labels(0.3)
    session.wait()
    return labels_of(viewer, image)


def test_each_object_is_a_row_with_what_lies_under_it(session, image, made):
    found = measure(session)
    labels, heat = np.asarray(made.data), over_image(image, session.heatmaps[image])
    assert found["label"].tolist() == np.unique(labels[labels > 0]).tolist()
    assert set(found["image"]) == {"field"}
    assert set(found["class"]) == {"class 1"}
    for row, label in enumerate(found["label"]):
        inside = labels == label
        rows, cols = np.nonzero(inside)
        assert found["area_px"][row] == inside.sum()
        np.testing.assert_allclose(found["area_um2"][row], inside.sum() * 0.125)
        np.testing.assert_allclose(found["centroid_y_um"][row], rows.mean() * 0.5)
        np.testing.assert_allclose(found["centroid_x_um"][row], cols.mean() * 0.25)
        np.testing.assert_allclose(found["intensity_mean"][row], image.data[inside].mean())
        np.testing.assert_allclose(found["intensity_sd"][row], image.data[inside].std())
        np.testing.assert_allclose(found["score_mean"][row], heat[inside].mean(), rtol=1e-6)
        np.testing.assert_allclose(found["score_max"][row], heat[inside].max(), rtol=1e-6)


def test_a_session_has_no_table_before_it_is_asked(session, made):
    assert len(session.measurements.table) == 0
    assert not session.measurements.outdated
    with pytest.raises(SimilarityError, match="Nothing has been measured"):
        session.measurements.save_csv("t.csv")


def test_without_labels_there_is_nothing_to_measure(session, image):
    with pytest.raises(SimilarityError, match="press Make Labels"):
        session.measurements.measure()
    assert not session.measurements.can_measure


def test_the_features_are_those_that_napari_shows_for_a_label(session, made):
    found = measure(session)
    assert made.features["index"].tolist() == found["label"].tolist()
    np.testing.assert_array_equal(made.features["area_um2"], found["area_um2"])
    label = int(found["label"][1])
    place = np.argwhere(np.asarray(made.data) == label)[0]
    status = made.get_status(made.data_to_world(place), world=True)["coordinates"]
    assert f"area_px: {found['area_px'][1]}" in status
    assert made.get_status((0, 0)) is not None  # the background has no row


def test_columns_of_others_stay_in_the_features(session, made):
    measure(session)
    features = made.features.copy()
    features["track"] = np.arange(len(features)) + 100
    made.features = features
    kept = dict(zip(features["index"], features["track"], strict=True))
    made.data[made.data == features["index"][0]] = 0
    made.refresh()
    measure(session)
    assert dict(zip(made.features["index"], made.features["track"], strict=True)) == {
        label: track for label, track in kept.items() if label != features["index"][0]
    }


def test_columns_of_others_stay_however_often_it_is_measured(session, made):
    measure(session)
    made.features = made.features.assign(mine=1.5)
    for number in range(3):
        made.data_setitem((np.array([number]), np.array([0])), 300)
        measure(session)
        assert "mine" in made.features


def test_features_are_there_again_when_the_labels_are(session, made):
    measure(session)
    before = made.features.copy()
    session.results.labels(0.1)
    session.wait()
    assert made.features.empty
    session.results.labels(0.3)
    session.wait()
    measure(session)
    assert made.features.to_dict("list") == before.to_dict("list")


def test_tracks_of_other_labels_are_not_in_the_table(session, viewer, rng):
    stack = viewer.add_image(rng.normal(size=(3, 64, 64)), name="stack")
    session.all_planes = True
    session.add_query(stack, 20, 20)
    session.results.labels(0.3)
    session.wait()
    layer = labels_of(viewer, stack)
    session.tracking.follow()
    session.wait()
    assert "track" in layer.features
    session.results.labels(0.25)
    session.wait()
    assert len(measure(session)["label"])
    assert "track" not in columns(session)
    assert "track" not in layer.features
    session.tracking.follow()
    session.wait()
    assert "track" in columns(session)
    session.measurements.measure(by_plane=True)
    session.wait()
    assert "track" in columns(session)
    assert "track" in layer.features
    layer.data_setitem((np.array([0]), np.array([0]), np.array([0])), 300)
    assert "track" not in measure(session)


def test_what_is_painted_counts(session, made):
    before = measure(session)
    assert not session.measurements.outdated
    free = np.argwhere(made.data == 0)[0]
    made.data_setitem(tuple(free[:, None]), 200)
    assert session.measurements.outdated
    after = measure(session)
    assert after["label"].tolist() == [*before["label"].tolist(), 200]
    assert after["area_px"][-1] == 1
    made.undo()
    assert session.measurements.outdated
    assert measure(session)["label"].tolist() == before["label"].tolist()


def test_only_what_has_changed_is_measured_again(session, viewer, rng, image, made, monkeypatch):
    other = viewer.add_image(rng.normal(size=(64, 64)), name="other")
    session.wait()
    session.results.labels(0.3)
    session.wait()
    measure(session)
    counted = []
    real = stacks.measure_objects

    def counting(pixels, check=None):
        counted.append(pixels)
        return real(pixels, check)

    monkeypatch.setattr(stacks, "measure_objects", counting)
    measure(session)
    assert counted == []
    labels_of(viewer, other).data[0, :3] = 77
    labels_of(viewer, other).refresh()
    measure(session)
    assert len(counted) == 1
    assert 77 in columns(session)["label"]


def test_another_threshold_makes_the_table_old_and_it_is_renewed(session, image, made):
    measure(session)
    session.results.labels(0.1)
    session.wait()
    assert session.measurements.outdated
    measure(session)
    labels = np.asarray(made.data)
    assert columns(session)["area_px"].sum() == (labels > 0).sum()
    assert not session.measurements.outdated


def test_other_scores_scales_and_names_make_it_old(session, image, made):
    measure(session)
    session.add_query(image, 70, 70)
    session.wait()
    assert session.measurements.outdated
    measure(session)
    made.scale = (1.0, 1.0)
    assert session.measurements.outdated
    assert measure(session)["area_um2"].tolist() == columns(session)["area_px"].tolist()
    image.name = "renamed"
    assert session.measurements.outdated
    assert set(measure(session)["image"]) == {"renamed"}


def test_sliders_do_not_make_it_old(session, viewer, rng):
    stack = viewer.add_image(rng.normal(size=(3, 64, 64)), name="stack")
    session.add_query(stack, 20, 20)
    session.results.labels(0.3)
    session.wait()
    measure(session)
    for step in (2, 0, 1):
        viewer.dims.set_current_step(0, step)
        session.wait()
    assert not session.measurements.outdated


@pytest.mark.parametrize("all_planes", [False, True])
@pytest.mark.parametrize(("name", "unit"), [("z", "um"), ("t", "s")])
def test_it_is_the_same_however_the_view_is_turned(session, viewer, rng, name, unit, all_planes):
    axes = {"scale": (2, 0.5, 0.25), "units": (unit, "um", "um"), "axis_labels": (name, "y", "x")}
    stack = viewer.add_image(rng.normal(size=(20, 64, 96)), name="stack", **axes)
    session.all_planes = all_planes
    session.add_query(stack, 20, 20)
    session.wait()
    session.results.labels(0.3)
    session.wait()
    before = dict(measure(session))
    summary = session.measurements.summary.columns
    assert "area_um2" in before
    for _ in range(3):
        viewer.dims.roll()
        session.wait()
        found = measure(session)
        # The heatmaps are of other planes than the objects, or there are none.
        assert before.keys() - found.keys() <= {"score_mean", "score_max"}
        for column, values in found.items():
            np.testing.assert_array_equal(values, before[column])
        for column, values in session.measurements.summary.columns.items():
            np.testing.assert_array_equal(values, summary[column])
    assert found.keys() == before.keys()  # as at first


def test_a_stack_has_planes_and_painted_through_them_volumes(session, viewer, rng):
    stack = viewer.add_image(
        rng.normal(size=(3, 64, 64)), name="stack", scale=(2, 0.5, 0.5), units=("um",) * 3
    )
    session.all_planes = True
    session.add_query(stack, 20, 20)
    session.wait()
    session.results.labels(0.3)
    session.wait()
    layer = labels_of(viewer, stack)
    found = measure(session)
    data = np.asarray(layer.data)
    for label, plane in zip(found["label"], found["plane"], strict=True):
        assert (data[plane] == label).sum() == (data == label).sum() > 0
    assert session.measurements.summary.columns["planes"].tolist() == [3]
    layer.data[0:2, 0:2, 0:2] = 500
    layer.refresh()
    found = measure(session)
    assert found["volume_um3"][found["label"] == 500].tolist() == [8 * 0.5]
    assert session.measurements.summary.columns["searched_volume_um3"].tolist() == [
        3 * 64 * 64 * 0.5
    ]
    session.measurements.measure(by_plane=True)
    session.wait()
    assert (columns(session)["label"] == 500).sum() == 2


def test_an_axis_that_is_called_t_is_a_time_and_no_depth(session, viewer, rng):
    series = viewer.add_image(rng.normal(size=(3, 64, 64)), name="s", axis_labels=("t", "y", "x"))
    session.all_planes = True
    session.add_query(series, 20, 20)
    session.wait()
    session.results.labels(0.3)
    session.wait()
    layer = labels_of(viewer, series)
    layer.data[0:2, 0:2, 0:2] = 500
    layer.refresh()
    found = measure(session)
    assert "plane" not in found
    assert found["time"][found["label"] == 500].tolist() == [0, 1]
    assert found["area_px"][found["label"] == 500].tolist() == [4, 4]


def test_a_painted_layer_gives_way_to_a_new_one_unless_that_is_hidden(session, viewer, made):
    made.data[0, 0] = 300
    made.refresh()
    session.results.labels(0.3)
    session.wait()
    assert 300 not in measure(session)["label"]
    new = [x for x in viewer.layers if mark_of(x, "result") is not None and x != made]
    new[0].visible = False
    assert session.measurements.outdated
    assert 300 in measure(session)["label"]


def test_several_classes_and_images_are_in_one_table(session, viewer, rng, image):
    colour = viewer.add_image(rng.integers(0, 255, (48, 64, 3), np.uint8), name="colour")
    session.add_query(image, 20, 20, class_name="a")
    session.add_query(image, 60, 60, class_name="b")
    session.results.labels(0.2)
    session.wait()
    found = measure(session)
    pairs = set(zip(found["image"].tolist(), found["class"].tolist(), strict=True))
    assert pairs <= {(i, c) for i in ("field", "colour") for c in "ab"}
    mine = found["image"] == "colour"
    assert np.isnan(found["red_mean"][~mine]).all()
    assert np.isnan(found["area_um2"][mine]).all()
    row = int(np.flatnonzero(mine)[0])
    layer = labels_of(viewer, colour, found["class"][row])
    inside = np.asarray(layer.data) == found["label"][row]
    assert found["blue_mean"][row] == pytest.approx(colour.data[inside][:, 2].mean())
    summary = session.measurements.summary.columns
    assert len(summary["objects"]) == 4
    assert summary["objects"].sum() == len(found["label"])


def test_channels_that_are_one_image_are_measured_each(session, viewer, rng):
    red, green = (
        viewer.add_image(rng.normal(size=(64, 64)), name=f"cells {name}", colormap=colour)
        for name, colour in (("DAPI", "red"), ("GFP", "green"))
    )
    session.merge_channels([red, green])
    session.add_query(red, 20, 20)
    session.results.labels(0.3)
    session.wait()
    found = measure(session)
    inside = np.asarray(labels_of(viewer, red).data) == found["label"][0]
    assert found["DAPI_mean"][0] == pytest.approx(red.data[inside].mean())
    assert found["GFP_max"][0] == pytest.approx(green.data[inside].max())


def test_a_summary_says_how_many_how_dense_and_how_large(session, image, made):
    found = measure(session)
    row = {name: c[0] for name, c in session.measurements.summary.columns.items()}
    area = 96 * 112 * 0.125
    assert row["objects"] == len(found["label"])
    np.testing.assert_allclose(row["searched_area_um2"], area)
    np.testing.assert_allclose(row["density_per_mm2"], row["objects"] / (area / 1e6))
    np.testing.assert_allclose(row["area_fraction"], (np.asarray(made.data) > 0).mean())
    np.testing.assert_allclose(row["mean_area_um2"], found["area_um2"].mean())


def test_other_lengths_are_micrometres_too(session, viewer, image, made):
    micron = measure(session)["area_um2"].copy()
    made.units, made.scale = ("nm", "nm"), (500.0, 250.0)
    np.testing.assert_allclose(measure(session)["area_um2"], micron)


def test_files_have_what_the_table_has(session, made, tmp_path):
    found = measure(session)
    said = []
    session.measurements.done.connect(said.append)
    session.measurements.save_csv(tmp_path / "objects.csv")
    session.measurements.save_summary_csv(tmp_path / "summary.csv")
    session.wait()
    rows = read(tmp_path / "objects.csv")
    assert list(rows[0]) == list(found)
    assert [float(row["area_um2"]) for row in rows] == found["area_um2"].tolist()
    assert [float(row["score_mean"]) for row in rows] == found["score_mean"].tolist()
    assert said[0] == f"{len(rows)} objects saved to {tmp_path / 'objects.csv'}."
    summary = read(tmp_path / "summary.csv")
    assert int(summary[0]["objects"]) == len(rows)


def test_a_row_is_gone_to_and_its_label_selected(session, viewer, rng):
    stack = viewer.add_image(
        rng.normal(size=(3, 64, 96)), name="stack", scale=(2, 0.5, 0.5), units=("um",) * 3
    )
    session.all_planes = True
    session.add_query(stack, 20, 20)
    session.wait()
    session.results.labels(0.3)
    session.wait()
    found = measure(session)
    picked = []
    session.measurements.selected.connect(picked.append)
    row = len(found["label"]) - 1
    session.measurements.go_to(row)
    layer = labels_of(viewer, stack)
    assert picked == []  # it is known
    assert layer.selected_label == found["label"][row]
    assert viewer.dims.current_step[0] == found["plane"][row]
    np.testing.assert_allclose(
        viewer.scene.camera.center[-2:], (found["centroid_y_um"][row], found["centroid_x_um"][row])
    )
    layer.selected_label = int(found["label"][0])
    assert picked == [0]
    layer.selected_label = 0
    assert picked == [0]
    with pytest.raises(SimilarityError, match="no object"):
        session.measurements.go_to(row + 1)


def test_removed_labels_leave_the_table(session, viewer, image, made):
    measure(session)
    said = []
    session.measurements.changed.connect(lambda: said.append(len(session.measurements.table)))
    viewer.layers.remove(made)
    assert said[0] == 0
    assert len(session.measurements.summary) == 0


def test_without_its_image_an_object_has_its_shape(session, viewer, image, made):
    viewer.layers.remove(image)
    session.wait()
    found = measure(session)
    assert "intensity_mean" not in found
    assert found["area_px"].sum() == (np.asarray(made.data) > 0).sum()


# -- in the background ---------------------------------------------------------------------------


class Gate:
    """Stops the worker in the middle of a measurement."""

    def __init__(self, monkeypatch):
        self.entered, self.opened = threading.Event(), threading.Event()
        real = stacks.measure_objects

        def gated(pixels, check=None):
            self.entered.set()
            assert self.opened.wait(PATIENCE)
            return real(pixels, check)

        monkeypatch.setattr(stacks, "measure_objects", gated)


@pytest.fixture
def threaded(viewer, backbone):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    session.outline = "patches"
    yield session
    session.close()


@pytest.fixture
def threaded_labels(threaded, viewer, image):
    threaded.add_query(image, 40, 33)
    threaded.wait(PATIENCE)
    threaded.results.labels(0.3)
    threaded.wait(PATIENCE)
    return labels_of(viewer, image)


def test_a_layer_that_leaves_while_it_is_measured_has_no_rows(
    threaded, viewer, threaded_labels, monkeypatch
):
    gate = Gate(monkeypatch)
    threaded.measurements.measure()
    assert gate.entered.wait(PATIENCE)
    viewer.layers.remove(threaded_labels)
    gate.opened.set()
    threaded.wait(PATIENCE)
    assert len(threaded.measurements.table) == 0


def test_what_is_painted_while_it_is_measured_makes_it_old(threaded, threaded_labels, monkeypatch):
    gate = Gate(monkeypatch)
    threaded.measurements.measure()
    assert gate.entered.wait(PATIENCE)
    threaded_labels.data_setitem((np.array([0]), np.array([0])), 400)
    gate.opened.set()
    threaded.wait(PATIENCE)
    assert threaded.measurements.outdated
    threaded.measurements.measure()
    threaded.wait(PATIENCE)
    assert 400 in columns(threaded)["label"]


def test_it_is_cancelled_and_asked_again(threaded, threaded_labels, monkeypatch):
    gate = Gate(monkeypatch)
    threaded.measurements.measure()
    assert gate.entered.wait(PATIENCE)
    threaded.cancel()
    gate.opened.set()
    threaded.wait(PATIENCE)
    assert len(threaded.measurements.table) == 0
    threaded.measurements.measure()
    threaded.wait(PATIENCE)
    assert len(threaded.measurements.table)


def test_pixels_that_cannot_be_read_are_one_sentence(viewer, backbone, rng, made, session, image):
    measure(session)

    there = [True]

    def read_block(block):
        if not there[0]:
            raise OSError("the file has been deleted")
        return block

    image.data = da.zeros((96, 112), chunks=32).map_blocks(read_block, meta=np.empty((0, 0)))
    session.wait()
    there[0] = False
    failed = []
    session.failed.connect(failed.append)
    session.measurements.measure()
    with pytest.raises(SimilarityError):
        session.wait()
    assert failed
    assert session.measurements.outdated


def test_progress_is_told(viewer, backbone, image, monkeypatch):
    session = SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())
    session.outline = "patches"
    session.add_query(image, 40, 33)
    session.results.labels(0.3)
    told = []
    session.progressed.connect(told.append)
    measure(session)
    assert told[-1] is None
    assert "Measuring objects" in {one.description for one in told if one is not None}
    session.close()


def test_a_closed_session_hears_nothing(session, made):
    measure(session)
    said = []
    session.measurements.changed.connect(lambda: said.append(1))
    session.close()
    made.data_setitem((np.array([0]), np.array([0])), 400)
    made.selected_label = 1
    assert said == []

"""Measurements of objects, against sums over their pixels."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_dinov3_sim.core.errors import EmbeddingCancelled
from napari_dinov3_sim.core.objects import measure
from napari_dinov3_sim.core.objects.measure import (
    ArrayPart,
    LabelledPixels,
    Placement,
    measure_objects,
)


def measured(labels, channels=(), score=None, placement=None):
    """Measure whole arrays; channels are called a, b, c."""
    values = {name: ArrayPart(c) for name, c in zip("abc", channels, strict=False)}
    part = None if score is None else ArrayPart(score)
    return measure_objects(LabelledPixels(ArrayPart(labels), values, part, placement)).columns


def by_hand(labels, channels, score, spacing):
    """The same from the coordinates of the pixels of each object, one by one."""
    rows = []
    for label in np.unique(labels[labels > 0]):
        places = np.argwhere(labels == label)
        row = {"label": int(label)}
        size = "area" if labels.ndim == 2 else "volume"
        row[f"{size}_px"] = len(places)
        row[f"{size}_um{labels.ndim}"] = physical = len(places) * float(np.prod(spacing))
        for axis, name in enumerate("zyx"[-labels.ndim :]):
            row[f"centroid_{name}_px"] = places[:, axis].mean()
            row[f"centroid_{name}_um"] = (places[:, axis] * spacing[axis]).mean()
            row[f"bbox_min_{name}_px"] = places[:, axis].min()
            row[f"bbox_max_{name}_px"] = places[:, axis].max() + 1
        if labels.ndim == 2:
            row["equivalent_diameter_um"] = 2 * np.sqrt(physical / np.pi)
            spread = np.cov((places * spacing).T, bias=True).reshape(2, 2)
            small, large = np.linalg.eigvalsh(spread)
            row["eccentricity"] = np.sqrt(1 - max(small, 0) / large) if large > 1e-12 else 0.0
        else:
            row["equivalent_diameter_um"] = (6 * physical / np.pi) ** (1 / 3)
        for name, channel in [*zip("abc", channels, strict=False), ("score", score)]:
            inside = [float(channel[tuple(at)]) for at in places]
            inside = np.array([value for value in inside if np.isfinite(value)])
            for stat, what in (
                ("mean", np.mean),
                ("min", np.min),
                ("max", np.max),
                ("sd", np.std),
            ):
                if name != "score" or stat in ("mean", "max"):
                    row[f"{name}_{stat}"] = what(inside) if len(inside) else np.nan
        last = np.array(labels.shape) - 1
        row["touches_border"] = int(((places == 0) | (places == last)).any())
        rows.append(row)
    return rows


def same(columns, rows):
    assert len(columns["label"]) == len(rows)
    for at, row in enumerate(rows):
        for name, value in row.items():
            np.testing.assert_allclose(
                columns[name][at], value, rtol=1e-9, atol=1e-7, err_msg=name
            )


DTYPES = (np.uint8, np.int16, np.uint16, np.float32, np.float64, np.int32)


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    shape=hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9),
    dtype=st.sampled_from(DTYPES),
    label_dtype=st.sampled_from((np.uint8, np.int32, np.int64, np.uint64)),
)
def test_every_column_is_that_of_the_pixels(data, shape, dtype, label_dtype):
    labels = data.draw(hnp.arrays(label_dtype, shape, elements=st.sampled_from([0, 1, 2, 5, 90])))
    seed = data.draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    channel = (rng.random(shape) * 200).astype(dtype)
    score = rng.normal(size=shape).astype(np.float32)
    if np.issubdtype(dtype, np.floating):
        channel.flat[:: data.draw(st.integers(1, 4))] = np.nan
    spacing = data.draw(st.tuples(*[st.sampled_from((0.1, 0.325, 1.0, 2.5))] * len(shape)))
    columns = measured(labels, [channel], score, Placement.scaled(spacing))
    same(columns, by_hand(labels, [channel], score, spacing))


def test_a_rectangle_is_long_and_lies_where_it_is_in_the_world():
    labels = np.zeros((40, 60), int)
    labels[10:14, 5:35] = 3
    columns = measured(labels, placement=Placement.scaled((0.5, 0.5), (100.0, -20.0)))
    assert columns["area_um2"][0] == 120 * 0.25
    assert columns["centroid_y_um"][0] == 100 + 0.5 * 11.5
    assert columns["centroid_x_um"][0] == -20 + 0.5 * 19.5
    assert abs(columns["orientation_deg"][0]) == pytest.approx(90)  # across the rows
    assert columns["eccentricity"][0] > 0.98


def test_shapes_are_those_in_the_world_where_pixels_are_not_square():
    labels = np.zeros((60, 60), int)
    labels[10:20, 10:50] = 1  # in the world a square
    columns = measured(labels, placement=Placement.scaled((4.0, 1.0)))
    assert columns["eccentricity"][0] == pytest.approx(0.08, abs=0.05)
    assert measured(labels)["eccentricity"][0] > 0.95


def test_a_rotated_layer_has_the_lengths_of_its_pixels_and_a_sheared_one_their_area():
    labels = np.zeros((20, 20), int)
    labels[4:8, 4:10] = 1
    turn = np.deg2rad(30)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    turned = Placement(rotation @ np.diag([0.5, 2.0]), np.array([3.0, 4.0]))
    np.testing.assert_allclose(turned.spacing, (0.5, 2.0))
    columns = measured(labels, placement=turned)
    place = rotation @ np.array([5.5 * 0.5, 6.5 * 2.0]) + (3, 4)
    np.testing.assert_allclose((columns["centroid_y_um"][0], columns["centroid_x_um"][0]), place)
    sheared = Placement(np.array([[1.0, 0.0], [0.7, 1.0]]), np.zeros(2))
    assert measured(labels, placement=sheared)["area_um2"][0] == pytest.approx(24)
    assert measured(labels, placement=sheared)["equivalent_diameter_um"][0] == pytest.approx(
        2 * np.sqrt(24 / np.pi)
    )


def test_a_volume_has_no_column_that_only_planes_have():
    labels = np.zeros((4, 9, 9), int)
    labels[1:3, 2:5, 2:6] = 8
    columns = measured(labels, [labels], labels, Placement.scaled((2.0, 0.5, 0.25)))
    assert columns["volume_um3"][0] == 24 * 0.25
    assert not {"area_px", "eccentricity", "orientation_deg"} & set(columns)
    assert columns["touches_border"][0] == 0


def test_without_a_known_size_nothing_is_in_micrometres():
    columns = measured(np.eye(5, dtype=int))
    assert not [name for name in columns if "_um" in name]
    assert columns["equivalent_diameter_px"][0] == pytest.approx(2 * np.sqrt(5 / np.pi))


def test_no_labels_give_all_columns_and_no_rows():
    labels = np.zeros((7, 9), np.uint16)
    columns = measured(labels, [labels], labels, Placement.scaled((1.0, 1.0)))
    labels[2:5, 3:6] = 1
    filled = measured(labels, [labels], labels, Placement.scaled((1.0, 1.0)))
    assert list(columns) == list(filled)
    assert {len(column) for column in columns.values()} == {0}


def test_what_lies_beyond_the_image_or_is_not_finite_is_not_counted():
    labels = np.zeros((10, 10), int)
    labels[2:10, 2:10] = 1
    labels[8:, 8:] = 2
    channel = np.full((6, 7), 5.0)
    channel[3, 3], channel[3, 4] = np.nan, np.inf
    columns = measured(labels, [channel])
    assert columns["area_px"].tolist() == [60, 4]
    assert columns["a_mean"][0] == columns["a_max"][0] == 5
    assert np.isnan(columns["a_mean"][1])


def test_labels_may_be_any_number():
    labels = np.zeros((8, 8), np.int64)
    labels[:2, :2], labels[4:, 4:] = 2**40, -3
    assert measured(labels)["label"].tolist() == [2**40]


class Counting:
    """An array that notes how much of it is read at once."""

    def __init__(self, array):
        self.array, self.shape, self.most = array, array.shape, 0

    def __getitem__(self, key):
        found = self.array[key]
        self.most = max(self.most, found.size)
        return found


@pytest.mark.parametrize("lazy", [False, True])
def test_block_by_block_it_is_the_same_and_little_is_read_at_once(monkeypatch, lazy):
    rng = np.random.default_rng(1)
    labels = np.kron(rng.integers(0, 40, (12, 16)), np.ones((5, 5), int))
    image = rng.normal(size=labels.shape)
    spacing = Placement.scaled((0.5, 0.25))
    whole = measured(labels, [image], image, spacing)
    monkeypatch.setattr(measure, "MAX_PIXELS", 600)
    compact = np.where(labels < 4, 0, labels) if lazy else labels
    where = np.isin(whole["label"], compact)
    parts = [Counting(da.from_array(a, (20, 20)) if lazy else a) for a in (compact, image)]
    columns = measure_objects(
        LabelledPixels(ArrayPart(parts[0]), {"a": ArrayPart(parts[1])}, None, spacing)
    ).columns
    # Labels lie all over, so that all but the smallest are measured on some of their pixels.
    for name in ("label", "area_px", "area_um2", "bbox_min_y_px", "bbox_max_x_px"):
        np.testing.assert_array_equal(columns[name], whole[name][where])
    assert max(part.most for part in parts) <= 4 * 600


def test_neighbours_across_the_borders_of_blocks_are_exact(monkeypatch):
    rng = np.random.default_rng(2)
    cells = np.arange(1, 13 * 11 + 1).reshape(13, 11)
    labels = np.kron(rng.permutation(cells.ravel()).reshape(13, 11), np.ones((4, 6), int))
    image = rng.normal(size=labels.shape)
    whole = measured(labels, [image], image, Placement.scaled((1, 2)))
    monkeypatch.setattr(measure, "MAX_PIXELS", 130)
    parts = measured(labels, [image], image, Placement.scaled((1, 2)))
    for name, column in whole.items():
        np.testing.assert_allclose(parts[name], column, err_msg=name)


def test_of_a_huge_object_some_pixels_tell_its_shape(monkeypatch):
    yy, xx = np.mgrid[:300, :400]
    labels = (((yy - 150) / 100) ** 2 + ((xx - 200) / 180) ** 2 < 1).astype(int)
    image = (xx * 1.0).astype(np.float32)
    whole = measured(labels, [image], placement=Placement.scaled((1, 1)))
    monkeypatch.setattr(measure, "MAX_PIXELS", 1000)
    some = measured(labels, [image], placement=Placement.scaled((1, 1)))
    assert some["area_px"] == whole["area_px"]
    for name in ("centroid_y_px", "centroid_x_um", "eccentricity", "a_mean", "a_sd"):
        assert some[name][0] == pytest.approx(whole[name][0], rel=0.03)


def test_it_tells_how_far_it_is_and_stops_when_it_is_told(monkeypatch):
    monkeypatch.setattr(measure, "MAX_PIXELS", 64)
    labels = np.kron(np.arange(16).reshape(4, 4), np.ones((8, 8), int))
    seen = []
    pixels = LabelledPixels(ArrayPart(labels))
    measure_objects(pixels, lambda done, total: seen.append(done / total))
    assert seen == sorted(seen)
    assert seen[-1] == 1

    def stop(done, total):
        if done > total / 2:
            raise EmbeddingCancelled

    with pytest.raises(EmbeddingCancelled):
        measure_objects(pixels, stop)

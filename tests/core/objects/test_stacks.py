"""Stacks: planes and volumes, and where each object lies."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinov3_sim.core.objects.measure import ArrayPart, Placement
from napari_dinov3_sim.core.objects.stacks import LabelledStack, measure_stack

SCALE = (2.0, 0.5, 0.25)


def stack_of(labels, *, spatial=(0, 1, 2), axes=(1, 2), scale=SCALE, **more):
    return (
        LabelledStack(labels, axes, spatial=frozenset(spatial), **more)
        if scale is None
        else (
            LabelledStack(
                labels, axes, placement=Placement.scaled(scale), spatial=frozenset(spatial), **more
            )
        )
    )


@pytest.fixture
def planes():
    """Labels 1 and 2 on the first plane, 3 on the last."""
    labels = np.zeros((4, 8, 10), np.uint16)
    labels[0, 1:3, 1:3], labels[0, 5:8, 5:9], labels[3, 2:4, 2:7] = 1, 2, 3
    return labels


def test_objects_of_one_plane_each_are_areas_with_their_plane(planes):
    image = np.arange(planes.size, dtype=float).reshape(planes.shape)
    found = measure_stack(stack_of(planes, values={"a": ArrayPart(image)}))
    columns = found.table.columns
    assert (found.depth, found.planes) == (None, {(0,), (3,)})
    assert columns["plane"].tolist() == [0, 0, 3]
    assert columns["label"].tolist() == [1, 2, 3]
    assert columns["area_um2"].tolist() == [4 * 0.125, 12 * 0.125, 10 * 0.125]
    means = [image[planes == label].mean() for label in (1, 2, 3)]
    np.testing.assert_allclose(columns["a_mean"], means)


def test_a_label_on_several_planes_makes_volumes_of_all(planes):
    planes[1, 1:3, 1:3] = 1
    found = measure_stack(stack_of(planes))
    columns = found.table.columns
    assert found.depth == 0
    assert "plane" not in columns
    assert columns["volume_px"].tolist() == [8, 12, 10]
    assert columns["volume_um3"].tolist() == [8 * 0.25, 12 * 0.25, 10 * 0.25]
    assert columns["centroid_z_um"].tolist() == [1.0, 0.0, 6.0]
    by_plane = measure_stack(stack_of(planes), by_plane=True).table.columns
    assert by_plane["label"].tolist() == [1, 2, 1, 3]
    assert by_plane["plane"].tolist() == [0, 0, 1, 3]


def test_along_time_each_plane_has_a_row_of_its_own(planes):
    planes[1, 1:3, 1:3] = 1
    found = measure_stack(stack_of(planes, spatial=(1, 2)))
    assert found.depth is None
    assert found.table.columns["plane"].tolist() == [0, 0, 1, 3]


def test_volumes_of_a_series_have_their_time():
    labels = np.zeros((3, 4, 6, 6), int)
    labels[0, 1:3, 2:4, 2:4] = labels[2, 1:3, 2:4, 2:4] = 1
    found = measure_stack(
        stack_of(labels, axes=(2, 3), spatial=(1, 2, 3), scale=(1.0, 2.0, 0.5, 0.5))
    )
    assert found.depth == 1
    assert found.table.columns["plane"].tolist() == [0, 2]
    assert found.table.columns["volume_um3"].tolist() == [4.0, 4.0]


def test_planes_of_a_series_of_stacks_have_time_and_plane():
    labels = np.zeros((3, 4, 6, 6), int)
    labels[1, 2, 2:4, 2:4], labels[2, 3, 0, 0] = 1, 2
    columns = measure_stack(stack_of(labels, axes=(2, 3), spatial=(), scale=None)).table.columns
    assert list(columns)[:3] == ["time", "plane", "label"]
    assert columns["time"].tolist() == [1, 2]
    assert columns["plane"].tolist() == [2, 3]


def test_planes_may_be_seen_from_the_side():
    labels = np.zeros((6, 5, 8), int)
    labels[1:4, 2, 3:5] = 1
    found = measure_stack(stack_of(labels, axes=(0, 2)))
    columns = found.table.columns
    assert columns["plane"].tolist() == [2]
    assert columns["area_um2"].tolist() == [6 * 2.0 * 0.25]
    assert columns["centroid_y_um"].tolist() == [4.0]


def test_colours_are_channels_with_one_axis_more():
    labels = np.zeros((2, 6, 6), int)
    labels[1, 2:4, 2:4] = 1
    rgb = np.random.default_rng(0).integers(0, 255, (2, 6, 6, 3), np.uint8)
    green = ArrayPart(rgb, (slice(None), slice(None), slice(None), 1))
    columns = measure_stack(stack_of(labels, values={"green": green})).table.columns
    assert columns["green_mean"][0] == rgb[1, 2:4, 2:4, 1].mean()


@pytest.mark.parametrize("shape", [(8, 9), (3, 8, 9)])
def test_nothing_is_a_table_without_rows(shape):
    found = measure_stack(
        stack_of(np.zeros(shape, int), axes=(len(shape) - 2, len(shape) - 1), scale=None)
    )
    assert len(found.table) == 0
    assert "area_px" in found.table.columns
    assert found.planes == frozenset()


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["t", "y", "x"], ["time"]),
        (["Time", "z", "y", "x"], ["time", "plane"]),
        (["z", "frame", "y", "x"], ["plane", "time"]),
        (["s", "t", "z", "y", "x"], ["axis_0", "time", "plane"]),
        (["z", "y", "x"], ["plane"]),
    ],
)
def test_the_column_of_an_axis_that_is_called_a_time_is_time(names, columns):
    labels = np.zeros((3,) * (len(names) - 2) + (6, 6), int)
    index = tuple(range(len(columns)))
    labels[index][2:4, 2:4] = 1
    axes = (labels.ndim - 2, labels.ndim - 1)
    stack = stack_of(labels, axes=axes, spatial=(), scale=None, names=tuple(names))
    found = measure_stack(stack).table.columns
    assert list(found)[: len(columns) + 1] == [*columns, "label"]
    assert tuple(int(found[name][0]) for name in columns) == index

"""Objects through planes against a labelling of the whole volume."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_dinov3_sim.core.objects.depth import connect_planes, number_through


def planes_of(found):
    """The planes of a volume, each labelled by itself."""
    eight = np.ones((3, 3))
    return {
        at: ndimage.label(found[at], eight)[0].astype(np.int32)
        for at in np.ndindex(found.shape[:-2])
    }


def test_objects_are_numbered_through_planes():
    found = np.random.default_rng(0).random((3, 20, 20)) > 0.8
    planes = planes_of(found)
    numbered, count = number_through(planes)
    numbers = [np.unique(one[one > 0]) for one in numbered.values()]
    np.testing.assert_array_equal(np.concatenate(numbers), np.arange(1, count + 1))


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_objects_are_those_of_the_volume(axes):
    found = np.random.default_rng(0).random((3, 4, 15, 15)) > 0.7
    near = np.zeros((3, 3, 3, 3), bool)
    near[1, 1] = True
    for axis in axes:
        centre = [1, 1, 1, 1]
        for step in (0, 2):
            centre[axis] = step
            near[tuple(centre)] = True
    expected, count = ndimage.label(found, near)
    connected, number = connect_planes(planes_of(found), axes)
    assert number == count
    ours = np.stack([np.stack([connected[t, z] for z in range(4)]) for t in range(3)])
    np.testing.assert_array_equal(ours, expected)


def test_planes_that_are_not_there_connect_nothing():
    plane = np.ones((2, 2), np.int32)
    connected, count = connect_planes({(2,): plane, (0,): plane}, [0])
    assert count == 2
    assert [int(one.max()) for _, one in sorted(connected.items())] == [1, 2]
    assert connect_planes({(): plane}, [])[1] == 1

"""Which level of a pyramid is embedded, and where a pixel lies in another level."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.core.images import levels
from napari_dinov3_sim.core.images.levels import (
    coordinate_in_level,
    embedded_level,
    embedded_position,
    pixel_in_level,
)

relaxed = settings(deadline=None, max_examples=60)
sizes = st.integers(1, 500)


def under_the_centre(pixel: int, size: int, level_size: int) -> int:
    return math.floor((Fraction(pixel) + Fraction(1, 2)) * level_size / size)


@relaxed
@given(sizes, sizes)
@example(29, 28)
def test_the_pixel_over_the_centre_exactly(size, level_size):
    expected = [under_the_centre(pixel, size, level_size) for pixel in range(size)]
    assert [pixel_in_level(pixel, size, level_size) for pixel in range(size)] == expected
    found = pixel_in_level(np.arange(size), size, level_size)
    assert found.tolist() == expected
    assert found.dtype.kind == "i"
    assert found.min() >= 0
    assert found.max() < level_size


@relaxed
@given(st.integers(1, 2000))
def test_in_a_level_of_the_same_size_it_is_the_pixel_itself(size):
    assert pixel_in_level(np.arange(size), size, size).tolist() == list(range(size))


@relaxed
@given(st.integers(1, 200), st.integers(1, 9))
def test_pixels_of_a_finer_level_fall_into_those_of_the_coarse_one(coarse, factor):
    found = pixel_in_level(np.arange(coarse * factor), coarse * factor, coarse)
    assert found.tolist() == np.repeat(np.arange(coarse), factor).tolist()


def test_long_axes_do_not_overflow():
    last = np.array([2**17 - 1])
    assert pixel_in_level(last, 2**17, 2**40)[0] == ((2 * 2**17 - 1) * 2**40) // 2**18


@relaxed
@given(st.lists(st.tuples(sizes, sizes, st.integers(0, 499)), max_size=3))
def test_the_plane_of_the_embedded_level_along_each_axis(axes):
    full, leading = ([axis[number] for axis in axes] for number in (0, 1))
    position = [at % size for size, _, at in axes]
    expected = map(under_the_centre, position, full, leading)
    assert embedded_position(tuple(position), tuple(full), tuple(leading)) == tuple(expected)


@relaxed
@given(sizes, sizes, st.integers(0, 499))
def test_a_coordinate_is_that_of_the_same_place(size, level_size, pixel):
    """Corners lie on corners: both levels cover the same length."""
    ratio = level_size / size
    assert coordinate_in_level(-0.5, ratio) == -0.5
    assert coordinate_in_level(size - 0.5, ratio) == pytest.approx(level_size - 0.5)
    there = coordinate_in_level(float(pixel), ratio)
    assert coordinate_in_level(there, 1 / ratio) == pytest.approx(pixel, abs=1e-9)


@relaxed
@given(st.lists(st.tuples(sizes, sizes, sizes), min_size=1, max_size=5), st.integers(1, 10**5))
def test_the_finest_level_that_fits_else_the_coarsest(shapes, limit):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(levels, "MAX_LEVEL_PIXELS", limit)
        for axes in ((-2, -1), (0, 2)):
            found = embedded_level(shapes, axes)
            areas = [shape[axes[0]] * shape[axes[1]] for shape in shapes]
            assert all(area > limit for area in areas[:found])
            assert areas[found] <= limit or found == len(shapes) - 1

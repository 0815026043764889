"""The patch grid: sizes, pixel to patch index, and back."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.core.errors import ImageError, PointError
from napari_dinov3_sim.core.geometry import (
    PatchGrid,
    convert_pixel_coordinates_to_patch_index,
    pixel_from_coordinate,
)

relaxed = settings(deadline=None, max_examples=60)
lengths = st.integers(1, 200)
patch_sizes = st.integers(1, 40)
grids = st.builds(PatchGrid, st.tuples(lengths, lengths), patch_sizes)


@relaxed
@given(grids)
@example(PatchGrid((16, 17), 16))
@example(PatchGrid((15, 1), 16))
def test_rows_columns_and_padded_shape(grid):
    (height, width), side = grid.image_shape, grid.patch_size
    assert grid.rows == math.ceil(Fraction(height, side))
    assert grid.columns == math.ceil(Fraction(width, side))
    assert grid.shape == (grid.rows, grid.columns)
    assert grid.padded_shape == (grid.rows * side, grid.columns * side)
    assert 0 <= grid.padded_shape[0] - height < side
    assert 0 <= grid.padded_shape[1] - width < side
    assert len(grid) == grid.rows * grid.columns


def test_sizes_written_out():
    grid = PatchGrid((100, 75), 16)
    assert grid.shape == (7, 5)
    assert grid.padded_shape == (112, 80)
    assert len(grid) == 35


@relaxed
@given(grids)
def test_patch_indices_are_a_row_major_bijection(grid):
    """The first pixel of each patch, and its last in the image, give its index; each once."""
    (height, width), side = grid.image_shape, grid.patch_size
    found = []
    for top in range(0, height, side):
        for left in range(0, width, side):
            last_x, last_y = min(left + side, width) - 1, min(top + side, height) - 1
            index = convert_pixel_coordinates_to_patch_index(left, top, grid)
            assert convert_pixel_coordinates_to_patch_index(last_x, last_y, grid) == index
            found.append(index)
    assert found == list(range(len(grid)))


@relaxed
@given(grids, st.data())
def test_patch_index_of_any_pixel(grid, data):
    height, width = grid.image_shape
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    row = Fraction(y, grid.patch_size).__floor__()
    column = Fraction(x, grid.patch_size).__floor__()
    index = convert_pixel_coordinates_to_patch_index(x, y, grid)
    assert isinstance(index, int)
    assert index == row * grid.columns + column
    # Between the pixels too: (x + 0.75) is still over pixel x counted from its left edge.
    assert convert_pixel_coordinates_to_patch_index(x + 0.75, y + 0.75, grid) == index


def test_patch_index_written_out():
    grid = PatchGrid((100, 75), 16)
    assert convert_pixel_coordinates_to_patch_index(0, 0, grid) == 0
    assert convert_pixel_coordinates_to_patch_index(15, 15, grid) == 0
    assert convert_pixel_coordinates_to_patch_index(16, 0, grid) == 1
    assert convert_pixel_coordinates_to_patch_index(0, 16, grid) == 5
    assert convert_pixel_coordinates_to_patch_index(74, 99, grid) == 34


@relaxed
@given(grids, st.data())
def test_points_outside_are_refused_by_range(grid, data):
    height, width = grid.image_shape
    inside_x, inside_y = st.integers(0, width - 1), st.integers(0, height - 1)
    below = st.integers(-500, -1) | st.floats(-1e6, -1e-6) | st.just(-math.inf)
    x, y = data.draw(
        st.tuples(below | st.integers(width, width + 500) | st.just(math.inf), inside_y)
        | st.tuples(inside_x, below | st.integers(height, height + 500) | st.just(math.inf))
        | st.tuples(st.just(math.nan), inside_y)
        | st.tuples(inside_x, st.just(math.nan))
    )
    assert not grid.contains(x, y)
    with pytest.raises(PointError) as caught:
        convert_pixel_coordinates_to_patch_index(x, y, grid)
    message = str(caught.value)
    assert f"x from 0 to {width - 1}" in message
    assert f"y from 0 to {height - 1}" in message
    assert f"{width} × {height}" in message


@relaxed
@given(grids, st.floats(-10, 250), st.floats(-10, 250))
def test_contains_is_the_half_open_image(grid, x, y):
    height, width = grid.image_shape
    assert grid.contains(x, y) is (0 <= x < width and 0 <= y < height)


def test_points_in_the_padding_are_outside():
    with pytest.raises(PointError):
        convert_pixel_coordinates_to_patch_index(17, 0, PatchGrid((16, 17), 16))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (-1, 5)])
def test_an_image_without_pixels_has_no_grid(shape):
    with pytest.raises(ImageError, match="no pixels"):
        PatchGrid(shape, 16)


@pytest.mark.parametrize("side", [0, -16])
def test_a_patch_has_pixels(side):
    with pytest.raises(ImageError, match="patch size"):
        PatchGrid((5, 5), side)


@pytest.mark.parametrize(
    ("coordinate", "pixel"),
    [
        (0, 0),
        (0.49, 0),
        (0.5, 1),
        (1.5, 2),
        (2.5, 3),
        (-0.49, 0),
        (-0.5, 0),
        (-0.51, -1),
        (-1.5, -1),
        (-1.51, -2),
        (1e9, 10**9),
    ],
)
def test_pixel_from_coordinate_written_out(coordinate, pixel):
    found = pixel_from_coordinate(coordinate)
    assert found == pixel
    assert isinstance(found, int)


@relaxed
@given(st.integers(-(10**6), 10**6), st.integers(0, 255))
def test_pixel_i_covers_half_a_pixel_to_each_side(pixel, step):
    offset = step / 256 - 0.5  # exact in binary, from -0.5 to just under 0.5
    assert pixel_from_coordinate(pixel + offset) == pixel
    assert pixel_from_coordinate(np.float64(pixel + offset)) == pixel

"""The array computed on demand against the plain upsampled map, index by index."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.search.similarity import SimilarityMap
from napari_dinov3_sim.session.images.patch_array import (
    NOT_COMPUTED,
    PatchwiseArray,
    create_layer_data,
    pyramid_shapes,
)
from napari_dinov3_sim.session.images.planes import LayerAxes


def similarity(height, width, seed=0):
    grid = PatchGrid((height, width), 16)
    values = np.random.default_rng(seed).uniform(-0.9, 1, grid.shape).astype(np.float32)
    return SimilarityMap(values, grid)


def flat_layer(height, width):
    found = similarity(height, width)
    layer = LayerAxes("id", 0, (0, 1))
    return create_layer_data({(): found.cosine}, found.grid, layer, (height, width))


def index(draw, size):
    class_name = draw(st.sampled_from(["int", "slice", "all", "array"]))
    if class_name == "int":
        return draw(st.integers(-size, size - 1))
    if class_name == "slice":
        return slice(
            draw(st.none() | st.integers(-size, size)),
            draw(st.none() | st.integers(-size, size)),
            draw(st.sampled_from([None, 1, 2, -1])),
        )
    return slice(None) if class_name == "all" else np.arange(size)[:: draw(st.integers(1, 3))]


@st.composite
def cases(draw):
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 50), st.integers(1, 50)))
    axes = draw(st.sampled_from([(1, 2), (0, 2), (0, 1)]))
    other = ({0, 1, 2} - set(axes)).pop()
    at = draw(st.integers(0, shape[other] - 1))
    keys = [index(draw, size) for size in shape[: draw(st.integers(1, 3))]]
    arrays = [i for i, key in enumerate(keys) if isinstance(key, np.ndarray)]
    for i in arrays[1:]:  # several index arrays would be fancy indexing, not an outer product
        keys[i] = slice(None)
    if any(isinstance(key, int) for key in keys):
        keys = [slice(None) if isinstance(key, np.ndarray) else key for key in keys]
    return shape, axes, other, at, tuple(keys)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_indexing_equals_indexing_the_whole(case):
    shape, axes, other, at, key = case
    values = similarity(shape[axes[0]], shape[axes[1]])
    whole = np.full(shape, NOT_COMPUTED, np.float32)
    where = [slice(None)] * 3
    where[other] = at
    whole[tuple(where)] = values.full_resolution()
    lazy = PatchwiseArray(shape, shape, axes, values.grid, {(at,): values.cosine})
    np.testing.assert_array_equal(np.asarray(lazy), whole)
    np.testing.assert_array_equal(lazy[key], whole[key])
    np.testing.assert_array_equal(lazy[..., 0], whole[..., 0])
    np.testing.assert_array_equal(lazy[np.isfinite(whole)], whole[np.isfinite(whole)])


@pytest.mark.parametrize("shape", [(100, 100), (2048, 2048), (2049, 100), (10_000, 7_001)])
def test_a_pyramid_halves_until_a_level_is_small(shape):
    shapes = pyramid_shapes(shape, (0, 1))
    assert shapes[0] == shape
    assert max(shapes[-1]) <= 2048
    assert all(max(level) > 2048 for level in shapes[:-1])


def test_every_level_shows_the_pixel_at_its_centre():
    shape = (5000, 4100)
    data = flat_layer(*shape)
    assert data.multiscale
    full, coarse = data.data[0], data.data[-1]
    assert full.shape == shape
    assert isinstance(full, PatchwiseArray), "no full-size copy"
    factor = np.array(shape) / coarse.shape
    for cell in [(0, 0), (17, 900), (coarse.shape[0] - 1, coarse.shape[1] - 1)]:
        row, column = np.floor((np.array(cell) + 0.5) * factor).astype(int)
        assert coarse[cell] == full[int(row), int(column)]
    assert full[4999, 4099] == similarity(*shape).cosine[-1, -1]


def test_small_heatmaps_are_plain_arrays():
    data = flat_layer(33, 40)
    assert type(data.data) is np.ndarray
    assert not data.multiscale


# -- smooth ----------------------------------------------------------------------------------


def smooth_array(height, width, patch_size, level=None, seed=0):
    """A smooth array of one level, and the values per patch."""
    grid = PatchGrid((height, width), patch_size)
    values = np.random.default_rng(seed).uniform(-0.9, 1, grid.shape).astype(np.float32)
    full = (height, width)
    return PatchwiseArray(level or full, full, (0, 1), grid, {(): values}, smooth=True), values


def test_smooth_has_the_scores_in_the_centres_of_patches():
    array, values = smooth_array(45, 60, 15)
    np.testing.assert_allclose(array[7::15, 7::15], values, atol=1e-6)


@pytest.mark.parametrize(("height", "width", "size"), [(64, 96, 16), (50, 33, 15), (16, 70, 16)])
def test_smooth_is_bilinear_between_centres_and_constant_beyond(height, width, size):
    from scipy.ndimage import map_coordinates

    array, values = smooth_array(height, width, size)
    places = np.indices((height, width)).astype(float)
    wanted = map_coordinates(
        values.astype(float), (places + 0.5) / size - 0.5, order=1, mode="nearest"
    )
    np.testing.assert_allclose(np.asarray(array), wanted, atol=1e-5)
    np.testing.assert_array_equal(array[3:9, ::2], np.asarray(array)[3:9, ::2])
    np.testing.assert_array_equal(array[5], np.asarray(array)[5])


def test_a_smooth_level_of_a_pyramid_lies_where_the_full_one_does():
    full, values = smooth_array(256, 512, 16)
    half = PatchwiseArray((128, 256), (256, 512), (0, 1), full.grid, {(): values}, smooth=True)
    binned = np.asarray(full).reshape(128, 2, 256, 2).mean((1, 3))
    inside = np.s_[8:-8, 8:-8]
    # The level shows full pixels, so it may be half of one aside; a patch has 16.
    assert np.abs(np.asarray(half) - binned)[inside].max() < 0.1


def test_planes_without_scores_stay_empty_when_smooth():
    grid = PatchGrid((32, 32), 16)
    values = np.arange(4, dtype=np.float32).reshape(grid.shape)
    shape = (3, 32, 32)
    array = PatchwiseArray(shape, shape, (1, 2), grid, {(1,): values}, smooth=True)
    assert np.isnan(array[0]).all()
    assert array[1, 0, 0] == 0
    assert array[1, 31, 31] == 3
    assert np.isnan(np.asarray(array)[2]).all()


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([4, 16]),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_as_few_elements_as_borders_allow_stand_for_all_pixels(shape, coarser, patch, stack):
    """Also where a level of the image was embedded that has fewer pixels."""
    embedded = tuple(max(1, size // coarser) for size in shape)
    grid = PatchGrid(embedded, patch)
    values = np.random.default_rng(0).uniform(-1, 1, grid.shape).astype(np.float32)
    full, axes, at = (shape, (0, 1), ()) if not stack else ((3, *shape), (1, 2), (1,))
    layer = LayerAxes("id", 0, axes)
    every = create_layer_data({at: values}, grid, layer, full)
    few = create_layer_data({at: values}, grid, layer, full, by_pixel=False)
    spread = few.data
    for axis, length in enumerate(few.step):
        spread = np.repeat(spread, length, axis)
    np.testing.assert_array_equal(spread, every.data)
    for axis, size, part in zip(axes, shape, embedded, strict=True):
        elements = few.data.shape[axis]
        if part % patch == 0 and size % part == 0:
            assert elements == part // patch
        assert elements <= size


def test_the_elements_of_common_sizes():
    for size, elements in {1024: 64, 1000: 125, 1040: 65, 1388: 347, 1001: 1001}.items():
        grid = PatchGrid((size, 64), 16)
        values = {(): np.zeros(grid.shape, np.float32)}
        layer = LayerAxes("id", 0, (0, 1))
        data = create_layer_data(values, grid, layer, (size, 64), by_pixel=False)
        assert data.data.shape == (elements, 4)


def test_every_pixel_has_its_value_in_three_dimensions_and_where_it_is_smooth():
    grid = PatchGrid((64, 48), 16)
    values = {(z,): np.full(grid.shape, z, np.float32) for z in range(2)}
    layer = LayerAxes("id", 0, (1, 2))
    few = create_layer_data(values, grid, layer, (2, 64, 48), by_pixel=False)
    assert (few.in_view(2), few.step) == (few, (1, 16, 16))
    whole = few.in_view(3)
    assert (whole.data.shape, whole.step) == ((2, 64, 48), ())
    assert whole.in_view(3) is whole
    smooth = create_layer_data(values, grid, layer, (2, 64, 48), smooth=True, by_pixel=False)
    assert (smooth.data.shape, smooth.step) == ((2, 64, 48), ())

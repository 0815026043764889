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

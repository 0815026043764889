"""Coverage by slow loops over pixels; vectors by the plain weighted mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from napari_dinov3_sim.core.errors import ImageError, PointError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.search import regions
from napari_dinov3_sim.core.search.regions import (
    coverage_of_mask,
    coverage_of_polygon,
    label_coverages,
    label_shares,
    patch_areas,
    region_vector,
)

from .. import reference
from ..states import random_state

relaxed = settings(deadline=None, max_examples=60)
grids = st.builds(PatchGrid, st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(1, 17))


def slow_coverage(mask, grid):
    shares = []
    for row in range(grid.rows):
        for column in range(grid.columns):
            y, x = row * grid.patch_size, column * grid.patch_size
            part = mask[y : y + grid.patch_size, x : x + grid.patch_size]
            shares.append(part.sum() / part.size)
    return np.array(shares)


@relaxed
@given(grids, st.integers(0, 99))
def test_coverage_is_the_share_of_the_unpadded_pixels(grid, seed):
    mask = np.random.default_rng(seed).random(grid.image_shape) < 0.4
    found = coverage_of_mask(mask, grid)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow_coverage(mask, grid), atol=1e-6)
    assert patch_areas(grid).sum() == mask.size


@relaxed
@given(grids, st.integers(0, 99))
def test_labels_are_each_label_alone(grid, seed):
    labels = np.random.default_rng(seed).integers(-1, 5, grid.image_shape) * 1000
    found = label_coverages(labels, grid)
    assert list(found) == sorted(set(np.unique(labels[labels > 0]).tolist()))
    for number, coverage in found.items():
        np.testing.assert_array_equal(coverage, coverage_of_mask(labels == number, grid))


def test_no_label_gives_no_region():
    assert label_coverages(np.zeros((5, 5), np.uint8), PatchGrid((5, 5), 4)) == {}


@pytest.mark.slow
def test_hundreds_of_labels_in_one_pass():
    y, x = np.mgrid[:2048, :2048]
    labels = (y // 100 * 21 + x // 100 + 1).astype(np.uint16)
    found = label_coverages(labels, PatchGrid((2048, 2048), 16))
    assert len(found) == 21 * 21
    np.testing.assert_allclose(sum(found.values()), 1, atol=1e-5)


# --- polygons -----------------------------------------------------------------------------------

coordinates = st.floats(-30, 60).map(lambda v: round(v, 3) + 0.0001)
"""Not through pixel centres, where every library decides in its own way."""


def passes_through_a_centre(corners, shape):
    """Whether a side comes so near to the centre of a pixel that rounding decides."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    centres = np.stack([x.ravel(), y.ravel()], 1)[:, np.newaxis].astype(float)
    sides = np.roll(corners, -1, axis=0) - corners
    lengths = np.maximum((sides**2).sum(1), 1e-12)
    along = np.clip(((centres - corners) * sides).sum(2) / lengths, 0, 1)
    nearest = corners + along[..., np.newaxis] * sides
    return bool((np.hypot(*(centres - nearest).transpose(2, 0, 1)) < 1e-6).any())


@relaxed
@given(grids, st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=7))
def test_polygons_are_those_of_scikit_image(grid, vertices):
    corners = np.array(vertices)
    assume(not passes_through_a_centre(corners, grid.image_shape))
    inside = polygon2mask(grid.image_shape, corners[:, ::-1])
    found = coverage_of_polygon(vertices, grid)
    if regions._is_thin(corners):
        assert (found >= slow_coverage(inside, grid) - 1e-6).all()
    else:
        np.testing.assert_allclose(found, slow_coverage(inside, grid), atol=1e-6)


def test_a_rectangle_between_pixel_centres_is_exact():
    mask = np.zeros((50, 70), bool)
    mask[3:31, 10:45] = True
    vertices = [(9.5, 2.5), (44.5, 2.5), (44.5, 30.5), (9.5, 30.5)]
    grid = PatchGrid((50, 70), 16)
    np.testing.assert_array_equal(
        coverage_of_polygon(vertices, grid), coverage_of_mask(mask, grid)
    )
    around = [(-99, -99), (999, -99), (999, 999), (-99, 999)]
    assert (coverage_of_polygon(around, grid) == 1).all()


def test_neighbouring_polygons_share_no_pixel():
    """Corners on pixel centres: each centre on a common side belongs to one of the two."""
    grid = PatchGrid((20, 20), 1)
    left = coverage_of_polygon([(2, 3), (9, 3), (12, 15), (2, 15)], grid)
    right = coverage_of_polygon([(9, 3), (17, 3), (17, 15), (12, 15)], grid)
    whole = coverage_of_polygon([(2, 3), (17, 3), (17, 15), (2, 15)], grid)
    np.testing.assert_array_equal(left + right, whole)
    assert whole.sum() == 15 * 12


@pytest.mark.parametrize(
    ("vertices", "patches"),
    [
        ([(20.3, 5.2)], [1]),
        ([(20.3, 5.2), (20.4, 5.2), (20.4, 5.3)], [1]),
        ([(3, 5), (44, 5)], [0, 1, 2]),
        ([(5, 3), (5, 40)], [0, 3]),
        ([(3, 3), (44, 30)], [0, 1, 4, 5]),
        ([(3, 5.4), (44, 5.4), (44, 5.45), (3, 5.45)], [0, 1, 2]),
        ([(-50, 5), (20, 5)], [0, 1]),
    ],
    ids=["point", "speck", "across", "down", "oblique", "sliver", "partly outside"],
)
def test_what_is_thinner_than_a_pixel_gives_the_patches_under_it(vertices, patches):
    found = coverage_of_polygon(vertices, PatchGrid((32, 48), 16))
    assert np.flatnonzero(found).tolist() == patches


def test_a_tall_image_is_drawn_in_strips_without_a_seam(monkeypatch):
    grid = PatchGrid((90, 40), 8)
    vertices = [(3.2, 1.1), (38.7, 44.3), (11.9, 88.8), (0.4, 60)]
    whole = coverage_of_polygon(vertices, grid)
    monkeypatch.setattr(regions, "STRIP", 16)
    np.testing.assert_array_equal(coverage_of_polygon(vertices, grid), whole)


@pytest.mark.parametrize("vertices", [[], [(0, 0), (np.nan, 1), (2, 2)], [(np.inf, 0)]])
def test_a_polygon_without_place_is_refused(vertices):
    with pytest.raises(PointError, match="draw it again"):
        coverage_of_polygon(vertices, PatchGrid((9, 9), 4))


def test_what_has_not_the_shape_of_the_image_is_refused():
    for call in (coverage_of_mask, label_coverages):
        with pytest.raises(ImageError, match=r"shape \(4, 5\) does not fit"):
            call(np.ones((4, 5), int), PatchGrid((5, 4), 2))


# --- the vector ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_vector_is_the_mean_weighted_by_coverage(dtype):
    state = random_state(seed=1, dtype=dtype)
    weights = np.random.default_rng(0).random(len(state.grid)) * (np.arange(len(state.grid)) % 3)
    vectors = state.embeddings_normalized.double().numpy()
    expected = reference.l2_normalize((weights[:, None] * vectors).sum(0) / weights.sum())
    found = region_vector(state, weights.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_one_patch_gives_its_own_vector():
    state = random_state(seed=2)
    found = region_vector(state, coverage_of_polygon([(5, 9)], state.grid))
    np.testing.assert_allclose(found, state.embeddings_normalized[2 * 8 + 1], atol=1e-6)


def test_a_region_outside_the_image_is_refused():
    state = random_state()
    outside = coverage_of_polygon([(-9, -9), (-2, -9), (-2, -3)], state.grid)
    with pytest.raises(PointError, match="covers no part of the image; draw it over the image"):
        region_vector(state, outside)


@pytest.mark.parametrize("most", [2**24, 0])
def test_shares_are_the_coverages_of_labels(most, monkeypatch):
    monkeypatch.setattr(regions, "COUNTED", most)
    rng, grid = np.random.default_rng(0), PatchGrid((50, 70), 16)
    labels = rng.integers(-1, 5, (50, 70)) * 1000
    found = {number: (patches, shares) for number, patches, shares in label_shares(labels, grid)}
    expected = label_coverages(labels, grid)
    assert list(found) == list(expected)
    for number, coverage in expected.items():
        patches, shares = found[number]
        assert np.array_equal(patches, np.flatnonzero(coverage))
        assert np.array_equal(shares, coverage[patches])


@pytest.mark.slow
def test_ten_thousand_labels_take_little_memory():
    """A table of all labels and all patches would have 5 GB."""
    import tracemalloc

    grid = PatchGrid((2048, 2048), 8)
    labels = np.kron(np.arange(1, 10_001).reshape(100, 100), np.ones((20, 20), int))
    labels = np.pad(labels, ((0, 48), (0, 48)))
    tracemalloc.start()
    try:
        count = sum(1 for _ in label_shares(labels, grid))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 10_000
    assert peak < 600e6

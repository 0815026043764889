"""Otsu, histograms and objects, on maps small enough to think."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.core.search.similarity import upsample_nearest
from napari_dinov3_sim.core.search.thresholds import histogram, otsu_threshold, threshold_labels

from ..states import map_of


def test_scores_that_differ_by_rounding_alone_have_no_two_classes():
    noise = np.float32(0.5) + np.arange(64, dtype=np.float32).reshape(8, 8) * np.float32(6e-8)
    assert otsu_threshold([map_of(noise)]) == pytest.approx(0.5, abs=1e-6)


def test_otsu_parts_two_humps_over_all_maps():
    rng = np.random.default_rng(0)
    low, high = rng.normal(0.1, 0.03, (20, 20)), rng.normal(0.7, 0.03, (9, 9))
    found = otsu_threshold([map_of(low), map_of(high)])
    assert np.percentile(low, 99) < found < high.min()


def test_otsu_is_where_the_variances_within_are_least():
    values = np.random.default_rng(1).random((16, 16)).astype(np.float32) ** 3
    found = otsu_threshold([map_of(values)])

    def within(threshold):
        parts = values[values <= threshold], values[values > threshold]
        return sum(part.var() * part.size for part in parts)

    best = min(within(t) for t in np.linspace(values.min(), values.max(), 400)[1:-1])
    assert within(found) == pytest.approx(best, rel=0.01)


@pytest.mark.parametrize("shape", [(1, 1), (3, 4)])
def test_of_a_constant_map_otsu_is_its_score(shape):
    constant = map_of(np.full(shape, 0.3))
    assert otsu_threshold([constant]) == np.float32(0.3)
    assert (threshold_labels(constant, otsu_threshold([constant])) == 1).all()


def test_the_histogram_counts_every_patch_once():
    maps = [map_of([[0.0, 0.1], [0.2, 1.0]]), map_of([[0.55]])]
    counts, edges = histogram(maps, bins=10)
    assert edges == pytest.approx(np.linspace(0, 1, 11))
    assert counts.tolist() == [1, 1, 1, 0, 0, 1, 0, 0, 0, 1]
    counts, edges = histogram(maps, bins=2, limits=(-1, 0.5))
    assert (counts.tolist(), edges.tolist()) == ([0, 3], [-1, -0.25, 0.5])
    assert histogram([map_of([[0.4]])])[0].sum() == 1


def test_objects_touch_at_sides_and_corners_and_are_numbered_in_reading_order():
    scores = [[0, 0, 0.9, 0], [0.8, 0, 0, 0.5], [0, 0.7, 0, 0], [0, 0, 0, 0.6]]
    found = threshold_labels(map_of(scores), 0.5)
    assert found.dtype == np.int32
    assert found.tolist() == [[0, 0, 1, 0], [2, 0, 0, 1], [0, 2, 0, 0], [0, 0, 0, 3]]


def test_areas_are_in_pixels_of_the_image_and_what_is_left_is_numbered_anew():
    # Patches of 4 × 4; of the last column one pixel is inside, of the last row three.
    one = map_of([[1, 0, 1], [0, 0, 0], [1, 1, 0]], cut=(1, 3))
    assert threshold_labels(one, 0.5, 4).tolist() == [[1, 0, 2], [0, 0, 0], [3, 3, 0]]
    assert threshold_labels(one, 0.5, 5).tolist() == [[1, 0, 0], [0, 0, 0], [2, 2, 0]]
    assert threshold_labels(one, 0.5, 24).tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 0]]
    assert not threshold_labels(one, 0.5, 25).any()
    full = upsample_nearest(threshold_labels(one, 0.5, 24), one.grid)
    assert (full.shape, full.dtype, (full == 1).sum()) == ((11, 9), np.int32, 24)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 7), st.integers(1, 7), st.floats(-1, 1), st.integers(0, 60))
def test_objects_are_those_of_a_flood_fill(rows, columns, threshold, min_area):
    rng = np.random.default_rng(rows * 8 + columns)
    one = map_of(rng.uniform(-1, 1, (rows, columns)), cut=(1, 2))
    above = one.cosine >= np.float32(threshold)
    found = threshold_labels(one, threshold, min_area)
    seen, number = np.zeros(above.shape, bool), 0
    for start in zip(*np.nonzero(above), strict=True):
        if seen[start]:
            continue
        todo, patches = [start], set()
        while todo:
            y, x = todo.pop()
            if 0 <= y < rows and 0 <= x < columns and above[y, x] and (y, x) not in patches:
                patches.add((y, x))
                todo += [(y + j, x + i) for j in (-1, 0, 1) for i in (-1, 0, 1)]
        area = sum((4 - (y == rows - 1)) * (4 - 2 * (x == columns - 1)) for y, x in patches)
        number += area >= min_area
        for patch in patches:
            seen[patch] = True
            assert found[patch] == (number if area >= min_area else 0)
    assert not found[~above].any()

"""Local maxima: borders, plateaus, distances; and the best match."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.search.peaks import Peak, best_match, find_peaks, patch_center

from ..states import map_of


def places(peaks):
    return [(peak.x, peak.y) for peak in peaks]


def test_centres_are_those_of_the_visible_part():
    grid = PatchGrid((20, 33), 16)
    assert patch_center(0, 0, grid) == (7.5, 7.5)
    assert patch_center(1, 1, grid) == (23.5, 17.5)
    assert patch_center(1, 2, grid) == (32, 17.5)


def test_peaks_come_best_first_with_their_scores():
    scores = np.zeros((7, 7))
    scores[1, 1], scores[5, 2], scores[3, 5] = 0.5, 0.9, 0.7
    found = find_peaks(map_of(scores), 0.5)
    assert places(found) == [(9.5, 21.5), (21.5, 13.5), (5.5, 5.5)]
    assert [peak.score for peak in found] == pytest.approx([0.9, 0.7, 0.5])
    assert len(find_peaks(map_of(scores), 0.6)) == 2
    assert places(find_peaks(map_of(scores), 0.5, limit=1)) == [(9.5, 21.5)]


def test_a_distance_beyond_the_map_leaves_one_peak_and_takes_no_memory():
    scores = np.zeros((30, 50))
    scores[3, 3], scores[28, 48] = 0.5, 0.9
    assert places(find_peaks(map_of(scores), 0.4, min_distance=1e9)) == [(193.5, 113.5)]


def test_the_border_counts():
    scores = np.zeros((5, 5))
    scores[0, 0], scores[4, 4], scores[0, 4], scores[4, 2] = 0.9, 0.8, 0.7, 0.6
    found = find_peaks(map_of(scores, cut=(2, 3)), 0.1)
    assert places(found) == [(1.5, 1.5), (16, 16.5), (16, 1.5), (9.5, 16.5)]


def test_a_single_patch_and_a_constant_map_have_no_peak_but_a_best_match():
    for shape in ((1, 1), (3, 4)):
        constant = map_of(np.full(shape, 0.4))
        assert find_peaks(constant) == []
        assert best_match(constant) == Peak(1.5, 1.5, pytest.approx(0.4))


def test_of_a_plateau_the_first_patches_are_kept_a_distance_apart():
    scores = np.zeros((5, 8))
    scores[2, 2:4] = 0.8
    assert places(find_peaks(map_of(scores), 0.5, min_distance=8)) == [(9.5, 9.5)]
    scores[2, 2:7] = 0.8
    assert places(find_peaks(map_of(scores), 0.5, min_distance=8)) == [
        (9.5, 9.5),
        (17.5, 9.5),
        (25.5, 9.5),
    ]


def test_the_distance_is_in_pixels_rounded_up_to_patches():
    scores = np.zeros((1, 9))
    scores[0, 1], scores[0, 3] = 0.9, 0.8
    assert len(find_peaks(map_of(scores), 0.5, min_distance=0)) == 2
    assert len(find_peaks(map_of(scores), 0.5, min_distance=4)) == 2
    assert len(find_peaks(map_of(scores), 0.5, min_distance=5)) == 1


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.floats(-0.9, 0.9),
    st.integers(0, 12),
    st.integers(0, 99),
)
def test_without_equal_scores_peaks_are_the_greatest_of_their_surroundings(
    shape, threshold, distance, seed
):
    scores = np.random.default_rng(seed).permutation(np.prod(shape)).reshape(shape)
    one = map_of(scores / np.prod(shape) * 2 - 1)
    reach, expected = max(1, -(-distance // 4)), []
    for y, x in np.ndindex(shape):
        around = one.cosine[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        if one.cosine[y, x] == around.max() and one.cosine[y, x] >= np.float32(threshold):
            expected.append((4 * x + 1.5, 4 * y + 1.5))
    if scores.size == 1:
        expected = []
    assert sorted(places(find_peaks(one, threshold, distance))) == sorted(expected)


def test_the_best_match_leaves_out_what_was_visited():
    one = map_of([[0.1, 0.9], [0.9, 0.3]])
    assert places([best_match(one)]) == [(5.5, 1.5)]
    assert places([best_match(one, {1})]) == [(1.5, 5.5)]
    assert best_match(one, {1, 2}).score == pytest.approx(0.3)
    assert best_match(one, range(4)) is None
    assert one.cosine[0, 1] == np.float32(0.9)

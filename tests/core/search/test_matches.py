"""Mutual nearest neighbours against the whole matrix, and against true disparity."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.errors import EmbeddingCancelled, StateError
from napari_dinov3_sim.core.geometry import convert_pixel_coordinates_to_patch_index
from napari_dinov3_sim.core.search import matches
from napari_dinov3_sim.core.search.matches import mutual_matches

from ..states import random_state, state_of


def pixels_of(state, index):
    """How many pixels of the image a patch has, counted one by one."""
    y, x = np.mgrid[: state.grid.image_shape[0], : state.grid.image_shape[1]]
    side = state.grid.patch_size
    return int((y // side * state.grid.columns + x // side == index).sum())


def is_image(state, index):
    return 2 * pixels_of(state, index) >= max(pixels_of(state, i) for i in range(len(state.grid)))


def brute_force(first, second):
    product = first.embeddings_normalized.double() @ second.embeddings_normalized.double().T
    there, back = product.argmax(1), product.argmax(0)
    pairs = [(i, int(j), float(product[i, j])) for i, j in enumerate(there) if back[j] == i]
    pairs = [(i, j, c) for i, j, c in pairs if is_image(first, i) and is_image(second, j)]
    return sorted(pairs, key=lambda pair: -pair[2])


def as_pairs(found, first, second):
    places = [(found.first, first.grid), (found.second, second.grid)]
    indices = [
        [convert_pixel_coordinates_to_patch_index(x, y, grid) for x, y in points]
        for points, grid in places
    ]
    return list(zip(*indices, strict=True))


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.integers(1, 4000),
)
def test_pairs_are_those_of_the_whole_matrix_however_it_is_cut(a, b, block):
    first, second = random_state(a, seed=1), random_state(b, seed=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matches, "BLOCK_BYTES", block)
        found = mutual_matches(first, second)
    expected = brute_force(first, second)
    assert as_pairs(found, first, second) == [(i, j) for i, j, _ in expected]
    np.testing.assert_allclose(found.cosine, [c for *_, c in expected], atol=1e-6)


def test_weak_pairs_and_those_after_the_limit_are_left_out():
    first, second = random_state(seed=3), random_state(seed=4)
    everything = mutual_matches(first, second)
    least = float(everything.cosine[4])
    assert len(mutual_matches(first, second, min_cosine=least)) == 5
    top = mutual_matches(first, second, limit=3)
    np.testing.assert_array_equal(top.first, everything.first[:3])
    none = mutual_matches(first, second, limit=0)
    assert (none.first.shape, none.second.shape, len(none)) == ((0, 2), (0, 2), 0)


def test_of_equal_patches_the_first_is_the_neighbour():
    same = state_of(np.ones((4, 4)) / 2, (4, 16))
    found = mutual_matches(same, same)
    assert found.first.tolist() == found.second.tolist() == [[1.5, 1.5]]


def test_half_precision_finds_the_same_pairs():
    first, second = random_state(seed=5), random_state(seed=6)
    halves = [random_state(seed=seed, dtype=np.float16) for seed in (5, 6)]
    np.testing.assert_array_equal(
        mutual_matches(first, second).first, mutual_matches(*halves).first
    )


def test_blocks_are_counted_and_can_be_stopped(monkeypatch):
    first, second = random_state(seed=5), random_state(seed=6)
    whole = mutual_matches(first, second)
    monkeypatch.setattr(matches, "BLOCK_BYTES", 4 * len(second.grid) * 2)
    seen = []
    found = mutual_matches(first, second, progress=lambda *counts: seen.append(counts))
    np.testing.assert_array_equal(found.first, whole.first)
    blocks = -(-len(first.grid) // 2)
    assert seen == [(done, blocks) for done in range(blocks + 1)]

    def stop(done, total):
        seen.append(done)
        if done == 2:
            raise EmbeddingCancelled

    del seen[:]
    with pytest.raises(EmbeddingCancelled):
        mutual_matches(first, second, progress=stop)
    assert seen == [0, 1, 2]


def test_other_models_are_refused():
    with pytest.raises(StateError, match="different models"):
        mutual_matches(random_state(), random_state(fingerprint="other"))


def test_most_pairs_of_a_stereo_view_lie_where_the_disparity_says():
    """Three in four are within a patch of it; nearest neighbours that are not mutual, 54 %."""
    left, right, disparity = data.stereo_motorcycle()
    backbone = nds.load_backbone("builtin", device="cpu")
    states = [nds.create_patch_image_state(image, backbone) for image in (left, right)]
    found = mutual_matches(*states)
    x, y = np.floor(found.first + 0.5).astype(int).T
    shift = disparity[y, x]
    known = np.isfinite(shift) & (found.first[:, 0] >= shift)
    expected = found.first - np.stack([shift, np.zeros_like(shift)], axis=1)
    distance = np.hypot(*(found.second - expected)[known].T)
    assert known.sum() > 600
    assert (distance <= 16).mean() > 0.7
    assert np.median(distance) < 5


def test_patches_that_are_mostly_padding_match_nothing():
    """All of them are alike, and would come first."""
    first, second = random_state((16, 17), seed=5), random_state((16, 17), seed=6)
    columns = first.grid.columns
    for state in (first, second):
        state.embeddings_normalized[columns - 1 :: columns] = torch.eye(
            state.embeddings_normalized.shape[1]
        )[0]
    found = mutual_matches(first, second)
    assert len(found)
    edge = (columns - 1) * first.grid.patch_size
    assert found.first[:, 0].max() < edge
    assert found.second[:, 0].max() < edge

"""Colours against NumPy's singular values, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinov3_sim.core.errors import StateError
from napari_dinov3_sim.core.search import pca
from napari_dinov3_sim.core.search.pca import pca_colours

from ..states import random_state, random_vectors, state_of


def stretched(shape, seed, dtype=np.float32):
    """Unit vectors whose variance differs from axis to axis, so that axes are well defined."""
    count = random_vectors(-(-shape[0] // 4) * -(-shape[1] // 4), 6, seed)
    vectors = count * [5, 3, 2, 0.5, 0.2, 0.1] + [0, 0, 0, 0, 4, 0]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return state_of(unit, shape, dtype=dtype)


def expected(states):
    vectors = np.concatenate([s.embeddings_normalized.double().numpy() for s in states])
    centred = vectors - vectors.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:3]
    axes = np.array([axis * np.sign(axis[np.abs(axis).argmax()]) for axis in axes])
    scores = centred @ axes.T
    low, high = np.percentile(scores, (1, 99), axis=0)
    return np.clip((scores - low) / (high - low), 0, 1)


def test_colours_are_the_first_three_components_of_all_images_together():
    states = [stretched((40, 44), 1), stretched((18, 30), 2)]
    found = pca_colours(states)
    assert [colours.shape for colours in found] == [(10, 11, 3), (5, 8, 3)]
    assert all(colours.dtype == np.float32 for colours in found)
    together = np.concatenate([colours.reshape(-1, 3) for colours in found])
    np.testing.assert_allclose(together, expected(states), atol=1e-5)


def test_blocks_do_not_matter(monkeypatch):
    states = [stretched((40, 44), 1), stretched((18, 30), 2)]
    whole = pca_colours(states)
    monkeypatch.setattr(pca, "ROWS", 7)
    for one, other in zip(whole, pca_colours(states), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_same_patches_have_the_same_colours_in_every_image():
    one, copy = pca_colours([stretched((40, 44), 1), stretched((40, 44), 1)])
    np.testing.assert_array_equal(one, copy)
    half = pca_colours([stretched((40, 44), 1, np.float16)])[0]
    np.testing.assert_allclose(half, pca_colours([stretched((40, 44), 1)])[0], atol=0.01)


def test_what_does_not_vary_is_in_the_middle():
    constant = state_of(np.ones((6, 4)) / 2, (8, 12))
    np.testing.assert_array_equal(pca_colours([constant])[0], np.full((2, 3, 3), 0.5))


def test_other_models_are_refused():
    with pytest.raises(StateError, match="different models"):
        pca_colours([random_state(), random_state(fingerprint="other")])

"""States of random or chosen vectors, without a model."""

from __future__ import annotations

import numpy as np

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.search.similarity import SimilarityMap
from napari_dinov3_sim.core.state import PatchImageState


def random_vectors(count, dim=6, seed=0):
    """Unit rows in float64."""
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def state_of(vectors, shape, patch_size=4, fingerprint="model", dtype=np.float32):
    return PatchImageState(np.asarray(vectors, dtype), PatchGrid(shape, patch_size), fingerprint)


def random_state(shape=(20, 30), patch_size=4, dim=6, seed=0, **options):
    count = len(PatchGrid(shape, patch_size))
    return state_of(random_vectors(count, dim, seed), shape, patch_size, **options)


def map_of(values, patch_size=4, cut=(0, 0)):
    """A map of these scores; `cut` pixels of the last row and column are outside the image."""
    cosine = np.asarray(values, np.float32)
    height, width = (n * patch_size - c for n, c in zip(cosine.shape, cut, strict=True))
    return SimilarityMap(cosine, PatchGrid((height, width), patch_size))

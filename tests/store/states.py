"""States made of seeded noise, and what it means that two are the same."""

from __future__ import annotations

import numpy as np

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.state import PatchImageState
from napari_dinov3_sim.core.vectors import normalize_embeddings

WINDOW = IntensityWindow(0, 23)


def make_state(
    height=40, width=50, *, dim=8, patch_size=16, window=WINDOW, seed=0, dtype=np.float32
):
    grid = PatchGrid((height, width), patch_size)
    values = np.random.default_rng(seed).normal(size=(len(grid), dim))
    unit = normalize_embeddings(values).astype(dtype)
    return PatchImageState(unit, grid, "model:1", window)


def same(first, second):
    assert first.vectors.dtype == second.vectors.dtype
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert (first.grid, first.fingerprint, first.window) == (
        second.grid,
        second.fingerprint,
        second.window,
    )

"""States made of seeded noise, and what it means that two are the same."""

from __future__ import annotations

import torch

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.intensity import IntensityWindow
from napari_dinov3_sim.core.state import PatchImageState, normalize_embeddings

WINDOW = IntensityWindow(0, 23)


def make_state(
    height=40, width=50, *, dim=8, patch_size=16, window=WINDOW, seed=0, dtype=torch.float32
):
    grid = PatchGrid((height, width), patch_size)
    values = torch.randn(len(grid), dim, generator=torch.Generator().manual_seed(seed))
    unit = normalize_embeddings(values).to(dtype)
    return PatchImageState(unit, grid, "model:1", window)


def same(first, second):
    assert first.embeddings_normalized.dtype == second.embeddings_normalized.dtype
    assert torch.equal(first.embeddings_normalized, second.embeddings_normalized)
    assert (first.grid, first.fingerprint, first.window) == (
        second.grid,
        second.fingerprint,
        second.window,
    )

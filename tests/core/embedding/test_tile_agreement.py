"""Tiles against the whole image: the bound that the documentation states (docs/engine.md)."""

from __future__ import annotations

import pytest
import skimage.data
import torch

from napari_dinov3_sim.backbones import load_backbone
from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling

pytestmark = pytest.mark.slow

BOUND = 0.85
"""Least mean cosine, and least mean correlation of maps, between tiled and whole."""


@pytest.fixture(scope="module")
def vectors():
    backbone, image = load_backbone("builtin", device="cpu"), skimage.data.immunohistochemistry()
    tilings = {
        "whole": Tiling(512, 0),
        "tiled": Tiling(384, 128),
        "cut": Tiling(384, 128, "cut"),
        "bare": Tiling(256, 0),
    }
    return {
        name: create_patch_image_state(
            image, backbone, recipe=Recipe(tiling)
        ).embeddings_normalized
        for name, tiling in tilings.items()
    }


def mean_cosine(first, second):
    return float((first * second).sum(1).mean())


def mean_correlation(first, second):
    """Of the cosine maps of the same queries, each centred; 1 for maps that look the same."""
    queries = torch.linspace(0, len(first) - 1, 64).long()
    maps = torch.stack([vectors @ vectors[queries].T for vectors in (first, second)])
    centred = maps - maps.mean(1, keepdim=True)
    norms = centred.norm(dim=1)
    return float(((centred[0] * centred[1]).sum(0) / (norms[0] * norms[1])).mean())


@pytest.mark.parametrize("agreement", [mean_cosine, mean_correlation])
def test_tiles_agree_with_the_whole_image(vectors, agreement):
    assert agreement(vectors["whole"], vectors["tiled"]) > BOUND


@pytest.mark.parametrize("agreement", [mean_cosine, mean_correlation])
def test_small_tiles_without_overlap_agree_less(vectors, agreement):
    """Guards the test above: the measure sees what tiling does."""
    bare, tiled = (agreement(vectors["whole"], vectors[name]) for name in ("bare", "tiled"))
    assert bare < tiled


@pytest.mark.parametrize("agreement", [mean_cosine, mean_correlation])
def test_blended_tiles_agree_better_than_cut_ones(vectors, agreement):
    blended, cut = (agreement(vectors["whole"], vectors[name]) for name in ("tiled", "cut"))
    assert cut < blended

"""Positional debiasing: what a content-free image shows is taken out of every patch."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from napari_dinov3_sim.core.embedding import debias as positional
from napari_dinov3_sim.core.embedding.debias import (
    PositionalBases,
    bases_of,
    positional_basis,
    project_out,
)
from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling

from ..backbones import FakeBackbone, LinearBackbone


def random_features(count=40, dim=6, seed=0):
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [1, 3, 5])
def test_the_basis_is_that_of_the_singular_value_decomposition(count):
    features = random_features()
    centred = (features - features.mean(0)).double().numpy()
    expected = np.linalg.svd(centred)[2][:count].T
    found = positional_basis(features, count).double().numpy()
    # The directions have no sign: compare what they project to.
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-5)


def test_features_that_do_not_vary_have_no_basis():
    assert positional_basis(torch.ones(9, 4), 3).shape == (4, 0)
    assert positional_basis(torch.ones(1, 4), 3).shape == (4, 0)
    assert positional_basis(random_features(3, 6), 5).shape == (6, 2), "3 points span a plane"


def test_nothing_is_left_in_the_directions_that_are_taken_out():
    basis = positional_basis(random_features(), 2)
    left = project_out(random_features(seed=1).reshape(5, 8, 6), basis)
    torch.testing.assert_close(left @ basis, torch.zeros(5, 8, 2), atol=1e-5, rtol=0)


class LeakyBackbone(LinearBackbone):
    """A linear map of each patch, plus a large vector that depends on its place in the tile."""

    def __init__(self, leak=50.0, **options):
        super().__init__(**options)
        self.leak = leak

    def embed(self, pixel_values):
        embedded = super().embed(pixel_values)
        place = torch.linspace(-1, 1, embedded.shape[1])[:, None]
        return embedded + self.leak * place * torch.eye(self.dim)[1]


def embed(backbone, image=None, **options):
    image = np.random.default_rng(0).random((40, 72)) if image is None else image
    recipe = Recipe(Tiling(24, 8), **options)
    return create_patch_image_state(image, backbone, recipe=recipe).embeddings_normalized


def test_what_leaks_of_position_is_gone():
    """With it, like patches in different tiles are as like as without any leak."""
    backbone = LeakyBackbone(dim=12)
    content = embed(LinearBackbone(dim=12)) @ torch.diag(1 - torch.eye(12)[1])
    expected = torch.nn.functional.normalize(content, dim=1)
    torch.testing.assert_close(embed(backbone, debias=1), expected, atol=1e-4, rtol=0)
    assert (embed(backbone) - expected).abs().max() > 0.3


def test_vectors_are_unit_vectors_still():
    norms = embed(LeakyBackbone(), debias=2).norm(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms))


def test_one_basis_per_model_and_tile_shape():
    backbone = LeakyBackbone()
    for _ in range(3):
        embed(backbone, debias=1)
    blank = [batch for batch in backbone.seen if not batch.any()]
    assert [tuple(batch.shape) for batch in blank] == [(1, 3, 24, 24)]
    embed(backbone, np.ones((9, 9)), debias=1)
    assert len(bases_of(backbone)) == 2
    assert len(bases_of(LeakyBackbone())) == 0, "bases leak from one model to another"


@pytest.mark.slow
def test_bases_go_with_their_model():
    backbone = LeakyBackbone()
    embed(backbone, debias=1)
    bases, gone = len(positional._BASES), weakref.ref(backbone)
    del backbone
    gc.collect()
    assert gone() is None
    assert len(positional._BASES) < bases


def test_only_so_many_bases_are_kept_the_last_used_ones():
    bases, computed = PositionalBases(limit=2), []

    def get(side):
        return bases.get(("f", (side, side), 1), lambda: computed.append(side) or torch.eye(side))

    for side in (1, 2, 1, 3, 1, 2):
        assert len(get(side)) == side
    assert computed == [1, 2, 3, 2]
    assert len(bases) == 2


def test_without_debiasing_no_basis_is_asked_for():
    backbone = FakeBackbone()
    backbone.embed = LinearBackbone().embed
    embed(backbone)
    assert len(bases_of(backbone)) == 0

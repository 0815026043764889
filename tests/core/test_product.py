"""The fast product gives what the plain one gives, in every dtype, for any number of vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dinov3_sim.core.product import FULL_PRECISION_ELEMENTS, dot, storage_dtype

TOLERANCE = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 1e-2, torch.float64: 1e-6}


def units(count, dim, seed):
    generator = torch.Generator().manual_seed(seed)
    # A common direction, as in real embeddings: most cosines are far from zero.
    vectors = torch.randn(count, dim, generator=generator) + 1
    return torch.nn.functional.normalize(vectors, dim=1)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("patches", "queries"), [(1, 1), (7, 3), (5000, 1), (5000, 8), (4097, 9), (70_000, 1)]
)
def test_products_in_every_dtype(dtype, patches, queries):
    embeddings, vectors = units(patches, 32, 0), units(queries, 32, 1).T
    found = dot(embeddings.to(dtype), vectors)
    assert found.dtype == torch.float32
    expected = embeddings.double().numpy() @ vectors.double().numpy()
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=TOLERANCE[dtype])


def test_no_vector_gives_no_product():
    assert dot(units(3, 4, 0), torch.empty(4, 0)).shape == (3, 0)
    assert dot(units(3, 4, 0).half(), torch.empty(4, 0)).shape == (3, 0)


def test_small_images_stay_exact_and_large_ones_are_halved():
    assert storage_dtype(FULL_PRECISION_ELEMENTS // 384, 384) == torch.float32
    assert storage_dtype(FULL_PRECISION_ELEMENTS // 384 + 1, 384) == torch.float16

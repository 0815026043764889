"""The fast product gives what the plain one gives, in every dtype, for any number of vectors."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from napari_dinov3_sim.core.vectors import FULL_PRECISION_ELEMENTS, dot, storage_dtype
from patience import PATIENCE

TOLERANCE = {"float32": 1e-6, "float16": 1e-3, "float64": 1e-6}
SHAPES = [(1, 1), (7, 3), (5000, 1), (5000, 8), (4097, 9), (70_000, 1)]


def units(count, dim, seed):
    # A common direction, as in real embeddings: most cosines are far from zero.
    vectors = np.random.default_rng(seed).normal(1, size=(count, dim))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("there", [True, False], ids=["with torch", "without torch"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("patches", "queries"), SHAPES)
def test_products_in_every_dtype(monkeypatch, there, dtype, patches, queries):
    pytest.importorskip("torch")
    if not there:
        monkeypatch.delitem(sys.modules, "torch")
    embeddings, vectors = units(patches, 32, 0).astype(dtype), units(queries, 32, 1).T
    found = dot(embeddings, vectors)
    assert found.dtype == np.float32
    expected = embeddings.astype(float) @ vectors
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype])


def test_no_vector_gives_no_product():
    assert dot(units(3, 4, 0).astype(np.float32), np.empty((4, 0))).shape == (3, 0)
    assert dot(units(3, 4, 0).astype(np.float16), np.empty((4, 0))).shape == (3, 0)


HALF = """
import sys
import numpy as np
from napari_dinov3_sim.core.vectors import dot
print(dot(np.ones((600, 4), np.float16), np.ones((4, 1)))[-1, 0], "torch" in sys.modules)
"""


def test_no_product_imports_torch():
    done = subprocess.run(
        [sys.executable, "-c", HALF], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert done.stdout.split() == ["4.0", "False"]


IMPORTING = """
import sys, threading
import numpy as np
from napari_dinov3_sim.core.vectors import dot

class Slow:
    def find_spec(self, name, path, target=None):
        if name == "torch._C":  # half-way through the import of torch
            print(dot(np.ones((600, 4), np.float16), np.ones((4, 1)))[-1, 0])
            raise SystemExit

sys.meta_path.insert(0, Slow())
import torch
"""


def test_a_torch_that_is_still_being_imported_is_not_used():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    assert done.stdout.split() == ["4.0"]


def test_small_images_stay_exact_and_large_ones_are_halved():
    assert storage_dtype(FULL_PRECISION_ELEMENTS // 384, 384) == np.float32
    assert storage_dtype(FULL_PRECISION_ELEMENTS // 384 + 1, 384) == np.float16

"""Embeddings as NumPy and zarr give them to scikit-learn and UMAP."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.state import PatchImageState
from napari_dinov3_sim.exchange.embeddings import (
    EmbeddingTable,
    PlaneEmbeddings,
    patch_centres,
    write_embedding_zarr,
    write_npz,
)


def table(planes=2):
    rng, parts = np.random.default_rng(0), []
    for number in range(planes):
        vectors = rng.random((6, 4)).astype(np.float16)
        pixels, world = rng.random((6, 2)), rng.random((6, 3))
        place = (number,) if planes > 1 else ()
        parts.append(PlaneEmbeddings(vectors, (2, 3), pixels, world, place))
    return EmbeddingTable("é", "builtin", "abc", ("z", "y", "x"), ("um",) * 3, tuple(parts))


def check(arrays, given):
    assert arrays["vectors"].dtype == np.float32
    assert np.array_equal(arrays["vectors"][6:12], given.planes[-1].vectors.astype(np.float32))
    assert np.array_equal(arrays["pixels"][:6], given.planes[0].pixels)
    assert np.array_equal(arrays["world"][:6], given.planes[0].world)
    assert arrays["plane"][:].tolist() == [[0]] * 6 + [[1]] * 6
    assert arrays["grid_shape"][:].tolist() == [2, 3]


def test_npz_is_read_without_pickle(tmp_path):
    given, path = table(), tmp_path / "a.npz"
    write_npz(path, given)
    with np.load(path, allow_pickle=False) as arrays:
        check(arrays, given)
        assert str(arrays["image"]) == "é"
        assert (str(arrays["model"]), str(arrays["fingerprint"])) == ("builtin", "abc")
        assert arrays["axes"].tolist() == ["z", "y", "x"]
        assert arrays["units"].tolist() == ["um"] * 3


@pytest.mark.parametrize("planes", [1, 2])
def test_zarr_has_the_same_arrays_and_texts(tmp_path, planes):
    zarr = pytest.importorskip("zarr")
    given, path = table(planes), tmp_path / "a.zarr"
    write_embedding_zarr(path, given)
    root = zarr.open_group(str(path), mode="r")
    if planes == 2:
        check({name: root[name] for name in root}, given)
    else:
        assert root["plane"].shape == (6, 0)
    assert root.attrs["image"] == "é"
    assert root.attrs["axes"] == ["z", "y", "x"]


def test_centres_of_patches_are_those_of_peaks():
    state = PatchImageState(np.ones((6, 4), np.float32), PatchGrid((20, 40), 16), "abc")
    centres = patch_centres(state)
    assert centres[0].tolist() == [7.5, 7.5]
    # What is cut off at the right and the bottom does not count.
    assert centres[-1].tolist() == [35.5, 17.5]

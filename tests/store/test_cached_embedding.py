"""A plane is embedded unless a store has it: what is asked of the model and of the store."""

from __future__ import annotations

import errno
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_dinov3_sim.core.embedding import embed as core_embed
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling
from napari_dinov3_sim.core.errors import EmbeddingCancelled, ImageError, StoreError
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.core.images.sources import ArraySource
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore
from napari_dinov3_sim.store.cached_embedding import CachedEmbedder

WINDOW = IntensityWindow(0, 255)
RECIPE = Recipe(Tiling(16, 4))


class MeanColour:
    """Mean colour of each patch of 4 × 4 pixels."""

    name, fingerprint, patch_size, dim = "mean", "mean:cuda", 4, 3
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def embed_patches(self, pixel_values):
        return torch.nn.functional.avg_pool2d(pixel_values, 4).flatten(2).transpose(1, 2)


class Model:
    """Counts how often it is loaded."""

    fingerprint, patch_size = MeanColour.fingerprint, MeanColour.patch_size

    def __init__(self):
        self.loaded = 0

    def load(self):
        self.loaded += 1
        return MeanColour()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 255, (24, 40)).astype(np.uint8)


@pytest.fixture
def store(tmp_path):
    return EmbeddingStore(MemoryStore(), DiskStore(tmp_path / "store"))


def embedder(store, **options):
    return CachedEmbedder(Model(), RECIPE, store, **options)


def compute(embedder, pixels, **options):
    source = ArraySource(pixels)
    return embedder.compute(source, scan_pixels(source).digest, WINDOW, "cells", **options)


def files(store):
    return sorted(path.name for path in store.disk.folder.rglob("*") if path.is_file())


def test_what_is_stored_is_found_without_the_model(store, pixels):
    first = embedder(store)
    made = compute(first, pixels)
    assert (made.was_stored, made.path.name[:6], first.model.loaded) == (False, "cells-", 1)
    for again in (store, EmbeddingStore(MemoryStore(), DiskStore(store.disk.folder))):
        second = embedder(again)
        found = second.find(scan_pixels(ArraySource(pixels)).digest, WINDOW, pixels.shape)
        assert (found.was_stored, found.digest, second.model.loaded) == (True, made.digest, 0)
        np.testing.assert_array_equal(found.state.vectors, made.state.vectors)


def test_other_pixels_are_not_found(store, pixels):
    one = embedder(store)
    compute(one, pixels)
    assert one.find(scan_pixels(ArraySource(pixels.T)).digest, WINDOW, pixels.T.shape) is None
    digest = scan_pixels(ArraySource(pixels)).digest
    assert one.find(digest, IntensityWindow(0, 9), pixels.shape) is None


def stopped_after(count):
    def progress(done, total):
        if done == count:
            raise EmbeddingCancelled

    return progress


def test_an_interrupted_plane_goes_on_from_its_tiles(store, pixels):
    with pytest.raises(EmbeddingCancelled):
        compute(embedder(store), pixels, progress=stopped_after(2))
    found = compute(embedder(store), pixels)
    assert found.resumed_tiles == (2, 6)
    assert files(store) == [found.path.name]


def test_nothing_is_written_where_nothing_is_to_be_kept(store, pixels):
    found = compute(embedder(store, keeps=False), pixels)
    assert (found.was_stored, found.path, found.resumed_tiles) == (False, None, (0, 0))
    assert not store.disk.folder.exists()
    assert store.get(found.digest) is None


def test_pixels_that_change_meanwhile_are_not_kept(store, pixels):
    def change(done, total):
        pixels[0, 0] ^= 1

    with pytest.raises(ImageError, match=r"pixels of the name changed .* embed them again"):
        compute(embedder(store), pixels, progress=change, name="the name")
    assert files(store) == []
    changed = scan_pixels(ArraySource(pixels)).digest
    assert embedder(store).find(changed, WINDOW, pixels.shape) is None


def test_the_second_reading_is_the_callers_choice_and_can_be_cancelled(store, pixels):
    with pytest.raises(EmbeddingCancelled):
        compute(embedder(store), pixels, check=stopped_after(0))
    found = compute(embedder(store), pixels, check=stopped_after(0), scan_again=False)
    assert found.path is not None


def test_what_another_arithmetic_made_is_kept_under_its_own_digest(store, pixels, monkeypatch):
    real = core_embed.create_patch_image_state

    def on_cpu(*arguments, **options):
        return replace(real(*arguments, **options), fingerprint="mean:cpu")

    monkeypatch.setattr(core_embed, "create_patch_image_state", on_cpu)
    one, other = embedder(store), embedder(store)
    other.model.fingerprint = "mean:cpu"
    found, digest = compute(one, pixels), scan_pixels(ArraySource(pixels)).digest
    assert one.find(digest, WINDOW, pixels.shape) is None
    assert other.find(digest, WINDOW, pixels.shape).digest == found.digest


@pytest.mark.parametrize("must_write", [False, True])
def test_a_full_disk(tmp_path, pixels, monkeypatch, must_write):
    warnings = []
    disk = DiskStore(tmp_path, warn=warnings.append, must_write=must_write)
    store = EmbeddingStore(MemoryStore(), disk)

    def refuse(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", refuse)
    if must_write:
        with pytest.raises(StoreError, match="No space left on device"):
            compute(embedder(store), pixels)
    else:
        found = compute(embedder(store), pixels)
        assert found.path is None
        assert store.get(found.digest) is found.state
    assert len(warnings) == 1

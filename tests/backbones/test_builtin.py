"""The network that ships with the package."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file
from skimage import data

from napari_dinov3_sim.backbones import (
    BUILTIN,
    CorruptWeightsError,
    DINOv3Backbone,
    find_model,
    is_available,
    known_identity,
    load_backbone,
)
from napari_dinov3_sim.backbones.files import locate
from napari_dinov3_sim.backbones.lazy_model import LazyModel
from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.errors import StateError
from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.core.images.sources import as_source
from napari_dinov3_sim.core.search.similarity import create_similarity_images
from napari_dinov3_sim.store.cached_embedding import CachedEmbedder
from napari_dinov3_sim.store.embedding_store import EmbeddingStore, MemoryStore

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def builtin() -> DINOv3Backbone:
    return load_backbone(BUILTIN, device="cpu")


def test_it_is_there_and_agrees_with_its_record(builtin: DINOv3Backbone) -> None:
    record = find_model(BUILTIN)
    assert is_available(BUILTIN)
    assert builtin.is_builtin
    assert (builtin.name, builtin.label) == (BUILTIN, record.label)
    assert (builtin.dim, builtin.patch_size) == (record.dim, record.patch_size)
    assert (builtin.mean, builtin.std) == (record.mean, record.std)
    weights = load_file(locate.BUILTIN_FOLDER / "model.safetensors")
    assert sum(tensor.numel() for tensor in weights.values()) == record.parameters


def test_it_never_claims_to_be_metas(builtin: DINOv3Backbone) -> None:
    assert "not a Meta checkpoint" in builtin.label
    assert builtin.licence == "BSD-3-Clause"


def test_it_is_stored_in_half_and_computed_in_full_precision(builtin: DINOv3Backbone) -> None:
    assert (locate.BUILTIN_FOLDER / "model.safetensors").stat().st_size < 8_000_000
    assert builtin.dtype == "float32"
    assert {parameter.dtype for parameter in builtin._model.parameters()} == {torch.float32}


def test_fingerprint_is_stable(builtin: DINOv3Backbone) -> None:
    assert load_backbone(BUILTIN, device="cpu").fingerprint == builtin.fingerprint


def test_it_finds_like_with_like(builtin: DINOv3Backbone) -> None:
    """A coin is nearer to another coin than to the background."""
    state = create_patch_image_state(data.coins(), builtin)
    assert torch.isfinite(state.embeddings_normalized).all()
    embeddings = state.embeddings_normalized.reshape(*state.grid.shape, -1)
    coin, other, background = (
        embeddings[y // 16, x // 16] for x, y in ((50, 80), (250, 70), (20, 140))
    )
    assert coin @ other > coin @ background


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / locate.BUILTIN_FOLDER.name
    shutil.copytree(locate.BUILTIN_FOLDER, folder)
    monkeypatch.setattr(locate, "BUILTIN_FOLDER", folder)
    return folder


def check_refusal() -> None:
    with pytest.raises(CorruptWeightsError) as caught:
        load_backbone(BUILTIN, device="cpu")
    assert "Cannot load builtin" in str(caught.value)
    assert "`pip install --force-reinstall napari-dinov3-sim`" in str(caught.value)


def test_missing_files(copy: Path) -> None:
    shutil.rmtree(copy)
    assert not is_available(BUILTIN)
    check_refusal()
    copy.mkdir()
    check_refusal()


def test_damaged_file(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1_000_000])
    check_refusal()


def test_config_says_what_the_weights_say() -> None:
    config = json.loads((locate.BUILTIN_FOLDER / "config.json").read_text())
    record = find_model(BUILTIN)
    numbers = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    assert [config[key] for key in numbers] == [
        record.dim,
        record.layers,
        record.heads,
        record.ffn,
    ]


def test_other_weights_of_the_same_name_are_another_model(
    builtin: DINOv3Backbone, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the package brings another built-in model: nothing of the former is taken for it."""
    weights = load_file(copy / "model.safetensors")
    weights["norm.weight"] = weights["norm.weight"] * 1.5
    following = copy.with_name("builtin_next")
    copy.rename(following)
    save_file(weights, following / "model.safetensors")
    monkeypatch.setattr(locate, "BUILTIN_FOLDER", following)
    assert known_identity(BUILTIN, "cpu") is None
    after = load_backbone(BUILTIN, device="cpu")
    assert (after.name, after.label) == (builtin.name, builtin.label)
    assert after.fingerprint != builtin.fingerprint
    assert known_identity(BUILTIN, "cpu").fingerprint == after.fingerprint

    store = EmbeddingStore(MemoryStore())
    source = as_source(data.coins()[:64, :96])
    scan = scan_pixels(source)
    found = {}
    for backbone in (builtin, after):
        embedder = CachedEmbedder(LazyModel(lambda: None, backbone=backbone), Recipe(), store)
        assert embedder.find(scan.digest, None, source.shape) is None
        found[backbone] = embedder.compute(source, scan.digest, None, "coins").state
        assert embedder.find(scan.digest, None, source.shape) is not None
    with pytest.raises(StateError):
        create_similarity_images(found[builtin], (20, 20), [found[after]])

"""The network that ships with the package."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file
from skimage import data

from napari_dinov3_sim.backbones import (
    BUILTIN,
    CorruptWeightsError,
    DINOv3Backbone,
    find_model,
    is_available,
    load_backbone,
)
from napari_dinov3_sim.backbones.files import locate
from napari_dinov3_sim.core.embedding.embed import create_patch_image_state

if TYPE_CHECKING:
    from pathlib import Path


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
    folder = tmp_path / "builtin_v0"
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

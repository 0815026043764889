"""What is remembered of a model that was loaded, and when it is not believed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import constants

from napari_dinov3_sim.backbones import identity, known_identity, load_backbone, loading
from napari_dinov3_sim.backbones.files import hub
from napari_dinov3_sim.backbones.identity import ModelIdentity
from napari_dinov3_sim.store import default_folder

from .factories import cache, official, save, tiny_model, to_timm

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return save(official(tiny_model()), tmp_path / "tiny.safetensors")


def only_card(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_a_card_says_what_the_model_says(weights: Path) -> None:
    assert known_identity(weights, "cpu") is None
    backbone = load_backbone(weights, device="cpu")
    identity = known_identity(weights, "cpu")
    assert identity is not None
    for field in fields(ModelIdentity):
        assert getattr(identity, field.name) == getattr(backbone, field.name)


def test_other_ways_of_loading_have_cards_of_their_own(weights: Path) -> None:
    load_backbone(weights, device="cpu")
    assert known_identity(weights) is None
    assert known_identity(weights, "cpu", "bfloat16") is None
    fast = load_backbone(weights, device="cpu", dtype="bfloat16")
    identity = known_identity(weights, "cpu", "bfloat16")
    assert identity is not None
    assert (identity.fingerprint, identity.dtype) == (fast.fingerprint, "bfloat16")
    assert known_identity(weights, "cpu") != identity


def test_a_path_is_known_however_it_is_written(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_backbone(weights, device="cpu")
    monkeypatch.chdir(weights.parent)
    assert (
        known_identity("./tiny.safetensors", "cpu")
        == known_identity(str(weights), "cpu")
        is not None
    )


def test_a_model_of_the_hub_is_known_offline(tiny_record, hub_cache: Path) -> None:
    cache(hub_cache, "timm/vit_tiny_dinov3", to_timm(tiny_model()))
    backbone = load_backbone("dinov3-tiny", device="cpu")
    identity = known_identity("dinov3-tiny", "cpu")
    assert identity is not None
    assert identity.fingerprint == backbone.fingerprint


def test_environments_that_share_a_home_keep_each_their_card(
    tiny_record, hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = hub_cache.parent / "other"
    for folder in (hub_cache, other):
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
        cache(folder, "timm/vit_tiny_dinov3", to_timm(tiny_model()))
        load_backbone("dinov3-tiny", device="cpu")
    for folder in (hub_cache, other):
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
        assert known_identity("dinov3-tiny", "cpu") is not None


def test_what_was_never_here_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(hub, "download_file", lambda *arguments: asked.append(arguments))
    assert known_identity("dinov3-vits16") is None
    assert known_identity("some/repository") is None
    assert known_identity("no such model") is None
    assert known_identity("/no/such/file.safetensors") is None
    assert asked == []


def test_changed_weights_are_not_known(weights: Path) -> None:
    load_backbone(weights, device="cpu")
    before = weights.stat()
    save(official(tiny_model(seed=1)), weights)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert weights.stat().st_size == before.st_size
    assert known_identity(weights, "cpu") is None


def test_weights_that_change_while_they_are_loaded_are_not_known(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loading.read_weights

    def read(*arguments):
        state = real(*arguments)
        os.utime(weights, ns=(1, 1))
        return state

    monkeypatch.setattr(loading, "read_weights", read)
    load_backbone(weights, device="cpu")
    assert known_identity(weights, "cpu") is None


def test_other_statistics_beside_the_weights_are_another_model(weights: Path) -> None:
    load_backbone(weights, device="cpu")
    own = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    (weights.parent / "preprocessor_config.json").write_text(json.dumps(own))
    assert known_identity(weights, "cpu") is None


@pytest.mark.parametrize("name", ["_version", "platform.node"])
def test_another_computer_or_version_is_not_trusted(
    weights: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    load_backbone(weights, device="cpu")
    monkeypatch.setattr(f"napari_dinov3_sim.backbones.identity.{name}", lambda *_: "another")
    assert known_identity(weights, "cpu") is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{", ""),
        ('"identity"', '"cart"'),
        ('"patch_size": 16', '"patch_size": "16"'),
        ('"patch_size": 16', '"patch_size": 0'),
        ('"dim": 64', '"dimension": 64'),
        ('"facts": {', '"facts": {"more": 1,'),
    ],
)
def test_a_damaged_card_is_ignored_and_written_anew(
    weights: Path, identity_folder: Path, old: str, new: str
) -> None:
    load_backbone(weights, device="cpu")
    path = only_card(identity_folder)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert known_identity(weights, "cpu") is None
    load_backbone(weights, device="cpu")
    assert known_identity(weights, "cpu") is not None
    assert path.read_text() == text


def test_a_folder_that_cannot_be_written_stops_nobody(
    weights: Path, identity_folder: Path
) -> None:
    identity_folder.rmdir()
    identity_folder.write_text("a file in its place")
    assert load_backbone(weights, device="cpu").patch_size == 16
    assert known_identity(weights, "cpu") is None


def test_cards_lie_beside_the_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert identity.identity_folder() == default_folder().parent / "models"


def test_asking_imports_neither_of_the_model_libraries(weights: Path, tmp_path: Path) -> None:
    load_backbone(weights, device="cpu")
    found = identity.identity_folder()
    program = (
        "import sys; from pathlib import Path; from napari_dinov3_sim.backbones import identity\n"
        "identity.identity_folder = lambda: Path(sys.argv[2])\n"
        "print(identity.known_identity(sys.argv[1], 'cpu').patch_size)\n"
        "print(sorted({'torch', 'transformers'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", program, str(weights), str(found)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["16", "[]"]

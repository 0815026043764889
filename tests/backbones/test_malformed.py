"""Files of a model that hold anything: a sentence with the cure, and no other error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.backbones import (
    ModelError,
    ModelNotFoundError,
    is_available,
    known_identity,
    load_backbone,
)
from napari_dinov3_sim.cli.parser import main

from .factories import official, save, tiny_model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
KEYS = {
    "config.json": (
        *("model_type", "architecture", "pretrained_cfg", "hidden_size", "num_hidden_layers"),
        *("intermediate_size", "patch_size", "num_attention_heads", "hidden_act"),
        *("layer_norm_eps", "rope_theta"),
    ),
    "preprocessor_config.json": ("image_mean", "image_std"),
    "model.safetensors.index.json": ("weight_map",),
}
THREE = [0.5, 0.5, 0.5]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    save(official(tiny_model()), tmp_path / "model" / "model.safetensors")
    return tmp_path / "model"


def load(folder: Path) -> str:
    """Return why a model is refused; empty where it is loaded."""
    known_identity(folder, "cpu")
    try:
        load_backbone(folder, device="cpu")
    except ModelError as error:
        text = str(error)
        assert text.startswith("Cannot load ")
        assert "\n" not in text
        return text
    return ""


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
@pytest.mark.parametrize("file", KEYS)
def test_json_of_any_sort(folder: Path, file: str, data: st.DataObject) -> None:
    weights = folder / "model.safetensors"
    if "index" in file and weights.exists():
        weights.rename(folder / "part")
    content: dict[str, Any] = {"image_mean": THREE, "image_std": THREE, "model_type": "dinov3_vit"}
    key = data.draw(st.sampled_from(KEYS[file]))
    near = st.lists(JSON, min_size=3, max_size=3) | st.dictionaries(st.text(max_size=2), JSON)
    (folder / file).write_text(json.dumps({**content, key: data.draw(JSON | near)}))
    load(folder)


@pytest.mark.parametrize("content", ["[" * 100_000, "{" * 10, "\x00", "1e999", "\ud800", "é" * 9])
@pytest.mark.parametrize("file", KEYS)
def test_text_that_is_no_json(folder: Path, file: str, content: str) -> None:
    if "index" in file:
        (folder / "model.safetensors").unlink()
    (folder / file).write_bytes(content.encode("utf-16" if "é" in content else "utf-8", "replace"))
    assert "is not readable JSON" in load(folder)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("model.safetensors.index.json", "weight_map", {"a": 5}),
        ("model.safetensors.index.json", "weight_map", {"a": None}),
        ("model.safetensors.index.json", "weight_map", {"a": "../model.safetensors"}),
        ("model.safetensors.index.json", "weight_map", {"a": ".."}),
        ("model.safetensors.index.json", "weight_map", ["a"]),
        ("preprocessor_config.json", "image_mean", [None, 1, 1]),
        ("preprocessor_config.json", "image_mean", ["0.5", 1, 1]),
        ("preprocessor_config.json", "image_mean", [float("nan"), 1, 1]),
        ("preprocessor_config.json", "image_std", [0, 1, 1]),
        ("preprocessor_config.json", "image_std", [float("inf"), 1, 1]),
        ("config.json", "num_attention_heads", 0),
        ("config.json", "num_attention_heads", -1),
        ("config.json", "num_attention_heads", 5),
        ("config.json", "num_attention_heads", "1"),
        ("config.json", "hidden_act", "no such function"),
        ("config.json", "hidden_act", ["gelu"]),
        ("config.json", "layer_norm_eps", "small"),
        ("config.json", "rope_theta", 0),
        ("config.json", "rope_theta", None),
        ("config.json", "architecture", 5),
    ],
    ids=str,
)
def test_what_no_model_says(
    folder: Path, capsys: pytest.CaptureFixture[str], file: str, key: str, value: object
) -> None:
    if "index" in file:
        (folder / "model.safetensors").rename(folder / "part")
    content: dict[str, Any] = {"image_mean": THREE, "image_std": THREE, "model_type": "dinov3_vit"}
    (folder / file).write_text(json.dumps({**content, key: value}))
    assert load(folder)
    (folder.parent / "a.png").write_bytes(b"")
    names = map(str, (folder.parent / "a.png", "--out", folder.parent / "o", "--model", folder))
    assert main(["embed", *names]) == 2
    assert "unexpected" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("embeddings.cls_token", ()),
        ("embeddings.cls_token", (1, 1, 0)),
        ("embeddings.register_tokens", (4,)),
        ("embeddings.patch_embeddings.weight", ()),
        ("embeddings.patch_embeddings.weight", (64, 3, 0, 0)),
        ("layer.0.mlp.up_proj.weight", ()),
        ("layer.999999.mlp.up_proj.weight", (1,)),
        (f"layer.{'9' * 5000}.mlp.up_proj.weight", (1,)),
    ],
    ids=lambda value: str(value)[:40],
)
def test_tensors_of_any_shape(folder: Path, key: str, shape: tuple[int, ...]) -> None:
    save(official(tiny_model()) | {key: torch.zeros(shape)}, folder / "model.safetensors")
    assert load(folder)


@pytest.mark.parametrize(
    "name", ["a--b/c", "a/b.git", "a..b/c", "-a/b", f"{'x' * 200}/{'x' * 200}"]
)
def test_a_name_that_no_repository_can_have(name: str) -> None:
    assert known_identity(name, "cpu") is None
    assert not is_available(name)
    with pytest.raises(ModelNotFoundError, match="has no public repository"):
        load_backbone(name, device="cpu")

"""Every bad path, file and folder ends in one sentence: the model, the reason, the cure."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from PIL import Image

from napari_dinov3_sim.backbones import (
    CorruptWeightsError,
    ModelError,
    ModelNotFoundError,
    WrongModelError,
    find_model,
    is_available,
    load_backbone,
    loading,
)
from napari_dinov3_sim.core.errors import BackboneError

from .factories import official, save, tiny_model, to_meta, to_timm


def refusal(model: str | Path, class_name: type[ModelError]) -> str:
    with pytest.raises(class_name) as caught:
        load_backbone(model, device="cpu")
    text = str(caught.value)
    assert isinstance(caught.value, BackboneError)
    assert text.startswith("Cannot load ")
    assert text.endswith(".")
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    "model", ["./nowhere", "~/nowhere-at-all", "weights.safetensors", "a.pth", Path("nowhere")]
)
def test_missing_path_is_never_taken_for_a_hub_id(model: str | Path) -> None:
    text = refusal(model, ModelNotFoundError)
    assert Path(model).name in text
    assert "there is no such file or folder" in text
    assert "`napari-dinov3-sim models`" in text
    assert not is_available(model)


def test_existing_relative_path_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_model().save_pretrained(tmp_path / "some" / "folder")
    assert is_available("some/folder")
    assert load_backbone("some/folder", device="cpu").name == "folder"


def test_unknown_name() -> None:
    text = refusal("dinov3-vitx", ModelNotFoundError)
    assert "dinov3-vitx: no model has this name" in text
    assert not is_available("dinov3-vitx")


def test_empty_folder(tmp_path: Path) -> None:
    text = refusal(tmp_path, ModelNotFoundError)
    assert str(tmp_path) in text
    assert "the folder holds no weights (model.safetensors)" in text
    assert f'`hf download OWNER/NAME --local-dir "{tmp_path}"`' in text


def test_folder_with_several_files(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.pth"):
        save(official(tiny_model()), tmp_path / name)
    assert "(a.safetensors, b.pth); name one" in refusal(tmp_path, ModelNotFoundError)


def test_missing_shard(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path, max_shard_size="100KB")
    sorted(tmp_path.glob("model-*.safetensors"))[1].unlink()
    assert "the part model-00002" in refusal(tmp_path, ModelNotFoundError)


@pytest.mark.parametrize("content", ["not json", "[]", '{"weight_map": {}}'])
def test_broken_index(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    assert "download it again" in refusal(tmp_path, CorruptWeightsError)


def test_broken_config(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert "config.json is not readable JSON" in refusal(tmp_path, CorruptWeightsError)


def test_a_picture_in_the_place_of_weights(tmp_path: Path) -> None:
    path = tmp_path / "cells.png"
    Image.new("L", (4, 4)).save(path)
    text = refusal(path, WrongModelError)
    assert "cells.png holds no weights" in text
    assert "name a .safetensors, .pth or .pt file" in text


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("length", [0, 3, 2000, -1000])
def test_truncated_file(tmp_path: Path, suffix: str, length: int) -> None:
    path = save(to_meta(tiny_model()), tmp_path / f"cut{suffix}")
    path.write_bytes(path.read_bytes()[:length])
    text = refusal(path, CorruptWeightsError)
    assert "Cannot load cut: the file" in text
    assert "damaged" in text
    assert "download the file again" in text


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("unpickled",))


def test_pickled_code_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"cls_token": Malicious()}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Malicious(), protocol=2))
    for name in ("evil.pth", "plain.pth"):
        refusal(tmp_path / name, CorruptWeightsError)
    assert "unpickled" not in capsys.readouterr().out


def test_file_without_tensors(tmp_path: Path) -> None:
    torch.save([1, 2, 3], tmp_path / "numbers.pth")
    assert "holds no named tensors" in refusal(tmp_path / "numbers.pth", WrongModelError)


def test_hash_in_the_name_is_checked(tmp_path: Path) -> None:
    path = save(to_meta(tiny_model()), tmp_path / "dinov3_vits16-08c60483.pth")
    text = refusal(path, CorruptWeightsError)
    assert "promises the sha256 08c60483… and it is" in text
    assert "download it again" in text


def test_right_hash_is_accepted_and_reported(tmp_path: Path) -> None:
    path = save(to_meta(tiny_model()), tmp_path / "plain.pth")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    named = path.rename(tmp_path / f"mine-{digest[:8]}.pth")
    reports: list[tuple[str, int, int]] = []
    load_backbone(named, device="cpu", progress=lambda *report: reports.append(report))
    size = named.stat().st_size
    assert reports[-1] == (f"Checking {named.name}", size, size)


def test_hash_of_the_satellite_weights_tells_their_statistics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "check_hash", lambda *_: None)
    path = save(to_meta(tiny_model()), tmp_path / "renamed-eadcf0ff.pth")
    backbone = load_backbone(path, device="cpu")
    assert backbone.mean == find_model("dinov3-vitl16-sat493m").mean
    assert "DINOv3 License" in backbone.licence


@pytest.mark.parametrize(
    ("keys", "guess"),
    [
        (["pos_embed", "patch_embed.proj.weight", "blocks.0.ls1.gamma"], "learned positions"),
        (["embeddings.position_embeddings", "encoder.layer.0.norm1.weight"], "learned positions"),
        (["conv1.weight", "layer1.0.conv1.weight", "fc.weight"], "a ResNet"),
        (["downsample_layers.0.0.weight", "stages.0.0.gamma"], "a ConvNeXt"),
        (["lstm.weight"], "another network (its first tensor is lstm.weight)"),
    ],
)
def test_weights_of_another_network(tmp_path: Path, keys: list[str], guess: str) -> None:
    path = save({key: torch.zeros(2) for key in keys}, tmp_path / "other.safetensors")
    text = refusal(path, WrongModelError)
    assert "Cannot load other: the weights are those of" in text
    assert guess in text
    assert "`napari-dinov3-sim models`" in text


@pytest.mark.parametrize(
    "missing", ["norm.weight", "embeddings.cls_token", "layer.1.mlp.up_proj.bias"]
)
def test_missing_tensor(tmp_path: Path, missing: str) -> None:
    state = official(tiny_model())
    del state[missing]
    text = refusal(save(state, tmp_path / "part.safetensors"), WrongModelError)
    assert f"the weights lack {missing}" in text


def test_missing_registers_and_foreign_tensor(tmp_path: Path) -> None:
    state = to_timm(tiny_model())
    foreign = save(state | {"head.weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    assert "hold the foreign tensor head.weight" in refusal(foreign, WrongModelError)
    del state["reg_token"]
    bare = save(state, tmp_path / "b.safetensors")
    assert "lack embeddings.register_tokens" in refusal(bare, WrongModelError)


def test_wrong_shapes(tmp_path: Path) -> None:
    state = official(tiny_model()) | {"norm.weight": torch.zeros(3)}
    text = refusal(save(state, tmp_path / "a.safetensors"), WrongModelError)
    assert "the tensor norm.weight has the shape (3,) instead of (64,)" in text
    state = to_timm(tiny_model()) | {"blocks.0.attn.qkv.weight": torch.zeros(64, 64)}
    text = refusal(save(state, tmp_path / "b.safetensors"), WrongModelError)
    assert "attn.qkv.weight has 64 rows" in text


def test_config_of_another_model(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    save(official(tiny_model(layers=3)), tmp_path / "model.safetensors")
    text = refusal(tmp_path, WrongModelError)
    assert "config.json says num_hidden_layers 2 and the weights say 3" in text
    (tmp_path / "config.json").write_text('{"model_type": "dinov3_convnext"}')
    assert "model_type dinov3_convnext" in refusal(tmp_path, WrongModelError)


def test_errors_survive_pickling() -> None:
    error = WrongModelError("a", "b", "c")
    assert str(pickle.loads(pickle.dumps(error))) == "Cannot load a: b; c."

"""The same weights in three namings and any container are the same backbone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from napari_dinov3_sim.backbones import load_backbone
from napari_dinov3_sim.core.state import same_weights

from .factories import official, pixels, save, tiny_model, to_meta, to_timm, tokens_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

NAMINGS = {"huggingface": official, "timm": to_timm, "meta": to_meta}
FILES = [
    pytest.param(naming, suffix, gated, id=f"{naming}{suffix}-{'swiglu' if gated else 'mlp'}")
    for naming in NAMINGS
    for suffix in (".safetensors", ".pth")
    for gated in (False, True)
]


@pytest.mark.parametrize(("naming", "suffix", "gated"), FILES)
def test_single_file_embeds_as_transformers_does(
    naming: str, suffix: str, gated: bool, tmp_path: Path
) -> None:
    model = tiny_model(gated=gated)
    path = save(NAMINGS[naming](model), tmp_path / f"weights{suffix}")
    values = pixels(batch=2)
    expected = tokens_of(model, values)
    found = load_backbone(path, device="cpu").embed_patches(values)
    assert found.shape == (2, 15, 64)
    torch.testing.assert_close(found, expected[:, 5:], rtol=0, atol=1e-5)


@pytest.mark.parametrize("gated", [False, True])
def test_fingerprint_does_not_depend_on_the_file(gated: bool, tmp_path: Path) -> None:
    model = tiny_model(gated=gated)
    prints = {
        load_backbone(save(write(model), tmp_path / f"{naming}{suffix}"), device="cpu").fingerprint
        for naming, write in NAMINGS.items()
        for suffix in (".safetensors", ".pth")
    }
    assert len(prints) == 1


def test_fingerprint_tells_weights_and_arithmetic_apart(tmp_path: Path) -> None:
    first = save(official(tiny_model()), tmp_path / "first.safetensors")
    second = save(official(tiny_model(seed=1)), tmp_path / "second.safetensors")
    satellite = save(official(tiny_model()), tmp_path / "first-sat493m.safetensors")
    prints = [load_backbone(path, device="cpu").fingerprint for path in (first, second, satellite)]
    prints.append(load_backbone(first, device="cpu", dtype="bfloat16").fingerprint)
    assert len(set(prints)) == 4
    same = [same_weights(prints[0], other) for other in prints]
    assert same == [True, False, False, True]
    assert load_backbone(first, device="cpu").fingerprint == prints[0]


def test_biases_of_zeros_are_no_biases(tmp_path: Path) -> None:
    """The official files hold zero biases, timm's ungated ones leave them out."""
    model = tiny_model()
    for name, parameter in model.named_parameters():
        if name.endswith(("q_proj.bias", "v_proj.bias")):
            parameter.data.zero_()
    timm = {k: v for k, v in to_timm(model).items() if not k.endswith(("q_bias", "v_bias"))}
    with_zeros = load_backbone(save(official(model), tmp_path / "a.safetensors"), device="cpu")
    without = load_backbone(save(timm, tmp_path / "b.safetensors"), device="cpu")
    assert with_zeros.fingerprint == without.fingerprint
    torch.testing.assert_close(
        with_zeros.embed_patches(pixels()), without.embed_patches(pixels()), rtol=0, atol=1e-5
    )


def test_folder_of_save_pretrained(tmp_path: Path) -> None:
    model = tiny_model(dim=96, heads=2)  # heads that shapes alone do not tell
    model.save_pretrained(tmp_path / "model")
    backbone = load_backbone(tmp_path / "model", device="cpu")
    expected = tokens_of(model, pixels())[:, 5:]
    assert backbone.name == "model"
    torch.testing.assert_close(backbone.embed_patches(pixels()), expected, rtol=0, atol=1e-5)


def test_sharded_folder(tmp_path: Path) -> None:
    model = tiny_model()
    model.save_pretrained(tmp_path / "model", max_shard_size="100KB")
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 1
    whole = load_backbone(save(official(model), tmp_path / "w.safetensors"), device="cpu")
    sharded = load_backbone(str(tmp_path / "model"), device="cpu")
    assert sharded.fingerprint == whole.fingerprint


def test_half_precision_file_is_computed_in_float32(tmp_path: Path) -> None:
    state = {key: value.half() for key, value in official(tiny_model()).items()}
    backbone = load_backbone(save(state, tmp_path / "half.safetensors"), device="cpu")
    assert backbone.dtype == "float32"
    assert backbone.embed_patches(pixels()).dtype == torch.float32


def test_meta_checkpoint_inside_a_training_state(tmp_path: Path) -> None:
    model = tiny_model()
    state = {"teacher": {f"backbone.{key}": value for key, value in to_meta(model).items()}}
    torch.save(state, tmp_path / "teacher.pth")
    backbone = load_backbone(tmp_path / "teacher.pth", device="cpu")
    expected = tokens_of(model, pixels())[:, 5:]
    torch.testing.assert_close(backbone.embed_patches(pixels()), expected, rtol=0, atol=1e-5)


def test_statistics_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    tiny_model().save_pretrained(folder)
    assert load_backbone(folder, device="cpu").mean == (0.485, 0.456, 0.406)
    statistics = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (folder / "preprocessor_config.json").write_text(json.dumps(statistics))
    backbone = load_backbone(folder, device="cpu")
    assert (backbone.mean, backbone.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_satellite_statistics_by_name(tmp_path: Path) -> None:
    path = tmp_path / "dinov3_vitl16_pretrain_sat493m.safetensors"
    save_file(official(tiny_model()), path)
    backbone = load_backbone(path, device="cpu")
    assert (backbone.mean, backbone.std) == ((0.430, 0.411, 0.296), (0.213, 0.156, 0.143))

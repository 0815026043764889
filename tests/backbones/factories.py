"""Tiny models, their three namings, and a local cache of the hub, made from nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from transformers import DINOv3ViTConfig, DINOv3ViTModel

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"

State = dict[str, torch.Tensor]


def tiny_model(
    dim: int = 64,
    layers: int = 2,
    heads: int = 1,
    gated: bool = False,
    seed: int = 0,
    registers: int = 4,
) -> DINOv3ViTModel:
    """A DINOv3 ViT in which every tensor is random, biases and layer scales included."""
    config = DINOv3ViTConfig(
        hidden_size=dim,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * dim,
        use_gated_mlp=gated,
        hidden_act="silu" if gated else "gelu",
        num_register_tokens=registers,
    )
    model = DINOv3ViTModel(config)
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    for name, parameter in model.named_parameters():
        if "norm" in name or "layer_scale" in name:
            parameter.data += 1.0
    return model.eval()


def official(model: DINOv3ViTModel) -> State:
    """The state under the names of the official files on the hub."""
    state = model.state_dict()
    return {key.removeprefix("model."): value.clone() for key, value in state.items()}


def without_query_value_biases(state: State) -> State:
    """As timm's ungated files are: the official biases are zeros."""
    return {k: v for k, v in state.items() if not k.endswith(("q_proj.bias", "v_proj.bias"))}


def to_timm(model: DINOv3ViTModel) -> State:
    """The state as timm names it, with separate query and value biases (its qkvb variants)."""
    old = official(model)
    new = _stem(old) | {"reg_token": old["embeddings.register_tokens"]}
    for layer in range(model.config.num_hidden_layers):
        a, b = f"layer.{layer}.", f"blocks.{layer}."
        new |= _common(old, a, b)
        new[b + "attn.q_bias"] = old[a + "attention.q_proj.bias"]
        new[b + "attn.v_bias"] = old[a + "attention.v_proj.bias"]
        new[b + "gamma_1"] = old[a + "layer_scale1.lambda1"]
        new[b + "gamma_2"] = old[a + "layer_scale2.lambda1"]
        names = ("fc1_g", "fc1_x", "fc2") if model.config.use_gated_mlp else ("", "fc1", "fc2")
        new |= _feed_forward(old, a, b, names)
    return {key: value.clone() for key, value in new.items()}


def to_meta(model: DINOv3ViTModel) -> State:
    """The state as Meta's .pth files name it, with what is dropped on conversion."""
    old = official(model)
    dim = model.config.hidden_size
    new = _stem(old) | {"storage_tokens": old["embeddings.register_tokens"]}
    new["mask_token"] = old["embeddings.mask_token"].reshape(1, dim)
    new["rope_embed.periods"] = torch.ones(16)
    new["local_cls_norm.weight"] = torch.ones(dim)
    for layer in range(model.config.num_hidden_layers):
        a, b = f"layer.{layer}.", f"blocks.{layer}."
        new |= _common(old, a, b)
        query, value = (old[a + f"attention.{name}_proj.bias"] for name in "qv")
        new[b + "attn.qkv.bias"] = torch.cat([query, torch.full((dim,), 7.0), value])
        ones = torch.ones(dim)
        new[b + "attn.qkv.bias_mask"] = torch.cat([ones, torch.zeros(dim), ones])
        new[b + "ls1.gamma"] = old[a + "layer_scale1.lambda1"]
        new[b + "ls2.gamma"] = old[a + "layer_scale2.lambda1"]
        names = ("w1", "w2", "w3") if model.config.use_gated_mlp else ("", "fc1", "fc2")
        new |= _feed_forward(old, a, b, names)
    return {key: value.clone() for key, value in new.items()}


def _stem(old: State) -> State:
    return {
        "cls_token": old["embeddings.cls_token"],
        "patch_embed.proj.weight": old["embeddings.patch_embeddings.weight"],
        "patch_embed.proj.bias": old["embeddings.patch_embeddings.bias"],
        "norm.weight": old["norm.weight"],
        "norm.bias": old["norm.bias"],
    }


def _common(old: State, a: str, b: str) -> State:
    projections = [old[a + f"attention.{name}_proj.weight"] for name in "qkv"]
    new = {b + "attn.qkv.weight": torch.cat(projections)}
    for class_name in ("weight", "bias"):
        new[b + f"attn.proj.{class_name}"] = old[a + f"attention.o_proj.{class_name}"]
        new[b + f"norm1.{class_name}"] = old[a + f"norm1.{class_name}"]
        new[b + f"norm2.{class_name}"] = old[a + f"norm2.{class_name}"]
    return new


def _feed_forward(old: State, a: str, b: str, names: tuple[str, str, str]) -> State:
    mine = ("gate_proj", "up_proj", "down_proj")
    return {
        f"{b}mlp.{theirs}.{class_name}": old[f"{a}mlp.{ours}.{class_name}"]
        for ours, theirs in zip(mine, names, strict=True)
        if theirs
        for class_name in ("weight", "bias")
    }


def pixels(rows: int = 3, columns: int = 5, batch: int = 1) -> torch.Tensor:
    """Random normalised pixels of a grid of patches."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, 16 * rows, 16 * columns, generator=generator)


def tokens_of(model: DINOv3ViTModel, values: torch.Tensor) -> torch.Tensor:
    """What transformers itself answers, CLS and registers included."""
    with torch.no_grad():
        return model(values).last_hidden_state


def save(state: State, path: Path) -> Path:
    """Write a state as .safetensors or .pth, by the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def cache(root: Path, repo: str, state: State | None = None, **texts: str) -> Path:
    """Lay files out as the hub's local cache does; `config="…"` becomes config.json."""
    base = root / f"models--{repo.replace('/', '--')}"
    snapshot = base / "snapshots" / COMMIT
    snapshot.mkdir(parents=True, exist_ok=True)
    (base / "refs").mkdir(exist_ok=True)
    (base / "refs" / "main").write_text(COMMIT)
    if state is not None:
        save_file(state, snapshot / "model.safetensors")
    for name, text in texts.items():
        (snapshot / f"{name}.json").write_text(text)
    return snapshot


def response(status: int) -> SimpleNamespace:
    """As much of an HTTP response as the errors of huggingface_hub look at."""
    return SimpleNamespace(status_code=status, headers={}, request=None)

"""The names of tensors of Hugging Face, timm and Meta, and their conversion into one.

The canonical naming is that of the official `model.safetensors` on the hub (`layer.N…`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_dinov3_sim.backbones.errors import WrongModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch

    from napari_dinov3_sim.backbones.registry import Naming

# timm's and Meta's names never contradict each other, so one table serves both.
_RENAMES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^cls_token$", "embeddings.cls_token"),
        (r"^mask_token$", "embeddings.mask_token"),
        (r"^(reg_token|storage_tokens)$", "embeddings.register_tokens"),
        (r"^patch_embed\.proj\.", "embeddings.patch_embeddings."),
        (r"^blocks\.(\d+)\.", r"layer.\1."),
        (r"\.attn\.proj\.", ".attention.o_proj."),
        (r"\.attn\.([qkv])_bias$", r".attention.\1_proj.bias"),
        (r"\.gamma_([12])$", r".layer_scale\1.lambda1"),
        (r"\.ls([12])\.gamma$", r".layer_scale\1.lambda1"),
        (r"\.mlp\.(fc1_g|w1)\.", ".mlp.gate_proj."),
        (r"\.mlp\.(fc1_x|fc1|w2)\.", ".mlp.up_proj."),
        (r"\.mlp\.(fc2|w3)\.", ".mlp.down_proj."),
    )
]

# RoPE frequencies are recomputed; the other norms act on CLS tokens only.
_DROPPED = ("rope.", "rope_embed.", "local_cls_norm.", "cls_norm.")


def detect_naming(keys: Iterable[str], model: str) -> Naming:
    """Detect from the names of its tensors who wrote a file.

    Parameters
    ----------
    keys : iterable of str
        Names of the tensors.
    model : str
        Name for the message.

    Returns
    -------
    {"huggingface", "timm", "meta"}

    Raises
    ------
    WrongModelError
        These are not the tensors of a DINOv3 ViT; the message says what they look like.
    """
    names = set(keys)
    has_position = any("pos_embed" in name or "position_embed" in name for name in names)
    if not has_position and {"embeddings.patch_embeddings.weight"} <= names:
        return "huggingface"
    if not has_position and "patch_embed.proj.weight" in names:
        if "storage_tokens" in names or "blocks.0.ls1.gamma" in names:
            return "meta"
        if "reg_token" in names or "blocks.0.gamma_1" in names:
            return "timm"
    raise WrongModelError(model, f"the weights are those of {_guess(names)}")


def canonical(
    state: Mapping[str, torch.Tensor], naming: Naming, model: str
) -> dict[str, torch.Tensor]:
    """Rename, split and complete weights into the canonical naming, as float32.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        As read from a file.
    naming : {"huggingface", "timm", "meta"}
        From `detect_naming`.
    model : str
        Name for the message.

    Returns
    -------
    dict of str to torch.Tensor

    Raises
    ------
    WrongModelError
        A fused projection does not split in three.
    """
    if naming == "huggingface":
        renamed = {key.removeprefix("model."): tensor for key, tensor in state.items()}
    else:
        renamed = _split_projections({_rename(key): state[key] for key in state}, model)
        renamed = _with_mask_token(renamed)
    return {
        key: tensor.float().contiguous()
        for key, tensor in renamed.items()
        if not key.startswith(_DROPPED)
    }


def _rename(key: str) -> str:
    for pattern, replacement in _RENAMES:
        key = pattern.sub(replacement, key)
    return key


def _with_mask_token(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    # timm has none and Meta's is (1, D); it is never used outside training.
    cls = state.get("embeddings.cls_token")
    if cls is None:
        return state
    mask = state.get("embeddings.mask_token", cls.new_zeros(cls.shape))
    return state | {"embeddings.mask_token": mask.reshape(cls.shape)}


def _split_projections(state: dict[str, torch.Tensor], model: str) -> dict[str, torch.Tensor]:
    split: dict[str, torch.Tensor] = {}
    for key, tensor in state.items():
        stem, fused, part = key.partition(".attn.qkv.")
        if not fused:
            split[key] = tensor
        elif part != "bias_mask":
            split |= _three(stem, part, tensor, model)
    masked = [key.partition(".attn.qkv.")[0] for key in state if key.endswith(".qkv.bias_mask")]
    _drop_key_biases(split, masked)
    return split


def _three(stem: str, part: str, tensor: torch.Tensor, model: str) -> dict[str, torch.Tensor]:
    if tensor.shape[0] % 3:
        raise WrongModelError(
            model, f"{stem}.attn.qkv.{part} has {tensor.shape[0]} rows, not three times the width"
        )
    return {
        f"{stem}.attention.{name}_proj.{part}": third
        for name, third in zip("qkv", tensor.chunk(3), strict=True)
    }


def _drop_key_biases(state: dict[str, torch.Tensor], masked: list[str]) -> None:
    # Meta's models multiply the key bias by a mask of zeros; a bias of zeros is no bias.
    for key in [key for key in state if key.endswith("k_proj.bias")]:
        if key.partition(".attention.")[0] in masked or not bool(state[key].any()):
            del state[key]


def _guess(names: set[str]) -> str:
    hints = (
        (("pos_embed", "position_embed"), "a ViT with learned positions (DINOv2, for example)"),
        (("downsample_layers", "stages."), "a ConvNeXt"),
        (("layer1.0.conv1", "layer.0.convolution"), "a ResNet"),
    )
    for fragments, guess in hints:
        if any(fragment in name for name in names for fragment in fragments):
            return guess
    example = min(names, default="nothing at all")
    return f"another network (its first tensor is {example})"

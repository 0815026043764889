"""The weights of a DINOv3 ViT as its encoders use them.

Query, key and value are one product; the scale of attention and the layer scales are part of the
weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

Linear = tuple[torch.Tensor, torch.Tensor | None]
"""Weight, (outputs, inputs), and bias of a linear layer."""

Norm = tuple[torch.Tensor, torch.Tensor]
"""Weight and bias of a layer norm."""


@dataclass(frozen=True)
class EncoderNumbers:
    """What the shapes of the weights do not show; the names are those of transformers.

    Attributes
    ----------
    num_attention_heads, patch_size : int
    hidden_act : str
        "gelu" (exact) or "silu".
    layer_norm_eps, rope_theta : float
    """

    num_attention_heads: int
    patch_size: int
    hidden_act: str
    layer_norm_eps: float
    rope_theta: float


class LayerWeights(NamedTuple):
    """The weights of one layer; `gate` is None where its feed-forward network has none.

    The queries of `qkv` are divided by the root of the length of a head, and the layer scales are
    in `output` and `down`.
    """

    norm1: Norm
    qkv: Linear
    output: Linear
    norm2: Norm
    gate: Linear | None
    up: Linear
    down: Linear


class EncoderWeights(NamedTuple):
    """All weights, contiguous, on the processor, float32 unless something else is said.

    Attributes
    ----------
    prefix : torch.Tensor, shape (1 + registers, D)
        CLS token and register tokens.
    patches : Linear
        The embedding of pixels, as the weights have it: (D, 3, side, side).
    norm : Norm
        The last one.
    layers : tuple of LayerWeights
        Of the dtype that was asked for, but for their norms.
    """

    prefix: torch.Tensor
    patches: Linear
    norm: Norm
    layers: tuple[LayerWeights, ...]


def encoder_weights(
    state: Mapping[str, torch.Tensor],
    numbers: EncoderNumbers,
    dtype: torch.dtype = torch.float32,
) -> EncoderWeights:
    """Return the weights for an encoder; nothing is shared with `state`.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        Canonical float32 weights, named as in the official files, on any device.
    numbers : EncoderNumbers
    dtype : torch.dtype, optional
        Of the products of all layers.
    """
    prefix = [state["embeddings.cls_token"], state["embeddings.register_tokens"]]
    kept = _kept(torch.cat([one.to("cpu") for one in prefix], dim=1)[0])
    return EncoderWeights(
        kept,
        _pair(state, "embeddings.patch_embeddings"),
        _normalisation(state, "norm"),
        tuple(_layer(layer, numbers, dtype) for layer in _layers_of(state)),
    )


def _layer(
    state: Mapping[str, torch.Tensor], numbers: EncoderNumbers, dtype: torch.dtype
) -> LayerWeights:
    query, key, value = (_pair(state, f"attention.{name}_proj") for name in "qkv")
    scale = 1 / math.sqrt(len(query[0]) // numbers.num_attention_heads)
    qkv = [_scaled(query, scale), key, value]
    output, down = (
        _scaled(_pair(state, name), _copied(state[f"{scale_of}.lambda1"]))
        for name, scale_of in (
            ("attention.o_proj", "layer_scale1"),
            ("mlp.down_proj", "layer_scale2"),
        )
    )
    is_gated = "mlp.gate_proj.weight" in state
    return LayerWeights(
        _normalisation(state, "norm1"),
        _cast(_joined(qkv), dtype),
        _cast(output, dtype),
        _normalisation(state, "norm2"),
        _cast(_pair(state, "mlp.gate_proj"), dtype) if is_gated else None,
        _cast(_pair(state, "mlp.up_proj"), dtype),
        _cast(down, dtype),
    )


def _cast(pair: Linear, dtype: torch.dtype) -> Linear:
    weight, bias = pair
    return _kept(weight.to(dtype)), None if bias is None else _kept(bias.to(dtype))


def _layers_of(state: Mapping[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    layers: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in state.items():
        if name.startswith("layer."):
            _, number, rest = name.split(".", 2)
            layers.setdefault(int(number), {})[rest] = tensor
    return [layers[number] for number in sorted(layers)]


def _kept(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().contiguous()


def _pair(state: Mapping[str, torch.Tensor], name: str) -> Linear:
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    return _copied(weight), None if bias is None else _copied(bias)


def _normalisation(state: Mapping[str, torch.Tensor], name: str) -> Norm:
    return _copied(state[f"{name}.weight"]), _copied(state[f"{name}.bias"])


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    return _kept(tensor.to("cpu", torch.float32, copy=True))


def _scaled(pair: Linear, scale: float | torch.Tensor) -> Linear:
    """Return the weights that give `scale` times the result, one scale for each output."""
    weight, bias = pair
    each = scale[:, None] if isinstance(scale, torch.Tensor) else scale
    return weight * each, None if bias is None else bias * scale


def _joined(pairs: list[Linear]) -> Linear:
    """Return one linear map for several of the same input; what has no bias gets zeros."""
    weights = [weight for weight, _ in pairs]
    biases = [weight.new_zeros(len(weight)) if bias is None else bias for weight, bias in pairs]
    has_bias = any(bias is not None for _, bias in pairs)
    return torch.cat(weights), torch.cat(biases) if has_bias else None

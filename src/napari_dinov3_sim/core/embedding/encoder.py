"""The forward pass of a DINOv3 ViT, written for processors and CUDA devices.

It computes what `transformers.DINOv3ViTModel` computes, with the same weights, in half to a third
of the time (`benchmarks/bench_embed.py`). On a processor, attention goes through blocks of
queries that stay in the cache, and on x86 products are oneDNN's (`_onednn`). On a CUDA device
attention is torch's fused kernel, and nothing waits for the device.
"""

from __future__ import annotations

import copy
import functools
import math
import platform
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import torch
from torch.nn import functional

from napari_dinov3_sim.core.embedding.encoder_weights import (
    EncoderNumbers,
    LayerWeights,
    encoder_weights,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BLOCK_SCORES = 2**20
"""Scores of a block of queries with all keys, for each thread: 4 MiB in float32."""

MOST_SCORES = 2**22
"""Scores of a block in all; for larger ones the system would give fresh pages each time."""

LEAST_QUERIES, MOST_QUERIES = 64, 640
"""Queries of a block; from about 768 on, oneDNN takes twice as long for each (float32)."""


class Tokens(NamedTuple):
    """The result, under the name that transformers gives it.

    Attributes
    ----------
    last_hidden_state : torch.Tensor, shape (B, 1 + registers + patches, D), float32
        CLS token, register tokens, and patches row by row, final layer norm applied.
    """

    last_hidden_state: torch.Tensor


class Encoder:
    """A ViT in float32 or bfloat16, made on the processor.

    In bfloat16 are the weights of all layers and what goes into their products. The embedding of
    pixels, the sums of the residual branch, layer norms, the rotation of positions and the sums
    inside of products and softmax are float32. On a device, whose memory is what all but the
    products wait for, pixels are rounded to bfloat16, the residual branch is after each sum, and
    so are the weights of all layer norms but the last.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        Canonical float32 weights, named as in the official files; copied, and brought to the CPU.
    numbers : EncoderNumbers
    dtype : torch.dtype, optional
        torch.float32 or torch.bfloat16.
    """

    def __init__(
        self,
        state: Mapping[str, torch.Tensor],
        numbers: EncoderNumbers,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.numbers, self.dtype = numbers, dtype
        self._linear = _best_linear(dtype)
        self._prefix, self._patches, self._norm, self._layers = encoder_weights(
            state, numbers, dtype
        )
        self._round_between(torch.float32)

    @property
    def device(self) -> torch.device:
        """Where the weights are, and the pixels have to be."""
        return self._prefix.device

    def to(self, device: torch.device | str) -> Encoder:
        """Return an encoder with the same weights on another device."""
        moved = copy.copy(self)
        moved._prefix = self._prefix.to(device)
        moved._patches, moved._norm = _on(self._patches, device), _on(self._norm, device)
        moved._layers = tuple(_layer_on(layer, device) for layer in self._layers)
        is_cpu = moved.device.type == "cpu"
        moved._linear = _best_linear(self.dtype) if is_cpu else _plain
        moved._round_between(torch.float32 if is_cpu else self.dtype)
        return moved

    def parameters(self) -> Iterator[torch.Tensor]:
        """Return all weights, as this class keeps them."""
        yield self._prefix
        pairs = [self._patches, self._norm]
        pairs += [pair for layer in self._layers for pair in layer if pair is not None]
        for weight, bias in pairs:
            yield weight
            if bias is not None:
                yield bias

    def __call__(self, pixels: torch.Tensor) -> Tokens:
        """Encode a batch of normalised images.

        Parameters
        ----------
        pixels : torch.Tensor, shape (B, 3, H, W), float32
            On the device of the weights; sides are multiples of the patch size.
        """
        side, eps = self.numbers.patch_size, self.numbers.layer_norm_eps
        batch, rows, columns = len(pixels), pixels.shape[2] // side, pixels.shape[3] // side
        head = self._prefix.shape[1] // self.numbers.num_attention_heads
        angles = patch_angles(rows, columns, head, self.numbers.rope_theta, self.device)
        tokens = self._embedded(pixels.to(self._between))
        shape = tokens.shape
        tokens = tokens.flatten(0, 1)
        for layer, (norm1, norm2) in zip(self._layers, self._norms, strict=True):
            normed = functional.layer_norm(tokens, shape[2:], *norm1, eps).to(self.dtype)
            qkv = self._linear(normed, *layer.qkv).view(batch, shape[1], -1)
            tokens += self._linear(self._attention(qkv, angles), *layer.output)
            normed = functional.layer_norm(tokens, shape[2:], *norm2, eps).to(self.dtype)
            tokens += self._linear(self._hidden(normed, layer), *layer.down)
        last = functional.layer_norm(tokens.float(), shape[2:], *self._norm, eps)
        return Tokens(last.view(shape))

    def _round_between(self, dtype: torch.dtype) -> None:
        """Set what the residual branch is, and round what goes into its sums."""
        self._between = dtype
        weight, bias = self._patches
        self._embedding = weight.flatten(1).to(dtype), None if bias is None else bias.to(dtype)
        # Kernels of devices take no weights of another dtype than that of what they normalise.
        pairs = ((layer.norm1, layer.norm2) for layer in self._layers)
        self._norms = tuple(
            ((a.to(dtype), b.to(dtype)), (c.to(dtype), d.to(dtype))) for (a, b), (c, d) in pairs
        )

    def _embedded(self, pixels: torch.Tensor) -> torch.Tensor:
        squares = squares_of(pixels, self.numbers.patch_size)
        patches = self._linear(squares.flatten(0, 1), *self._embedding)
        patches = patches.view(*squares.shape[:2], -1)
        prefix = self._prefix.to(patches.dtype).expand(len(patches), -1, -1)
        return torch.cat([prefix, patches], dim=1)

    def _hidden(self, normed: torch.Tensor, layer: LayerWeights) -> torch.Tensor:
        is_gelu = self.numbers.hidden_act == "gelu"
        if layer.gate is None and is_gelu:
            return self._linear(normed, *layer.up, gelu=True)
        activation = functional.gelu if is_gelu else functional.silu
        up = self._linear(normed, *layer.up)
        if layer.gate is None:
            return activation(up)
        return activation(self._linear(normed, *layer.gate)) * up

    def _attention(
        self, qkv: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        """Return the weighted values of all heads, (B * N, D), from (B, N, 3 D)."""
        batch, tokens, _ = qkv.shape
        heads = self.numbers.num_attention_heads
        qkv = qkv.view(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
        rotated = _rotated if self.device.type == "cpu" else _rotated_in_passing
        query, key = rotated(qkv[:2], *angles)
        if self._linear is _plain:
            found = functional.scaled_dot_product_attention(query, key, qkv[2], scale=1.0)
            return found.transpose(1, 2).reshape(batch * tokens, -1)
        found = torch.empty(batch, tokens, heads, qkv.shape[-1], dtype=self.dtype)
        values = qkv[2].transpose(-1, -2).contiguous()
        size = _block_size(tokens)
        for image in range(batch):
            for head in range(heads):
                keys, weighted = key[image, head], values[image, head]
                for start in range(0, tokens, size):
                    block = slice(start, start + size)
                    scores = self._linear(query[image, head, block], keys, None)
                    shares = scores.softmax(dim=-1)
                    found[image, block, head] = self._linear(shares, weighted, None)
        return found.view(batch * tokens, -1)


def cosine_agreement(first: torch.Tensor, second: torch.Tensor) -> tuple[float, float]:
    """Return the mean and the smallest cosine of corresponding vectors, along the last axis."""
    cosine = functional.cosine_similarity(first.double(), second.double(), dim=-1)
    return float(cosine.mean()), float(cosine.min())


class _Linear(Protocol):
    def __call__(
        self,
        values: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        gelu: bool = False,
    ) -> torch.Tensor:
        """Return values @ weight.T + bias, and its exact GELU if asked for."""


def _plain(
    values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, gelu: bool = False
) -> torch.Tensor:
    found = functional.linear(values, weight, bias)
    return functional.gelu(found) if gelu else found


def _onednn(
    values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, gelu: bool = False
) -> torch.Tensor:
    # What torch.compile calls for a linear layer. torch's own float32 products are MKL's, which
    # leaves half of the vector units of an AMD processor idle: 112 instead of 250 GFLOP/core-s
    # on an EPYC with AVX-512, torch 2.13. All arguments must be contiguous: it does not check.
    name, algorithm = ("gelu", "none") if gelu else ("none", "")
    found: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
        values, weight, bias, name, [], algorithm
    )
    return found


@functools.cache
def _best_linear(dtype: torch.dtype) -> _Linear:
    # By rule and not by a stopwatch, so that all runs on one computer agree to the last bit.
    is_there = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if platform.machine() not in ("x86_64", "AMD64") or not is_there:
        return _plain
    values = torch.linspace(-1, 1, 64 * 8).view(8, 64).to(dtype)
    bias = torch.linspace(0, 1, 8).to(dtype)
    try:
        found = _onednn(values, values, bias, gelu=True)
    # Not a documented function, and without bfloat16 on processors with AVX2 alone.
    except (AttributeError, RuntimeError, TypeError):
        return _plain
    expected = _plain(values, values, bias, gelu=True)
    near = 1e-4 if dtype == torch.float32 else 0.02
    is_near = torch.allclose(found.float(), expected.float(), rtol=near, atol=near)
    return _onednn if is_near else _plain


def _block_size(tokens: int) -> int:
    most = min(BLOCK_SCORES * torch.get_num_threads(), MOST_SCORES)
    blocks = -(-tokens // min(MOST_QUERIES, max(LEAST_QUERIES, most // tokens)))
    return -(-tokens // blocks)


def squares_of(pixels: torch.Tensor, side: int) -> torch.Tensor:
    """Return the values of each patch of (B, C, H, W), row by row: (B, patches, C * side²)."""
    batch, colours, height, width = pixels.shape
    squares = pixels.reshape(batch, colours, height // side, side, width // side, side)
    return squares.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, colours * side * side)


@functools.lru_cache(maxsize=8)
def patch_angles(
    rows: int, columns: int, head: int, theta: float, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cosine and sine of the rotations of each patch, (rows * columns, head / 2)."""
    with torch.inference_mode(False), device:
        middles = [(torch.arange(size) + 0.5) / size for size in (rows, columns)]
        places = torch.stack(torch.meshgrid(*middles, indexing="ij"), dim=-1).flatten(0, 1)
        frequencies = 1 / theta ** torch.arange(0, 1, 4 / head)
        turns = (2 * math.pi * (2 * places - 1)[:, :, None] * frequencies).flatten(1)
        return turns.cos(), turns.sin()


def _rotated(query_key: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Turn (2, B, heads, N, d) by the places of the patches; CLS and registers have none."""
    half = query_key.shape[-1] // 2
    first = query_key.shape[-2] - len(cosine)
    found = torch.empty(query_key.shape, dtype=query_key.dtype)
    found[..., :first, :] = query_key[..., :first, :]
    x, y = query_key[..., first:, :half].float(), query_key[..., first:, half:].float()
    found[..., first:, :half] = torch.mul(x, cosine).addcmul_(y, sine, value=-1)
    found[..., first:, half:] = torch.mul(y, cosine).addcmul_(x, sine)
    return found


def _rotated_in_passing(
    query_key: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor
) -> torch.Tensor:
    """Compute what `_rotated` does, with less than half of its reading and writing.

    Each half is two kernels that widen what they read and round what they write; on a device the
    memory is what limits them. On a processor, torch does that in parts, more slowly.
    """
    half = query_key.shape[-1] // 2
    first = query_key.shape[-2] - len(cosine)
    # With heads next to each other, as the layer behind wants them: attention keeps that order.
    found = torch.empty_like(query_key.transpose(2, 3), memory_format=torch.contiguous_format)
    found = found.transpose(2, 3)
    found[..., :first, :] = query_key[..., :first, :]
    x, y = query_key[..., first:, :half], query_key[..., first:, half:]
    turned = found[..., first:, :]
    torch.addcmul(torch.mul(x, cosine), y, sine, value=-1, out=turned[..., :half])
    torch.addcmul(torch.mul(y, cosine), x, sine, out=turned[..., half:])
    return found


def _layer_on(layer: LayerWeights, device: torch.device | str) -> LayerWeights:
    return LayerWeights(
        _on(layer.norm1, device),
        _on(layer.qkv, device),
        _on(layer.output, device),
        _on(layer.norm2, device),
        None if layer.gate is None else _on(layer.gate, device),
        _on(layer.up, device),
        _on(layer.down, device),
    )


_Bias = TypeVar("_Bias", torch.Tensor, torch.Tensor | None)


def _on(
    pair: tuple[torch.Tensor, _Bias], device: torch.device | str
) -> tuple[torch.Tensor, _Bias]:
    weight, bias = pair
    return weight.to(device), None if bias is None else bias.to(device)

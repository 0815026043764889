"""The forward pass of a DINOv3 ViT, computed by OpenVINO on a processor.

The graph is built here, operation by operation, from the weights that `encoder.Encoder` uses;
nothing is traced or converted. Its sides are open: one compiled model takes images of all sizes.
"""

from __future__ import annotations

import functools
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_dinov3_sim.core.embedding.encoder import Tokens, patch_angles, squares_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.embedding.encoder_weights import (
        EncoderNumbers,
        EncoderWeights,
        LayerWeights,
        Linear,
        Norm,
    )

Node = Any
"""An operation of a graph of OpenVINO, which declares no types."""


def _import_openvino() -> Any:
    # `import openvino` also imports its converter, which reports that to Google Analytics. Where
    # the package that sends it cannot be imported, it goes on without.
    reporter = "openvino_telemetry"
    is_there = reporter in sys.modules
    if not is_there:
        sys.modules[reporter] = None  # type: ignore[assignment]
    try:
        return import_module("openvino")
    finally:
        if not is_there:
            del sys.modules[reporter]


openvino = _import_openvino()
ops = import_module("openvino.opset13")

PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
"""What OpenVINO calls a dtype."""


class OpenVINOEncoder:
    """A ViT that OpenVINO has compiled for this processor.

    In bfloat16, OpenVINO rounds what goes into its products and what lies between them; what it
    gives back is float32.

    Parameters
    ----------
    weights : EncoderWeights
        In float32.
    numbers : EncoderNumbers
    dtype : str
        "float32" or "bfloat16".

    Raises
    ------
    RuntimeError
        OpenVINO cannot compile the model here.
    """

    def __init__(self, weights: EncoderWeights, numbers: EncoderNumbers, dtype: str) -> None:
        self.numbers = numbers
        self._prefix, dim = weights.prefix.shape
        self._head = dim // numbers.num_attention_heads
        options = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[dtype],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # Or all processes with fewer threads than cores would compute on the first cores.
            "ENABLE_CPU_PINNING": False,
        }
        # Not kept in a file (CACHE_DIR): reading it back was no faster than compiling.
        compiled = openvino.Core().compile_model(_graph(weights, numbers), "CPU", options)
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, pixels: torch.Tensor) -> Tokens:
        """Encode a batch of normalised images.

        Parameters
        ----------
        pixels : torch.Tensor, shape (B, 3, H, W), float32
            On the processor; sides are multiples of the patch size.
        """
        side = self.numbers.patch_size
        squares = squares_of(pixels, side)
        rows, columns = pixels.shape[2] // side, pixels.shape[3] // side
        turns = _turns(rows, columns, self._prefix, self._head, self.numbers.rope_theta)
        with self._lock:  # a request works on one batch at a time, in memory that it uses again
            self._request.infer([squares.numpy(), *turns], share_inputs=True)
            found = torch.from_numpy(self._request.get_output_tensor().data.copy())
        return Tokens(found)


@functools.lru_cache(maxsize=8)
def _turns(
    rows: int, columns: int, prefix: int, head: int, theta: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return cosine and sine for all tokens and both halves of a head; the first ones stay."""
    cosine, sine = (
        angle.repeat(1, 2).numpy()
        for angle in patch_angles(rows, columns, head, theta, torch.device("cpu"))
    )
    stay = (prefix, head)
    return (
        np.concatenate([np.ones(stay, np.float32), cosine]),
        np.concatenate([np.zeros(stay, np.float32), sine]),
    )


def _graph(weights: EncoderWeights, numbers: EncoderNumbers) -> Any:
    prefix, dim = weights.prefix.shape
    head = dim // numbers.num_attention_heads
    squares = ops.parameter([-1, -1, 3 * numbers.patch_size**2], np.float32)
    turns = tuple(ops.parameter([-1, head], np.float32) for _ in range(2))
    embedding, bias = weights.patches
    patches = _linear(squares, (embedding.flatten(1), bias))
    batch = ops.gather(ops.shape_of(patches), _integers(0), _integers(0))
    shape = ops.concat([batch, _integers(prefix), _integers(dim)], 0)
    tokens = ops.concat([ops.broadcast(_constant(weights.prefix[None]), shape), patches], 1)
    for layer in weights.layers:
        normed = _normed(tokens, layer.norm1, numbers)
        tokens = ops.add(tokens, _linear(_attention(normed, layer, turns, head), layer.output))
        normed = _normed(tokens, layer.norm2, numbers)
        tokens = ops.add(tokens, _linear(_hidden(normed, layer, numbers), layer.down))
    return openvino.Model([_normed(tokens, weights.norm, numbers)], [squares, *turns])


def _attention(normed: Node, layer: LayerWeights, turns: tuple[Node, ...], head: int) -> Node:
    joined = ops.split(_linear(normed, layer.qkv), _scalar(2), 3).outputs()
    apart, together = _integers(0, 0, -1, head), _integers(0, 0, -1)
    order = _integers(0, 2, 1, 3)
    query, key, value = (ops.transpose(ops.reshape(one, apart, True), order) for one in joined)
    scores = ops.matmul(_turned(query, *turns), _turned(key, *turns), False, True)
    found = ops.matmul(ops.softmax(scores, -1), value, False, False)
    return ops.reshape(ops.transpose(found, order), together, True)


def _turned(heads: Node, cosine: Node, sine: Node) -> Node:
    x, y = ops.split(heads, _scalar(3), 2).outputs()
    crossed = ops.concat([ops.negative(y), x], 3)
    return ops.add(ops.multiply(heads, cosine), ops.multiply(crossed, sine))


def _hidden(normed: Node, layer: LayerWeights, numbers: EncoderNumbers) -> Node:
    def activated(values: Node) -> Node:
        return ops.gelu(values, "erf") if numbers.hidden_act == "gelu" else ops.swish(values)

    up = _linear(normed, layer.up)
    if layer.gate is None:
        return activated(up)
    return ops.multiply(activated(_linear(normed, layer.gate)), up)


def _linear(values: Node, pair: Linear) -> Node:
    weight, bias = pair
    product = ops.matmul(values, _constant(weight), False, True)
    return product if bias is None else ops.add(product, _constant(bias))


def _normed(values: Node, pair: Norm, numbers: EncoderNumbers) -> Node:
    weight, bias = pair
    found = ops.mvn(values, _integers(-1), True, numbers.layer_norm_eps, "INSIDE_SQRT")
    return ops.add(ops.multiply(found, _constant(weight)), _constant(bias))


def _constant(values: torch.Tensor) -> Node:
    return ops.constant(values.numpy(), shared_memory=True)


def _integers(*values: int) -> Node:
    return ops.constant(np.array(values, np.int64))


def _scalar(value: int) -> Node:
    return ops.constant(np.int64(value))

"""A transformers model, built from canonical weights."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.backbones.background_import import encoder_classes
from napari_dinov3_sim.backbones.errors import WrongModelError
from napari_dinov3_sim.backbones.registry import MODELS, ModelRecord

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from transformers import DINOv3ViTModel

    from napari_dinov3_sim.core.embedding.encoder import Encoder
    from napari_dinov3_sim.core.embedding.encoder_weights import EncoderNumbers
    from napari_dinov3_sim.core.embedding.openvino_encoder import OpenVINOEncoder

ACTIVATIONS = ("gelu", "silu")
"""Of the feed-forward parts of DINOv3."""

_LAYER = re.compile(r"^layer\.(\d{1,6})\.")


@dataclass(frozen=True)
class Architecture:
    """The numbers that build a `DINOv3ViTModel`, under its configuration's own names."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    patch_size: int
    num_register_tokens: int
    use_gated_mlp: bool
    query_bias: bool
    key_bias: bool
    value_bias: bool
    hidden_act: str
    layer_norm_eps: float = 1e-5
    rope_theta: float = 100.0


def infer_architecture(
    state: Mapping[str, torch.Tensor], config: Mapping[str, Any] | None, model: str
) -> Architecture:
    """Read the architecture off the shapes of canonical weights.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        From `tensor_names.canonical`.
    config : mapping or None
        A `config.json` of transformers. It supplies what shapes do not show: heads, activation,
        epsilon and RoPE base. Without it heads are 64 wide (128 wide at width 4096), as in every
        official model, and the rest is DINOv3's.
    model : str
        Name for the message.

    Returns
    -------
    Architecture

    Raises
    ------
    WrongModelError
        A tensor is missing, or the configuration contradicts the weights.
    """
    for key in _LANDMARKS:
        if key not in state:
            raise WrongModelError(model, f"the weights lack {key}")
    inferred = _from_shapes(state)
    if inferred.num_hidden_layers > len(state):  # before any of them is made
        raise WrongModelError(
            model, f"the weights lack most of {inferred.num_hidden_layers} layers"
        )
    found = inferred if config is None else _completed(inferred, config, model)
    _check_possible(found, model)
    return found


_LANDMARKS = (
    "embeddings.cls_token",
    "embeddings.register_tokens",
    "embeddings.patch_embeddings.weight",
    "layer.0.mlp.up_proj.weight",
)


def _from_shapes(state: Mapping[str, torch.Tensor]) -> Architecture:
    dim = state["embeddings.cls_token"].shape[-1]
    swiglu = "layer.0.mlp.gate_proj.weight" in state
    layers = 1 + max(int(match[1]) for match in map(_LAYER.match, state) if match)
    return Architecture(
        hidden_size=dim,
        num_hidden_layers=layers,
        num_attention_heads=max(1, dim // (128 if dim >= 4096 else 64)),
        intermediate_size=state["layer.0.mlp.up_proj.weight"].shape[0],
        patch_size=state["embeddings.patch_embeddings.weight"].shape[-1],
        num_register_tokens=state["embeddings.register_tokens"].shape[1],
        use_gated_mlp=swiglu,
        query_bias="layer.0.attention.q_proj.bias" in state,
        key_bias="layer.0.attention.k_proj.bias" in state,
        value_bias="layer.0.attention.v_proj.bias" in state,
        hidden_act="silu" if swiglu else "gelu",
    )


def _completed(inferred: Architecture, config: Mapping[str, Any], model: str) -> Architecture:
    numbers = asdict(inferred)
    for key in ("hidden_size", "num_hidden_layers", "intermediate_size", "patch_size"):
        if config.get(key, numbers[key]) != numbers[key]:
            raise WrongModelError(
                model,
                f"config.json says {key} {config[key]} and the weights say {numbers[key]}",
                "put config.json and model.safetensors of one model into the folder",
            )
    invisible = ("num_attention_heads", "hidden_act", "layer_norm_eps", "rope_theta")
    return Architecture(**numbers | {key: config[key] for key in invisible if key in config})


def _check_possible(found: Architecture, model: str) -> None:
    """Raise `WrongModelError` for what no network is built with, whoever wrote it."""
    heads, width = found.num_attention_heads, found.hidden_size
    # A head has the sines and cosines of two axes.
    has_heads = type(heads) is int and heads > 0 and width > 0 and width % (4 * heads) == 0
    numbers = {"layer_norm_eps": found.layer_norm_eps, "rope_theta": found.rope_theta}
    wrong = [] if has_heads else [f"num_attention_heads {heads}"]
    wrong += [f"{k} {v}" for k, v in numbers.items() if not is_number(v) or v <= 0]
    wrong += [] if found.patch_size > 0 else [f"patch_size {found.patch_size}"]
    wrong += [] if found.hidden_act in ACTIVATIONS else [f"hidden_act {found.hidden_act}"]
    if wrong:
        raise WrongModelError(
            model,
            f"{wrong[0]} is not of a DINOv3 ViT of width {width}",
            "put config.json and model.safetensors of one model into the folder",
        )


def is_number(value: object) -> bool:
    """Whether a value of a JSON file is a finite number."""
    return type(value) in (int, float) and -1e30 < value < 1e30  # type: ignore[operator]


def matching_record(architecture: Architecture, *, satellite: bool) -> ModelRecord | None:
    """Return the record of the registry that has this architecture, if there is one."""
    for record in MODELS.values():
        same = (record.dim, record.layers, record.ffn, record.swiglu) == (
            architecture.hidden_size,
            architecture.num_hidden_layers,
            architecture.intermediate_size,
            architecture.use_gated_mlp,
        )
        if same and record.name.endswith("-sat493m") == satellite and not record.is_builtin:
            return record
    return None


def build_model(
    state: Mapping[str, torch.Tensor], architecture: Architecture, model: str
) -> DINOv3ViTModel:
    """Build the model around the weights, in evaluation mode and without gradients.

    It is built on the meta device, so that no random weights are made first: a 7B model needs
    its memory once.

    Parameters
    ----------
    state : mapping of str to torch.Tensor
        From `tensor_names.canonical`.
    architecture : Architecture
        From `infer_architecture`.
    model : str
        Name for the message.

    Returns
    -------
    DINOv3ViTModel

    Raises
    ------
    WrongModelError
        A tensor is missing, left over or of another shape.
    """
    import torch

    config_class, model_class = encoder_classes()
    numbers = asdict(architecture)
    # JSON may write a number of these as 1 where transformers insists on 1.0.
    numbers |= {key: float(numbers[key]) for key in ("layer_norm_eps", "rope_theta")}
    config = config_class(**numbers)
    with torch.device("meta"):
        network = model_class(config)
    expected = network.state_dict()
    named = _named_as(expected, state)
    _check(expected, named, model)
    network.load_state_dict(named, strict=True, assign=True)
    _restore_buffers(network, config)
    network.train(False)
    network.requires_grad_(False)
    return network


def encoder_of(network: DINOv3ViTModel, dtype: str) -> Encoder:
    """Return the same weights with the forward pass for the CPU.

    Parameters
    ----------
    network : DINOv3ViTModel
        On any device; nothing is copied there.
    dtype : str
        "float32" or "bfloat16".
    """
    import torch

    from napari_dinov3_sim.core.embedding.encoder import Encoder

    arithmetic = torch.bfloat16 if dtype == "bfloat16" else torch.float32
    return Encoder(_state_of(network), _numbers_of(network), arithmetic)


def openvino_encoder_of(network: DINOv3ViTModel, dtype: str) -> OpenVINOEncoder:
    """Return the same weights with the forward pass that OpenVINO compiles for the CPU.

    Parameters
    ----------
    network : DINOv3ViTModel
        On any device; nothing is copied there.
    dtype : str
        "float32" or "bfloat16".

    Raises
    ------
    ImportError
        OpenVINO is not installed.
    RuntimeError
        OpenVINO cannot compile the model here.
    """
    from napari_dinov3_sim.core.embedding.encoder_weights import encoder_weights
    from napari_dinov3_sim.core.embedding.openvino_encoder import OpenVINOEncoder

    numbers = _numbers_of(network)
    return OpenVINOEncoder(encoder_weights(_state_of(network), numbers), numbers, dtype)


def _numbers_of(network: DINOv3ViTModel) -> EncoderNumbers:
    from napari_dinov3_sim.core.embedding.encoder_weights import EncoderNumbers

    return EncoderNumbers(
        **{field.name: getattr(network.config, field.name) for field in fields(EncoderNumbers)}
    )


def _state_of(network: DINOv3ViTModel) -> dict[str, torch.Tensor]:
    return {name.removeprefix("model."): value for name, value in network.state_dict().items()}


def _named_as(
    expected: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    # Releases of transformers call the blocks `layer.N` or `model.layer.N`.
    nested = any(key.startswith("model.layer.") for key in expected)
    prefix = "model." if nested else ""
    return {(prefix if _LAYER.match(key) else "") + key: value for key, value in state.items()}


def _check(
    expected: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], model: str
) -> None:
    for key in sorted(expected.keys() ^ state.keys()):
        verb = "lack" if key in expected else "hold the foreign tensor"
        raise WrongModelError(model, f"the weights {verb} {key.removeprefix('model.')}")
    for key, tensor in expected.items():
        if tensor.shape != state[key].shape:
            shapes = f"{tuple(state[key].shape)} instead of {tuple(tensor.shape)}"
            raise WrongModelError(model, f"the tensor {key} has the shape {shapes}")


def _restore_buffers(network: torch.nn.Module, config: Any) -> None:
    # RoPE frequencies are not in the file, so they are still on the meta device: build the
    # modules that own them once more, properly.
    for name, child in network.named_children():
        if any(buffer.is_meta for buffer in child.buffers()):
            setattr(network, name, type(child)(config))

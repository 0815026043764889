"""What computes the embeddings of a model on a device, and in which arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_dinov3_sim.backbones.architecture import encoder_of, openvino_encoder_of
from napari_dinov3_sim.backbones.devices import (
    OPENVINO,
    choose_device,
    choose_dtype,
    uses_openvino,
)
from napari_dinov3_sim.backbones.errors import DeviceError

if TYPE_CHECKING:
    import torch
    from transformers import DINOv3ViTModel

    from napari_dinov3_sim.core.embedding.encoder import Encoder
    from napari_dinov3_sim.core.embedding.openvino_encoder import OpenVINOEncoder

CHECKED_PATCHES = 14
"""Patches along the side of the picture on which an encoder is compared with transformers."""

MOST_UNASKED = 2 * 2**30
"""Bytes of float32 weights up to which OpenVINO is chosen automatically.

It needs them twice while it compiles, beside those of transformers. ViT-L has 1.2 GB.
"""

MEAN_AGREEMENT, LEAST_AGREEMENT = 0.999, 0.99
"""Mean and smallest cosine of the patches of that picture with which an encoder is used."""


@dataclass(frozen=True)
class Choice:
    """A device and an arithmetic, found out before anything is read.

    Attributes
    ----------
    device : torch.device
    dtype : str
        "float32" or "bfloat16".
    openvino : bool
        Whether OpenVINO is to be tried, on the processor.
    is_openvino_asked_for, is_dtype_asked_for : bool
        Whether the user chose it; what was asked for is not compared.
    """

    device: torch.device
    dtype: str
    openvino: bool
    is_openvino_asked_for: bool
    is_dtype_asked_for: bool


class Engine(NamedTuple):
    """What turns pixels into tokens, with the device and the arithmetic it has in the end."""

    model: Any
    device: str
    dtype: str


def choose(device: str, dtype: str, model: str) -> Choice:
    """Return what a model is to run on.

    Parameters
    ----------
    device, dtype : str
        As for `load_backbone`.
    model : str
        Name of the model, also for the message.

    Raises
    ------
    DeviceError
        The device or the arithmetic is unknown, or this computer does not have it.
    """
    chosen = choose_device(device, model)
    return Choice(
        device=chosen,
        dtype=choose_dtype(dtype, chosen, model),
        openvino=uses_openvino(device, chosen, model),
        is_openvino_asked_for=device == OPENVINO,
        is_dtype_asked_for=dtype != "auto",
    )


def engine_for(network: DINOv3ViTModel, choice: Choice, model: str) -> Engine:
    """Return what computes embeddings.

    Encoders that were chosen automatically are compared with the network first: where bfloat16
    does not agree, float32 is used, and where OpenVINO does not, PyTorch. Models of more than
    `MOST_UNASKED` are left to PyTorch.

    Parameters
    ----------
    network : DINOv3ViTModel
        On the processor, float32.
    choice : Choice
    model : str
        Name of the model, for the message.

    Raises
    ------
    DeviceError
        The weights do not fit into the memory of the device, or OpenVINO was asked for and cannot
        compile the model.
    """
    is_small = _bytes_of(network) <= MOST_UNASKED
    if choice.openvino and (is_small or choice.is_openvino_asked_for):
        engine = _by_openvino(network, choice, model)
        if engine is not None:
            return engine
    device = str(choice.device)
    if choice.device.type == "mps":
        return Engine(_moved(network, device, model), device, choice.dtype)
    encoder = encoder_of(network, choice.dtype)
    if choice.device.type != "cpu":
        return Engine(_moved(encoder, device, model), device, choice.dtype)
    is_sure = choice.dtype == "float32" or choice.is_dtype_asked_for
    if is_sure or _agree(encoder, network):
        return Engine(encoder, device, choice.dtype)
    return Engine(encoder_of(network, "float32"), device, "float32")


def _by_openvino(network: DINOv3ViTModel, choice: Choice, model: str) -> Engine | None:
    try:
        encoder = openvino_encoder_of(network, choice.dtype)
        is_asked_for = choice.is_openvino_asked_for and choice.is_dtype_asked_for
        if is_asked_for or _agree(encoder, network):
            return Engine(encoder, OPENVINO, choice.dtype)
        if choice.is_openvino_asked_for:
            return Engine(openvino_encoder_of(network, "float32"), OPENVINO, "float32")
    except (RuntimeError, MemoryError, AttributeError, TypeError) as error:
        # The latter two: a release of OpenVINO with other functions.
        if choice.is_openvino_asked_for:
            raise DeviceError(
                model, "OpenVINO cannot compile it on this computer", 'use device="cpu"'
            ) from error
    return None


def _agree(encoder: Encoder | OpenVINOEncoder, network: DINOv3ViTModel) -> bool:
    """Whether the embeddings of a picture of coarse and fine noise are those of the network."""
    import torch

    from napari_dinov3_sim.core.embedding.encoder import cosine_agreement

    side = CHECKED_PATCHES * encoder.numbers.patch_size
    generator = torch.Generator().manual_seed(0)
    pixels = torch.zeros(1, 3, side, side)
    for fine in (2, 8, 32, side):
        noise = torch.randn(1, 3, fine, fine, generator=generator)
        pixels += torch.nn.functional.interpolate(noise, (side, side), mode="bilinear") / 2
    with torch.inference_mode():
        exact = network(pixels).last_hidden_state[0, -(CHECKED_PATCHES**2) :]
        found = encoder(pixels).last_hidden_state[0, -(CHECKED_PATCHES**2) :]
    mean, least = cosine_agreement(found, exact)
    return mean >= MEAN_AGREEMENT and least >= LEAST_AGREEMENT


def _bytes_of(network: DINOv3ViTModel) -> int:
    return sum(weights.numel() * weights.element_size() for weights in network.parameters())


def _moved(network: Any, device: str, model: str) -> Any:
    try:
        return network.to(device)
    except RuntimeError as error:
        raise DeviceError(
            model,
            f"the weights do not fit into the memory of {device}",
            'use device="cpu" or choose a smaller model',
        ) from error

"""The device that a model runs on, and its dtype."""

from __future__ import annotations

import platform
from importlib import import_module
from typing import TYPE_CHECKING

from napari_dinov3_sim.backbones.errors import DeviceError
from napari_dinov3_sim.backbones.registry import BUILTIN

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16")

OPENVINO = "openvino"
"""The device that is the processor, computed by OpenVINO instead of PyTorch."""

CPU_TOKENS = 1024
"""Tokens that keep the cores of a CPU busy; more at a time only take memory."""

CUDA_TOKENS = 2**14
"""Tokens that keep any GPU busy, and few enough that the next ones are copied meanwhile.

`benchmarks/bench_roofline.py` counts it: with 16 tiles of 512 pixels, an H200 takes twice as long
for the kernels of ViT-S as a processor for launching them.
"""

MPS_TOKENS = 2**13
"""Tokens at a time on Apple's GPUs, whose free memory cannot be queried."""


def choose_device(device: str, model: str) -> torch.device:
    """Return the device to use.

    Parameters
    ----------
    device : str
        "auto" (CUDA, then MPS, then CPU), or "cpu", "openvino", "cuda", "cuda:1", "mps".
    model : str
        Name of the model, for the message.

    Returns
    -------
    torch.device
        The processor for "openvino".

    Raises
    ------
    DeviceError
        The device is unknown or this computer does not have it.
    """
    if device == "auto":
        return _best_device()
    if device == OPENVINO:
        return _parsed("cpu", model)
    chosen = _parsed(device, model)
    if not _is_there(chosen):
        raise DeviceError(
            model, f'this PyTorch finds no device "{device}"', 'use device="auto" or device="cpu"'
        )
    return chosen


def uses_openvino(device: str, chosen: torch.device, model: str) -> bool:
    """Whether OpenVINO is to compute the embeddings.

    "auto" takes it on an x86 processor where it is installed: ViT-S then needs 0.8 of the time
    (`benchmarks/bench_openvino.py`). The built-in network, which is loaded to answer soon, is left
    to PyTorch: importing and compiling would take longer than it takes to embed a small image.

    Parameters
    ----------
    device : str
        As for `choose_device`.
    chosen : torch.device
        From `choose_device`.
    model : str
        Name of the model, also for the message.

    Returns
    -------
    bool

    Raises
    ------
    DeviceError
        It was asked for and is not there.
    """
    if device == OPENVINO:
        if openvino_is_there():
            return True
        raise DeviceError(
            model,
            "OpenVINO is not installed, or cannot be imported",
            'install it with `pip install "napari-dinov3-sim[openvino]"`, or use device="auto"',
        )
    is_x86 = platform.machine() in ("x86_64", "AMD64")
    wanted = device == "auto" and chosen.type == "cpu" and is_x86 and model != BUILTIN
    return wanted and openvino_is_there()


def openvino_is_there() -> bool:
    """Whether OpenVINO can be imported."""
    try:
        import_module("napari_dinov3_sim.core.embedding.openvino_encoder")
    except (ImportError, OSError):  # OSError: one of its libraries does not load
        return False
    return True


def choose_dtype(dtype: str, device: torch.device, model: str) -> str:
    """Return the arithmetic to use: "float32" or "bfloat16".

    "auto" is bfloat16 on a CUDA card and on an x86 processor that have it, and float32 everywhere
    else. On a processor, `load_backbone` goes back to float32 if the two do not agree. The
    built-in network is always computed in float32, so that what it finds, and what is kept of it,
    is the same on every computer. `benchmarks/bench_dtype.py` measures what bfloat16 gains.

    Parameters
    ----------
    dtype : str
        "auto", "float32" or "bfloat16". float16 is refused: the model leaves its range.
    device : torch.device
        From `choose_device`.
    model : str
        Name of the model, for the message.

    Returns
    -------
    str

    Raises
    ------
    DeviceError
        The arithmetic is unknown, or the device cannot do it.
    """
    if dtype == "auto":
        return "float32" if model == BUILTIN else _best_dtype(device)
    if dtype not in DTYPES:
        raise DeviceError(
            model, f'there is no dtype "{dtype}"', 'use dtype="auto", "float32" or "bfloat16"'
        )
    return dtype


def batch_size_for(device: torch.device, tokens: int, bytes_per_token: int) -> int:
    """Return how many images of `tokens` patches go through a model together.

    On CUDA as many as fit into half of the free memory, up to `CUDA_TOKENS` in all; elsewhere
    `CPU_TOKENS` or `MPS_TOKENS`. Measured on two CPU cores with `benchmarks/bench_tiles.py`:
    batches of tiles of 512 pixels or more are no faster than single ones.

    Parameters
    ----------
    device : torch.device
    tokens : int
        Patches of one image.
    bytes_per_token : int
        Estimate of what the activations of a forward pass take for each patch.

    Returns
    -------
    int
        At least 1.
    """
    if device.type != "cuda":
        return max(1, (MPS_TOKENS if device.type == "mps" else CPU_TOKENS) // tokens)
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return max(1, min(CUDA_TOKENS // tokens, free // 2 // (tokens * bytes_per_token)))


def _best_device() -> torch.device:
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _parsed(device: str, model: str) -> torch.device:
    import torch

    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        chosen = torch.device("meta")
    if chosen.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(
            model,
            f'there is no device "{device}"',
            'use device="auto", "cpu", "openvino", "cuda" or "mps"',
        )
    return chosen


def _is_there(device: torch.device) -> bool:
    import torch

    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    return device.type != "mps" or torch.backends.mps.is_available()


def _best_dtype(device: torch.device) -> str:
    import torch

    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if device.type == "cpu" and processor_has_bfloat16() else "float32"


def processor_has_bfloat16() -> bool:
    """Whether products in bfloat16 are instructions of the processor: AVX-512 BF16 or AMX."""
    import torch

    # Not documented, and absent from old releases of torch and on processors other than x86.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in probes)

"""The loading of a backbone from a name, a hub id, a folder or a file."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.backbones.architecture import (
    Architecture,
    build_model,
    infer_architecture,
    is_number,
    matching_record,
)
from napari_dinov3_sim.backbones.backbone import DINOv3Backbone
from napari_dinov3_sim.backbones.engines import choose, engine_for
from napari_dinov3_sim.backbones.errors import ModelError, WrongModelError
from napari_dinov3_sim.backbones.files.locate import ModelFiles, is_here, locate
from napari_dinov3_sim.backbones.files.tensor_names import canonical, detect_naming
from napari_dinov3_sim.backbones.files.weights import (
    check_hash,
    fingerprint_of,
    meta_hash_of,
    read_weights,
)
from napari_dinov3_sim.backbones.identity import LoadRequest, facts_of, remember
from napari_dinov3_sim.backbones.registry import (
    LVD_MEAN,
    LVD_STD,
    MODELS,
    SAT_MEAN,
    SAT_STD,
    ModelRecord,
    Statistics,
)

if TYPE_CHECKING:
    import os

    import torch

    from napari_dinov3_sim.backbones.files.hub import Progress

_UNKNOWN_LICENCE = "unknown: that of the place the weights come from"


def load_backbone(
    model: str | os.PathLike[str],
    *,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress | None = None,
) -> DINOv3Backbone:
    """Load a DINOv3 ViT.

    Parameters
    ----------
    model : str or os.PathLike
        A name of the registry ("builtin", "dinov3-vits16plus", …) or the hub id of such a model,
        another hub id "owner/name" of a DINOv3 ViT, a folder as `save_pretrained` writes it, or a
        weights file (.safetensors, .pth) in the naming of Hugging Face, timm or Meta.
        The satellite statistics are used for a file or folder when its name contains "sat493m"
        or ends in the hash of Meta's satellite weights; everything else that has no
        `preprocessor_config.json` is taken for LVD-1689M weights.
    device : str
        "auto" (CUDA, then MPS, then CPU, there with OpenVINO if it is installed), "cpu",
        "openvino", "cuda", "cuda:1" or "mps".
    dtype : str
        "auto" (see `devices.choose_dtype`), "float32" or "bfloat16".
    progress : callable, optional
        Called with (description, bytes done, bytes in all) during a download; what it raises
        (`EmbeddingCancelled`) stops the loading. By default a bar is shown on a terminal.

    Returns
    -------
    DINOv3Backbone

    Raises
    ------
    ModelError
        One sentence with the model, the reason and the cure: `ModelNotFoundError`,
        `GatedModelError`, `OfflineError`, `DownloadError`, `CorruptWeightsError`,
        `WrongModelError` or `DeviceError`.

    Examples
    --------
    >>> backbone = load_backbone("builtin", device="cpu")
    >>> backbone.patch_size, backbone.dim
    (16, 192)
    """
    choice = choose(device, dtype, str(model))
    material = locate(model, progress)
    request = LoadRequest(model, device, dtype)
    facts = facts_of(request, material)
    for path in material.paths:
        check_hash(path, material.name, progress)
    state, architecture = _read(material)
    record = material.record or _record_of_file(material)
    _check_record(material, architecture)
    mean, std = _statistics(material, record)
    network = build_model(state, architecture, material.name)
    engine = engine_for(network, choice, material.name)
    backbone = DINOv3Backbone(
        name=material.name,
        label=_label(material, architecture),
        patch_size=architecture.patch_size,
        dim=architecture.hidden_size,
        device=engine.device,
        dtype=engine.dtype,
        mean=mean,
        std=std,
        fingerprint=fingerprint_of(state, engine.dtype, mean, std, _facts(architecture)),
        is_builtin=material.record is not None and material.record.is_builtin,
        licence=record.licence if record else _UNKNOWN_LICENCE,
        num_register_tokens=architecture.num_register_tokens,
        _model=engine.model,
    )
    remember(request, facts, backbone)
    return backbone


def is_available(model: str | os.PathLike[str]) -> bool:
    """Whether a model can be loaded from this computer, found out without the network.

    Parameters
    ----------
    model : str or os.PathLike
        As for `load_backbone`.

    Returns
    -------
    bool
        True for the built-in model, a model in the local cache and a path that exists.
    """
    try:
        return is_here(model)
    except (ModelError, OSError, ValueError):
        return False


def _read(material: ModelFiles) -> tuple[dict[str, torch.Tensor], Architecture]:
    raw = read_weights(material.paths, material.name, material.cure)
    config = material.config if material.config.get("model_type") else None
    try:
        state = canonical(raw, detect_naming(raw, material.name), material.name)
        return state, infer_architecture(state, config, material.name)
    except (IndexError, RuntimeError) as error:  # by number of axes, by number of values
        raise WrongModelError(
            material.name,
            "the weights have tensors of another shape",
        ) from error


def _record_of_file(material: ModelFiles) -> ModelRecord | None:
    # Meta's file names end in a hash, which has been compared with the content.
    suffix = meta_hash_of(material.paths[0].name)
    found = [record for record in MODELS.values() if suffix and record.meta_hash == suffix]
    return found[0] if found else None


def _check_record(material: ModelFiles, found: Architecture) -> None:
    record = material.record
    if record is None:
        return
    expected = (record.dim, record.layers, record.ffn, record.swiglu)
    actual = (
        found.hidden_size,
        found.num_hidden_layers,
        found.intermediate_size,
        found.use_gated_mlp,
    )
    if actual != expected:
        raise WrongModelError(
            material.name,
            f"the weights have width, layers, feed-forward width and gating {actual} instead of "
            f"{expected}",
            material.cure,
        )


def _is_satellite(material: ModelFiles) -> bool:
    return "sat493m" in f"{material.name} {material.paths[0].name}".lower()


def _statistics(material: ModelFiles, record: ModelRecord | None) -> tuple[Statistics, Statistics]:
    if record is not None:
        return record.mean, record.std
    own = material.preprocessor or {}
    timm = material.config.get("pretrained_cfg")
    timm = timm if isinstance(timm, dict) else {}
    mean = _three(material, own.get("image_mean", timm.get("mean")))
    std = _three(material, own.get("image_std", timm.get("std")))
    if mean and std:
        if min(std) <= 0:
            raise _bad_statistics(material, std)
        return mean, std
    return (SAT_MEAN, SAT_STD) if _is_satellite(material) else (LVD_MEAN, LVD_STD)


def _three(material: ModelFiles, values: Any) -> Statistics | None:
    if not isinstance(values, list | tuple) or len(values) != 3:
        return None
    if not all(is_number(value) for value in values):
        raise _bad_statistics(material, values)
    return (float(values[0]), float(values[1]), float(values[2]))


def _bad_statistics(material: ModelFiles, values: Any) -> WrongModelError:
    return WrongModelError(
        material.name,
        f"its statistics {list(values)} are no mean and standard deviation of three colours",
        "download its config.json and preprocessor_config.json again, or delete the latter",
    )


def _label(material: ModelFiles, architecture: Architecture) -> str:
    if material.record is not None:
        return material.record.label
    alike = matching_record(architecture, satellite=_is_satellite(material))
    return f"{material.name} (like {alike.label})" if alike else material.name


def _facts(architecture: Architecture) -> list[tuple[str, object]]:
    # The weights show whether there are biases; one of zeros and none at all are the same.
    return [item for item in asdict(architecture).items() if not item[0].endswith("_bias")]

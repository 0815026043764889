"""The model of a command: known by its identity where there is one, loaded when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from napari_dinov3_sim.backbones.lazy_model import LazyModel
from napari_dinov3_sim.cli.terminal import say

if TYPE_CHECKING:
    from napari_dinov3_sim.backbones import DINOv3Backbone, ModelIdentity
    from napari_dinov3_sim.cli.terminal import ProgressBars


CommandModel: TypeAlias = "LazyModel[DINOv3Backbone]"
"""The model of a command."""


def open_model(
    model: str, device: str, dtype: str, bars: ProgressBars | None = None
) -> CommandModel:
    """Return a model as `load_backbone` would, unread if something is remembered of it.

    Parameters
    ----------
    model, device, dtype
        As for `load_backbone`.
    bars : ProgressBars, optional
        For the download, if there is one.

    Raises
    ------
    ModelError
        It cannot be loaded.
    """
    from napari_dinov3_sim.backbones import known_identity

    def load() -> DINOv3Backbone:
        return load_model(model, device, dtype, bars)

    return LazyModel(load, known_identity(model, device, dtype))


def load_model(
    model: str, device: str, dtype: str, bars: ProgressBars | None = None
) -> DINOv3Backbone:
    """Load a model, with a bar for its download."""
    from napari_dinov3_sim.backbones import load_backbone

    progress = None if bars is None else bars.download
    return load_backbone(model, device=device, dtype=dtype, progress=progress)


def describe_model(model: DINOv3Backbone | ModelIdentity) -> dict[str, Any]:
    """Return what a result must say about the model it came from."""
    return {
        "model": model.name,
        "label": model.label,
        "device": str(model.device),
        "dtype": str(model.dtype),
        "fingerprint": model.fingerprint,
        "licence": model.licence,
    }


def say_model(model: DINOv3Backbone | ModelIdentity) -> None:
    """Tell which model was used, by its full name."""
    say_description(describe_model(model))


def say_description(model: dict[str, Any]) -> None:
    """Tell which model was used; takes what `describe_model` returned, here or on a worker."""
    say("Model: {model}, {label}; {dtype} on {device}.".format(**model))

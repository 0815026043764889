"""How the layers that this package makes are told from the user's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_dinov3_sim.backbones import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Layer

MARKER = "napari_dinov3_sim"
"""Key in ``layer.metadata``."""

Role = Literal["query", "heatmap", "winner", "result", "outline", "mirror"]


def mark(layer: Layer, role: Role, **details: Any) -> None:
    """Mark a layer as ours; the mark names the layer, because duplicates copy it."""
    layer.metadata[MARKER] = {"role": role, "layer": layer.unique_id, **details}


def marked_as(layer: Layer, role: Role) -> dict[str, Any] | None:
    """Return the mark of a layer made for a role, or None; a copy of one is the user's."""
    found = layer.metadata.get(MARKER)
    if not isinstance(found, dict) or found.get("role") != role:
        return None
    return found if found.get("layer") == layer.unique_id else None


def is_derived(layer: Layer) -> bool:
    """Whether a layer is one of ours or a copy of one: no image to be searched."""
    return MARKER in layer.metadata


def model_in_use(layers: Iterable[Layer]) -> str | None:
    """Return the model of the heatmaps that an earlier session left, if it can be had by name."""
    for layer in layers:
        found = marked_as(layer, "heatmap")
        model = None if found is None else found.get("model")
        if model is not None and (model in MODELS or Path(model).exists()):
            return str(model)
    return None

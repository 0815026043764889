"""Marks and names of the layers that the plugin makes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_dinov3_sim.backbones import MODELS
from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari.layers import Layer


MARKER = "napari_dinov3_sim"
"""Key in ``layer.metadata``."""

LayerRole = Literal[
    "query",
    "regions",
    "heatmap",
    "class map",
    "suggestion",
    "result",
    "outline",
    "contour",
    "mirror",
]

HELPERS: tuple[LayerRole, ...] = ("outline", "contour", "mirror")
"""Roles of layers that are drawn for another layer; nobody looks for them in a list."""


ANSWERS: tuple[LayerRole, ...] = ("heatmap", "class map")
"""Roles of layers that come with an answer; they lie over an image and have its axes and units."""


def mark(layer: Layer, role: LayerRole, **details: Any) -> None:
    """Mark a layer as ours; the mark names the layer, because duplicates copy it."""
    layer.metadata[MARKER] = {"role": role, "layer": layer.unique_id, **details}


def mark_of(layer: Layer, role: LayerRole) -> dict[str, Any] | None:
    """Return the mark of a layer made for a role, or None; a copy of one is the user's."""
    found = layer.metadata.get(MARKER)
    if not isinstance(found, dict) or found.get("role") != role:
        return None
    return found if found.get("layer") == layer.unique_id else None


def topmost_of(layers: Sequence[Layer], role: LayerRole) -> Any | None:
    """Return the topmost layer that a session has made for a role, or None."""
    return next((layer for layer in reversed(layers) if mark_of(layer, role) is not None), None)


def is_derived(layer: Layer) -> bool:
    """Whether a layer is one of ours or a copy of one: no image to be searched."""
    return MARKER in layer.metadata


def is_answer(layer: Layer) -> bool:
    """Whether a layer came with an answer; a copy of one may lie anywhere."""
    return any(mark_of(layer, role) is not None for role in ANSWERS)


def is_helper(layer: Layer) -> bool:
    """Whether a layer belongs in no list of layers: it is drawn for another one.

    Heatmaps do not either while the class map takes their place, and the class map while it does
    not.
    """
    roles = (*HELPERS, "heatmap", "class map")
    found = next((found for role in roles if (found := mark_of(layer, role))), None)
    return found is not None and (found["role"] in HELPERS or found.get("replaced", False))


def model_in_use(layers: Iterable[Layer]) -> str | None:
    """Return the model of the heatmaps that an earlier session left, if it can be had by name."""
    for layer in layers:
        found = mark_of(layer, "heatmap")
        model = None if found is None else found.get("model")
        if model is not None and (model in MODELS or Path(model).exists()):
            return str(model)
    return None


def overlay_name(image: str, what: str) -> str:
    """Return the name of what is shown over an image: of a class, or of a class map.

    Examples
    --------
    >>> overlay_name("left", "nuclei")
    'left · nuclei'
    """
    return f"{image} · {what}"


def layer_name(
    image: str, what: str, class_name: str = DEFAULT_CLASS, *, several: bool = False
) -> str:
    """Return the name of a layer.

    Parameters
    ----------
    image : str
        What the image is called.
    what : str
        What the layer shows of it.
    class_name : str, optional
    several : bool, optional
        Whether there are other classes.

    Examples
    --------
    >>> layer_name("left", "objects"), layer_name("left", "objects", several=True)
    ('left objects', 'left objects: class 1')
    """
    return (
        f"{image} {what}: {class_name}"
        if several or class_name != DEFAULT_CLASS
        else f"{image} {what}"
    )


def follow_name(layer: Layer, given: str, wanted: str) -> str:
    """Give a layer the name that it should have now, unless the user has given it another.

    Parameters
    ----------
    layer : Layer
    given : str
        The name that it was given here last.
    wanted : str

    Returns
    -------
    str
        The name that it was given here last.
    """
    if wanted == given or _unnumbered(layer.name) != _unnumbered(given):
        return given
    layer.name = wanted
    return wanted


def _unnumbered(name: str) -> str:
    """Return a name without the number by which napari tells it from others alike."""
    return re.sub(r" \[\d+\]$", "", name)

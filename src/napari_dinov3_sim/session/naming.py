"""What layers over images are called: after their image, and their kind if there are several."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_dinov3_sim.session.questions import DEFAULT_KIND

if TYPE_CHECKING:
    from napari.layers import Layer


def layer_name(image: str, what: str, kind: str = DEFAULT_KIND, *, several: bool = False) -> str:
    """Return the name of a layer.

    Parameters
    ----------
    image : str
        What the image is called.
    what : str
        What the layer shows of it.
    kind : str, optional
    several : bool, optional
        Whether there are other kinds.

    Examples
    --------
    >>> layer_name("left", "objects"), layer_name("left", "objects", several=True)
    ('left objects', 'left objects: kind 1')
    """
    return f"{image} {what}: {kind}" if several or kind != DEFAULT_KIND else f"{image} {what}"


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

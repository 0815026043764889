"""Grayscale layers that are searched as the red, green and blue of one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.session.placement import worlds_of
from napari_dinov3_sim.session.planes import levels_of, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.placement import Units

COLOURS = ("red", "green", "blue")

TOLERANCE = 0.01
"""Pixels that corners of channels may lie apart: what reading transforms from files rounds."""


@dataclass(frozen=True, eq=False)
class Merged:
    """Layers that are one image.

    Attributes
    ----------
    channels : tuple of Image or None
        The red, the green and the blue; where there is none, it is black.
    """

    channels: tuple[Image | None, Image | None, Image | None]

    @classmethod
    def of(cls, layers: Sequence[Image | None]) -> Merged:
        """Return one to three layers as channels.

        Raises
        ------
        ImageError
            There are none or more than three, or one is there twice.
        """
        present = [layer.unique_id for layer in layers if layer is not None]
        if not present or len(layers) > len(COLOURS):
            raise ImageError(
                f"{len(layers)} layers cannot be merged; give one to three, in the order red, "
                "green, blue."
            )
        if len(set(present)) < len(present):
            raise ImageError("A layer cannot be two channels of one image; give each once.")
        red, green, blue = (*layers, None, None)[:3]
        return cls((red, green, blue))

    @property
    def members(self) -> tuple[Image, ...]:
        """The layers that there are."""
        return tuple(layer for layer in self.channels if layer is not None)

    @property
    def lead(self) -> Image:
        """The first layer, which stands for all."""
        return self.members[0]

    @property
    def name(self) -> str:
        """What the image is called: after all of its channels."""
        return " + ".join(layer.name for layer in self.members)

    def role(self, layer: Image) -> str:
        """Say which channel a layer is, as a reason not to search it by itself."""
        colour = COLOURS[self.channels.index(layer)]
        return f"{layer.name} is the {colour} of {self.name}; split them to search it alone."

    def arrays(self, level: int) -> tuple[Any, ...]:
        """Return the three arrays of a level."""
        black = np.zeros((), np.uint8)
        shape = tuple(levels_of(self.lead)[level].shape)
        return tuple(
            np.broadcast_to(black, shape) if layer is None else levels_of(layer)[level]
            for layer in self.channels
        )


def disagreement(merged: Merged, units: Units | None) -> str | None:
    """Say why layers cannot be channels of one image, or None if they can.

    Parameters
    ----------
    merged : Merged
    units : sequence of pint.Unit or None
        Of the viewer's world.
    """
    lead = merged.lead
    for layer in merged.members:
        reason = refusal(layer)
        if reason is not None:
            return reason
        if layer.rgb:
            return f"{layer.name} is a colour image already; merge grayscale layers."
        if _shapes(layer) != _shapes(lead):
            return (
                f"{layer.name} and {lead.name} differ in size or in levels; merge layers of the "
                "same shape."
            )
        if not _lie_together(layer, lead, units):
            return (
                f"{layer.name} does not lie over {lead.name}; give both the same scale, position "
                "and rotation."
            )
    return None


def _shapes(layer: Image) -> list[tuple[int, ...]]:
    return [tuple(int(n) for n in data.shape) for data in levels_of(layer)]


def _lie_together(layer: Image, lead: Image, units: Units | None) -> bool:
    """Whether the corners of two layers of the same shape are at the same places."""
    size = np.array(_shapes(lead)[0], float)
    corners = np.vstack([np.zeros(len(size)), np.diag(size), size])
    here, there = (worlds_of(each, corners, units) for each in (layer, lead))
    return bool((np.abs(here - there) <= TOLERANCE * _pixel(there, size)).all())


def _pixel(corners: NDArray[np.float64], size: NDArray[np.float64]) -> float:
    """Return the shortest side of a pixel in the world."""
    sides = np.linalg.norm(corners[1:-1] - corners[0], axis=1) / size
    return float(sides.min())

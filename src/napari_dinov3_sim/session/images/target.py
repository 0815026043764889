"""A target: one image that is searched, from one layer or from several channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images.sources import COLOURS
from napari_dinov3_sim.session.images.channel_groups import common_name
from napari_dinov3_sim.session.images.planes import levels_of, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image


@dataclass(frozen=True, eq=False)
class MergedChannels:
    """Layers that are one image.

    Attributes
    ----------
    channels : tuple of Image or None
        The red, the green and the blue; where there is none, it is black.
    """

    channels: tuple[Image | None, Image | None, Image | None]

    @classmethod
    def of(cls, layers: Sequence[Image | None]) -> MergedChannels:
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
        """What the image is called: what the names of its channels share, else all of them."""
        return common_name([str(layer.name) for layer in self.members])

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


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that are one image, for a list of images.

    Attributes
    ----------
    name : str
        What the image is called.
    channels : tuple of Image
    automatic : bool
        Whether they were merged when they were opened, and not by the user.
    """

    name: str
    channels: tuple[Image, ...]
    automatic: bool

    @property
    def label(self) -> str:
        """The name and how many there are, as in ``cells (3 channels)``."""
        count = len(self.channels)
        return f"{self.name} ({count} channel{'s' if count > 1 else ''})"


@dataclass(eq=False)
class Target:
    """An image layer, and what is known about it.

    Attributes
    ----------
    layer : Image
    ticked : bool
        Whether it is searched.
    refused : str or None
        Why it cannot be.
    version : int
        A number that its pixels share with no others.
    merged : MergedChannels or None
        The channels that it is one of; the record of the first one stands for all.
    replaced : bool
        Whether the layer was given other pixels than it came with.
    """

    layer: Image
    ticked: bool
    refused: str | None
    version: int
    merged: MergedChannels | None = None
    replaced: bool = False

    @property
    def layers(self) -> tuple[Image, ...]:
        """The layer, or all that are searched as one with it."""
        return (self.layer,) if self.merged is None else self.merged.members

    @property
    def name(self) -> str:
        """What it is called; the first of several channels stands for all of them."""
        if self.merged is None or self.merged.lead != self.layer:
            return str(self.layer.name)
        return self.merged.name

    def refuse(self) -> None:
        """Say anew why it cannot be searched."""
        self.refused = refusal(self.layer)
        if self.merged is not None and self.merged.lead != self.layer:
            self.refused = self.merged.role(self.layer)

    @property
    def visible(self) -> bool:
        """Whether any of its layers is shown."""
        return any(layer.visible for layer in self.layers)

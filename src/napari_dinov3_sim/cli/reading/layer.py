"""A layer of a file: which planes it has, and one of them, not read yet."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.cli.errors import InputError
from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images.levels import Position, embedded_position
from napari_dinov3_sim.core.images.scanning import stack_window
from napari_dinov3_sim.core.images.sources import ArraySource, PixelSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_dinov3_sim.core.images.intensity import IntensityWindow


MAX_PLANES = 2**18
"""Planes of a file; a list of them, with their names and results, still takes little memory."""


def ending(channel: int | None, position: Position, leading: tuple[int, ...]) -> str:
    """Return what tells the planes of a file apart in file names, such as ``-c1-07``."""
    channels = [] if channel is None else [f"c{channel}"]
    lengths = zip(position, leading, strict=True)
    digits = [f"{at:0{len(str(length - 1))}d}" for at, length in lengths]
    return "".join(f"-{part}" for part in (*channels, *digits))


def check_plane_count(path: Path, leading: tuple[int, ...]) -> None:
    """Raise `InputError` for more planes than are listed; the lengths of their axes are given."""
    if math.prod(leading) > MAX_PLANES:
        raise InputError(
            f"{path} has {math.prod(leading)} planes, and at most {MAX_PLANES} of a file are "
            "searched; write the planes you mean into a file of their own."
        )


@dataclass(frozen=True, eq=False)
class Layer:
    """The planes of a file that share one intensity window, as napari shows them in one layer.

    Attributes
    ----------
    path : Path
    data : array_like
        The level that is embedded.
    shape : tuple of int
        Shape of the finest level, without channels of colour.
    rgb : bool
        Whether the last axis of `data` holds the channels of a colour.
    channel : tuple of (axis, index) or None
        For a file whose channels are layers of their own.
    level, levels : int
        Which level is embedded, 0 the finest, and of how many.
    """

    path: Path
    data: Any = field(repr=False)
    shape: tuple[int, ...]
    rgb: bool = False
    channel: tuple[int, int] | None = None
    level: int = 0
    levels: int = 1

    @property
    def name(self) -> str:
        """The file, and the channel where it has several."""
        return f"{self.path}" if self.channel is None else f"{self.path} channel {self.channel[1]}"

    @property
    def level_shape(self) -> tuple[int, ...]:
        """Shape of the embedded level, without channels of colour."""
        return tuple(int(n) for n in self.data.shape[: len(self.shape)])

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width of what goes through the model, in pixels."""
        return self.level_shape[-2], self.level_shape[-1]

    @property
    def megapixels(self) -> float:
        """Pixels of one plane, in millions."""
        return math.prod(self.plane_shape) / 1e6

    @property
    def _axes(self) -> list[int]:
        fixed = None if self.channel is None else self.channel[0]
        return [axis for axis in range(len(self.shape) - 2) if axis != fixed]

    @property
    def leading(self) -> tuple[int, ...]:
        """Lengths of the axes before rows and columns, in the embedded level."""
        return tuple(self.level_shape[axis] for axis in self._axes)

    @property
    def full_leading(self) -> tuple[int, ...]:
        """Lengths of the axes before rows and columns, in the finest level."""
        return tuple(self.shape[axis] for axis in self._axes)

    def check(self) -> None:
        """Raise `ImageError` if there is no plane, too many, or none that can be embedded."""
        if 0 in self.leading:
            raise ImageError(f"A stack of shape {self.shape} has no planes; write it again.")
        check_plane_count(self.path, self.full_leading)
        self.plane((0,) * len(self.leading))

    def positions(self) -> Iterator[Position]:
        """Return where the planes lie, in order."""
        return itertools.product(*map(range, self.leading))

    def plane(self, position: Position) -> ArraySource:
        """Return one plane, unread."""
        at = dict(zip(self._axes, position, strict=True))
        if self.channel is not None:
            at.update([self.channel])
        index = [at.get(axis, slice(None)) for axis in range(len(self.shape))]
        return ArraySource(self.data, tuple(index), self.rgb, self.name)

    def window(self) -> IntensityWindow | None:
        """Return the window of all planes, sampled where the session samples a layer."""
        full = self.full_leading

        def plane_at(position: Position) -> PixelSource:
            return self.plane(embedded_position(position, full, self.leading))

        return stack_window(plane_at, full)

    def label(self, position: Position) -> str:
        """Return by what a person recognises a plane in a file name."""
        channel = None if self.channel is None else self.channel[1]
        return f"{self.path.stem}{ending(channel, position, self.leading)}"

"""A layer of a file: which planes it has, and one of them, not read yet."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.cli.reading.paths import stem_of
from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images.levels import Position, embedded_level, embedded_position
from napari_dinov3_sim.core.images.scanning import stack_window
from napari_dinov3_sim.core.images.sources import ArraySource, PixelSource
from napari_dinov3_sim.readers.zarr_folders import check_plane_count

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.readers.image_layer import Calibration, ImageLayer


def ending(
    series: int | None, channel: int | None, position: Position, leading: tuple[int, ...]
) -> str:
    """Return what tells the planes of a file apart in file names, such as ``-s0-c1-07``."""
    channels = [] if series is None else [f"s{series}"]
    channels += [] if channel is None else [f"c{channel}"]
    lengths = zip(position, leading, strict=True)
    digits = [f"{at:0{len(str(length - 1))}d}" for at, length in lengths]
    return "".join(f"-{part}" for part in (*channels, *digits))


@dataclass(frozen=True)
class PixelGrid:
    """Where the pixels of a plane lie.

    Attributes
    ----------
    size : (height, width)
        Of a pixel.
    origin : (y, x)
        Centre of the first one.
    unit : str
        As napari knows it; ``pixel`` where no size is known.
    """

    size: tuple[float, float] = (1.0, 1.0)
    origin: tuple[float, float] = (0.0, 0.0)
    unit: str = "pixel"

    @classmethod
    def of(cls, where: Calibration) -> PixelGrid:
        """Return that of rows and columns."""
        if len(where.scale) < 2 or where.units[-2] != where.units[-1]:
            return cls()
        (*_, down, across), (*_, y, x) = where.scale, where.translate
        return cls((down, across), (y, x), where.units[-1])

    def coarser(self, ratios: tuple[float, float]) -> PixelGrid:
        """Return that of a level of which a pixel spans so many along rows and columns."""
        size = (self.size[0] * ratios[0], self.size[1] * ratios[1])
        y, x = (
            at + (ratio - 1) / 2 * step
            for at, ratio, step in zip(self.origin, ratios, self.size, strict=True)
        )
        return PixelGrid(size, (y, x), self.unit)


NO_GRID = PixelGrid()
"""That of a file that says nothing of it."""


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
    series, channel : int or None
        Which image of the file, and which channel of it, where there are several.
    level, levels : int
        Which level is embedded, 0 the finest, and of how many.
    title : str
        What the file calls it.
    pixel : PixelGrid
        Where the pixels of the finest level lie.
    axes : tuple of str
        Names of the axes of `shape`; empty where nothing is known of them.
    """

    path: Path
    data: Any = field(repr=False)
    shape: tuple[int, ...]
    rgb: bool = False
    series: int | None = None
    channel: int | None = None
    level: int = 0
    levels: int = 1
    title: str = ""
    pixel: PixelGrid = NO_GRID
    axes: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path, image: ImageLayer) -> Layer:
        """Return the planes of an image of a file."""
        ndim = len(image.axes)
        number = embedded_level([tuple(level.shape[:ndim]) for level in image.levels])
        return cls(
            path,
            image.levels[number],
            image.shape,
            image.rgb,
            image.series,
            image.channel,
            number,
            len(image.levels),
            image.title,
            PixelGrid.of(image.calibration),
            image.axes,
        )

    @property
    def name(self) -> str:
        """The file, and the image and the channel where it has several."""
        series = "" if self.series is None else f" image {self.series}"
        channel = "" if self.channel is None else f" channel {self.channel}"
        return f"{self.path}{series}{channel}"

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
    def leading(self) -> tuple[int, ...]:
        """Lengths of the axes before rows and columns, in the embedded level."""
        return self.level_shape[:-2]

    @property
    def full_leading(self) -> tuple[int, ...]:
        """Lengths of the axes before rows and columns, in the finest level."""
        return self.shape[:-2]

    def check(self) -> None:
        """Raise `ImageError` if there is no plane, too many, or none that can be embedded."""
        if len(self.shape) < 2:
            raise ImageError(
                f"An array of shape {self.shape} is no image; give one plane or more."
            )
        if 0 in self.leading:
            raise ImageError(f"A stack of shape {self.shape} has no planes; write it again.")
        check_plane_count(self.path, self.full_leading)
        self.plane((0,) * len(self.leading))

    def positions(self) -> Iterator[Position]:
        """Return where the planes lie, in order."""
        return itertools.product(*map(range, self.leading))

    def plane(self, position: Position) -> ArraySource:
        """Return one plane, unread."""
        index: tuple[int | slice, ...] = (*position, slice(None), slice(None))
        return ArraySource(self.data, index, self.rgb, self.name)

    def window(self) -> IntensityWindow | None:
        """Return the window of all planes, sampled where the session samples a layer."""
        full = self.full_leading

        def plane_at(position: Position) -> PixelSource:
            return self.plane(embedded_position(position, full, self.leading))

        return stack_window(plane_at, full)

    def label(self, position: Position) -> str:
        """Return by what a person recognises a plane in a file name."""
        where = ending(self.series, self.channel, position, self.leading)
        return f"{stem_of(self.path)}{where}"

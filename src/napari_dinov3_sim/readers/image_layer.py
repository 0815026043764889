"""An image layer as it is in a file: its levels, where it lies, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

MIN_COLOUR_SIDE = 30
"""In a stack, a last axis of 3 or 4 is taken for colours if rows and columns are longer."""


def is_colour(shape: tuple[int, ...]) -> bool:
    """Whether napari takes the last axis of an array without metadata for colours."""
    if len(shape) < 3 or shape[-1] not in (3, 4):
        return False
    return len(shape) == 3 or min(shape[-3:-1]) > MIN_COLOUR_SIDE


@dataclass(frozen=True)
class Calibration:
    """Where a layer lies.

    Attributes
    ----------
    scale : tuple of float
        Distance of two pixels, for each axis without colours.
    translate : tuple of float
        Of the centre of the first pixel.
    units : tuple of str
        As napari knows them, such as ``micrometer``; ``pixel`` where nothing is known.
    """

    scale: tuple[float, ...]
    translate: tuple[float, ...]
    units: tuple[str, ...]

    @classmethod
    def none(cls, ndim: int) -> Calibration:
        """Return that of a layer of which nothing is known."""
        return cls((1.0,) * ndim, (0.0,) * ndim, ("pixel",) * ndim)

    @property
    def is_known(self) -> bool:
        """Whether rows and columns have a length."""
        return self.units[-2:] != ("pixel", "pixel") or self.scale[-2:] != (1.0, 1.0)

    def without(self, axis: int) -> Calibration:
        """Return that of a part at one place of an axis."""

        def rest(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return values[:axis] + values[axis + 1 :]

        return Calibration(rest(self.scale), rest(self.translate), rest(self.units))


@dataclass(frozen=True, eq=False)
class ImageLayer:
    """One layer of a file.

    Attributes
    ----------
    levels : tuple of array_like
        The finest first; dask arrays, unread.
    rgb : bool
        Whether the last axis holds the channels of a colour.
    axes : tuple of str
        Names of the axes, without that of colours.
    calibration : Calibration
    title : str
        What the file calls it: its series, its channel; may be empty.
    series : int or None
        Which image of the file, where it has several.
    channel : int or None
        Which channel, where each is a layer.
    colormap : str or None
        As it is shown.
    """

    levels: tuple[Any, ...] = field(repr=False)
    rgb: bool
    axes: tuple[str, ...]
    calibration: Calibration
    title: str = ""
    series: int | None = None
    channel: int | None = None
    colormap: str | None = None

    @classmethod
    def of(cls, data: Any, rgb: bool, axes: tuple[str, ...] = ()) -> ImageLayer:
        """Return a layer of one level of which nothing else is known."""
        ndim = len(data.shape) - rgb
        names = axes or tuple(f"axis-{ndim - number}" for number in range(ndim))
        return cls((data,), rgb, names, Calibration.none(ndim))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the finest level, without channels of colour."""
        shape = self.levels[0].shape
        return tuple(int(n) for n in (shape[:-1] if self.rgb else shape))

    def at(self, axis: int, index: int, **changes: Any) -> ImageLayer:
        """Return what lies at one place of an axis."""
        key = (*(slice(None),) * axis, index)
        return replace(
            self,
            levels=tuple(level[key] for level in self.levels),
            axes=self.axes[:axis] + self.axes[axis + 1 :],
            calibration=self.calibration.without(axis),
            **changes,
        )

    def moved(self, source: int, *, is_rgb: bool) -> ImageLayer:
        """Return it with an axis behind all others, as that of colours, or an axis before them."""
        levels = tuple(np.moveaxis(level, source, -1) for level in self.levels)
        return replace(
            self,
            levels=levels,
            rgb=is_rgb,
            axes=self.axes[:source] + self.axes[source + 1 :],
            calibration=self.calibration.without(source),
        )

    def name(self, stem: str) -> str:
        """Return what napari calls the layer of a file of this name."""
        return f"{stem} {self.title}" if self.title else stem

    def as_tuple(self, stem: str) -> tuple[Any, dict[str, Any], str]:
        """Return it as napari adds it."""
        attributes: dict[str, Any] = {
            "name": self.name(stem),
            "rgb": self.rgb,
            "multiscale": len(self.levels) > 1,
        }
        where, ndim = self.calibration, len(self.axes)
        if where != Calibration.none(ndim):
            attributes |= {"scale": where.scale, "translate": where.translate}
            attributes["units"] = where.units
        if self.colormap is not None and not self.rgb:
            attributes["colormap"] = self.colormap
        if self.channel is not None and not self.rgb:
            attributes["blending"] = "additive"
        data = list(self.levels) if len(self.levels) > 1 else self.levels[0]
        return data, attributes, "image"


@dataclass(frozen=True, eq=False)
class ImageFile:
    """What a file holds; `notes` say how it was read where it leaves that open."""

    layers: tuple[ImageLayer, ...]
    notes: tuple[str, ...] = ()

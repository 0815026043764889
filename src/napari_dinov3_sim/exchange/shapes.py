"""What is exchanged: shapes with a class, on a plane of an image."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from napari_dinov3_sim.core.errors import SimilarityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Corners = NDArray[np.float64] | NDArray[np.int64]


class ExchangeError(SimilarityError):
    """A file of another program cannot be read, or one for it cannot be written."""


@dataclass(frozen=True, eq=False)
class Polygon:
    """An area: what lies within an odd number of its rings.

    Attributes
    ----------
    exterior : ndarray, shape (n, 2)
        Corners (x, y), not closed, in pixels of level 0; corners of pixels are whole numbers.
    holes : tuple of ndarray, shape (m, 2)
        Further rings.
    """

    exterior: Corners
    holes: tuple[Corners, ...] = ()

    @property
    def rings(self) -> tuple[Corners, ...]:
        """The exterior, then the holes."""
        return (self.exterior, *self.holes)


@dataclass(frozen=True)
class StackPlace:
    """The plane of a stack, from 0; None where the image has no such axis or all are meant."""

    z: int | None = None
    t: int | None = None
    c: int | None = None

    def along(self, axes: Sequence[str]) -> tuple[int | None, ...]:
        """Return where it lies along some axes, each 'z', 't' or 'c'; None where it may be any.

        What one program takes for a stack in depth is one in time for another, and ImageJ numbers
        the slices of both alike: of an only axis, z and t mean the same, and one of them is 0.
        """
        if tuple(axes) in (("z",), ("t",)):
            own, other = (self.z, self.t) if axes[0] == "z" else (self.t, self.z)
            return (own or (own if other is None else other),)
        return tuple(getattr(self, name) for name in axes)


Geometry = Literal["area", "line", "points"]


@dataclass(frozen=True, eq=False)
class Shape:
    """A found object, or a region that is a query.

    Attributes
    ----------
    geometry : {'area', 'line', 'points'}
    polygons : tuple of Polygon
        Of an area, at least one; they do not overlap.
    places : ndarray, shape (n, 2)
        Of a line its corners (x, y), of points their places; the middle of the first pixel is at
        0.5.
    class_name : str or None
        None where a file does not say it.
    colour : str
        Of the class, as ``#rrggbb``.
    name : str
    positive : bool
        Whether it says what is meant, or what is not.
    plane : StackPlace
    measurements : mapping of str to float
    """

    geometry: Geometry = "area"
    polygons: tuple[Polygon, ...] = ()
    places: Corners | None = field(default=None, repr=False)
    class_name: str | None = None
    colour: str = "#ffff00"
    name: str = ""
    positive: bool = True
    plane: StackPlace = StackPlace()
    measurements: Mapping[str, float] = field(default_factory=dict)

    @property
    def rings(self) -> tuple[Corners, ...]:
        """All rings of an area, exteriors and holes."""
        return tuple(ring for polygon in self.polygons for ring in polygon.rings)


def rgb_of(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue of a colour as ``#rrggbb``, each from 0 to 255."""
    if not re.fullmatch("#[0-9a-fA-F]{6}", colour):
        raise ExchangeError(f"There is no colour {colour!r}; give one as #rrggbb.")
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def colour_of_rgb(rgb: tuple[int, int, int]) -> str:
    """Return a colour as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*rgb)

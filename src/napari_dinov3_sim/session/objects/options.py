"""What counts as an object, as the user chooses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.objects.labelling import ObjectRules
from napari_dinov3_sim.core.objects.sizes import NO_LEAST, NO_MOST, Area
from napari_dinov3_sim.session.images.transforms import pixel_steps

if TYPE_CHECKING:
    from napari.layers import Layer

Outline = Literal["edges", "patches"]
Connection = Literal["none", "depth", "all"]


@dataclass(frozen=True)
class ObjectOptions:
    """What counts as an object.

    Attributes
    ----------
    outline : {'edges', 'patches'}
        Whether objects end at the edges of the image, or at the borders of patches.
    split : bool
        Whether objects that touch are split.
    min_area, max_area : Area
        Objects of other sizes count as not found.
    connect : {'none', 'depth', 'all'}
        Whether what lies over each other in neighbouring planes is one object, through depth or
        through time as well.
    """

    outline: Outline = "edges"
    split: bool = False
    min_area: Area = NO_LEAST
    max_area: Area = NO_MOST
    connect: Connection = "none"

    def rules(self, pixel_area: float | None) -> ObjectRules:
        """Return the same in pixels of an image.

        Parameters
        ----------
        pixel_area : float or None
            Of a pixel in square metres, None where it is not known.

        Raises
        ------
        SimilarityError
            An area has a unit and the image has none.
        """
        least, most = self.min_area.pixels(pixel_area), self.max_area.pixels(pixel_area)
        return ObjectRules(least, most, self.split)


def pixel_area(layer: Layer, axes: tuple[int, int]) -> float | None:
    """Return the area of a pixel in square metres; None where a unit is no length."""
    try:
        metres = [float((1 * layer.units[axis]).to("meter").magnitude) for axis in axes]
    except Exception:  # pint has an error of its own for each way not to be a length
        return None
    area = np.linalg.det(pixel_steps(layer)[np.ix_(axes, axes)]) * np.prod(metres)
    return float(f"{abs(area):.12g}")  # more digits are those of rounding


def connected_axes(connect: Connection, names: tuple[str, ...], count: int) -> tuple[int, ...]:
    """Return along which axes of a stack objects are connected.

    Parameters
    ----------
    connect : {'none', 'depth', 'all'}
    names : tuple of str
        Of the axes before rows and columns, as the layer has them.
    count : int
        How many there are.

    Returns
    -------
    tuple of int
        Depth is every axis that is not called time, or a number; where all are called so, as
        napari does by itself, it is the last one.
    """
    if connect == "none":
        return ()
    if connect == "all":
        return tuple(range(count))
    named = [at for at, name in enumerate(names) if name.lower() in ("z", "depth")]
    return tuple(named) if named else (count - 1,) * (count > 0)


def checked_outline(outline: str) -> Outline:
    """Return an outline, or raise `SimilarityError` if there is none of this name."""
    if outline == "edges":
        return "edges"
    if outline == "patches":
        return "patches"
    raise SimilarityError(f"Objects have the outline 'edges' or 'patches', and not {outline!r}.")


def checked_connection(connect: str) -> Connection:
    """Return a connection, or raise `SimilarityError` if there is none of this name."""
    if connect == "none":
        return "none"
    if connect == "depth":
        return "depth"
    if connect == "all":
        return "all"
    raise SimilarityError(f"Planes are connected 'none', 'depth' or 'all', and not {connect!r}.")

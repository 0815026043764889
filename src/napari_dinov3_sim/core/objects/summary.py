"""Summaries of measured objects: how many and how large, by image and class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.objects.object_table import ObjectTable, join_tables

if TYPE_CHECKING:
    from collections.abc import Iterable

MILLIMETRE = 1000.0
"""In micrometres."""


@dataclass(frozen=True)
class MeasuredArea:
    """What was searched for objects of a class in an image.

    Attributes
    ----------
    image, class_name : str
    planes : int
        How many planes.
    pixels : int
        Of all these planes together.
    pixel : float or None
        Area or volume of a pixel, in µm² or µm³; None where it is not known.
    ndim : int
        2 where objects are areas, 3 where they are volumes.
    """

    image: str
    class_name: str
    planes: int
    pixels: int
    pixel: float | None = None
    ndim: int = 2


def summarise_objects(table: ObjectTable, areas: Iterable[MeasuredArea]) -> ObjectTable:
    """Return a row for each image and class.

    Parameters
    ----------
    table : ObjectTable
        With the columns ``image`` and ``class``.
    areas : iterable of MeasuredArea
        One for each image and class, also of those without objects.

    Returns
    -------
    ObjectTable
        ``objects``, how many there are; ``planes`` and the area that was searched; the density;
        the fraction of that area that objects cover; and their mean area. Volumes likewise. Where
        the size of a pixel is not known, the density is per million pixels.
    """
    return join_tables([_row(table, area) for area in areas])


def _row(table: ObjectTable, area: MeasuredArea) -> ObjectTable:
    size = "area" if area.ndim == 2 else "volume"
    sizes = np.empty(0)
    if len(table):
        mine = table.columns["image"] == area.image
        mine &= table.columns["class"] == area.class_name
        sizes = table.columns.get(f"{size}_px", np.full(len(table), np.nan))[mine]
    count, covered = len(sizes), float(sizes.sum())
    mean = covered / count if count else np.nan
    named: list[tuple[str, str, Any]] = [
        ("objects", "", count),
        ("planes", "", area.planes),
        (f"searched_{size}_px", "px", area.pixels),
    ]
    pixel, unit = area.pixel, f"um{area.ndim}"
    searched_px = float(area.pixels) or np.nan  # of nothing there is neither density nor share
    if pixel is None:
        named.append(("density_per_megapixel", "1/megapixel", 1e6 * count / searched_px))
    else:
        searched = searched_px * pixel
        density = count / (searched / MILLIMETRE**area.ndim)
        named.append((f"searched_{size}_{unit}", unit, searched))
        named.append((f"density_per_mm{area.ndim}", f"1/mm{area.ndim}", density))
    named += [(f"{size}_fraction", "", covered / searched_px), (f"mean_{size}_px", "px", mean)]
    if pixel is not None:
        named.append((f"mean_{size}_{unit}", unit, mean * pixel))
    row = ObjectTable(
        {name: np.array([value]) for name, _, value in named},
        {name: text for name, text, _ in named},
    )
    return row.labelled(image=area.image, class_=area.class_name)

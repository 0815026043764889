"""A table of peaks as a CSV file, for spreadsheets and pandas."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.text import writable
from napari_dinov3_sim.store.atomic_files import explained, write_atomically

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins with one of these is run as a formula by spreadsheets."""


@dataclass(frozen=True)
class PeakRow:
    """A line of the table.

    Attributes
    ----------
    image : str
        Name of the image.
    class_name : str
        Name of its class.
    x, y : float
        In pixels of the image.
    score : float
        In units of the cosine.
    world : tuple of float, optional
        The same place in world coordinates, as many as there are `world_axes`.
    """

    image: str
    class_name: str
    x: float
    y: float
    score: float
    world: tuple[float, ...] = ()


def peaks_table(rows: Iterable[PeakRow], world_axes: Sequence[str] = ()) -> str:
    """Return peaks as comma-separated values.

    Parameters
    ----------
    rows : iterable of PeakRow
    world_axes : sequence of str, optional
        A heading for each world coordinate, best with its unit, such as ``y_um``.

    Returns
    -------
    str
        With the headings ``image, class, x_px, y_px``, the world axes, and ``score``. Names that
        a spreadsheet would run as formulas are given an apostrophe.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["image", "class", "x_px", "y_px", *map(safe_cell, world_axes), "score"])
    for row in rows:
        if len(row.world) != len(world_axes):
            raise ValueError(f"{len(row.world)} world coordinates for {len(world_axes)} axes")
        place = [f"{number:.10g}" for number in (row.x, row.y, *row.world)]
        writer.writerow(
            [safe_cell(row.image), safe_cell(row.class_name), *place, f"{row.score:.6f}"]
        )
    return stream.getvalue()


def safe_cell(text: str) -> str:
    """Return text as a cell that UTF-8 can write and no spreadsheet runs."""
    text = writable(text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def save_peaks(
    rows: Iterable[PeakRow], path: str | os.PathLike[str], world_axes: Sequence[str] = ()
) -> Path:
    """Write peaks to a CSV file in UTF-8, whole or not at all.

    Parameters
    ----------
    rows : iterable of PeakRow
    path : path-like
        The file to write; its folder must exist.
    world_axes : sequence of str, optional
        See `peaks_table`.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        The file cannot be written (no permission, disk full).
    """
    target = Path(path)
    with explained(target, "table"):
        write_atomically(target, peaks_table(rows, world_axes).encode())
    return target

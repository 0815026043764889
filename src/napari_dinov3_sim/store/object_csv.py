"""A table of objects as a CSV file, for spreadsheets, pandas and R."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.core.objects.object_table import is_text
from napari_dinov3_sim.store.atomic_files import explained, write_atomically
from napari_dinov3_sim.store.peak_csv import safe_cell

if TYPE_CHECKING:
    import os

    from napari_dinov3_sim.core.objects.object_table import ObjectTable


def objects_csv(table: ObjectTable) -> str:
    """Return a table as comma-separated values.

    Parameters
    ----------
    table : ObjectTable

    Returns
    -------
    str
        The names of the columns, which end in their units, and a line for each row. Numbers are
        as precise as they are held; what there is not, is empty. Names that a spreadsheet would
        run as formulas are given an apostrophe.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([safe_cell(name) for name in table.columns])
    writer.writerows(zip(*map(_cells, table.columns.values()), strict=True))
    return stream.getvalue()


def _cells(column: Any) -> list[str]:
    if is_text(column):
        return [safe_cell(str(text)) for text in column]
    # NaN alone is unequal to itself.
    return [repr(value) if value == value else "" for value in column.tolist()]  # noqa: PLR0124


def save_objects(table: ObjectTable, path: str | os.PathLike[str]) -> Path:
    """Write a table of objects to a CSV file in UTF-8, whole or not at all.

    Parameters
    ----------
    table : ObjectTable
    path : path-like
        The file to write; its folder must exist.

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
        write_atomically(target, objects_csv(table).encode())
    return target

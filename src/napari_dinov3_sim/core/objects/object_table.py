"""A table of objects: named columns with units, of one image or of several."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """Columns of equal length.

    Attributes
    ----------
    columns : mapping of str to ndarray, shape (n,)
        By name. Where a column has a unit, its name ends in it, as in ``area_um2``.
    units : mapping of str to str
        In ASCII, such as ``um2``; empty where there is none.
    """

    columns: Mapping[str, NDArray[Any]] = field(repr=False)
    units: Mapping[str, str] = field(repr=False)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    @property
    def centroids(self) -> NDArray[np.float64]:
        """Those in pixels, shape (n, d)."""
        found = [self.columns.get(f"centroid_{axis}_px") for axis in "zyx"]
        return np.column_stack([column for column in found if column is not None]).astype(float)

    def select(self, rows: NDArray[Any]) -> ObjectTable:
        """Return some rows, by a mask or by numbers."""
        return ObjectTable({n: column[rows] for n, column in self.columns.items()}, self.units)

    def labelled(self, **values: object) -> ObjectTable:
        """Return the table with columns of one value each in front of the others.

        Parameters
        ----------
        **values : str or int
            By name; that of a word of Python may end in an underscore.
        """
        front = {
            name.removesuffix("_"): np.full(len(self), value) for name, value in values.items()
        }
        return ObjectTable({**front, **self.columns}, {**dict.fromkeys(front, ""), **self.units})


def is_text(column: NDArray[Any]) -> bool:
    """Whether a column has texts, not numbers."""
    return not np.issubdtype(column.dtype, np.number)


def join_tables(tables: Iterable[ObjectTable]) -> ObjectTable:
    """Return the rows of several tables in one.

    Parameters
    ----------
    tables : iterable of ObjectTable

    Returns
    -------
    ObjectTable
        With every column that one of them has. Where a table lacks it, numbers are NaN and texts
        are empty.
    """
    found = [table for table in tables if table.columns]
    columns = {name: _joined(found, name) for name in _order(found)}
    return ObjectTable(columns, {name: u for table in found for name, u in table.units.items()})


def _order(tables: Sequence[ObjectTable]) -> list[str]:
    """Return the names of all columns, each where its own table has it."""
    order: list[str] = []
    for table in tables:
        at = 0
        for name in table.columns:
            if name not in order:
                order.insert(at, name)
            at = order.index(name) + 1
    return order


def _joined(tables: Sequence[ObjectTable], name: str) -> NDArray[Any]:
    there = [table.columns[name] for table in tables if name in table.columns]
    missing: Any = "" if is_text(there[0]) else np.nan
    parts = [
        table.columns[name] if name in table.columns else np.full(len(table), missing)
        for table in tables
        if name in table.columns or len(table)
    ]
    return np.concatenate(parts)

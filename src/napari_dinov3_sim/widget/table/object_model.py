"""The model of a table of objects: sorted and filtered by numbers of rows, without copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt

from napari_dinov3_sim.core.objects.object_table import ObjectTable, is_text
from napari_dinov3_sim.widget.table.row_filter import rows_meant

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qtpy.QtWidgets import QWidget

Index = QModelIndex | QPersistentModelIndex

EMPTY = ObjectTable({}, {})


class ObjectTableModel(QAbstractTableModel):
    """Shows the columns of an `ObjectTable`.

    What is shown is an order of rows; of 10,000 rows only those on the screen become texts.

    Attributes
    ----------
    table : ObjectTable
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.table = EMPTY
        self._names: list[str] = []
        self._order: NDArray[np.intp] = np.empty(0, np.intp)
        self._filter = ""
        self._sorting: tuple[str, bool] | None = None

    # -- what Qt asks ----------------------------------------------------------------------------

    def rowCount(self, parent: Index | None = None) -> int:  # noqa: N802
        """Return how many rows are shown."""
        return 0 if parent is not None and parent.isValid() else len(self._order)

    def columnCount(self, parent: Index | None = None) -> int:  # noqa: N802
        """Return how many columns there are."""
        return 0 if parent is not None and parent.isValid() else len(self._names)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return a cell, as precise as it is read; the tooltip has all of it."""
        if not index.isValid():
            return None
        column = self.table.columns[self._names[index.column()]]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if is_text(column) else Qt.AlignmentFlag.AlignRight
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        value = column[self._order[index.row()]]
        return _text(value, full=role == Qt.ItemDataRole.ToolTipRole)

    def headerData(  # noqa: N802
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        """Return the name of a column, and its unit in the tooltip."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self._names):
            return None
        name = self._names[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return name
        if role == Qt.ItemDataRole.ToolTipRole:
            unit = self.table.units.get(name, "")
            return f"{name}, in {unit}" if unit else name
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; rows without a number come last either way. -1 is the first order."""
        falling = order == Qt.SortOrder.DescendingOrder
        known = 0 <= column < len(self._names)
        self._sorting = (self._names[column], falling) if known else None
        self._arrange()

    # -- what is shown ---------------------------------------------------------------------------

    def show_table(self, table: ObjectTable) -> None:
        """Show another table, filtered and sorted as before."""
        self.beginResetModel()
        self.table, self._names = table, list(table.columns)
        self._order = self._ordered()
        self.endResetModel()

    def show_only(self, text: str) -> None:
        """Show the rows that a text means, see `rows_meant`."""
        if text != self._filter:
            self._filter = text
            self._arrange()

    def _arrange(self) -> None:
        self.beginResetModel()
        self._order = self._ordered()
        self.endResetModel()

    def _ordered(self) -> NDArray[np.intp]:
        rows = np.flatnonzero(rows_meant(self.table.columns, self._filter))
        if self._sorting is None or self._sorting[0] not in self.table.columns:
            return rows
        name, falling = self._sorting
        values = self.table.columns[name][rows]
        order = np.argsort(values, stable=True)  # NaN are last
        if falling:
            last = 0 if is_text(values) else int(np.isnan(values).sum())
            there = len(order) - last
            order = np.concatenate([order[:there][::-1], order[there:]])
        return np.asarray(rows[order])

    @property
    def rows(self) -> NDArray[np.intp]:
        """The rows of the table that are shown, in their order."""
        return self._order

    def row_of(self, shown: int) -> int:
        """Return which row of the table a row on the screen is."""
        return int(self._order[shown])

    def shown_row(self, row: int) -> int | None:
        """Return where a row of the table is shown, or None."""
        found = np.flatnonzero(self._order == row)
        return int(found[0]) if len(found) else None


def _text(value: Any, *, full: bool) -> str:
    if isinstance(value, np.floating):
        number = float(value)
        if number != number:  # noqa: PLR0124 - NaN
            return ""
        return repr(number) if full else f"{number:.4g}"
    return str(value)

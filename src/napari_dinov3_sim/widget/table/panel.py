"""The page of the table: two tabs, a filter, a plot, and buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QItemSelectionModel, QModelIndex, QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QSplitter,
    QTableView,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_dinov3_sim.widget.table.object_model import ObjectTableModel
from napari_dinov3_sim.widget.table.plot import ObjectPlot
from napari_dinov3_sim.widget.views.common import DockPage, ElidedLabel

if TYPE_CHECKING:
    from napari_dinov3_sim.core.objects.object_table import ObjectTable

HEIGHT = 220
"""Of the page at first, in screen pixels."""

IDENTITY = ("image", "class", "label", "time", "plane")
"""Columns by which a row is found again in another table."""

MEASURED_ROWS = 40
"""Rows by which the width of the columns goes."""


class RowsView(QTableView):
    """A table of which one row is chosen, by mouse or by arrow keys.

    Attributes
    ----------
    chosen : Signal(int)
        The row of the table that the user has gone to.
    """

    chosen = Signal(int)

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows = ObjectTableModel(self)
        self._is_told = True
        self._names: list[str] = []
        self.setModel(self.rows)
        self.setAccessibleName(name)
        self.setSortingEnabled(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        upright, header = self.verticalHeader(), self.horizontalHeader()
        upright.hide()
        upright.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        upright.setDefaultSectionSize(self.fontMetrics().height() + 6)
        header.setResizeContentsPrecision(MEASURED_ROWS)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.selectionModel().currentRowChanged.connect(self._on_current)
        self.clicked.connect(self._on_clicked)

    def show_table(self, table: ObjectTable) -> None:
        """Show a table; the row that was chosen stays chosen, if it is there again."""
        before = self._identity(self.current)
        names = list(table.columns)
        self.rows.show_table(table)
        if names != self._names:
            self._names = names
            self.resizeColumnsToContents()
        if before:
            self._choose_again(before)

    def show_only(self, text: str) -> None:
        """Show the rows that a text means."""
        row = self.current
        self.rows.show_only(text)
        if row is not None:
            self.choose(row)

    @property
    def current(self) -> int | None:
        """The row of the table that is chosen."""
        index = self.currentIndex()
        return self.rows.row_of(index.row()) if index.isValid() else None

    def choose(self, row: int) -> None:
        """Choose a row of the table and scroll to it, without reporting it as a choice."""
        shown = self.rows.shown_row(row)
        if shown is None:
            return
        column = max(0, self.currentIndex().column())
        index = self.rows.index(shown, column)
        self._is_told = False
        how = QItemSelectionModel.SelectionFlag.ClearAndSelect
        self.selectionModel().setCurrentIndex(index, how | QItemSelectionModel.SelectionFlag.Rows)
        self._is_told = True
        self.scrollTo(index)

    def _identity(self, row: int | None) -> dict[str, object]:
        """Return by what an object is known; of an image, its name and class are enough."""
        columns = self.rows.table.columns
        names = [name for name in IDENTITY if row is not None and name in columns]
        return {name: columns[name][row] for name in names}

    def _choose_again(self, identity: dict[str, object]) -> None:
        columns = self.rows.table.columns
        if not identity.keys() <= columns.keys():
            return
        same = np.logical_and.reduce([columns[name] == value for name, value in identity.items()])
        for row in np.flatnonzero(same)[:1].tolist():
            self.choose(row)

    def _on_current(self, current: QModelIndex, before: QModelIndex) -> None:
        del before
        if self._is_told and current.isValid():
            self.chosen.emit(self.rows.row_of(current.row()))

    def _on_clicked(self, index: QModelIndex) -> None:
        """Go there again: the view may have been moved since."""
        self.chosen.emit(self.rows.row_of(index.row()))


class TablePage(DockPage):
    """Objects and images as tables, with a plot.

    Attributes
    ----------
    row_chosen : Signal(int)
        A row of the table of objects.
    measure_clicked, save_clicked : Signal()
    """

    row_chosen = Signal(int)
    measure_clicked = Signal()
    save_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.objects, self.images = RowsView("Objects"), RowsView("Images")
        self.tabs, self.plot = QTabWidget(), ObjectPlot()
        self.line, self.filter = ElidedLabel(), QLineEdit()
        self.measure_button = QPushButton("Measure")
        self.save_button = QPushButton("Save table…")
        self._typed = QTimer(self)
        self._typed.setSingleShot(True)
        self._typed.setInterval(200)
        self._state = ""
        self._build()
        self._explain()
        self._connect()

    def _build(self) -> None:
        self.tabs.addTab(self.objects, "Objects")
        self.tabs.addTab(self.images, "Images")
        self.filter.setPlaceholderText("filter: a name, or area_um2 > 50")
        self.filter.setClearButtonEnabled(True)
        header = QHBoxLayout()
        header.setSpacing(4)
        header.addWidget(self.line, 2)
        header.addWidget(self.filter, 2)
        header.addWidget(self.measure_button)
        header.addWidget(self.save_button)
        parts = QSplitter(Qt.Orientation.Horizontal)
        parts.addWidget(self.tabs)
        parts.addWidget(self.plot)
        parts.setStretchFactor(0, 4)
        parts.setStretchFactor(1, 3)
        parts.setChildrenCollapsible(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.setSpacing(2)
        layout.addLayout(header)
        layout.addWidget(parts, 1)
        self.setMinimumHeight(150)
        self.setFocusProxy(self.objects)

    def _explain(self) -> None:
        self.line.setAccessibleName("State of the table")
        self.filter.setAccessibleName("Filter")
        self.filter.setToolTip(
            "Show only rows of which a name contains this, or for which a comparison holds, such "
            "as area_um2 > 50; several with a comma between them"
        )
        self.measure_button.setToolTip("Measure the objects of all Labels layers as they are now")
        self.measure_button.setAccessibleName("Measure")
        self.save_button.setToolTip(
            "Save all rows of the tab that is shown as a CSV file; names of columns end in units"
        )
        self.save_button.setAccessibleName("Save table")
        self.objects.setToolTip("Click on a row to go to the object; click on a heading to sort")
        self.images.setToolTip("How many objects each image has of each class, and how large")

    def _connect(self) -> None:
        self.objects.chosen.connect(self.row_chosen)
        self.measure_button.clicked.connect(self.measure_clicked)
        self.save_button.clicked.connect(self.save_clicked)
        self.filter.textChanged.connect(self._typed.start)
        self.filter.returnPressed.connect(self._on_typed)
        self._typed.timeout.connect(self._on_typed)
        self.objects.rows.modelReset.connect(self._on_rows)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size for some rows and a plot."""
        return QSize(900, HEIGHT)

    def height_of_page(self, width: int) -> int:
        """Return the height that the page wants, whatever its width."""
        del width
        return HEIGHT

    # -- what is shown ---------------------------------------------------------------------------

    def show_tables(self, objects: ObjectTable, images: ObjectTable) -> None:
        """Show what was measured."""
        self.objects.show_table(objects)
        self.images.show_table(images)
        self.save_button.setEnabled(bool(objects.columns))

    def show_state(self, state: str, *, can_measure: bool) -> None:
        """Say what is going on, such as that the table is out of date; nothing if all is well."""
        self._state = state
        self.measure_button.setEnabled(can_measure)
        self._show_line()

    def _show_line(self) -> None:
        shown, total = self.objects.rows.rowCount(), len(self.objects.rows.table)
        count = f"{shown:,} of {total:,}" if shown != total else f"{total:,}"
        text = f"{count} object{'' if total == 1 else 's'}"
        self.line.show_text(f"{text} · {self._state}" if self._state else text)

    @property
    def saves_images(self) -> bool:
        """Whether the tab of the images is shown."""
        return bool(self.tabs.currentWidget() is self.images)

    def _on_typed(self) -> None:
        self._typed.stop()
        self.objects.show_only(self.filter.text())
        self.images.show_only(self.filter.text())

    def _on_rows(self) -> None:
        """Follow what is shown now: another table, or other rows of it."""
        model = self.objects.rows
        self._show_line()
        self.plot.show_rows(model.table, model.rows)

"""napari's list of layers, without those that are drawn for another layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Layer
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QListView

from napari_dinov3_sim.session.layer_metadata import is_helper

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qtpy.QtCore import QModelIndex
    from qtpy.QtWidgets import QWidget


class LayerListRows:
    """Hides rows of napari's list; the layers themselves stay where they are.

    Parameters
    ----------
    widget : QWidget
        Any in the window of the viewer.
    """

    def __init__(self, widget: QWidget) -> None:
        self._widget = widget
        self._view: QListView | None = None

    def update(self) -> None:
        """Hide the rows of helpers, and show all others."""
        if self._view is None:
            self._view = self._find()
            if self._view is not None:
                self._view.model().rowsInserted.connect(self._on_inserted)
        self._hide_helpers()

    def close(self) -> None:
        """Show all rows again."""
        view, self._view = self._view, None
        if view is not None and isalive(view):  # type: ignore[no-untyped-call]
            view.model().rowsInserted.disconnect(self._on_inserted)
            for row in range(view.model().rowCount()):
                view.setRowHidden(row, False)

    def _find(self) -> QListView | None:
        """Return napari's list, known by its content; an empty one is found later."""
        lists = self._widget.window().findChildren(QListView)
        return next((view for view in lists if isinstance(_layer(view, 0), Layer)), None)

    def _on_inserted(self, parent: QModelIndex, first: int, last: int) -> None:
        """Hide helpers before they are drawn."""
        del parent
        self._hide_helpers(range(first, last + 1))

    def _hide_helpers(self, rows: Iterable[int] | None = None) -> None:
        """Hide the rows of helpers, and show others: those given, or all."""
        view = self._view
        if view is None or not isalive(view):  # type: ignore[no-untyped-call]
            return
        for row in range(view.model().rowCount()) if rows is None else rows:
            layer = _layer(view, row)
            hidden = isinstance(layer, Layer) and is_helper(layer)
            if view.isRowHidden(row) != hidden:  # each change lays out the whole list
                view.setRowHidden(row, hidden)


def _layer(view: QListView, row: int) -> object:
    model = view.model()
    return None if model is None else model.index(row, 0).data(Qt.ItemDataRole.UserRole)

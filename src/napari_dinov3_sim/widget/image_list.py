"""The open images with a tick for each that is searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QWidget

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

_ID = Qt.ItemDataRole.UserRole
_SEARCHABLE = (
    Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsSelectable
)


@dataclass(frozen=True)
class ImageEntry:
    """One line of the list.

    Attributes
    ----------
    layer_id : hashable
        ``layer.unique_id``.
    name : str
    ticked : bool
    refused : str or None
        Why the image cannot be searched.
    """

    layer_id: Hashable
    name: str
    ticked: bool
    refused: str | None = None


class ImageList(QListWidget):
    """Shows entries, and says which one was ticked or unticked.

    Attributes
    ----------
    ticked : Signal(object, bool)
        Layer id and whether it is to be searched.
    """

    ticked = Signal(object, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMinimumHeight(60)
        self.setMaximumHeight(110)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setToolTip("Ticked images are searched")
        self._ids: list[Hashable] = []
        self.itemChanged.connect(self._on_item_changed)

    def show_entries(self, entries: Sequence[ImageEntry]) -> None:
        """Show these images.

        Lines are changed in place where the images are the same: this is also called while
        Qt handles a tick, when no item may be deleted.
        """
        ids = [entry.layer_id for entry in entries]
        with QSignalBlocker(self):
            if ids != self._ids:
                self._ids = ids
                self.clear()
                self.addItems([entry.name for entry in entries])
            for row, entry in enumerate(entries):
                self._fill(self.item(row), entry)

    def _fill(self, item: QListWidgetItem, entry: ImageEntry) -> None:
        checked = Qt.CheckState.Checked if entry.ticked else Qt.CheckState.Unchecked
        item.setData(_ID, entry.layer_id)
        item.setText(entry.name)
        item.setToolTip(entry.refused or entry.name)
        item.setFlags(Qt.ItemFlag.NoItemFlags if entry.refused else _SEARCHABLE)
        item.setCheckState(checked)

    def _on_item_changed(self, item: QListWidgetItem) -> None:
        self.ticked.emit(item.data(_ID), item.checkState() == Qt.CheckState.Checked)

"""The kinds that there are, with their colours; and whether the next click is one or is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = Qt.ItemDataRole.UserRole
_FLAGS = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable


class KindList(QWidget):
    """A list of kinds, a button for one more, and two buttons for the sign.

    Attributes
    ----------
    picked : Signal(str)
        The kind of the next points.
    renamed : Signal(str, str)
        Old and new name.
    new_clicked : Signal()
    sign_picked : Signal(bool)
        Whether the next points are examples of the kind.
    """

    picked = Signal(str)
    renamed = Signal(str, str)
    new_clicked = Signal()
    sign_picked = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = QListWidget()
        self.new_button = QPushButton("New kind")
        self.positive_button = QPushButton("+ this")
        self.negative_button = QPushButton("– not this")
        self._signs = QButtonGroup(self)
        self._build()
        self.list.currentItemChanged.connect(self._on_current)
        self.list.itemChanged.connect(self._on_edited)
        self.new_button.clicked.connect(self.new_clicked)
        self._signs.buttonClicked.connect(self._on_sign)

    def _build(self) -> None:
        self.list.setMaximumHeight(76)
        self.list.setMinimumHeight(44)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setToolTip(
            "The kind of your next points; each has a heatmap of its own.\nDouble click to rename."
        )
        for button in (self.positive_button, self.negative_button):
            button.setCheckable(True)
            self._signs.addButton(button)
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in (self.positive_button, self.negative_button, self.new_button):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.list)
        layout.addLayout(row)

    def show_kinds(self, kinds: Mapping[str, str], current: str, positive: bool) -> None:
        """Show the kinds and their colours, and what the next point will be.

        Lines are changed in place: this is also called while Qt handles an edit of one.
        """
        with QSignalBlocker(self.list):
            while self.list.count() < len(kinds):
                self.list.addItem(QListWidgetItem())
            while self.list.count() > len(kinds):
                self.list.takeItem(self.list.count() - 1)
            for row, (name, colour) in enumerate(kinds.items()):
                _fill(self.list.item(row), name, colour)
                if name == current and row != self.list.currentRow():
                    self.list.setCurrentRow(row)
        (self.positive_button if positive else self.negative_button).setChecked(True)

    def _on_current(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self.picked.emit(item.data(_NAME))

    def _on_edited(self, item: QListWidgetItem) -> None:
        before, after = item.data(_NAME), item.text()
        if after != before:
            self.renamed.emit(before, after)

    def _on_sign(self) -> None:
        self.sign_picked.emit(self.positive_button.isChecked())


def _fill(item: QListWidgetItem, name: str, colour: str) -> None:
    item.setData(_NAME, name)
    item.setFlags(_FLAGS)
    if item.text() != name:
        item.setText(name)
    if item.data(Qt.ItemDataRole.UserRole + 1) != colour:
        item.setData(Qt.ItemDataRole.UserRole + 1, colour)
        swatch = QPixmap(12, 12)
        swatch.fill(QColor(colour))
        item.setIcon(QIcon(swatch))

"""Views of the query: its classes, navigation, and the buttons for points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_dinov3_sim.widget.views.common import ElidedLabel, LayerCombo

if TYPE_CHECKING:
    from collections.abc import Mapping


_NAME = Qt.ItemDataRole.UserRole
_FLAGS = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable


class ClassList(QWidget):
    """A list of classes, a button for one more, and two buttons for the sign.

    Attributes
    ----------
    picked : Signal(str)
        The class of the next points.
    renamed : Signal(str, str)
        Old and new name.
    new_clicked : Signal()
    sign_picked : Signal(bool)
        Whether the next points are examples of the class.
    """

    picked = Signal(str)
    renamed = Signal(str, str)
    new_clicked = Signal()
    sign_picked = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = QListWidget()
        self.new_button = QPushButton("New class")
        self.positive_button = QPushButton("+ positive")
        self.negative_button = QPushButton("– negative")
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
            "The class of your next points; each has a heatmap of its own.\n"
            "Double click to rename."
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

    def show_classes(self, classes: Mapping[str, str], current: str, positive: bool) -> None:
        """Show the classes and their colours, and what the next point will be.

        Lines are changed in place: this is also called while Qt handles an edit of one.
        """
        with QSignalBlocker(self.list):
            while self.list.count() < len(classes):
                self.list.addItem(QListWidgetItem())
            while self.list.count() > len(classes):
                self.list.takeItem(self.list.count() - 1)
            for row, (name, colour) in enumerate(classes.items()):
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
        icon = QIcon(swatch)
        icon.addPixmap(swatch, QIcon.Mode.Selected)  # else Qt tints it, and it is another colour
        item.setIcon(icon)


TOPMOST = "topmost under the click"


class NavigationRow(QWidget):
    """A choice of the clicked image, three switches and a button.

    Attributes
    ----------
    source_picked : Signal(object)
        Id of the image that clicks belong to, None for the topmost one.
    hovering_changed, outlines_changed, side_by_side_changed : Signal(bool)
    best_match_clicked : Signal()
    """

    source_picked = Signal(object)
    hovering_changed = Signal(bool)
    outlines_changed = Signal(bool)
    side_by_side_changed = Signal(bool)
    best_match_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.source = LayerCombo(TOPMOST)
        self.hovering = QCheckBox("Live under the mouse")
        self.outlines = QCheckBox("Outline patches")
        self.side_by_side = QCheckBox("Side by side")
        self.best_match = QPushButton("Go to best match")
        self._build()
        self.source.picked.connect(self.source_picked)
        self.hovering.toggled.connect(self.hovering_changed)
        self.outlines.toggled.connect(self.outlines_changed)
        self.side_by_side.toggled.connect(self.side_by_side_changed)
        self.best_match.clicked.connect(self.best_match_clicked)

    def _build(self) -> None:
        self.source.setToolTip("The image that a click belongs to where several lie below it")
        self.outlines.setToolTip("Outline the patches that your points lie in")
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("clicks on", self.source)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        grid.addWidget(self.hovering, 0, 0)
        grid.addWidget(self.outlines, 0, 1)
        grid.addWidget(self.side_by_side, 1, 0)
        grid.addWidget(self.best_match, 1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addLayout(grid)

    def show_switches(self, *, hovering: bool, outlines: bool, side_by_side: bool) -> None:
        """Show what is on, without reporting it as a choice."""
        for box, checked in (
            (self.hovering, hovering),
            (self.outlines, outlines),
            (self.side_by_side, side_by_side),
        ):
            with QSignalBlocker(box):
                box.setChecked(checked)


class QueryRow(QWidget):
    """A name and two buttons.

    Attributes
    ----------
    clicked, undo_clicked : Signal()
    """

    clicked = Signal()
    undo_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = ElidedLabel()
        self.button = QPushButton("Click to query")
        self.button.setToolTip("Make the Points layer active: your next click is a query")
        self.undo_button = QPushButton("Undo")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.label, 1)
        layout.addWidget(self.button)
        layout.addWidget(self.undo_button)
        self.button.clicked.connect(self.clicked)
        self.undo_button.clicked.connect(self.undo_clicked)
        self.show_layer(None)

    def show_layer(self, name: str | None) -> None:
        """Show the name of the Points layer, None before there is one."""
        self.label.show_text(name or "no Points layer yet")

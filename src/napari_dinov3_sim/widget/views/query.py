"""Views of the query: its classes, navigation, and the buttons for points."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QMenu,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from napari_dinov3_sim.widget.views.common import LayerCombo, tinted_icon

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qtpy.QtCore import QPoint
    from qtpy.QtGui import QKeyEvent


_NAME = Qt.ItemDataRole.UserRole
_COLOUR = Qt.ItemDataRole.UserRole + 1
_FLAGS = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEditable

SWATCH, NAME, COUNTS, EYE, DELETE = range(5)
"""The columns of the list of classes."""

LIST_HEIGHT = 62
"""Of the list of classes, in screen pixels; more classes are scrolled to."""


@dataclass(frozen=True)
class ClassEntry:
    """One line of the list of classes.

    Attributes
    ----------
    name : str
    colour : str
        As ``#rrggbb``.
    positive, negative, regions : int
        How many points there are of each sign, and how many regions.
    visible : bool
        Whether its heatmaps are shown.
    """

    name: str
    colour: str
    positive: int = 0
    negative: int = 0
    regions: int = 0
    visible: bool = True

    @property
    def counts(self) -> str:
        """The numbers that are not zero, with their signs."""
        parts = ((self.positive, "+"), (self.negative, "\N{MINUS SIGN}"), (self.regions, "▭"))
        return " ".join(f"{sign}{number}" for number, sign in parts if number)

    @property
    def explanation(self) -> str:
        """The same in words."""
        return (
            f"{self.name}: {self.positive} positive and {self.negative} negative points, "
            f"{self.regions} regions"
        )


class ClassList(QTreeWidget):
    """A line for each class: colour, name, number of points and regions, eye, delete.

    Attributes
    ----------
    picked : Signal(str)
        The class of the next points.
    renamed : Signal(str, str)
        Old and new name.
    colour_clicked, delete_clicked : Signal(str)
        The class whose colour is to be chosen; the one to delete.
    visible_changed : Signal(str, bool)
        A class, and whether its heatmaps are to be shown.
    move_clicked : Signal(str, bool)
        The class and the sign that the selected points and regions are to have.
    """

    picked = Signal(str)
    renamed = Signal(str, str)
    colour_clicked = Signal(str)
    delete_clicked = Signal(str)
    visible_changed = Signal(str, bool)
    move_clicked = Signal(str, bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entries: dict[str, ClassEntry] = {}
        self._build()
        self.currentItemChanged.connect(self._on_current)
        self.itemChanged.connect(self._on_edited)
        self.itemClicked.connect(self._on_clicked)
        self.itemDoubleClicked.connect(self._on_double_clicked)
        self.customContextMenuRequested.connect(self._show_menu)

    def _build(self) -> None:
        self.setAccessibleName("Classes")
        self.setColumnCount(5)
        self.setHeaderHidden(True)
        self.setRootIsDecorated(False)
        self.setIndentation(0)
        self.setFixedHeight(LIST_HEIGHT)
        self.setEditTriggers(QTreeWidget.EditTrigger.EditKeyPressed)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header = self.header()
        if header is not None:
            header.setStretchLastSection(False)
            header.setMinimumSectionSize(20)
            for column in (SWATCH, EYE, DELETE):
                header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
                self.setColumnWidth(column, 26)
            header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
            header.setSectionResizeMode(COUNTS, QHeaderView.ResizeMode.ResizeToContents)

    def show_classes(self, entries: Sequence[ClassEntry], current: str) -> None:
        """Show the classes, and which one the next point will be of.

        Lines are changed in place: this is also called while Qt handles an edit of one.
        """
        self._entries = {entry.name: entry for entry in entries}
        with QSignalBlocker(self):
            while self.topLevelItemCount() < len(entries):
                self.addTopLevelItem(QTreeWidgetItem())
            while self.topLevelItemCount() > len(entries):
                self.takeTopLevelItem(self.topLevelItemCount() - 1)
            for row, entry in enumerate(entries):
                item = self.topLevelItem(row)
                if item is None:
                    continue
                self._fill(item, entry)
                if entry.name == current and item is not self.currentItem():
                    self.setCurrentItem(item)

    def _fill(self, item: QTreeWidgetItem, entry: ClassEntry) -> None:
        ink = self.palette().windowText().color()
        item.setData(NAME, _NAME, entry.name)
        item.setFlags(_FLAGS)
        if item.text(NAME) != entry.name:
            item.setText(NAME, entry.name)
        item.setText(COUNTS, entry.counts)
        shown = (entry.colour, entry.visible, ink.name())
        if item.data(NAME, _COLOUR) != shown:
            item.setData(NAME, _COLOUR, shown)
            item.setIcon(SWATCH, _swatch(entry.colour))
            eye = "visibility" if entry.visible else "visibility_off"
            item.setIcon(EYE, tinted_icon(eye, ink))
            item.setIcon(DELETE, tinted_icon("delete", ink))
        item.setToolTip(SWATCH, f"Choose the colour of {entry.name}")
        item.setToolTip(NAME, f"Click: the next points are {entry.name}. Double click: rename")
        item.setToolTip(COUNTS, entry.explanation)
        item.setToolTip(EYE, f"{'Hide' if entry.visible else 'Show'} the heatmaps of {entry.name}")
        item.setToolTip(DELETE, f"Delete {entry.name} with its points and drawn regions")

    # -- what the user does ---------------------------------------------------------------

    def _on_current(self, item: QTreeWidgetItem | None) -> None:
        if item is not None:
            self.picked.emit(item.data(NAME, _NAME))

    def _on_edited(self, item: QTreeWidgetItem, column: int) -> None:
        before, after = item.data(NAME, _NAME), item.text(NAME)
        if column == NAME and after != before:
            self.renamed.emit(before, after)

    def _on_clicked(self, item: QTreeWidgetItem, column: int) -> None:
        name = item.data(NAME, _NAME)
        if column == SWATCH:
            self.colour_clicked.emit(name)
        elif column == EYE:
            self._toggle(name)
        elif column == DELETE:
            self.delete_clicked.emit(name)

    def _on_double_clicked(self, item: QTreeWidgetItem, column: int) -> None:
        if column in (NAME, COUNTS):
            self.editItem(item, NAME)

    def _toggle(self, name: str) -> None:
        self.visible_changed.emit(name, not self._entries[name].visible)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Delete, hide or rename (F2) the current class by keyboard; digits choose another."""
        item = self.currentItem()
        if item is None:
            super().keyPressEvent(event)
        elif event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.delete_clicked.emit(item.data(NAME, _NAME))
        elif event.key() == Qt.Key.Key_Space:
            self._toggle(item.data(NAME, _NAME))
        elif event.key() == Qt.Key.Key_F2:
            self.editItem(item, NAME)
        elif "1" <= event.text() <= str(min(9, self.topLevelItemCount())):
            self.setCurrentIndex(self.model().index(int(event.text()) - 1, NAME))
        else:
            super().keyPressEvent(event)

    def menu_of(self, item: QTreeWidgetItem) -> QMenu:
        """Return what can be done with a class."""
        name, menu = item.data(NAME, _NAME), QMenu(self)
        actions: tuple[tuple[str, Callable[[], None]], ...] = (
            ("Rename", partial(self.editItem, item, NAME)),
            ("Colour…", partial(self.colour_clicked.emit, name)),
            ("Hide" if self._entries[name].visible else "Show", partial(self._toggle, name)),
            ("Delete", partial(self.delete_clicked.emit, name)),
            ("Selected points are + positive", partial(self.move_clicked.emit, name, True)),
            ("Selected points are – negative", partial(self.move_clicked.emit, name, False)),
        )
        for text, call in actions:
            action = menu.addAction(text)
            action.triggered.connect(partial(_call, call))
        return menu

    def _show_menu(self, place: QPoint) -> None:
        item = self.itemAt(place) or self.currentItem()
        if item is not None:
            self.menu_of(item).popup(self.viewport().mapToGlobal(place))

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Draw the icons again in the ink of another theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            with QSignalBlocker(self):
                for row, entry in enumerate(self._entries.values()):
                    item = self.topLevelItem(row)
                    if item is not None:
                        self._fill(item, entry)


def _call(call: Callable[[], None], *_checked: bool) -> None:
    call()


def _swatch(colour: str) -> QIcon:
    pixels = QPixmap(12, 12)
    pixels.fill(QColor(colour))
    icon = QIcon(pixels)
    icon.addPixmap(pixels, QIcon.Mode.Selected)  # else Qt tints it, and it is another colour
    return icon


class SignRow(QWidget):
    """What the next click says, and buttons for classes and for steps back and forth.

    Attributes
    ----------
    sign_picked : Signal(bool)
        The next clicks are examples of the class, or of what is not meant.
    box_clicked, new_clicked, undo_clicked, redo_clicked : Signal()
    """

    sign_picked = Signal(bool)
    box_clicked = Signal()
    new_clicked = Signal()
    undo_clicked = Signal()
    redo_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.positive_button = QPushButton("+ positive")
        self.negative_button = QPushButton("– negative")
        self.box_button = QPushButton("▭ box")
        self.new_button = QPushButton("New class")
        self.undo_button = QPushButton("Undo")
        self.redo_button = QPushButton("Redo")
        self._build()
        self.positive_button.clicked.connect(self._on_positive)
        self.negative_button.clicked.connect(self._on_negative)
        self.box_button.clicked.connect(self._on_box)
        self.new_button.clicked.connect(self.new_clicked)
        self.undo_button.clicked.connect(self.undo_clicked)
        self.redo_button.clicked.connect(self.redo_clicked)

    def _build(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        modes = (self.positive_button, self.negative_button, self.box_button)
        for column, button in enumerate(modes):
            button.setCheckable(True)
            grid.addWidget(button, 0, column)
        for column, button in enumerate((self.new_button, self.undo_button, self.redo_button)):
            grid.addWidget(button, 1, column)

    def show_mode(self, *, clicking: bool, positive: bool, box: bool) -> None:
        """Show what the next click, or drag, on an image does.

        Parameters
        ----------
        clicking : bool
            Whether it sets a point; otherwise it belongs to another layer.
        positive : bool
            Whether the point, or the box, is an example of its class.
        box : bool
            Whether it draws a box.
        """
        self.positive_button.setChecked(positive and (clicking or box))
        self.negative_button.setChecked(not positive and (clicking or box))
        self.box_button.setChecked(box)

    def show_history(self, *, can_undo: bool, can_redo: bool) -> None:
        """Show whether there is a step back, and one forth."""
        self.undo_button.setEnabled(can_undo)
        self.redo_button.setEnabled(can_redo)

    def _on_positive(self) -> None:
        self.positive_button.setChecked(True)
        self.sign_picked.emit(True)

    def _on_negative(self) -> None:
        self.negative_button.setChecked(True)
        self.sign_picked.emit(False)

    def _on_box(self) -> None:
        self.box_button.setChecked(True)
        self.box_clicked.emit()


TOPMOST = "topmost under the click"


class SourceRow(QWidget):
    """A choice of the image that is clicked.

    Attributes
    ----------
    source_picked : Signal(object)
        Id of the image that clicks belong to, None for the topmost one.
    """

    source_picked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.source = LayerCombo(TOPMOST)
        self.source.setAccessibleName("Image that clicks belong to")
        self.source.setToolTip("The image that a click belongs to where several lie below it")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("clicks on", self.source)
        self.source.picked.connect(self.source_picked)


class NavigationRow(QWidget):
    """Two switches: which maps are seen, and where.

    Attributes
    ----------
    hovering_changed, side_by_side_changed : Signal(bool)
    """

    hovering_changed = Signal(bool)
    side_by_side_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.hovering = QCheckBox("Live under the mouse")
        self.side_by_side = QCheckBox("Side by side")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.side_by_side)
        row.addWidget(self.hovering)
        self.hovering.toggled.connect(self.hovering_changed)
        self.side_by_side.toggled.connect(self.side_by_side_changed)

    def show_switches(self, *, hovering: bool, side_by_side: bool) -> None:
        """Show what is on, without reporting it as a choice."""
        for box, checked in ((self.hovering, hovering), (self.side_by_side, side_by_side)):
            with QSignalBlocker(box):
                box.setChecked(checked)

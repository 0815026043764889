"""The view of suggested classes: a row for each, with pictures of typical places."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_dinov3_sim.widget.views.common import DockPage, ElidedLabel, show_value

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtGui import QResizeEvent

SIDE = 56
"""Of a picture, in screen pixels."""

PICTURES = 3
"""Of each class."""

WIDTH = 280
"""Of a row, in screen pixels: where there is room for two, they stand side by side."""


@dataclass(frozen=True)
class SuggestionEntry:
    """A suggested class as it is shown.

    Attributes
    ----------
    number : int
    colour : str
        As ``#rrggbb``.
    share : float
        Of the area of all images, from 0 to 1.
    images : int
        How many images have some of it.
    pictures : tuple of hashable
        The ids of its pictures.
    class_name : str or None
        The class that was made of it.
    """

    number: int
    colour: str
    share: float
    images: int
    pictures: tuple[Hashable, ...]
    class_name: str | None

    @property
    def title(self) -> str:
        """How much it covers, and what was made of it."""
        return f"{self.share:.0%} of area" if self.share >= 0.01 else "< 1% of area"

    @property
    def description(self) -> str:
        """The same in words."""
        images = "1 image" if self.images == 1 else f"{self.images} images"
        made = f", made the class {self.class_name}" if self.class_name else ""
        return f"Suggested class {self.number}: {self.title} in {images}{made}"


class SuggestionRow(QWidget):
    """A suggested class: a tick, its colour and share, and pictures that are clicked.

    Attributes
    ----------
    ticked : Signal()
    opened : Signal(object)
        The id of a picture.
    """

    ticked = Signal()
    opened = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tick = QCheckBox()
        self.share = QLabel()
        self.made = ElidedLabel()
        self.buttons = [QToolButton() for _ in range(PICTURES)]
        self.entry: SuggestionEntry | None = None
        self._build()
        self.tick.toggled.connect(self.ticked)
        for place, button in enumerate(self.buttons):
            button.clicked.connect(partial(self._on_clicked, place))

    def _build(self) -> None:
        text = QVBoxLayout()
        text.setSpacing(0)
        text.addStretch(1)
        text.addWidget(self.tick)
        text.addWidget(self.share)
        text.addWidget(self.made)
        text.addStretch(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(2, 0, 2, 0)
        row.setSpacing(3)
        row.addLayout(text, 1)
        for button in self.buttons:
            button.setIconSize(QSize(SIDE, SIDE))
            button.setFixedSize(SIDE + 4, SIDE + 4)
            button.setAutoRaise(True)
            row.addWidget(button)

    def show_entry(self, entry: SuggestionEntry) -> None:
        """Show a class; one that was made already cannot be ticked."""
        before, self.entry = self.entry, entry
        with QSignalBlocker(self.tick):
            if before is None or before.pictures != entry.pictures or entry.class_name:
                self.tick.setChecked(False)
            self.tick.setEnabled(entry.class_name is None)
        self.tick.setText(f"{entry.number}")
        pixels = QPixmap(12, 12)
        pixels.fill(QColor(entry.colour))
        icon = QIcon(pixels)
        icon.addPixmap(pixels, QIcon.Mode.Disabled)  # else Qt makes it gray
        self.tick.setIcon(icon)
        self.tick.setAccessibleName(f"Choose suggested class {entry.number}")
        self.tick.setToolTip(f"{entry.description}. Tick it to make it a class of the query")
        self.share.setText(entry.title)
        self.share.setToolTip(entry.description)
        self.made.show_text(f"→ {entry.class_name}" if entry.class_name else "")
        for place, button in enumerate(self.buttons):
            has_picture = place < len(entry.pictures)
            button.setVisible(has_picture)
            if before is None or before.pictures != entry.pictures:
                button.setIcon(QIcon())
            button.setToolTip("Go to this place")
            button.setAccessibleName(f"Place {place + 1} of suggested class {entry.number}")

    def show_picture(self, place: int, picture: QPixmap) -> None:
        """Show the picture of a place."""
        self.buttons[place].setIcon(QIcon(picture))

    def _on_clicked(self, place: int, *_checked: bool) -> None:
        if self.entry is not None and place < len(self.entry.pictures):
            self.opened.emit(self.entry.pictures[place])


class SuggestionsView(DockPage):
    """The page of suggested classes: how many, their rows, and a button that makes them classes.

    Attributes
    ----------
    count_changed : Signal(int)
        So many classes are to be suggested.
    refresh_clicked, cancel_clicked : Signal()
    make_clicked : Signal(object)
        The numbers of the classes that are ticked.
    opened : Signal(object)
        The id of a picture that was clicked.
    """

    count_changed = Signal(int)
    refresh_clicked = Signal()
    cancel_clicked = Signal()
    make_clicked = Signal(object)
    opened = Signal(object)

    def __init__(self, fewest: int, most: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.count = QSpinBox()
        self.count.setRange(fewest, most)
        self.line = ElidedLabel()
        self.refresh_button = QPushButton("Refresh")
        self.cancel_button = QPushButton("Cancel")
        self.make_button = QPushButton("Make classes")
        self.rows: list[SuggestionRow] = []
        self._content = QWidget()
        self._grid = QGridLayout(self._content)
        self._scroll = QScrollArea()
        self._columns = 0
        self._build()
        self._explain()
        self.count.valueChanged.connect(self.count_changed)
        self.refresh_button.clicked.connect(self.refresh_clicked)
        self.cancel_button.clicked.connect(self.cancel_clicked)
        self.make_button.clicked.connect(self._on_make)

    def _build(self) -> None:
        self.count.setKeyboardTracking(False)
        self.count.setFixedWidth(90)
        header = QHBoxLayout()
        header.setSpacing(4)
        header.addWidget(QLabel("classes"))
        header.addWidget(self.count)
        header.addSpacing(8)
        header.addWidget(self.line, 1)
        for button in (self.cancel_button, self.refresh_button, self.make_button):
            header.addWidget(button)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)
        self._scroll.setWidgetResizable(True)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setWidget(self._content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.setSpacing(2)
        layout.addLayout(header)
        layout.addWidget(self._scroll, 1)
        self.setMinimumHeight(SIDE + 60)

    def _explain(self) -> None:
        self.count.setAccessibleName("Number of suggested classes")
        self.count.setToolTip("How many classes the images are divided into")
        self.line.setAccessibleName("Suggested classes")
        self.refresh_button.setToolTip("Look at the images as they are ticked and shown now")
        self.refresh_button.setAccessibleName("Refresh suggested classes")
        self.cancel_button.setToolTip("Stop looking for classes")
        self.cancel_button.setAccessibleName("Cancel suggested classes")
        self.make_button.setToolTip(
            "Make the ticked ones classes of the query, by three positive points each"
        )
        self.make_button.setAccessibleName("Make ticked suggestions classes")

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size for six classes in two columns."""
        return QSize(2 * WIDTH + 20, self.height_of_page(2 * WIDTH + 20))

    def height_of_page(self, width: int) -> int:
        """Return the height in which the classes are seen, of more than six the first six."""
        rows = -(-self.count.value() // self._columns_in(width))
        return self.make_button.sizeHint().height() + min(rows, 3) * (SIDE + 8) + 16

    @property
    def picture_size(self) -> int:
        """Side of the pictures that are asked for, in pixels of the screen."""
        return round(SIDE * self.devicePixelRatioF())

    # -- what is shown ---------------------------------------------------------------------------

    def show_entries(self, entries: Sequence[SuggestionEntry]) -> None:
        """Show suggested classes; those that are the same keep their ticks and pictures."""
        while len(self.rows) < len(entries):
            row = SuggestionRow()
            row.ticked.connect(self._on_ticked)
            row.opened.connect(self.opened)
            self.rows.append(row)
            self._columns = 0
        while len(self.rows) > len(entries):
            row = self.rows.pop()
            self._grid.removeWidget(row)
            row.deleteLater()
        for row, entry in zip(self.rows, entries, strict=True):
            row.show_entry(entry)
        self._lay_out()
        self._on_ticked()

    def show_picture(self, picture_id: Hashable, pixels: NDArray[np.uint8]) -> None:
        """Show the picture of a place, 8-bit RGB."""
        height, width = pixels.shape[:2]
        image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        for row in self.rows:
            pictures = row.entry.pictures[:PICTURES] if row.entry is not None else ()
            for place, own in enumerate(pictures):
                if own == picture_id:
                    row.show_picture(place, QPixmap.fromImage(image))

    def show_state(self, count: int, line: str, *, waiting: bool) -> None:
        """Show how many classes were asked for, and say how far it is."""
        with QSignalBlocker(self.count):
            show_value(self.count, count)
        self.line.show_text(line)
        self.cancel_button.setVisible(waiting)
        self.refresh_button.setEnabled(not waiting)

    @property
    def ticked(self) -> list[int]:
        """The numbers of the classes that are ticked."""
        return [
            row.entry.number for row in self.rows if row.entry is not None and row.tick.isChecked()
        ]

    # -- what the user does ----------------------------------------------------------------------

    def _on_ticked(self) -> None:
        self.make_button.setEnabled(bool(self.ticked))

    def _on_make(self) -> None:
        self.make_clicked.emit(self.ticked)

    # -- the layout ------------------------------------------------------------------------------

    @staticmethod
    def _columns_in(width: int) -> int:
        return max(1, width // WIDTH)

    def _lay_out(self) -> None:
        columns = self._columns_in(self._scroll.viewport().width())
        if columns == self._columns:
            return
        self._columns = columns
        for place, row in enumerate(self.rows):
            self._grid.addWidget(row, place // columns, place % columns)
        for column in range(max(columns, self._grid.columnCount())):
            self._grid.setColumnStretch(column, int(column < columns))
        for line in range(self._grid.rowCount()):
            self._grid.setRowStretch(line, 0)
        self._grid.setRowStretch(-(-len(self.rows) // columns), 1)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Put as many columns side by side as there is room for."""
        super().resizeEvent(event)
        self._lay_out()

"""The view of the gallery: matches to be judged, in a dock page of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Signal
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_dinov3_sim.widget.match_list import SMALLEST, GalleryList
from napari_dinov3_sim.widget.views.common import DockPage, ElidedLabel

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinov3_sim.widget.match_list import GalleryItem

PICTURE = 240
"""Side of the pictures that are asked for, on a screen without scaling."""

MARGINS = 14
"""Above, between and below the parts, in screen pixels."""

ORDERS = {
    "best": ("Best first", "Show the places with the best scores, to collect many right ones"),
    "teach": (
        "Teach",
        "Show places from the best to the worst score, from which the search learns fastest",
    ),
}
"""Label and tooltip of each order."""


class GalleryView(DockPage):
    """The page of the gallery: orders, pictures, buttons, and one line about the judgements.

    Attributes
    ----------
    order_chosen : Signal(str)
        'best' or 'teach'.
    next_clicked, refresh_clicked, save_clicked, files_clicked, undo_clicked : Signal()
    judged : Signal(object, object)
        The id of an item, and whether it is right; None where a judgement is taken back.
    opened, picture_wanted : Signal(object)
        The id of an item.
    """

    order_chosen = Signal(str)
    next_clicked = Signal()
    refresh_clicked = Signal()
    save_clicked = Signal()
    files_clicked = Signal()
    undo_clicked = Signal()
    judged = Signal(object, object)
    opened = Signal(object)
    picture_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = GalleryList()
        self.order_buttons = {order: QPushButton(label) for order, (label, _) in ORDERS.items()}
        self._group = QButtonGroup(self)
        self.line = ElidedLabel()
        self.next_button = QPushButton("Next ten")
        self.refresh_button = QPushButton("Refresh")
        self.files_button = QPushButton("Files…")
        self.save_button = QPushButton("Save…")
        self._buttons = (
            self.next_button,
            self.refresh_button,
            self.files_button,
            self.save_button,
        )
        self._build()
        self._explain()
        self._connect()

    def _build(self) -> None:
        header = QHBoxLayout()
        header.setSpacing(4)
        for button in self.order_buttons.values():
            button.setCheckable(True)
            self._group.addButton(button)
            header.addWidget(button)
        header.addSpacing(8)
        header.addWidget(self.line, 1)
        for button in self._buttons:
            header.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.setSpacing(2)
        layout.addLayout(header)
        layout.addWidget(self.list, 1)
        self.setMinimumHeight(SMALLEST + 70)
        self.setFocusProxy(self.list)

    def _explain(self) -> None:
        for order, (label, tip) in ORDERS.items():
            self.order_buttons[order].setToolTip(tip)
            self.order_buttons[order].setAccessibleName(f"Order: {label}")
        self.line.setAccessibleName("Judgements")
        self.next_button.setToolTip("Show the next ten places, none of which was shown before (M)")
        self.refresh_button.setToolTip(
            "Begin again from the first place, in the order of the present scores"
        )
        self.save_button.setToolTip("Write image, position, class and judgement to a JSON file")
        self.files_button.setToolTip(
            "Search a folder of images that are not open, by embeddings that were computed before"
        )
        for button in self._buttons:
            button.setAccessibleName(button.text().rstrip("…"))
        self.save_button.setAccessibleName("Save judgements")
        self.files_button.setAccessibleName("Add files")

    def _connect(self) -> None:
        self._group.buttonClicked.connect(self._on_order)
        self.next_button.clicked.connect(self.next_clicked)
        self.refresh_button.clicked.connect(self.refresh_clicked)
        self.save_button.clicked.connect(self.save_clicked)
        self.files_button.clicked.connect(self.files_clicked)
        self.list.judged.connect(self.judged)
        self.list.opened.connect(self.opened)
        self.list.next_wanted.connect(self.next_clicked)
        self.list.undo_wanted.connect(self.undo_clicked)
        self.list.items.wanted.connect(self.picture_wanted)

    def _on_order(self, button: QPushButton) -> None:
        orders = {each: order for order, each in self.order_buttons.items()}
        self.order_chosen.emit(orders[button])
        self.list.setFocus()  # the next key judges

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size for one row of ten pictures."""
        return QSize(900, SMALLEST + 90)

    def height_of_page(self, width: int) -> int:
        """Return the height in which ten pictures are seen at once, in a page of this width."""
        return self.next_button.sizeHint().height() + self.list.height_of_page(width) + MARGINS

    @property
    def picture_size(self) -> int:
        """Side of the pictures that are asked for, in pixels of the screen."""
        return round(PICTURE * self.devicePixelRatioF())

    # -- what is shown ---------------------------------------------------------------------------

    def show_items(self, items: Sequence[GalleryItem], message: str = "") -> None:
        """Show matches; where there are none, a message."""
        self.list.show_message(message)
        self.list.show_items(items)

    def show_picture(self, item_id: Hashable, pixels: NDArray[np.uint8]) -> None:
        """Show the picture of a match, 8-bit RGB."""
        self.list.items.show_picture(item_id, pixels)

    def show_order(self, order: str) -> None:
        """Show which order is chosen."""
        self.order_buttons[order].setChecked(True)

    def show_line(self, text: str, tip: str, *, judged: bool, more: bool) -> None:
        """Say how many were judged; the buttons are enabled where they do something."""
        self.line.show_text(text, tip)
        self.save_button.setEnabled(judged)
        self.next_button.setEnabled(more)
        self.refresh_button.setEnabled(more)

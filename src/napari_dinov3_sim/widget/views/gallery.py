"""The view of the gallery: pictures of matches to be judged, in a dock page of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import (
    QAbstractItemModel,
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QPointF,
    QRect,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from qtpy.QtGui import QColor, QImage, QKeySequence, QPainter, QPen, QPixmap, QPolygonF
from qtpy.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QListView,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from napari_dinov3_sim.widget.views.common import ElidedLabel

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtGui import QKeyEvent, QMouseEvent, QPaintEvent, QResizeEvent

SMALLEST, LARGEST = 72, 240
"""Side of a picture on the screen: as large as all of them fit."""

PICTURE = 240
"""Side of the pictures that are asked for, on a screen without scaling."""

GAP = 4
"""Around each picture, in screen pixels."""

ROW = 10
"""Pictures in a row, where the page is low."""

BUTTON = 24
"""Side of the marks that are clicked, in screen pixels."""

RIGHT, WRONG = QColor("#2f9e44"), QColor("#e03131")
PLAIN = QColor(30, 30, 30, 190)


Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class GalleryItem:
    """A match as it is shown.

    Attributes
    ----------
    id : hashable
    image : str
        Name of the image.
    score : float
    judgement : bool or None
        Right, wrong, or not judged.
    """

    id: Hashable
    image: str
    score: float
    judgement: bool | None

    @property
    def caption(self) -> str:
        """The line below the picture."""
        return f"{self.score:.2f}  {self.image}"

    @property
    def description(self) -> str:
        """The same in words."""
        judged = {True: "judged right", False: "judged wrong", None: "not judged"}
        return f"{self.image}, score {self.score:.2f}, {judged[self.judgement]}"


class GalleryModel(QAbstractListModel):
    """Items and their pictures.

    Attributes
    ----------
    wanted : Signal(object)
        The id of an item whose picture is about to be drawn for the first time.
    """

    wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.items: tuple[GalleryItem, ...] = ()
        self._pictures: dict[Hashable, QPixmap] = {}
        self._asked: set[Hashable] = set()

    def rowCount(self, parent: Index | None = None) -> int:  # noqa: N802
        """Return how many there are."""
        return 0 if parent is not None and parent.isValid() else len(self.items)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return caption, description or the item itself."""
        if not 0 <= index.row() < len(self.items):
            return None
        item = self.items[index.row()]
        return {
            Qt.ItemDataRole.DisplayRole: item.caption,
            Qt.ItemDataRole.ToolTipRole: f"{item.description}; click to go there",
            Qt.ItemDataRole.AccessibleTextRole: (
                f"Match {index.row() + 1} of {len(self.items)}: {item.description}"
            ),
            Qt.ItemDataRole.UserRole: item,
        }.get(Qt.ItemDataRole(role))

    def show_items(self, items: Sequence[GalleryItem]) -> bool:
        """Show items; return whether they are others than before."""
        before, self._asked = self.items, set()
        if [item.id for item in before] != [item.id for item in items]:
            self.beginResetModel()
            self.items = tuple(items)
            kept = {item.id for item in items}
            self._pictures = {i: p for i, p in self._pictures.items() if i in kept}
            self.endResetModel()
            return True
        self.items = tuple(items)
        for row, (old, new) in enumerate(zip(before, items, strict=True)):
            if old != new:
                self.dataChanged.emit(self.index(row), self.index(row))
        return False

    def picture(self, item: GalleryItem) -> QPixmap | None:
        """Return the picture of an item; ask for it, once for each `show_items`."""
        if item.id not in self._asked:
            self._asked.add(item.id)
            self.wanted.emit(item.id)
        return self._pictures.get(item.id)

    def show_picture(self, item_id: Hashable, pixels: NDArray[np.uint8]) -> None:
        """Show the picture of an item, 8-bit RGB."""
        height, width = pixels.shape[:2]
        image = QImage(pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        self._pictures[item_id] = QPixmap.fromImage(image)
        for row, item in enumerate(self.items):
            if item.id == item_id:
                self.dataChanged.emit(self.index(row), self.index(row))


class GalleryDelegate(QStyledItemDelegate):
    """Draws a picture with its caption and the two marks, and takes clicks on these.

    Attributes
    ----------
    judged : Signal(object, object)
        The id of an item, and whether it is right; None where a judgement is taken back.
    opened : Signal(object)
        The id of an item whose picture was clicked.
    side : int
        Of a picture, in screen pixels.
    """

    judged = Signal(object, object)
    opened = Signal(object)

    def __init__(self, model: GalleryModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self.side = 128

    def cell(self, line: int) -> QSize:
        """Return the size of an item with a caption of so high a line."""
        return QSize(self.side + 2 * GAP, self.side + 2 * GAP + line)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:  # noqa: N802
        """Return the size of an item."""
        del index
        return self.cell(option.fontMetrics.height())

    # -- where things are ------------------------------------------------------------------------

    def _picture_rect(self, rect: QRect) -> QRect:
        return QRect(rect.left() + GAP, rect.top() + GAP, self.side, self.side)

    def mark_rect(self, rect: QRect, right: bool) -> QRect:
        """Return where the mark for right or wrong is, in an item's rectangle."""
        picture = self._picture_rect(rect)
        left = picture.left() + 3 if right else picture.right() - BUTTON - 2
        return QRect(left, picture.bottom() - BUTTON - 2, BUTTON, BUTTON)

    # -- the mouse -------------------------------------------------------------------------------

    def editorEvent(  # noqa: N802
        self, event: QEvent, model: QAbstractItemModel, option: QStyleOptionViewItem, index: Index
    ) -> bool:
        """Judge where a mark is clicked, and go there where the picture is."""
        item = index.data(Qt.ItemDataRole.UserRole)
        mouse: QMouseEvent = event  # type: ignore[assignment]
        if (
            event.type() != QEvent.Type.MouseButtonRelease
            or mouse.button() != Qt.MouseButton.LeftButton
            or item is None
        ):
            return bool(super().editorEvent(event, model, option, index))
        place = mouse.position().toPoint()
        for right in (True, False):
            if self.mark_rect(option.rect, right).contains(place):
                self.judged.emit(item.id, None if item.judgement is right else right)
                return True
        self.opened.emit(item.id)
        return True

    # -- the picture -----------------------------------------------------------------------------

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Draw an item."""
        item: GalleryItem = index.data(Qt.ItemDataRole.UserRole)
        picture = self._picture_rect(option.rect)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        pixmap = self._model.picture(item)
        if pixmap is None:
            painter.fillRect(picture, QColor(128, 128, 128, 60))
            painter.drawText(picture, Qt.AlignmentFlag.AlignCenter, "…")
        else:
            painter.drawPixmap(picture, pixmap)
        if item.judgement is not None:
            painter.setPen(QPen(RIGHT if item.judgement else WRONG, 4))
            painter.drawRect(picture.adjusted(2, 2, -2, -2))
        for right in (True, False):
            _draw_mark(painter, self.mark_rect(option.rect, right), right, item.judgement)
        self._draw_caption(painter, option, picture, item)
        if option.state & QStyle.StateFlag.State_Selected:
            painter.setPen(QPen(option.palette.windowText().color(), 2))
            painter.drawRect(option.rect.adjusted(1, 1, -1, -1))
        painter.restore()

    def _draw_caption(
        self, painter: QPainter, option: QStyleOptionViewItem, above: QRect, item: GalleryItem
    ) -> None:
        line = QRect(above.left(), above.bottom() + 2, above.width(), option.fontMetrics.height())
        text = option.fontMetrics.elidedText(
            item.caption, Qt.TextElideMode.ElideRight, line.width()
        )
        painter.setPen(option.palette.windowText().color())
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, text)


def _draw_mark(painter: QPainter, rect: QRect, right: bool, judgement: bool | None) -> None:
    """Draw a tick or a cross on a disc; the one that was chosen in its colour."""
    chosen = judgement is right
    painter.save()
    painter.setPen(QPen(QColor("white"), 1))
    painter.setBrush((RIGHT if right else WRONG) if chosen else PLAIN)
    painter.drawEllipse(rect.adjusted(1, 1, -1, -1))
    painter.setPen(QPen(QColor("white"), 2.4, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    x, y, side = rect.x(), rect.y(), rect.width()
    lines = [[(0.28, 0.54), (0.44, 0.70), (0.73, 0.34)]]
    if not right:
        lines = [[(0.33, 0.33), (0.67, 0.67)], [(0.67, 0.33), (0.33, 0.67)]]
    for line in lines:
        points = [QPointF(x + side * along, y + side * down) for along, down in line]
        painter.drawPolyline(QPolygonF(points))
    painter.restore()


class GalleryList(QListView):
    """The pictures: arrow keys move, Y and N judge, Backspace takes back, Enter goes there.

    Attributes
    ----------
    judged : Signal(object, object)
        The id of an item, and whether it is right; None where a judgement is taken back.
    opened : Signal(object)
    next_wanted, undo_wanted : Signal()
    """

    judged = Signal(object, object)
    opened = Signal(object)
    next_wanted = Signal()
    undo_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.items = GalleryModel(self)
        self.drawing = GalleryDelegate(self.items, self)
        self._message = ""
        self._judged_last: Hashable | None = None
        self.setModel(self.items)
        self.setItemDelegate(self.drawing)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollMode(QListView.ScrollMode.ScrollPerPixel)
        self.setAccessibleName("Matches")
        self.setAccessibleDescription(
            "Arrow keys move, Y says right, N says wrong, Backspace takes back, Enter goes there"
        )
        self.drawing.judged.connect(self.judged)
        self.drawing.opened.connect(self.opened)

    def show_items(self, items: Sequence[GalleryItem]) -> None:
        """Show items; of others than before, the first is the current one."""
        if self.items.show_items(items):
            self._judged_last = None
            self._fit()
            if items:
                self.setCurrentIndex(self.items.index(0))
                self.scrollToTop()

    def show_message(self, message: str) -> None:
        """Say why there is nothing, where there is nothing."""
        self._message = message
        self.viewport().update()

    @property
    def current(self) -> GalleryItem | None:
        """The item that keys are about."""
        found: GalleryItem | None = self.currentIndex().data(Qt.ItemDataRole.UserRole)
        return found

    # -- keys ------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Judge, take back, go there; other keys are Qt's and napari's."""
        key, plain = event.key(), event.modifiers() in _PLAIN
        if event.matches(QKeySequence.StandardKey.Undo):
            self.undo_wanted.emit()
        elif plain and key in (Qt.Key.Key_Y, Qt.Key.Key_N):
            self._judge(key == Qt.Key.Key_Y)
        elif plain and key == Qt.Key.Key_Backspace:
            self._take_back()
        elif plain and key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            if self.current is not None:
                self.opened.emit(self.current.id)
        elif plain and key == Qt.Key.Key_M:
            self.next_wanted.emit()
        elif event.text().strip() and plain:  # Qt would look for a caption that begins with it
            event.ignore()
        else:
            super().keyPressEvent(event)

    def _judge(self, right: bool) -> None:
        item, row = self.current, self.currentIndex().row()
        if item is not None:
            self._judged_last = item.id
            self.judged.emit(item.id, right)
            if row + 1 < self.items.rowCount():
                self.setCurrentIndex(self.items.index(row + 1))

    def _take_back(self) -> None:
        """Take back the judgement of the current item, or that of the one judged last."""
        item = self.current
        if item is None or item.judgement is None:
            found = [each for each in self.items.items if each.id == self._judged_last]
            item = next(iter(found), None)
        if item is not None and item.judgement is not None:
            self.setCurrentIndex(self.items.index(self.items.items.index(item)))
            self.judged.emit(item.id, None)

    # -- how large ------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Draw the pictures as large as all of them fit."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        count, line = max(1, self.items.rowCount()), self.fontMetrics().height()
        bar = self.verticalScrollBar().sizeHint().width()
        width, height = self.width() - bar, self.height()
        side = LARGEST
        while side > SMALLEST:
            cell_width, cell_height = side + 2 * GAP, side + 2 * GAP + line
            columns, rows = width // cell_width, height // cell_height
            if columns * rows >= count:
                break
            side -= 2
        if side != self.drawing.side:
            self.drawing.side = side
            self.scheduleDelayedItemsLayout()
            self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the pictures, or the message."""
        super().paintEvent(event)
        if not self.items.rowCount() and self._message:
            painter = QPainter(self.viewport())
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.setPen(self.palette().windowText().color())
            painter.drawText(
                self.viewport().rect().adjusted(8, 8, -8, -8), int(flags), self._message
            )


_PLAIN = (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier)

ORDERS = {
    "best": ("Best first", "Show the places with the best scores, to collect many right ones"),
    "teach": (
        "Teach",
        "Show places from the best to the worst score, from which the search learns fastest",
    ),
}
"""Label and tooltip of each order."""


class GalleryView(QWidget):
    """The page of the gallery: orders, pictures, buttons, and one line about the judgements.

    Attributes
    ----------
    order_chosen : Signal(str)
        'best' or 'teach'.
    next_clicked, refresh_clicked, save_clicked, undo_clicked : Signal()
    judged : Signal(object, object)
        The id of an item, and whether it is right; None where a judgement is taken back.
    opened, picture_wanted : Signal(object)
        The id of an item.
    closed : Signal()
        The dock around the page was closed.
    """

    order_chosen = Signal(str)
    next_clicked = Signal()
    refresh_clicked = Signal()
    save_clicked = Signal()
    undo_clicked = Signal()
    judged = Signal(object, object)
    opened = Signal(object)
    picture_wanted = Signal(object)
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.list = GalleryList()
        self.order_buttons = {order: QPushButton(label) for order, (label, _) in ORDERS.items()}
        self._group = QButtonGroup(self)
        self.line = ElidedLabel()
        self.next_button = QPushButton("Next ten")
        self.refresh_button = QPushButton("Refresh")
        self.save_button = QPushButton("Save judgements…")
        self._docked = False
        self._undocking = QTimer(self)
        self._undocking.setSingleShot(True)
        self._undocking.timeout.connect(self._on_undocked)
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
        for button in (self.next_button, self.refresh_button, self.save_button):
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
        for button in (self.next_button, self.refresh_button, self.save_button):
            button.setAccessibleName(button.text().rstrip("…"))

    def _connect(self) -> None:
        self._group.buttonClicked.connect(self._on_order)
        self.next_button.clicked.connect(self.next_clicked)
        self.refresh_button.clicked.connect(self.refresh_clicked)
        self.save_button.clicked.connect(self.save_clicked)
        self.list.judged.connect(self.judged)
        self.list.opened.connect(self.opened)
        self.list.next_wanted.connect(self.next_clicked)
        self.list.undo_wanted.connect(self.undo_clicked)
        self.list.items.wanted.connect(self.picture_wanted)

    def _on_order(self, button: QPushButton) -> None:
        orders = {each: order for order, each in self.order_buttons.items()}
        self.order_chosen.emit(orders[button])

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size for one row of ten pictures."""
        return QSize(900, SMALLEST + 90)

    def height_of_row(self, width: int) -> int:
        """Return the height of a page of this width whose pictures fill one row."""
        side = min(max(SMALLEST, width // ROW - 2 * GAP), LARGEST)
        header = self.layout().sizeHint().height() - self.list.sizeHint().height()
        return side + 2 * GAP + self.fontMetrics().height() + header + 2 * GAP

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

    def show_line(self, text: str, *, judged: bool, more: bool) -> None:
        """Say how many were judged; the buttons are enabled where they do something."""
        self.line.show_text(text)
        self.save_button.setEnabled(judged)
        self.next_button.setEnabled(more)
        self.refresh_button.setEnabled(more)

    # -- the dock --------------------------------------------------------------------------------

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Notice when the dock lets go of this page: closing it deletes the dock alone."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self._undocking.start(0)
        super().changeEvent(event)

    def _on_undocked(self) -> None:
        if self.parent() is None and not self.isVisible():
            self._docked = False
            self.closed.emit()

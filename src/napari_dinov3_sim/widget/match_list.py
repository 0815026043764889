"""A list of matches as pictures with marks, judged by mouse or by keys."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile
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
    Signal,
)
from qtpy.QtGui import QColor, QImage, QKeySequence, QPainter, QPen, QPixmap, QPolygonF
from qtpy.QtWidgets import (
    QFrame,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtGui import QFontMetrics, QKeyEvent, QMouseEvent, QPaintEvent, QResizeEvent

SMALLEST, LARGEST = 72, 240
"""Side of a picture on the screen: as large as all of them fit."""

GAP = 4
"""Around each picture, in screen pixels."""

PAGE = 10
"""Pictures that are seen at once, if the page is as high as it wants to be."""

BUTTON = 24
"""Side of the marks that are clicked, in screen pixels."""

RIGHT, WRONG = QColor("#2f9e44"), QColor("#e03131")
PLAIN = QColor(30, 30, 30, 190)


SUFFIX = re.compile(r"(?:\.[a-z][a-z0-9]{1,7}){1,2}(?= \[|$)", re.IGNORECASE)
"""Of a file, which is followed by the place of a plane at most; the 5 of v1.5 is none."""

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
    def stem(self) -> str:
        """The name without the suffix of a file, where there is little room."""
        return SUFFIX.sub("", self.image)

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
    shared : int
        How many characters all names begin with.
    """

    wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.items: tuple[GalleryItem, ...] = ()
        self.shared = 0
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
        self.shared = _shared_start([item.stem for item in items])
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
        score = f"{item.score:.2f} "
        room = line.width() - option.fontMetrics.horizontalAdvance(score)
        name = elided_name(item, self._model.shared, option.fontMetrics, room)
        painter.setPen(option.palette.windowText().color())
        painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, score + name)


def elided_name(item: GalleryItem, shared: int, metrics: QFontMetrics, room: int) -> str:
    """Return the name of an image so short that it fits, with what tells it from others.

    Parameters
    ----------
    item : GalleryItem
    shared : int
        How many characters all names begin with.
    metrics : QFontMetrics
    room : int
        In screen pixels.
    """
    if metrics.horizontalAdvance(item.image) <= room:
        return item.image
    own = item.stem[shared:]
    if metrics.horizontalAdvance(f"…{own}") <= room:
        return str(metrics.elidedText(item.stem, Qt.TextElideMode.ElideLeft, room))
    return str(metrics.elidedText(own, Qt.TextElideMode.ElideMiddle, room))


def _shared_start(names: Sequence[str]) -> int:
    """Return how many characters all names begin with: the first and the last of them by order."""
    ends = zip(min(names, default=""), max(names, default=""), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], ends))


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


_PLAIN = (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier)


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
        self.drawing.judged.connect(self._on_marked)
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

    def _on_marked(self, item_id: Hashable, right: bool | None) -> None:
        """Go on to the next picture after a click on a mark, as after a key."""
        row = [item.id for item in self.items.items].index(item_id)
        self._judged_last = item_id
        self.judged.emit(item_id, right)
        if right is not None and row + 1 < self.items.rowCount():
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

    def height_of_page(self, width: int) -> int:
        """Return the height in which ten pictures are seen at once, in a list of this width."""
        columns = max(1, width // (SMALLEST + 2 * GAP))
        rows = -(-PAGE // columns)
        side = SMALLEST if rows > 1 else min(width // PAGE - 2 * GAP, LARGEST)
        return rows * (side + 2 * GAP + self.fontMetrics().height())

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

"""The histogram of scores, with the threshold of the current class as a line to drag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray
    from qtpy.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPaintEvent

LOW, HIGH = -1.0, 1.0
"""Cosines at the borders of the histograms."""

AXIS = 14
"""Height of the numbers below, in screen pixels."""

LINE = 14
"""Height of the line of text above, in screen pixels."""

MARGIN = 6

STEP, LEAP = 0.005, 0.05
"""By how much the arrow keys, and page up and down, move the threshold."""

KEYS = {
    Qt.Key.Key_Left: -STEP,
    Qt.Key.Key_Down: -STEP,
    Qt.Key.Key_Right: STEP,
    Qt.Key.Key_Up: STEP,
    Qt.Key.Key_PageDown: -LEAP,
    Qt.Key.Key_PageUp: LEAP,
}


class Histogram(QWidget):
    """Counts by class on a square-root scale; the current class in full colour, others faint.

    A line stands at the threshold of the current class, dashed while it is the automatic one.
    The mouse drags it, arrow keys move it; a double click, or the key A, makes it automatic.

    Attributes
    ----------
    threshold_dragged : Signal(float)
        Emitted all the while.
    automatic_clicked : Signal()
    """

    threshold_dragged = Signal(float)
    automatic_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._counts: dict[str, NDArray[np.intp]] = {}
        self._colours: dict[str, str] = {}
        self._current = ""
        self._threshold: float | None = None
        self._automatic = False
        self._found = ""
        self.range = (0.0, HIGH)
        self.setMinimumHeight(84)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Threshold")
        self.setToolTip(
            "How many patches of all images have which score; drag the line, or use the arrow "
            "keys, to set the threshold, and double-click for the automatic one"
        )

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size that fits into a dock."""
        return QSize(220, 84)

    def show_histograms(
        self,
        counts: Mapping[str, NDArray[np.intp]],
        colours: Mapping[str, str],
        current: str = "",
    ) -> None:
        """Show counts by class, in bins of equal width from cosine -1 to 1.

        Parameters
        ----------
        counts : mapping of str to ndarray of int
        colours : mapping of str to str
        current : str, optional
            The class that is in full colour; all are where it has no counts.
        """
        self._counts, self._colours, self._current = dict(counts), dict(colours), current
        self.range = _range_of(self._counts.values())
        self.update()

    def show_threshold(self, threshold: float | None, *, automatic: bool = False) -> None:
        """Draw a line at a score, or none; `automatic` says that nobody has set it by hand."""
        self._threshold, self._automatic = threshold, automatic
        self._describe()
        self.update()

    def show_found(self, objects: int, area: str) -> None:
        """Write above the histogram how many objects there are, and their area."""
        self._found = f"{objects:,} object{'' if objects == 1 else 's'} · {area}"
        self._describe()
        self.update()

    def clear_found(self) -> None:
        """Write nothing above the histogram."""
        self._found = ""
        self._describe()
        self.update()

    @property
    def found_text(self) -> str:
        """What is written above the histogram."""
        return self._found

    def _describe(self) -> None:
        """Tell screen readers what is drawn."""
        parts = []
        if self._threshold is not None:
            how = "automatic" if self._automatic else "set by hand"
            parts.append(f"threshold {self._threshold:.3f}, {how}")
        self.setAccessibleDescription("; ".join([*parts, *filter(None, [self._found])]))

    # -- from cosines to the screen and back ------------------------------------------------

    def position(self, cosine: float) -> float:
        """Return how far right a cosine is drawn, in screen pixels."""
        low, high = self.range
        return MARGIN + (cosine - low) / (high - low) * max(1, self.width() - 2 * MARGIN)

    def cosine(self, position: float) -> float:
        """Return the cosine that is drawn there, within those that are shown."""
        low, high = self.range
        part = (position - MARGIN) / max(1, self.width() - 2 * MARGIN)
        return float(np.clip(low + part * (high - low), low, high))

    # -- the mouse and the keyboard ---------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Put the threshold under the mouse."""
        self._drag(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Draw the threshold along; Qt sends this only while a button is down."""
        self._drag(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Go back to the automatic threshold, which the first click of the two has left."""
        if self._counts and event.button() == Qt.MouseButton.LeftButton:
            self.automatic_clicked.emit()

    def _drag(self, event: QMouseEvent) -> None:
        if self._counts and event.buttons() & Qt.MouseButton.LeftButton:
            self.threshold_dragged.emit(round(self.cosine(event.position().x()), 3))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Move the threshold with the arrow keys; A makes it automatic."""
        key = event.key()
        if not self._counts or event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
            super().keyPressEvent(event)
        elif key == Qt.Key.Key_A:
            self.automatic_clicked.emit()
        elif key in KEYS:
            start = sum(self.range) / 2 if self._threshold is None else self._threshold
            moved = np.clip(start + KEYS[Qt.Key(key)], *self.range)
            self.threshold_dragged.emit(round(float(moved), 3))
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Draw the frame that says where the keyboard is."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Take the frame away."""
        super().focusOutEvent(event)
        self.update()

    # -- the picture ------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw everything; a few hundred points, so nothing is kept."""
        del event
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().windowText().color()
        base = self.height() - AXIS
        if not self._counts:
            painter.setPen(ink)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "nothing found yet")
            return
        most = max(float(np.sqrt(counts.max())) for counts in self._counts.values()) or 1.0
        # The current class lies above the others.
        for class_name in sorted(self._counts, key=lambda name: name == self._current):
            heights = np.sqrt(self._counts[class_name]) / most
            faint = self._current in self._counts and class_name != self._current
            self._draw_counts(painter, heights, base, self._colour(class_name, faint=faint))
        self._draw_axis(painter, ink, base)
        self._draw_threshold(painter, ink, base)
        self._draw_text(painter, ink)
        if self.hasFocus():
            painter.setPen(QPen(self.palette().highlight().color(), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))

    def _colour(self, class_name: str, *, faint: bool) -> QColor:
        colour = QColor(self._colours.get(class_name) or "#808080")
        colour.setAlphaF(0.25 if faint else 1.0)
        return colour

    def _draw_counts(
        self, painter: QPainter, heights: NDArray[np.float64], base: int, line: QColor
    ) -> None:
        edges = np.linspace(LOW, HIGH, len(heights) + 1)
        room = base - LINE - 2
        outline = [QPointF(self.position(edges[0]), base)]
        for left, right, height in zip(edges[:-1], edges[1:], heights, strict=True):
            top = base - height * room
            outline += [QPointF(self.position(left), top), QPointF(self.position(right), top)]
        outline.append(QPointF(self.position(edges[-1]), base))
        fill = QColor(line)
        fill.setAlphaF(0.35 * line.alphaF())
        painter.save()
        painter.setClipRect(QRectF(MARGIN, 0, self.width() - 2 * MARGIN, base))
        painter.setPen(line)
        painter.setBrush(fill)
        painter.drawPolygon(QPolygonF(outline))
        painter.restore()

    def _draw_axis(self, painter: QPainter, ink: QColor, base: int) -> None:
        painter.setPen(ink)
        painter.drawLine(MARGIN, base, self.width() - MARGIN, base)
        font = painter.font()
        font.setPixelSize(10)
        painter.setFont(font)
        for cosine in _ticks(*self.range):
            right = min(self.position(cosine) - 15, self.width() - 31)
            place = QRectF(max(right, 1), base + 1, 30, AXIS - 1)
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter, f"{cosine:.2g}")

    def _draw_threshold(self, painter: QPainter, ink: QColor, base: int) -> None:
        if self._threshold is None or not self.range[0] <= self._threshold <= self.range[1]:
            return
        style = Qt.PenStyle.DashLine if self._automatic else Qt.PenStyle.SolidLine
        painter.setPen(QPen(ink, 2, style))
        x = self.position(self._threshold)
        painter.drawLine(QPointF(x, LINE), QPointF(x, base))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ink)
        painter.drawEllipse(QPointF(x, LINE + 3), 4, 4)

    def _draw_text(self, painter: QPainter, ink: QColor) -> None:
        """Write the threshold on the left and what is found on the right."""
        painter.setPen(ink)
        place = QRectF(MARGIN, 0, self.width() - 2 * MARGIN, LINE)
        if self._threshold is not None:
            how = "auto " if self._automatic else ""
            left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(place, left, f"{how}{self._threshold:.3f}")
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(place, right, self._found)


def _ticks(low: float, high: float) -> NDArray[np.float64]:
    """Return round cosines, not more than fit next to each other in a dock."""
    step = 0.1 if high - low <= 0.6 else 0.2 if high - low <= 1.2 else 0.5
    steps = np.arange(np.ceil(low / step - 1e-6), np.floor(high / step + 1e-6) + 1)
    return step * steps + 0.0  # no tick is "-0"


def _range_of(counts: Iterable[NDArray[np.intp]]) -> tuple[float, float]:
    """Return the cosines to show: all that occur, in steps of 0.1, and 1."""
    found = [np.flatnonzero(count)[0] / len(count) for count in counts if count.any()]
    if not found:
        return 0.0, HIGH
    least = LOW + (HIGH - LOW) * min(found)
    return min(0.9, float(np.floor(round(10 * least, 6)) / 10)), HIGH

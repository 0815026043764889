"""The histogram of scores, with a threshold that can be dragged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray
    from qtpy.QtGui import QMouseEvent, QPaintEvent

LOW, HIGH = -1.0, 1.0
"""Cosines at the borders of the histograms."""

AXIS = 14
"""Height of the numbers below, in screen pixels."""

MARGIN = 6


class Histogram(QWidget):
    """Counts by class, in its colour, on a square-root scale, and a line at the threshold.

    Attributes
    ----------
    threshold_dragged : Signal(float)
    """

    threshold_dragged = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._counts: dict[str, NDArray[np.intp]] = {}
        self._colours: dict[str, str] = {}
        self._threshold: float | None = None
        self.range = (0.0, HIGH)
        self.setMinimumHeight(84)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "How many patches of all images have which cosine; drag to set a threshold"
        )

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size that fits into a dock."""
        return QSize(220, 84)

    def show_histograms(
        self, counts: Mapping[str, NDArray[np.intp]], colours: Mapping[str, str]
    ) -> None:
        """Show counts by class, in bins of equal width from cosine -1 to 1."""
        self._counts, self._colours = dict(counts), dict(colours)
        self.range = _range_of(self._counts.values())
        self.update()

    def show_threshold(self, threshold: float | None) -> None:
        """Draw a line at a cosine, or none."""
        self._threshold = threshold
        self.update()

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

    # -- the mouse --------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Put the threshold under the mouse."""
        self._drag(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Draw the threshold along; Qt sends this only while a button is down."""
        self._drag(event)

    def _drag(self, event: QMouseEvent) -> None:
        if self._counts and event.buttons() & Qt.MouseButton.LeftButton:
            self.threshold_dragged.emit(round(self.cosine(event.position().x()), 3))

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
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "no answer yet")
            return
        most = max(float(np.sqrt(counts.max())) for counts in self._counts.values()) or 1.0
        for class_name, counts in self._counts.items():
            self._draw_counts(painter, np.sqrt(counts) / most, base, self._colours.get(class_name))
        self._draw_axis(painter, ink, base)
        self._draw_threshold(painter, ink, base)

    def _draw_counts(
        self, painter: QPainter, heights: NDArray[np.float64], base: int, colour: str | None
    ) -> None:
        edges = np.linspace(LOW, HIGH, len(heights) + 1)
        outline = [QPointF(self.position(edges[0]), base)]
        for left, right, height in zip(edges[:-1], edges[1:], heights, strict=True):
            top = base - height * (base - 4)
            outline += [QPointF(self.position(left), top), QPointF(self.position(right), top)]
        outline.append(QPointF(self.position(edges[-1]), base))
        line = QColor(colour or "#808080")
        fill = QColor(line)
        fill.setAlphaF(0.35)
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
        if self._threshold is not None and self.range[0] <= self._threshold <= self.range[1]:
            painter.setPen(QPen(ink, 2))
            x = self.position(self._threshold)
            painter.drawLine(QPointF(x, 0), QPointF(x, base))


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

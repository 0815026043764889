"""The colour bar: which score is drawn in which colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QLinearGradient, QPainter
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from qtpy.QtGui import QPaintEvent

BARS = 18
"""Height of the bars of all classes together, in screen pixels."""

NUMBERS = 16
"""Height of the numbers below."""

EACH = "lowest", "highest score of each image"
"""In place of numbers where every image has its own."""


class ColourBar(QWidget):
    """One bar per class, over black and over white, with the scores at its ends.

    It has its height also while there is nothing to show, so that nothing moves.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colours: dict[str, NDArray[np.float64]] = {}
        self.ends = "", ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(BARS + NUMBERS)
        self.setAccessibleName("Colour bar of the heatmaps")

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size that fits into a dock."""
        return QSize(220, self.height())

    def show_scale(
        self, colours: Mapping[str, NDArray[np.float64]], limits: tuple[float, float] | None
    ) -> None:
        """Show what colours mean.

        Parameters
        ----------
        colours : mapping of str to ndarray of float, shape (N, 4)
            By class: red, green, blue and alpha, from the lowest score to the highest.
        limits : tuple of float or None
            The scores at the two ends; None where they differ from image to image.
        """
        self._colours = dict(colours)
        self.ends = EACH if limits is None else (f"{limits[0]:.2f}", f"{limits[1]:.2f}")
        named = ", ".join(self._colours)
        self.setToolTip(f"Scores and their colours: {named}" if named else "")
        self.setAccessibleDescription(f"{named}: from {self.ends[0]} to {self.ends[1]}")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw it; Qt calls this."""
        del event
        if not self._colours:
            return
        painter = QPainter(self)
        height = BARS / len(self._colours)
        for number, colours in enumerate(self._colours.values()):
            self._draw_bar(painter, QRectF(0, number * height, self.width(), height - 1), colours)
        painter.setPen(self.palette().text().color())
        room = QRectF(0, BARS, self.width(), NUMBERS)
        for end, side in zip(
            self.ends, (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight), strict=True
        ):
            painter.drawText(room, side | Qt.AlignmentFlag.AlignVCenter, end)
        painter.end()

    def _draw_bar(self, painter: QPainter, room: QRectF, colours: NDArray[np.float64]) -> None:
        """Draw the colours as they are on a dark image, above, and on a bright one."""
        half = room.height() / 2
        for top, under in ((room.top(), Qt.GlobalColor.black), (room.top() + half, "white")):
            part = QRectF(room.left(), top, room.width(), half)
            painter.fillRect(part, QColor(under))
            gradient = QLinearGradient(part.topLeft(), part.topRight())
            for at, rgba in zip(np.linspace(0, 1, len(colours)), colours, strict=True):
                gradient.setColorAt(float(at), QColor.fromRgbF(*map(float, rgba)))
            painter.fillRect(part, gradient)

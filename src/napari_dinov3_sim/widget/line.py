"""A line of text that gives way: it never makes the dock wider, and says all in its tooltip."""

from __future__ import annotations

from qtpy.QtWidgets import QSizePolicy, QWidget
from superqt import QElidingLabel


class Line(QElidingLabel):
    """An eliding label whose length asks for no width."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.show_text(text)

    def show_text(self, text: str) -> None:
        """Show a text, as much of it as fits."""
        self.setText(text)
        self.setToolTip(text)

"""Text that gives way: it never makes the dock wider."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget
from superqt import QElidingLabel


class Line(QElidingLabel):
    """One line, with all of it in the tooltip."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.show_text(text)

    def show_text(self, text: str, tip: str = "") -> None:
        """Show a text, as much of it as fits; `tip` says more than it."""
        self.setText(text)
        self.setToolTip(tip or text)


class Paragraph(QLabel):
    """Text that wraps instead of making the dock wider."""

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setWordWrap(True)
        policy = self.sizePolicy()
        policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
        self.setSizePolicy(policy)

    def show_text(self, text: str) -> None:
        """Show a text."""
        self.setText(text)

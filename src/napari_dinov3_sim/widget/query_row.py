"""Which Points layer is listened to, and a button that makes it ready for clicks."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_dinov3_sim.widget.line import Line


class QueryRow(QWidget):
    """A name and a button.

    Attributes
    ----------
    clicked : Signal()
    """

    clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = Line()
        self.button = QPushButton("Click to query")
        self.button.setToolTip("Make the Points layer active: your next click is a query")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.label, 1)
        layout.addWidget(self.button)
        self.button.clicked.connect(self.clicked)
        self.show_layer(None)

    def show_layer(self, name: str | None) -> None:
        """Show the name of the Points layer, None before there is one."""
        self.label.show_text(name or "no Points layer yet")

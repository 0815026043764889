"""Which Points layer is listened to, a button that makes it ready for clicks, and undo."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_dinov3_sim.widget.line import Line


class QueryRow(QWidget):
    """A name and two buttons.

    Attributes
    ----------
    clicked, undo_clicked : Signal()
    """

    clicked = Signal()
    undo_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label = Line()
        self.button = QPushButton("Click to query")
        self.button.setToolTip("Make the Points layer active: your next click is a query")
        self.undo_button = QPushButton("Undo")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.label, 1)
        layout.addWidget(self.button)
        layout.addWidget(self.undo_button)
        self.button.clicked.connect(self.clicked)
        self.undo_button.clicked.connect(self.undo_clicked)
        self.show_layer(None)

    def show_layer(self, name: str | None) -> None:
        """Show the name of the Points layer, None before there is one."""
        self.label.show_text(name or "no Points layer yet")

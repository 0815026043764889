"""One click to go on when a model cannot be had."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_dinov3_sim.widget.line import Paragraph

LOSS = (
    "The built-in model needs no download: it is a small network of our own for a first look, "
    "not a DINOv3 checkpoint. What is lost: it knows much less, and often misses fine structures, "
    "electron microscopy and kinds of images that it has never seen."
)


class BuiltinOffer(QWidget):
    """Says why the model failed, what the built-in one is, and offers it.

    Attributes
    ----------
    accepted : Signal()
    """

    accepted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.reason = Paragraph()
        self.loss = Paragraph(LOSS)
        self.button = QPushButton("Use the built-in model")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.reason)
        layout.addWidget(self.loss)
        layout.addWidget(self.button)
        self.button.clicked.connect(self.accepted)
        self.hide()

    def offer(self, reason: str) -> None:
        """Show the offer."""
        self.reason.setText(reason)
        self.show()

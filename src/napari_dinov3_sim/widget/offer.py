"""One click to go on when a model cannot be had."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

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
        self.reason = QLabel()
        self.loss = QLabel(LOSS)
        self.button = QPushButton("Use the built-in model")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for label in (self.reason, self.loss):
            label.setWordWrap(True)
            policy = label.sizePolicy()
            policy.setHorizontalPolicy(QSizePolicy.Policy.Ignored)
            label.setSizePolicy(policy)
            layout.addWidget(label)
        layout.addWidget(self.button)
        self.button.clicked.connect(self.accepted)
        self.hide()

    def offer(self, reason: str) -> None:
        """Show the offer."""
        self.reason.setText(reason)
        self.show()

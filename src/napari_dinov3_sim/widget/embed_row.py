"""Embed, Cancel, and how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_dinov3_sim.widget.line import Line

if TYPE_CHECKING:
    from napari_dinov3_sim.session.messages import Progress


class EmbedRow(QWidget):
    """Two buttons, a bar and a line of text.

    Attributes
    ----------
    embed_clicked, cancel_clicked : Signal()
    """

    embed_clicked = Signal()
    cancel_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.embed_button = QPushButton("Embed")
        self.cancel_button = QPushButton("Cancel")
        self.bar = QProgressBar()
        self.task = Line()
        self._build()
        self.show_progress(None)
        self.embed_button.clicked.connect(self.embed_clicked)
        self.cancel_button.clicked.connect(self.cancel_clicked)

    def _build(self) -> None:
        self.embed_button.setToolTip(
            "Compute the patch embeddings of all ticked images now; a click does so too"
        )
        self.cancel_button.setToolTip("Stop; images that are finished are kept")
        row = QHBoxLayout()
        for widget in (self.embed_button, self.bar, self.cancel_button):
            row.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.task)

    def show_progress(self, progress: Progress | None) -> None:
        """Show a progress; None when nothing runs."""
        self.cancel_button.setEnabled(progress is not None)
        self.task.setVisible(progress is not None)
        if progress is None:
            self.bar.setRange(0, 1)
            self.bar.reset()
            return
        # Fractions: bytes of a large model do not fit into Qt's 32-bit integers.
        self.bar.setRange(0, 1000 if progress.total else 0)
        self.bar.setValue(round(1000 * progress.done / progress.total) if progress.total else 0)
        self.task.show_text(progress.description)

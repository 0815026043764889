"""Two images, and a button that matches their patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QPushButton, QSpinBox, QWidget

from napari_dinov3_sim.widget.layer_combo import LayerCombo

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

COUNT = 50
"""Matches to begin with."""


class MatchRow(QWidget):
    """Choices of two images, how many matches, and a button.

    Attributes
    ----------
    clicked : Signal()
    """

    clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.first, self.second = LayerCombo(), LayerCombo()
        self.count = QSpinBox()
        self.button = QPushButton("Match")
        self._build()
        self.button.clicked.connect(self.clicked)

    def _build(self) -> None:
        self.count.setRange(1, 10_000)
        self.count.setValue(COUNT)
        self.count.setToolTip("How many matches, the best ones")
        self.button.setToolTip(
            "Patches of two images that are each other's most similar, as two linked Points layers"
        )
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.count, 1)
        row.addWidget(self.button, 1)
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(4)
        layout.addRow("matches of", self.first)
        layout.addRow("and", self.second)
        layout.addRow("best", row)

    def show_images(self, names: Mapping[Hashable, str]) -> None:
        """Show the images that can be matched, by id."""
        self.first.show_layers(dict(names))
        self.second.show_layers(dict(names))
        if len(names) > 1 and self.second.layer_id == self.first.layer_id:
            self.second.setCurrentIndex((self.first.currentIndex() + 1) % len(names))
        self.button.setEnabled(len(names) > 1)

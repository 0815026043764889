"""How the points of a kind are combined, with a sentence about the way that is chosen."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QWidget

from napari_dinov3_sim.core.search.combine import EXPLANATIONS, Combination
from napari_dinov3_sim.widget.layer_combo import keep_narrow
from napari_dinov3_sim.widget.line import Paragraph

LABELS: dict[Combination, str] = {
    "auto": "Automatic",
    "mean": "Mean of the points",
    "best": "Best of the points",
    "contrast": "Contrast to what is not meant",
}


class CombinationChoice(QWidget):
    """A combo box and a sentence.

    Attributes
    ----------
    picked : Signal(str)
        A key of `LABELS`.
    """

    picked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = QComboBox()
        self.explanation = Paragraph()
        keep_narrow(self.combo)
        for combination, label in LABELS.items():
            self.combo.addItem(label, combination)
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(2)
        layout.addRow("combine", self.combo)
        layout.addRow(self.explanation)
        self.combo.activated.connect(self._on_activated)

    def show_combination(self, combination: Combination) -> None:
        """Show the way that is chosen, and what it does."""
        with QSignalBlocker(self.combo):
            self.combo.setCurrentIndex(self.combo.findData(combination))
        self.combo.setToolTip(EXPLANATIONS[combination])
        self.explanation.show_text(EXPLANATIONS[combination])

    def _on_activated(self, index: int) -> None:
        self.picked.emit(self.combo.itemData(index))

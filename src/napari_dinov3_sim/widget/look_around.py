"""Which image is clicked, what is shown of the clicks, and ways to the matches."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QCheckBox, QFormLayout, QGridLayout, QPushButton, QVBoxLayout, QWidget

from napari_dinov3_sim.widget.layer_combo import LayerCombo

TOPMOST = "topmost under the click"


class LookAround(QWidget):
    """A choice of the clicked image, three switches and a button.

    Attributes
    ----------
    source_picked : Signal(object)
        Id of the image that clicks belong to, None for the topmost one.
    hovering_changed, outlines_changed, side_by_side_changed : Signal(bool)
    best_match_clicked : Signal()
    """

    source_picked = Signal(object)
    hovering_changed = Signal(bool)
    outlines_changed = Signal(bool)
    side_by_side_changed = Signal(bool)
    best_match_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.source = LayerCombo(TOPMOST)
        self.hovering = QCheckBox("Live under the mouse")
        self.outlines = QCheckBox("Outline patches")
        self.side_by_side = QCheckBox("Side by side")
        self.best_match = QPushButton("Go to best match")
        self._build()
        self.source.picked.connect(self.source_picked)
        self.hovering.toggled.connect(self.hovering_changed)
        self.outlines.toggled.connect(self.outlines_changed)
        self.side_by_side.toggled.connect(self.side_by_side_changed)
        self.best_match.clicked.connect(self.best_match_clicked)

    def _build(self) -> None:
        self.source.setToolTip("The image that a click belongs to where several lie below it")
        self.outlines.setToolTip("Outline the patches that your points lie in")
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("clicks on", self.source)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        grid.addWidget(self.hovering, 0, 0)
        grid.addWidget(self.outlines, 0, 1)
        grid.addWidget(self.side_by_side, 1, 0)
        grid.addWidget(self.best_match, 1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addLayout(grid)

    def show_switches(self, *, hovering: bool, outlines: bool, side_by_side: bool) -> None:
        """Show what is on, without reporting it as a choice."""
        for box, checked in (
            (self.hovering, hovering),
            (self.outlines, outlines),
            (self.side_by_side, side_by_side),
        ):
            with QSignalBlocker(box):
                box.setChecked(checked)

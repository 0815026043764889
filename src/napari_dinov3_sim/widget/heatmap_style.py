"""How heatmaps look: opacity, colormap and scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QSizePolicy, QWidget
from superqt import QLabeledSlider

if TYPE_CHECKING:
    from napari_dinov3_sim.session.heatmaps import Scaling

COLORMAPS = ("magma", "inferno", "viridis", "turbo", "gray", "green", "cyan", "magenta")
"""Their low end is dark: heatmaps are added to the image under them."""

SCALINGS: dict[Scaling, str] = {
    "shared": "One scale for all images",
    "each": "Each image its own (min–max)",
}


class HeatmapStyle(QWidget):
    """Three controls.

    Attributes
    ----------
    opacity_changed : Signal(float)
    colormap_changed : Signal(str)
    scaling_changed : Signal(str)
        A key of `SCALINGS`.
    """

    opacity_changed = Signal(float)
    colormap_changed = Signal(str)
    scaling_changed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.opacity = QLabeledSlider(Qt.Orientation.Horizontal)
        self.colormap = QComboBox()
        self.scaling = QComboBox()
        self._build()
        self._load()
        self.opacity.valueChanged.connect(self._on_opacity)
        self.colormap.currentTextChanged.connect(self.colormap_changed)
        self.scaling.currentIndexChanged.connect(self._on_scaling)

    def _build(self) -> None:
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.addRow("opacity", self.opacity)
        layout.addRow("colormap", self.colormap)
        layout.addRow("scale", self.scaling)

    def _load(self) -> None:
        self.opacity.setRange(0, 100)
        self.colormap.addItems(COLORMAPS)
        for scaling, label in SCALINGS.items():
            self.scaling.addItem(label, scaling)
        self.scaling.setToolTip(
            "One scale: brightness can be compared between images.\n"
            "Each its own: the best patch of every image is bright, however poor."
        )
        for combo in (self.colormap, self.scaling):
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            combo.setMinimumContentsLength(20)
            combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_style(self, *, colormap: str, opacity: float, scaling: Scaling) -> None:
        """Show what is set, without reporting it as a choice."""
        with QSignalBlocker(self.opacity), QSignalBlocker(self.colormap):
            self.opacity.setValue(round(100 * opacity))
            if self.colormap.findText(colormap) < 0:
                self.colormap.addItem(colormap)
            self.colormap.setCurrentText(colormap)
        with QSignalBlocker(self.scaling):
            self.scaling.setCurrentIndex(self.scaling.findData(scaling))

    def _on_opacity(self, percent: int) -> None:
        self.opacity_changed.emit(percent / 100)

    def _on_scaling(self, index: int) -> None:
        self.scaling_changed.emit(self.scaling.itemData(index))

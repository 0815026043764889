"""How heatmaps look: opacity, colormap, blending and scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QSizePolicy, QWidget
from superqt import QLabeledSlider

if TYPE_CHECKING:
    from napari_dinov3_sim.session.heatmaps import Scaling
    from napari_dinov3_sim.session.look import Look

COLORMAPS = ("magma", "inferno", "viridis", "turbo", "gray", "green", "cyan", "magenta")
"""Their low end is dark: heatmaps are added to the image under them."""

BLENDINGS = {
    "additive": "Add light (dark images)",
    "translucent": "Cover (bright images)",
}

SCALINGS: dict[Scaling, str] = {
    "shared": "One scale for all images",
    "each": "Each image its own (min–max)",
}


class HeatmapStyle(QWidget):
    """Four controls.

    Attributes
    ----------
    opacity_changed : Signal(float)
    colormap_changed : Signal(str)
    blending_changed : Signal(str)
        A key of `BLENDINGS`.
    scaling_changed : Signal(str)
        A key of `SCALINGS`.
    """

    opacity_changed = Signal(float)
    colormap_changed = Signal(str)
    blending_changed = Signal(str)
    scaling_changed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.opacity = QLabeledSlider(Qt.Orientation.Horizontal)
        self.colormap = QComboBox()
        self.blending = QComboBox()
        self.scaling = QComboBox()
        self._build()
        self._load()
        self.opacity.valueChanged.connect(self._on_opacity)
        self.colormap.currentTextChanged.connect(self.colormap_changed)
        self.blending.currentIndexChanged.connect(self._on_blending)
        self.scaling.currentIndexChanged.connect(self._on_scaling)

    def _build(self) -> None:
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.addRow("opacity", self.opacity)
        layout.addRow("colormap", self.colormap)
        layout.addRow("blending", self.blending)
        layout.addRow("scale", self.scaling)

    def _load(self) -> None:
        self.opacity.setRange(0, 100)
        self.colormap.addItems(COLORMAPS)
        for blending, label in BLENDINGS.items():
            self.blending.addItem(label, blending)
        self.blending.setToolTip(
            "Added light shows on dark images and washes out on bright ones,\n"
            "such as stained sections: let the heatmap cover those."
        )
        for scaling, label in SCALINGS.items():
            self.scaling.addItem(label, scaling)
        self.scaling.setToolTip(
            "One scale: brightness can be compared between images.\n"
            "Each its own: the best patch of every image is bright, however poor."
        )
        for combo in (self.colormap, self.blending, self.scaling):
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            combo.setMinimumContentsLength(20)
            combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_style(self, look: Look, scaling: Scaling) -> None:
        """Show what is set, without reporting it as a choice."""
        with QSignalBlocker(self.opacity):
            self.opacity.setValue(round(100 * look.opacity))
        _show(self.colormap, self.colormap.findText(look.colormap), look.colormap)
        _show(self.blending, self.blending.findData(look.blending), look.blending)
        _show(self.scaling, self.scaling.findData(scaling), scaling)

    def _on_opacity(self, percent: int) -> None:
        self.opacity_changed.emit(percent / 100)

    def _on_blending(self, index: int) -> None:
        self.blending_changed.emit(self.blending.itemData(index))

    def _on_scaling(self, index: int) -> None:
        self.scaling_changed.emit(self.scaling.itemData(index))


def _show(combo: QComboBox, index: int, value: str) -> None:
    """Show an entry, added if it is one that only a script could choose."""
    with QSignalBlocker(combo):
        if index < 0:
            combo.addItem(value, value)
            index = combo.count() - 1
        combo.setCurrentIndex(index)

"""The view of heatmaps: opacity, colormap, blending, scale, class maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QWidget
from superqt import QLabeledDoubleRangeSlider, QLabeledSlider

from napari_dinov3_sim.widget.views.common import ElidedLabel, keep_narrow

if TYPE_CHECKING:
    from napari_dinov3_sim.session.layers.heatmaps import Scaling
    from napari_dinov3_sim.session.layers.style import HeatmapStyle

COLORMAPS = ("magma", "inferno", "viridis", "turbo", "gray", "green", "cyan", "magenta")
"""Their low end is dark: heatmaps are added to the image under them."""

HALF_LABEL = 14
"""Screen pixels."""

BLENDINGS = {
    "additive": "Add light (dark images)",
    "translucent": "Cover (bright images)",
}

SCALINGS: dict[Scaling, str] = {
    "shared": "One scale for all images",
    "each": "Each image its own (min–max)",
    "fixed": "From one cosine to another",
}


HINT = "Too bright for added light: choose Cover."


class HeatmapControls(QWidget):
    """Six controls, and hints: where the blending does not suit the images, and on class maps.

    Attributes
    ----------
    opacity_changed : Signal(float)
    colormap_changed : Signal(str)
    blending_changed : Signal(str)
        A key of `BLENDINGS`.
    scaling_changed : Signal(str)
        A key of `SCALINGS`.
    limits_changed : Signal(float, float)
        Cosines drawn darkest and brightest.
    class_maps_changed : Signal(bool)
        Whether to show which class wins.
    """

    opacity_changed = Signal(float)
    colormap_changed = Signal(str)
    blending_changed = Signal(str)
    scaling_changed = Signal(str)
    limits_changed = Signal(float, float)
    class_maps_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.opacity = QLabeledSlider(Qt.Orientation.Horizontal)
        self.colormap = QComboBox()
        self.blending = QComboBox()
        self.hint = ElidedLabel(HINT)
        self.scaling = QComboBox()
        self.limits = QLabeledDoubleRangeSlider(Qt.Orientation.Horizontal)
        self.class_maps = QCheckBox("Show the class map")
        self.class_map_hint = ElidedLabel()
        self._build()
        self._load()
        self.opacity.valueChanged.connect(self._on_opacity)
        self.colormap.currentTextChanged.connect(self.colormap_changed)
        self.blending.currentIndexChanged.connect(self._on_blending)
        self.scaling.currentIndexChanged.connect(self._on_scaling)
        self.limits.valueChanged.connect(self._on_limits)
        self.class_maps.toggled.connect(self.class_maps_changed)

    def _build(self) -> None:
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.addRow("opacity", self.opacity)
        layout.addRow("colormap", self.colormap)
        layout.addRow("blending", self.blending)
        layout.addRow(self.hint)
        layout.addRow("scale", self.scaling)
        layout.addRow("cosines", self.limits)
        layout.addRow(self.class_maps)
        layout.addRow(self.class_map_hint)

    def _load(self) -> None:
        self.opacity.setRange(0, 100)
        self.limits.setRange(-1, 1)
        self.limits.setDecimals(2)
        self.limits.setEdgeLabelMode(QLabeledDoubleRangeSlider.EdgeLabelMode.NoLabel)
        # The label of a handle at an end has room, and is not cut in two.
        layout = self.limits.layout()
        if layout is not None:
            around = layout.contentsMargins()
            layout.setContentsMargins(HALF_LABEL, around.top(), HALF_LABEL, around.bottom())
        self.limits.setToolTip("The cosines that are drawn darkest and brightest")
        self.class_maps.setToolTip("With two classes or more: a Labels layer over each image")
        self.hint.hide()
        self.class_map_hint.hide()
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
            keep_narrow(combo)

    def show_style(
        self,
        heatmap_style: HeatmapStyle,
        scaling: Scaling,
        limits: tuple[float, float],
        class_maps: bool,
    ) -> None:
        """Show what is set, without reporting it as a choice."""
        with QSignalBlocker(self.limits), QSignalBlocker(self.class_maps):
            self.limits.setValue(limits)
            self.class_maps.setChecked(class_maps)
        with QSignalBlocker(self.opacity):
            self.opacity.setValue(round(100 * heatmap_style.opacity))
        _show(
            self.colormap, self.colormap.findText(heatmap_style.colormap), heatmap_style.colormap
        )
        _show(
            self.blending, self.blending.findData(heatmap_style.blending), heatmap_style.blending
        )
        _show(self.scaling, self.scaling.findData(scaling), scaling)

    def show_class_map_hint(self, text: str) -> None:
        """Say what the class map lacks; an empty text takes no room."""
        self.class_map_hint.show_text(text)
        self.class_map_hint.setVisible(bool(text))

    def _on_opacity(self, percent: int) -> None:
        self.opacity_changed.emit(percent / 100)

    def _on_blending(self, index: int) -> None:
        self.blending_changed.emit(self.blending.itemData(index))

    def _on_scaling(self, index: int) -> None:
        self.scaling_changed.emit(self.scaling.itemData(index))

    def _on_limits(self, limits: tuple[float, float]) -> None:
        self.limits_changed.emit(*limits)


def _show(combo: QComboBox, index: int, value: str) -> None:
    """Show an entry, added if it is one that only a script could choose."""
    with QSignalBlocker(combo):
        if index < 0:
            combo.addItem(value, value)
            index = combo.count() - 1
        combo.setCurrentIndex(index)

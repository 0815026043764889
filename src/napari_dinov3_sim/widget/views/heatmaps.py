"""The view of heatmaps: colour bar, opacity, colormap, blending, scale, class maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QLocale, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QDoubleValidator
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QRadioButton,
    QWidget,
)
from superqt import QLabeledDoubleRangeSlider, QLabeledSlider

from napari_dinov3_sim.widget.views.colour_bar import ColourBar
from napari_dinov3_sim.widget.views.common import ElidedLabel, keep_narrow

if TYPE_CHECKING:
    from qtpy.QtGui import QValidator

    from napari_dinov3_sim.session.layers.heatmaps import Scaling
    from napari_dinov3_sim.session.layers.style import HeatmapStyle

CLASS_COLOUR = "Colour of the class"

COLORMAPS = ("magma", "inferno", "viridis", "turbo", "gray", "green", "cyan", "magenta")
"""napari's names; the lower the score, the more transparent each of them is drawn."""

HALF_LABEL = 14
"""Screen pixels."""

BLENDINGS = ("translucent_no_depth", "additive", "opaque")
"""napari's names."""

SCALINGS: dict[Scaling, str] = {
    "shared": "One scale for all images",
    "each": "Each image its own (min–max)",
    "fixed": "From one cosine to another",
}


HINT = "Additive light is lost on bright images."


class _DecimalValidator(QDoubleValidator):
    """Numbers whose decimals begin with a point or a comma, whatever the locale."""

    def __init__(self, parent: QLineEdit) -> None:
        super().__init__(parent)
        self.setLocale(QLocale.c())

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Return what Qt says of the text with a point; a comma is shown as a point at once."""
        return super().validate(text.replace(",", "."), position)  # type: ignore[return-value]


def _take_typing(number: QLineEdit) -> None:
    """Let the number of a slider be reached by Tab, and read what is typed as Python does."""
    number.setValidator(_DecimalValidator(number))
    number.setFocusPolicy(Qt.FocusPolicy.StrongFocus)


class HeatmapControls(QWidget):
    """Controls, and hints: where the blending does not suit the images, and on class maps.

    Attributes
    ----------
    opacity_changed : Signal(float)
    colormap_changed : Signal(str)
        One of `COLORMAPS`, or 'class'.
    blending_changed : Signal(str)
        One of `BLENDINGS`.
    scaling_changed : Signal(str)
        A key of `SCALINGS`.
    limits_changed : Signal(float, float)
        Cosines drawn darkest and brightest.
    smooth_changed : Signal(bool)
        Whether scores change gradually from patch to patch.
    class_maps_changed : Signal(bool)
        Whether to show which class wins.
    """

    opacity_changed = Signal(float)
    colormap_changed = Signal(str)
    blending_changed = Signal(str)
    scaling_changed = Signal(str)
    limits_changed = Signal(float, float)
    smooth_changed = Signal(bool)
    class_maps_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.colour_bar = ColourBar()
        self.opacity = QLabeledSlider(Qt.Orientation.Horizontal)
        self.colormap = QComboBox()
        self.blending = QComboBox()
        self.hint = ElidedLabel(HINT)
        self.scaling = QComboBox()
        self.limits = QLabeledDoubleRangeSlider(Qt.Orientation.Horizontal)
        self.patches = QRadioButton("Patches")
        self.smooth = QRadioButton("Smooth")
        self.class_maps = QCheckBox("Show the class map")
        self.class_map_hint = ElidedLabel()
        self._build()
        self._load()
        self.opacity.valueChanged.connect(self._on_opacity)
        self.colormap.currentIndexChanged.connect(self._on_colormap)
        self.blending.currentIndexChanged.connect(self._on_blending)
        self.scaling.currentIndexChanged.connect(self._on_scaling)
        self.limits.valueChanged.connect(self._on_limits)
        self.smooth.toggled.connect(self.smooth_changed)
        self.class_maps.toggled.connect(self.class_maps_changed)

    def _build(self) -> None:
        layout = QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        layout.addRow(self.colour_bar)
        layout.addRow("opacity", self.opacity)
        layout.addRow("colormap", self.colormap)
        layout.addRow("blending", self.blending)
        layout.addRow(self.hint)
        layout.addRow("scale", self.scaling)
        layout.addRow("cosines", self.limits)
        shown_as = QHBoxLayout()
        shown_as.addWidget(self.patches)
        shown_as.addWidget(self.smooth)
        shown_as.addStretch(1)
        layout.addRow("display", shown_as)
        layout.addRow(self.class_maps)
        layout.addRow(self.class_map_hint)

    def _load(self) -> None:
        self.opacity.setRange(0, 100)
        self.limits.setRange(-1, 1)
        self.limits.setValue((-1, 1))  # which makes the two labels
        self.limits.setDecimals(2)
        for slider in (self.opacity, self.limits):
            for number in slider.findChildren(QLineEdit):
                _take_typing(number)
        self.limits.setEdgeLabelMode(QLabeledDoubleRangeSlider.EdgeLabelMode.NoLabel)
        # The label of a handle at an end has room, and is not cut in two.
        layout = self.limits.layout()
        if layout is not None:
            around = layout.contentsMargins()
            layout.setContentsMargins(HALF_LABEL, around.top(), HALF_LABEL, around.bottom())
        self.limits.setToolTip("The cosines that are drawn darkest and brightest")
        self.patches.setToolTip("Every patch in one colour, as it was scored")
        self.smooth.setToolTip(
            "Colours change gradually between the centres of patches, where the scores stay"
        )
        self.patches.setChecked(True)
        self.class_maps.setToolTip(
            "In place of heatmaps: for each patch the class with the highest score"
        )
        self.hint.hide()
        self.class_map_hint.hide()
        self.colormap.addItem(CLASS_COLOUR, "class")
        for colormap in COLORMAPS:
            self.colormap.addItem(colormap, colormap)
        self.colormap.setToolTip("A colormap holds as long as there is one class")
        for blending in BLENDINGS:
            self.blending.addItem(blending, blending)
        self.blending.setToolTip(
            "How napari lays the heatmap over the image: translucent shows on all images,\n"
            "additive on dark ones, opaque hides the image."
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
        *,
        smooth: bool = False,
    ) -> None:
        """Show what is set, without reporting it as a choice."""
        with QSignalBlocker(self.limits), QSignalBlocker(self.class_maps):
            self.limits.setValue(limits)
            self.class_maps.setChecked(class_maps)
        with QSignalBlocker(self.smooth):
            (self.smooth if smooth else self.patches).setChecked(True)
        with QSignalBlocker(self.opacity):
            self.opacity.setValue(round(100 * heatmap_style.opacity))
        _show(
            self.colormap, self.colormap.findData(heatmap_style.colormap), heatmap_style.colormap
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

    def _on_colormap(self, index: int) -> None:
        self.colormap_changed.emit(self.colormap.itemData(index))

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

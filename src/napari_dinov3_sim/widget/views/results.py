"""The view of results: the threshold, and the buttons of the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from napari_dinov3_sim.widget.views.common import LayerCombo
from napari_dinov3_sim.widget.views.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import numpy as np
    from numpy.typing import NDArray


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


MOST_PIXELS = 10**9


class ResultsPanel(QWidget):
    """A histogram, a threshold, and buttons for what lies above it.

    Attributes
    ----------
    threshold_changed : Signal(object)
        A cosine, or None.
    otsu_clicked, labels_clicked, peaks_clicked, colours_clicked, csv_clicked : Signal()
    """

    threshold_changed = Signal(object)
    otsu_clicked = Signal()
    labels_clicked = Signal()
    peaks_clicked = Signal()
    colours_clicked = Signal()
    csv_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.histogram = Histogram()
        self.has_threshold = QCheckBox("threshold")
        self.threshold = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.otsu_button = QPushButton("Otsu")
        self.min_area = _pixels()
        self.min_distance = _pixels()
        self.labels_button = QPushButton("Objects to Labels")
        self.peaks_button = QPushButton("Peaks to Points")
        self.colours_button = QPushButton("PCA colours")
        self.csv_button = QPushButton("Save CSV…")
        self._build()
        self._explain()
        self._connect()

    def _build(self) -> None:
        self.threshold.setRange(-1.0, 1.0)
        self.threshold.setDecimals(2)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.has_threshold)
        row.addWidget(self.threshold, 1)
        row.addWidget(self.otsu_button)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.addRow("least area", self.min_area)
        form.addRow("peaks apart", self.min_distance)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        grid.addWidget(self.labels_button, 0, 0)
        grid.addWidget(self.peaks_button, 0, 1)
        grid.addWidget(self.colours_button, 1, 0)
        grid.addWidget(self.csv_button, 1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.histogram)
        for part in (row, form, grid):
            layout.addLayout(part)

    def _explain(self) -> None:
        self.has_threshold.setToolTip(
            "Patches below this cosine count as nothing found, and no class wins them"
        )
        self.threshold.setToolTip("In units of the cosine")
        self.otsu_button.setToolTip(
            "Start from the threshold that parts the patches best into two groups"
        )
        self.min_area.setToolTip("Smaller objects are left out")
        self.min_distance.setToolTip("Of peaks that are closer together, the best one is kept")
        self.csv_button.setToolTip("Save the peaks as a table, in pixels and in world units")

    def _connect(self) -> None:
        self.histogram.threshold_dragged.connect(self._on_threshold)
        self.threshold.valueChanged.connect(self._on_threshold)
        self.has_threshold.toggled.connect(self._on_switch)
        self.otsu_button.clicked.connect(self.otsu_clicked)
        self.labels_button.clicked.connect(self.labels_clicked)
        self.peaks_button.clicked.connect(self.peaks_clicked)
        self.colours_button.clicked.connect(self.colours_clicked)
        self.csv_button.clicked.connect(self.csv_clicked)

    def show_histograms(
        self, counts: Mapping[str, NDArray[np.intp]], colours: Mapping[str, str]
    ) -> None:
        """Show how many patches have which cosine."""
        self.histogram.show_histograms(counts, colours)

    def show_threshold(self, threshold: float | None) -> None:
        """Show the threshold, without reporting it as a choice."""
        with QSignalBlocker(self.threshold), QSignalBlocker(self.has_threshold):
            self.has_threshold.setChecked(threshold is not None)
            self.threshold.setEnabled(threshold is not None)
            if threshold is not None:
                self.threshold.setValue(threshold)
        self.histogram.show_threshold(threshold)

    def _on_threshold(self, threshold: float) -> None:
        self.threshold_changed.emit(threshold)

    def _on_switch(self, on: bool) -> None:
        self.threshold_changed.emit(self.threshold.value() if on else None)


def _pixels() -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, MOST_PIXELS)
    box.setSuffix(" px")
    return box

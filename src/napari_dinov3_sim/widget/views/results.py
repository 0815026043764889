"""Views of what was found: the threshold, and buttons for results."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QLocale, QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_dinov3_sim.widget.views.common import ElidedLabel, LayerCombo, show_value
from napari_dinov3_sim.widget.views.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtGui import QValidator


COUNT = 50
"""Matches to begin with."""

COLUMNS = 6
"""Of the grid of buttons, so that a row may have one, two or three of the same width."""


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
        self.count.setAccessibleName("Number of matches")
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


class StateRow(QWidget):
    """What was found, in one line, and a button where a result is older than the query.

    Attributes
    ----------
    renew_clicked : Signal()
    """

    renew_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.state = ElidedLabel()
        self.renew_button = QPushButton("Renew")
        policy = self.renew_button.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # so that nothing moves
        self.renew_button.setSizePolicy(policy)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.state, 1)
        row.addWidget(self.renew_button)
        self.show_state("", ())
        self.renew_button.clicked.connect(self.renew_clicked)

    def show_state(self, sentence: str, outdated: Sequence[str]) -> None:
        """Say what was found, or which results are older than what is asked now.

        Parameters
        ----------
        sentence : str
        outdated : sequence of str
            Results, such as 'Labels'.
        """
        names = " and ".join(outdated)
        self.state.show_text(f"Out of date: {names}" if outdated else sentence, sentence)
        self.renew_button.setVisible(bool(outdated))
        self.renew_button.setToolTip(f"Make {names} again, as the query is now")


COLUMNS = 6
"""Of the grid of buttons, so that two or three of them share a row."""


ENTRIES: dict[str, tuple[str, str]] = {
    "peaks": (
        "Peaks (CSV)…",
        "The best places of all images, with position and score, as a table",
    ),
    "geojson": (
        "Objects for QuPath (GeoJSON)…",
        "The outlines of the objects, along the borders of their pixels, with classes and colours",
    ),
    "imagej": (
        "Objects for ImageJ (ROI set)…",
        "The outlines of the objects for ImageJ's ROI Manager",
    ),
    "ome-tiff": (
        "Labels (OME-TIFF)…",
        "The objects as labels with pixel size, a channel for each class",
    ),
    "ome-zarr": (
        "Labels (OME-Zarr)…",
        "The objects as label images with pixel size and colours, one for each class",
    ),
    "heatmaps": (
        "Heatmaps (OME-TIFF)…",
        "The scores of every pixel as floating point numbers, with pixel size",
    ),
    "npz": (
        "Embeddings (npz)…",
        "The vectors of all patches with their places, for scikit-learn or UMAP",
    ),
}
"""What can be written: words of its entry, and what they mean."""


class ExportButton(QPushButton):
    """A button with a menu of files that can be written.

    Attributes
    ----------
    picked : Signal(str)
        A key of `ENTRIES`.
    actions_by_name : dict of str to QAction
        The entries of the menu.
    """

    picked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Export…", parent)
        self.setToolTip("Write files for QuPath, ImageJ and other programs")
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        self.actions_by_name = {}
        for name, (text, tip) in ENTRIES.items():
            action = menu.addAction(text)
            action.setToolTip(tip)
            action.triggered.connect(partial(self._pick, name))
            self.actions_by_name[name] = action
        self.setMenu(menu)

    def _pick(self, name: str, *_checked: bool) -> None:
        self.picked.emit(name)


class _DecimalBox(QDoubleSpinBox):
    """A number whose decimals begin with a point or a comma, whatever the locale."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setLocale(QLocale.c())

    def validate(self, text: str, position: int) -> tuple[QValidator.State, str, int]:
        """Return what Qt says of the text with a point; a comma is shown as a point at once."""
        return super().validate(text.replace(",", "."), position)


class ResultsPanel(QWidget):
    """A histogram, a threshold, and buttons for what lies above it.

    Attributes
    ----------
    threshold_changed : Signal(float)
        A score.
    automatic_clicked, gallery_clicked, best_match_clicked : Signal()
    folder_clicked, labels_clicked, table_clicked : Signal()
    export_picked : Signal(str)
        A key of `ENTRIES`.
    """

    threshold_changed = Signal(float)
    automatic_clicked = Signal()
    gallery_clicked = Signal()
    best_match_clicked = Signal()
    folder_clicked = Signal()
    labels_clicked = Signal()
    table_clicked = Signal()
    export_picked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.histogram = Histogram()
        self.threshold = _DecimalBox()
        self.automatic_button = QPushButton("Automatic")
        self.gallery_button = QPushButton("Gallery…")
        self.best_match = QPushButton("Best match")
        self.folder_button = QPushButton("Folder…")
        self.labels_button = QPushButton("Make Labels")
        self.table_button = QPushButton("Table…")
        self.export_button = ExportButton()
        self._is_typed = False
        self._build()
        self._explain()
        self._connect()

    def _build(self) -> None:
        self.threshold.setRange(-1.0, 1.0)
        self.threshold.setDecimals(2)
        self.threshold.setSingleStep(0.01)
        self.threshold.setPrefix("≥ ")
        self.threshold.setKeyboardTracking(False)
        self.automatic_button.setCheckable(True)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        buttons = (
            (self.threshold, self.automatic_button),
            (self.gallery_button, self.best_match, self.folder_button),
            (self.labels_button, self.table_button, self.export_button),
        )
        for line, row in enumerate(buttons):
            span = COLUMNS // len(row)
            for place, widget in enumerate(row):
                # A click on a button ends typing in a box, on macOS only if it takes the focus.
                widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                grid.addWidget(widget, line, place * span, 1, span)
        for column in range(COLUMNS):
            grid.setColumnStretch(column, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.histogram)
        layout.addLayout(grid)

    def _explain(self) -> None:
        self.threshold.setAccessibleName("Threshold")
        self.threshold.setToolTip("Patches of this score and more count as found")
        self.automatic_button.setToolTip(
            "Let the threshold follow from your points, and from Otsu's method without them"
        )
        self.gallery_button.setToolTip(
            "Look at the matches of all images, and say which are right"
        )
        self.folder_button.setToolTip(
            "Search a folder or files that need not be open, in a process of its own"
        )
        self.labels_button.setToolTip(
            "Make the objects inside the contours Labels layers, one for each image and class"
        )
        self.table_button.setToolTip(
            "Count and measure the objects of the Labels layers, as a table with a plot"
        )

    def _connect(self) -> None:
        self.histogram.threshold_dragged.connect(self.threshold_changed)
        self.histogram.automatic_clicked.connect(self.automatic_clicked)
        self.threshold.valueChanged.connect(self._on_threshold)
        self.threshold.lineEdit().textEdited.connect(self._on_typing)
        self.threshold.editingFinished.connect(self._on_typed)
        self.automatic_button.clicked.connect(self.automatic_clicked)
        self.gallery_button.clicked.connect(self.gallery_clicked)
        self.best_match.clicked.connect(self.best_match_clicked)
        self.folder_button.clicked.connect(self.folder_clicked)
        self.labels_button.clicked.connect(self.labels_clicked)
        self.table_button.clicked.connect(self.table_clicked)
        self.export_button.picked.connect(self.export_picked)

    def _on_threshold(self, threshold: float) -> None:
        self._is_typed = False
        self.threshold_changed.emit(threshold)

    def _on_typing(self, _text: str) -> None:
        self._is_typed = True

    def _on_typed(self) -> None:
        """Take what was typed, also where it is the rounded value that was shown before."""
        if self._is_typed:
            self._on_threshold(self.threshold.value())

    def show_histograms(
        self,
        counts: Mapping[str, NDArray[np.intp]],
        colours: Mapping[str, str],
        current: str,
    ) -> None:
        """Show how many patches have which score, above all of the current class."""
        self.histogram.show_histograms(counts, colours, current)

    def show_threshold(self, threshold: float | None, *, automatic: bool) -> None:
        """Show the threshold, without reporting it as a choice.

        Parameters
        ----------
        threshold : float or None
            None before anything is found.
        automatic : bool
            Whether it follows from the points, and was not chosen.
        """
        with QSignalBlocker(self.threshold):
            self.threshold.setEnabled(threshold is not None)
            if threshold is not None:
                show_value(self.threshold, threshold)
        self.automatic_button.setChecked(automatic)
        self.histogram.show_threshold(threshold, automatic=automatic)


MOST_PIXELS = 10**9

OUTLINES = {"edges": "edges", "patches": "patches"}
CONNECTIONS = {"none": "one by one", "depth": "joined in depth", "all": "joined in time too"}
UNITS = ("px", "µm²", "nm²", "mm²")


class ObjectOptionsForm(QWidget):
    """What counts as an object.

    Attributes
    ----------
    outline_changed, connection_changed : Signal(str)
        A key of `OUTLINES` or `CONNECTIONS`.
    split_changed : Signal(bool)
    areas_changed : Signal(str, str)
        The least and the greatest area with their unit; the second one may be empty.
    """

    outline_changed = Signal(str)
    connection_changed = Signal(str)
    split_changed = Signal(bool)
    areas_changed = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.outline, self.connection, self.unit = QComboBox(), QComboBox(), QComboBox()
        self.split = QCheckBox("split touching")
        self.min_area = _area("Smaller objects are left out", "Minimum area")
        self.max_area = _area("Larger objects are left out; 0 leaves out none", "Maximum area")
        self._build()
        self._explain()
        self.outline.activated.connect(self._emit_outline)
        self.connection.activated.connect(self._emit_connection)
        self.split.toggled.connect(self.split_changed)
        self.min_area.valueChanged.connect(self._emit_areas)
        self.max_area.valueChanged.connect(self._emit_areas)
        self.unit.activated.connect(self._emit_areas)

    def _build(self) -> None:
        for box, items in ((self.outline, OUTLINES), (self.connection, CONNECTIONS)):
            for key, text in items.items():
                box.addItem(text, key)
        self.unit.addItems(UNITS)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.addRow("outline", self.outline)
        form.addRow("", self.split)
        form.addRow("minimum area", _row(self.min_area, self.unit))
        form.addRow("maximum area", self.max_area)
        form.addRow("planes", self.connection)

    def _explain(self) -> None:
        self.outline.setAccessibleName("Outline of objects")
        self.outline.setToolTip("Where objects end: at the edges of the image, or with patches")
        self.split.setToolTip("Part objects that touch where they are narrow")
        self.unit.setAccessibleName("Unit of areas")
        self.unit.setToolTip("Pixels, or the unit of layers that have a pixel size")
        self.connection.setAccessibleName("Objects through planes")
        self.connection.setToolTip(
            "Whether Labels have one number for what lies over each other in planes of a stack"
        )

    def show_options(
        self, outline: str, connection: str, *, split: bool, areas: tuple[float | str, float | str]
    ) -> None:
        """Show what is in force, without reporting it as a choice.

        Parameters
        ----------
        outline, connection : str
            Keys of `OUTLINES` and `CONNECTIONS`.
        split : bool
        areas : tuple of two
            The least and the greatest: pixels, or a number and a unit as a text.
        """
        shown = (self.outline, self.connection, self.split, self.min_area, self.max_area)
        blockers = [QSignalBlocker(widget) for widget in (*shown, self.unit)]
        self.outline.setCurrentIndex(self.outline.findData(outline))
        self.connection.setCurrentIndex(self.connection.findData(connection))
        self.split.setChecked(split)
        for box, area in zip((self.min_area, self.max_area), areas, strict=True):
            value, unit = area.split() if isinstance(area, str) else (area, "px")
            show_value(box, float(value) if float(value) <= MOST_PIXELS else 0)
            if box.value():
                self.unit.setCurrentText(unit)
        del blockers

    def _emit_outline(self) -> None:
        self.outline_changed.emit(str(self.outline.currentData()))

    def _emit_connection(self) -> None:
        self.connection_changed.emit(str(self.connection.currentData()))

    def _emit_areas(self) -> None:
        unit = self.unit.currentText()
        least, most = self.min_area.value(), self.max_area.value()
        self.areas_changed.emit(f"{least:.12g} {unit}", f"{most:.12g} {unit}" if most else "")


class _PlainSpinBox(_DecimalBox):
    """A number without zeros at its end."""

    def textFromValue(self, value: float) -> str:  # noqa: N802 - Qt's name
        """Return what is shown of a value."""
        return f"{value:.12g}"


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(4)
    for widget in widgets:
        row.addWidget(widget, 1)
    return row


def _area(tip: str, name: str) -> QDoubleSpinBox:
    box = _PlainSpinBox()
    box.setRange(0, MOST_PIXELS)
    box.setDecimals(6)
    box.setToolTip(tip)
    box.setAccessibleName(name)
    box.setKeyboardTracking(False)
    return box


class FollowRow(QWidget):
    """How far objects move from plane to plane, and a button that follows them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.distance = _DecimalBox()
        self.distance.setRange(0.1, 1000.0)
        self.distance.setDecimals(1)
        self.distance.setSingleStep(0.5)
        self.distance.setValue(3.0)
        self.distance.setAccessibleName("Greatest distance from plane to plane")
        self.distance.setToolTip(
            "How far an object moves from one plane to the next at most, in sides of a patch"
        )
        self.button = QPushButton("Follow")
        self.button.setToolTip(
            "Find which objects of the Labels are the same in the next planes, in time or depth, "
            "as tracks"
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.distance, 1)
        row.addWidget(self.button, 1)


class ResultOptions(QWidget):
    """Distances, and buttons for results that are needed rarely.

    Attributes
    ----------
    peaks_clicked, colours_clicked, follow_clicked : Signal()
    """

    peaks_clicked = Signal()
    colours_clicked = Signal()
    follow_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.follow = FollowRow()
        self.min_distance = _pixels("Of peaks that are closer together, the best one is kept")
        self.peaks_button = QPushButton("Peaks to Points")
        self.colours_button = QPushButton("PCA colours")
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.peaks_button)
        row.addWidget(self.colours_button)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(4)
        form.addRow("peaks apart", self.min_distance)
        form.addRow("patches moved", self.follow)
        form.addRow(row)
        self.peaks_button.setToolTip("Make the best places of each image a Points layer")
        self.colours_button.setToolTip(
            "Show the embeddings of all images as colours: alike is of like colour"
        )
        self.peaks_button.clicked.connect(self.peaks_clicked)
        self.colours_button.clicked.connect(self.colours_clicked)
        self.follow.button.clicked.connect(self.follow_clicked)


def _pixels(tip: str) -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, MOST_PIXELS)
    box.setSuffix(" px")
    box.setToolTip(tip)
    return box

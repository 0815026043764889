"""A plot of one column: its histogram, or its values by image."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_dinov3_sim.core.objects.object_table import ObjectTable, is_text
from napari_dinov3_sim.widget.views.common import keep_narrow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

BINS = 30

SPREAD = 0.35
"""How far the points of an image lie beside its middle."""

SHAPES = ("histogram", "by image")

FIRST_COLUMNS = ("area_um2", "volume_um3", "area_px", "volume_px")
"""What is plotted at first."""

NOT_PLOTTED = ("label", "bbox_", "centroid_", "touches_border")
"""Columns that begin so say where an object is, and not how it is."""


@dataclass(frozen=True)
class PlotColours:
    """Those of napari's theme, and those of the classes."""

    background: str = "#262930"
    ink: str = "#f0f1f2"
    classes: Mapping[str, str] = field(default_factory=dict)


class _Import(QObject):
    """Imports matplotlib, which takes a second, on a thread.

    Attributes
    ----------
    finished : Signal()
        Emitted in the thread, and delivered where the receiver lives.
    """

    finished = Signal()

    def start(self) -> None:
        """Begin."""
        name = "napari-dinov3-sim-matplotlib"
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg  # noqa: F401
        from matplotlib.figure import Figure

        figure = Figure()
        figure.add_subplot().set_title("µ")
        FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call] # finds the fonts
        with suppress(RuntimeError):  # the page may be gone
            self.finished.emit()


class ObjectPlot(QWidget):
    """A canvas of matplotlib, with choices of what is plotted.

    Attributes
    ----------
    column, shape : QComboBox
    axes : matplotlib.axes.Axes or None
        None before matplotlib is imported.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.column, self.shape = QComboBox(), QComboBox()
        self.axes: Axes | None = None
        self._canvas: Any = None
        self._table, self._rows = ObjectTable({}, {}), np.empty(0, np.intp)
        self._colours = PlotColours()
        self._waiting = QLabel("…")
        self._import = _Import(self)
        self._asked = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(30)
        self._build()

    def _build(self) -> None:
        self.shape.addItems(SHAPES)
        keep_narrow(self.column)
        keep_narrow(self.shape)
        self.column.setAccessibleName("Plotted column")
        self.column.setToolTip("Which measurement is plotted")
        self.shape.setAccessibleName("Form of the plot")
        self.shape.setToolTip("One histogram of all images, or the values of each image")
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.column, 1)
        row.addWidget(self.shape, 1)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self._layout.addLayout(row)
        self._layout.addWidget(self._waiting, 1)
        self.setMinimumWidth(180)
        self.column.currentIndexChanged.connect(self._redraw_soon)
        self.shape.currentIndexChanged.connect(self._redraw_soon)
        self._later.timeout.connect(self.draw)
        self._import.finished.connect(self._on_imported)

    def show_rows(self, table: ObjectTable, rows: NDArray[np.intp]) -> None:
        """Plot some rows of a table."""
        self._table, self._rows = table, rows
        names = _plotted(table)
        if names != [self.column.itemText(at) for at in range(self.column.count())]:
            self._show_columns(names)
        if not self._asked:
            self._asked = True
            self._import.start()
        self._redraw_soon()

    def _show_columns(self, names: Sequence[str]) -> None:
        chosen = self.column.currentText()
        first = next((name for name in FIRST_COLUMNS if name in names), "")
        blocked = self.column.blockSignals(True)
        self.column.clear()
        self.column.addItems(list(names))
        self.column.setCurrentText(chosen if chosen in names else first)
        self.column.blockSignals(blocked)

    def show_colours(self, colours: PlotColours) -> None:
        """Draw in other colours."""
        if colours != self._colours:
            self._colours = colours
            self._redraw_soon()

    def _redraw_soon(self) -> None:
        self._later.start()

    def _on_imported(self) -> None:
        from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
        from matplotlib.figure import Figure

        figure = Figure(layout="constrained")
        self._canvas = FigureCanvasQTAgg(figure)  # type: ignore[no-untyped-call]
        self._canvas.setMinimumSize(0, 0)
        self._canvas.setAccessibleName("Plot")
        self.axes = figure.add_subplot()
        self._layout.replaceWidget(self._waiting, self._canvas)
        self._layout.setStretchFactor(self._canvas, 1)
        self._waiting.hide()
        self.draw()

    # -- the picture -----------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw now what is chosen, if matplotlib is there."""
        axes, name = self.axes, self.column.currentText()
        if axes is None:
            return
        axes.clear()
        if name in self._table.columns:
            values = self._table.columns[name][self._rows].astype(float)
            if self.shape.currentIndex() == 0:
                self._draw_histogram(axes, values)
            else:
                self._draw_images(axes, values)
            on_value = axes.set_xlabel if self.shape.currentIndex() == 0 else axes.set_ylabel
            on_value(_label(name, self._table.units.get(name, "")))
        self._paint(axes)
        self._canvas.draw_idle()
        self._canvas.setAccessibleDescription(f"{self.shape.currentText()} of {name}")

    def _classes(self) -> tuple[list[str], NDArray[Any]]:
        column = self._table.columns["class"][self._rows]
        return list(dict.fromkeys(column.tolist())), column

    def _draw_histogram(self, axes: Axes, values: NDArray[np.float64]) -> None:
        names, classes = self._classes()
        finite = np.isfinite(values)
        if not finite.any():
            return
        seen = values[finite]
        # Values that differ by their rounding alone leave no room for bins between them.
        alike = np.allclose(seen, seen[0], rtol=1e-12, atol=0)
        edges = np.histogram_bin_edges(seen[:1] if alike else seen, BINS)
        for name in names:
            mine = values[finite & (classes == name)]
            colour = self._colours.classes.get(name, "#808080")
            axes.hist(mine, edges.tolist(), color=colour, alpha=0.7, label=name)
        axes.set_ylabel("objects")
        if len(names) > 1:
            axes.legend(fontsize=7, frameon=False, labelcolor=self._colours.ink)

    def _draw_images(self, axes: Axes, values: NDArray[np.float64]) -> None:
        """Draw a point for each object, beside the middle of its image, and the medians."""
        names, classes = self._classes()
        images = self._table.columns["image"][self._rows]
        order = list(dict.fromkeys(images.tolist()))
        place = np.array([order.index(image) for image in images.tolist()], float)
        # The same points at the same places whenever it is drawn.
        beside = np.random.default_rng(0).uniform(-SPREAD, SPREAD, len(values))
        for name in names:
            mine = (classes == name) & np.isfinite(values)
            colour = self._colours.classes.get(name, "#808080")
            axes.plot(place[mine] + beside[mine], values[mine], ".", color=colour, ms=4, alpha=0.7)
        for at, image in enumerate(order):
            there = values[(images == image) & np.isfinite(values)]
            if len(there):
                ends = (at - SPREAD, at + SPREAD)
                axes.hlines(np.median(there), *ends, colors=self._colours.ink, linewidths=2)
        axes.set_xticks(range(len(order)), [_short(image) for image in order], rotation=20)

    def _paint(self, axes: Axes) -> None:
        """Give axes the colours of napari's theme."""
        ink, background = self._colours.ink, self._colours.background
        axes.figure.set_facecolor(background)
        axes.set_facecolor(background)
        axes.tick_params(colors=ink, labelsize=7)
        for text in (axes.xaxis.label, axes.yaxis.label):
            text.set_color(ink)
            text.set_fontsize(8)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(ink)


def _plotted(table: ObjectTable) -> list[str]:
    return [
        name
        for name, column in table.columns.items()
        if not is_text(column) and not name.startswith(NOT_PLOTTED)
    ]


def _label(name: str, unit: str) -> str:
    """Return the name of a column in words, with its unit."""
    words = name.removesuffix(f"_{unit}").replace("_", " ") if unit else name.replace("_", " ")
    plain = unit.replace("um", "µm").replace("2", "²").replace("3", "³")
    return f"{words} ({plain})" if unit else words


def _short(image: str) -> str:
    return image if len(image) <= 12 else f"{image[:5]}…{image[-6:]}"

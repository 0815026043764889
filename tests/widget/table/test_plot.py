"""The plot: what is counted, where points lie, in which colours."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinov3_sim.core.objects.object_table import ObjectTable
from napari_dinov3_sim.widget.table.plot import ObjectPlot, PlotColours

pytestmark = pytest.mark.slow

TABLE = ObjectTable(
    {
        "image": np.array(["a", "a", "b", "b", "b"]),
        "class": np.array(["x", "y", "x", "x", "y"]),
        "label": np.array([1, 2, 3, 4, 5]),
        "area_um2": np.array([1.0, 2.0, 3.0, np.nan, 9.0]),
        "bbox_min_x_px": np.array([0, 1, 2, 3, 4]),
        "score_max": np.array([0.5, 0.6, 0.7, 0.8, 0.9]),
    },
    {"area_um2": "um2", "score_max": ""},
)


@pytest.fixture
def plot(qtbot):
    plot = ObjectPlot()
    qtbot.addWidget(plot)
    plot.show_colours(PlotColours("#ffffff", "#000000", {"x": "#ff0000", "y": "#0000ff"}))
    plot.show_rows(TABLE, np.arange(5))
    qtbot.waitUntil(lambda: plot.axes is not None)
    return plot


def counts(plot):
    return sum(bar.get_height() for bar in plot.axes.patches)


def test_the_size_is_plotted_at_first_and_no_place(plot):
    names = [plot.column.itemText(at) for at in range(plot.column.count())]
    assert names == ["area_um2", "score_max"]
    assert plot.column.currentText() == "area_um2"
    assert plot.axes.get_xlabel() == "area (µm²)"


def test_a_histogram_counts_the_rows_that_are_shown(plot, qtbot):
    assert counts(plot) == 4  # one is no number
    plot.show_rows(TABLE, np.array([0, 4]))
    qtbot.waitUntil(lambda: counts(plot) == 2)
    plot.column.setCurrentText("score_max")
    qtbot.waitUntil(lambda: plot.axes.get_xlabel() == "score max")
    assert [text.get_text() for text in plot.axes.get_legend().get_texts()] == ["x", "y"]


@pytest.mark.parametrize("values", [[0.3, 0.1 + 0.2], [1e-3, np.nextafter(1e-3, 1)], [-7.0, -7.0]])
def test_values_that_differ_by_their_rounding_are_counted_too(plot, qtbot, values):
    columns = {**TABLE.columns, "area_um2": np.array([*values, *values, values[0]])}
    plot.show_rows(ObjectTable(columns, TABLE.units), np.arange(5))
    qtbot.waitUntil(lambda: counts(plot) == 5)


def test_by_image_each_object_is_a_point_beside_its_image(plot):
    plot.shape.setCurrentIndex(1)
    plot.draw()
    points = np.concatenate([np.column_stack(line.get_data()) for line in plot.axes.lines])
    assert sorted(points[:, 1].tolist()) == [1, 2, 3, 9]
    assert [tick.get_text() for tick in plot.axes.get_xticklabels()] == ["a", "b"]
    for x, y in points:
        assert round(x) == (0 if y < 3 else 1)
    medians = [line.get_segments()[0][0][1] for line in plot.axes.collections]
    assert medians == [1.5, 6.0]


def test_it_has_the_colours_of_the_theme(plot, qtbot):
    from matplotlib.colors import to_hex

    assert to_hex(plot.axes.get_facecolor()) == "#ffffff"
    plot.show_colours(PlotColours("#262930", "#f0f1f2", {}))
    qtbot.waitUntil(lambda: to_hex(plot.axes.get_facecolor()) == "#262930")
    assert to_hex(plot.axes.xaxis.label.get_color()) == "#f0f1f2"


def test_nothing_is_drawn_of_nothing(plot):
    plot.show_rows(ObjectTable({}, {}), np.empty(0, int))
    plot.draw()
    assert counts(plot) == 0


def test_matplotlib_is_not_imported_before_there_is_something_to_plot(qtbot, monkeypatch):
    from napari_dinov3_sim.widget.table import plot as module

    started = []
    monkeypatch.setattr(module._Import, "start", lambda self: started.append(1))
    plot = ObjectPlot()
    qtbot.addWidget(plot)
    plot.show_colours(PlotColours())
    assert started == []
    plot.show_rows(TABLE, np.arange(5))
    plot.show_rows(TABLE, np.arange(2))
    assert started == [1]

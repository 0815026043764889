"""The model of the table: which rows are shown, in which order, as which texts."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_dinov3_sim.core.objects.object_table import ObjectTable
from napari_dinov3_sim.widget.table.object_model import ObjectTableModel
from napari_dinov3_sim.widget.table.row_filter import rows_meant

COLUMNS = {
    "image": np.array(["left", "left", "Right", "right [1]"]),
    "class": np.array(["nuclei", "debris", "nuclei", "debris"]),
    "label": np.array([1, 2, 1, 7]),
    "area_um2": np.array([51.123456789, np.nan, 7.5, 80.0]),
}
TABLE = ObjectTable(COLUMNS, {"area_um2": "um2"})


@pytest.fixture
def model(qapp):
    model = ObjectTableModel()
    model.show_table(TABLE)
    return model


def texts(model, column):
    at = list(COLUMNS).index(column)
    return [model.data(model.index(row, at)) for row in range(model.rowCount())]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [0, 1, 2, 3]),
        ("right", [2, 3]),
        ("nuc", [0, 2]),
        ("area_um2 > 50", [0, 3]),
        ("area_um2 <= 7.5", [2]),
        ("area_um2 != 80", [0, 1, 2]),
        ("class = Debris, label >= 2", [1, 3]),
        ("left and area_um2>0", [0]),
        ("area_um2 > large", []),
        ("area_um2 > 7,4", [0, 2, 3]),
        ("area_um2>7,4,nuc", [0, 2]),
        ("area_um2 > 7,6 and right", [3]),
        ("class < nuclei", []),
        ("nowhere", []),
        (" , ", [0, 1, 2, 3]),
    ],
)
def test_a_line_of_text_means_rows(text, rows):
    assert np.flatnonzero(rows_meant(COLUMNS, text)).tolist() == rows


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("class = Cells and debris", [0, 1]),
        ("class = cells and debris and label > 1", [1]),
        ("label > 1, class = a, b", [2]),
        ("class != a, b and label < 3", [0, 1]),
        ("class = cells and nothing", []),
        ("cells and debris", [0, 1]),
    ],
)
def test_a_name_may_hold_what_stands_between_parts(text, rows):
    names = np.array(["cells and debris", "cells and debris", "a, b"])
    columns = {"class": names, "label": np.array([1, 2, 3])}
    assert np.flatnonzero(rows_meant(columns, text)).tolist() == rows


def test_nothing_is_meant_of_nothing():
    assert rows_meant({}, "").tolist() == []
    assert rows_meant({"image": np.empty(0, str), "label": np.empty(0)}, "a").tolist() == []


def test_cells_are_short_and_their_tooltips_whole(model):
    assert texts(model, "area_um2") == ["51.12", "", "7.5", "80"]
    assert model.data(model.index(0, 3), Qt.ItemDataRole.ToolTipRole) == "51.123456789"
    assert texts(model, "label") == ["1", "2", "1", "7"]
    header = Qt.Orientation.Horizontal
    assert model.headerData(3, header) == "area_um2"
    assert model.headerData(3, header, Qt.ItemDataRole.ToolTipRole) == "area_um2, in um2"
    right = model.data(model.index(0, 3), Qt.ItemDataRole.TextAlignmentRole)
    assert right & int(Qt.AlignmentFlag.AlignRight)


def test_rows_are_sorted_and_what_is_no_number_comes_last(model):
    model.sort(3)
    assert model.rows.tolist() == [2, 0, 3, 1]
    model.sort(3, Qt.SortOrder.DescendingOrder)
    assert model.rows.tolist() == [3, 0, 2, 1]
    model.sort(1)
    assert model.rows.tolist() == [1, 3, 0, 2]
    model.sort(-1)
    assert model.rows.tolist() == [0, 1, 2, 3]


def test_sorting_and_filter_stay_when_another_table_comes(model):
    model.sort(3, Qt.SortOrder.DescendingOrder)
    model.show_only("label < 7")
    assert model.rows.tolist() == [0, 2, 1]
    assert (model.row_of(1), model.shown_row(2), model.shown_row(3)) == (2, 1, None)
    model.show_table(TABLE.select(np.array([3, 2])))
    assert model.rows.tolist() == [1]
    model.show_table(ObjectTable({}, {}))
    assert (model.rowCount(), model.columnCount()) == (0, 0)


def test_ten_thousand_rows_become_texts_only_where_they_are_seen(qapp, qtbot, monkeypatch):
    from napari_dinov3_sim.widget.table import object_model
    from napari_dinov3_sim.widget.table.panel import RowsView

    made = []
    real = object_model._text
    monkeypatch.setattr(
        object_model, "_text", lambda v, full: made.append(1) or real(v, full=full)
    )
    rng = np.random.default_rng(0)
    view = RowsView("Objects")
    qtbot.addWidget(view)
    view.resize(500, 200)
    view.show()
    columns = {f"c{number}": rng.normal(size=10_000) for number in range(25)}
    view.show_table(ObjectTable(columns, {}))
    view.sortByColumn(2, Qt.SortOrder.AscendingOrder)
    view.show_only("c3 > 0")
    view.choose(int(view.rows.rows[-1]))
    qtbot.waitUntil(lambda: bool(made))
    assert len(made) < 10_000
    assert view.current == view.rows.rows[-1]

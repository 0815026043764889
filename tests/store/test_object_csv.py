"""The table of objects as a file."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.objects.object_table import ObjectTable
from napari_dinov3_sim.store.object_csv import objects_csv, save_objects

TABLE = ObjectTable(
    {
        "image": np.array(["=run()", "b, c"]),
        "label": np.array([1, 2]),
        "area_um2": np.array([0.1 + 0.2, np.nan]),
    },
    {"image": "", "label": "", "area_um2": "um2"},
)


def test_numbers_are_read_back_as_they_were():
    header, *rows = csv.reader(io.StringIO(objects_csv(TABLE)))
    assert header == ["image", "label", "area_um2"]
    assert float(rows[0][2]) == 0.1 + 0.2
    assert rows[1] == ["b, c", "2", ""]


def test_no_name_is_a_formula():
    assert "\n'=run(),1," in objects_csv(TABLE)


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path):
    with pytest.raises(StoreError, match="table cannot be written"):
        save_objects(TABLE, tmp_path / "missing" / "t.csv")
    assert save_objects(TABLE, tmp_path / "t.csv").read_text() == objects_csv(TABLE)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]

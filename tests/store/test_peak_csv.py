"""The table of peaks, read back by the standard library and by nothing as a formula."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.store.peak_csv import PeakRow, peaks_table, save_peaks


def read(text):
    return list(csv.reader(io.StringIO(text)))


def test_the_table_has_pixels_world_and_score():
    rows = [
        PeakRow("a.tif", "cell", 7.5, 23.5, 0.87654321, (-1.25, 3e-7)),
        PeakRow("b, c.tif", 'the "rim"', 0, 12345678, -0.5, (0, 0)),
    ]
    assert peaks_table(rows, ("y_um", "x_um")) == (
        "image,class,x_px,y_px,y_um,x_um,score\n"
        "a.tif,cell,7.5,23.5,-1.25,3e-07,0.876543\n"
        '"b, c.tif","the ""rim""",0,12345678,0,0,-0.500000\n'
    )
    assert peaks_table([]) == "image,class,x_px,y_px,score\n"


@given(st.text(st.characters(exclude_characters="\r\x00", exclude_categories=["Cs"])))
def test_no_name_is_run_as_a_formula_and_all_come_back(name):
    (_, (image, class_name, *_)) = read(peaks_table([PeakRow(name, name, 0, 0, 0)]))
    assert image == class_name
    assert image in (name, f"'{name}")
    assert not image.startswith(("=", "+", "-", "@", "\t"))


def test_every_axis_needs_a_coordinate():
    with pytest.raises(ValueError, match="1 world coordinates for 2 axes"):
        peaks_table([PeakRow("a", "b", 0, 0, 0, (1.0,))], ("y", "x"))


def test_the_file_is_utf8_and_whole_or_not_there(tmp_path):
    path = save_peaks([PeakRow("µ", "é", 1, 2, 0.5)], tmp_path / "p.csv")
    assert read(path.read_text(encoding="utf-8"))[1] == ["µ", "é", "1", "2", "0.500000"]
    with pytest.raises(StoreError, match=r"cannot be written to .*choose another folder"):
        save_peaks([], tmp_path / "none" / "p.csv")
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.csv"]

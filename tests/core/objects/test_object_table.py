"""Tables that are joined and summarised."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinov3_sim.core.objects.object_table import ObjectTable, join_tables
from napari_dinov3_sim.core.objects.summary import MeasuredArea, summarise_objects


def table(**columns):
    return ObjectTable({n: np.array(c) for n, c in columns.items()}, dict.fromkeys(columns, ""))


def test_joined_tables_have_every_column_where_its_table_has_it():
    one = table(label=[1, 2], area_px=[5, 6], score=[0.5, 0.25])
    two = table(label=[1], area_px=[7], area_um2=[0.7], score=[0.1])
    both = join_tables([one, two]).columns
    assert list(both) == ["label", "area_px", "area_um2", "score"]
    assert both["label"].tolist() == [1, 2, 1]
    assert both["label"].dtype.kind == "i"
    np.testing.assert_array_equal(both["area_um2"], [np.nan, np.nan, 0.7])


def test_a_table_without_rows_changes_no_numbers_of_another():
    rows, none = table(label=[1], plane=[3]), table(label=np.empty(0, int))
    assert join_tables([none, rows]).columns["plane"].tolist() == [3]
    assert join_tables([none, rows]).columns["plane"].dtype.kind == "i"


def test_the_same_value_is_put_in_front():
    labelled = table(label=[4, 5]).labelled(image="a", class_="nuclei")
    assert list(labelled.columns) == ["image", "class", "label"]
    assert labelled.columns["class"].tolist() == ["nuclei", "nuclei"]


@pytest.fixture
def objects():
    return table(
        **{
            "image": ["a", "a", "a", "b"],
            "class": ["c", "c", "d", "c"],
            "area_px": [100, 300, 50, 40],
        }
    )


def test_a_summary_has_a_row_for_each_image_and_class(objects):
    pixel = 0.25
    areas = [MeasuredArea("a", c, 1, 10_000, pixel) for c in "cd"]
    areas += [MeasuredArea("b", c, 2, 20_000, pixel) for c in "cd"]
    columns = summarise_objects(objects, areas).columns
    assert columns["objects"].tolist() == [2, 1, 1, 0]
    assert columns["planes"].tolist() == [1, 1, 2, 2]
    np.testing.assert_allclose(columns["area_fraction"], [0.04, 0.005, 0.002, 0])
    np.testing.assert_allclose(columns["density_per_mm2"], [800, 400, 200, 0])
    np.testing.assert_array_equal(columns["mean_area_px"], [200, 50, 40, np.nan])
    np.testing.assert_array_equal(columns["mean_area_um2"], [50, 12.5, 10, np.nan])


def test_without_a_pixel_size_the_density_is_that_of_pixels(objects):
    summary = summarise_objects(objects, [MeasuredArea("a", "c", 1, 10_000)])
    assert summary.columns["density_per_megapixel"].tolist() == [200]
    assert not [name for name in summary.columns if "um" in name]


def test_volumes_are_summarised_as_volumes():
    found = table(**{"image": ["a"], "class": ["c"], "volume_px": [500]})
    columns = summarise_objects(found, [MeasuredArea("a", "c", 10, 10**6, 0.5, 3)]).columns
    assert columns["volume_fraction"].tolist() == [0.0005]
    assert columns["mean_volume_um3"].tolist() == [250]
    assert columns["density_per_mm3"].tolist() == pytest.approx([1 / (5e5 / 1e9)])


def test_nothing_searched_has_no_density():
    columns = summarise_objects(table(label=[]), [MeasuredArea("a", "c", 0, 0)]).columns
    assert columns["objects"].tolist() == [0]
    assert np.isnan(columns["density_per_megapixel"][0])

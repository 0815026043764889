"""Captions of matches that are too long for their pictures."""

from __future__ import annotations

import pytest
from qtpy.QtGui import QFontMetrics
from qtpy.QtWidgets import QApplication

from napari_dinov3_sim.widget.match_list import GalleryItem, GalleryModel, elided_name


def shown(names, characters):
    """Return the names as they are drawn where so many digits have room."""
    model = GalleryModel()
    items = [GalleryItem(number, name, 0.5, None) for number, name in enumerate(names)]
    model.show_items(items)
    metrics = QFontMetrics(QApplication.font())
    room = metrics.horizontalAdvance("0" * characters)
    found = [elided_name(item, model.shared, metrics, room) for item in items]
    assert all(metrics.horizontalAdvance(name) <= room for name in found)
    return found


@pytest.mark.parametrize(
    ("names", "ends"),
    [
        ([f"plate_{n}.tif" for n in range(1, 7)], [f"_{n}" for n in range(1, 7)]),
        (["plate_1", "plate_2.ome.tif"], ["_1", "_2"]),
        (["plate_1.tif [3]", "plate_1.tif [4]"], ["[3]", "[4]"]),
        (["scan v1.5", "scan v1.6"], ["1.5", "1.6"]),
    ],
)
def test_what_tells_names_apart_is_seen(qapp, names, ends):
    found = shown(names, 5)
    assert [name.endswith(end) for name, end in zip(found, ends, strict=True)] == [True] * len(
        ends
    )


def test_names_that_differ_early_show_where_they_differ(qapp):
    found = shown(["day 1 control of mice.tif", "day 1 treated with much.tif"], 8)
    assert [name[0] for name in found] == ["c", "t"]


def test_names_are_whole_where_there_is_room(qapp):
    assert shown(["plate_1.tif", "plate_2.tif"], 30) == ["plate_1.tif", "plate_2.tif"]
    assert shown(["alone.tif"], 30) == ["alone.tif"]
    assert shown([], 30) == []

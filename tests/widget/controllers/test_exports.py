"""Files for other programs from the dock's menu, and regions that are imported."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import QTimer

from napari_dinov3_sim.exchange.geojson import write_geojson
from napari_dinov3_sim.exchange.shapes import Polygon, Shape
from napari_dinov3_sim.widget.controllers.exports import FILTERS, TITLES
from napari_dinov3_sim.widget.dialogs import complete
from napari_dinov3_sim.widget.views.results import ENTRIES

from .actions import answer, press, show


class User:
    """Names files and folders when a dialog asks."""

    def __init__(self, folder):
        self.folder, self.asked = folder, []

    def ask_for_new_file(self, title, name, filters):
        self.asked.append(title)
        return str(self.folder / name)

    def ask_for_folder(self, title):
        self.asked.append(title)
        return str(self.folder)

    def ask_for_file(self, title, filters):
        self.asked.append(title)
        return str(self.folder / "regions.geojson")


@pytest.fixture
def user(tmp_path):
    (tmp_path / "files").mkdir()
    return User(tmp_path / "files")


@pytest.fixture
def dock(make_dock, pair, user):
    dock = make_dock(dialogs=user)
    dock.session.new_queries()
    dock.show()
    return dock


def trigger(dock, name):
    dock.views.results.export_button.actions_by_name[name].trigger()


def test_every_entry_writes_a_file_for_each_image(qtbot, dock, pair, user, notified, viewer_model):
    answer(qtbot, dock, pair[0], (40, 20))
    press(qtbot, dock.views.results.labels_button)
    qtbot.waitUntil(lambda: not dock.session.results.pending)
    for name in ENTRIES:
        trigger(dock, name)
        qtbot.waitUntil(lambda: not (dock.session.exports.pending or dock.session.results.pending))
    names = sorted(path.name for path in user.folder.iterdir())
    ends = [".geojson", ".rois.zip", ".labels.ome.tif", ".ome.zarr", ".heatmap.ome.tif"]
    ends += [".embeddings.npz"]
    expected = [f"{image}{end}" for image in "ab" for end in ends]
    assert names == sorted([*expected, "peaks.csv"])
    assert "choose a folder for 2 files" in user.asked[1]
    saved = [n.message for n in notified if "saved to" in n.message]
    assert len(saved) == len(ENTRIES)
    layer = next(layer for layer in viewer_model.layers if layer.name == "a objects")
    assert np.array_equal(tifffile.imread(user.folder / "a.labels.ome.tif"), layer.data)


@pytest.mark.slow
def test_one_image_is_one_file_whose_replacing_the_dialog_has_asked_about(
    qtbot, dock, pair, user, notified
):
    answer(qtbot, dock, pair[0], (40, 20))
    dock.session.set_target(pair[1], False)
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 1)
    target = user.folder / "a.heatmap.ome.tif"
    target.write_text("old")
    trigger(dock, "heatmaps")
    qtbot.waitUntil(lambda: not dock.session.exports.pending)
    assert user.asked == ["Export heatmaps"]
    assert tifffile.imread(target).dtype == np.float32


def test_where_there_is_nothing_it_is_said_before_a_dialog_asks(qtbot, dock, pair, user, notified):
    for name in ENTRIES:
        if name != "peaks":
            trigger(dock, name)
    assert user.asked == []
    assert [n.type for n in notified] == ["warning"] * (len(ENTRIES) - 1)
    assert "press Make Labels first" in notified[0].message
    assert "press Embed first" in notified[-1].message


def test_the_menu_opens_with_the_mouse_and_explains_its_entries(qtbot, dock):
    button = dock.views.results.export_button
    menu, seen = button.menu(), []

    def look():
        seen.append(menu.isVisible())
        menu.close()

    menu.aboutToShow.connect(lambda: QTimer.singleShot(0, look))
    press(qtbot, button)
    qtbot.waitUntil(lambda: seen == [True])
    assert [action.text() for action in menu.actions()] == [text for text, _ in ENTRIES.values()]
    assert all(action.toolTip() != action.text() for action in menu.actions())


@pytest.mark.parametrize("name", TITLES)
def test_the_suffix_of_a_file_is_completed(name):
    assert complete("a", FILTERS[name], FILTERS[name].split(";;")[0]).startswith("a.")


def test_regions_are_imported_from_the_button(qtbot, dock, pair, user, notified):
    ring = np.array([(32, 16), (48, 16), (48, 32), (32, 32)])
    shapes = [Shape(polygons=(Polygon(ring),), class_name="square", colour="#ff0000")]
    write_geojson(shapes, user.folder / "regions.geojson")
    dock.session.source = pair[0]
    show(dock, 2)
    press(qtbot, dock.views.regions.import_button)
    qtbot.waitUntil(lambda: len(dock.session.heatmaps_of("square")) == 2)
    assert dock.session.classes["square"] == "#ff0000"
    assert any("1 region from regions.geojson" in n.message for n in notified)
    (user.folder / "regions.geojson").write_text(json.dumps({"features": []}))
    press(qtbot, dock.views.regions.import_button)
    qtbot.waitUntil(lambda: "holds no regions" in notified[-1].message)

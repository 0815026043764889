"""The parts of the dock alone."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from napari.utils import progress as napari_progress
from napari.utils.colormaps import AVAILABLE_COLORMAPS
from qtpy.QtCore import Qt

from napari_dinov3_sim.backbones import MODELS
from napari_dinov3_sim.session.layers.style import HeatmapStyle
from napari_dinov3_sim.session.worker_messages import Progress
from napari_dinov3_sim.widget.activity import Activity
from napari_dinov3_sim.widget.views import model as model_picker
from napari_dinov3_sim.widget.views.heatmaps import COLORMAPS, SCALINGS, HeatmapControls
from napari_dinov3_sim.widget.views.images import EmbedRow, ImageEntry, ImageList
from napari_dinov3_sim.widget.views.model import OTHER_FILE, OTHER_FOLDER, ModelPicker

pytestmark = pytest.mark.slow

MOST_LETTERS = 44
"""That fit into a line of the dock as napari opens it."""


@pytest.fixture
def picker(qtbot):
    picker = ModelPicker()
    qtbot.addWidget(picker)
    return picker


def test_every_model_is_offered_with_its_licence(picker):
    combo = picker.combo
    assert [combo.itemData(row) for row in range(combo.count())] == [*MODELS, None, None]
    for row, record in enumerate(MODELS.values()):
        assert record.licence in combo.itemData(row, Qt.ItemDataRole.ToolTipRole)
    assert "not DINOv3" in combo.itemText(0)
    picker.show_model("dinov3-vits16plus")
    assert MODELS["dinov3-vits16plus"].licence in picker.licence.toolTip()
    assert combo.currentText() == "DINOv3 ViT-S+/16"


@pytest.mark.parametrize("model", MODELS)
def test_what_is_said_of_a_model_fits_into_the_dock(picker, model):
    picker.show_model(model)
    for line in (picker.note, picker.device, picker.licence):
        assert 0 < len(line.text()) <= MOST_LETTERS
        assert line.toolTip()


def test_showing_a_model_is_not_choosing_it(qtbot, picker):
    with qtbot.assertNotEmitted(picker.picked):
        picker.show_model("dinov3-vitb16")
        picker.show_model("owner/other")
        picker.show_model("")
    assert picker.combo.currentIndex() == -1


@pytest.mark.parametrize(
    ("entry", "dialog"), [(OTHER_FILE, "ask_for_file"), (OTHER_FOLDER, "ask_for_folder")]
)
def test_other_asks_for_a_file_or_a_folder(qtbot, picker, monkeypatch, entry, dialog):
    monkeypatch.setattr(model_picker, dialog, lambda parent: "/weights/mine")
    with qtbot.waitSignal(picker.picked) as picked:
        picker.combo.activated.emit(picker.combo.findText(entry))
    assert picked.args == ["/weights/mine"]
    assert picker.combo.currentText() == "mine"


def test_other_cancelled_leaves_the_model(qtbot, picker, monkeypatch):
    monkeypatch.setattr(model_picker, "ask_for_file", lambda parent: "")
    picker.show_model("dinov3-vitb16")
    picker.combo.setCurrentIndex(picker.combo.findText(OTHER_FILE))
    with qtbot.assertNotEmitted(picker.picked):
        picker.combo.activated.emit(picker.combo.currentIndex())
    assert picker.combo.currentData() == "dinov3-vitb16"


def test_progress_beyond_32_bits(qtbot):
    row = EmbedRow()
    qtbot.addWidget(row)
    row.show_progress(Progress("Downloading", 27 * 2**29, 27 * 2**30))
    assert row.bar.value() == row.bar.maximum() / 2
    row.show_progress(Progress("Loading", 0, 0))
    assert (row.bar.minimum(), row.bar.maximum()) == (0, 0)


def test_a_tick_may_change_the_list_while_qt_handles_it(qtbot):
    images = ImageList()
    qtbot.addWidget(images)
    entries = [ImageEntry(number, f"image {number}", True) for number in range(3)]
    images.show_entries(entries)
    seen = []

    def again(layer_id, ticked):
        seen.append((layer_id, ticked))
        images.show_entries([replace(e, ticked=e.layer_id != layer_id) for e in entries])

    images.ticked.connect(again)
    images.topLevelItem(1).setCheckState(0, Qt.CheckState.Unchecked)
    assert seen == [(1, False)]
    assert images.topLevelItem(1).checkState(0) == Qt.CheckState.Unchecked


def test_colormaps_exist():
    assert set(COLORMAPS) <= set(AVAILABLE_COLORMAPS)


def test_showing_a_style_is_not_choosing_it(qtbot):
    style = HeatmapControls()
    qtbot.addWidget(style)
    chosen = []
    for signal in (
        style.opacity_changed,
        style.colormap_changed,
        style.scaling_changed,
        style.limits_changed,
        style.class_maps_changed,
    ):
        signal.connect(lambda *args: chosen.append(args))
    style.show_style(HeatmapStyle("bop blue", 0.4, "translucent"), "each", (0.25, 0.5), True)
    assert chosen == []
    assert style.limits.value() == (0.25, 0.5)
    assert style.class_maps.isChecked()
    assert style.blending.currentData() == "translucent"
    assert style.colormap.currentText() == "bop blue"
    assert style.opacity.value() == 40
    assert style.scaling.currentText() == SCALINGS["each"]


def test_the_activity_has_one_bar_and_none_at_the_end(qapp):
    before, activity = set(napari_progress._all_instances), Activity()
    for progress in [Progress("load", 0, 0), Progress("embed", 1, 4), Progress("embed", 3, 4)]:
        activity.show(progress)
        (bar,) = set(napari_progress._all_instances) - before
        assert (bar.n, bar.total) == (progress.done, progress.total)
    activity.show(None)
    activity.close()
    assert set(napari_progress._all_instances) == before


def test_the_dock_is_no_wider_than_a_dock(make_dock):
    dock = make_dock(model="dinov3-vitl16-sat493m")
    dock.views.hint.show_text("A hint " * 40)
    dock.views.show_offer("A reason " * 40)
    assert dock.minimumSizeHint().width() < 400
    assert dock.sizeHint().width() < 450


OPEN = """
import sys
from dataclasses import replace
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
application = QApplication([])
from napari_dinov3_sim.widget import SimilarityWidget
dock = SimilarityWidget(ViewerModel())
application.processEvents()
dock.controller.close()
print([name for name in ("torch", "transformers") if name in sys.modules])
"""


def test_opening_the_dock_waits_for_no_model_library(tmp_path):
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "QT_QPA_PLATFORM": "offscreen",
        "NAPARI_CONFIG": str(tmp_path / "settings.yaml"),
    }
    done = subprocess.run(
        [sys.executable, "-c", OPEN], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout.strip() == "[]", done.stderr
    assert not (tmp_path / "cache" / "napari-dinov3-sim").exists()

"""A folder searched from the dock with real clicks, by a real process, in a real viewer."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from qtpy.QtCore import Qt
from skimage import data
from skimage.io import imsave

from napari_dinov3_sim.widget.dock import SimilarityWidget

from .dock_helpers import click, drawn

pytestmark = pytest.mark.gui


@pytest.fixture
def scans(tmp_path):
    """Four parts of a stained section, of which the first is opened."""
    folder = tmp_path / "scans"
    folder.mkdir()
    picture = data.immunohistochemistry()
    for number in range(4):
        imsave(folder / f"{number}.png", picture[number * 128 :][:128, :256])
    return folder


def test_from_the_button_to_the_gallery(make_napari_viewer, qtbot, scans, tmp_path):
    opened = []
    dialogs = SimpleNamespace(
        ask_for_folder=lambda title: str(scans), open_folder=opened.append, ask_for_files=list
    )
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 720)
    dock = SimilarityWidget(viewer, model="builtin", dialogs=dialogs)
    viewer.window.add_dock_widget(dock, name="DINOv3 similarity", area="right")
    (image,) = viewer.open(str(scans / "0.png"), plugin="napari-dinov3-sim")
    qtbot.waitUntil(lambda: dock.session.queries is not None)
    drawn(qtbot, viewer)
    click(qtbot, viewer, image, (60, 100))
    qtbot.waitUntil(lambda: bool(dock.session.heatmaps) and not dock.session.busy)

    def press(button):
        assert button.isVisible()
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    press(dock.views.results.folder_button)
    panel = dock.controller.file_search.panel
    press(panel.folder_button)
    qtbot.waitUntil(panel.start_button.isEnabled)
    press(panel.start_button)
    qtbot.waitUntil(panel.matches_button.isEnabled)
    assert "4 images are searched: " in panel.message.text()
    out = tmp_path / "scans results"
    dock.session.results.labels()
    qtbot.waitUntil(lambda: not dock.session.results.pending)
    labels = next(layer for layer in viewer.layers if "objects" in layer.name)
    np.testing.assert_array_equal(tifffile.imread(out / "0.labels.tif"), labels.data)
    press(panel.open_button)
    assert opened == [str(out)]
    press(panel.matches_button)
    gallery = dock.session.gallery
    gallery.show("best", 60)
    qtbot.waitUntil(lambda: {"1.png", "2.png"} <= {match.image for match in gallery.matches})
    dock.controller.close()

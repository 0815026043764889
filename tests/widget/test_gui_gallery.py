"""The gallery in a real viewer: below the canvas, and gone with the dock."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget

from napari_dinov3_sim.widget.controllers.pages.gallery import NAME
from napari_dinov3_sim.widget.dock import SimilarityWidget

from .dock_helpers import Loader

pytestmark = pytest.mark.gui


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    """A viewer of 1280 × 720 with the dock, two images and ten matches in the gallery."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 720)
    dock = SimilarityWidget(viewer, model="tiny", load_model=Loader())
    viewer.window.add_dock_widget(dock, name="DINOv3 similarity", area="right")
    rng = np.random.default_rng(3)
    for number in range(2):
        colours = rng.integers(0, 255, (8, 12, 3)).astype(np.uint8)
        pixels = colours.repeat(16, 0).repeat(16, 1)
        viewer.add_image(pixels, name=f"image {number}", translate=(0, 200 * number))
    qtbot.waitUntil(lambda: dock.session.queries is not None)
    controller = dock.controller.gallery
    dock.session.add_query(dock.session.images[0], 40, 20)
    view = controller.open()
    qtbot.waitUntil(lambda: view.list.items.rowCount() == 10)
    qtbot.waitUntil(lambda: len(view.list.items._pictures) == 10)
    yield viewer, dock, controller
    controller.close()


def test_it_lies_below_the_canvas_and_leaves_the_other_dock_its_height(opened, qtbot):
    viewer, dock, controller = opened
    view = controller.view
    before = dock.height()
    assert dock.mapToGlobal(dock.rect().bottomLeft()).y() > view.mapToGlobal(view.pos()).y()
    assert view.height() < 250
    area = view.list.viewport().rect()
    rects = [view.list.visualRect(view.list.items.index(row)) for row in range(10)]
    assert all(area.contains(rect) for rect in rects)
    controller.close()
    qtbot.waitUntil(lambda: not viewer.window._qt_window.findChildren(QDockWidget, NAME))
    assert dock.height() == before


def test_ten_are_judged_with_keys_alone(opened, qtbot):
    viewer, dock, controller = opened
    view = controller.view
    focused = view.window().focusWidget()  # Xvfb has no active window
    assert focused is view.list
    for number in range(10):
        qtbot.keyClick(focused, Qt.Key.Key_N if number > 6 else Qt.Key.Key_Y)
    qtbot.waitUntil(lambda: dock.session.gallery.counts.wrong == 3)
    assert dock.session.gallery.counts.right == 7
    qtbot.keyClick(focused, Qt.Key.Key_M)
    judged = {match.id for match in dock.session.gallery.matches if match.judgement is not None}
    qtbot.waitUntil(lambda: not judged & {item.id for item in view.list.items.items})
    assert "of 10 as predicted" in view.line.text()
    assert len(dock.session.queries.data) == 11
    assert viewer.layers.selection.active == dock.session.queries


def test_a_page_that_was_closed_opens_again(opened, qtbot):
    _, dock, controller = opened
    view = controller.view
    view.parent().destroyOnClose()
    qtbot.waitUntil(lambda: dock.session.gallery.matches == ())
    assert controller.open() is view
    qtbot.waitUntil(lambda: view.list.items.rowCount() == 10)
    assert view.isVisible()
    view.parent().hide()
    controller.open()
    assert view.isVisible()

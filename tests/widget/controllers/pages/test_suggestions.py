"""The page of suggested classes, ticked and clicked."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_dinov3_sim.core.errors import SimilarityError

from ..actions import press, tick

pytestmark = pytest.mark.slow

COLOURS = np.array([[220, 40, 40], [40, 200, 60], [50, 60, 230]], np.uint8)


@pytest.fixture
def pair(viewer_model):
    """Two images of different size, of patches in three colours."""
    rng = np.random.default_rng(4)
    images = []
    for name, shape in (("a", (8, 12)), ("b", (5, 6))):
        pixels = COLOURS[rng.integers(0, 3, shape)].repeat(16, 0).repeat(16, 1)
        images.append(viewer_model.add_image(pixels, name=name, translate=(0, 200 * len(images))))
    return images


@pytest.fixture
def page(qtbot, dock):
    """The page, with three classes of both images."""
    dock.views.steps[1].open()
    press(qtbot, dock.views.suggest_button)
    view = dock.controller.suggestions.view
    view.resize(700, 240)
    view.count.setValue(3)
    settle(qtbot, dock, 3)
    return view


def settle(qtbot, dock, count):
    discovery = dock.session.discovery
    qtbot.waitUntil(lambda: len(discovery.suggestions) == count and not discovery.pending)


def test_classes_are_shown_by_colour_share_and_pictures(page, dock):
    assert [row.tick.text() for row in page.rows] == ["1", "2", "3"]
    for row, one in zip(page.rows, dock.session.discovery.suggestions, strict=True):
        assert row.share.text() == f"{one.share:.0%} of area"
        shown = [button for button in row.buttons if button.isVisible()]
        assert len(shown) == 3
        assert all(not button.icon().isNull() for button in shown)
        assert all(button.accessibleName() and button.toolTip() for button in shown)
        assert "2 images" in row.tick.toolTip()
    assert not page.make_button.isEnabled()
    assert not page.cancel_button.isVisible()


def test_ticked_ones_become_classes_by_one_click_and_undo_takes_them_back(qtbot, page, dock):
    tick(qtbot, page.rows[0].tick)
    tick(qtbot, page.rows[2].tick)
    assert page.ticked == [1, 3]
    press(qtbot, page.make_button)
    qtbot.waitUntil(lambda: len(dock.session.heatmaps) == 2)
    assert {n: c.positive for n, c in dock.session.class_counts.items()} == {
        "class 1": 3,
        "class 2": 3,
    }
    assert [row.made.text() for row in page.rows] == ["→ class 1", "", "→ class 2"]
    assert not page.rows[0].tick.isEnabled()
    assert page.ticked == []
    press(qtbot, dock.views.signs.undo_button)
    qtbot.waitUntil(page.rows[0].tick.isEnabled)
    assert [row.made.text() for row in page.rows] == ["", "", ""]
    assert len(dock.session.queries.data) == 0


def test_a_picture_leads_to_its_place(qtbot, page, dock, viewer_model):
    before = viewer_model.scene.camera.center
    press(qtbot, page.rows[1].buttons[2])
    assert viewer_model.scene.camera.center != before


def test_ticks_stay_until_other_classes_are_suggested(qtbot, page, dock, pair):
    tick(qtbot, page.rows[1].tick)
    dock.session.set_target(pair[1], False)
    qtbot.waitUntil(lambda: "Refresh" in page.line.text())
    assert page.ticked == [2]
    press(qtbot, page.refresh_button)
    settle(qtbot, dock, 3)
    qtbot.waitUntil(lambda: "tick" in page.line.text())
    assert {one.images for one in dock.session.discovery.suggestions} == {1}
    page.count.setValue(2)
    settle(qtbot, dock, 2)
    assert len(page.rows) == 2
    assert page.ticked == []


def test_the_button_suggests_anew_of_other_images(qtbot, page, dock, viewer_model, pair):
    discovery = dock.session.discovery
    tick(qtbot, page.rows[0].tick)
    press(qtbot, dock.views.suggest_button)
    assert not discovery.is_waiting
    assert page.ticked == [1]
    for image in pair:
        viewer_model.layers.remove(image)
    viewer_model.add_image(pair[0].data[:, ::-1].copy(), name="new")
    qtbot.waitUntil(lambda: discovery.is_outdated)
    press(qtbot, dock.views.suggest_button)
    qtbot.waitUntil(lambda: not discovery.is_outdated and not discovery.pending)
    tick(qtbot, page.rows[0].tick)
    press(qtbot, page.make_button)
    qtbot.waitUntil(lambda: len(dock.session.queries.data) == 3)


def test_more_classes_than_there_are_colours_are_fewer(qtbot, page, dock):
    page.count.setValue(7)
    settle(qtbot, dock, 3)
    qtbot.waitUntil(lambda: "only 3 classes differ" in page.line.text())


def test_a_number_that_is_being_typed_is_not_lost(qtbot, page, dock):
    page.activateWindow()
    page.count.setFocus()
    qtbot.waitUntil(page.count.hasFocus)
    page.count.selectAll()
    qtbot.keyClicks(page.count, "2")
    page.show_state(3, "", waiting=False)
    qtbot.keyClick(page.count, Qt.Key.Key_Return)
    assert page.count.value() == 2
    settle(qtbot, dock, 2)


def test_narrow_pages_have_one_column(qtbot, page):
    def columns():
        return len({row.x() for row in page.rows})

    qtbot.waitUntil(lambda: columns() == 2)
    page.resize(330, 240)
    qtbot.waitUntil(lambda: columns() == 1)
    page.resize(900, 240)
    qtbot.waitUntil(lambda: columns() == 3)


def test_a_mistake_is_one_sentence(qtbot, dock, notified, monkeypatch):
    def refuse(count=None):
        raise SimilarityError("No image is ticked; tick one.")

    monkeypatch.setattr(dock.session.discovery, "suggest", refuse)
    press(qtbot, dock.views.suggest_button)
    assert [one.message for one in notified] == ["No image is ticked; tick one."]

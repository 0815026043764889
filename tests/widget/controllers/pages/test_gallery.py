"""The page of the gallery, judged by mouse and by keys."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_dinov3_sim.widget.controllers.pages.gallery import (
    NOTHING_LEFT,
    WAITING,
    GalleryController,
)

from ..actions import press

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(viewer_model):
    """Two images of patches in random colours."""
    rng = np.random.default_rng(3)
    colours = rng.integers(0, 255, (2, 8, 12, 3)).astype(np.uint8)
    left, right = (part.repeat(16, 0).repeat(16, 1) for part in colours)
    a = viewer_model.add_image(left, name="a")
    return a, viewer_model.add_image(right, name="b", translate=(0, 200))


@pytest.fixture
def dialogs():
    """Answers in the user's place."""
    asked = []

    def ask_for_new_file(*what):
        asked.append(what)
        return dialogs.path

    dialogs = SimpleNamespace(ask_for_new_file=ask_for_new_file, asked=asked, path="", folders=[])
    dialogs.ask_for_folder = lambda title: dialogs.folders.pop(0)
    return dialogs


@pytest.fixture
def controller(qtbot, dock, viewer_model, dialogs):
    controller = GalleryController(viewer_model, dock.session, dock.views, dialogs)
    yield controller
    controller.close()


@pytest.fixture
def page(qtbot, dock, pair, controller):
    """The page with ten matches of one click."""
    view = controller.open()
    view.resize(900, 160)
    dock.session.add_query(pair[0], 40, 20)
    qtbot.waitUntil(lambda: view.list.items.rowCount() == 10)
    return view


def judged(dock, right, wrong):
    return lambda: (
        (dock.session.gallery.counts.right, dock.session.gallery.counts.wrong)
        == (
            right,
            wrong,
        )
    )


def key(qtbot, page, which, modifier=Qt.KeyboardModifier.NoModifier):
    qtbot.keyClick(page.list, which, modifier)


def click_on(qtbot, page, row, right=None):
    """Click a mark of an item, or its picture."""
    rect = page.list.visualRect(page.list.items.index(row))
    place = rect.center() if right is None else page.list.drawing.mark_rect(rect, right).center()
    qtbot.mouseClick(page.list.viewport(), Qt.MouseButton.LeftButton, pos=place)


def judgements(page):
    return [item.judgement for item in page.list.items.items]


def test_a_page_without_points_says_what_to_do(qtbot, dock, pair, controller):
    view = controller.open()
    assert view.list._message == WAITING
    assert not view.next_button.isEnabled()
    assert view.order_buttons["best"].isChecked()


def test_marks_judge_and_take_back(qtbot, dock, page):
    click_on(qtbot, page, 0, right=True)
    click_on(qtbot, page, 1, right=False)
    qtbot.waitUntil(judged(dock, 1, 1))
    assert judgements(page)[:3] == [True, False, None]
    assert page.line.text().startswith("✓ 1  ✗ 1")
    assert page.list.currentIndex().row() == 2, "on to the next, as after a key"
    click_on(qtbot, page, 0, right=False)
    qtbot.waitUntil(judged(dock, 0, 2))
    click_on(qtbot, page, 0, right=False)
    qtbot.waitUntil(judged(dock, 0, 1))
    assert judgements(page)[:2] == [None, False]


def test_keys_judge_and_go_on(qtbot, dock, page):
    order = [item.id for item in page.list.items.items]
    for which in (Qt.Key.Key_Y, Qt.Key.Key_N, Qt.Key.Key_Right, Qt.Key.Key_Y):
        key(qtbot, page, which)
    qtbot.waitUntil(judged(dock, 2, 1))
    assert judgements(page)[:5] == [True, False, None, True, None]
    assert page.list.currentIndex().row() == 4
    key(qtbot, page, Qt.Key.Key_Left)
    key(qtbot, page, Qt.Key.Key_Backspace)
    qtbot.waitUntil(judged(dock, 1, 1))
    assert page.list.currentIndex().row() == 3
    assert [item.id for item in page.list.items.items] == order


def test_backspace_takes_back_what_was_judged_last(qtbot, dock, page):
    key(qtbot, page, Qt.Key.Key_Y)
    key(qtbot, page, Qt.Key.Key_Y)
    qtbot.waitUntil(judged(dock, 2, 0))
    key(qtbot, page, Qt.Key.Key_Backspace)
    qtbot.waitUntil(judged(dock, 1, 0))
    assert judgements(page)[:3] == [True, None, None]
    assert page.list.currentIndex().row() == 1
    key(qtbot, page, Qt.Key.Key_Backspace)  # nothing was judged there any more
    assert len(dock.session.queries.data) == 2


def test_control_z_undoes_like_everywhere(qtbot, dock, page):
    key(qtbot, page, Qt.Key.Key_N)
    qtbot.waitUntil(judged(dock, 0, 1))
    key(qtbot, page, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(judged(dock, 0, 0))
    assert len(dock.session.queries.data) == 1


def test_enter_and_a_click_go_there(qtbot, dock, page, viewer_model, pair):
    for row, go in ((2, "key"), (5, "mouse")):
        item = page.list.items.items[row]
        match = next(m for m in dock.session.gallery.matches if m.id == item.id)
        if go == "key":
            page.list.setCurrentIndex(page.list.items.index(row))
            key(qtbot, page, Qt.Key.Key_Return)
        else:
            click_on(qtbot, page, row)
            assert page.list.currentIndex().row() == row
        layer = next(layer for layer in pair if layer.unique_id == match.source)
        y, x = layer.world_to_data(viewer_model.scene.camera.center[-2:])
        left, top, right, bottom = match.box
        assert left <= x < right
        assert top <= y < bottom
    assert judgements(page) == [None] * 10


def test_orders_are_a_switch_and_the_next_ten_are_others(qtbot, dock, page):
    best = {item.id for item in page.list.items.items}
    press(qtbot, page.order_buttons["teach"])
    qtbot.waitUntil(lambda: {item.id for item in page.list.items.items} != best)
    teach = {item.id for item in page.list.items.items}
    assert dock.session.gallery.order == "teach"
    assert not page.order_buttons["best"].isChecked()
    press(qtbot, page.order_buttons["best"])
    qtbot.waitUntil(lambda: {item.id for item in page.list.items.items} not in (teach, set()))
    first = {item.id for item in page.list.items.items}
    key(qtbot, page, Qt.Key.Key_Y)
    key(qtbot, page, Qt.Key.Key_M)
    qtbot.waitUntil(lambda: not first & {item.id for item in page.list.items.items})
    assert page.list.currentIndex().row() == 0
    assert "of 1 as predicted" in page.line.text()
    press(qtbot, page.refresh_button)
    qtbot.waitUntil(lambda: len(first & {item.id for item in page.list.items.items}) > 5)


def test_when_there_are_no_more_places_the_page_says_so(qtbot, dock, page):
    while page.list.items.rowCount():
        before = [item.id for item in page.list.items.items]
        press(qtbot, page.next_button)
        qtbot.waitUntil(lambda: [i.id for i in page.list.items.items] != before)  # noqa: B023
    assert page.list._message == NOTHING_LEFT
    press(qtbot, page.refresh_button)
    qtbot.waitUntil(lambda: page.list.items.rowCount() == 10)


def test_pictures_are_asked_for_when_they_are_seen(qtbot, dock, page):
    items = page.list.items
    qtbot.waitUntil(lambda: len(items._pictures) == 10)
    picture = items.picture(items.items[0])
    assert picture.width() == picture.height() == page.picture_size
    match = dock.session.gallery.matches[0]
    pixels = dock.session.gallery.thumbnail(match, page.picture_size)
    shown = picture.toImage().pixelColor(5, 7)
    assert (shown.red(), shown.green(), shown.blue()) == tuple(pixels[7, 5])


def test_all_ten_are_seen_at_once_in_a_low_page_and_larger_in_a_high_one(qtbot, page):
    page.resize(900, page.height_of_page(900))
    qtbot.waitUntil(lambda: page.list.visualRect(page.list.items.index(9)).right() > 500)
    area = page.list.viewport().rect()
    assert all(area.contains(page.list.visualRect(page.list.items.index(n))) for n in range(10))
    small = page.list.drawing.side
    page.resize(900, 600)
    qtbot.waitUntil(lambda: page.list.drawing.side > 1.5 * small)


def test_judgements_are_saved_where_the_dialog_says(
    qtbot, dock, page, dialogs, tmp_path, notified
):
    assert not page.save_button.isEnabled()
    key(qtbot, page, Qt.Key.Key_Y)
    qtbot.waitUntil(page.save_button.isEnabled)
    press(qtbot, page.save_button)
    assert len(dialogs.asked) == 1
    assert not list(tmp_path.glob("*.json"))
    dialogs.path = str(tmp_path / "judged.json")
    press(qtbot, page.save_button)
    (entry,) = json.loads((tmp_path / "judged.json").read_text())["judgements"]
    assert (entry["class"], entry["right"]) == ("class 1", True)
    assert "1 judgement is saved in judged.json" in notified[-1].message
    dialogs.path = str(tmp_path / "nowhere" / "judged.json")
    press(qtbot, page.save_button)
    assert notified[-1].type == "warning"


def test_files_are_added_by_two_folders(qtbot, page, dialogs, tmp_path, notified):
    (tmp_path / "a.txt").write_text("no picture")
    dialogs.folders = [""]
    press(qtbot, page.files_button)
    assert not dialogs.folders
    dialogs.folders = [str(tmp_path), ""]
    press(qtbot, page.files_button)
    qtbot.waitUntil(lambda: any("0 of 1 file have" in each.message for each in notified))
    dialogs.folders = [str(tmp_path / "empty"), ""]
    (tmp_path / "empty").mkdir()
    press(qtbot, page.files_button)
    assert "no files that are not open" in notified[-1].message


def test_everything_has_a_name_and_can_be_reached_by_keys(qtbot, page):
    controls = [*page.order_buttons.values(), page.next_button, page.refresh_button]
    controls += [page.files_button, page.save_button, page.list]
    assert all(control.accessibleName() for control in controls)
    assert all(control.focusPolicy() & Qt.FocusPolicy.TabFocus for control in controls)
    assert all(control.toolTip() for control in controls[:-1])
    text = page.list.items.index(2).data(Qt.ItemDataRole.AccessibleTextRole)
    assert text.startswith("Match 3 of 10: ")
    assert text.endswith("not judged")


def test_a_closed_controller_takes_the_page_along(qtbot, dock, page, controller):
    controller.close()
    assert controller.view is None
    dock.session.gallery.show("teach")
    controller.close()

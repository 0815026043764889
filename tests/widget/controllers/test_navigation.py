"""Side by side, hovering, outlines and the best match, from the dock."""

from __future__ import annotations

import pytest

from .actions import answer, choose, press, show, tick


def test_the_image_that_is_clicked_can_be_chosen(dock, pair, viewer_model):
    source = dock.views.source.source
    choose(source, "a")
    assert dock.session.source == pair[0]
    viewer_model.layers.remove(pair[0])
    assert source.currentText() == "topmost under the click"
    choose(source, "topmost under the click")
    assert dock.session.source is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hovering", "outlines", "side_by_side"])
def test_switches_follow_both_ways(qtbot, dock, pair, name):
    answer(qtbot, dock, pair[0], (40, 20))
    show(dock, 3)
    box = dock.views.outlines if name == "outlines" else getattr(dock.views.navigation, name)
    before = getattr(dock.session, name)
    assert box.isChecked() == before
    tick(qtbot, box)
    assert getattr(dock.session, name) != before
    setattr(dock.session, name, before)
    qtbot.waitUntil(lambda: box.isChecked() == before)


def test_best_match_without_a_query_says_so(qtbot, dock, pair, notified):
    press(qtbot, dock.views.results.best_match)
    assert "no match" in notified[-1].message
    answer(qtbot, dock, pair[0], (40, 20))
    press(qtbot, dock.views.results.best_match)
    assert [n.message for n in notified if "no match" in n.message] == [notified[0].message]

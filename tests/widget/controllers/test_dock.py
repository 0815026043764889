"""The dock as a whole: its keys, its sections, and its end."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint, QPointF
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_dinov3_sim.widget.views.section import Scroll

from ..dock_helpers import Loader
from .actions import press, press_key

# -- keys -----------------------------------------------------------------------------------------


def test_keys_do_what_the_buttons_do(qtbot, dock, pair):
    assert press_key(dock, "N")
    assert not dock.session.positive
    press_key(dock, "Shift-K")
    assert dock.session.class_name == "class 2"
    press_key(dock, "K")
    assert dock.session.class_name == "class 1"
    press_key(dock, "H")
    assert dock.session.hovering
    assert dock.views.navigation.hovering.isChecked()


def test_tooltips_name_the_keys(dock):
    assert "(N)" in dock.views.classes.negative_button.toolTip()
    assert "(B)" in dock.views.navigation.best_match.toolTip()
    assert "Z)" in dock.views.queries.undo_button.toolTip()


def test_keys_move_to_the_next_query_layer_and_go_with_the_dock(qtbot, dock, viewer_model):
    first = dock.session.queries
    viewer_model.layers.remove(first)
    press(qtbot, dock.views.queries.button)
    second = dock.session.queries
    qtbot.waitUntil(lambda: bool(second.keymap))
    assert first.keymap == {}
    dock.controller.close()
    assert second.keymap == {}


# -- the dock as a whole --------------------------------------------------------------------------


def turn_wheel(dock, widget):
    """Turn the wheel a notch over a widget, as the window system does."""
    place = QPointF(widget.mapTo(dock, widget.rect().center()))
    QTest.wheelEvent(dock.windowHandle(), place, QPoint(0, -120))
    QApplication.processEvents()


def test_scrolling_over_a_choice_does_not_change_it(qtbot, dock, monkeypatch):
    dock.resize(320, 300)
    dock.views.options.advanced.unfold()
    qtbot.wait(20)
    scroll, combo = dock.findChild(Scroll), dock.views.options.factor
    scroll.ensureWidgetVisible(combo)
    before, down = dock.session.recipe, scroll.verticalScrollBar().value()
    dock.setFocus()
    turn_wheel(dock, combo)
    assert dock.session.recipe == before
    assert scroll.verticalScrollBar().value() > down
    scroll.ensureWidgetVisible(combo)
    # Only an active window gives the focus, and nothing activates one on a bare X server.
    monkeypatch.setattr(combo, "hasFocus", lambda: True)
    turn_wheel(dock, combo)
    assert dock.session.recipe != before


@pytest.mark.parametrize("height", [450, 250])
def test_a_section_that_is_opened_comes_into_sight(qtbot, dock, height):
    """All of it, or as much from the heading on as there is room for."""
    dock.resize(320, height)
    scroll = dock.findChild(Scroll)
    for name in ("Results", "Model", "Results"):
        section = dock.views.sections[name]
        section.heading.setChecked(False)
        qtbot.wait(20)
        section.heading.setChecked(True)
        seen = section.heading if (name, height) == ("Results", 250) else section
        qtbot.waitUntil(lambda w=seen: sees(scroll, w))
    fits = section.height() <= scroll.viewport().height()
    assert fits == (height == 450)


def test_the_offer_of_the_builtin_model_comes_into_sight(qtbot, make_dock, pair, notified):
    dock = make_dock(loader=Loader(failing=("gone",)), model="gone")
    dock.resize(320, 400)
    dock.show()
    dock.views.sections["Model"].heading.setChecked(False)
    dock.controller.embed()
    qtbot.waitUntil(dock.views.offer.isVisible)
    qtbot.waitUntil(lambda: sees(dock.findChild(Scroll), dock.views.offer.button))
    assert len(notified) == 1


def sees(scroll, widget):
    """Whether a widget is in the view of a scroll area as a whole."""
    top = widget.mapTo(scroll.viewport(), QPoint(0, 0)).y()
    return top >= 0 and top + widget.height() <= scroll.viewport().height()


def test_a_section_folds_and_the_dock_keeps_its_width(qtbot, dock):
    section = dock.views.sections["Results"]
    width = dock.minimumSizeHint().width()
    press(qtbot, section.heading)
    assert section.folded
    assert not dock.views.results.isVisible()
    assert dock.minimumSizeHint().width() == width
    assert dock.minimumSizeHint().height() < 300
    press(qtbot, section.heading)
    assert dock.views.results.isVisible()


# -- the end --------------------------------------------------------------------------------------


def test_closed_controllers_hear_nothing(make_dock, pair):
    dock = make_dock()
    session = dock.session
    signals = [session.queried, session.answered, session.listed, session.results.done]
    assert all(len(signal) for signal in signals)
    dock.controller.close()
    assert not any(len(signal) for signal in signals)

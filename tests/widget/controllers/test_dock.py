"""The dock as a whole: its keys, its steps, and its end."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QAccessible
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QHeaderView,
    QScrollBar,
    QWidget,
)

from napari_dinov3_sim.session.worker_messages import Progress
from napari_dinov3_sim.widget.views.step import Scroll

from .actions import press, press_key, show

pytestmark = pytest.mark.slow

# -- keys -----------------------------------------------------------------------------------------


def test_keys_do_what_the_buttons_do(qtbot, dock, pair):
    assert press_key(dock, "N")
    assert not dock.session.positive
    press_key(dock, "Shift-K")
    assert dock.session.class_name == "class 2"
    press_key(dock, "K")
    assert dock.session.class_name == "class 1"
    press_key(dock, "Alt-2")
    assert dock.session.class_name == "class 2"
    press_key(dock, "Alt-9")
    press_key(dock, "Alt-1")
    assert dock.session.class_name == "class 1"
    press_key(dock, "H")
    assert dock.session.hovering
    assert dock.views.navigation.hovering.isChecked()


def test_tooltips_name_the_keys(dock):
    assert "(N)" in dock.views.signs.negative_button.toolTip()
    assert "(B)" in dock.views.results.best_match.toolTip()
    assert "Z)" in dock.views.signs.undo_button.toolTip()


def test_keys_move_to_the_next_query_layer_and_go_with_the_dock(qtbot, dock, viewer_model):
    first = dock.session.queries
    viewer_model.layers.remove(first)
    press(qtbot, dock.views.signs.positive_button)
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
    show(dock, 1)
    qtbot.let_pass()
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
def test_what_is_advanced_comes_into_sight_and_that_of_another_step_goes(qtbot, dock, height):
    """All of it, or as much from the top on as there is room for."""
    dock.resize(320, height)
    scroll = dock.findChild(Scroll)
    for step in (*dock.views.steps, dock.views.steps[0]):
        press(qtbot, step.button)
        qtbot.waitUntil(lambda w=step.heading: sees(scroll, w))
        assert step.advanced.mapTo(scroll.viewport(), QPoint(0, 0)).y() < height
        assert [other.is_open for other in dock.views.steps].count(True) == 1


def sees(scroll, widget):
    """Whether a widget is in the view of a scroll area, or fills it."""
    top = widget.mapTo(scroll.viewport(), QPoint(0, 0)).y()
    height = scroll.viewport().height()
    return widget.isVisible() and top >= 0 and (top + widget.height() <= height or top <= 1)


def test_all_three_steps_fit_into_600_pixels_and_stay_there(qtbot, make_dock, pair):
    """Whatever is said, nothing moves and nothing is cut off."""
    dock = make_dock()
    dock.resize(dock.sizeHint())
    dock.show()
    assert dock.sizeHint().height() <= 600 + 2  # the margin of the dock
    scroll = dock.findChild(Scroll)
    assert scroll.widget().sizeHint().height() <= 600
    places = [step.pos() for step in dock.views.steps]
    dock.views.hint.show_text("A sentence " * 40)
    dock.views.state.show_state("A sentence " * 40, ("Labels", "Peaks"))
    dock.views.embed.show_state("A sentence " * 40)
    dock.views.embed.show_progress(Progress("Embedding " * 40, 1, 4))
    dock.views.show_offer("A reason " * 40)
    qtbot.let_pass()
    assert [step.pos() for step in dock.views.steps] == places
    assert not scroll.verticalScrollBar().isVisible()
    edge = scroll.viewport().width()
    for widget in scroll.widget().findChildren(QWidget):
        if widget.isVisible():
            right = widget.mapTo(scroll.viewport(), QPoint(widget.width(), 0)).x()
            assert right <= edge, widget


def test_advanced_opens_and_the_dock_keeps_its_width(qtbot, dock):
    step = dock.views.steps[2]
    width = dock.minimumSizeHint().width()
    press(qtbot, step.button)
    assert step.is_open
    assert dock.views.style.isVisible()
    assert dock.minimumSizeHint().width() == width
    assert dock.minimumSizeHint().height() < 300
    press(qtbot, step.button)
    assert not dock.views.style.isVisible()


def test_every_control_is_reached_by_keyboard_and_has_a_name(dock):
    """What the mouse can change, Tab reaches, and a screen reader can tell what it is."""
    controls = (QAbstractButton, QComboBox, QAbstractSpinBox, QAbstractItemView, QAbstractSlider)
    seen = set()
    for step in dock.views.steps:
        step.open()
        seen |= {w for control in controls for w in dock.findChildren(control) if w.isVisible()}
    assert len(seen) > 40
    for widget in seen:
        inner = isinstance(widget.parent(), (QAbstractItemView, QHeaderView, QAbstractSlider))
        if inner or isinstance(widget, (QHeaderView, QScrollBar)):
            continue
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus, widget
        assert name_of(widget), widget


def name_of(widget):
    """What a screen reader says of a control: its text, its name, or the label before it."""
    interface = QAccessible.queryAccessibleInterface(widget)
    return interface.text(QAccessible.Text.Name)


# -- the end --------------------------------------------------------------------------------------


def test_closed_controllers_hear_nothing(make_dock, pair):
    dock = make_dock()
    session = dock.session
    signals = [session.queried, session.answered, session.listed, session.results.done]
    assert all(len(signal) for signal in signals)
    dock.controller.close()
    assert not any(len(signal) for signal in signals)

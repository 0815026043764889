"""The histogram alone: drawn by class, set by mouse and keys, read by screen readers."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_dinov3_sim.widget.views.histogram import LEAP, STEP, Histogram

COUNTS = {"cell": np.bincount([120] * 50, minlength=200), "gap": np.bincount([160], minlength=200)}
COLOURS = {"cell": "#ff0000", "gap": "#0000ff"}


@pytest.fixture
def histogram(qtbot):
    histogram = Histogram()
    qtbot.addWidget(histogram)
    histogram.resize(240, 90)
    histogram.show_histograms(COUNTS, COLOURS, "cell")
    histogram.show_threshold(0.4, automatic=True)
    histogram.show()
    return histogram


def chroma(histogram, score):
    """How strongly each of red and blue is drawn at a score, just above the axis."""
    image = histogram.grab().toImage()
    ratio = image.width() / histogram.width()
    x, y = histogram.position(score) * ratio, (histogram.height() - 18) * ratio
    colour = image.pixelColor(round(x), round(y))
    return colour.red() - colour.green(), colour.blue() - colour.green()


def test_the_current_class_is_in_full_colour_and_the_others_are_faint(histogram):
    of_cell, of_gap = 0.205, 0.605  # the middles of the bins that hold something
    full = chroma(histogram, of_cell)[0]
    histogram.show_histograms(COUNTS, COLOURS, "gap")
    assert full > 2 * chroma(histogram, of_cell)[0] > 0
    histogram.show_histograms({"gap": COUNTS["gap"]}, COLOURS, "gap")
    full = chroma(histogram, of_gap)[1]
    histogram.show_histograms(COUNTS, COLOURS, "other")  # one that has no scores yet
    assert chroma(histogram, of_cell)[0] > 0
    assert full > 0


def test_the_line_is_dragged_all_the_while(qtbot, histogram):
    said = []
    histogram.threshold_dragged.connect(said.append)
    places = [QPoint(round(histogram.position(score)), 30) for score in (0.3, 0.5, 0.7)]
    qtbot.mousePress(histogram, Qt.MouseButton.LeftButton, pos=places[0])
    for place in places[1:]:
        qtbot.mouseMove(histogram, place)
    qtbot.waitUntil(lambda: len(said) == 3)
    assert said == pytest.approx([0.3, 0.5, 0.7], abs=0.01)


@pytest.mark.parametrize(
    ("key", "step"),
    [
        (Qt.Key.Key_Right, STEP),
        (Qt.Key.Key_Up, STEP),
        (Qt.Key.Key_Left, -STEP),
        (Qt.Key.Key_Down, -STEP),
        (Qt.Key.Key_PageUp, LEAP),
        (Qt.Key.Key_PageDown, -LEAP),
    ],
)
def test_keys_move_the_line(qtbot, histogram, key, step):
    with qtbot.waitSignal(histogram.threshold_dragged) as moved:
        qtbot.keyClick(histogram, key)
    assert moved.args == [pytest.approx(0.4 + step)]


def test_keys_stay_within_what_is_drawn_and_leave_others_alone(qtbot, histogram):
    histogram.show_threshold(1.0)
    with qtbot.waitSignal(histogram.threshold_dragged) as moved:
        qtbot.keyClick(histogram, Qt.Key.Key_Right)
    assert moved.args == [1.0]
    with qtbot.assertNotEmitted(histogram.threshold_dragged):
        qtbot.keyClick(histogram, Qt.Key.Key_Z)
        qtbot.keyClick(histogram, Qt.Key.Key_Left, Qt.KeyboardModifier.ControlModifier)
        histogram.show_histograms({}, {})
        qtbot.keyClick(histogram, Qt.Key.Key_Left)


def test_the_automatic_threshold_is_a_double_click_or_a_key_away(qtbot, histogram):
    place = QPoint(round(histogram.position(0.5)), 30)
    with qtbot.waitSignal(histogram.automatic_clicked):
        qtbot.mouseDClick(histogram, Qt.MouseButton.LeftButton, pos=place)
    with qtbot.waitSignal(histogram.automatic_clicked):
        qtbot.keyClick(histogram, Qt.Key.Key_A)


def test_a_screen_reader_hears_the_threshold_and_what_is_found(histogram):
    assert histogram.accessibleName() == "Threshold"
    assert histogram.focusPolicy() == Qt.FocusPolicy.StrongFocus
    histogram.show_found(1234, "4.5% of the area")
    assert histogram.found_text == "1,234 objects · 4.5% of the area"
    assert histogram.accessibleDescription() == (
        "threshold 0.400, automatic; 1,234 objects · 4.5% of the area"
    )
    histogram.show_threshold(0.5)
    histogram.show_found(1, "1% of the area")
    assert histogram.accessibleDescription() == (
        "threshold 0.500, set by hand; 1 object · 1% of the area"
    )
    histogram.clear_found()
    histogram.show_threshold(None)
    assert histogram.accessibleDescription() == ""

"""How heatmaps are shown is chosen in the dock, and what they lack is said."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit

from heatmap_values import over_image
from napari_dinov3_sim.widget.views.heatmaps import HeatmapControls

from .actions import answer, default_locale, show, tick

pytestmark = pytest.mark.slow


def test_a_window_of_cosines(dock):
    style = dock.views.style
    style.limits.setValue((0.25, 0.75))
    assert dock.session.limits == (0.25, 0.75)
    assert style.scaling.currentData() == "fixed"
    style.limits.setValue((0.5, 0.5))
    assert dock.session.limits == (0.25, 0.75)


@pytest.mark.parametrize(("keys", "value"), [("0,4", 0.4), ("0.5", 0.5), (",3", 0.3), ("-1", -1)])
@pytest.mark.parametrize("language", ["C", "de_DE"])
def test_the_numbers_of_sliders_are_typed_with_a_comma_or_a_point(qtbot, language, keys, value):
    with default_locale(language):
        controls = HeatmapControls()
        qtbot.addWidget(controls)
    controls.show()
    controls.limits.setValue((-0.5, 0.88))
    said = []
    controls.limits_changed.connect(lambda *limits: said.append(limits))
    low = controls.limits.findChildren(QLineEdit)[0]
    assert low.focusPolicy() == Qt.FocusPolicy.StrongFocus
    low.selectAll()
    qtbot.keyClicks(low, keys)
    qtbot.keyClick(low, Qt.Key.Key_Return)
    assert said == [pytest.approx((value, 0.88))]


def test_light_that_is_lost_on_a_bright_image_is_told_of(qtbot, dock, pair, viewer_model):
    style = dock.views.style
    dock.session.style(blending="additive")
    answer(qtbot, dock, pair[0], (40, 20))
    assert style.hint.isHidden()
    white = viewer_model.add_image(np.full((96, 96, 3), 230, np.uint8), translate=(100, 0))
    qtbot.waitUntil(lambda: not style.hint.isHidden())
    style.blending.setCurrentIndex(style.blending.findData("translucent_no_depth"))
    assert style.hint.isHidden()
    dock.session.style(blending="additive")
    assert not style.hint.isHidden()
    viewer_model.layers.remove(white)
    qtbot.waitUntil(style.hint.isHidden)


def test_class_maps_are_shown(qtbot, dock, pair):
    tick(qtbot, dock.views.style.class_maps)
    dock.session.add_query(pair[0], 40, 20, class_name="bright")
    dock.session.add_query(pair[0], 4, 4, class_name="dark")
    qtbot.waitUntil(lambda: len(dock.session.class_maps) == 2)
    assert all(layer.visible for layer in dock.session.class_maps.values())
    dock.session.show_class_maps = False
    assert not dock.views.style.class_maps.isChecked()
    assert not any(layer.visible for layer in dock.session.class_maps.values())


def test_why_there_is_no_best_class_is_said_below_the_tick(qtbot, dock, pair):
    hint = dock.views.style.class_map_hint
    show(dock, 3)
    answer(qtbot, dock, pair[0], (40, 20))
    assert hint.isHidden()
    tick(qtbot, dock.views.style.class_maps)
    assert hint.text() == "Needs two classes that have a heatmap each."
    assert hint.isVisible()
    dock.session.add_query(pair[0], 4, 4, class_name="dark", positive=False)
    qtbot.waitUntil(lambda: "dark has no positive point" in dock.views.hint.text())
    assert hint.isVisible()
    dock.session.add_query(pair[0], 4, 4, class_name="dark")
    qtbot.waitUntil(hint.isHidden)
    qtbot.waitUntil(lambda: len(dock.session.class_maps) == 2)
    dock.session.threshold = 0.61
    qtbot.waitUntil(lambda: hint.text() == "No class below the threshold (0.61).")
    dock.session.threshold = None
    qtbot.waitUntil(hint.isHidden)


def test_smooth_and_patches(qtbot, dock, pair):
    style = dock.views.style
    answer(qtbot, dock, pair[0], (40, 20))
    plain = over_image(pair[1], dock.session.heatmaps[pair[1]])
    tick(qtbot, style.smooth)
    assert dock.session.smooth
    qtbot.waitUntil(lambda: not np.array_equal(dock.session.scores_over(pair[1]), plain))
    tick(qtbot, style.patches)
    qtbot.waitUntil(lambda: np.array_equal(dock.session.scores_over(pair[1]), plain))
    dock.session.smooth = True
    assert style.smooth.isChecked()


def test_the_colour_bar_shows_the_scale(qtbot, dock, pair):
    bar = dock.views.style.colour_bar
    answer(qtbot, dock, pair[0], (40, 20))
    low, high = dock.session.limits
    assert bar.ends == (f"{low:.2f}", f"{high:.2f}")
    dock.session.limits = (0.25, 0.5)
    assert bar.ends == ("0.25", "0.50")
    assert "class 1" in bar.toolTip()
    picture = bar.grab().toImage()
    right = picture.pixelColor(bar.width() - 2, 1)  # 0.7 of cyan over black
    assert (right.red(), right.green() > 150, right.blue() > 150) == (0, True, True)
    left = picture.pixelColor(1, 1)
    assert (left.red(), left.green(), left.blue()) == (0, 0, 0)
    dock.session.scaling = "each"
    assert bar.ends == ("lowest", "highest score of each image")

"""Colormaps with alpha; stained sections are bright, padding of the thumbnail does not count."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dinov3_sim import sample_data
from napari_dinov3_sim.session.layers.style import (
    BLENDINGS,
    CLASS_COLOUR,
    STEPS,
    colormap_of_style,
    heatmap_colormap,
    is_bright,
)


@pytest.mark.parametrize("colours", ["#e69f00", "magma", "gray"])
@pytest.mark.parametrize("blending", ["translucent_no_depth", "translucent", "additive"])
def test_the_lowest_score_is_not_drawn_and_higher_ones_more_and_more(colours, blending):
    rgba = heatmap_colormap(colours, blending).map(STEPS)
    assert rgba[0, 3] == 0
    assert (np.diff(rgba[:, 3]) > 0).all()
    assert rgba[-1, 3] == pytest.approx(1)
    if colours.startswith("#"):
        np.testing.assert_allclose(rgba[:, :3], np.tile([0.902, 0.624, 0], (65, 1)), atol=1e-3)


@pytest.mark.parametrize(("blending", "nothing"), [("opaque", 0), ("minimum", 1)])
def test_without_alpha_a_colour_rises_from_what_the_blending_takes_for_nothing(blending, nothing):
    rgba = heatmap_colormap("#e69f00", blending).map(STEPS)
    np.testing.assert_allclose(rgba[0], [nothing, nothing, nothing, 1])
    np.testing.assert_allclose(rgba[-1], [0.902, 0.624, 0, 1], atol=1e-3)


@pytest.mark.parametrize("blending", BLENDINGS)
def test_a_colormap_is_known_again_by_its_name(blending):
    assert colormap_of_style(heatmap_colormap("magma", blending).name) == "magma"
    assert colormap_of_style(heatmap_colormap("#e69f00", blending).name) == CLASS_COLOUR
    assert colormap_of_style("viridis") == "viridis"


@pytest.mark.parametrize("shape", [(64, 64), (20, 200), (200, 20)])
@pytest.mark.parametrize(("value", "bright"), [(0, False), (100, False), (180, True)])
def test_a_field_of_one_value(viewer, shape, value, bright):
    for channels in ((), (3,)):
        image = np.full(shape + channels, value, np.uint8)
        layer = viewer.add_image(image, **({} if channels else {"contrast_limits": (0, 255)}))
        assert is_bright(layer) == bright


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "bright"),
    [(sample_data.make_histology_pair, True), (sample_data.make_coin_pair, False)],
)
def test_samples(viewer, make, bright):
    for data, options, _ in make():
        assert is_bright(viewer.add_image(data, **options)) == bright


def test_it_is_the_drawn_image_that_counts(viewer):
    layer = viewer.add_image(np.full((32, 32), 100, np.uint8), contrast_limits=(0, 255))
    assert not is_bright(layer)
    layer.contrast_limits = (0, 110)
    assert is_bright(layer)

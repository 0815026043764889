"""Heatmaps as they are seen: on bright, dark, gray and coloured images, and side by side."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from skimage.color import gray2rgb, rgb2gray

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.session.answering.question import Question
from napari_dinov3_sim.session.images.patch_array import create_layer_data
from napari_dinov3_sim.session.images.planes import LayerAxes
from napari_dinov3_sim.session.interaction.side_by_side import SideBySide
from napari_dinov3_sim.session.layers.heatmaps import HeatmapContent, HeatmapLayers
from napari_dinov3_sim.session.layers.style import CLASS_COLOURS, HeatmapStyle, Palette

from .dock_helpers import drawn

pytestmark = pytest.mark.gui

SIDE, PATCH = 256, 16
HIGH, LOW = 0.9, 0.1


def spots() -> np.ndarray:
    """Dark, with soft bright spots, as nuclei in a fluorescence image."""
    from skimage.filters import gaussian

    rng = np.random.default_rng(0)
    image = np.zeros((SIDE, SIDE))
    image[tuple(rng.integers(0, SIDE, (2, 60)))] = 1
    image = gaussian(image, 5)
    return gray2rgb((255 * image / image.max()).astype(np.uint8))


KINDS = {
    "white histology": lambda: skimage.data.immunohistochemistry()[:SIDE, -SIDE:],
    "black fluorescence": spots,
    "gray texture": lambda: gray2rgb(skimage.data.gravel()[:SIDE, :SIDE]),
    "colour photograph": lambda: skimage.data.chelsea()[:SIDE, 60 : 60 + SIDE],
}


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(700, 450)
    return viewer


def add_heatmap(viewer, heatmaps, image, seed):
    """Lay scores from 0 to 1 over an image, patch by patch."""
    grid = PatchGrid((SIDE, SIDE), PATCH)
    scores = np.random.default_rng(seed).uniform(0, 1, grid.shape).astype(np.float32)
    scores.flat[0], scores.flat[1] = 0, 1
    axes = LayerAxes(image.unique_id, 0, (0, 1))
    data = create_layer_data({(): scores}, grid, axes, (SIDE, SIDE))
    content = HeatmapContent(axes, Question((), (), "mean"), data, "none", image.name)
    heatmaps.set_classes(["class 1"])
    heatmaps.show(image, "class 1", content, image)
    heatmaps.rescale((0.0, 1.0))
    return heatmaps.over(image.unique_id).popitem()[1]


def seen(qtbot, viewer):
    drawn(qtbot, viewer)
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(float)


def scores_on_screen(qtbot, viewer, layers):
    """Return the score at each pixel of the canvas, NaN where there is none."""
    before = [(layer.colormap, layer.blending, layer.opacity) for layer in layers]
    for layer in layers:
        layer.colormap, layer.blending, layer.opacity = "gray", "opaque", 1
        layer.contrast_limits = (-1, 1)
    drawn = seen(qtbot, viewer)[..., 0] / 255 * 2 - 1
    for layer, (colormap, blending, opacity) in zip(layers, before, strict=True):
        layer.colormap, layer.blending, layer.opacity = colormap, blending, opacity
        layer.contrast_limits = (0, 1)
    return np.where(drawn > -0.5, drawn, np.nan)


def without_heatmaps(qtbot, viewer, layers):
    for layer in layers:
        layer.visible = False
    picture = seen(qtbot, viewer)
    for layer in layers:
        layer.visible = True
    return picture


def change(plain, picture, scores):
    """Return by how many gray levels high scores change the picture more than low ones."""
    changed = np.abs(picture - plain).max(-1)
    return changed[scores > HIGH].mean() - changed[scores < LOW].mean()


def kept_structure(plain, picture, scores):
    """Return how the gradients of the image correlate with those of image and heatmap.

    Within patches: the steps from patch to patch are those of the heatmap.
    """
    gradients = [np.stack(np.gradient(rgb2gray(each / 255))) for each in (plain, picture)]
    inside = np.abs(np.gradient(scores)).max(0) < 1e-6
    return np.corrcoef(*(gradient[:, inside].ravel() for gradient in gradients))[0, 1]


@pytest.mark.parametrize("side_by_side", [False, True])
def test_the_heatmap_is_seen_on_every_image_and_the_image_under_it(qtbot, viewer, side_by_side):
    heatmaps = HeatmapLayers(viewer, HeatmapStyle(), Palette())
    images = [
        viewer.add_image(KINDS["white histology"](), name=name, translate=(0, at))
        for name, at in (("left", 0), ("right", SIDE + 10))
    ]
    layers = [add_heatmap(viewer, heatmaps, image, n) for n, image in enumerate(images)]
    queries = viewer.add_points(ndim=2)
    viewer.reset_view()
    if side_by_side:
        SideBySide(viewer, queries).arrange(list(map(list, zip(images, layers, strict=True))))
    scores = scores_on_screen(qtbot, viewer, layers)
    assert np.isfinite(scores).mean() > 0.05
    for name, make in KINDS.items():
        for image in images:
            image.data = make()
        plain = without_heatmaps(qtbot, viewer, layers)
        picture = seen(qtbot, viewer)
        assert change(plain, picture, scores) > 20, name
        assert np.abs(picture - plain)[scores < LOW].max() < 10, name
        assert kept_structure(plain, picture, scores) > 0.5, name


def test_every_class_colour_is_seen_on_every_image(qtbot, viewer):
    palette = Palette()
    heatmaps = HeatmapLayers(viewer, HeatmapStyle(), palette)
    image = viewer.add_image(KINDS["white histology"]())
    layer = add_heatmap(viewer, heatmaps, image, 0)
    scores = scores_on_screen(qtbot, viewer, [layer])
    for name, make in KINDS.items():
        image.data = make()
        plain = without_heatmaps(qtbot, viewer, [layer])
        for colour in CLASS_COLOURS:
            palette.assign("class 1", colour)
            heatmaps.recolour()
            picture = seen(qtbot, viewer)
            assert change(plain, picture, scores) > 20, (name, colour)
            assert kept_structure(plain, picture, scores) > 0.5, (name, colour)


@pytest.mark.parametrize("blending", ["additive", "opaque"])
def test_the_other_blendings_show_on_dark_images(qtbot, viewer, blending):
    heatmaps = HeatmapLayers(viewer, HeatmapStyle(blending=blending), Palette())
    image = viewer.add_image(spots())
    layer = add_heatmap(viewer, heatmaps, image, 0)
    scores = scores_on_screen(qtbot, viewer, [layer])
    plain = without_heatmaps(qtbot, viewer, [layer])
    picture = seen(qtbot, viewer)
    assert picture.max(-1)[scores > HIGH].mean() > picture.max(-1)[scores < LOW].mean() + 20
    if blending == "opaque":
        assert picture[scores < 0.02].mean() < plain.mean() + 5

"""Heatmaps of as few elements as lie exactly over their image look like those of all pixels."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.session.images.patch_array import create_layer_data
from napari_dinov3_sim.session.images.planes import LayerAxes
from napari_dinov3_sim.session.images.transforms import copy_transform
from napari_dinov3_sim.versions import camera_of

from .dock_helpers import drawn

pytestmark = pytest.mark.gui

PATCH = 16

PLACES = {
    "plain": {},
    "scaled": {"scale": (0.5, 2.0), "translate": (30, -20)},
    "turned": {"rotate": 33, "scale": (1.5, 0.7)},
    "sheared": {"shear": [0.4], "translate": (5.25, 7.5)},
    "flipped": {"affine": [[-1, 0, 40], [0, 1, 0], [0, 0, 1]]},
    "skewed": {"affine": [[0.9, 0.3, 4], [-0.2, 1.1, 9], [0, 0, 1]], "rotate": -12},
}


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(700, 500)
    return viewer


def heatmap_pair(image, shape, axes=(0, 1)):
    """Layers with the same scores over an image: of all pixels, and of few elements."""
    grid = PatchGrid(tuple(shape[axis] for axis in axes), PATCH)
    rng = np.random.default_rng(0)
    others = [range(n) for axis, n in enumerate(shape) if axis not in axes]
    positions = [()] if not others else [(n,) for n in others[0]]
    values = {at: rng.uniform(0, 1, grid.shape).astype(np.float32) for at in positions}
    layer_axes = LayerAxes(image.unique_id, 0, axes)
    for by_pixel in (True, False):
        data = create_layer_data(values, grid, layer_axes, shape, by_pixel=by_pixel)
        layer = Image(data.data, rgb=False, contrast_limits=(0, 1), interpolation3d="nearest")
        copy_transform(image, layer, data.step)
        yield layer


def pictures(qtbot, viewer, layers):
    """What is seen of each of two layers alone."""
    found = []
    for shown in layers:
        for layer in layers:
            layer.visible = layer is shown
        drawn(qtbot, viewer)
        found.append(viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int))
    return found


def assert_same_picture(one, other):
    """They differ at most where a border falls between two pixels of the screen."""
    differs = np.abs(one - other).max(-1) > 3
    assert np.ptp(one) > 50, "something is seen"
    assert differs.mean() < 2e-3
    assert not (differs[:-2, :-2] & differs[1:-1, 1:-1] & differs[2:, 2:]).any(), "lines, no areas"


@pytest.mark.parametrize("shape", [(128, 128), (120, 136), (121, 128), (50, 75)], ids=str)
def test_they_look_alike_wherever_the_image_lies(qtbot, viewer, shape):
    for place in PLACES.values():
        image = Image(np.zeros(shape), **place)
        pair = list(heatmap_pair(image, shape))
        viewer.layers.extend(pair)
        viewer.reset_view()
        for zoom in (1.0, 0.37, 5.3):
            camera_of(viewer).zoom *= zoom
            assert_same_picture(*pictures(qtbot, viewer, pair))
            camera_of(viewer).zoom /= zoom
        viewer.layers.clear()


def test_planes_of_stacks_look_alike_along_every_axis(qtbot, viewer):
    shape = (6, 64, 72)
    image = viewer.add_image(np.zeros(shape), scale=(4, 1, 1.5), visible=False)
    pair = list(heatmap_pair(image, shape, axes=(1, 2)))
    viewer.layers.extend(pair)
    for order in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        viewer.dims.order = order
        viewer.reset_view()
        for step in (0, 15, 16, 40):
            viewer.dims.set_current_step(order[0], min(step, shape[order[0]] - 1))
            assert_same_picture(*pictures(qtbot, viewer, pair))


def test_the_value_under_the_mouse_is_that_of_the_patch(viewer):
    shape = (50, 75)
    image = Image(np.zeros(shape), rotate=20, scale=(0.5, 3))
    whole, few = heatmap_pair(image, shape)
    viewer.layers.extend([whole, few])
    assert few.data.size < whole.data.size
    for pixel in np.random.default_rng(1).uniform(-3, 78, (200, 2)):
        world = image.data_to_world(pixel)
        assert few.get_value(world, world=True) == whole.get_value(world, world=True), pixel

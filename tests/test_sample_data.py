"""The pictures of File > Open Sample: real, offline, and placed where they are meant to be."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
from napari.layers import Image
from scipy.ndimage import map_coordinates

from napari_dinov3_sim import create_patch_image_state, load_backbone, sample_data
from napari_dinov3_sim.core.search.similarity import create_similarity_images
from napari_dinov3_sim.sample_data import DEMO_PAIRS

PAIRS = [
    sample_data.make_histology_pair,
    sample_data.make_retina_pair,
    sample_data.make_coin_pair,
    sample_data.make_stereo_pair,
    sample_data.make_turned_pair,
]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("a sample asked the network")

    monkeypatch.setattr("socket.socket.connect", refuse)


def layers_of(make):
    layer_data = make()
    assert all(class_name == "image" for _, _, class_name in layer_data)
    return [Image(data, **options) for data, options, _ in layer_data]


@pytest.mark.parametrize("make", PAIRS, ids=lambda make: make.__name__)
def test_a_pair_is_two_named_images_side_by_side(make):
    first, second = layers_of(make)
    assert first.name != second.name
    assert first.ndim == second.ndim == 2
    assert first.extent.world[1, 1] < second.extent.world[0, 1]
    for layer in (first, second):
        assert np.ptp(np.asarray(layer.data)) > 100


def test_a_pair_is_cut_from_the_original():
    original = skimage.data.immunohistochemistry()
    first, second = (data for data, _, _ in sample_data.make_histology_pair())
    np.testing.assert_array_equal(np.hstack([first, second]), original)


def test_the_transforms_of_the_turned_view_undo_its_turn_and_zoom():
    """A pixel of the view shows what the cat shows at the same offset in the world."""
    cat, view = layers_of(sample_data.make_turned_pair)
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0.1, 0.9, (500, 2)) * view.data.shape[:2]
    world = np.array([view.data_to_world(pixel) for pixel in pixels])
    middle = view.data_to_world((np.array(view.data.shape[:2]) - 1) / 2)
    offset = np.array([149.5, 225.0]) - middle
    found = map_coordinates(np.asarray(view.data[..., 1], float), pixels.T, order=1)
    there = map_coordinates(np.asarray(cat.data[..., 1], float), (world + offset).T, order=1)
    assert np.corrcoef(found, there)[0, 1] > 0.97
    assert view.rotate[0, 1] != 0
    assert view.scale.tolist() == pytest.approx([2 / 3, 2 / 3])


def test_the_stack_has_planes_of_real_12_bit_data():
    (stack,) = layers_of(sample_data.make_stack)
    assert stack.ndim == 3
    assert stack.data.dtype == np.uint16
    assert stack.data.shape[0] > 2
    assert 2048 < stack.data.max() <= 4095
    # The field drifts by 64 pixels from plane to plane.
    np.testing.assert_array_equal(stack.data[0][:, 64:], stack.data[1][:, :-64])


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("builtin", device="cpu")


SAME_KIND = {
    "histology": ((60, 100), (220, 300)),  # gland; connective tissue
    "cat": ((135, 105), (200, 60)),  # the left eye; the cheek
    "motorcycle": ((373 - 30, 230), (600, 440)),  # the tank; the floor
}
"""A pixel (x, y) of the second picture that shows what was clicked, and one that does not."""


@pytest.mark.parametrize("pair", DEMO_PAIRS, ids=lambda pair: pair.name)
def test_a_demo_click_lights_up_the_same_class_in_the_other_picture(pair, backbone):
    states = [create_patch_image_state(image, backbone) for image in pair.images]
    cosine = create_similarity_images(states[0], pair.click, states)[1].full_resolution()
    (x, y), (other_x, other_y) = SAME_KIND[pair.name]
    assert cosine[y, x] > cosine[other_y, other_x] + 0.15


def test_the_view_shows_all_images_of_a_sample_once_they_are_open(monkeypatch):
    from napari.components import ViewerModel

    viewer = ViewerModel()
    monkeypatch.setattr("napari.current_viewer", lambda: viewer)
    for data, options, _ in sample_data.make_coin_pair():
        viewer.add_image(data, **options)
        viewer.add_points(ndim=2)  # a dock that is open makes its query layer
    wanted = viewer.layers.extent.world.mean(0)
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], wanted)
    viewer.scene.camera.center = (0, 1, 2)
    viewer.add_image(data)
    assert viewer.scene.camera.center == (0, 1, 2)

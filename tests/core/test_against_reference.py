"""The package against the formulas in plain NumPy (`reference`), on real DINOv3 arithmetic."""

from __future__ import annotations

import json

import numpy as np
import pytest
import skimage.data
import torch
from safetensors.numpy import load_file
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from napari_dinov3_sim.backbones.files.locate import BUILTIN_FOLDER
from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.embedding.preprocessing import pad_and_normalize_image
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling
from napari_dinov3_sim.core.search.similarity import create_similarity_images

from . import reference
from .backbones import Dinov3Backbone, arrays_of, tiny_dinov3

TOLERANCE = 1e-4
SIZES = [(1, 1), (1, 40), (15, 17), (16, 16), (17, 33), (48, 80), (100, 75)]
MODELS = {
    "mlp": {"dim": 64, "heads": 4, "layers": 3, "gated": False, "seed": 1},
    "gated": {"dim": 96, "heads": 3, "layers": 2, "gated": True, "seed": 2},
}


@pytest.fixture(scope="module", params=MODELS, ids=str)
def tiny(request):
    settings = MODELS[request.param]
    backbone = tiny_dinov3(**settings)
    return backbone, arrays_of(backbone), settings["heads"]


def make_image(shape, kind, seed=0):
    """Blobs and noise, never symmetric, so that a swap of axes or channels shows."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]] / 20
    planes = [np.sin(y * (i + 1) + x * 0.7 + seed) + np.cos(x * 1.3 - i) for i in range(3)]
    colour = np.stack(planes, axis=-1) + rng.normal(0, 0.5, (*shape, 3))
    if kind == "gray":
        return colour[..., 0].astype(np.float32)
    if kind == "gray16":
        return np.clip(colour[..., 1] * 9000 + 20000, 0, 65535).astype(np.uint16)
    rgb = np.clip(colour * 50 + 128, 0, 255).astype(np.uint8)
    if kind == "rgb":
        return rgb
    alpha = rng.integers(0, 256, (*shape, 1), dtype=np.uint8)
    return np.concatenate([rgb, alpha], axis=-1)


def assert_close(actual, expected, tolerance=TOLERANCE):
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=0, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gray", "gray16", "rgb", "rgba"])
@pytest.mark.parametrize("shape", SIZES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_embeddings_and_maps_agree_with_the_reference(tiny, shape, kind):
    backbone, arrays, heads = tiny
    image = make_image(shape, kind)
    height, width = shape

    state = create_patch_image_state(image, backbone)
    expected = reference.patch_embeddings(reference.to_rgb(image), arrays, heads)
    assert state.embeddings_normalized.dtype == torch.float32
    assert_close(state.embeddings_normalized, expected)
    assert len(expected) == len(state.grid)

    points = {(0, 0), (width - 1, height - 1), (width // 2, height // 3)}
    for x, y in points:
        (found,) = create_similarity_images(state, (x, y), [state])
        index = reference.patch_index(x, y, width)
        cosine = reference.cosine_map(expected, expected[index], shape)
        assert found.cosine.dtype == found.display.dtype == np.float32
        assert_close(found.cosine, cosine)
        assert_close(found.display, reference.min_max(cosine))
        assert_close(found.full_resolution(), reference.upsample(cosine, shape))
        assert_close(
            found.full_resolution("display"), reference.upsample(reference.min_max(cosine), shape)
        )
        assert found.full_resolution()[y, x] == pytest.approx(1, abs=1e-5)
        assert found.cosine.max() == pytest.approx(1, abs=1e-5)


def test_the_tiny_models_tell_patches_apart(tiny):
    """Guards the comparison itself: maps that are nearly constant would agree with anything."""
    backbone, _, _ = tiny
    state = create_patch_image_state(make_image((100, 75), "rgb"), backbone)
    (found,) = create_similarity_images(state, (40, 40), [state])
    assert np.ptp(found.cosine) > 0.3


def test_several_targets(tiny):
    backbone, arrays, heads = tiny
    images = [
        make_image((48, 80), "rgb", seed=1),
        make_image((100, 75), "gray", seed=2),
        make_image((17, 33), "rgba", seed=3),
    ]
    states = [create_patch_image_state(image, backbone) for image in images]
    expected = [
        reference.patch_embeddings(reference.to_rgb(image), arrays, heads) for image in images
    ]
    x, y = 61, 37
    query = expected[0][reference.patch_index(x, y, 80)]
    maps = create_similarity_images(states[0], (x, y), states)
    assert len(maps) == 3
    for found, image, vectors in zip(maps, images, expected, strict=True):
        cosine = reference.cosine_map(vectors, query, image.shape[:2])
        assert_close(found.cosine, cosine)
        assert_close(found.display, reference.min_max(cosine))
        assert_close(found.full_resolution(), reference.upsample(cosine, image.shape[:2]))


def test_several_points(tiny):
    backbone, arrays, heads = tiny
    image, other = make_image((48, 80), "rgb", seed=4), make_image((48, 64), "rgb", seed=5)
    points = [(3, 2), (70, 5), (40, 40), (41, 41)]
    state, target = (create_patch_image_state(plane, backbone) for plane in (image, other))
    vectors, target_vectors = (
        reference.patch_embeddings(reference.to_rgb(plane), arrays, heads)
        for plane in (image, other)
    )
    clicked = [vectors[reference.patch_index(x, y, 80)] for x, y in points]
    query = reference.prototype(clicked)
    maps = create_similarity_images(state, points, [state, target])
    assert_close(maps[0].cosine, reference.cosine_map(vectors, query, (48, 80)))
    assert_close(maps[1].cosine, reference.cosine_map(target_vectors, query, (48, 64)))


def test_a_point_counts_as_often_as_it_is_given(tiny):
    backbone, arrays, heads = tiny
    image = make_image((48, 80), "rgb", seed=4)
    state = create_patch_image_state(image, backbone)
    vectors = reference.patch_embeddings(reference.to_rgb(image), arrays, heads)
    twice = reference.prototype([vectors[0], vectors[0], vectors[4]])
    (found,) = create_similarity_images(state, [(0, 0), (0, 0), (79, 0)], [state])
    assert_close(found.cosine, reference.cosine_map(vectors, twice, (48, 80)))


def test_tiles_are_crops_of_the_whole_with_their_own_coordinates(tiny):
    """Each tile goes through the model as an image of its own, in the window of the whole."""
    backbone, arrays, heads = tiny
    image = make_image((75, 100), "gray", seed=6)  # 5 × 7 patches, in tiles of 4 × 4
    state = create_patch_image_state(image, backbone, recipe=Recipe(Tiling(side=64, overlap=32)))
    rgb = reference.to_rgb(image)
    found = state.embeddings_normalized.reshape(5, 7, -1)
    # Rows: tiles [0, 4) and [1, 5); columns: [0, 4), [2, 6) and [3, 7). Weights by hand: they fall
    # over the overlap of two, and are divided by their sum where three are: at column 3, where
    # they are 1/4 : 3/4 : 1/6.
    rows = {0: [1, 5 / 6, 1 / 2, 1 / 6], 1: [1 / 6, 1 / 2, 5 / 6, 1]}
    columns = {
        0: [1, 1, 3 / 4, 1 / 4 * 6 / 7],
        2: [1 / 4, 3 / 4 * 6 / 7, 1 / 2, 1 / 6],
        3: [1 / 6 * 6 / 7, 1 / 2, 5 / 6, 1],
    }
    expected = np.zeros_like(found)
    for top, down in rows.items():
        for left, across in columns.items():
            crop = rgb[top * 16 : top * 16 + 64, left * 16 : left * 16 + 64]
            vectors = reference.patch_embeddings(crop, arrays, heads).reshape(4, 4, -1)
            weights = np.outer(down, across)[..., None]
            expected[top : top + 4, left : left + 4] += weights * vectors
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    assert_close(found, expected)


@pytest.mark.parametrize("shape", SIZES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def test_padding_is_black_before_the_normalisation(shape):
    rgb = (make_image(shape, "rgb") / 255).astype(np.float32)
    found = pad_and_normalize_image(rgb, 16, reference.IMAGENET_MEAN, reference.IMAGENET_STD)
    expected = reference.standardize(reference.pad(rgb)).transpose(2, 0, 1)[np.newaxis]
    assert found.dtype == torch.float32
    assert found.shape == expected.shape
    assert_close(found, expected, 1e-5)


def test_padding_uses_the_statistics_it_is_given():
    mean, std = (0.43, 0.411, 0.296), (0.213, 0.156, 0.143)
    rgb = (make_image((20, 30), "rgb") / 255).astype(np.float32)
    expected = reference.standardize(reference.pad(rgb, 8), mean, std)
    found = pad_and_normalize_image(rgb, 8, mean, std)
    assert_close(found[0].permute(1, 2, 0), expected, 1e-5)


@pytest.fixture(scope="module")
def builtin():
    """The weights that ship with the package, as float32, in the model and as plain arrays."""
    raw = load_file(BUILTIN_FOLDER / "model.safetensors")
    config = json.loads((BUILTIN_FOLDER / "config.json").read_text())
    arrays = {key: value.astype(np.float32) for key, value in raw.items()}
    model = DINOv3ViTModel(DINOv3ViTConfig(**config)).float()
    own_names = {
        name: name if name in arrays else name.removeprefix("model.")
        for name in model.state_dict()
    }
    model.load_state_dict(
        {own: torch.from_numpy(arrays[stored]) for own, stored in own_names.items()}
    )
    return Dinov3Backbone(model, "builtin"), arrays, config["num_attention_heads"]


def test_builtin_weights_on_a_real_image(builtin):
    backbone, arrays, heads = builtin
    image = skimage.data.astronaut()[40:140, 180:292]
    state = create_patch_image_state(image, backbone)
    expected = reference.patch_embeddings(reference.to_rgb(image), arrays, heads)
    assert_close(state.embeddings_normalized, expected)
    x, y = 45, 61
    (found,) = create_similarity_images(state, (x, y), [state])
    cosine = reference.cosine_map(
        expected, expected[reference.patch_index(x, y, 112)], image.shape[:2]
    )
    assert np.ptp(cosine) > 0.3
    assert_close(found.cosine, cosine)
    assert_close(found.display, reference.min_max(cosine))
    assert_close(found.full_resolution(), reference.upsample(cosine, image.shape[:2]))
    assert found.full_resolution()[y, x] == pytest.approx(1, abs=1e-5)

"""What is refused, and that the refusal says what to do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dinov3_sim.core import errors
from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling
from napari_dinov3_sim.core.errors import (
    BackboneError,
    EmbeddingCancelled,
    ImageError,
    PointError,
    SimilarityError,
    StateError,
)
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.search.similarity import create_similarity_images, query_vector
from napari_dinov3_sim.core.state import PatchImageState

from .backbones import LinearBackbone, OutputBackbone

IMAGE = np.arange(64, dtype=np.float32).reshape(8, 8)  # 2 × 2 patches of 4


def state_of(fingerprint, shape=(8, 8)):
    grid = PatchGrid(shape, 4)
    vectors = torch.nn.functional.normalize(torch.ones(len(grid), 3) + torch.eye(len(grid), 3))
    return PatchImageState(vectors.numpy(), grid, fingerprint)


def test_every_error_of_a_user_has_the_same_base():
    found = [
        value
        for value in vars(errors).values()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and value.__module__ == errors.__name__
    ]
    assert len(found) >= 6
    for error in found:
        assert issubclass(error, SimilarityError) is (error is not EmbeddingCancelled)
    for error in (ImageError, PointError, StateError):
        assert issubclass(error, ValueError)


# --- states that do not belong together ---------------------------------------------------------


def test_targets_of_another_model_are_refused():
    ours, other = state_of("a"), state_of("b")
    with pytest.raises(StateError, match="different models") as caught:
        create_similarity_images(ours, (0, 0), [ours, other])
    assert "same model" in str(caught.value)


def test_a_query_of_another_model_is_refused():
    with pytest.raises(StateError, match="different models"):
        create_similarity_images(state_of("b"), (0, 0), [state_of("a"), state_of("a")])


def test_points_in_images_of_different_models_are_refused():
    with pytest.raises(StateError, match="different models"):
        query_vector([(state_of("a"), (0, 0)), (state_of("b"), (0, 0))])


def test_the_same_model_in_another_arithmetic_is_another_model():
    first = create_patch_image_state(IMAGE, LinearBackbone())
    backbone = LinearBackbone()
    backbone.fingerprint = "fake:1:bfloat16"
    second = create_patch_image_state(IMAGE, backbone)
    with pytest.raises(StateError):
        create_similarity_images(first, (0, 0), [second])


# --- points -------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [[], (), np.empty((0, 2))], ids=repr)
def test_no_point_at_all(points):
    with pytest.raises(PointError, match="at least one point"):
        create_similarity_images(state_of("a"), points, [state_of("a")])
    with pytest.raises(PointError, match="at least one point"):
        query_vector([])


@pytest.mark.parametrize(
    "points", [(1, 2, 3), [(1, 2, 3)], [1], 5, [[[1, 2]]], [1, 2, 3, 4]], ids=repr
)
def test_points_of_a_wrong_shape(points):
    with pytest.raises(PointError, match=r"\(x, y\)"):
        create_similarity_images(state_of("a"), points, [state_of("a")])


@pytest.mark.parametrize("point", [(8, 0), (0, 8), (-1, 0), (0, -0.5), (np.nan, 0), (0, np.inf)])
def test_one_point_outside_is_enough_to_be_refused(point):
    with pytest.raises(PointError, match="x from 0 to 7 and y from 0 to 7"):
        create_similarity_images(state_of("a"), [(1, 1), point], [state_of("a")])


def test_points_are_held_against_the_image_they_are_in():
    small, large = state_of("a"), state_of("a", (8, 100))
    create_similarity_images(large, (99, 0), [small])
    with pytest.raises(PointError):
        create_similarity_images(small, (99, 0), [large])


# --- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), complex),
        np.zeros((8, 8), object),
        np.full((8, 8), "a"),
        np.zeros((8, 8, 2)),
        np.zeros((8, 8, 5)),
        np.zeros(8),
        np.zeros((2, 8, 8, 3)),
        np.zeros((0, 8)),
        np.zeros((8, 0, 3)),
        3.0,
    ],
    ids=lambda image: f"{np.asarray(image).dtype}{np.shape(image)}",
)
def test_an_image_that_cannot_be_embedded_never_reaches_the_model(image):
    backbone, calls = LinearBackbone(), []
    with pytest.raises(ImageError):
        create_patch_image_state(image, backbone, progress=lambda *call: calls.append(call))
    assert backbone.seen == []
    assert calls == []


@pytest.mark.parametrize("window", [(1, 0), (np.nan, 1), (0, np.inf), [5, 4]], ids=repr)
def test_a_window_that_cannot_be_used_never_reaches_the_model(window):
    backbone = LinearBackbone()
    with pytest.raises(ImageError, match="window"):
        create_patch_image_state(IMAGE, backbone, window=window)
    assert backbone.seen == []


# --- models that do not answer as they should ---------------------------------------------------


@pytest.mark.parametrize(
    "shape",
    [
        (1, 8, 5),  # registers left in
        (1, 5, 5),  # CLS left in
        (1, 3, 5),
        (1, 4, 6),
        (2, 4, 5),
        (4, 5),
        (1, 2, 2, 5),
    ],
    ids=repr,
)
def test_the_wrong_number_of_embeddings(shape):
    backbone = OutputBackbone(torch.ones(shape), dim=5)
    with pytest.raises(BackboneError, match="fake") as caught:
        create_patch_image_state(IMAGE, backbone)
    assert str(shape) in str(caught.value)
    assert "(1, 4, 5)" in str(caught.value)
    assert "choose another model" in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_embeddings_that_are_not_finite(value):
    output = torch.ones(1, 4, 5)
    output[0, 3, 4] = value
    with pytest.raises(BackboneError, match="not finite") as caught:
        create_patch_image_state(IMAGE, OutputBackbone(output, dim=5))
    assert 'dtype="float32"' in str(caught.value)


def test_every_tile_is_checked():
    class LateBackbone(LinearBackbone):
        def embed(self, pixel_values):
            answer = super().embed(pixel_values)
            return answer * np.nan if len(self.seen) == 4 else answer

    backbone = LateBackbone()
    with pytest.raises(BackboneError, match="not finite"):
        create_patch_image_state(IMAGE, backbone, recipe=Recipe(Tiling(4, 0)))
    assert len(backbone.seen) == 4


def test_an_error_of_the_model_itself_comes_through():
    class BrokenBackbone(LinearBackbone):
        def embed(self, pixel_values):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        create_patch_image_state(IMAGE, BrokenBackbone())

"""Resolution, shifts and padding against the formulas, written out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling, plan_embedding
from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.images.resampling import ResampledImage, reflect
from napari_dinov3_sim.core.images.sources import as_source

from ..backbones import IMAGENET_MEAN, IMAGENET_STD, FakeBackbone, LinearBackbone

relaxed = settings(deadline=None, max_examples=60)
UNIT = IntensityWindow(0.0, 1.0)

# --- the formulas once more ----------------------------------------------------------------------


def weights_along(size, factor):
    """Rows: pixels of the model. Columns: pixels of the image. Pixel centres aligned."""
    count = int(np.ceil(size * factor))
    matrix = np.zeros((count, size))
    for i in range(count):
        if factor < 1:
            members = [n for n in (2 * i, 2 * i + 1) if n < size]
            matrix[i, members] = 1 / len(members)
            continue
        at = (i + 0.5) / factor - 0.5
        at = min(max(at, 0), size - 1)
        below = int(np.floor(at))
        matrix[i, below] += 1 - (at - below)
        matrix[i, min(below + 1, size - 1)] += at - below
    return matrix


def outside(index, size, padding):
    """The pixel that stands at an index, or None for black."""
    if 0 <= index < size:
        return index
    if padding == "zeros":
        return None
    if size == 1:
        return 0
    while not 0 <= index < size:
        index = -index if index < 0 else 2 * (size - 1) - index
    return index


def expected_vectors(image, backbone, recipe):
    """Unit vectors (rows, columns, D) of every cell, one patch after the other."""
    side = backbone.patch_size
    rgb = np.einsum(
        "ih,jw,hwc->ijc",
        weights_along(image.shape[0], recipe.factor),
        weights_along(image.shape[1], recipe.factor),
        image.astype(np.float64),
    )
    step = side // recipe.shifts
    cell = side / (recipe.factor * recipe.shifts)
    rows, columns = (int(np.ceil(n / cell)) for n in image.shape[:2])
    result = []
    for row in range(rows):
        for column in range(columns):
            top = row * step - (side - step) // 2
            left = column * step - (side - step) // 2
            patch = cut(rgb, top, left, side, recipe.padding)
            result.append(linear(patch, backbone))
    result = np.array(result)
    norms = np.linalg.norm(result, axis=1, keepdims=True)
    return (result / (norms + 1e-8)).reshape(rows, columns, -1)


def cut(rgb, top, left, side, padding):
    patch = np.zeros((side, side, 3))
    for y in range(side):
        for x in range(side):
            at = outside(top + y, rgb.shape[0], padding), outside(left + x, rgb.shape[1], padding)
            if None not in at:
                patch[y, x] = rgb[at]
    return patch


def linear(patch, backbone):
    standardized = (patch - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD)
    flat = standardized.transpose(2, 0, 1).ravel()
    rng = np.random.default_rng(0)
    return 1 + flat @ rng.integers(-8, 9, (flat.size, backbone.dim)).astype(float)


# --- the package against them --------------------------------------------------------------------


@st.composite
def recipes(draw):
    side = draw(st.integers(8, 40))
    return Recipe(
        tiling=Tiling(side, draw(st.integers(0, side - 1))),
        factor=draw(st.sampled_from([0.5, 1.0, 2.0, 4.0])),
        shifts=draw(st.sampled_from([1, 2])),
        padding=draw(st.sampled_from(["zeros", "reflect"])),
    )


@relaxed
@given(st.tuples(st.integers(1, 21), st.integers(1, 21)), recipes(), st.integers(1, 5))
@example((1, 1), Recipe(Tiling(8, 0), 4.0, 2, "reflect"), 1)
@example((1, 9), Recipe(Tiling(8, 0), 0.5, 2, "reflect"), 2)
@example((17, 5), Recipe(Tiling(16, 8), 1.0, 4, "reflect"), 3)
@example((13, 20), Recipe(Tiling(24, 8), 0.5, 4, "zeros"), 3)
def test_every_cell_is_the_patch_centred_on_it(shape, recipe, batch_size):
    image = np.random.default_rng(shape[0]).random((*shape, 3), dtype=np.float32)
    backbone = LinearBackbone(patch_size=8)
    state = create_patch_image_state(
        image, backbone, window=UNIT, recipe=recipe, batch_size=batch_size
    )
    expected = expected_vectors(image, backbone, recipe)
    assert state.grid.patch_size == recipe.cell_size(8)
    assert state.grid.shape == expected.shape[:2]
    assert state.image_shape == shape
    found = state.embeddings_normalized.reshape(expected.shape).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


@relaxed
@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.sampled_from([0.5, 1.0, 2.0, 4.0]),
    st.sampled_from(["zeros", "reflect"]),
    st.data(),
)
def test_a_region_is_cut_from_the_resampled_whole(shape, factor, padding, data):
    pixels = np.random.default_rng(1).random(shape, dtype=np.float32)
    image = ResampledImage(as_source(pixels), UNIT, factor, padding)
    extents = [(-7, size + 9) for size in image.shape]
    whole = image.read(*extents)
    intervals = []
    for first, stop in extents:
        start = data.draw(st.integers(first, stop - 10))
        intervals.append((start, data.draw(st.integers(max(start, 0) + 1, stop))))
    (top, bottom), (left, right) = intervals
    if top >= image.shape[0] or left >= image.shape[1]:
        return
    # torch rounds the last place of an interpolation by where it lies in a row.
    np.testing.assert_allclose(
        image.read(*intervals),
        whole[top + 7 : bottom + 7, left + 7 : right + 7],
        rtol=0,
        atol=2e-7 if factor > 1 else 0,
    )


@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_mirrors_as_numpy_does(size):
    axis = np.arange(size)
    expected = np.pad(axis, (25, 30), mode="reflect")
    np.testing.assert_array_equal(reflect(np.arange(-25, size + 30), size), expected)


class PositionBackbone(FakeBackbone):
    """Mean of the two colours of a ramp: answers with where the middle of a patch lies."""

    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self, patch_size):
        super().__init__(patch_size, dim=3)

    def embed(self, pixel_values):
        patches = self.patches(pixel_values)
        means = patches.reshape(*patches.shape[:2], 3, -1).mean(-1)
        # The third number carries the scale through the normalisation to unit length.
        return torch.stack([means[..., 0], means[..., 1], torch.ones_like(means[..., 0])], -1)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("shifts", [1, 2, 4])
def test_the_middle_of_a_patch_is_the_middle_of_its_cell(factor, shifts):
    """On a ramp, the mean over a patch is the coordinate of its centre, in any resolution."""
    size = 192
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    image = np.stack([y, x, np.zeros_like(y)], axis=-1)
    recipe = Recipe(Tiling(128, 32), factor, shifts)
    state = create_patch_image_state(image, PositionBackbone(16), window=UNIT, recipe=recipe)
    vectors = state.embeddings_normalized.reshape(*state.grid.shape, 3).numpy()
    found = size * vectors[..., :2] / vectors[..., 2:]
    cell = state.grid.patch_size
    centres = np.arange(state.grid.rows) * cell + (cell - 1) / 2
    inner = slice(8, -8) if shifts > 1 or factor > 1 else slice(1, -1)
    expected = np.stack(np.meshgrid(centres, centres, indexing="ij"), -1)[inner, inner]
    np.testing.assert_allclose(found[inner, inner], expected, atol=0.02)


def test_cells_finer_than_a_pixel_are_refused():
    with pytest.raises(ImageError, match="as fine"):
        create_patch_image_state(
            np.zeros((9, 9)), LinearBackbone(4), recipe=Recipe(factor=4.0, shifts=2)
        )


@pytest.mark.parametrize(("factor", "shifts"), [(0.5, 1), (1.0, 2), (4.0, 1)])
def test_the_tiles_of_the_plan_are_those_that_are_reported(factor, shifts):
    recipe, calls = Recipe(Tiling(32, 8), factor, shifts), []
    image = np.random.default_rng(0).random((50, 70))
    create_patch_image_state(
        image, LinearBackbone(8), recipe=recipe, progress=lambda *call: calls.append(call)
    )
    total = len(plan_embedding((50, 70), 8, recipe).tiles)
    assert calls == [(done, total) for done in range(total + 1)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"factor": 3.0}, "½, 1, 2 or 4, not 3"),
        ({"shifts": 3}, "1, 2 or 4, not 3"),
        ({"padding": "edge"}, "zeros or reflect, not edge"),
        ({"debias": -1}, r"cannot be negative \(-1\)"),
    ],
)
def test_what_no_recipe_can_be_is_refused(wrong, message):
    with pytest.raises(ImageError, match=message):
        Recipe(**wrong)

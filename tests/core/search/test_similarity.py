"""Unit vectors, queries, maps and their display."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.search.similarity import (
    SimilarityMap,
    create_similarity_images,
    min_max_normalize,
    query_vector,
    shared_limits,
    similarity_map,
    upsample_nearest,
)
from napari_dinov3_sim.core.state import PatchImageState
from napari_dinov3_sim.core.vectors import normalize_embeddings

from .. import reference
from ..backbones import LinearBackbone, MeanColourBackbone

relaxed = settings(deadline=None, max_examples=60)
shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))
seeds = st.integers(0, 2**32 - 1)


def random_state(shape=(20, 30), patch_size=4, dim=6, seed=0, fingerprint="model"):
    grid = PatchGrid(shape, patch_size)
    vectors = np.random.default_rng(seed).normal(size=(len(grid), dim)).astype(np.float32)
    return PatchImageState(normalize_embeddings(vectors), grid, fingerprint)


# --- unit vectors -------------------------------------------------------------------------------

vector_arrays = hnp.arrays(
    np.float32, (5, 7), elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
)


@relaxed
@given(vector_arrays)
@example(np.zeros((5, 7), np.float32))
@example(np.full((5, 7), 1e-8, np.float32))
def test_rows_are_divided_by_norm_plus_epsilon(vectors):
    found = normalize_embeddings(vectors)
    expected = reference.l2_normalize(vectors.astype(np.float64))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_epsilon_is_added_to_the_norm():
    found = normalize_embeddings(np.array([[3e-8, 4e-8], [0, 0], [3, 4]]))
    np.testing.assert_allclose(found, [[0.5, 4 / 6], [0, 0], [0.6, 0.8]], rtol=1e-6)


def test_a_single_vector_is_normalised_too():
    np.testing.assert_allclose(normalize_embeddings(np.array([0.0, 5.0])), [0, 1])


# --- min-max and upsampling ---------------------------------------------------------------------

score_arrays = hnp.arrays(np.float32, shapes, elements=st.floats(-1, 1, width=32))


@relaxed
@given(score_arrays)
def test_min_max_spans_0_to_1(scores):
    before = scores.copy()
    found = min_max_normalize(scores)
    assert found.dtype == np.float32
    assert found.min() == 0
    assert found.max() <= 1
    np.testing.assert_array_equal(scores, before)
    np.testing.assert_allclose(
        found, reference.min_max(scores.astype(np.float64)), rtol=0, atol=1e-6
    )
    if np.ptp(scores) > 1e-3:
        assert found.max() == pytest.approx(1, abs=1e-4)


@relaxed
@given(shapes, st.floats(-1, 1, width=32))
def test_a_constant_map_is_displayed_as_0(shape, value):
    assert not min_max_normalize(np.full(shape, value, np.float32)).any()


def test_epsilon_is_added_to_the_range():
    found = min_max_normalize(np.array([[0, 3e-8]], np.float32))
    np.testing.assert_allclose(found, [[0, 0.75]], rtol=1e-6)


@relaxed
@given(shapes, st.integers(1, 20), seeds)
def test_every_pixel_takes_the_value_of_its_patch(shape, patch_size, seed):
    grid = PatchGrid(shape, patch_size)
    scores = np.random.default_rng(seed).random(grid.shape, np.float32)
    found = upsample_nearest(scores, grid)
    assert found.dtype == np.float32
    assert found.shape == shape
    np.testing.assert_array_equal(found, reference.upsample(scores, shape, patch_size))
    for y, x in {(0, 0), (shape[0] - 1, shape[1] - 1), (shape[0] // 2, shape[1] // 3)}:
        assert found[y, x] == scores[y // patch_size, x // patch_size]


def test_full_resolution_crops_the_padding():
    scores = np.array([[-0.5, 0.0, 1.0], [0.25, 0.5, 0.75]], np.float32)
    found = SimilarityMap(scores, PatchGrid((3, 5), 2))
    np.testing.assert_array_equal(
        found.full_resolution(),
        [[-0.5, -0.5, 0, 0, 1], [-0.5, -0.5, 0, 0, 1], [0.25, 0.25, 0.5, 0.5, 0.75]],
    )
    np.testing.assert_array_equal(found.full_resolution("cosine"), found.full_resolution())
    np.testing.assert_allclose(
        found.full_resolution("display")[::2, ::2],
        [[0, 1 / 3, 1], [0.5, 2 / 3, 2.5 / 3]],
        rtol=1e-6,
    )


# --- queries and maps ---------------------------------------------------------------------------


@relaxed
@given(shapes, seeds, st.data())
def test_maps_of_random_states(shape, seed, data):
    state = random_state(shape, seed=seed)
    target = random_state((9, 14), seed=seed + 1)
    points = data.draw(
        st.lists(
            st.tuples(st.integers(0, shape[1] - 1), st.integers(0, shape[0] - 1)),
            min_size=1,
            max_size=4,
        )
    )
    maps = create_similarity_images(state, points, [state, target, state])
    vectors = state.embeddings_normalized.numpy().astype(np.float64)
    clicked = [vectors[reference.patch_index(x, y, shape[1], 4)] for x, y in points]
    query = reference.prototype(clicked)
    assert len(maps) == 3
    for found, searched in zip(maps, [state, target, state], strict=True):
        expected = reference.cosine_map(
            searched.embeddings_normalized.numpy(), query, searched.image_shape, 4
        )
        assert found.grid is searched.grid
        assert found.cosine.dtype == np.float32
        assert found.cosine.shape == searched.grid.shape
        assert found.full_resolution().shape == searched.image_shape
        np.testing.assert_allclose(found.cosine, expected, rtol=0, atol=1e-5)
        assert found.cosine.min() >= -1
        assert found.cosine.max() <= 1


@relaxed
@given(shapes, seeds, st.data())
def test_the_cosine_at_the_click_is_1(shape, seed, data):
    state = random_state(shape, seed=seed)
    x, y = data.draw(st.integers(0, shape[1] - 1)), data.draw(st.integers(0, shape[0] - 1))
    (found,) = create_similarity_images(state, (x, y), [state])
    assert found.full_resolution()[y, x] == pytest.approx(1, abs=1e-5)


def test_cosines_are_clipped_to_minus_1_and_1():
    """In float32 the product of a unit vector with itself often ends an ulp or two above 1."""
    vectors = normalize_embeddings(np.random.default_rng(0).normal(size=(2000, 384)))
    state = PatchImageState(vectors, PatchGrid((20, 100), 1), "model")
    raw = np.stack([state.vectors @ vector for vector in vectors[:200]])
    assert raw.max() > 1, "this test needs an overshoot"
    for query in [*vectors[:200], *-vectors[:200]]:
        cosine = similarity_map(query, state).cosine
        assert cosine.max() <= 1
        assert cosine.min() >= -1


def test_the_query_of_one_point_is_its_own_unit_vector():
    state = random_state()
    query = query_vector([(state, (9, 5))])
    index = reference.patch_index(9, 5, 30, 4)
    np.testing.assert_allclose(query, state.embeddings_normalized[index], atol=1e-6)


def test_points_of_several_images_make_one_query():
    first, second = random_state(seed=1), random_state((13, 9), seed=2)
    query = query_vector([(first, (29, 19)), (second, (0, 12)), (second, (8, 0))])
    rows = [
        first.vectors[reference.patch_index(29, 19, 30, 4)],
        second.vectors[reference.patch_index(0, 12, 9, 4)],
        second.vectors[reference.patch_index(8, 0, 9, 4)],
    ]
    np.testing.assert_allclose(query, reference.prototype(np.stack(rows)), atol=1e-6)
    assert np.linalg.norm(query) == pytest.approx(1, abs=1e-5)


@relaxed
@given(seeds)
def test_the_order_of_points_does_not_matter(seed):
    state = random_state(seed=seed)
    points = [(0, 0), (29, 19), (12, 7), (12, 7)]
    (forward,) = create_similarity_images(state, points, [state])
    (backward,) = create_similarity_images(state, points[::-1], [state])
    np.testing.assert_allclose(forward.cosine, backward.cosine, atol=1e-6)


def test_opposite_points_cancel_without_nan():
    vectors = np.array([[1, 0], [-1, 0]], np.float32)
    state = PatchImageState(vectors, PatchGrid((1, 2), 1), "model")
    (found,) = create_similarity_images(state, [(0, 0), (1, 0)], [state])
    assert found.cosine.tolist() == [[0, 0]]
    assert found.display.tolist() == [[0, 0]]


@pytest.mark.parametrize(
    "points",
    [
        (9, 5),
        [9, 5],
        (9.0, 5.9),
        [(9, 5)],
        [[9, 5]],
        np.array([9, 5]),
        np.array([[9, 5]]),
        ((9, 5), (9, 5)),
        np.array([9, 5], np.uint16),
    ],
    ids=repr,
)
def test_points_in_any_form(points):
    state = random_state()
    (found,) = create_similarity_images(state, points, [state])
    assert found.full_resolution()[5, 9] == pytest.approx(1, abs=1e-5)
    (expected,) = create_similarity_images(state, (9, 5), [state])
    np.testing.assert_allclose(found.cosine, expected.cosine, atol=1e-6)


def test_x_is_the_column_and_y_the_row():
    state = random_state((8, 40))
    (found,) = create_similarity_images(state, (39, 0), [state])
    assert np.unravel_index(found.cosine.argmax(), found.cosine.shape) == (0, 9)


def test_no_target_no_map():
    assert create_similarity_images(random_state(), (0, 0), []) == []


def test_maps_leave_the_state_alone():
    state = random_state()
    before = state.embeddings_normalized.clone()
    (found,) = create_similarity_images(state, [(0, 0), (5, 5)], [state])
    found.cosine[:] = 7
    found.display[:] = 7
    found.full_resolution()[:] = 7
    assert torch.equal(state.embeddings_normalized, before)


# --- states -------------------------------------------------------------------------------------


@relaxed
@given(
    st.tuples(st.integers(1, 33), st.integers(1, 33)),
    st.sampled_from([None, 3, 4]),
    st.sampled_from(["u1", "u2", "f4", "f8"]),
)
def test_a_state_says_what_it_is_made_of(shape, channels, dtype):
    full = shape if channels is None else (*shape, channels)
    image = np.random.default_rng(0).integers(0, 200, full).astype(dtype)
    before = image.copy()
    state = create_patch_image_state(image, LinearBackbone(patch_size=4, dim=5))
    assert state.grid == PatchGrid(shape, 4)
    assert state.image_shape == shape
    assert state.fingerprint == "fake:1"
    assert state.embeddings_normalized.shape == (len(state.grid), 5)
    assert state.embeddings_normalized.dtype == torch.float32
    assert state.embeddings_normalized.device.type == "cpu"
    assert not state.embeddings_normalized.requires_grad
    assert state.nbytes == len(state.grid) * 5 * 4
    assert (state.window is None) is (dtype == "u1" and channels is not None)
    norms = torch.linalg.vector_norm(state.embeddings_normalized, dim=-1)
    np.testing.assert_allclose(norms, 1, atol=1e-5)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "f4", "f8"])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_a_read_only_image_is_enough(dtype, channels):
    image = np.random.default_rng(0).integers(0, 100, (9, 10, *channels)).astype(dtype)
    image.flags.writeable = False
    create_patch_image_state(image, LinearBackbone())


def test_embedding_twice_gives_the_same():
    image = np.random.default_rng(0).random((19, 23))
    first, second = (create_patch_image_state(image, LinearBackbone()) for _ in range(2))
    assert torch.equal(first.embeddings_normalized, second.embeddings_normalized)


@pytest.mark.parametrize("form", [IntensityWindow, lambda *bounds: bounds, lambda *b: list(b)])
def test_a_given_window_is_used_and_kept(form):
    image = np.full((4, 8), 100, np.uint16)
    image[:, 4:] = 200
    backbone = MeanColourBackbone()
    state = create_patch_image_state(image, backbone, window=form(0, 400))
    assert state.window == IntensityWindow(0, 400)
    np.testing.assert_allclose(backbone.seen[0][0, 0, 0], [0.25] * 4 + [0.5] * 4)


def test_a_given_window_is_used_for_8_bit_rgb():
    image = np.full((4, 4, 3), 100, np.uint8)
    backbone = MeanColourBackbone()
    state = create_patch_image_state(image, backbone, window=(0, 200))
    assert state.window == IntensityWindow(0, 200)
    np.testing.assert_allclose(backbone.seen[0], 0.5)


def test_the_pixels_arrive_normalised_by_the_statistics_of_the_weights():
    backbone = LinearBackbone()
    backbone.mean, backbone.std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    image = np.full((3, 4, 3), 255, np.uint8)
    create_patch_image_state(image, backbone)
    (batch,) = backbone.seen
    assert batch.shape == (1, 3, 4, 4)
    assert batch.dtype == torch.float32
    inside, black = batch[0, :, 0, 0], batch[0, :, 3, 0]
    np.testing.assert_allclose(inside, [0.9 / 0.5, 0.8 / 0.25, 0.7 / 2], rtol=1e-6)
    np.testing.assert_allclose(black, [-0.1 / 0.5, -0.2 / 0.25, -0.3 / 2], rtol=1e-6)


@pytest.mark.parametrize(
    ("ends", "limits"),
    [
        ([(-0.5, 0.25), (-0.125, 0.75)], (0.0, 0.75)),  # unrelated is darkest
        ([(0.25, 0.5), (0.125, 0.375)], (0.125, 0.5)),
        ([(-0.75, -0.5), (-0.625, -0.25)], (-0.75, -0.25)),
    ],
)
def test_all_maps_share_limits(ends, limits):
    assert shared_limits(np.array(one, np.float32) for one in ends) == limits

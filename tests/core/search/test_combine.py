"""Classes, signs and combinations against plain NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.core.errors import PointError, StateError
from napari_dinov3_sim.core.search.combine import (
    CONTRAST,
    EXPLANATIONS,
    ClassQuery,
    background_vector,
    best_class,
    query_from_points,
    resolve,
    score_classes,
)
from napari_dinov3_sim.core.search.similarity import create_similarity_images

from .. import reference
from ..states import map_of, random_state, random_vectors, state_of

DIM = 6


def query(positives, negatives, background=None, name="class"):
    def array(rows):
        return np.asarray(rows, np.float32).reshape(-1, DIM)

    about = None if background is None else array(background)[0]
    return ClassQuery(name, array(positives), array(negatives), about)


def expected(positives, negatives, background, vectors, combination):
    """The scores, patch by patch."""
    mean = reference.prototype(positives)
    unwanted = [*negatives] + ([] if background is None else [background])
    if combination == "learned":
        return np.clip(learned(positives, negatives, background, vectors), -1, 1)
    scores = []
    for vector in vectors:
        if combination == "best":
            scores.append(max(vector @ p for p in positives))
        elif combination == "mean" or not unwanted:
            scores.append(vector @ mean)
        else:
            scores.append(vector @ mean - 0.5 * max(vector @ n for n in unwanted))
    return np.clip(scores, -1, 1)


def learned(positives, negatives, background, vectors):
    """The mean less half of what is not meant, then more and more of the regression."""
    known = [reference.prototype(negatives)] if len(negatives) else []
    known += [] if background is None else [background]
    vector, offset = reference.prototype(positives), 0
    if known:
        vector = vector - 0.5 * reference.prototype(known)
    if len(negatives):
        share = len(negatives) ** 2 / (len(negatives) ** 2 + 36)
        direction, distance = reference.learned_direction(positives, negatives)
        vector, offset = (1 - share) * vector + share * direction, share * distance
    return vectors @ vector + offset


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 4),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(["mean", "best", "contrast", "learned", "auto"]),
    st.sampled_from([np.float32, np.float16]),
    st.integers(0, 1000),
)
def test_scores_are_those_of_the_formulas(count, against, has_background, how, dtype, seed):
    state = random_state(dim=DIM, seed=seed, dtype=dtype)
    vectors = state.embeddings_normalized.double().numpy()
    drawn = random_vectors(count + against + 1, DIM, seed + 1)
    positives, negatives = drawn[:count], drawn[count : count + against]
    background = drawn[-1] if has_background else None
    (found,) = score_classes([query(positives, negatives, background)], state, how)
    plain = {"auto": "learned" if against else "mean"}.get(how, how)
    scores = expected(positives, negatives, background, vectors, plain)
    assert found.cosine.dtype == np.float32
    assert found.grid == state.grid
    tolerance = 1e-6 if dtype == np.float32 else 2e-3
    np.testing.assert_allclose(found.cosine.ravel(), scores, rtol=0, atol=tolerance)


@pytest.mark.parametrize("points", [[(3, 4)], [(3, 4), (29, 19), (12, 0)]])
def test_without_negatives_auto_is_the_contract_to_the_last_bit(points):
    state, other = random_state(seed=1), random_state((9, 7), seed=2)
    class_query = query_from_points("a", [(state, point) for point in points])
    for target in (state, other):
        (contract,) = create_similarity_images(state, points, [target])
        (found,) = score_classes([class_query], target)
        np.testing.assert_array_equal(found.cosine, contract.cosine)


def test_many_classes_at_once_are_each_class_alone():
    state = random_state(seed=3)
    drawn = random_vectors(12, DIM, 4)
    classes = [
        query(drawn[:3], drawn[3:5], drawn[5]),
        query(drawn[6:7], []),
        query(drawn[7:9], drawn[9:10]),
    ]
    for combination in ("mean", "best", "contrast", "learned"):
        together = score_classes(classes, state, combination)
        for class_query, found in zip(classes, together, strict=True):
            (alone,) = score_classes([class_query], state, combination)
            np.testing.assert_allclose(found.cosine, alone.cosine, atol=1e-6)
    assert score_classes([], state) == []


def test_a_negative_of_one_class_makes_auto_learn_for_all_so_that_the_best_class_is_fair():
    state = random_state(seed=3)
    drawn = random_vectors(6, DIM, 4)
    plain = query(drawn[:1], [], drawn[5])
    refined = query(drawn[1:2], drawn[2:3], drawn[5])
    found = score_classes([plain, refined], state, "auto")
    wanted = score_classes([plain, refined], state, "learned")
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.cosine, other.cosine)


def test_the_length_of_the_background_does_not_count():
    state, drawn = random_state(seed=5), random_vectors(2, DIM, 6)
    for combination in ("contrast", "learned"):
        maps = [
            score_classes([query(drawn[:1], [], drawn[1] * length)], state, combination)[0].cosine
            for length in (1, 0.2)
        ]
        np.testing.assert_allclose(*maps, atol=1e-6)


def test_what_is_opposite_to_the_class_and_like_the_negative_stays_in_cosine_units():
    vectors = np.array([[1, 0, 0, 0, 0, 0], [-1, 0, 0, 0, 0, 0]], float)
    state = state_of(vectors, (4, 8))
    (found,) = score_classes([query(vectors[:1], vectors[1:])], state)
    np.testing.assert_array_equal(found.cosine, [[1, -1]])


def test_the_background_is_the_mean_direction_of_all_images_alike():
    small, large = random_state((4, 8), seed=7), random_state((40, 40), seed=8)
    directions = [
        reference.l2_normalize(s.embeddings_normalized.double().numpy().mean(0))
        for s in (small, large)
    ]
    wanted = reference.l2_normalize(np.mean(directions, axis=0))
    np.testing.assert_allclose(background_vector([small, large]), wanted, atol=1e-6)
    class_query = query_from_points("a", [(small, (0, 0)), (small, (5, 1))], [(large, (9, 9))])
    np.testing.assert_allclose(class_query.background, wanted, atol=1e-6)
    np.testing.assert_array_equal(
        class_query.negatives[0], large.embeddings_normalized[2 * 10 + 2]
    )


def test_a_class_needs_a_positive():
    with pytest.raises(PointError, match="“ring” has no positive point; add a point"):
        query([], random_vectors(1), name="ring")
    with pytest.raises(PointError, match="no query point"):
        query_from_points("a", [])


def test_what_was_made_by_other_models_is_refused():
    with pytest.raises(StateError, match="different models"):
        query_from_points(
            "a", [(random_state(), (0, 0))], [(random_state(fingerprint="other"), (0, 0))]
        )
    with pytest.raises(StateError, match="6 numbers per vector and the image 8"):
        score_classes([query(random_vectors(1), [])], random_state(dim=8))


def test_every_combination_is_explained_in_one_sentence():
    assert set(EXPLANATIONS) == {"auto", "mean", "best", "contrast", "learned"}
    assert all(text.endswith(".") and text.count(".") == 1 for text in EXPLANATIONS.values())
    assert CONTRAST == 0.5
    assert (resolve("auto", 0), resolve("auto", 1), resolve("best", 1)) == (
        "mean",
        "learned",
        "best",
    )


# --- the best class -----------------------------------------------------------------------------


def test_the_best_class_is_the_first_of_the_best_and_none_below_the_threshold():
    maps = [map_of([[0.5, 0.2, 0.4, -1]]), map_of([[0.5, 0.3, 0.1, -1]])]
    assert best_class(maps).tolist() == [[1, 2, 1, 1]]
    assert best_class(maps, 0.3).tolist() == [[1, 2, 1, 0]]
    assert best_class(maps, 0.31).tolist() == [[1, 0, 1, 0]]
    assert best_class(maps).dtype == np.uint8


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 300), st.floats(-1, 1), st.integers(0, 99))
def test_the_best_class_is_that_of_a_loop(classes, threshold, seed):
    scores = np.random.default_rng(seed).integers(-9, 10, (classes, 2, 3)).astype(np.float32) / 10
    found = best_class([map_of(one) for one in scores], threshold)
    assert found.dtype == (np.uint8 if classes <= 255 else np.uint16)
    for place in np.ndindex(2, 3):
        column = scores[(slice(None), *place)]
        best = int(np.argmax(column))
        assert found[place] == (best + 1 if column[best] >= threshold else 0)


def test_maps_of_different_images_are_not_compared():
    with pytest.raises(StateError, match="different images"):
        best_class([map_of([[0.5]]), map_of([[0.5, 0.1]])])

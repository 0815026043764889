"""The direction that tells positive from negative vectors, against independent references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.core.search.combine import ClassQuery, score_classes
from napari_dinov3_sim.core.search.learning import REGULARIZATION, learn_direction

from .. import reference
from ..states import random_state, random_vectors, state_of


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(2, 40), st.integers(0, 999))
def test_it_is_the_least_squares_solution(count, against, dim, seed):
    drawn = random_vectors(count + against, dim, seed)
    direction = learn_direction(drawn[:count], drawn[count:])
    vector, offset = reference.learned_direction(drawn[:count], drawn[count:], REGULARIZATION)
    np.testing.assert_allclose(direction.vector, vector, atol=1e-7)
    assert direction.offset == pytest.approx(offset, abs=1e-7)


def test_it_is_ridge_regression_of_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    drawn = random_vectors(40, 16, 5)
    signs = np.repeat([1.0, -1.0], [7, 33])
    weights = np.repeat([20 / 7, 20 / 33], [7, 33])
    fitted = linear_model.Ridge(alpha=REGULARIZATION).fit(drawn, signs, sample_weight=weights)
    direction = learn_direction(drawn[:7], drawn[7:])
    length = np.linalg.norm(fitted.coef_)
    np.testing.assert_allclose(direction.vector, fitted.coef_ / length, atol=1e-7)
    assert direction.offset == pytest.approx(fitted.intercept_ / length, abs=1e-7)


def test_positives_and_negatives_weigh_the_same_however_many_there_are():
    one, other = np.eye(4)[:1], np.eye(4)[1:2]
    direction = learn_direction(one, np.repeat(other, 200, 0))
    np.testing.assert_allclose(direction.vector, [0.5**0.5, -(0.5**0.5), 0, 0], atol=1e-9)
    assert direction.offset == pytest.approx(0, abs=1e-9)


def test_exchanging_the_signs_turns_it_round():
    drawn = random_vectors(9, 6, 2)
    one, other = learn_direction(drawn[:4], drawn[4:]), learn_direction(drawn[4:], drawn[:4])
    np.testing.assert_allclose(one.vector, -other.vector, atol=1e-12)
    assert one.offset == pytest.approx(-other.offset, abs=1e-12)


def test_the_order_of_the_points_does_not_count():
    drawn = random_vectors(60, 16, 3)
    one = learn_direction(drawn[:20], drawn[20:])
    other = learn_direction(drawn[:20][::-1], drawn[20:][::-1])
    np.testing.assert_allclose(one.vector, other.vector, atol=1e-12)


@pytest.mark.parametrize(("count", "against"), [(1, 1), (1, 300), (300, 1), (40, 300)])
def test_vectors_that_are_all_equal_teach_nothing(count, against):
    same = random_vectors(1, 12, 4).astype(np.float32)
    assert learn_direction(same.repeat(count, 0), same.repeat(against, 0)) is None
    state = random_state(dim=12)
    query = ClassQuery("a", same.repeat(count, 0), same.repeat(against, 0))
    (found,) = score_classes([query], state, "learned")
    vectors = state.vectors.astype(np.float64)
    np.testing.assert_allclose(found.cosine.ravel(), vectors @ same[0] / 2, atol=1e-6)


@pytest.mark.parametrize(("count", "against"), [(1, 1), (1, 500), (500, 500)])
def test_scores_stay_in_cosine_units(count, against):
    drawn = random_vectors(count + against, 12, 6).astype(np.float32)
    state = state_of(drawn.astype(float), (1, len(drawn)), patch_size=1)
    query = ClassQuery("a", drawn[:count], drawn[count:])
    (found,) = score_classes([query], state, "learned")
    assert np.isfinite(found.cosine).all()
    assert np.abs(found.cosine).max() <= 1
    assert found.cosine[0, :count].mean() > found.cosine[0, count:].mean()


def test_more_judged_places_make_better_scores():
    """Of two clouds side by side, both of which are like the mean of the first."""
    random = np.random.default_rng(8)

    def draw(count, centre):
        rows = np.asarray(centre) + random.normal(size=(count, 20)) * ([1.5] * 2 + [0.3] * 18)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    right, wrong = [1, 0, 0.7, *[0] * 17], [1, 0, -0.7, *[0] * 17]
    state = state_of(np.concatenate([draw(200, right), draw(200, wrong)]), (1, 400), patch_size=1)
    positives, negatives = draw(30, right).astype(np.float32), draw(30, wrong).astype(np.float32)
    share = []
    for count in (1, 5, 30):
        query = ClassQuery("a", positives[:count], negatives[:count])
        (found,) = score_classes([query], state, "learned")
        scores = found.cosine[0]
        share.append(float((scores[:200, None] > scores[200:]).mean()))
    assert share == sorted(share)
    assert share[-1] > 0.95

"""The automatic threshold: from picks and from all scores, against plain computations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from napari_dinov3_sim.core.search.combine import ClassQuery, score_classes, score_vectors
from napari_dinov3_sim.core.search.thresholds import (
    automatic_threshold,
    held_out_scores,
    otsu_threshold,
    threshold_from_scores,
)

from ..states import map_of, random_state, random_vectors


def query_of(positives, negatives=0, seed=3, background=True):
    vectors = random_vectors(positives + negatives + 1, seed=seed).astype(np.float32)
    wanted, unwanted = vectors[:positives], vectors[positives:-1]
    return ClassQuery("cell", wanted, unwanted, vectors[-1] if background else None)


@pytest.mark.parametrize("combination", ["mean", "best", "contrast", "learned"])
def test_vectors_are_scored_as_the_patches_that_have_them(combination):
    query, state = query_of(3, 2), random_state()
    (expected,) = score_classes([query], state, combination)
    found = score_vectors(query, state.vectors, combination)
    np.testing.assert_allclose(found, expected.cosine.ravel(), atol=1e-6)


@pytest.mark.parametrize("combination", ["mean", "best", "contrast", "learned"])
def test_each_pick_is_scored_by_the_others(combination):
    query = query_of(4, 3)
    positives, negatives = held_out_scores(query, combination)
    for number, vector in enumerate(query.positives):
        rest = ClassQuery(
            "", np.delete(query.positives, number, 0), query.negatives, query.background
        )
        assert positives[number] == score_vectors(rest, vector[None], combination)[0]
    for number, vector in enumerate(query.negatives):
        rest = ClassQuery(
            "", query.positives, np.delete(query.negatives, number, 0), query.background
        )
        assert negatives[number] == score_vectors(rest, vector[None], combination)[0]


def test_a_single_positive_is_found_by_no_other_and_gives_otsus():
    query, one = query_of(1, 2), map_of(np.random.default_rng(0).random((8, 9)))
    positives, negatives = held_out_scores(query)
    assert (len(positives), len(negatives)) == (0, 2)
    assert automatic_threshold(query, [one]) == otsu_threshold([one])


def test_many_picks_are_held_out_in_parts_and_each_once(monkeypatch):
    from napari_dinov3_sim.core.search import thresholds

    rows = []

    def score(query, vectors, combination):
        rows.append((len(query.positives), len(vectors)))
        return score_vectors(query, vectors, combination)

    monkeypatch.setattr(thresholds, "score_vectors", score)
    positives, _ = held_out_scores(query_of(100))
    assert len(rows) == thresholds.MOST_PARTS
    assert sum(held for _, held in rows) == len(positives) == 100
    assert {kept + held for kept, held in rows} == {100}


def test_positives_alone_move_otsus_threshold_towards_their_middle_to_all_patches():
    one = map_of(np.random.default_rng(0).random((8, 9)))
    middle = (0.9 + float(one.cosine.mean())) / 2
    found = threshold_from_scores(np.array([0.8, 1.0]), np.empty(0), [one])
    assert found == pytest.approx((otsu_threshold([one]) + middle) / 2, abs=1e-6)


def two_humps(share, size=4000, seed=0):
    """Scores of patches, of which this share is meant and has the higher ones; and which it is."""
    rng = np.random.default_rng(seed)
    meant = rng.random(size) < share
    scores = np.where(meant, rng.normal(0.6, 0.08, size), rng.normal(0.3, 0.1, size))
    return np.clip(scores, -1, 1).astype(np.float32), meant


def overlap(scores, meant, threshold):
    found = scores >= threshold
    return (found & meant).sum() / (found | meant).sum()


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_with_many_judged_places_the_overlap_is_nearly_the_best_however_rare_the_class(share):
    scores, meant = two_humps(share)
    # Places of all ranks, as they are asked about.
    order = np.argsort(-scores)
    judged = order[np.unique(np.geomspace(1, len(order), 60).astype(int)) - 1]
    right = meant[judged]
    found = threshold_from_scores(
        scores[judged][right], scores[judged][~right], [map_of([scores])]
    )
    best = max(overlap(scores, meant, t) for t in np.linspace(0, 1, 400))
    assert overlap(scores, meant, found) > 0.8 * best


def test_where_the_class_is_rare_otsu_is_far_from_that():
    scores, meant = two_humps(0.02)
    best = max(overlap(scores, meant, t) for t in np.linspace(0, 1, 400))
    assert overlap(scores, meant, otsu_threshold([map_of([scores])])) < 0.5 * best


def test_more_picks_weigh_more():
    scores, _ = two_humps(0.02)
    one = map_of([scores])
    few = threshold_from_scores(np.full(2, 0.65), np.full(2, 0.45), [one])
    many = threshold_from_scores(np.full(50, 0.65), np.full(50, 0.45), [one])
    assert otsu_threshold([one]) < few < many < 0.65


SCORE = st.sampled_from([-1.0, 0.0, 0.5, 1.0]) | st.floats(-1, 1)
ALIKE = 0.9, 0.9 - 1e-7  # judged; all else is so far from them that its share is rounded to 0


@given(
    st.lists(SCORE, min_size=1, max_size=9),
    st.lists(SCORE, min_size=1, max_size=9),
    st.lists(SCORE, min_size=1, max_size=9) | st.builds(lambda one: [one] * 12, SCORE),
)
@example([ALIKE[0]] * 3, [ALIKE[1]] * 3, [-1.0] * 12)
@example([ALIKE[0]] * 3, [ALIKE[1]] * 3, [-1.0, -0.5, 0.1])
@example([0.9], [0.1], [0.5, 0.50001])  # which have no 1024 numbers between them
@example([0.9], [0.1], [0.0, 1e-45])
def test_any_picks_and_any_map_give_a_cosine(positives, negatives, scores):
    found = threshold_from_scores(np.array(positives), np.array(negatives), [map_of([scores])])
    assert -1 - 1e-12 <= found <= 1 + 1e-12


@pytest.mark.parametrize(
    ("positives", "negatives"),
    [([0.5], [0.5]), ([0.5, 0.5], [0.5] * 9), ([1.0], [-1.0]), ([-1.0] * 3, [1.0] * 3)],
)
def test_any_picks_and_a_constant_map_give_a_cosine(positives, negatives):
    for one in (map_of([[0.3]]), map_of(np.full((3, 4), -1.0)), map_of([[0.1, 0.2, 0.9]])):
        found = threshold_from_scores(np.array(positives), np.array(negatives), [one])
        assert -1 <= found <= 1

"""Places to be judged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_dinov3_sim.core.search import teaching
from napari_dinov3_sim.core.search.teaching import agreement, choose_places

rng = np.random.default_rng(7)
MAPS = [gaussian_filter(rng.normal(size=(40, 30)), 0.8).astype(np.float32) for _ in range(6)]


def choose(scores=MAPS, order="teach", count=10, taken=frozenset(), seed=0):
    return choose_places(scores, order=order, count=count, taken=taken, seed=seed)


def are_apart(places):
    return all(
        one.image != other.image
        or max(abs(one.row - other.row), abs(one.column - other.column)) > 1
        for number, one in enumerate(places)
        for other in places[:number]
    )


def naive_places(maps):
    """Return the best place, then the best that is no neighbour of those, and so on."""
    order = sorted(
        ((-value, i, *at) for i, one in enumerate(maps) for at, value in np.ndenumerate(one)),
    )
    kept = []
    for value, image, row, column in order:
        if all(
            image != i or max(abs(row - r), abs(column - c)) > 1 for _, i, r, c in kept[-(10**6) :]
        ):
            kept.append((-value, image, row, column))
    return kept


def test_best_first_is_what_picking_one_after_the_other_gives():
    small = [one[:12, :12] for one in MAPS[:3]]
    expected = naive_places(small)
    found = choose(small, "best", 1000)
    assert [(p.score, p.image, p.row, p.column) for p in found] == expected
    assert [p.rank for p in found] == list(range(1, len(expected) + 1))


def test_places_to_learn_from_are_half_of_every_range_of_ranks_and_half_any():
    total = len(choose(order="best", count=10**6))
    ends = np.geomspace(1, total + 1, 6)
    inside, ranks_of_all = np.zeros(5), []
    for seed in range(100):
        found = choose(seed=seed)
        ranks = [p.rank for p in found]
        assert len(found) == 10
        assert ranks == sorted(set(ranks))
        assert are_apart(found)
        assert all(p.score == MAPS[p.image][p.row, p.column] for p in found)
        counts = np.histogram(ranks, ends)[0]
        assert (counts[2:] >= 1).all()  # lower ends are not whole ranks
        inside += counts
        ranks_of_all += ranks
    # One in each range, and of the other five as many as the range is long.
    lengths = np.diff(ends) / total
    np.testing.assert_allclose(inside / 100, 1 + 5 * lengths, atol=0.35)


@pytest.mark.parametrize("order", ["best", "teach"])
def test_the_same_arguments_give_the_same_places(order):
    assert choose(order=order, seed=3) == choose(order=order, seed=3)


def test_another_seed_teaches_with_other_places():
    assert choose(seed=3) != choose(seed=4)


@pytest.mark.parametrize("order", ["best", "teach"])
def test_judged_places_and_their_neighbours_are_not_shown_again(order):
    taken, seen = set(), []
    for seed in range(4):
        found = choose(order=order, taken=taken, seed=seed)
        assert len(found) == 10
        seen += found
        taken |= {(p.image, p.row, p.column) for p in found}
    assert are_apart(seen)


@pytest.mark.parametrize("order", ["best", "teach"])
def test_what_is_not_there_is_not_chosen(order):
    holes = [np.where(np.arange(30) < 15, one, np.nan) for one in MAPS]
    assert {p.column for p in choose(holes, order, 1000)} <= set(range(15))
    assert choose([np.full((4, 4), np.nan)], order) == []
    assert choose([], order) == []


@pytest.mark.parametrize("order", ["best", "teach"])
def test_few_places_are_all_shown(order):
    few = [np.eye(5, dtype=np.float32)]
    found = choose(few, order, 100)
    assert 4 <= len(found) <= 9
    assert are_apart(found)


def test_equal_scores_give_places_everywhere():
    found = choose([np.zeros((64, 64), np.float32)], "best", 10**6)
    assert are_apart(found)
    assert len(found) > 64 * 64 / 9


def test_many_places_are_thinned_but_the_best_are_all_there(monkeypatch):
    exact = choose(order="best", count=10**6)
    monkeypatch.setattr(teaching, "MOST_PLACES", len(exact) // 3)
    kept = choose(order="best", count=10**6)
    assert len(kept) <= len(exact) // 3
    assert kept[: len(exact) // 12] == exact[: len(exact) // 12]
    truth = {(p.image, p.row, p.column): p.rank for p in exact}
    for p in kept:  # their ranks are still about right
        assert abs(p.rank - truth[p.image, p.row, p.column]) < len(exact) / 12


def test_maps_are_read_one_after_the_other_and_once():
    read = []

    class Lazy(list):
        def __iter__(self):
            for number, one in enumerate(list.__iter__(self)):
                read.append(number)
                yield one

    assert choose(Lazy(MAPS)) == choose(MAPS)
    assert read == list(range(6))


def test_agreement_is_the_share_of_places_that_were_foreseen():
    assert agreement([0.9, 0.2, 0.5, 0.4], [True, False, True, True], 0.5) == 0.75
    assert np.isnan(agreement([], [], 0.5))

"""Clusters of embeddings, against groups that are known and against plain k-means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dinov3_sim.core.errors import EmbeddingCancelled, SimilarityError, StateError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.search.clusters import (
    central_places,
    fair_shares,
    find_clusters,
)

from ..states import random_state, random_vectors, state_of

DIM = 16


def blobs(shapes, groups, spread=0.15, seed=0, patch_size=4):
    """One state per shape, in which each patch is of one group; and which it is of."""
    rng = np.random.default_rng(seed)
    directions = random_vectors(groups, DIM, seed + 100)
    states, truth = [], []
    for rows, columns in shapes:
        group = rng.integers(0, groups, (rows, columns))
        vectors = directions[group.ravel()] + spread * rng.normal(size=(rows * columns, DIM))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        states.append(state_of(vectors, (rows * patch_size, columns * patch_size), patch_size))
        truth.append(group)
    return states, truth


def same_groups(numbers, truth):
    """Whether two ways to number things divide them alike."""
    pairs = {(int(a), int(b)) for a, b in zip(numbers.ravel(), truth.ravel(), strict=True)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@pytest.mark.parametrize("groups", [2, 5, 12])
def test_groups_that_are_known_are_found_over_all_images_at_once(groups):
    states, truth = blobs([(20, 30), (7, 11)], groups)
    found = find_clusters(states, groups)
    assert len(found) == groups
    together = [np.concatenate([one.ravel() for one in many]) for many in (found.numbers, truth)]
    assert same_groups(*together)
    np.testing.assert_allclose(np.linalg.norm(found.centres, axis=1), 1, atol=1e-5)


def test_numbers_and_cosines_are_those_of_the_nearest_centre():
    state = random_state((40, 60), dim=DIM)
    found = find_clusters([state], 5)
    products = state.vectors @ found.centres.T
    np.testing.assert_array_equal(found.numbers[0].ravel(), products.argmax(1) + 1)
    np.testing.assert_allclose(found.cosines[0].ravel(), products.max(1), atol=1e-6)


def test_centres_are_the_mean_directions_of_what_is_nearest_to_them():
    states, _ = blobs([(30, 30)], 4, spread=0.3)
    found = find_clusters(states, 4)
    for number in range(1, 5):
        mean = states[0].vectors[found.numbers[0].ravel() == number].mean(0)
        np.testing.assert_allclose(
            found.centres[number - 1], mean / np.linalg.norm(mean), atol=1e-4
        )


def test_it_is_as_good_as_many_starts_of_plain_k_means():
    from sklearn.cluster import KMeans

    states, _ = blobs([(25, 25)], 9, spread=0.35, seed=3)
    vectors = states[0].vectors
    reference = KMeans(9, n_init=8, random_state=0).fit(vectors).cluster_centers_
    reference /= np.linalg.norm(reference, axis=1, keepdims=True)
    best = (vectors @ reference.T).max(1).mean()
    assert find_clusters(states, 9).cosines[0].mean() > best - 0.005


def test_shares_are_of_pixels_and_fall():
    # The last column of patches has three pixels of four, and all of it is of another group.
    vectors = np.eye(2, DIM)[[0, 0, 0, 0, 1] * 2]
    found = find_clusters([state_of(vectors, (8, 19))], 2)
    np.testing.assert_allclose(found.shares, [16 / 19, 3 / 19])
    assert found.numbers[0].tolist() == [[1, 1, 1, 1, 2]] * 2


def test_the_same_seed_gives_the_same():
    states, _ = blobs([(20, 20)], 6, spread=0.5)
    one, other = (find_clusters(states, 6, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one.centres, other.centres)


@given(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=6), total=st.integers(1, 120))
def test_each_image_gives_as_many_as_the_others_or_all_it_has(sizes, total):
    shares = fair_shares(sizes, total)
    assert sum(shares) <= total
    assert all(share <= size for share, size in zip(shares, sizes, strict=True))
    short = [share for share, size in zip(shares, sizes, strict=True) if share < size]
    # Whoever has given all has not given more than another who could have given more.
    assert not short or max(shares) <= min(short) + 1
    assert not short or sum(shares) > total - len(sizes)


def test_fewer_different_embeddings_give_fewer_clusters():
    states, truth = blobs([(10, 10)], 3, spread=0)
    found = find_clusters(states, 7)
    assert len(found) == 3
    assert same_groups(found.numbers[0], truth[0])
    flat = state_of(np.tile(np.eye(1, DIM), (30, 1)), (20, 24))
    assert len(find_clusters([flat], 2)) == 1


def test_what_cannot_be_divided_is_refused():
    state = random_state((8, 8), dim=DIM)
    with pytest.raises(SimilarityError, match="4 patches cannot be divided into 5 classes"):
        find_clusters([state], 5)
    for count in (1, 256):
        with pytest.raises(SimilarityError, match="from 2 to 255 classes"):
            find_clusters([state], count)
    other = random_state((8, 8), dim=DIM, fingerprint="another")
    with pytest.raises(StateError):
        find_clusters([state, other], 2)


def test_progress_comes_to_an_end_and_can_stop_it():
    states, _ = blobs([(10, 10), (10, 10)], 3)
    seen = []
    find_clusters(states, 3, progress=lambda done, total: seen.append((done, total)))
    total = seen[0][1]
    assert seen == [(done, total) for done in range(total + 1)]

    def stop(done, total):
        if done == 5:
            raise EmbeddingCancelled

    with pytest.raises(EmbeddingCancelled):
        find_clusters(states, 3, progress=stop)


# -- the most typical places ----------------------------------------------------------------------


def test_central_places_are_of_the_cluster_and_come_from_all_images_in_turn():
    states, _ = blobs([(20, 30), (12, 12), (15, 8)], 4, spread=0.3)
    found = find_clusters(states, 4)
    for number in range(1, 5):
        places = central_places(found, [state.grid for state in states], number, 6)
        assert [place.image for place in places[:3]] == [place.image for place in places[3:]]
        assert {place.image for place in places} == {0, 1, 2}
        own = np.concatenate(
            [c[n == number] for c, n in zip(found.cosines, found.numbers, strict=True)]
        )
        for place in places:
            assert found.numbers[place.image][place.row, place.column] == number
            assert place.score >= np.median(own)
        firsts = [place.score for place in places[:3]]
        assert firsts == sorted(firsts, reverse=True)


def test_an_image_that_hardly_has_a_cluster_gives_no_place_of_it():
    centre, other = np.eye(2, DIM)
    stray = (centre + 0.9 * other) / np.linalg.norm(centre + 0.9 * other)
    many = np.array([*[centre] * 20, *[other] * 20])
    few = np.array([stray, *[other] * 39])
    states = [state_of(many, (20, 32)), state_of(few, (20, 32))]
    found = find_clusters(states, 2)
    number = int(found.numbers[1][0, 0])
    assert number == found.numbers[0][0, 0]
    assert {
        place.image for place in central_places(found, [state.grid for state in states], number, 4)
    } == {0}


def test_patches_of_padding_are_no_places():
    grid = PatchGrid((8, 9), 4)
    vectors = np.array([*np.eye(3, DIM)[[0, 1, 2]], *np.eye(3, DIM)[[0, 1, 2]]])
    state = state_of(vectors, grid.image_shape)
    found = find_clusters([state], 2)
    places = [p for n in range(1, len(found) + 1) for p in central_places(found, [grid], n, 9)]
    assert places
    assert all(place.column < 2 for place in places)

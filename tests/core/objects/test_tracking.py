"""Tracks of objects, on series with known truth and against all assignments of small ones."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.core.errors import EmbeddingCancelled
from napari_dinov3_sim.core.objects.object_sums import add_sums, at_depth, sum_objects
from napari_dinov3_sim.core.objects.tracking import (
    LIMIT,
    FrameObjects,
    TrackSettings,
    assign_cheapest,
    track_objects,
)

from .moving_discs import (
    PATCH,
    SIDE,
    association_accuracy,
    discs_of_labels,
    moving_discs,
    patch_vectors,
)

pytestmark = pytest.mark.slow

BORDERS = np.arange(0, SIDE + 1, PATCH)


def sums_of(labels, series, seed):
    rng = np.random.default_rng(seed)
    return [
        sum_objects(one, (BORDERS, BORDERS), patch_vectors(looks, rng))
        for one, looks in zip(labels, series.looks, strict=True)
    ]


def tracked(sums, **options):
    frames = [FrameObjects(one.centroids, one.areas.astype(float), one.directions) for one in sums]
    return track_objects(frames, TrackSettings(24.0, **options))


# -- series with known truth ---------------------------------------------------------------------


@pytest.mark.parametrize("speed", [7.0, 11.0])
def test_discs_that_cross_come_go_and_flicker_keep_their_tracks(speed, record_property):
    shares = []
    for seed in range(2):
        series = moving_discs(14, seed=seed, speed=speed)
        labels = series.labels()
        sums = sums_of(labels, series, seed)
        tracks = tracked(sums)
        number = {
            (frame, int(label)): int(track)
            for frame, (one, own) in enumerate(zip(sums, tracks.numbers, strict=True))
            for label, track in zip(one.labels, own, strict=True)
        }
        inside = [discs_of_labels(*one) for one in zip(labels, series.places, strict=True)]
        found = association_accuracy(inside, number)
        record_property(f"seed {seed}", str(found))
        shares.append((found.links, found.own))
    assert np.mean(shares, axis=0).min() >= 0.95


def meeting_discs(turn_back):
    """Frames of two discs of different look that meet, are one for three frames, and part."""
    looks = np.eye(2, 4, dtype=np.float32)
    frames = []
    for step in range(-8, 9):
        left, right = (-6.0 * abs(step), 6.0 * abs(step))
        first, second = (left, right) if step < 0 or turn_back else (right, left)
        if abs(step) <= 1:
            frames.append(FrameObjects(np.zeros((1, 2)), np.array([2.0]), looks.mean(0)[None]))
        else:
            places = np.array([[0, first], [0, second]])
            frames.append(FrameObjects(places, np.ones(2), looks))
    return frames


@pytest.mark.parametrize("turn_back", [True, False])
def test_two_that_meet_are_told_apart_by_their_looks(turn_back):
    tracks = track_objects(meeting_discs(turn_back), TrackSettings(20.0))
    assert [one.tolist() for one in tracks.numbers] == [[1, 2]] * 7 + [[3]] * 3 + [[1, 2]] * 7
    assert tracks.parents == {}


def test_without_looks_what_turns_back_is_taken_for_the_other():
    tracks = track_objects(meeting_discs(turn_back=True), TrackSettings(20.0, look=0.0))
    assert tracks.numbers[-1].tolist() == [2, 1]


def objects(*places, areas=None, vectors=None):
    count = len(places)
    return FrameObjects(
        np.array(places, float).reshape(-1, 2),
        np.ones(count) if areas is None else np.array(areas, float),
        np.zeros((count, 0), np.float32) if vectors is None else np.asarray(vectors, np.float32),
    )


def test_what_is_missing_is_found_again_up_to_the_gap_that_is_allowed():
    frames = [objects((0, 0)), objects((0, 1)), objects(), objects(), objects((0, 4))]
    assert len(track_objects(frames, TrackSettings(3.0, max_gap=2))) == 1
    assert len(track_objects(frames, TrackSettings(3.0, max_gap=1))) == 2


def test_what_is_too_far_or_looks_like_something_else_is_another():
    near, far = [objects((0, 0)), objects((0, 4))], [objects((0, 0)), objects((0, 6))]
    assert len(track_objects(near, TrackSettings(5.0))) == 1
    assert len(track_objects(far, TrackSettings(5.0))) == 2
    looks = np.eye(3)
    frames = [
        objects((0, 0), (50, 0), vectors=looks[:2]),
        objects((0, 1), (50, 1), vectors=looks[[2, 1]]),
    ]
    assert [one.tolist() for one in track_objects(frames, TrackSettings(5.0)).numbers] == [
        [1, 2],
        [1, 2],
    ]  # as different as any two, and yet at the same place
    frames[1] = objects((0, 4.9), (50, 1), vectors=[-looks[0], looks[1]])
    assert track_objects(frames, TrackSettings(5.0)).numbers[1].tolist() == [3, 2]


def test_one_that_divides_has_two_children():
    frames = [
        objects((0, 0), areas=[4]),
        objects((0, 0), areas=[4]),
        objects((0, -2), (0, 2), areas=[2, 2]),
        objects((0, -4), (0, 4), areas=[2, 2]),
    ]
    tracks = track_objects(frames, TrackSettings(5.0))
    assert [one.tolist() for one in tracks.numbers] == [[1], [1], [2, 3], [2, 3]]
    assert tracks.parents == {2: 1, 3: 1}


def test_looks_that_are_not_known_are_like_any_other():
    unknown = np.full((1, 3), np.nan)
    frames = [objects((0, 0), vectors=np.eye(1, 3)), objects((0, 1), vectors=unknown)]
    assert len(track_objects(frames, TrackSettings(5.0))) == 1


def test_nothing_and_frames_of_nothing_have_no_tracks():
    assert track_objects([], TrackSettings(5.0)).numbers == ()
    tracks = track_objects([objects(), objects()], TrackSettings(5.0))
    assert len(tracks) == 0
    assert [one.tolist() for one in tracks.numbers] == [[], []]


def test_progress_is_told_and_can_stop_it():
    frames, seen = [objects((0, 0))] * 4, []
    track_objects(frames, TrackSettings(5.0), lambda *done: seen.append(done))
    assert seen[0] == (0, 4)
    assert seen[-1] == (4, 4)

    def stop(done, total):
        raise EmbeddingCancelled

    with pytest.raises(EmbeddingCancelled):
        track_objects(frames, TrackSettings(5.0), stop)


# -- assignment -----------------------------------------------------------------------------------


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_assignment_is_the_cheapest_of_all(data):
    count, other = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    pairs = data.draw(
        st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, other - 1)), unique=True)
    )
    costs = np.array([data.draw(st.floats(0, 3)) for _ in pairs])
    rows, columns = (np.array([p[side] for p in pairs], int) for side in (0, 1))
    found = assign_cheapest(rows, columns, costs)
    assert len(set(rows[found])) == len(set(columns[found])) == len(found)
    cost = dict(zip(pairs, costs, strict=True))
    # Each row is linked to a column, or to none of them: as many blanks as there are rows.
    ways = permutations([*range(other), *[None] * count], count)
    best = min(sum(min(cost.get((r, c), LIMIT), LIMIT) for r, c in enumerate(way)) for way in ways)
    assert costs[found].sum() + LIMIT * (count - len(found)) == pytest.approx(best)


# -- sums over objects ----------------------------------------------------------------------------


def test_sums_are_those_of_every_pixel(monkeypatch):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 5, (23, 17)) * 10
    rows, columns = np.array([0, 8, 16, 23]), np.array([0, 7, 17])
    vectors, scores = rng.normal(size=(6, 3)), rng.random((3, 2))
    monkeypatch.setattr("napari_dinov3_sim.core.objects.object_sums.STRIP", 60)
    found = sum_objects(labels, (rows, columns), vectors, scores)
    assert found.labels.tolist() == [10, 20, 30, 40]
    for number, label in enumerate(found.labels):
        ys, xs = np.nonzero(labels == label)
        at = [
            (np.searchsorted(rows, y, "right") - 1, np.searchsorted(columns, x, "right") - 1)
            for y, x in zip(ys, xs, strict=True)
        ]
        mean = np.mean([vectors[row * 2 + column] for row, column in at], axis=0)
        assert found.areas[number] == len(ys)
        np.testing.assert_allclose(found.centroids[number], [ys.mean(), xs.mean()])
        np.testing.assert_allclose(
            found.directions[number], mean / np.linalg.norm(mean), rtol=1e-5
        )
        assert found.mean_scores[number] == pytest.approx(np.mean([scores[one] for one in at]))


@pytest.mark.parametrize(("depth", "power"), [(False, 2), (True, 3)])
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_divisions_do_not_depend_on_the_unit(depth, power, scale):
    """A parent and two daughters, the farther one as far as the parent's radius and 4 more."""
    radius, whole = 10.0, {2: np.pi * 10.0**2, 3: 4 / 3 * np.pi * 10.0**3}[power]
    found = {}
    for far in (radius + 3.9, radius + 4.1):
        frames = [
            FrameObjects(
                places * scale, areas * scale**power, np.ones((len(areas), 1), np.float32)
            )
            for places, areas in (
                (np.zeros((1, power)), np.array([whole])),
                (np.array([[-3.0], [far]]) * np.eye(1, power), np.array([whole, whole]) * 0.48),
            )
        ]
        tracks = track_objects(frames, TrackSettings(4.0 * scale, depth=depth))
        found[far] = dict(tracks.parents)
    assert list(found.values()) == [{2: 1, 3: 1}, {}]


def test_negative_labels_are_background():
    labels = np.array([[-3, -3, 0], [0, 2, 2]])
    found = sum_objects(labels, (np.array([0, 2]), np.array([0, 3])))
    assert found.labels.tolist() == [2]
    assert found.areas.tolist() == [2]


def test_an_object_in_several_planes_is_one():
    labels = np.zeros((4, 4), int)
    labels[1, 1:3] = 7
    borders = np.array([0, 4]), np.array([0, 4])
    planes = [
        at_depth(sum_objects(labels, borders, np.array([[1.0, 0.0]])), (1, 2), (2.0, 0, 0)),
        at_depth(sum_objects(labels, borders), (1, 2), (5.0, 0, 0)),
    ]
    found = add_sums(planes)
    assert found.areas.tolist() == [4]
    np.testing.assert_allclose(found.centroids, [[3.5, 1, 1.5]])
    np.testing.assert_allclose(found.directions, [[1, 0]])
    assert np.isnan(add_sums(planes[1:]).directions).all() or not found.vectors.size

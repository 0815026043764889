"""A time series with known truth: discs of two looks that move, cross, come, go and flicker."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

SIDE, PATCH = 480, 8
RADIUS = 13
LOOKS = 2
DIM = 12


@dataclass(frozen=True)
class Series:
    """What is seen, and what is true of it.

    Attributes
    ----------
    looks : ndarray of int, shape (frames, SIDE, SIDE)
        0 for the background, then 1 and 2 for the two looks.
    places : ndarray of float, shape (frames, discs, 2)
        The middle of each disc; NaN where it is not seen.
    """

    looks: np.ndarray
    places: np.ndarray

    def labels(self):
        """The objects of a perfect threshold: discs that touch are one."""
        from scipy.ndimage import label

        return [label(one > 0)[0] for one in self.looks]


def moving_discs(count=14, frames=30, *, seed=0, speed=7.0, missing=0.04, turn=False):
    """Discs that move straight on with a little noise; some come later, and some go earlier.

    If they turn, each goes back half-way, from wherever it is then.
    """
    rng = np.random.default_rng(seed)
    start = rng.uniform(20, SIDE - 20, (count, 2))
    # They aim at the middle, so that they cross.
    aims = SIDE / 2 + rng.normal(0, 90, (count, 2)) - start
    speeds = speed * rng.uniform(0.5, 1, (count, 1))
    moves = aims / np.linalg.norm(aims, axis=1, keepdims=True) * speeds
    first = rng.integers(0, frames // 3, count) * (rng.random(count) < 0.4)
    last = frames - 1 - rng.integers(0, frames // 3, count) * (rng.random(count) < 0.4)
    looks = np.zeros((frames, SIDE, SIDE), np.uint8)
    places = np.full((frames, count, 2), np.nan)
    for frame in range(frames):
        for disc in range(count):  # the later ones lie above
            steps = min(frame, frames - frame) if turn else frame
            at = start[disc] + steps * moves[disc] + rng.normal(0, 0.7, 2)
            is_inside = (at > -RADIUS).all() and (at < SIDE + RADIUS).all()
            if first[disc] <= frame <= last[disc] and rng.random() >= missing and is_inside:
                places[frame, disc] = at
                looks[frame][disc_at(at)] = 1 + disc % LOOKS
    return Series(looks, places)


def disc_at(place):
    """The pixels of a disc."""
    y, x = np.ogrid[:SIDE, :SIDE]
    return np.hypot(y - place[0], x - place[1]) <= RADIUS


def discs_of_labels(labels, places):
    """Which discs are in each label of a frame: each in the one that has most of its pixels."""
    inside = {int(one): () for one in np.unique(labels[labels > 0])}
    for disc, place in enumerate(places):
        covered = labels[disc_at(place)] if np.isfinite(place).all() else labels[:0]
        covered = covered[covered > 0]
        if covered.size:
            inside[int(np.bincount(covered).argmax())] += (disc,)
    return inside


def patch_vectors(looks, rng, noise=0.05):
    """Unit vectors of patches: the mean of what is in them, with noise. Looks are 60° apart."""
    directions = np.zeros((LOOKS + 1, DIM))
    directions[0, 0] = 1
    directions[1, 1] = 1
    directions[2, 1:3] = np.cos(np.pi / 3), np.sin(np.pi / 3)
    one_hot = np.eye(LOOKS + 1)[looks]
    means = one_hot.reshape(SIDE // PATCH, PATCH, SIDE // PATCH, PATCH, LOOKS + 1).mean((1, 3))
    vectors = means.reshape(-1, LOOKS + 1) @ directions
    vectors += noise * rng.normal(size=vectors.shape)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@dataclass(frozen=True)
class Accuracy:
    """How well discs were followed.

    Attributes
    ----------
    links : float
        The share that is right of all links: from one frame in which a disc is alone in its
        object to the next such frame, the track is the same.
    count : int
        How many links there are.
    over_gaps : float
        The same share of those between which there are other frames.
    own : float
        The share of the discs that are in their own track: most of it is of this disc.
    """

    links: float
    count: int
    over_gaps: float
    own: float


def association_accuracy(inside, track_of):
    """Compare tracks with the truth.

    Parameters
    ----------
    inside : list of dict of int to tuple of int
        For each frame, see `discs_of_labels`.
    track_of : mapping of (int, int) to int
        The track of an object, by the number of the frame and its label.
    """
    alone = [
        (discs[0], frame, track_of[frame, label])
        for frame, objects in enumerate(inside)
        for label, discs in objects.items()
        if len(discs) == 1
    ]
    seen = {}
    for disc, frame, track in alone:
        seen.setdefault(disc, []).append((frame, track))
    pairs = [pair for own in seen.values() for pair in pairwise(own)]
    right = [a == b for (_, a), (_, b) in pairs]
    gaps = [a == b for (before, a), (after, b) in pairs if after > before + 1]
    counts = {}
    for disc, _, track in alone:
        counts.setdefault(track, Counter())[disc] += 1
    own = [counts[track].most_common(1)[0][0] == disc for disc, _, track in alone]
    return Accuracy(np.mean(right), len(right), np.mean(gaps or [1]), np.mean(own))

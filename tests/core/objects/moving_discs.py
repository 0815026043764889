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
    labels : ndarray of int, shape (frames, H, W)
        Connected discs of one threshold: those that touch are one object.
    looks : ndarray of int, shape (frames, H, W)
        0 for the background, then 1 and 2 for the two looks.
    inside : list of dict of int to tuple of int
        For each frame, the discs that are in each label.
    """

    labels: np.ndarray
    looks: np.ndarray
    inside: list[dict[int, tuple[int, ...]]]


def moving_discs(count=14, frames=30, *, seed=0, speed=7.0, missing=0.04, unseen=True):
    """Discs that move straight on with a little noise; some come later, and some go earlier."""
    from scipy.ndimage import label

    rng = np.random.default_rng(seed)
    places = rng.uniform(20, SIDE - 20, (count, 2))
    # They aim at the middle, so that they cross.
    aims = SIDE / 2 + rng.normal(0, 90, (count, 2)) - places
    moves = (
        aims
        / np.linalg.norm(aims, axis=1, keepdims=True)
        * speed
        * rng.uniform(0.5, 1, (count, 1))
    )
    first = rng.integers(0, frames // 3, count) * (rng.random(count) < 0.4)
    last = frames - 1 - rng.integers(0, frames // 3, count) * (rng.random(count) < 0.4)
    y, x = np.mgrid[:SIDE, :SIDE]
    all_labels, all_looks, inside, number = [], [], [], 0
    for frame in range(frames):
        discs = np.zeros((count, SIDE, SIDE), bool)
        for disc in range(count):
            at = places[disc] + frame * moves[disc] + rng.normal(0, 0.7, 2)
            if first[disc] <= frame <= last[disc] and not (unseen and rng.random() < missing):
                discs[disc] = np.hypot(y - at[0], x - at[1]) <= RADIUS
        looks = np.zeros((SIDE, SIDE), int)
        for disc in range(count):  # the later ones lie above
            looks[discs[disc]] = 1 + disc % LOOKS
        labels, _ = label(looks > 0)
        labels[labels > 0] += number
        inside.append(
            {
                int(one): tuple(d for d in range(count) if (discs[d] & (labels == one)).any())
                for one in np.unique(labels[labels > 0])
            }
        )
        number = max(number, int(labels.max()))
        all_labels.append(labels)
        all_looks.append(looks)
    return Series(np.stack(all_labels), np.stack(all_looks), inside)


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


def association_accuracy(inside, track_of):
    """Return the share of links that are right, how many there are, and the share of identities.

    Of each disc, the frames are looked at in which it is alone in its object. A link is right if
    the track is the same in one of them and in the next. An identity is right if the track is the
    disc's own: most of the objects of the track are this disc.

    Parameters
    ----------
    inside : list of dict of int to tuple of int
        See `Series`.
    track_of : mapping of (int, int) to int
        The track of an object, by the number of the frame and its label.
    """
    alone = [
        (discs[0], track_of[frame, label])
        for frame, objects in enumerate(inside)
        for label, discs in objects.items()
        if len(discs) == 1
    ]
    tracks = {}
    for disc, track in alone:
        tracks.setdefault(disc, []).append(track)
    links = [a == b for own in tracks.values() for a, b in pairwise(own)]
    owner = {
        t: Counter(d for d, track in alone if track == t).most_common(1)[0][0] for _, t in alone
    }
    return np.mean(links), len(links), np.mean([owner[track] == disc for disc, track in alone])

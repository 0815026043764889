"""Places to be judged: which to show, best first or to learn fastest, and how sure the scores are.

A place is a patch whose score is the greatest of its surroundings, so that no two are neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

Order = Literal["best", "teach"]
"""Best first, or places from all ranks: by these the scores improve faster."""

MOST_PLACES = 2**20
"""Places kept in memory; of more, those of low scores are thinned."""

_PASSES = 8
"""Passes of picking out maxima; what is left then lies on long slopes, beside places."""


@dataclass(frozen=True)
class Place:
    """A patch to be judged.

    Attributes
    ----------
    image : int
        Index of the map it lies in.
    row, column : int
        Of the patch.
    score : float
        In units of the cosine.
    rank : int
        Among all places that can be chosen, by score, from 1.
    """

    image: int
    row: int
    column: int
    score: float
    rank: int


def choose_places(
    scores: Sequence[NDArray[np.floating]],
    *,
    order: Order,
    count: int,
    taken: AbstractSet[tuple[int, int, int]],
    seed: int,
) -> list[Place]:
    """Return places to be judged.

    Parameters
    ----------
    scores : sequence of ndarray, shape (rows, columns)
        One map per image; NaN where there is no patch. They are read one after the other, and
        each once.
    order : {'best', 'teach'}
        The best places; or, to teach, two halves. For one the ranks from first to last are parted
        into as many ranges, each longer than the one before by the same factor, and one place
        is taken from each at random: right ones, and what looks right. The other half is any
        places at random: what else there is.
    count : int
        The greatest number of places.
    taken : set of (image, row, column)
        Places that were judged before; neither they nor their neighbours are chosen.
    seed : int
        Of the random choice, and of which of equal neighbours is a place.

    Returns
    -------
    list of Place
        Best first; fewer than `count` where there are no more. The same for the same arguments.
    """
    random = np.random.default_rng(seed)
    judged: dict[int, list[tuple[int, int]]] = {}
    for image, row, column in sorted(taken):
        judged.setdefault(image, []).append((row, column))
    table = _Table()
    for image, one in enumerate(scores):
        mask = _places_of(np.asarray(one), judged.get(image, ()), random)
        rows, columns = np.nonzero(mask)
        table.add(image, rows, columns, one[mask])
    total = table.finish()
    chosen = range(min(count, total)) if order == "best" else _spread(total, count, random)
    return [table.place(at) for at in chosen]


def agreement(predicted: Sequence[float], right: Sequence[bool], threshold: float) -> float:
    """Return for which share of judged places the scores had said the same.

    Parameters
    ----------
    predicted : sequence of float
        Scores from before the places were judged.
    right : sequence of bool
        What was judged.
    threshold : float
        Score from which a place counts as found.

    Returns
    -------
    float
        From 0 to 1; NaN if nothing was judged.
    """
    if not len(predicted):
        return float("nan")
    found = np.asarray(predicted) >= threshold
    return float(np.mean(found == np.asarray(right, bool)))


def _places_of(
    scores: NDArray[np.floating],
    judged: Sequence[tuple[int, int]],
    random: np.random.Generator,
) -> NDArray[np.bool_]:
    """Mark patches that are greater than their neighbours, then those greatest of what is left."""
    from scipy.ndimage import maximum_filter

    # Ranks, because equal scores must not be two maxima side by side. The order of equal ones is
    # random: in reading order, a flat map would need as many passes as it has columns.
    shuffled = random.permutation(scores.size)
    ascending = shuffled[np.argsort(scores.ravel()[shuffled], stable=True)]
    heights = np.empty(scores.shape, np.int32)
    heights.flat[ascending] = np.arange(1, scores.size + 1)
    heights[np.isnan(scores)] = 0
    for row, column in judged:
        heights[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = 0
    places = np.zeros(scores.shape, bool)
    for _ in range(_PASSES):
        maxima = (heights > 0) & (heights == maximum_filter(heights, 3, mode="constant"))
        if not maxima.any():
            break
        places |= maxima
        heights[maximum_filter(maxima, 3, mode="constant")] = 0
    return places


def _spread(total: int, count: int, random: np.random.Generator) -> list[int]:
    """Return indices for *teach*: half by geometric spacing, half from all, in order."""
    if total <= count:
        return list(range(total))
    spaced = _geometric(total, -(-count // 2), random)
    others = np.setdiff1d(np.arange(total), spaced)
    return sorted(spaced + random.choice(others, count - len(spaced), replace=False).tolist())


def _geometric(total: int, count: int, random: np.random.Generator) -> list[int]:
    """Return one index at random from each of so many ranges, in geometric spacing."""
    ends = np.linspace(0, np.log(total + 1), count + 1)
    ranks = np.exp(random.uniform(ends[:-1], ends[1:])).astype(int)
    order = np.arange(count)
    # The first ranges are shorter than a rank: what is the same moves on to the next one.
    different = np.maximum.accumulate(ranks - 1 - order) + order
    return [int(at) for at in np.minimum(different, total - count + order)]


class _Table:
    """Places of many images by score, with bounded memory.

    Where there are too many, the best quarter is kept, and of the rest every second one, which
    then counts for two.
    """

    def __init__(self) -> None:
        self._parts: list[NDArray[np.void]] = []
        self._number = 0

    def add(
        self,
        image: int,
        rows: NDArray[np.intp],
        columns: NDArray[np.intp],
        scores: NDArray[np.floating],
    ) -> None:
        """Add the places of an image."""
        part = np.empty(len(rows), _ROW)
        part["image"], part["row"], part["column"] = image, rows, columns
        part["score"], part["weight"] = scores, 1
        self._parts.append(part)
        self._number += len(part)
        if self._number > MOST_PLACES:
            self._sort()
            (all_of_them,) = self._parts
            best, rest = np.split(all_of_them, [MOST_PLACES // 4])
            rest = rest[::2]
            rest["weight"] *= 2
            self._parts, self._number = [best, rest.copy()], len(best) + len(rest)

    def finish(self) -> int:
        """Sort; return the number of places that can be chosen."""
        self._sort()
        self._ranks = np.cumsum(self._parts[0]["weight"])
        return self._number

    def place(self, at: int) -> Place:
        """Return a place by its index in the order of scores."""
        one = self._parts[0][at]
        before = int(self._ranks[at]) - int(one["weight"])
        return Place(
            int(one["image"]), int(one["row"]), int(one["column"]), float(one["score"]), before + 1
        )

    def _sort(self) -> None:
        together = np.concatenate([np.empty(0, _ROW), *self._parts])
        self._parts = [together[np.argsort(-together["score"], stable=True)]]


_ROW = np.dtype(
    [
        ("score", np.float32),
        ("image", np.int32),
        ("row", np.int32),
        ("column", np.int32),
        ("weight", np.int64),
    ]
)

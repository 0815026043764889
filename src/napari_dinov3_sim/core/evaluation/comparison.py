"""Several ways to make features, compared by the same clicks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

REPEATS = 2000
"""Draws of the bootstrap."""

LEVEL = 95.0
"""Of an interval, in per cent."""


@dataclass(frozen=True, eq=False)
class ClassScores:
    """What all ways scored on the clicks of one class.

    Attributes
    ----------
    set_name, class_name : str
    chance : float
        Mean precision of a random order, within the image.
    scores : dict of str to ndarray of float64, shape (n, 2)
        For each way, from `score_clicks`.
    """

    set_name: str
    class_name: str
    chance: float
    scores: dict[str, NDArray[np.float64]] = field(repr=False)

    def means(self, way: str) -> tuple[float, float]:
        """Return the mean precision within and across images; NaN where there is none."""
        within, across = (_mean(column) for column in self.scores[way].T)
        return within, across


@dataclass(frozen=True)
class Difference:
    """The difference of two means, with the interval in which 95 of 100 bootstrap draws lie."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """What all ways scored on all classes.

    Attributes
    ----------
    ways : tuple of str
        Models and baselines; the first is what the others are compared with.
    classes : tuple of ClassScores
    """

    ways: tuple[str, ...]
    classes: tuple[ClassScores, ...]

    def of_sets(self, names: Collection[str]) -> Comparison:
        """Return the part that belongs to some of the sets."""
        return Comparison(self.ways, tuple(one for one in self.classes if one.set_name in names))

    @property
    def counts(self) -> tuple[int, int]:
        """Over how many classes the means within and across images are."""
        within, across = (int(rows.sum()) for rows in self._averaged())
        return within, across

    @property
    def clicks(self) -> tuple[int, int]:
        """How many clicks have a figure within and across images."""
        first = [one.scores[self.ways[0]] for one in self.classes]
        known = ~np.isnan(np.concatenate([np.empty((0, 2)), *first]))
        within, across = (int(n) for n in known.sum(0))
        return within, across

    def means(self, way: str) -> tuple[float, float]:
        """Return the mean over classes of the mean precision, within and across images.

        Both are means over the classes that have a figure within images, so that they speak of
        the same; only where no class has one, the second is the mean over all.
        """
        found = np.array([one.means(way) for one in self.classes]).reshape(-1, 2)
        within, across = (_mean(found[rows, at]) for at, rows in enumerate(self._averaged()))
        return within, across

    def differences(self, way: str, seed: int = 0) -> tuple[Difference, Difference]:
        """Return by how much a way is better than the first, within and across images.

        The intervals are of a paired bootstrap: classes are drawn with replacement, and for each
        its clicks; both ways always answer the same clicks.

        Parameters
        ----------
        way : str
        seed : int
            Of the draws.
        """
        first = self.ways[0]
        within, across = (
            _bootstrapped(
                [
                    gains[~np.isnan(gains)]
                    for one, chosen in zip(self.classes, rows, strict=True)
                    if chosen
                    for gains in [(one.scores[way] - one.scores[first])[:, column]]
                ],
                seed,
            )
            for column, rows in enumerate(self._averaged())
        )
        return within, across

    def _averaged(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        asked = [~np.isnan(one.scores[self.ways[0]]).all(0) for one in self.classes]
        within, across = np.array(asked, bool).reshape(-1, 2).T
        return within, across & within if within.any() else across


def _bootstrapped(classes: list[NDArray[np.float64]], seed: int) -> Difference:
    if not classes:
        return Difference(*[float("nan")] * 3)
    random = np.random.default_rng(seed)
    drawn = random.integers(len(classes), size=(REPEATS, len(classes)))
    means = np.empty(drawn.shape)
    for number, gains in enumerate(classes):
        places = drawn == number
        clicks = random.integers(len(gains), size=(int(places.sum()), len(gains)))
        means[places] = gains[clicks].mean(1)
    low, high = np.percentile(means.mean(1), [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return Difference(float(np.mean([g.mean() for g in classes])), float(low), float(high))


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")

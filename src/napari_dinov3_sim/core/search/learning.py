"""What tells positive from negative vectors: a direction and an offset, learned from picks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

REGULARIZATION = 1.0
"""Penalty on the length of the direction; chosen by ``bench_feedback.py``."""

_LEAST_LENGTH = 1e-6
"""A shorter direction is rounding: positives and negatives are the same."""


@dataclass(frozen=True, eq=False)
class Direction:
    """A plane between positive and negative vectors; the score is the distance from it.

    Attributes
    ----------
    vector : ndarray of float64, shape (D,)
        Unit vector, from the negative to the positive side.
    offset : float
        The score of a vector x is ``x @ vector + offset``: 0 where both signs are as likely, so
        that it is in units of the cosine.
    """

    vector: NDArray[np.float64] = field(repr=False)
    offset: float


def learn_direction(
    positives: NDArray[np.floating], negatives: NDArray[np.floating]
) -> Direction | None:
    """Return the direction that tells positive from negative vectors by ridge regression.

    It minimises ``λ |w|² + Σ s (x @ w + b - y)²`` where y is 1 for positive and -1 for negative
    vectors, and s makes all positives weigh as much as all negatives, n in all for n vectors.

    Parameters
    ----------
    positives, negatives : ndarray, shape (n, D) and (m, D)
        At least one of each.

    Returns
    -------
    Direction or None
        None if nothing tells them apart.
    """
    vectors = np.concatenate([positives, negatives]).astype(np.float64)
    counts = len(positives), len(negatives)
    signs = np.repeat([1.0, -1.0], counts)
    weights = np.repeat([len(vectors) / (2 * count) for count in counts], counts)
    # Both signs weigh the same, so the weighted mean of the signs is 0.
    centre = weights @ vectors / len(vectors)
    centred = vectors - centre
    # As many unknowns as vectors: they are fewer than the numbers of a vector, or not many more.
    gram = centred @ centred.T
    dual = np.linalg.solve(gram + np.diag(REGULARIZATION / weights), signs)
    direction = dual @ centred
    length = float(np.linalg.norm(direction))
    if length < _LEAST_LENGTH:
        return None
    vector = direction / length
    return Direction(vector, -float(vector @ centre))

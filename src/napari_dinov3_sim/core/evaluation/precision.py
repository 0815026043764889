"""Average precision of the map of one click."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.evaluation.clicks import AnnotatedClick, Truth


def average_precision(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Return the mean, over all positives, of the precision down to each.

    Parameters
    ----------
    scores : ndarray, shape (n,)
        The greatest come first; equal ones stay in their order.
    positive : ndarray of bool, shape (n,)
        At least one is true.
    """
    ranked = positive[np.argsort(-scores, stable=True)]
    hits = np.cumsum(ranked)[ranked]
    return float((hits / (np.flatnonzero(ranked) + 1)).mean())


def score_clicks(
    clicks: Sequence[AnnotatedClick], maps: Sequence[NDArray[np.floating]]
) -> NDArray[np.float64]:
    """Return the average precision of each click, by cosine.

    Parameters
    ----------
    clicks : sequence of AnnotatedClick
    maps : sequence of ndarray, shape (rows, columns, D)
        Unit vectors of the patches of each image of the set.

    Returns
    -------
    ndarray of float64, shape (n, 2)
        Within the image and across images; NaN where a click has none.
    """
    found = np.full((len(clicks), 2), np.nan)
    for at, click in enumerate(clicks):
        vector = maps[click.image][click.row, click.column]
        for column, truth in enumerate((click.within, click.across)):
            if truth is not None:
                found[at, column] = _precision(maps[truth.image] @ vector, truth)
    return found


def _precision(scores: NDArray[np.floating], truth: Truth) -> float:
    return average_precision(scores[truth.counted], truth.positive[truth.counted])


def unit_vectors(features: NDArray[np.floating], *, centre: bool = False) -> NDArray[np.float32]:
    """Return features as unit vectors.

    Parameters
    ----------
    features : ndarray, shape (rows, columns, D)
    centre : bool
        Take the mean over the image away first, and scale again.
    """
    vectors = _scaled(features.astype(np.float32))
    return _scaled(vectors - vectors.mean((0, 1))) if centre else vectors


def _scaled(features: NDArray[np.float32]) -> NDArray[np.float32]:
    # As the library does for embeddings; a constant patch of a baseline has no direction.
    length = np.linalg.norm(features, axis=-1, keepdims=True) + np.float32(1e-8)
    scaled: NDArray[np.float32] = features / length
    return scaled

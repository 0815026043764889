"""Thresholds of scores, and the objects that reach a threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.search.combine import ClassQuery, resolve, score_vectors
from napari_dinov3_sim.core.search.regions import patch_areas

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.search.combine import Combination
    from napari_dinov3_sim.core.search.similarity import SimilarityMap


MOST_PARTS = 16
"""Up to so many positives or negatives are each scored by all the others; more in so many parts,
which differs little and bounds the time."""

SLOPE_VARIANCE = 10.0
"""Variance of the slope of the logistic curve before anything is judged, for standardised scores;
chosen, as all about the automatic threshold, by ``bench_threshold.py``."""

TRUST = 5
"""From so many positives and as many negatives on, their curve counts more than the start."""


ROUNDING = 1e-4
"""Of scores in single precision, with room for the 256 bins of a histogram between them."""


def otsu_threshold(maps: Sequence[SimilarityMap]) -> float:
    """Return one threshold for several maps by Otsu's method.

    It parts the scores of all patches into two classes whose variances, weighted by their
    sizes, are least (Otsu 1979, doi:10.1109/TSMC.1979.4310076).

    Parameters
    ----------
    maps : sequence of SimilarityMap
        At least one.

    Returns
    -------
    float
        In units of the cosine. If all scores are equal, that score.
    """
    from skimage.filters import threshold_otsu

    scores = _scores(maps)
    least = float(scores.min())
    # What differs by no more than rounding has no two classes, nor bins to count it in.
    return least if scores.max() - least < ROUNDING else float(threshold_otsu(scores))


def automatic_threshold(
    class_query: ClassQuery,
    maps: Sequence[SimilarityMap],
    combination: Combination = "auto",
) -> float:
    """Return the threshold that fits best to what the user said is meant, and what is not.

    A pick that is part of the query scores too well or too badly, so each is scored by the others
    (`held_out_scores`); then see `threshold_from_scores`.

    Parameters
    ----------
    class_query : ClassQuery
    maps : sequence of SimilarityMap
        The scores of this class in all images; at least one map.
    combination : {'auto', 'mean', 'best', 'contrast', 'learned'}, optional
        The one that made the maps.

    Returns
    -------
    float
        In units of the cosine.
    """
    positives, negatives = held_out_scores(class_query, combination)
    return threshold_from_scores(positives, negatives, maps)


def held_out_scores(
    class_query: ClassQuery, combination: Combination = "auto"
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how well the other picks find each pick.

    Parameters
    ----------
    class_query : ClassQuery
    combination : {'auto', 'mean', 'best', 'contrast', 'learned'}, optional

    Returns
    -------
    positives, negatives : ndarray of float32
        One score for each; no positives where there is only one, since no other could find it.
    """
    chosen = resolve(combination, len(class_query.negatives))
    wanted, unwanted = class_query.positives, class_query.negatives
    if len(wanted) > 1:
        positives = _by_parts(
            wanted, lambda rest: ClassQuery("", rest, unwanted, class_query.background), chosen
        )
    else:
        positives = np.empty(0, np.float32)
    negatives = _by_parts(
        unwanted, lambda rest: ClassQuery("", wanted, rest, class_query.background), chosen
    )
    return positives, negatives


def _by_parts(
    vectors: NDArray[np.float32],
    query_of: Callable[[NDArray[np.float32]], ClassQuery],
    combination: Combination,
) -> NDArray[np.float32]:
    """Score vectors part by part, each with the query of the rest."""
    scores = np.empty(len(vectors), np.float32)
    parts = min(len(vectors), MOST_PARTS)
    for part in range(parts):
        held_out = np.arange(len(vectors)) % parts == part
        query = query_of(vectors[~held_out])
        scores[held_out] = score_vectors(query, vectors[held_out], combination)
    return scores


def threshold_from_scores(
    positives: NDArray[np.floating],
    negatives: NDArray[np.floating],
    maps: Sequence[SimilarityMap],
) -> float:
    """Return a threshold from the scores of picks and of all patches.

    One positive alone gives Otsu's threshold. Several give the mean of Otsu's and of the middle
    between them and the rest: all patches and, counting the same, the negatives. The more
    positives and negatives are judged, the more a second threshold counts: the one from which on
    the patches found and the patches meant are expected to overlap best, where the share of
    patches that are meant is a logistic function of the score. That is also the threshold of the
    best F1, and every patch counts, not only those judged.

    Parameters
    ----------
    positives, negatives : ndarray
        Scores of what is meant and what is not, see `held_out_scores`.
    maps : sequence of SimilarityMap
        At least one.

    Returns
    -------
    float
        In units of the cosine.
    """
    start = otsu_threshold(maps)
    if not len(positives):
        return start
    scores = _scores(maps)
    rest = float(scores.mean(dtype=np.float64))
    if not len(negatives):
        return (start + (float(positives.mean()) + rest) / 2) / 2
    rest = (float(negatives.mean()) + rest) / 2
    start = (start + (float(positives.mean()) + rest) / 2) / 2
    fewest = min(len(positives), len(negatives))
    weight = fewest / (fewest + TRUST)
    return weight * _best_overlap(positives, negatives, scores) + (1 - weight) * start


BINS = 1024
"""Scores of all patches are counted in so many bins; to sort a million takes ten times as long."""


def _best_overlap(
    positives: NDArray[np.floating], negatives: NDArray[np.floating], scores: NDArray[np.floating]
) -> float:
    """Return the threshold of the greatest expected intersection over union."""
    # In single precision, bins of scores that are nearly equal would be too narrow to be numbers.
    counts, edges = np.histogram(scores.astype(np.float64), BINS)
    meant = counts * _share_meant(positives, negatives, (edges[:-1] + edges[1:]) / 2)
    found, right = counts[::-1].cumsum()[::-1], meant[::-1].cumsum()[::-1]
    if not right[0]:  # every share is rounded to 0
        return float(scores.max())
    best = float(edges[int(np.argmax(right / (found + right[0] - right)))])
    return max(best, float(scores.min()))  # bins of equal scores begin below them


def _share_meant(
    positives: NDArray[np.floating], negatives: NDArray[np.floating], at: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return which share of the patches of a score is meant, by logistic regression."""
    from scipy.optimize import minimize
    from scipy.special import expit, log_expit

    judged = np.concatenate([positives, negatives]).astype(np.float64)
    middle, spread = judged.mean(), judged.std() + 1e-9
    signs = np.repeat([1.0, -1.0], [len(positives), len(negatives)])
    standardised = (judged - middle) / spread

    def loss(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slope, shift = line
        margins = signs * (slope * standardised + shift)
        pulls = -signs * expit(-margins)
        value = slope**2 / (2 * SLOPE_VARIANCE) - log_expit(margins).sum()
        return value, np.array([slope / SLOPE_VARIANCE + pulls @ standardised, pulls.sum()])

    slope, shift = minimize(loss, [1.0, 0.0], jac=True).x
    share: NDArray[np.float64] = expit(slope * (at - middle) / spread + shift)
    return share


def histogram(
    maps: Sequence[SimilarityMap], bins: int = 64, limits: tuple[float, float] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Count the scores of several maps.

    Parameters
    ----------
    maps : sequence of SimilarityMap
        At least one.
    bins : int, optional
        Number of bins, all of the same width.
    limits : tuple of float, optional
        Scores outside are not counted; by default the least and the greatest score.

    Returns
    -------
    counts : ndarray of int, shape (bins,)
        Patches per bin.
    edges : ndarray of float, shape (bins + 1,)
        In units of the cosine.
    """
    counts, edges = np.histogram(_scores(maps).astype(np.float64), bins, limits)
    return counts, edges


def _scores(maps: Sequence[SimilarityMap]) -> NDArray[np.float32]:
    return np.concatenate([one.cosine.ravel() for one in maps])


def threshold_labels(
    similarity: SimilarityMap, threshold: float, min_area: float = 0
) -> NDArray[np.int32]:
    """Return the connected patches whose scores reach a threshold as numbered objects.

    Parameters
    ----------
    similarity : SimilarityMap
    threshold : float
        In units of the cosine; a score that equals it counts.
    min_area : float, optional
        Objects of fewer pixels are dropped; padding does not count.

    Returns
    -------
    ndarray of int32, shape (rows, columns)
        0 for background, objects from 1 in the order of their first patches. Patches that touch
        at a corner are connected. `upsample_nearest` brings it to the size of the image.
    """
    from skimage.measure import label
    from skimage.segmentation import relabel_sequential

    objects = label(similarity.cosine >= threshold, connectivity=2)
    areas = np.bincount(objects.ravel(), patch_areas(similarity.grid).ravel())
    kept, _, _ = relabel_sequential(np.where(areas[objects] >= min_area, objects, 0))
    return np.asarray(kept, np.int32)

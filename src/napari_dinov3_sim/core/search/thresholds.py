"""Thresholds of scores, and the objects that reach a threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.search.regions import patch_areas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.search.similarity import SimilarityMap


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

    return float(threshold_otsu(_scores(maps)))


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

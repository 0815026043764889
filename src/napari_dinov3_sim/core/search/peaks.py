"""Peaks of a map: patches whose score is the greatest in their surroundings."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.search.similarity import SimilarityMap


@dataclass(frozen=True)
class Peak:
    """A place and its score.

    Attributes
    ----------
    x, y : float
        Centre of the visible part of the patch, in pixels whose centres are at integers.
    score : float
        In units of the cosine.
    """

    x: float
    y: float
    score: float


def patch_center(row: int, column: int, grid: PatchGrid) -> tuple[float, float]:
    """Return the centre (x, y) of the part of a patch that lies inside the image.

    Parameters
    ----------
    row, column : int
        Of the patch.
    grid : PatchGrid

    Returns
    -------
    tuple of float
        In pixels; the centre of pixel i is at i.
    """
    side, (height, width) = grid.patch_size, grid.image_shape
    x = (column * side + min((column + 1) * side, width) - 1) / 2
    y = (row * side + min((row + 1) * side, height) - 1) / 2
    return x, y


def find_peaks(
    similarity: SimilarityMap,
    threshold: float | None = None,
    min_distance: float = 0,
    limit: int | None = None,
) -> list[Peak]:
    """Return the local maxima of a map, best first.

    Parameters
    ----------
    similarity : SimilarityMap
    threshold : float, optional
        Least score of a peak, in units of the cosine.
    min_distance : float, optional
        Peaks are at least so many pixels apart along x or along y, and at least one patch.
    limit : int, optional
        The greatest number of peaks.

    Returns
    -------
    list of Peak
        Patches that are greater than, or equal to, all others within the distance. Of equal
        ones that are too close, the first in reading order is kept. Patches at the border can
        be peaks. A map whose scores are all equal has none.
    """
    from skimage.feature import peak_local_max

    cosine, grid = similarity.cosine, similarity.grid
    if cosine.min() == cosine.max():
        return []
    least = cosine.min() if threshold is None else np.float32(threshold)
    places = peak_local_max(
        cosine,
        # Nothing in the map is farther apart, and memory grows with the square of the distance.
        min_distance=min(max(1, ceil(min_distance / grid.patch_size)), max(cosine.shape)),
        # The function keeps what is greater; a score that equals the threshold counts.
        threshold_abs=np.nextafter(least, np.float32(-np.inf)),
        exclude_border=False,
        num_peaks=np.inf if limit is None else limit,
    )
    return [_peak_at(int(row), int(column), similarity) for row, column in places]


def best_match(similarity: SimilarityMap, exclude: Collection[int] = ()) -> Peak | None:
    """Return the place of the greatest score.

    Parameters
    ----------
    similarity : SimilarityMap
    exclude : collection of int, optional
        Row-major indices of patches that do not count, for example those that were visited.

    Returns
    -------
    Peak or None
        The first in reading order of equals; None if no patch is left.
    """
    scores = similarity.cosine.ravel().copy()
    scores[list(exclude)] = -np.inf
    best = int(scores.argmax())
    if scores[best] == -np.inf:
        return None
    return _peak_at(*divmod(best, similarity.grid.columns), similarity)


def _peak_at(row: int, column: int, similarity: SimilarityMap) -> Peak:
    x, y = patch_center(row, column, similarity.grid)
    return Peak(x, y, float(similarity.cosine[row, column]))

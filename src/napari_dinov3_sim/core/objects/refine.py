"""Scores of patches, refined to pixels with the image itself as guide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.objects.guide import PixelGuide

RIDGE = 2e-3
"""Variance of a feature below which it explains little, with colours in [0, 1]."""

ROWS = 16
"""Rows of pixels at a time; of 1024², in colours, they stay in the cache of a core."""

REACH = 1
"""Patches to each side that a regression sees."""


def refine_scores(cosine: NDArray[np.float32], guide: PixelGuide) -> NDArray[np.float32]:
    """Return a score for each pixel, from those of the patches and from the image.

    Around each patch the scores are regressed on the mean features of the patches, and the
    line found is applied to the pixels: where nuclei are dark, dark pixels get the score of
    nuclei. It is a guided filter (He et al. 2013, doi:10.1109/TPAMI.2012.213) whose regression
    is made on the support of the patches and not of pixels, as in area-to-point regression
    (Wang et al. 2015, doi:10.1016/j.rse.2015.06.003, for satellite images): a score is one of a
    whole patch, and interpolated between patches it would be blurred already.

    Parameters
    ----------
    cosine : ndarray of float32, shape (rows, columns)
    guide : PixelGuide
        Of the same plane.

    Returns
    -------
    ndarray of float32, shape (H, W)
        In [-1, 1].
    """
    lines = _lines(cosine, guide.means)
    grid, out = guide.grid, np.empty(guide.grid.image_shape, np.float32)
    before, after, weight = _between(grid.image_shape[1], grid.columns, grid.patch_size)
    # `take` lays out what it gathers row by row, brackets do not, and then all below is slower.
    left, right = (lines.take(columns, axis=2) for columns in (before, after))
    across = left + (right - left) * weight
    above, below, weight = _between(grid.image_shape[0], grid.rows, grid.patch_size)
    for top in range(0, grid.image_shape[0], ROWS):
        rows = slice(top, top + ROWS)
        upper, lower = (across.take(one[rows], axis=1) for one in (above, below))
        line = upper + (lower - upper) * weight[rows, np.newaxis]
        line[:-1] *= guide.features[:, rows]
        line.sum(axis=0, out=out[rows])
    return np.clip(out, -1.0, 1.0, out=out)


def _lines(cosine: NDArray[np.float32], means: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return slopes and offset of the regression around each patch, shape (k + 1, rows, columns).

    They are averaged over the regressions that see a patch, as in a guided filter.
    """
    features, scores = means.astype(np.float64), cosine.astype(np.float64)
    count = features.shape[-1]
    mean, level = _box(features), _box(scores)
    products = features[..., :, np.newaxis] * features[..., np.newaxis, :]
    variance = _box(products) - mean[..., :, np.newaxis] * mean[..., np.newaxis, :]
    shared = _box(features * scores[..., np.newaxis]) - mean * level[..., np.newaxis]
    slopes = np.linalg.solve(variance + RIDGE * np.eye(count), shared[..., np.newaxis])[..., 0]
    offset = level - (slopes * mean).sum(axis=-1)
    joined = np.concatenate([slopes, offset[..., np.newaxis]], axis=-1)
    return np.ascontiguousarray(np.moveaxis(_box(joined), -1, 0), np.float32)


def _box(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over windows of patches; beyond the border, the outermost go on."""
    from scipy.ndimage import uniform_filter

    side = 2 * REACH + 1
    found: NDArray[np.float64] = uniform_filter(
        values, (side, side) + (1,) * (values.ndim - 2), mode="nearest"
    )
    return found


def _between(
    pixels: int, patches: int, side: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    """Return the patch before and the patch after each pixel, and the weight of the latter."""
    place = np.clip((np.arange(pixels) + 0.5) / side - 0.5, 0, patches - 1)
    before = np.minimum(place.astype(np.intp), max(patches - 2, 0))
    after = np.minimum(before + 1, patches - 1)
    return before, after, (place - before).astype(np.float32)

"""Objects of pixels: what reaches a threshold, within limits of size, split where they touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.search.regions import patch_areas
from napari_dinov3_sim.core.search.thresholds import threshold_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.search.similarity import SimilarityMap


SPECK = 0.25
"""Share of a patch: what is smaller cannot be told by an embedding of a patch, and is no object;
a hole of that size is filled."""


@dataclass(frozen=True)
class ObjectRules:
    """What counts as an object.

    Attributes
    ----------
    min_area, max_area : float
        In pixels of the array that is labelled; objects outside are dropped.
    split : bool
        Whether objects that touch are split, see `split_touching`.
    """

    min_area: float = 0.0
    max_area: float = float("inf")
    split: bool = False


def label_objects(
    scores: NDArray[np.float32], threshold: float, rules: ObjectRules, patch_size: int = 1
) -> NDArray[np.int32]:
    """Return the connected pixels whose scores reach a threshold as numbered objects.

    Parameters
    ----------
    scores : ndarray of float32, shape (H, W)
    threshold : float
        A score that equals it counts.
    rules : ObjectRules
    patch_size : int, optional
        Side of the patches that the scores were refined from; 1 for scores that were not.

    Returns
    -------
    ndarray of int32, shape (H, W)
        0 for background, objects from 1 in the order of their first pixels. Pixels that touch at
        a corner are connected.
    """
    speck = SPECK * patch_size**2 if patch_size > 1 else 0.0
    objects = _connected(scores >= np.float32(threshold))
    if speck > 1:
        objects = _without_pinholes(keep_sizes(objects, speck, float("inf")), speck)
    if rules.split:
        from napari_dinov3_sim.core.objects.splitting import split_touching

        objects = split_touching(objects > 0, patch_size)
    return keep_sizes(objects, rules.min_area, rules.max_area)


def label_patches(
    similarity: SimilarityMap, threshold: float, rules: ObjectRules
) -> NDArray[np.int32]:
    """Return the connected patches whose scores reach a threshold as numbered objects.

    Parameters
    ----------
    similarity : SimilarityMap
    threshold : float
    rules : ObjectRules
        Areas are in pixels of the unpadded image.

    Returns
    -------
    ndarray of int32, shape (rows, columns)
        As `threshold_labels` returns it.
    """
    if rules.split:
        from napari_dinov3_sim.core.objects.splitting import split_touching

        objects = split_touching(similarity.cosine >= threshold, 1)
    else:
        objects = threshold_labels(similarity, threshold)
    areas = patch_areas(similarity.grid)
    return keep_sizes(objects, rules.min_area, rules.max_area, areas)


def keep_sizes(
    objects: NDArray[np.int32],
    min_area: float,
    max_area: float,
    sizes: NDArray[np.int64] | None = None,
) -> NDArray[np.int32]:
    """Return objects whose area is within limits, numbered anew in the same order.

    Parameters
    ----------
    objects : ndarray of int32
        Of any number of axes.
    min_area, max_area : float
    sizes : ndarray of int, optional
        Areas of the elements, of the same shape; by default each counts 1.
    """
    areas = np.bincount(objects.ravel(), None if sizes is None else sizes.ravel())
    kept = (areas >= min_area) & (areas <= max_area) & (areas > 0)
    if kept[1:].all():
        return objects
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return numbers[objects]


def _connected(found: NDArray[np.bool_]) -> NDArray[np.int32]:
    from scipy.ndimage import label

    objects, _ = label(found, np.ones((3,) * found.ndim), output=np.int32)
    return np.asarray(objects)


def _without_pinholes(objects: NDArray[np.int32], speck: float) -> NDArray[np.int32]:
    """Return objects in which small holes are filled.

    What touches the border of the image is no hole, but may lie between two objects.
    """
    from scipy.ndimage import label

    holes, _ = label(objects == 0, output=np.int32)
    areas = np.bincount(holes.ravel())
    small = areas < speck
    for side in (holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        small[side] = False
    small[0] = False
    inside = np.flatnonzero(small[holes])
    if not len(inside):
        return objects
    numbers, first = np.unique(holes.ravel()[inside], return_index=True)
    # Above the first pixel of a hole lies the one object that is around all of it.
    around = np.zeros(len(areas), np.int32)
    around[numbers] = objects.ravel()[inside[first] - objects.shape[1]]
    filled: NDArray[np.int32] = objects.copy()
    filled.ravel()[inside] = around[holes.ravel()[inside]]
    return filled

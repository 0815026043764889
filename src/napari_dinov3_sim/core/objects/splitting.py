"""Objects that touch, split where they are narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMOOTHED = 0.125
"""Standard deviation of the Gaussian over distances, in sides of a patch: a rough edge makes no
object of its own."""

DEPTH = 0.1
"""How much narrower a neck is than the smaller of the two parts at its sides, at least, in parts
of the depth of that one."""

FINE = 8
"""Seeds are looked for on so many pixels along a patch, which saves most of the time."""


def split_touching(found: NDArray[np.bool_], patch_size: int) -> NDArray[np.int32]:
    """Return the parts of what is found, split by a watershed from where it is deepest.

    Seeds are the maxima of the distance to the border that stand out from the necks around them;
    see `skimage.segmentation.watershed`.

    Parameters
    ----------
    found : ndarray of bool, shape (H, W)
    patch_size : int
        In pixels.

    Returns
    -------
    ndarray of int32, shape (H, W)
        Numbered in the order of their first pixels.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter, label
    from skimage.morphology import h_maxima
    from skimage.segmentation import watershed

    if not found.any():
        return np.zeros(found.shape, np.int32)
    # Beyond the image lies background, or an object in the corner would have no end.
    depth = distance_transform_edt(np.pad(found, 1))[1:-1, 1:-1]
    depth = gaussian_filter(depth, SMOOTHED * patch_size) * found
    # In the logarithm, a neck is as narrow as it is beside its object, not in pixels.
    relief = np.log(np.maximum(depth, 0.5))
    every = max(1, patch_size // FINE)
    peaks = h_maxima(relief[::every, ::every], -np.log1p(-DEPTH)) * found[::every, ::every]
    seeds = np.zeros(found.shape, np.int32)
    seeds[::every, ::every], _ = label(peaks, np.ones((3, 3)), output=np.int32)
    parts = watershed(-relief, seeds, mask=found, connectivity=2)
    return _in_order(_with_seedless(parts, found))


def _with_seedless(parts: NDArray[np.int32], found: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the parts, and each connected piece that no seed lies in as one of its own."""
    from scipy.ndimage import label

    rest, _ = label(found & (parts == 0), np.ones((3, 3)), output=np.int32)
    return np.where(rest, rest + np.int32(parts.max()), parts).astype(np.int32)


def _in_order(objects: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number objects in the order of their first pixels."""
    numbers, first = np.unique(objects, return_index=True)
    numbers, first = numbers[numbers > 0], first[numbers > 0]
    new = np.zeros(int(objects.max(initial=0)) + 1, np.int32)
    new[numbers[np.argsort(first)]] = np.arange(1, len(numbers) + 1)
    return new[objects]

"""Objects of planes, connected through depth and time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.images.levels import Position


def number_through(
    planes: Mapping[Position, NDArray[np.int32]],
) -> tuple[dict[Position, NDArray[np.int32]], int]:
    """Return the objects of planes, each plane's numbered after those before it, and how many.

    Parameters
    ----------
    planes : mapping of tuple of int to ndarray of int32, shape (H, W)
        Objects from 1, by the position of their plane.
    """
    numbered, count = {}, 0
    for position, objects in planes.items():
        numbered[position] = np.where(objects, objects + np.int32(count), 0).astype(np.int32)
        count += int(objects.max(initial=0))
    return numbered, count


def connect_planes(
    planes: Mapping[Position, NDArray[np.int32]], axes: Sequence[int]
) -> tuple[dict[Position, NDArray[np.int32]], int]:
    """Return objects with one number where they lie over each other in neighbouring planes.

    Objects that were parted in a plane stay parted there, unless an object of a neighbouring
    plane lies over both. They are in the order of their first pixels.

    Parameters
    ----------
    planes : mapping of tuple of int to ndarray of int32, shape (H, W)
        Objects from 1, by the position of their plane.
    axes : sequence of int
        Along which of the numbers of a position objects are connected.

    Returns
    -------
    planes : dict of tuple of int to ndarray of int32
    count : int
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ordered = {position: planes[position] for position in sorted(planes)}
    numbered, count = number_through(ordered)
    pairs = [np.empty((0, 2), np.int64)]
    for position, objects in numbered.items():
        for axis in axes:
            after = (*position[:axis], position[axis] + 1, *position[axis + 1 :])
            if after in numbered:
                pairs.append(_overlaps(objects, numbered[after]))
    links = np.concatenate(pairs)
    if not len(links):
        return numbered, count
    graph = coo_array((np.ones(len(links), bool), links.T), shape=(count + 1, count + 1))
    _, parts = connected_components(graph, directed=False)
    # Part 0 is the background; the first of each part, in the order of their numbers.
    _, first = np.unique(parts, return_index=True)
    new = np.argsort(np.argsort(first)).astype(np.int32)[parts]
    return {position: new[objects] for position, objects in numbered.items()}, int(new.max())


def _overlaps(one: NDArray[np.int32], other: NDArray[np.int32]) -> NDArray[np.int64]:
    both = (one > 0) & (other > 0)
    found: NDArray[np.int64] = np.unique(
        np.stack([one[both], other[both]], axis=1).astype(np.int64), axis=0
    )
    return found

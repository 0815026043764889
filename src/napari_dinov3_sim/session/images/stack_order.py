"""The order in which planes of stacks are embedded: the nearest to the shown one first."""

from __future__ import annotations

from dataclasses import replace
from heapq import merge
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Iterable, Iterator

    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey


def neighbours(plane: Plane) -> list[tuple[int, Plane]]:
    """Return all other planes of a stack along the same axes, the nearest ones first.

    Returns
    -------
    list of (int, Plane)
        With the distance: the greatest number of steps along any slider.
    """
    axes = [axis for axis, _ in plane.key.position]
    here = np.array(plane.key.indices, int)
    shape = [plane.shape[axis] for axis in axes]
    grid = np.indices(shape).reshape(len(axes), int(np.prod(shape))).T
    distances = np.abs(grid - here).max(axis=1, initial=0)
    order = np.argsort(distances, stable=True)
    found = []
    for index in order[distances[order] > 0].tolist():
        position = tuple(zip(axes, grid[index].tolist(), strict=True))
        key = plane.key._replace(position=position)
        found.append((int(distances[index]), replace(plane, key=key)))
    return found


class StackOrder:
    """Ranks the planes of each stack once, as long as the same one is shown.

    Parameters
    ----------
    images : container of hashable
        Ids of all images, as they come and go.
    """

    def __init__(self, images: Container[Hashable]) -> None:
        self._images = images
        self._ranked: dict[PlaneKey, list[tuple[int, Plane]]] = {}

    def other_planes(self, shown: Iterable[Plane]) -> Iterator[Plane]:
        """Yield the planes of the same stacks that are not shown, the nearest ones first."""
        ranked = merge(*(self._neighbours(one) for one in shown), key=itemgetter(0))
        return (plane for _, plane in ranked)

    def _neighbours(self, plane: Plane) -> list[tuple[int, Plane]]:
        """Return a stack's other planes with their distance in steps of the sliders."""
        if plane.key not in self._ranked:
            self._ranked = {
                key: planes
                for key, planes in self._ranked.items()
                if key.layer_id in self._images and key.layer_id != plane.key.layer_id
            }
            self._ranked[plane.key] = neighbours(plane)
        return self._ranked[plane.key]

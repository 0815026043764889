"""The order in which planes of stacks are embedded: the nearest to the shown one first."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from heapq import merge
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Iterable, Iterator

    from numpy.typing import NDArray

    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey


@dataclass(frozen=True, eq=False)
class RankedPlanes:
    """The other planes of a stack along the same axes, the nearest ones first.

    A stack may have tens of thousands, of which a few are asked for: planes are made when they
    are, and kept.
    """

    plane: Plane
    places: NDArray[np.intp] = field(repr=False)
    distances: NDArray[np.intp] = field(repr=False)
    made: list[tuple[int, Plane]] = field(default_factory=list, repr=False)

    def __iter__(self) -> Iterator[tuple[int, Plane]]:
        """Yield planes with their distance: the greatest number of steps along any slider."""
        for number in range(len(self.places)):
            if number == len(self.made):
                self.made.append(self._make(number))
            yield self.made[number]

    def _make(self, number: int) -> tuple[int, Plane]:
        key = self.plane.key
        axes = [axis for axis, _ in key.position]
        position = tuple(zip(axes, self.places[number].tolist(), strict=True))
        return int(self.distances[number]), replace(
            self.plane, key=key._replace(position=position)
        )


def neighbours(plane: Plane) -> RankedPlanes:
    """Rank all other planes of a stack along the same axes."""
    axes = [axis for axis, _ in plane.key.position]
    here = np.array(plane.key.indices, int)
    shape = [plane.shape[axis] for axis in axes]
    grid = np.indices(shape).reshape(len(axes), int(np.prod(shape))).T
    distances = np.abs(grid - here).max(axis=1, initial=0)
    order = np.argsort(distances, stable=True)
    order = order[distances[order] > 0]
    return RankedPlanes(plane, grid[order], distances[order])


class StackOrder:
    """Ranks the planes of each stack once, as long as the same one is shown.

    Parameters
    ----------
    images : container of hashable
        Ids of all images, as they come and go.
    """

    def __init__(self, images: Container[Hashable]) -> None:
        self._images = images
        self._ranked: dict[PlaneKey, RankedPlanes] = {}

    def other_planes(self, shown: Iterable[Plane]) -> Iterator[Plane]:
        """Yield the planes of the same stacks that are not shown, the nearest ones first."""
        ranked = merge(*(self._neighbours(one) for one in shown), key=itemgetter(0))
        return (plane for _, plane in ranked)

    def _neighbours(self, plane: Plane) -> RankedPlanes:
        if plane.key not in self._ranked:
            self._ranked = {
                key: planes
                for key, planes in self._ranked.items()
                if key.layer_id in self._images and key.layer_id != plane.key.layer_id
            }
            self._ranked[plane.key] = neighbours(plane)
        return self._ranked[plane.key]

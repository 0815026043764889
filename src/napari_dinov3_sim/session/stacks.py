"""The planes of stacks that are not shown, in the order in which they are dealt with."""

from __future__ import annotations

from heapq import merge
from operator import itemgetter
from typing import TYPE_CHECKING

from napari_dinov3_sim.session.planes import neighbours

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Iterable, Iterator

    from napari_dinov3_sim.session.planes import Plane, PlaneKey


class Stacks:
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

"""The values of suggested classes, and their computation in the worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from napari_dinov3_sim.core.state import PatchImageState
from napari_dinov3_sim.session.gallery.matches import ChosenPlace, PatchId
from napari_dinov3_sim.session.images.patch_array import create_layer_data
from napari_dinov3_sim.session.results.computations import state_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.search.clusters import Clusters
    from napari_dinov3_sim.session.images.patch_array import LayerData
    from napari_dinov3_sim.session.images.planes import LayerAxes, Plane
    from napari_dinov3_sim.session.results.computations import EmbeddedPlane
    from napari_dinov3_sim.session.results.result_jobs import Check
    from napari_dinov3_sim.store import EmbeddingStore

PLACES = 8
"""Places that are remembered of each class, the most typical ones."""


@dataclass(frozen=True)
class SuggestedClass:
    """A class that is suggested.

    Attributes
    ----------
    number : int
        From 1, the one that covers most; its value in the class maps.
    colour : str
        As ``#rrggbb``.
    share : float
        Of the pixels of all images, from 0 to 1.
    images : int
        How many of the images have some of it.
    places : tuple of PatchId
        The most typical patches, of as many images as there are.
    class_name : str or None
        The class of the query that was made of it, as long as that has points.
    """

    number: int
    colour: str
    share: float
    images: int
    places: tuple[PatchId, ...] = field(repr=False)
    class_name: str | None = None


@dataclass(frozen=True, eq=False)
class FoundClasses:
    """What was found in the worker.

    Attributes
    ----------
    shares : tuple of float
        Of each class.
    images : tuple of int
        In how many images each class is.
    places : tuple of tuple of ChosenPlace
        Of each class.
    maps : mapping of LayerAxes to LayerData
        The class map of each image.
    """

    shares: tuple[float, ...]
    images: tuple[int, ...]
    places: tuple[tuple[ChosenPlace, ...], ...] = field(repr=False)
    maps: Mapping[LayerAxes, LayerData] = field(repr=False)


class StoredStates(Sequence[PatchImageState]):
    """The embeddings of planes, each fetched when it is its turn: all may be more than fit.

    Parameters
    ----------
    planes : sequence of (Plane, StateHandle)
    store : EmbeddingStore
    """

    def __init__(self, planes: Sequence[EmbeddedPlane], store: EmbeddingStore) -> None:
        self._planes, self._store = planes, store

    def __len__(self) -> int:
        return len(self._planes)

    @overload
    def __getitem__(self, index: int) -> PatchImageState: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[PatchImageState]: ...

    def __getitem__(self, index: int | slice) -> PatchImageState | Sequence[PatchImageState]:
        if isinstance(index, slice):
            return StoredStates(self._planes[index], self._store)
        return state_of(*self._planes[index], self._store)


def find_classes(
    planes: Sequence[EmbeddedPlane], count: int, store: EmbeddingStore, check: Check
) -> Iterator[FoundClasses]:
    """Give the clusters of all planes together, as classes to be suggested."""
    from napari_dinov3_sim.core.search.clusters import find_clusters

    check(0, len(planes) + 1)  # whatever happens then, its end is told
    states = StoredStates(planes, store)
    clusters = find_clusters(states, count, progress=check)
    found = [plane for plane, _ in planes]
    grids = [state.grid for state in states]
    numbers = range(1, len(clusters) + 1)
    yield FoundClasses(
        tuple(float(share) for share in clusters.shares),
        tuple(_images_with(clusters.numbers, found, number) for number in numbers),
        tuple(_places_of(clusters, found, grids, number) for number in numbers),
        _maps_of(clusters.numbers, found, grids),
    )


def _images_with(maps: Sequence[NDArray[np.uint8]], planes: Sequence[Plane], number: int) -> int:
    pairs = zip(maps, planes, strict=True)
    return len({plane.key.layer for one, plane in pairs if (one == number).any()})


def _places_of(
    clusters: Clusters, planes: Sequence[Plane], grids: Sequence[PatchGrid], number: int
) -> tuple[ChosenPlace, ...]:
    from napari_dinov3_sim.core.search.clusters import central_places

    found = []
    places = central_places(clusters, grids, number, PLACES)
    for rank, place in enumerate(places, start=1):
        plane = planes[place.image]
        patch = PatchId(plane.key, place.row, place.column)
        # They are not found by a threshold: all of them count.
        found.append(ChosenPlace(patch, plane, grids[place.image], place.score, rank, -1.0))
    return tuple(found)


def _maps_of(
    maps: Sequence[NDArray[np.uint8]], planes: Sequence[Plane], grids: Sequence[PatchGrid]
) -> dict[LayerAxes, LayerData]:
    values: dict[LayerAxes, dict[tuple[int, ...], NDArray[np.uint8]]] = {}
    of_layer: dict[LayerAxes, tuple[Plane, PatchGrid]] = {}
    for one, plane, grid in zip(maps, planes, grids, strict=True):
        values.setdefault(plane.key.layer, {})[plane.key.indices] = one
        of_layer[plane.key.layer] = plane, grid
    return {
        layer: create_layer_data(values[layer], grid, layer, plane.shape, fill=0)
        for layer, (plane, grid) in of_layer.items()
    }

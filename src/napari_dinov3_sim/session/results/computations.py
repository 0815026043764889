"""Computations of results from maps and embeddings, in the worker: a new result begins here.

Its mathematics belongs in `core/search/`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import StateError
from napari_dinov3_sim.session.images.patch_array import (
    LayerData,
    PatchwiseArray,
    create_layer_data,
    pyramid_shapes,
)
from napari_dinov3_sim.session.images.planes import data_coordinates, level_ratios
from napari_dinov3_sim.session.objects.plane_objects import ObjectRequest, label_plane
from napari_dinov3_sim.store.safetensors_io import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.images.levels import Position
    from napari_dinov3_sim.core.search.matches import Matches
    from napari_dinov3_sim.core.search.peaks import Peak
    from napari_dinov3_sim.core.search.similarity import SimilarityMap
    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.session.images.planes import LayerAxes, Plane, PlaneKey
    from napari_dinov3_sim.session.objects.pixel_scores import PixelScores, SearchedPlane
    from napari_dinov3_sim.session.results.result_jobs import Check
    from napari_dinov3_sim.session.worker_messages import PlaneMaps, StateHandle
    from napari_dinov3_sim.store import EmbeddingStore


MAX_EDITABLE = 2**26
"""Labels up to so many elements, 128 MiB, are plain arrays; above they are computed where seen."""

MAX_SIDE = 8192
"""Graphics cards draw no longer side without a pyramid."""

MAX_COLOURS = 2**24
"""Pixels up to which colours are a plain array of 48 or 64 MiB."""

CHUNK = 1024
"""Side of the pieces in which larger colour images are computed."""


def create_label_data(
    values: Mapping[Position, NDArray[np.int32]],
    grid: PatchGrid,
    layer: LayerAxes,
    shape: tuple[int, ...],
) -> LayerData:
    """Return labels of the image's shape, 0 where a plane has no values.

    Parameters
    ----------
    values : mapping of tuple of int to ndarray of int32, shape (rows, columns)
        Labels per patch, by the position of their plane.
    grid, layer, shape
        See `create_layer_data`.

    Returns
    -------
    LayerData
        A plain array to paint in, up to `MAX_EDITABLE`.
    """
    highest = max(int(part.max()) for part in values.values())
    # As many numbers again are left to the user.
    dtype = np.uint16 if highest < 2**15 else np.int32
    small = {position: part.astype(dtype) for position, part in values.items()}
    sides = [shape[axis] for axis in layer.axes]
    if int(np.prod(shape)) > MAX_EDITABLE or max(sides) > MAX_SIDE:
        return create_layer_data(small, grid, layer, shape, fill=0)
    whole = PatchwiseArray(shape, shape, layer.axes, grid, small, fill=0)
    # A gather leaves columns first, which napari draws and checksums read ten times as slowly.
    return LayerData(np.ascontiguousarray(whole), False, (0.0, float(highest)))


def create_colour_data(
    values: Mapping[Position, NDArray[np.uint8]],
    grid: PatchGrid,
    layer: LayerAxes,
    shape: tuple[int, ...],
) -> LayerData:
    """Return an RGB image of the image's shape; RGBA where planes without values are clear.

    Parameters
    ----------
    values : mapping of tuple of int to ndarray of uint8, shape (rows, columns, 3)
        Colours per patch, by the position of their plane.
    grid, layer, shape
        See `create_layer_data`.

    Returns
    -------
    LayerData
        A plain array up to `MAX_COLOURS`, else a pyramid that is computed where it is seen.
    """
    channels = [{at: part[..., c] for at, part in values.items()} for c in range(3)]
    planes = int(np.prod([size for axis, size in enumerate(shape) if axis not in layer.axes]))
    if planes > len(values):
        channels.append({at: np.full(grid.shape, 255, np.uint8) for at in values})
    small = int(np.prod(shape)) <= MAX_COLOURS
    shapes = [shape] if small else pyramid_shapes(shape, layer.axes)
    levels = []
    for level in shapes:
        parts = [PatchwiseArray(level, shape, layer.axes, grid, part, fill=0) for part in channels]
        levels.append(_plain(parts) if small else _lazy(parts))
    return LayerData(levels if len(levels) > 1 else levels[0], len(levels) > 1, (0.0, 255.0))


def _plain(parts: list[PatchwiseArray]) -> NDArray[np.uint8]:
    return np.stack([np.asarray(part) for part in parts], axis=-1)


def _lazy(parts: list[PatchwiseArray]) -> Any:
    import dask.array as da

    axes = parts[0].axes
    chunks = tuple(CHUNK if axis in axes else 1 for axis in range(parts[0].ndim))
    lazy = [da.from_array(part, chunks, name=False) for part in parts]  # type: ignore[no-untyped-call]
    return da.stack(lazy, axis=-1)  # type: ignore[no-untyped-call]


def checksum(data: Any, multiscale: bool = False) -> int:
    """Return a number that tells whether layer data are still what they were.

    A plain array is read through, because it can be painted in; what is computed on demand can
    only be replaced.

    Parameters
    ----------
    data : ndarray, PatchwiseArray or dask array, or levels of these
    multiscale : bool, optional
        Whether `data` are levels.
    """
    whole = data[0] if multiscale else data
    if isinstance(whole, np.ndarray):
        return crc32(np.ascontiguousarray(whole))
    if isinstance(whole, PatchwiseArray):
        return sum(checksum(part) for part in whole.values.values())
    return zlib.crc32(str(getattr(whole, "name", id(whole))).encode())


@dataclass(frozen=True, eq=False)
class AnsweredImage:
    """An image and what is known about it.

    Attributes
    ----------
    plane : Plane
        The one that is shown.
    maps : mapping of PlaneKey to PlaneMaps
        Of this and of other planes along the same axes.
    """

    plane: Plane
    maps: Mapping[PlaneKey, PlaneMaps] = field(repr=False)

    def of(self, class_name: str) -> dict[PlaneKey, SimilarityMap]:
        """Return the map of a class for each plane, the first plane first."""
        from napari_dinov3_sim.core.search.similarity import SimilarityMap

        ordered = sorted(self.maps.items(), key=lambda item: item[0].indices)
        return {key: SimilarityMap(maps.cosines[class_name], maps.grid) for key, maps in ordered}

    @property
    def ratios(self) -> NDArray[np.float64]:
        """Pixels of level 0 per pixel of the embedded level, along rows and along columns."""
        return level_ratios(self.plane)


def thresholds(
    images: Sequence[AnsweredImage], classes: Sequence[str], given: Mapping[str, float]
) -> dict[str, float]:
    """Return the threshold of each class: the one given, or Otsu's over all images."""
    from napari_dinov3_sim.core.search.thresholds import otsu_threshold

    return {
        class_name: given[class_name]
        if class_name in given
        else otsu_threshold([one for image in images for one in image.of(class_name).values()])
        for class_name in classes
    }


@dataclass(frozen=True, eq=False)
class FoundLabels:
    """The objects of one class in one image; `several` if there are other classes.

    `planes` are the positions that were searched.
    """

    layer: LayerAxes
    class_name: str
    several: bool
    threshold: float
    objects: int
    data: LayerData = field(repr=False)
    checksum: int
    planes: frozenset[Position] = frozenset()


@dataclass(frozen=True, eq=False)
class SearchedImage:
    """An image whose objects are wanted.

    Attributes
    ----------
    image : AnsweredImage
    planes : mapping of PlaneKey to SearchedPlane
        Each of its planes.
    connected : tuple of int
        Along which of the axes of its stack objects are connected.
    """

    image: AnsweredImage
    planes: Mapping[PlaneKey, SearchedPlane] = field(repr=False)
    connected: tuple[int, ...]


def find_labels(
    images: Sequence[SearchedImage],
    classes: Sequence[str],
    given: Mapping[str, float],
    scores: PixelScores,
    check: Check,
) -> Iterator[FoundLabels]:
    """Give what is connected at or above the thresholds, image by image.

    Objects of a stack are found plane by plane, and connected or numbered through.
    """
    levels = thresholds([one.image for one in images], classes, given)
    total = len(classes) * sum(len(one.planes) for one in images)
    done = iter(range(1, total + 1))
    for image in images:
        for class_name in classes:
            yield _labels_of(
                image, class_name, levels[class_name], scores, lambda: check(next(done), total)
            )


def _labels_of(
    searched: SearchedImage,
    class_name: str,
    level: float,
    scores: PixelScores,
    step: Callable[[], None],
) -> FoundLabels:
    from napari_dinov3_sim.core.objects.depth import connect_planes, number_through

    image, found = searched.image, {}
    for key, one in image.of(class_name).items():
        request = ObjectRequest(
            searched.planes[key], class_name, one.cosine, one.grid, level, shown=False
        )
        found[key.indices] = label_plane(request, scores)
        step()
    values, grid = _on_one_grid(found)
    if searched.connected:
        values, count = connect_planes(values, searched.connected)
    else:
        values, count = number_through(values)
    layer = image.plane.key.layer
    data = create_label_data(values, grid, layer, image.plane.shape)
    several = any(len(maps.cosines) > 1 for maps in image.maps.values())
    number = checksum(data.data, data.multiscale)
    planes = frozenset(values)
    return FoundLabels(layer, class_name, several, level, count, data, number, planes)


def _on_one_grid(
    found: Mapping[Position, tuple[NDArray[np.int32], PatchGrid]],
) -> tuple[dict[Position, NDArray[np.int32]], PatchGrid]:
    """Return the labels of all planes on the finest of their grids."""
    from napari_dinov3_sim.core.search.similarity import upsample_nearest

    finest = min((grid for _, grid in found.values()), key=lambda grid: grid.patch_size)
    values = {
        at: labels if grid == finest else upsample_nearest(labels, grid)
        for at, (labels, grid) in found.items()
    }
    return values, finest


@dataclass(frozen=True, eq=False)
class FoundPeak:
    """A peak of a stack or an image.

    Attributes
    ----------
    class_name : str
    coordinates : ndarray, shape (ndim,)
        In the data of its layer.
    score : float
        In units of the cosine.
    """

    class_name: str
    coordinates: NDArray[np.float64]
    score: float


@dataclass(frozen=True, eq=False)
class FoundPeaks:
    """The peaks of one image, class by class and the best first."""

    layer: LayerAxes
    peaks: tuple[FoundPeak, ...] = field(repr=False)
    thresholds: Mapping[str, float]
    size: float
    """Side of a patch in pixels of level 0, to draw with."""


def find_image_peaks(
    images: Sequence[AnsweredImage],
    classes: Sequence[str],
    given: Mapping[str, float],
    min_distance: float,
) -> Iterator[FoundPeaks]:
    """Give the local maxima at or above their thresholds, image by image.

    `min_distance` is in pixels of level 0, within a plane.
    """
    levels = thresholds(images, classes, given)
    for image in images:
        found = [
            peak
            for class_name in classes
            for peak in _peaks_of(image, class_name, levels[class_name], min_distance)
        ]
        side = next(iter(image.maps.values())).grid.patch_size * float(image.ratios.mean())
        yield FoundPeaks(image.plane.key.layer, tuple(found), levels, side)


def _peaks_of(
    image: AnsweredImage, class_name: str, level: float, min_distance: float
) -> list[FoundPeak]:
    from napari_dinov3_sim.core.search.peaks import find_peaks

    found = []
    # Of unequal ratios the smaller one: peaks are never nearer than asked for.
    distance = min_distance / float(image.ratios.min())
    for key, similarity in image.of(class_name).items():
        peaks = find_peaks(similarity, level, distance)
        places = data_coordinates(image.plane, key, _places(peaks))
        found += [
            FoundPeak(class_name, place, peak.score)
            for place, peak in zip(places, peaks, strict=True)
        ]
    return sorted(found, key=lambda peak: -peak.score)


def _places(peaks: Sequence[Peak]) -> NDArray[np.float64]:
    return np.array([(peak.x, peak.y) for peak in peaks], float).reshape(-1, 2)


@dataclass(frozen=True, eq=False)
class FoundMatches:
    """Mutual best matches of two images; row i of one set of coordinates belongs to the other's.

    Attributes
    ----------
    layers : tuple of two LayerAxes
    coordinates : tuple of two ndarray, shape (n, ndim)
        In the data of their layers.
    cosine : ndarray of float32, shape (n,)
        Falling.
    sizes : tuple of two float
        Side of a patch in pixels of level 0.
    """

    layers: tuple[LayerAxes, LayerAxes]
    coordinates: tuple[NDArray[np.float64], NDArray[np.float64]]
    cosine: NDArray[np.float32]
    sizes: tuple[float, float]


EmbeddedPlane = tuple["Plane", "StateHandle"]


def find_matches(
    first: EmbeddedPlane, second: EmbeddedPlane, count: int, store: EmbeddingStore, check: Check
) -> Iterator[FoundMatches]:
    """Give the best pairs of patches that are each other's nearest neighbours."""
    from napari_dinov3_sim.core.search.matches import mutual_matches

    planes = first[0], second[0]
    states = state_of(*first, store), state_of(*second, store)
    matches: Matches = mutual_matches(*states, limit=count, progress=check)
    places = matches.first, matches.second
    one, other = (data_coordinates(p, p.key, at) for p, at in zip(planes, places, strict=True))
    sizes = [
        s.grid.patch_size * level_ratios(p).mean() for p, s in zip(planes, states, strict=True)
    ]
    layers = planes[0].key.layer, planes[1].key.layer
    yield FoundMatches(layers, (one, other), matches.cosine, (sizes[0], sizes[1]))


@dataclass(frozen=True, eq=False)
class FoundColours:
    """One image in the colours of its embeddings."""

    layer: LayerAxes
    data: LayerData = field(repr=False)
    checksum: int


def find_colours(planes: Sequence[EmbeddedPlane], store: EmbeddingStore) -> Iterator[FoundColours]:
    """Give the principal components of all planes in one basis as colours."""
    from napari_dinov3_sim.core.search.pca import pca_colours

    states = [state_of(plane, handle, store) for plane, handle in planes]
    for (plane, _), state, colours in zip(planes, states, pca_colours(states), strict=True):
        values = {plane.key.indices: np.round(colours * 255).astype(np.uint8)}
        data = create_colour_data(values, state.grid, plane.key.layer, plane.shape)
        yield FoundColours(plane.key.layer, data, checksum(data.data, data.multiscale))


def state_of(plane: Plane, handle: StateHandle, store: EmbeddingStore) -> PatchImageState:
    """Return the embeddings of a plane from where they are.

    Raises
    ------
    StateError
        No store has them any more.
    """
    state = handle.fetch(store)
    if state is None:
        raise StateError(
            f"The embeddings of {plane.name} are no longer kept; press Embed and try again."
        )
    return state

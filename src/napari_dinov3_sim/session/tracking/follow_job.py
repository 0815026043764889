"""The computation of tracks in the worker: what is in each plane, and which objects are one."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.images.planes import patch_borders
from napari_dinov3_sim.session.results.computations import MAX_EDITABLE, checksum

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.images.levels import Position
    from napari_dinov3_sim.core.objects.object_sums import ObjectSums
    from napari_dinov3_sim.session.images.planes import LayerAxes, Plane
    from napari_dinov3_sim.session.results.result_jobs import Check
    from napari_dinov3_sim.session.tracking.stack_axes import StackAxes
    from napari_dinov3_sim.session.worker_messages import StateHandle
    from napari_dinov3_sim.store import EmbeddingStore


@dataclass(frozen=True)
class FollowSettings:
    """How objects are followed; see `Tracking.follow`."""

    axis: int | str | None
    patches: float
    max_distance: float | None
    max_gap: int
    look: float


@dataclass(frozen=True, eq=False)
class LabelledPlanes:
    """The objects of one class in a stack, and what is known of its planes.

    Attributes
    ----------
    source : hashable
        Id of the Labels layer.
    class_name : str
    several : bool
        Whether there are other classes.
    labels : array_like of int
        Of the shape of the image, as they are now.
    plane : Plane
        Any plane of the image.
    grid : PatchGrid
    axes : StackAxes
    to_world : ndarray, shape (ndim, ndim)
        From data to a world whose axes all have the same unit.
    states : mapping of tuple of int to StateHandle
        Of the planes that are embedded, by position.
    scores : mapping of tuple of int to ndarray, shape (rows, columns)
        Of the class, by position.
    max_distance : float
        In the world.
    """

    source: Any
    class_name: str
    several: bool
    labels: Any = field(repr=False)
    plane: Plane
    grid: PatchGrid
    axes: StackAxes
    to_world: NDArray[np.float64] = field(repr=False)
    states: Mapping[Position, StateHandle] = field(repr=False)
    scores: Mapping[Position, NDArray[np.float32]] = field(repr=False)
    max_distance: float

    @property
    def layer(self) -> LayerAxes:
        """The image and the axes of its planes."""
        return self.plane.key.layer

    @property
    def other_axes(self) -> list[int]:
        """All axes but those of a plane."""
        return [axis for axis in range(len(self.plane.shape)) if axis not in self.layer.axes]

    @property
    def depth_axes(self) -> list[int]:
        """The axes along which objects may be several planes deep."""
        return [axis for axis in self.axes.space if self.plane.shape[axis] > 1]

    @property
    def pixel(self) -> float:
        """The area of a pixel in the world, or its volume where objects may have a depth."""
        sides = self.to_world[:, [*self.layer.axes, *self.depth_axes]]
        return float(np.prod(np.linalg.svd(sides, compute_uv=False)))

    @property
    def count(self) -> int:
        """How many planes there are."""
        return self.plane.stack_size

    def position(self, indices: Mapping[int, int]) -> Position:
        """Return the position of a plane, given its index along each of the other axes."""
        return tuple(indices[axis] for axis in self.other_axes)

    def pixels(self, indices: Mapping[int, int]) -> tuple[Any, ...]:
        """Return what a plane is in an array of the shape of the image."""
        axes = range(len(self.plane.shape))
        return tuple(indices.get(axis, slice(None)) for axis in axes)


@dataclass(frozen=True, eq=False)
class FoundTracks:
    """The tracks of one class in one stack.

    Attributes
    ----------
    asked : LabelledPlanes
    rows : ndarray of float, shape (n, 1 + ndim)
        As napari has tracks: the number, then the place in the data of the image. By number, then
        by frame.
    labels : ndarray of int, shape (n,)
        Of the objects.
    areas : ndarray of int, shape (n,)
        In pixels.
    scores : ndarray of float, shape (n,)
    parents : mapping of int to int
    tracked : ndarray or None
        Labels with the numbers of tracks; None where the labels are not held in memory.
    unknown : int
        Planes with objects of which no embeddings are kept.
    checksum : int
        Of the labels that were followed.
    """

    asked: LabelledPlanes
    rows: NDArray[np.float64] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    areas: NDArray[np.int64] = field(repr=False)
    scores: NDArray[np.float64] = field(repr=False)
    parents: Mapping[int, int]
    tracked: NDArray[Any] | None = field(repr=False)
    unknown: int
    checksum: int

    @property
    def count(self) -> int:
        """How many tracks there are."""
        return int(self.rows[:, 0].max()) if len(self.rows) else 0

    @property
    def longest(self) -> int:
        """The number of objects in the longest track."""
        return int(np.bincount(self.rows[:, 0].astype(int)).max()) if len(self.rows) else 0


def find_tracks(
    asked: Sequence[LabelledPlanes],
    settings: FollowSettings,
    store: EmbeddingStore,
    check: Check,
) -> Iterator[FoundTracks]:
    """Give the tracks of each class in each stack.

    Parameters
    ----------
    asked : sequence of LabelledPlanes
    settings : FollowSettings
    store : EmbeddingStore
    check : callable
        Called with (planes done, planes in all).
    """
    total, done = sum(one.count for one in asked), 0
    for one in asked:
        # Read before the labels are: of what is painted meanwhile, these are not the tracks.
        number, series = checksum(one.labels), []
        for at in product(*(range(one.plane.shape[axis]) for axis in one.axes.series)):
            fixed = dict(zip(one.axes.series, at, strict=True))
            frames = []
            for index in range(one.plane.shape[one.axes.along]):
                check(done, total)
                frames.append(_frame_of(one, {**fixed, one.axes.along: index}, store))
                done += len(frames[-1].places)
            series.append(_series_of(one, frames, settings))
        check(done, total)
        yield _tracks_of(one, series, number)


@dataclass(frozen=True, eq=False)
class _Frame:
    """What is in one frame.

    Attributes
    ----------
    places : tuple of dict of int to int
        Its planes.
    sums : ObjectSums
    unknown : int
        Planes with objects and without embeddings.
    """

    places: tuple[dict[int, int], ...]
    sums: ObjectSums
    unknown: int


@dataclass(frozen=True, eq=False)
class _Series:
    frames: list[_Frame]
    numbers: tuple[NDArray[np.int64], ...]
    parents: Mapping[int, int]


def _frame_of(asked: LabelledPlanes, fixed: Mapping[int, int], store: EmbeddingStore) -> _Frame:
    from napari_dinov3_sim.core.objects.object_sums import add_sums, at_depth, sum_objects

    borders = patch_borders(asked.plane, asked.grid)
    shape, parts, places, unknown = asked.plane.shape, [], [], 0
    for depth in product(*(range(shape[axis]) for axis in asked.axes.space)):
        indices = {**fixed, **dict(zip(asked.axes.space, depth, strict=True))}
        labels = np.asarray(asked.labels[asked.pixels(indices)])
        position = asked.position(indices)
        handle = asked.states.get(position)
        has_any = bool((labels > 0).any())
        state = handle.fetch(store) if has_any and handle is not None else None
        unknown += has_any and state is None
        vectors = None if state is None else state.vectors
        sums = sum_objects(labels, borders, vectors, asked.scores.get(position))
        coordinates = [float(indices.get(axis, 0)) for axis in range(len(shape))]
        parts.append(at_depth(sums, asked.layer.axes, coordinates))
        places.append(indices)
    return _Frame(tuple(places), add_sums(parts), unknown)


def _series_of(asked: LabelledPlanes, frames: list[_Frame], settings: FollowSettings) -> _Series:
    from napari_dinov3_sim.core.objects.tracking import TrackSettings, track_objects

    limits = TrackSettings(
        asked.max_distance, settings.max_gap, settings.look, depth=bool(asked.depth_axes)
    )
    tracks = track_objects(_same_length([_objects_of(asked, one) for one in frames]), limits)
    return _Series(frames, tracks.numbers, tracks.parents)


def _objects_of(asked: LabelledPlanes, frame: _Frame) -> Any:
    from napari_dinov3_sim.core.objects.tracking import FrameObjects

    places = frame.sums.centroids.copy()
    places[:, asked.axes.along] = 0  # how far apart frames are is no distance
    areas = np.asarray(frame.sums.areas * asked.pixel, np.float64)
    return FrameObjects(places @ asked.to_world.T, areas, frame.sums.directions)


def _same_length(frames: list[Any]) -> list[Any]:
    """Return frames whose embeddings are equally long, NaN where none is known."""
    from napari_dinov3_sim.core.objects.tracking import FrameObjects

    dim = max((frame.vectors.shape[1] for frame in frames), default=0)
    return [
        frame
        if frame.vectors.shape[1] == dim
        else FrameObjects(
            frame.places, frame.areas, np.full((len(frame), dim), np.nan, np.float32)
        )
        for frame in frames
    ]


def _tracks_of(asked: LabelledPlanes, series: list[_Series], number: int) -> FoundTracks:
    tracked = _empty_like(asked.labels)
    rows, labels, areas, scores = [], [], [], []
    parents: dict[int, int] = {}
    before = unknown = 0
    for one in series:
        for frame, own in zip(one.frames, one.numbers, strict=True):
            numbers = own + before
            rows.append(np.column_stack([numbers, frame.sums.centroids]))
            labels.append(frame.sums.labels)
            areas.append(frame.sums.areas)
            scores.append(frame.sums.mean_scores)
            unknown += frame.unknown
            if tracked is not None:
                _paint(tracked, asked, frame, numbers)
        parents |= {part + before: whole + before for part, whole in one.parents.items()}
        before += max((int(own.max()) for own in one.numbers if len(own)), default=0)
    table = np.concatenate(rows)
    order = np.lexsort((table[:, 1 + asked.axes.along], table[:, 0]))
    return FoundTracks(
        asked,
        table[order],
        np.concatenate(labels)[order],
        np.concatenate(areas)[order],
        np.concatenate(scores)[order],
        parents,
        tracked,
        unknown,
        number,
    )


def _empty_like(labels: Any) -> NDArray[Any] | None:
    if not isinstance(labels, np.ndarray) or labels.size > MAX_EDITABLE:
        return None
    return np.zeros(labels.shape, np.int32)


def _paint(
    tracked: NDArray[Any], asked: LabelledPlanes, frame: _Frame, numbers: NDArray[np.int64]
) -> None:
    """Give the pixels of each object the number of its track."""
    known = np.concatenate([[0], frame.sums.labels])
    values = np.concatenate([[0], numbers])
    for indices in frame.places:
        at = asked.pixels(indices)
        pixels = np.asarray(asked.labels[at])
        # Somebody may have painted other labels meanwhile; these are in no track.
        found = np.searchsorted(known, pixels).clip(max=len(known) - 1)
        tracked[at] = np.where(known[found] == pixels, values[found], 0)

"""Measurements of labels with more axes than a plane: plane by plane, or as volumes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.objects.measure import (
    ArrayPart,
    LabelledPixels,
    Placement,
    labels_in,
    measure_objects,
)
from napari_dinov3_sim.core.objects.object_table import ObjectTable, join_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.images.levels import Position

    Check = Callable[[int, int], None]

TIME = ("t", "time", "frame", "frames")
"""Names of an axis of time, in lower case."""


@dataclass(frozen=True, eq=False)
class LabelledStack:
    """Labels of an image, a stack or a series, and the values under them.

    Attributes
    ----------
    labels : array_like, shape (..., Y, X) or any other order
    axes : tuple of int
        The two axes that planes span, ascending.
    values : mapping of str to ArrayPart
        Channels by name, with the axes of the labels.
    score : ArrayPart or None
        Scores of the class, with the axes of the labels.
    placement : Placement or None
        Of all axes; None where the size of a pixel is not known.
    spatial : frozenset of int
        The axes that are a length, along which objects may have a depth.
    names : tuple of str
        Of all axes, where they are known.
    """

    labels: Any = field(repr=False)
    axes: tuple[int, int]
    values: Mapping[str, ArrayPart] = field(default_factory=dict)
    score: ArrayPart | None = None
    placement: Placement | None = None
    spatial: frozenset[int] = frozenset()
    names: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the labels."""
        return tuple(int(n) for n in self.labels.shape)

    @property
    def others(self) -> list[int]:
        """The axes that planes do not span."""
        return [axis for axis in range(len(self.shape)) if axis not in self.axes]

    def part(self, open_axes: Sequence[int], fixed: Mapping[int, int]) -> LabelledPixels:
        """Return a plane or a volume, at one place of each other axis."""
        index = tuple(fixed.get(axis, slice(None)) for axis in range(len(self.shape)))

        def cut(array: ArrayPart) -> ArrayPart:
            rest = iter(index)
            whole = array.index or (slice(None),) * len(array.data.shape)
            return ArrayPart(
                array.data, tuple(next(rest) if isinstance(at, slice) else at for at in whole)
            )

        return LabelledPixels(
            cut(ArrayPart(self.labels)),
            {name: cut(array) for name, array in self.values.items()},
            None if self.score is None else cut(self.score),
            None if self.placement is None else self.placement.of(open_axes, fixed),
        )

    def planes(self, axes: Sequence[int]) -> Iterator[dict[int, int]]:
        """Yield all places along some axes."""
        sizes = [range(self.shape[axis]) for axis in axes]
        for place in itertools.product(*sizes):
            yield dict(zip(axes, place, strict=True))


@dataclass(frozen=True, eq=False)
class MeasuredStack:
    """What was measured.

    Attributes
    ----------
    table : ObjectTable
    depth : int or None
        The axis through which objects go; None where each lies in one plane.
    planes : frozenset of tuple of int
        Where objects were found, along the axes that planes do not span.
    centroids : ndarray, shape (n, ndim)
        Of the rows, in the data of the labels.
    """

    table: ObjectTable
    depth: int | None
    planes: frozenset[Position]
    centroids: NDArray[np.float64] = field(repr=False)


def measure_stack(
    stack: LabelledStack, check: Check | None = None, *, by_plane: bool = False
) -> MeasuredStack:
    """Measure all objects: as volumes where they go through several planes, else in their planes.

    A label on several planes along one more axis of length, as objects connected through the
    depth have it, is one volume. Along other axes, such as time, each plane has a row of its own.

    Parameters
    ----------
    stack : LabelledStack
    check : callable, optional
        Called with (parts done, parts in all); what it raises ends the work.
    by_plane : bool, optional
        Whether each plane has rows of its own in any case.

    Returns
    -------
    MeasuredStack
        The columns of `measure_objects`, after those of `place_columns`.
    """
    present = _planes_of_labels(stack)
    depth = None if by_plane else _depth(stack, present)
    open_axes = sorted((*stack.axes, *(() if depth is None else (depth,))))
    closed = [axis for axis in stack.others if axis != depth]
    names = [stack.names[axis] for axis in closed] if stack.names else []
    places = [dict(zip(stack.others, position, strict=True)) for position in present]
    wanted = sorted({tuple(place[axis] for axis in closed) for place in places})
    tables, centroids = [], [np.empty((0, len(stack.shape)))]
    for number, place in enumerate(wanted):
        inner = None if check is None else _within(check, number, len(wanted))
        pixels = stack.part(open_axes, dict(zip(closed, place, strict=True)))
        table = measure_objects(pixels, inner)
        there = np.zeros((len(table), len(stack.shape)))
        there[:, closed] = place
        there[:, open_axes] = table.centroids
        centroids.append(there)
        tables.append(table.labelled(**place_columns(place, names)))
    if not tables:
        pixels = stack.part(open_axes, dict.fromkeys(closed, 0))
        empty = measure_objects(_without_labels(pixels))
        tables.append(empty.labelled(**place_columns((0,) * len(closed), names)))
    return MeasuredStack(join_tables(tables), depth, frozenset(present), np.concatenate(centroids))


def place_columns(place: Position, names: Sequence[str] = ()) -> dict[str, int]:
    """Return the columns that say where a plane lies along the axes that it does not span.

    Parameters
    ----------
    place : tuple of int
    names : sequence of str, optional
        Of the axes, where they are known.

    Returns
    -------
    dict of str to int
        ``time`` for the axis that is called so, ``plane`` for the last other one, and ``axis_0``
        and so on for those before. Where none is called a time, the one before ``plane`` is.

    Examples
    --------
    >>> place_columns((4,), ["t"]), place_columns((4, 1), ["T", "z"]), place_columns((4, 1))
    ({'time': 4}, {'time': 4, 'plane': 1}, {'time': 4, 'plane': 1})
    """
    axes = list(range(len(place)))
    times = [axis for axis, name in enumerate(names) if name.lower() in TIME]
    others = [axis for axis in axes if axis not in times[:1]]
    time = times[0] if times else next(iter(others[-2:-1]), None)
    plane = others[-1] if others else None
    called = {axis: f"axis_{axis}" for axis in axes} | {plane: "plane", time: "time"}
    return {called[axis]: place[axis] for axis in axes}


def _without_labels(pixels: LabelledPixels) -> LabelledPixels:
    nothing = np.broadcast_to(np.zeros((), np.uint8), (0,) * len(pixels.labels.shape))
    return LabelledPixels(ArrayPart(nothing), pixels.values, pixels.score, pixels.placement)


def _within(check: Check, done: int, total: int) -> Check:
    def inner(part: int, parts: int) -> None:
        check(done * 100 + 100 * part // parts, 100 * total)

    return inner


def _planes_of_labels(stack: LabelledStack) -> dict[Position, NDArray[np.int64]]:
    """Return the labels of each plane that has some."""
    found = {}
    for fixed in stack.planes(stack.others):
        labels = labels_in(stack.part(stack.axes, fixed).labels)
        if len(labels):
            found[tuple(fixed.values())] = labels
    return found


def _depth(stack: LabelledStack, present: Mapping[Position, NDArray[np.int64]]) -> int | None:
    """Return the last axis of length along which a label is on several planes."""
    if len(present) < 2:
        return None
    labels = np.concatenate(list(present.values()))
    sizes = [len(each) for each in present.values()]
    places = np.repeat(np.array(list(present)), sizes, axis=0)
    _, where = np.unique(labels, return_inverse=True)
    for at, axis in reversed(list(enumerate(stack.others))):
        if axis not in stack.spatial:
            continue
        least = np.full(where.max() + 1, np.iinfo(np.int64).max)
        most = np.zeros(where.max() + 1, np.int64)
        np.minimum.at(least, where, places[:, at])
        np.maximum.at(most, where, places[:, at])
        if (least < most).any():
            return axis
    return None

"""Measurements of the objects of one plane or one volume.

Shapes come from `skimage.measure.regionprops_table`, of parts of the labels that fit into memory:
first the boxes of all objects are found, block by block, then the objects are measured in groups
of neighbours. So the memory needed does not grow with the image. Intensities are sums over all
objects of a group at once, without the pixels that are no number.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.objects.object_table import ObjectTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Region = tuple[slice, ...]

MAX_PIXELS = 2**22
"""Pixels of a block; a number for each pixel and channel is held, in double precision."""

AXES = ("z", "y", "x")

STATISTICS = ("mean", "min", "max", "sd")


@dataclass(frozen=True, eq=False)
class Placement:
    """Where pixels lie in the world, in micrometres.

    Attributes
    ----------
    linear : ndarray, shape (d, d)
        One pixel further along each axis, as columns.
    offset : ndarray, shape (d,)
        The centre of the first pixel.
    """

    linear: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def scaled(cls, size: Sequence[float], origin: Sequence[float] | None = None) -> Placement:
        """Return that of pixels of a size, along axes that are those of the world."""
        offset = np.zeros(len(size)) if origin is None else np.array(origin, float)
        return cls(np.diag(np.array(size, float)), offset)

    @property
    def pixel(self) -> float:
        """Area or volume of a pixel."""
        sizes = np.diag(self.linear)
        if (self.linear == np.diag(sizes)).all():  # nothing is rounded
            return float(abs(sizes.prod()))
        return float(abs(np.linalg.det(self.linear)))

    @property
    def spacing(self) -> tuple[float, ...]:
        """Length of a pixel along each axis; sheared, it keeps its area."""
        lengths = np.linalg.norm(self.linear, axis=0)
        correction = (self.pixel / lengths.prod()) ** (1 / len(lengths)) if self.pixel else 1.0
        return tuple((lengths * correction).tolist())

    def of(self, axes: Sequence[int], fixed: Mapping[int, int]) -> Placement:
        """Return that of some axes, at one place of each other axis."""
        there = np.zeros(len(self.offset))
        there[list(fixed)] = list(fixed.values())
        rows = list(axes)
        return Placement(self.linear[np.ix_(rows, rows)], self.to_world(there[None])[0][rows])

    def to_world(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where places lie, shape (n, d)."""
        return np.asarray(pixels @ self.linear.T + self.offset)


@dataclass(frozen=True, eq=False)
class ArrayPart:
    """A part of an array with more axes, of which regions are read.

    Attributes
    ----------
    data : array_like
        With `shape` and slicing; may be lazy.
    index : tuple of int or slice
        For each axis a position, or ``slice(None)``; by default all of it.
    """

    data: Any = field(repr=False)
    index: tuple[int | slice, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes that are left."""
        return tuple(int(self.data.shape[axis]) for axis in self._open)

    @property
    def _open(self) -> list[int]:
        fixed = [axis for axis, at in enumerate(self.index) if not isinstance(at, slice)]
        return [axis for axis in range(len(self.data.shape)) if axis not in fixed]

    def read(self, region: Region) -> NDArray[Any]:
        """Return a region; what lies outside of the array is left out."""
        key: list[int | slice] = list(self.index) or [slice(None)] * len(self.data.shape)
        for axis, part in zip(self._open, region, strict=True):
            key[axis] = part
        return np.asarray(self.data[tuple(key)])


@dataclass(frozen=True, eq=False)
class LabelledPixels:
    """Labels of a plane or a volume, and the values under them.

    Attributes
    ----------
    labels : ArrayPart
        Of two or three axes; 0, and what is below, is background.
    values : mapping of str to ArrayPart
        Channels by name. What they lack of the labels, and what is not finite in them, is not
        counted.
    score : ArrayPart or None
        Scores of the class.
    placement : Placement or None
        None where the size of a pixel is not known.
    """

    labels: ArrayPart
    values: Mapping[str, ArrayPart] = field(default_factory=dict)
    score: ArrayPart | None = None
    placement: Placement | None = None


@dataclass(frozen=True, eq=False)
class _Boxes:
    """Objects by rising label: their boxes, from `start` up to `stop`, and their pixels."""

    labels: NDArray[np.int64]
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    pixels: NDArray[np.int64]


def measure_objects(
    pixels: LabelledPixels, check: Callable[[int, int], None] | None = None
) -> ObjectTable:
    """Return a row for each object, by rising label.

    Parameters
    ----------
    pixels : LabelledPixels
    check : callable, optional
        Called with (parts done, parts in all); what it raises ends the work.

    Returns
    -------
    ObjectTable
        ``label``; ``area_px`` or ``volume_px``, the number of pixels; the centroid and the box
        (its upper ends are not part of it) in pixels; ``eccentricity`` of the ellipse with the
        same second moments, and ``orientation_deg`` of its longer axis, from the direction of the
        rows, counter-clockwise, both in planes only; the diameter of the circle or ball of the
        same size; of each channel mean, minimum, maximum and standard deviation; mean and
        greatest score; and whether the object touches the border. With a placement, area or
        volume and centroid are there in micrometres as well, and shapes are those in the world.

    Notes
    -----
    An object whose box holds more than 4 × `MAX_PIXELS` is measured on every k-th pixel along
    each axis, but for its size and its box.
    """
    blocks = list(_blocks(pixels.labels.shape))
    boxes = _find_boxes(pixels.labels, blocks, check)
    groups = list(_groups(boxes, blocks[0] if blocks else ()))
    parts = []
    for number, group in enumerate(groups, start=1):
        parts.append(_measure_group(pixels, boxes, group))
        if check is not None:
            check(len(blocks) * (len(groups) + number) // len(groups), 2 * len(blocks))
    order = np.argsort(np.concatenate(groups)) if groups else np.empty(0, int)
    names = _measured_names(pixels)
    found = {
        name: np.concatenate([part[name] for part in parts])[order] if parts else np.empty(0)
        for name in names
    }
    return _table(pixels, boxes, found)


# -- where the objects are -----------------------------------------------------------------------


def _blocks(shape: tuple[int, ...]) -> Iterator[Region]:
    """Yield blocks of at most `MAX_PIXELS`, nearly as long along each axis."""
    sides = list(shape)
    while np.prod(sides) > MAX_PIXELS:
        longest = int(np.argmax(sides))
        sides[longest] = -(-sides[longest] // 2)
    starts = [range(0, size, max(1, side)) for size, side in zip(shape, sides, strict=True)]
    for corner in itertools.product(*starts):
        ends = (min(at + n, size) for at, n, size in zip(corner, sides, shape, strict=True))
        yield tuple(slice(at, end) for at, end in zip(corner, ends, strict=True))


def _compact(block: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return which labels a block has, and the block with their numbers, from 1, in their place.

    A label may be any number, and tables of all numbers below would not fit into memory.
    """
    inside = block > 0
    labels, numbers = np.unique(block[inside], return_inverse=True)
    compact = np.zeros(block.shape, np.int32)
    compact[inside] = numbers + 1
    return labels.astype(np.int64), compact


def labels_in(labels: ArrayPart) -> NDArray[np.int64]:
    """Return the labels that there are, rising."""
    found = [_present(labels.read(region)) for region in _blocks(labels.shape)]
    return np.unique(np.concatenate([np.empty(0, np.int64), *found]))


def _present(block: NDArray[Any]) -> NDArray[np.int64]:
    labels: NDArray[np.int64] = np.unique(block[block > 0]).astype(np.int64)
    return labels


def _find_boxes(
    labels: ArrayPart, blocks: Sequence[Region], check: Callable[[int, int], None] | None
) -> _Boxes:
    from scipy.ndimage import find_objects

    ndim = len(labels.shape)
    rows: list[NDArray[np.int64]] = []
    for number, region in enumerate(blocks, start=1):
        present, compact = _compact(labels.read(region))
        corner = np.array([part.start for part in region])
        found = find_objects(compact)
        start = np.array([[s.start for s in box] for box in found], np.int64).reshape(-1, ndim)
        stop = np.array([[s.stop for s in box] for box in found], np.int64).reshape(-1, ndim)
        counts = np.bincount(compact.ravel(), minlength=len(present) + 1)[1:]
        rows.append(np.column_stack([present, start + corner, stop + corner, counts]))
        if check is not None:
            check(number, 2 * len(blocks))
    together = np.concatenate(rows) if rows else np.empty((0, 2 + 2 * ndim), np.int64)
    unique, where = np.unique(together[:, 0], return_inverse=True)
    start = np.full((len(unique), ndim), np.iinfo(np.int64).max)
    stop = np.zeros((len(unique), ndim), np.int64)
    np.minimum.at(start, where, together[:, 1 : 1 + ndim])
    np.maximum.at(stop, where, together[:, 1 + ndim : -1])
    sizes = np.zeros(len(unique), np.int64)
    np.add.at(sizes, where, together[:, -1])
    return _Boxes(unique, start, stop, sizes)


def _groups(boxes: _Boxes, block: Region) -> Iterator[NDArray[np.int64]]:
    """Yield the numbers of objects that are measured together: neighbours, within one box."""
    sides = np.array([max(1, part.stop - part.start) for part in block])
    near: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, corner in enumerate((boxes.start // sides).tolist() if len(sides) else ()):
        near[tuple(corner)].append(number)
    for members in near.values():
        # The largest ones by themselves, as long as the box around all is too large.
        sizes = (boxes.stop[members] - boxes.start[members]).prod(axis=1)
        rising = np.array(members)[np.argsort(sizes)]
        while len(rising) > 1 and _box_size(boxes, rising) > 4 * MAX_PIXELS:
            yield rising[-1:]
            rising = rising[:-1]
        yield np.sort(rising)


def _box_size(boxes: _Boxes, group: NDArray[np.int64]) -> int:
    return int(np.prod(boxes.stop[group].max(axis=0) - boxes.start[group].min(axis=0)))


# -- a group of neighbours -----------------------------------------------------------------------


def _measured_names(pixels: LabelledPixels) -> list[str]:
    """Return what `_measure_group` finds out."""
    ndim = len(pixels.labels.shape)
    names = [f"centroid-{axis}" for axis in range(ndim)] + ["equivalent_diameter_area"]
    names += ["eccentricity", "orientation"] if ndim == 2 else []
    layers = [*pixels.values, *([] if pixels.score is None else [None])]
    return names + [f"{layer}-{stat}" for layer in range(len(layers)) for stat in STATISTICS]


def _measure_group(
    pixels: LabelledPixels, boxes: _Boxes, group: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return what is measured of some objects, in their order; centroids in pixels."""
    from skimage.measure import regionprops_table

    start, stop = boxes.start[group].min(axis=0), boxes.stop[group].max(axis=0)
    step = 1
    while np.prod(-(-(stop - start) // step)) > 4 * MAX_PIXELS:
        step += 1
    region = tuple(slice(a, b, step) for a, b in zip(start.tolist(), stop.tolist(), strict=True))
    spacing = np.array(pixels.placement.spacing if pixels.placement else (1.0,) * len(start))
    numbered = _numbered(pixels.labels.read(region), boxes.labels[group])
    layers = [*pixels.values.values(), *([] if pixels.score is None else [pixels.score])]
    ndim = len(start)
    found = regionprops_table(
        numbered,
        properties=(
            "label",
            "centroid",
            "equivalent_diameter_area",
            *(("eccentricity", "orientation") if ndim == 2 else ()),
        ),
        spacing=tuple(spacing * step),
    )
    numbers = found.pop("label") - 1
    out = {}
    for name, values in found.items():
        out[name] = np.full(len(group), np.nan)
        out[name][numbers] = values
    for axis in range(ndim):
        out[f"centroid-{axis}"] = out[f"centroid-{axis}"] / spacing[axis] + start[axis]
    runs = _Runs.of(numbered)
    for number, layer in enumerate(layers):
        statistics = runs.statistics(_values(layer, region, numbered.shape), len(group))
        out |= {f"{number}-{name}": column for name, column in statistics.items()}
    return out


def _numbered(block: NDArray[Any], wanted: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return a block with the numbers of wanted labels, from 1, and 0 for all others."""
    labels, compact = _compact(block)
    places = np.searchsorted(wanted, labels).clip(max=len(wanted) - 1)
    numbers = np.where(wanted[places] == labels, places + 1, 0)
    numbered: NDArray[np.int32] = np.concatenate([[0], numbers]).astype(np.int32)[compact]
    return numbered


def _values(layer: ArrayPart, region: Region, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a region of a layer, NaN where it does not reach."""
    block = layer.read(region)
    out = np.full(shape, np.nan)
    out[tuple(slice(0, n) for n in block.shape)] = block
    return out


@dataclass(frozen=True, eq=False)
class _Runs:
    """The pixels of numbered objects, one object after the other.

    Attributes
    ----------
    pixels : ndarray of int
        Flat indices.
    numbers : ndarray of int
        The objects that they belong to, rising.
    """

    pixels: NDArray[np.intp]
    numbers: NDArray[np.int32]

    @classmethod
    def of(cls, numbered: NDArray[np.int32]) -> _Runs:
        pixels = np.flatnonzero(numbered)
        numbers = numbered.ravel()[pixels]
        order = np.argsort(numbers, stable=True)
        return cls(pixels[order], numbers[order])

    def statistics(
        self, values: NDArray[np.float64], count: int
    ) -> dict[str, NDArray[np.float64]]:
        """Return a number for each object; NaN where it has no pixel that is a number."""
        inside = values.ravel()[self.pixels]
        finite = np.isfinite(inside)
        inside, numbers = inside[finite], self.numbers[finite]
        out = {name: np.full(count, np.nan) for name in STATISTICS}
        if not len(inside):
            return out
        starts = np.flatnonzero(np.diff(numbers, prepend=0))
        where, sizes = numbers[starts] - 1, np.diff(starts, append=len(numbers))
        mean = np.add.reduceat(inside, starts) / sizes
        out["mean"][where] = mean
        out["min"][where] = np.minimum.reduceat(inside, starts)
        out["max"][where] = np.maximum.reduceat(inside, starts)
        squares = (inside - np.repeat(mean, sizes)) ** 2
        out["sd"][where] = np.sqrt(np.add.reduceat(squares, starts) / sizes)
        return out


# -- the columns ---------------------------------------------------------------------------------


def _table(
    pixels: LabelledPixels, boxes: _Boxes, found: Mapping[str, NDArray[np.float64]]
) -> ObjectTable:
    ndim, placement = len(pixels.labels.shape), pixels.placement
    axes, size = AXES[-ndim:], "area" if ndim == 2 else "volume"
    centroids = np.column_stack([found[f"centroid-{axis}"] for axis in range(ndim)])
    named: list[tuple[str, str, NDArray[Any]]] = [
        ("label", "", boxes.labels),
        (f"{size}_px", "px", boxes.pixels),
    ]
    if placement is not None:
        named.append((f"{size}_um{ndim}", f"um{ndim}", boxes.pixels * placement.pixel))
    named += _named_axes("centroid_{}_px", axes, "px", centroids)
    if placement is not None:
        named += _named_axes("centroid_{}_um", axes, "um", placement.to_world(centroids))
    named += _named_axes("bbox_min_{}_px", axes, "px", boxes.start)
    named += _named_axes("bbox_max_{}_px", axes, "px", boxes.stop)
    if ndim == 2:
        named.append(("eccentricity", "", found["eccentricity"]))
        named.append(("orientation_deg", "deg", np.rad2deg(found["orientation"])))
    length = "px" if placement is None else "um"
    diameter = found["equivalent_diameter_area"]
    named.append((f"equivalent_diameter_{length}", length, diameter))
    for number, channel in enumerate(pixels.values):
        named += [(f"{channel}_{stat}", "", found[f"{number}-{stat}"]) for stat in STATISTICS]
    if pixels.score is not None:
        last = len(pixels.values)
        named += [(f"score_{stat}", "", found[f"{last}-{stat}"]) for stat in ("mean", "max")]
    ends = (boxes.start == 0) | (boxes.stop == np.array(pixels.labels.shape))
    named.append(("touches_border", "", ends.any(axis=1).astype(np.int64)))
    return ObjectTable(
        {name: column for name, _, column in named}, {name: unit for name, unit, _ in named}
    )


def _named_axes(
    name: str, axes: Sequence[str], unit: str, values: NDArray[Any]
) -> list[tuple[str, str, NDArray[Any]]]:
    return [(name.format(axis), unit, values[:, at]) for at, axis in enumerate(axes)]

"""Outlines of labels along the borders of their pixels, and masks of outlines: both are exact.

`skimage.measure.find_contours` runs between pixel centres and cuts corners, so that its polygons
do not contain the pixels they were made of.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.exchange.shapes import Polygon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from napari_dinov3_sim.exchange.shapes import Corners

    ReadRows = Callable[[int, int], NDArray[Any]]
    """Returns the rows from one to just before another."""

STRIP = 2**22
"""Pixels whose borders are looked for at a time."""

RIGHT, DOWN, LEFT, UP = range(4)
_STEP = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])


@dataclass(frozen=True, eq=False)
class _Borders:
    """Sides of pixels between labels, each of the length 1, with the label at its right hand.

    Attributes
    ----------
    label : ndarray of int, shape (n,)
    start : ndarray of int, shape (n, 2)
        Corner (x, y) of a pixel.
    direction : ndarray of int, shape (n,)
        `RIGHT`, `DOWN`, `LEFT` or `UP`.
    """

    label: NDArray[np.int64] = field(repr=False)
    start: NDArray[np.int64] = field(repr=False)
    direction: NDArray[np.int64] = field(repr=False)


def trace_labels(read: ReadRows, shape: tuple[int, int]) -> dict[int, tuple[Polygon, ...]]:
    """Return the outline of each label of a plane, along the borders of its pixels.

    Parameters
    ----------
    read : callable
        Returns the rows from one to just before another; a plane is never asked for as a whole,
        and memory grows with the length of the outlines.
    shape : (int, int)
        Rows and columns of the plane.

    Returns
    -------
    dict of int to tuple of Polygon
        By label, ascending; labels of 0 and below are background. Pixels of a label that touch at
        a corner only are polygons of their own, as the simple features of the OGC, which QuPath
        and shapely check, want it. The exterior runs with its area at the right hand as an image
        is shown, which is anticlockwise where y points up, holes the other way around.
    """
    borders = _borders_of(read, shape)
    if not len(borders.label):
        return {}
    after, touching = _linked(borders, shape[1])
    return _rings_of(borders, after, touching)


def trace_array(labels: NDArray[Any]) -> dict[int, tuple[Polygon, ...]]:
    """Return the outline of each label of a plane that is in memory; see `trace_labels`."""
    return trace_labels(lambda top, end: labels[top:end], (labels.shape[0], labels.shape[1]))


def _borders_of(read: ReadRows, shape: tuple[int, int]) -> _Borders:
    height, width = shape
    step, parts = max(1, STRIP // max(1, width)), []
    above: NDArray[np.int64] = np.zeros((1, width), np.int64)
    for top in range(0, height, step):
        rows = np.maximum(np.asarray(read(top, min(top + step, height))).astype(np.int64), 0)
        parts += _across(np.vstack([above, rows]), top)
        parts += _along(rows, top)
        above = rows[-1:]
    parts += _across(np.vstack([above, np.zeros_like(above)]), height)
    label, start, direction = (np.concatenate(part) for part in zip(*parts, strict=True))
    return _Borders(label, start, direction)


_Part = tuple["NDArray[np.int64]", "NDArray[np.int64]", "NDArray[np.int64]"]


def _across(rows: NDArray[np.int64], top: int) -> list[_Part]:
    """Return the sides between rows; the second of these rows begins at `top`."""
    upper, lower = rows[:-1], rows[1:]
    y, x = np.nonzero(upper != lower)
    over, under, y = upper[y, x], lower[y, x], y + top
    # What lies below is at the right hand on the way to the right.
    return [
        *_part(under, x, y, RIGHT),
        *_part(over, x + 1, y, LEFT),
    ]


def _along(rows: NDArray[np.int64], top: int) -> list[_Part]:
    """Return the sides between columns of rows that begin at `top`."""
    padded = np.pad(rows, ((0, 0), (1, 1)))
    y, x = np.nonzero(padded[:, :-1] != padded[:, 1:])
    before, behind, y = padded[y, x], padded[y, x + 1], y + top
    return [
        *_part(before, x, y, DOWN),
        *_part(behind, x, y + 1, UP),
    ]


def _part(
    label: NDArray[np.int64], x: NDArray[np.int64], y: NDArray[np.int64], direction: int
) -> list[_Part]:
    inside = label > 0
    start = np.stack([x[inside], y[inside]], axis=1)
    return [(label[inside], start, np.full(len(start), direction))]


def _linked(borders: _Borders, width: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return which side follows each, and which begin where pixels touch at a corner."""
    _, label = np.unique(borders.label, return_inverse=True)
    many = int(label.max()) + 1
    end = borders.start + _STEP[borders.direction]

    def key(corner: NDArray[np.int64]) -> NDArray[np.int64]:
        found: NDArray[np.int64] = (corner[:, 1] * (width + 1) + corner[:, 0]) * many + label
        return found

    starts = key(borders.start)
    order = np.argsort(starts)
    ordered = starts[order]
    at = np.searchsorted(ordered, key(end))
    first, second = order[at], order[np.minimum(at + 1, len(order) - 1)]
    several = ordered[np.minimum(at + 1, len(order) - 1)] == ordered[at]
    several &= at + 1 < len(order)
    # To the right there, around the same pixel: so a ring stays with pixels that share sides.
    to_the_right = borders.direction[second] == (borders.direction + 1) % 4
    after = np.where(several & to_the_right, second, first)
    touching = np.zeros(len(after), bool)
    touching[after[several]] = True
    return after, touching


def _rings_of(
    borders: _Borders, after: NDArray[np.int64], touching: NDArray[np.bool_]
) -> dict[int, tuple[Polygon, ...]]:
    before = np.empty_like(after)
    before[after] = np.arange(len(after))
    is_corner = (borders.direction[before] != borders.direction).tolist()
    follows, touches, labels = after.tolist(), touching.tolist(), borders.label.tolist()
    seen = bytearray(len(follows))
    rings: dict[int, list[list[int]]] = defaultdict(list)
    for first in np.flatnonzero(is_corner).tolist():
        if seen[first]:
            continue
        ring, meets, side = [], False, first
        while not seen[side]:
            seen[side] = 1
            if is_corner[side]:
                ring.append(side)
                meets |= touches[side]
            side = follows[side]
        rings[labels[first]].append(ring)
        if meets:
            rings[labels[first]][-1:] = _simple(ring, borders.start)
    return {
        label: _polygons([borders.start[ring] for ring in rings[label]]) for label in sorted(rings)
    }


def _simple(ring: list[int], start: NDArray[np.int64]) -> list[list[int]]:
    """Cut a ring where it comes to a corner again."""
    found: list[list[int]] = []
    path: list[int] = []
    place: dict[tuple[int, ...], int] = {}
    for side in ring:
        corner = tuple(start[side].tolist())
        if corner in place:
            cut = place[corner]
            found.append(path[cut:])
            for gone in path[cut:]:
                del place[tuple(start[gone].tolist())]
            path = path[:cut]
        place[corner] = len(path)
        path.append(side)
    return [*found, path]


def _polygons(rings: list[NDArray[np.int64]]) -> tuple[Polygon, ...]:
    """Return the exteriors of one label, each with its holes."""
    if len(rings) == 1:
        return (Polygon(rings[0]),)
    areas = [_area(ring) for ring in rings]
    exteriors = [n for n, area in enumerate(areas) if area > 0]
    holes: dict[int, list[NDArray[np.int64]]] = defaultdict(list)
    for number, area in enumerate(areas):
        if area < 0:
            holes[_owner(rings[number], rings, exteriors, areas)].append(rings[number])
    return tuple(Polygon(rings[number], tuple(holes[number])) for number in exteriors)


def _area(ring: NDArray[np.int64]) -> float:
    """Return the area of a ring; negative where it runs around a hole."""
    x, y = ring.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2


def _owner(
    hole: NDArray[np.int64],
    rings: list[NDArray[np.int64]],
    exteriors: list[int],
    areas: list[float],
) -> int:
    """Return the smallest exterior that holds the pixel beside a side of a hole."""
    if len(exteriors) == 1:
        return exteriors[0]
    here = hole[0].astype(float)
    along = np.sign(hole[1] - hole[0])
    right = np.array([-along[1], along[0]])
    pixel = here + along / 2 + right / 2
    around = [number for number in exteriors if _holds(rings[number], pixel)]
    return min(around, key=lambda number: areas[number])


def _holds(ring: NDArray[np.int64], point: NDArray[np.float64]) -> bool:
    """Whether a point, the middle of a pixel, is within a ring along borders of pixels."""
    after = np.roll(ring, -1, axis=0)
    low, high = np.minimum(ring[:, 1], after[:, 1]), np.maximum(ring[:, 1], after[:, 1])
    crossed = (low < point[1]) & (point[1] < high) & (ring[:, 0] < point[0])
    return bool(np.count_nonzero(crossed) % 2)


def draw(plane: NDArray[Any], rings: Iterable[Corners], number: int) -> None:
    """Give the pixels of an area a number, in the part of a plane around it.

    Parameters
    ----------
    plane : ndarray, shape (rows, columns)
        Changed in place.
    rings : iterable of array_like, shape (n, 2)
        See `mask_of`.
    number : int
    """
    every = [np.asarray(ring, float) for ring in rings]
    corners = np.concatenate(every)
    low = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int), plane.shape[::-1])
    if (low < high).all():
        (left, top), (right, bottom) = low, high
        inside = mask_of((ring - low for ring in every), (int(bottom - top), int(right - left)))
        plane[top:bottom, left:right][inside] = number


def mask_of(rings: Iterable[Corners], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose middle lies within an odd number of rings.

    Parameters
    ----------
    rings : iterable of array_like, shape (n, 2)
        Corners (x, y), pixels of level 0; exteriors and holes alike.
    shape : (int, int)
        Rows and columns of the plane.

    Returns
    -------
    ndarray of bool, shape (rows, columns)
        A hole is left out, whichever way it runs. What lies outside the plane is cut off.
    """
    from napari_dinov3_sim.core.search.regions import fill_even_odd

    inside = np.zeros(shape, bool)
    for ring in rings:
        inside ^= fill_even_odd(np.asarray(ring, float) - 0.5, shape)
    return inside

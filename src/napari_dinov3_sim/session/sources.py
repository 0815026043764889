"""Which image each query point belongs to, remembered from the time it was set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray


class _Sentinel:
    """Takes the place of an image's id."""


NEW = _Sentinel()
"""The image of a point that nobody has looked at yet."""

IGNORED = _Sentinel()
"""The image of a point that was set where a click means nothing."""


@dataclass(frozen=True)
class Source:
    """What is remembered of a point.

    Attributes
    ----------
    image : hashable or None
        Id of the image that the point was set on; None on no image, or `NEW` or `IGNORED`.
    lead : tuple of float
        Where the viewer's slider was along the axes that the point does not have.
    """

    image: Hashable | None = NEW
    lead: tuple[float, ...] = ()


def carry_over(
    old: NDArray[np.float64], sources: Sequence[Source], new: NDArray[np.float64]
) -> list[Source]:
    """Match points to their former selves.

    Parameters
    ----------
    old, new : ndarray, shape (N, D) and (M, D)
        Coordinates before and after an edit.
    sources : sequence of Source
        One for each old point.

    Returns
    -------
    list of Source
        One for each new point: that of the old point at its index and place, else of one at its
        place, else, while none came or went, of the one at its index, which has been moved.
    """
    placed = _in_place(old, new)
    found = []
    for before, former in zip(placed, _or_moved(placed, len(old)), strict=True):
        source = Source() if former is None else sources[former]
        found.append(_moved(source) if before != former else source)
    return found


def former_selves(old: NDArray[np.float64], new: NDArray[np.float64]) -> list[int | None]:
    """Return for each new point the index of the old one that it was, see `carry_over`."""
    return _or_moved(_in_place(old, new), len(old))


def _or_moved(placed: list[int | None], count: int) -> list[int | None]:
    """Return former selves, also of points that moved while none of `count` came or went."""
    if len(placed) != count:
        return placed
    left = set(range(count)).difference(placed)
    return [
        index if former is None and index in left else former
        for index, former in enumerate(placed)
    ]


def _in_place(old: NDArray[np.float64], new: NDArray[np.float64]) -> list[int | None]:
    """Return for each new point the index of the old one that was at its place."""
    found: list[int | None] = [None] * len(new)
    left = dict.fromkeys(range(len(old)))
    for index in np.flatnonzero(_same(old, new)).tolist():
        found[index] = index
        del left[index]
    places = {tuple(old[index]): index for index in reversed(left)}
    for index, point in enumerate(new):
        at = places.get(tuple(point))
        if found[index] is None and at in left:
            found[index] = at
            del left[at]
    return found


def _same(old: NDArray[np.float64], new: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points are where the one at their index was; as many as both have."""
    if old.shape[1:] != new.shape[1:]:
        return np.zeros(0, bool)
    count = min(len(old), len(new))
    before, after = old[:count], new[:count]
    same = (before == after) | (np.isnan(before) & np.isnan(after))
    return np.asarray(same.all(axis=1))


def _moved(source: Source) -> Source:
    """A point that is moved is set anew on the plane that is shown, and counts again."""
    return replace(source, lead=(), image=NEW if source.image is IGNORED else source.image)

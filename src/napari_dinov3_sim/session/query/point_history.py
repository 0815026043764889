"""The history of the query points: the image of each point, and undo."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.query.point_features import (
    PointRole,
    read_roles,
    with_users_columns,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from napari.layers import Points
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.layers.style import Palette


DEPTH = 100
"""Edits that can be undone."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All that the points were.

    Attributes
    ----------
    coordinates : ndarray, shape (N, D)
    roles : tuple of PointRole
    sources : tuple of PointOrigin
        The images that they were set on.
    classes : mapping of str to int
        All that had a colour, see `Palette.numbers`.
    features : DataFrame
        The layer's, with the columns that are the user's.
    """

    coordinates: np.ndarray
    roles: tuple[PointRole, ...]
    sources: tuple[PointOrigin, ...]
    classes: Mapping[str, int]
    features: Any = field(repr=False)

    def same_as(self, other: Snapshot) -> bool:
        """Whether the points are the same, whatever images they are on by now."""
        return self.roles == other.roles and np.array_equal(
            self.coordinates, other.coordinates, equal_nan=True
        )


class UndoHistory:
    """The states of the points before each edit, the last `DEPTH` of them."""

    def __init__(self) -> None:
        self._past: list[Snapshot] = []
        self._present: Snapshot | None = None

    def __len__(self) -> int:
        return len(self._past)

    def take(self, now: Snapshot, *, edited: bool) -> None:
        """Take note of the present; what was before an edit can be had back.

        Parameters
        ----------
        now : Snapshot
        edited : bool
            Whether an edit is complete. In the middle of one, as during a drag, what was before
            it stays; where nothing has moved, the images that the points are on are followed.
        """
        before = self._present
        if before is None or before.same_as(now):
            self._present = now
        elif edited:
            self._past = [*self._past[-DEPTH + 1 :], before]
            self._present = now

    def undo(self) -> Snapshot | None:
        """Return what was before the last edit, or None."""
        if not self._past:
            return None
        self._present = self._past.pop()
        return self._present

    def clear(self) -> None:
        """Forget everything: the layer is another one."""
        self._past, self._present = [], None


class _Sentinel:
    """Takes the place of an image's id."""


NEW = _Sentinel()
"""The image of a point that nobody has looked at yet."""

IGNORED = _Sentinel()
"""The image of a point that was set where a click means nothing."""


@dataclass(frozen=True)
class PointOrigin:
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


def match_origins(
    old: NDArray[np.float64], sources: Sequence[PointOrigin], new: NDArray[np.float64]
) -> list[PointOrigin]:
    """Match points to their former selves.

    Parameters
    ----------
    old, new : ndarray, shape (N, D) and (M, D)
        Coordinates before and after an edit.
    sources : sequence of PointOrigin
        One for each old point.

    Returns
    -------
    list of PointOrigin
        One for each new point: that of the old point at its index and place, else of one at its
        place, else, while none came or went, of the one at its index, which has been moved.
    """
    placed = _in_place(old, new)
    found = []
    for before, former in zip(placed, _or_moved(placed, len(old)), strict=True):
        source = PointOrigin() if former is None else sources[former]
        found.append(_moved(source) if before != former else source)
    return found


def match_points(old: NDArray[np.float64], new: NDArray[np.float64]) -> list[int | None]:
    """Return for each new point the index of the old one that it was, see `match_origins`."""
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


def _moved(source: PointOrigin) -> PointOrigin:
    """A point that is moved is set anew on the plane that is shown, and counts again."""
    return replace(source, lead=(), image=NEW if source.image is IGNORED else source.image)


class PointMemory:
    """Remembers the points of one layer at a time.

    Parameters
    ----------
    palette : Palette
        Goes back with the points to the classes that there were.

    Attributes
    ----------
    coordinates : ndarray, shape (N, D)
        In data of the layer.
    roles : list of PointRole
    sources : list of PointOrigin
        The image of each point.
    edited : bool
        Whether an edit is complete that has not been remembered yet.
    """

    def __init__(self, palette: Palette) -> None:
        self._palette, self._history = palette, UndoHistory()
        self.coordinates: NDArray[np.float64] = np.empty((0, 0))
        self.roles: list[PointRole] = []
        self.sources: list[PointOrigin] = []
        self.edited = False

    def begin(self, layer: Points) -> None:
        """Remember the points of a layer, of which nothing is known but what it says itself."""
        self.keep(layer, [PointOrigin() for _ in layer.data])

    def clear(self) -> None:
        """Forget everything."""
        self.coordinates, self.roles, self.sources = np.empty((0, 0)), [], []
        self._history.clear()

    def note_count(self, layer: Points | None) -> None:
        """Take note of an edit where points came or went; the steps of a drag are one edit."""
        self.edited |= layer is not None and len(layer.data) != len(self.coordinates)

    def notices_roles(self, layer: Points) -> bool:
        """Return whether points say something else by now: that is an edit.

        Columns that are the user's alone are remembered without one.
        """
        if read_roles(layer) != self.roles:
            self.edited = True
            return True
        if not self._is_moved(layer):
            self._take_note(layer)
        return False

    def _is_moved(self, layer: Points) -> bool:
        return not np.array_equal(layer.data, self.coordinates, equal_nan=True)

    def sources_of(self, layer: Points) -> list[PointOrigin]:
        """Return the image of each point there is now, by what it was before."""
        return match_origins(self.coordinates, self.sources, np.array(layer.data, float))

    def keep(self, layer: Points, sources: Sequence[PointOrigin]) -> None:
        """Remember all points as they are now."""
        self.coordinates, self.roles = np.array(layer.data, float), read_roles(layer)
        self.sources = list(sources)
        self._take_note(layer)

    def _take_note(self, layer: Points) -> None:
        """Make what was before an edit part of the history, if one is complete."""
        now = Snapshot(
            self.coordinates,
            tuple(self.roles),
            tuple(self.sources),
            self._palette.numbers,
            layer.features.copy(),
        )
        self._history.take(now, edited=self.edited)
        self.edited = False

    def append(self, place: NDArray[np.float64], source: PointOrigin) -> None:
        """Remember a point that is about to be added."""
        self.coordinates = np.vstack([self.coordinates.reshape(-1, len(place)), place])
        self.sources.append(source)

    def undo(self, layer: Points) -> Snapshot | None:
        """Go back to what was before the last edit and return it; None if there was none."""
        if self.edited:  # no refresh has seen it yet
            self.keep(layer, self.sources_of(layer))
        before = self._history.undo()
        if before is None:
            return None
        former = match_points(np.array(layer.data, float), before.coordinates)
        features = with_users_columns(before.features, layer.features, former)
        self.coordinates = before.coordinates
        self.sources, self.roles = list(before.sources), list(before.roles)
        self._palette.restore(before.classes)
        return replace(before, features=features)

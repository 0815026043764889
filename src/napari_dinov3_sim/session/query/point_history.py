"""The memory of the query points: the image of each point, and all that they were."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.query.point_features import (
    PointRole,
    read_ids,
    read_roles,
    with_users_columns,
    write_ids,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from napari.layers import Points
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class PointsSnapshot:
    """All that the points were.

    Attributes
    ----------
    ids : tuple of int
        By which each is known again.
    coordinates : ndarray, shape (N, D)
    roles : tuple of PointRole
    sources : tuple of PointOrigin
        The images that they were set on.
    features : DataFrame or None
        The layer's, with the columns that are the user's; None without a layer.
    """

    ids: tuple[int, ...] = ()
    coordinates: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    roles: tuple[PointRole, ...] = ()
    sources: tuple[PointOrigin, ...] = ()
    features: Any = field(default=None, repr=False)

    def same_as(self, other: PointsSnapshot) -> bool:
        """Whether the points are the same, whatever images they are on by now."""
        return self.roles == other.roles and np.array_equal(
            self.coordinates, other.coordinates, equal_nan=True
        )


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


def moved(source: PointOrigin) -> PointOrigin:
    """What is moved is set anew on the plane that is shown, and counts again."""
    return replace(source, lead=(), image=NEW if source.image is IGNORED else source.image)


def former_rows(old: NDArray[np.float64], new: NDArray[np.float64]) -> list[int | None]:
    """Return for each place the row in which it was before: its own, if there are several.

    Where none is None, a program has put points in another order or left some out, and they are
    known again by their places. Nobody can drag points so that only former places are left.
    """
    rows: dict[bytes, list[int]] = {}
    for row, place in enumerate(old):
        rows.setdefault(place.tobytes(), []).append(row)
    found: list[int | None] = [None] * len(new)
    for row, place in enumerate(new):
        if row in (at := rows.get(place.tobytes(), [])):
            at.remove(row)
            found[row] = row
    for row, place in enumerate(new):
        if found[row] is None and (at := rows.get(place.tobytes(), [])):
            found[row] = at.pop(0)
    return found


class PointMemory:
    """Remembers the points of one layer at a time.

    A point is known again by its number, a column of the layer's features: napari keeps the rows
    with the points, whatever is deleted, pasted or dragged. Neither its place nor its row would
    do: two points may lie at one place, on an image each.

    Attributes
    ----------
    ids : list of int
    coordinates : ndarray, shape (N, D)
        In data of the layer.
    roles : list of PointRole
    sources : list of PointOrigin
        The image of each point.
    edited : bool
        Whether an edit is complete that has not been remembered yet.
    """

    def __init__(self) -> None:
        self._last: PointsSnapshot | None = None
        self.ids: list[int] = []
        self._last_id = 0
        self._places: NDArray[np.float64] = np.empty((0, 0))
        self._origins: dict[int, tuple[NDArray[np.float64], PointOrigin]] = {}
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
        self.ids = []
        self._origins.clear()
        self._last, self.edited = None, False

    def identify(self, layer: Points) -> bool:
        """Find out which point is in each row, and number the new ones.

        To be called after every edit: rows that are added one after another are new, whatever
        napari has copied into their columns from points that are selected or pasted.

        Returns
        -------
        bool
            Whether points came, went or changed their rows.
        """
        if len(layer.features) != len(layer.data):  # in the middle of an edit
            return False
        given, before = read_ids(layer), self.ids
        ids, places = given[: len(before)], np.array(layer.data, float)
        unique = len(set(ids)) == len(ids) and all(0 < n <= self._last_id for n in ids)
        if not unique or ids == before[: len(ids)]:
            ids = self._ids_by_row(places)
        self._places = places
        new = len(given) - len(ids)
        self.ids = [*ids, *range(self._last_id + 1, self._last_id + 1 + new)]
        self._last_id += new
        if self.ids != given:
            write_ids(layer, self.ids, len(ids))
        return self.ids != before

    def note_count(self, layer: Points | None) -> None:
        """Take note of an edit where points came or went; the steps of a drag are one edit."""
        self.edited |= layer is not None and len(layer.data) != len(self.coordinates)

    def notices_roles(self, layer: Points) -> bool:
        """Return whether points say something else by now: that is an edit."""
        if read_roles(layer) != self.roles:
            self.edited = True
            return True
        return False

    def sources_of(self, layer: Points) -> list[PointOrigin]:
        """Return the image of each point there is now, by what it was before."""
        self.identify(layer)
        places = np.array(layer.data, float)
        nothing = PointOrigin()
        known = [
            self._origins.get(number, (place, nothing))
            for number, place in zip(self.ids, places, strict=True)
        ]
        before = np.array([place for place, _ in known], float).reshape(places.shape)
        in_place = ((before == places) | (np.isnan(before) & np.isnan(places))).all(axis=1)
        return [
            source if stays else moved(source)
            for (_, source), stays in zip(known, in_place, strict=True)
        ]

    def keep(self, layer: Points, sources: Sequence[PointOrigin]) -> None:
        """Remember all points as they are now."""
        self.identify(layer)
        self.coordinates, self.roles = np.array(layer.data, float), read_roles(layer)
        self.sources = list(sources)
        self._note_origins()

    def _ids_by_row(self, places: NDArray[np.float64]) -> list[int]:
        """Return who is in each row if the column does not say: those who were, if in order."""
        if len(places) <= len(self.ids) and not np.array_equal(places, self._places):
            former = [row for row in former_rows(self._places, places) if row is not None]
            if len(former) == len(places):
                return [self.ids[row] for row in former]
        return self.ids[: len(places)]

    def _note_origins(self) -> None:
        known = zip(self.coordinates, self.sources, strict=True)
        self._origins |= dict(zip(self.ids, known, strict=True))

    def snapshot(self, layer: Points) -> PointsSnapshot:
        """Return what the points are; in the middle of a drag, what they were before it."""
        if self.edited:  # no refresh has seen it yet, maybe
            self.keep(layer, self.sources_of(layer))
        now = PointsSnapshot(
            tuple(self.ids),
            np.array(layer.data, float),
            tuple(read_roles(layer)),
            tuple(self.sources),
            layer.features.copy(),
        )
        if self._last is None or self.edited or self._last.same_as(now):
            self._last = now
        return self._last

    def append(self, place: NDArray[np.float64], source: PointOrigin) -> None:
        """Remember a point that is about to be added."""
        self.coordinates = np.vstack([self.coordinates.reshape(-1, len(place)), place])
        self.sources.append(source)
        self._origins[self._last_id + 1] = (place, source)

    def restore(self, layer: Points, before: PointsSnapshot) -> Any:
        """Go back to what the points were; return the features that they have by then."""
        self.identify(layer)
        rows = {number: row for row, number in enumerate(self.ids)}
        former = [rows.get(number) for number in before.ids]
        features = with_users_columns(before.features, layer.features, former)
        self.ids, self.coordinates = list(before.ids), before.coordinates
        self._places = before.coordinates
        self.sources, self.roles = list(before.sources), list(before.roles)
        self._note_origins()
        self._last, self.edited = replace(before, features=features), False
        return features

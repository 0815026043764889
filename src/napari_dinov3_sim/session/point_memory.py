"""What query points were when they were last looked at, and before each edit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.history import History, Snapshot
from napari_dinov3_sim.session.point_features import Role, read_roles, with_users_columns
from napari_dinov3_sim.session.sources import Source, carry_over, former_selves

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Points
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.palette import Palette


class PointMemory:
    """Remembers the points of one layer at a time.

    Parameters
    ----------
    palette : Palette
        Goes back with the points to the kinds that there were.

    Attributes
    ----------
    coordinates : ndarray, shape (N, D)
        In data of the layer.
    roles : list of Role
    sources : list of Source
        The image of each point.
    edited : bool
        Whether an edit is complete that has not been remembered yet.
    """

    def __init__(self, palette: Palette) -> None:
        self._palette, self._history = palette, History()
        self.coordinates: NDArray[np.float64] = np.empty((0, 0))
        self.roles: list[Role] = []
        self.sources: list[Source] = []
        self.edited = False

    def begin(self, layer: Points) -> None:
        """Remember the points of a layer, of which nothing is known but what it says itself."""
        self.keep(layer, [Source() for _ in layer.data])

    def clear(self) -> None:
        """Forget everything."""
        self.coordinates, self.roles, self.sources = np.empty((0, 0)), [], []
        self._history.clear()

    def notices_places(self, layer: Points) -> bool:
        """Return whether points lie elsewhere by now, or have come or gone.

        What comes or goes is an edit; the steps of a drag are one, which ends with a data event.
        """
        self.edited |= len(layer.data) != len(self.coordinates)
        return self._is_moved(layer)

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

    def sources_of(self, layer: Points) -> list[Source]:
        """Return the image of each point there is now, by what it was before."""
        return carry_over(self.coordinates, self.sources, np.array(layer.data, float))

    def keep(self, layer: Points, sources: Sequence[Source]) -> None:
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

    def append(self, place: NDArray[np.float64], source: Source) -> None:
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
        former = former_selves(np.array(layer.data, float), before.coordinates)
        features = with_users_columns(before.features, layer.features, former)
        self.coordinates = before.coordinates
        self.sources, self.roles = list(before.sources), list(before.roles)
        self._palette.restore(before.kinds)
        return replace(before, features=features)

"""Undo of query edits: what the points were before each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_dinov3_sim.session.point_features import Role
    from napari_dinov3_sim.session.sources import Source

DEPTH = 100
"""Edits that can be undone."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All that the points were.

    Attributes
    ----------
    coordinates : ndarray, shape (N, D)
    roles : tuple of Role
    sources : tuple of Source
        The images that they were set on.
    kinds : mapping of str to int
        All that had a colour, see `Palette.numbers`.
    features : DataFrame
        The layer's, with the columns that are the user's.
    """

    coordinates: np.ndarray
    roles: tuple[Role, ...]
    sources: tuple[Source, ...]
    kinds: Mapping[str, int]
    features: Any = field(repr=False)

    def same_as(self, other: Snapshot) -> bool:
        """Whether the points are the same, whatever images they are on by now."""
        return self.roles == other.roles and np.array_equal(
            self.coordinates, other.coordinates, equal_nan=True
        )


class History:
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

"""The kinds that there are, and the colour that each keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

KIND_COLOURS = (
    "#00ffff",
    "#e69f00",
    "#f0e442",
    "#cc79a7",
    "#009e73",
    "#d55e00",
    "#56b4e9",
    "#ffffff",
)
"""In the order in which kinds appear; after cyan those of Okabe and Ito (2008), which people with
every kind of colour vision tell apart."""


class Palette:
    """Gives each kind a colour when it is first seen; a kind that goes and comes back has it."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._assigned: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """All kinds, in the order in which they were first seen."""
        return tuple(self._names)

    def colour(self, kind: str) -> str:
        """Return the colour of a kind, as ``#rrggbb``."""
        if kind not in self._names:
            self._names.append(kind)
        if kind in self._assigned:
            return self._assigned[kind]
        return KIND_COLOURS[self._names.index(kind) % len(KIND_COLOURS)]

    def assign(self, kind: str, colour: str) -> None:
        """Give a kind the colour it had elsewhere, as ``#rrggbb``."""
        self.colour(kind)
        self._assigned[kind] = colour

    def restore(self, names: Sequence[str]) -> None:
        """Go back to the kinds, and so to the colours, that there were."""
        self._names = list(names)

    def rename(self, old: str, new: str) -> None:
        """Give a kind another name and leave it its colour; one that exists already is joined."""
        if old in self._assigned and new not in self._names:
            self._assigned[new] = self._assigned.pop(old)
        if old in self._names and new not in self._names:
            self._names[self._names.index(old)] = new
        elif old in self._names and old != new:
            self._names.remove(old)

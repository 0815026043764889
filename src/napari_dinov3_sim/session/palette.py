"""The kinds that there are, and the colour that each keeps."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """Gives each kind a colour when it is first seen; a kind that goes and comes back has it.

    Every kind has a number of its own, which no other is given later, and with it its colour.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._next = count()
        self._assigned: dict[int, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """All kinds, in the order in which they were first seen."""
        return tuple(sorted(self._numbers, key=self._numbers.__getitem__))

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of each kind, to `restore`."""
        return dict(self._numbers)

    def colour(self, kind: str) -> str:
        """Return the colour of a kind, as ``#rrggbb``."""
        if kind not in self._numbers:
            self._numbers[kind] = next(self._next)
        number = self._numbers[kind]
        return self._assigned.get(number, KIND_COLOURS[number % len(KIND_COLOURS)])

    def assign(self, kind: str, colour: str) -> None:
        """Give a kind the colour it had elsewhere, as ``#rrggbb``."""
        self.colour(kind)
        self._assigned[self._numbers[kind]] = colour

    def restore(self, numbers: Mapping[str, int]) -> None:
        """Go back to the names that kinds had; those that are new since stay."""
        taken = set(numbers.values())
        new = {name: number for name, number in self._numbers.items() if number not in taken}
        self._numbers = {**new, **numbers}

    def rename(self, old: str, new: str) -> None:
        """Give a kind another name and leave it its colour; one that exists already is joined."""
        if old != new and old in self._numbers:
            number = self._numbers.pop(old)
            self._numbers.setdefault(new, number)

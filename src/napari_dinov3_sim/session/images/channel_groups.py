"""Which layers are channels of one image, as their names and colours say."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    from napari.layers import Image


MOST = 3
"""The model sees red, green and blue. Of more channels, which three matter is known to the user
only, so that they are searched one by one until they are merged by hand."""

PRIMARIES = {"red": 0, "green": 1, "blue": 2}
SECONDARIES = ("cyan", "magenta", "yellow")

NUMBER = re.compile(r" \[(\d+)\]$")
"""What napari adds to names that are there already, and so to the channels of a file."""

CHANNEL = re.compile(
    r"(?<![a-z0-9])(?:c[=:]?(\d)|(?:ch|chan|channel)[ _:=-]?(\d{1,2}))(?![a-z0-9])", re.IGNORECASE
)
"""What readers and microscopes write: ``C1-cells``, ``cells_ch00``, ``Channel:2``; ``C02`` is the
well of a plate."""

UNIT = "s|sec|m|min|h|hr|hrs|hours?|d|days?|w|weeks?"
TIME = re.compile(
    r"(?<![a-z0-9])(?:(?:t|tp|time|timepoint|frame|day|week|hour)[ _:=-]?\d+"
    rf"|\d+[ _-]?(?:{UNIT}))(?![a-z0-9])",
    re.IGNORECASE,
)
"""A moment of a series: ``t0``, ``t24``, ``12h``, ``frame_3``. Layers of different moments are
compared, not merged, whatever their colours are."""


@dataclass(frozen=True, eq=False)
class Opened:
    """What a layer was like when it was opened: what is changed later is a choice of display.

    Attributes
    ----------
    layer : Image
    name : str
    colour : str
        ``red``, ``green``, ``blue``, ``cyan``, ``magenta``, ``yellow``, or empty.
    additive : bool
        Whether it adds light to what lies below.
    path : str
        The file it comes from; empty if that is not known.
    """

    layer: Image
    name: str
    colour: str
    additive: bool
    path: str

    @classmethod
    def of(cls, layer: Image) -> Opened:
        """Describe a layer as it is now."""
        return cls(
            layer,
            str(layer.name),
            _colour_of(layer),
            str(layer.blending) == "additive",
            str(layer.source.path or ""),
        )

    @property
    def stem(self) -> str:
        """The name without the number that napari has added."""
        return NUMBER.sub("", self.name)

    @property
    def moment(self) -> tuple[str, ...]:
        """What the name says of the time."""
        return tuple(found.group().lower() for found in TIME.finditer(self.name))


def _colour_of(layer: Image) -> str:
    """Return the additive primary or secondary that a layer is drawn in, or an empty string."""
    colours = np.asarray(layer.colormap.colors, float)[:, :3]
    low, high = colours[0], colours[-1]
    if low.max() > 0.1 or ((high > 0.1) & (high < 0.9)).any():
        return ""
    names = {tuple(row): name for name, row in zip(PRIMARIES, np.eye(3) > 0, strict=True)}
    names |= {tuple(row): name for name, row in zip(SECONDARIES, np.eye(3) == 0, strict=True)}
    return names.get(tuple(high > 0.5), "")


def find_channels(
    opened: Sequence[Opened], place_of: Callable[[Image], Hashable | None]
) -> list[tuple[Image | None, ...]]:
    """Return the layers that are channels of one image each, in the order red, green, blue.

    Parameters
    ----------
    opened : sequence of Opened
        Layers in the order of the layer list.
    place_of : callable
        Returns the same for layers of the same shape and place, None for one that is no channel.

    Returns
    -------
    list of tuple of Image or None
        Two or three layers each; None is black. Four and more are none, see `MOST`.
    """
    places: dict[Hashable, list[Opened]] = defaultdict(list)
    for one in opened:
        place = place_of(one.layer)
        if place is not None:
            places[place, one.moment].append(one)
    return [_ordered(group) for here in places.values() for group in _groups(here)]


def _groups(here: Sequence[Opened]) -> Iterator[list[Opened]]:
    """Yield those of layers at one place that are one image; what is surest comes first."""
    left = list(here)
    for divide in (_by_number, _by_file_and_name, _by_file, _by_colour):
        for group in list(divide(left)):
            if len(group) > 1:
                left = [one for one in left if one not in group]
                if len(group) <= MOST:
                    yield group


def _by_number(left: Iterable[Opened]) -> Iterator[list[Opened]]:
    """Names that differ in the number of the channel only."""
    families: dict[str, dict[str, Opened]] = defaultdict(dict)
    for one in left:
        found = CHANNEL.search(one.name)
        if found is not None:
            number = found.group(1) or found.group(2)
            families[CHANNEL.sub("{}", one.name, count=1)].setdefault(number, one)
    return iter([list(family.values()) for family in families.values()])


def _by_file_and_name(left: Iterable[Opened]) -> Iterator[list[Opened]]:
    """Names that napari has numbered, of layers that add their light: it splits a file so.

    Two images of the same name, or a file that is opened twice, cover each other.
    """
    families: dict[tuple[str, str], list[Opened]] = defaultdict(list)
    for one in left:
        families[one.path, one.stem].append(one)
    return (f for f in families.values() if all(one.additive for one in f[1:]))


def _by_file(left: Iterable[Opened]) -> Iterator[list[Opened]]:
    """Different names in one file, in colours of channels."""
    files: dict[str, list[Opened]] = defaultdict(list)
    for one in left:
        if one.path:
            files[one.path].append(one)
    return (file for file in files.values() if _is_coloured(file))


def _by_colour(left: Iterable[Opened]) -> Iterator[list[Opened]]:
    """Neighbours in the layer list, up to a colour that comes again.

    Where there are more than can be merged, the colours of an image may go round again.
    """
    run: list[Opened] = []
    for one in left:
        goes_round = len(run) > MOST and one.colour and one.additive
        if not (goes_round or _is_coloured([*run, one])):
            yield run
            run = []
        run = [*run, one] if one.colour else []
    yield run


def _is_coloured(group: Sequence[Opened]) -> bool:
    """Whether each has a colour of its own, and all above the lowest add their light."""
    colours = [one.colour for one in group]
    distinct = all(colours) and len(set(colours)) == len(colours)
    return distinct and all(one.additive for one in group[1:])


def _ordered(group: Sequence[Opened]) -> tuple[Image | None, ...]:
    """Put what is red, green or blue there; other colours as they come."""
    slots: list[Image | None] = [None] * MOST
    if all(one.colour in PRIMARIES for one in group) and _is_coloured(group):
        for one in group:
            slots[PRIMARIES[one.colour]] = one.layer
        return tuple(slots)
    return (*(one.layer for one in group), *slots)[:MOST]


def common_name(names: Sequence[str]) -> str:
    """Return what channels are called together.

    Examples
    --------
    >>> common_name(["cells", "cells [1]"]), common_name(["C1-cells", "C2-cells"])
    ('cells', 'cells')
    >>> common_name(["dapi", "gfp"])
    'dapi + gfp'
    """
    if len(names) == 1:
        return names[0]
    stems = {NUMBER.sub("", name) for name in names}
    if len(stems) > 1:
        found = {CHANNEL.sub("", name, count=1).strip(" _-:.,") for name in names}
        stems = found if all(CHANNEL.search(name) for name in names) else stems
    return stems.pop() if len(stems) == 1 and any(stems) else " + ".join(names)

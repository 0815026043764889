"""The style of heatmaps: colormap, opacity, blending, contrast, colours of classes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import SimilarityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari.layers import Image
    from napari.utils import Colormap
    from numpy.typing import NDArray


BRIGHT = 0.55
"""Mean of all pixels and channels, of 1. Stained sections and scanned pages have about 0.65,
photographs 0.3 to 0.5, fluorescence 0.1."""


def is_bright(image: Image) -> bool:
    """Whether an image is bright, as napari draws it: by its thumbnail, which is there already."""
    drawn = _without_padding(np.asarray(image.thumbnail)[..., :3])
    return bool(drawn.size) and float(drawn.mean()) > 255 * BRIGHT


def _without_padding(thumbnail: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Cut off the black that makes every thumbnail a square."""
    lit = thumbnail.max(-1) > 0
    rows, columns = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
    if not rows.size:
        return thumbnail[:0]
    return thumbnail[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


BLENDINGS = ("translucent_no_depth", "translucent", "additive", "opaque", "minimum")

CLASS_COLOUR = "class"
"""In place of a colormap: each heatmap in the colour of its class."""


@dataclass(frozen=True)
class HeatmapStyle:
    """How heatmap layers are drawn.

    Attributes
    ----------
    colormap : str
        'class' for the colour of the class, or one of napari's colormaps, which holds as long as
        there is a single class.
    opacity : float
        In [0, 1], of the highest scores.
    blending : str
        'translucent_no_depth' shows on bright and on dark images; 'additive' adds light, which
        shows on dark ones; 'opaque' hides the image.
    """

    colormap: str = CLASS_COLOUR
    opacity: float = 0.7
    blending: str = "translucent_no_depth"

    def check(self) -> None:
        """Raise `SimilarityError` unless napari can draw like this."""
        from napari.utils.colormaps import ensure_colormap

        try:
            if self.colormap != CLASS_COLOUR:
                ensure_colormap(self.colormap)
        except (KeyError, TypeError) as error:
            raise SimilarityError(
                f"There is no colormap {self.colormap!r}; choose class, or one of napari's, such "
                "as magma."
            ) from error
        if not 0 <= self.opacity <= 1:
            raise SimilarityError(f"Opacity goes from 0 to 1, not {self.opacity}.")
        if self.blending not in BLENDINGS:
            raise SimilarityError(
                f"There is no blending {self.blending!r}; choose one of {', '.join(BLENDINGS)}."
            )

    @classmethod
    def closest(cls, colormap: str, opacity: float, blending: str) -> HeatmapStyle:
        """Return the style of a layer, with the defaults of what no heatmap is drawn with.

        napari's own controls set more blendings and colormaps.
        """
        found = cls()
        for part in ({"colormap": colormap}, {"opacity": opacity}, {"blending": blending}):
            changed = replace(found, **part)
            try:
                changed.check()
            except SimilarityError:
                continue
            found = changed
        return found


STEPS = np.linspace(0.0, 1.0, 65)
"""Scores, in parts of the scale, at which the colours of a heatmap are given."""

WITHOUT_ALPHA = {"opaque": 0.0, "minimum": 1.0}
"""Blendings that take no notice of alpha, and the gray that means *nothing* under each."""

_PREFIX, _SUFFIX = "class ", " with alpha"


def heatmap_colormap(colours: str, blending: str) -> Colormap:
    """Return the colormap of a heatmap: the higher the score, the less transparent.

    Alpha is the square of the score in parts of the scale. So the many patches in the middle of
    the scale leave the image as it is, and what is found stands out.

    Parameters
    ----------
    colours : str
        A colour as ``#rrggbb``, or the name of one of napari's colormaps.
    blending : str
        Under blendings without alpha, a colour rises from black or white instead.
    """
    from napari.utils import Colormap
    from napari.utils.colormaps import ensure_colormap
    from napari.utils.colormaps.standardize_color import transform_color

    one_colour = colours.startswith("#")
    if one_colour:
        rgba = np.repeat(transform_color(colours), len(STEPS), axis=0)
    else:
        rgba = np.array(ensure_colormap(colours).map(STEPS))
    nothing = WITHOUT_ALPHA.get(blending)
    if nothing is None:
        rgba[:, 3] = STEPS**2
    elif one_colour:
        rgba[:, :3] = nothing + STEPS[:, np.newaxis] * (rgba[:, :3] - nothing)
    name = f"{_PREFIX}{colours}" if one_colour else colours
    if nothing is not None:
        name = f"{name} {blending}"
    elif not one_colour:
        name += _SUFFIX
    return Colormap(rgba, name=name)


def colormap_of_style(name: str) -> str:
    """Return which `HeatmapStyle.colormap` a layer was drawn in, by the name of its colormap."""
    if name.startswith(f"{_PREFIX}#"):
        return CLASS_COLOUR
    for end in (_SUFFIX, *(f" {blending}" for blending in WITHOUT_ALPHA)):
        name = name.removesuffix(end)
    return name


CLASS_COLOURS = (
    "#00ffff",
    "#e69f00",
    "#f0e442",
    "#cc79a7",
    "#009e73",
    "#d55e00",
    "#56b4e9",
    "#0072b2",
)
"""In the order in which classes appear; after cyan those of Okabe and Ito (2008), which people
with every sort of colour vision tell apart."""


DARK = 0.55
"""How bright what is negative is drawn, of the brightness of its class: a difference at a glance,
and still the same colour."""


@dataclass(frozen=True)
class PaletteState:
    """All that a palette is, to be restored.

    Attributes
    ----------
    numbers : mapping of str to int
        The number of each class.
    assigned : mapping of int to str
        The colours of classes that have not the one of their number.
    dropped : frozenset of int
        Numbers of classes that were removed, or joined with another.
    joined : mapping of int to int
        Of those that were joined, the number of the other class.
    """

    numbers: Mapping[str, int] = field(default_factory=dict)
    assigned: Mapping[int, str] = field(default_factory=dict)
    dropped: frozenset[int] = frozenset()
    joined: Mapping[int, int] = field(default_factory=dict)

    def same_as(self, other: PaletteState) -> bool:
        """Whether the classes have the same names and colours."""
        return self == other


class Palette(dict[str, str]):
    """The colour of each class, as ``#rrggbb``; a class that is new gets the next one.

    Every class has a number of its own, which no other is given later, and with it its colour:
    a class that goes and comes back has the colour that it had.

    Attributes
    ----------
    edited : bool
        See `Recorded`; an edit of the palette is always part of another one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._state = PaletteState()
        self._next = count()
        self.edited = False

    def __missing__(self, class_name: str) -> str:
        self.add(class_name)
        return self[class_name]

    def add(self, class_name: str) -> None:
        """Give a class a number and a colour, if it has none yet."""
        if class_name not in self:
            self._change(numbers={**self.numbers, class_name: next(self._next)})

    @property
    def numbers(self) -> Mapping[str, int]:
        """The number of each class; replaced and never changed."""
        return self._state.numbers

    @property
    def names(self) -> tuple[str, ...]:
        """All classes, in the order in which they were first seen."""
        return tuple(sorted(self.numbers, key=self.numbers.__getitem__))

    def names_now(self, numbers: Mapping[str, int]) -> dict[str, str]:
        """Return what classes are called now, by the names that they had; without those gone.

        Parameters
        ----------
        numbers : mapping of str to int
            Those of the classes under the names that they had.
        """
        now = {number: name for name, number in self.numbers.items()}
        return {name: now[number] for name, number in numbers.items() if number in now}

    def assign(self, class_name: str, colour: str) -> None:
        """Give a class the colour it had elsewhere, as ``#rrggbb``."""
        self.add(class_name)
        self._change(assigned={**self._state.assigned, self.numbers[class_name]: colour})

    def snapshot(self) -> PaletteState:
        """Return all that it is now."""
        return self._state

    def restore(self, snapshot: PaletteState) -> None:
        """Go back to the names and colours that classes had; those that are new since stay."""
        taken = {*snapshot.numbers.values(), *snapshot.dropped}
        new = {name: number for name, number in self.numbers.items() if number not in taken}
        colours = {n: c for n, c in self._state.assigned.items() if n in new.values()}
        self._change(
            numbers={**new, **snapshot.numbers},
            assigned={**colours, **snapshot.assigned},
            dropped=snapshot.dropped,
            joined=snapshot.joined,
        )

    def remove(self, class_name: str) -> None:
        """Let a class be none any more; if it comes again, it is a new one."""
        if class_name in self.numbers:
            numbers = dict(self.numbers)
            number = numbers.pop(class_name)
            self._change(numbers=numbers, dropped=self._state.dropped | {number})

    def rename(self, old: str, new: str) -> None:
        """Give a class another name and leave it its colour; one that exists already is joined."""
        if old != new and old in self.numbers:
            numbers = dict(self.numbers)
            number = numbers.pop(old)
            joined = {number: numbers[new]} if new in numbers else {}
            numbers.setdefault(new, number)
            self._change(
                numbers=numbers,
                dropped=self._state.dropped | joined.keys(),
                joined={**self._state.joined, **joined},
            )

    def _change(self, **parts: Any) -> None:
        self._state = replace(self._state, **parts)
        self.clear()
        for name, number in self.numbers.items():
            plain = CLASS_COLOURS[number % len(CLASS_COLOURS)]
            self[name] = self._state.assigned.get(number, plain)


def darkened(colour: str) -> str:
    """Return the darker shade of a class's colour in which its negative points are drawn.

    Examples
    --------
    >>> darkened("#00ffff")
    '#008c8c'
    """
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(DARK * part):02x}" for part in parts)


SHADES = (0.0, -0.5, 0.3, -0.25, 0.6)
"""How far the shades of a class go to white, of 1, or to black, where negative. Each is two steps
of five from the next, and the last from the first."""


def shades_of(colour: str, others: Iterable[str] = ()) -> tuple[str, ...]:
    """Return shades of the colour of a class, in which its objects are told apart.

    Shades that come near the colour of another class are drawn back: each stays twice as near to
    its own, in CIELAB.

    Parameters
    ----------
    colour : str
        As ``#rrggbb``.
    others : iterable of str
        Colours of the other classes.

    Returns
    -------
    tuple of str
        The first is the colour itself.

    Examples
    --------
    >>> shades_of("#00ffff")
    ('#00ffff', '#008080', '#4dffff', '#00bfbf', '#99ffff')
    """
    others = [other for other in others if other != colour]
    reach = {light: _reach(colour, light, others) for light in (False, True)}
    own = _rgb(colour)
    mixed = [own + ((shade > 0) - own) * abs(shade) * reach[shade > 0] for shade in SHADES]
    return tuple("#" + "".join(f"{int(255 * part + 0.5):02x}" for part in rgb) for rgb in mixed)


def _reach(colour: str, light: bool, others: Sequence[str]) -> float:
    """Return which part of `SHADES` to white or to black keeps away from other classes."""
    from skimage.color import rgb2lab

    own, far = _rgb(colour), max(SHADES) if light else -min(SHADES)
    apart = [rgb2lab(_rgb(other)) for other in others]
    for reach in np.linspace(1, 0, 21):
        lab = rgb2lab(own + (light - own) * far * reach)
        away = 2 * np.linalg.norm(lab - rgb2lab(own))
        if all(np.linalg.norm(lab - other) >= away for other in apart):
            break
    return float(reach)


def _rgb(colour: str) -> NDArray[np.float64]:
    """Return red, green and blue of ``#rrggbb``, in [0, 1]."""
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255

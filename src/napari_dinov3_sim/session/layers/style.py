"""The style of heatmaps: colormap, opacity, blending, contrast, colours of classes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.errors import SimilarityError

if TYPE_CHECKING:
    from collections.abc import Mapping

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


class Palette(dict[str, str]):
    """The colour of each class, as ``#rrggbb``; a class that is new gets the next one.

    Every class has a number of its own, which no other is given later, and with it its colour:
    a class that goes and comes back has the colour that it had.

    Attributes
    ----------
    numbers : mapping of str to int
        The number of each class, to `restore`; replaced and never changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.numbers: Mapping[str, int] = {}
        self._next = count()
        self._assigned: dict[int, str] = {}

    def __missing__(self, class_name: str) -> str:
        self.add(class_name)
        return self[class_name]

    def add(self, class_name: str) -> None:
        """Give a class a number and a colour, if it has none yet."""
        if class_name not in self:
            self._renumber({**self.numbers, class_name: next(self._next)})

    @property
    def names(self) -> tuple[str, ...]:
        """All classes, in the order in which they were first seen."""
        return tuple(sorted(self.numbers, key=self.numbers.__getitem__))

    def assign(self, class_name: str, colour: str) -> None:
        """Give a class the colour it had elsewhere, as ``#rrggbb``."""
        self.add(class_name)
        self._assigned[self.numbers[class_name]] = colour
        self._renumber(self.numbers)

    def restore(self, numbers: Mapping[str, int]) -> None:
        """Go back to the names that classes had; those that are new since stay."""
        taken = set(numbers.values())
        new = {name: number for name, number in self.numbers.items() if number not in taken}
        self._renumber({**new, **numbers})

    def rename(self, old: str, new: str) -> None:
        """Give a class another name and leave it its colour; one that exists already is joined."""
        if old != new and old in self.numbers:
            numbers = dict(self.numbers)
            number = numbers.pop(old)
            numbers.setdefault(new, number)
            self._renumber(numbers)

    def _renumber(self, numbers: Mapping[str, int]) -> None:
        self.numbers = numbers
        self.clear()
        for name, number in numbers.items():
            plain = CLASS_COLOURS[number % len(CLASS_COLOURS)]
            self[name] = self._assigned.get(number, plain)

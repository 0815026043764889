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


BLENDINGS = ("additive", "translucent", "translucent_no_depth", "minimum", "opaque")


@dataclass(frozen=True)
class HeatmapStyle:
    """How heatmap layers are drawn.

    Attributes
    ----------
    colormap : str
        Of the heatmaps of a single class; with several, each has its class's colour.
    opacity : float
        In [0, 1].
    blending : str
        'additive' adds light, which shows on dark images; 'translucent' covers, which also shows
        on bright ones.
    """

    colormap: str = "magma"
    opacity: float = 0.7
    blending: str = "additive"

    def check(self) -> None:
        """Raise `SimilarityError` unless napari can draw like this."""
        from napari.utils.colormaps import ensure_colormap

        try:
            ensure_colormap(self.colormap)
        except (KeyError, TypeError) as error:
            raise SimilarityError(
                f"There is no colormap {self.colormap!r}; choose one of napari's, such as magma."
            ) from error
        if not 0 <= self.opacity <= 1:
            raise SimilarityError(f"Opacity goes from 0 to 1, not {self.opacity}.")
        if self.blending not in BLENDINGS:
            raise SimilarityError(
                f"There is no blending {self.blending!r}; choose one of {', '.join(BLENDINGS)}."
            )


def class_colormap(colour: str) -> Colormap:
    """Return a colormap from transparent to a colour, which shows under any blending."""
    from napari.utils import Colormap
    from napari.utils.colormaps.standardize_color import transform_color

    rgba = transform_color(colour)[0]
    clear = (*rgba[:3], 0.0)
    return Colormap([clear, tuple(rgba)], name=f"class {colour}")


CLASS_COLOURS = (
    "#00ffff",
    "#e69f00",
    "#f0e442",
    "#cc79a7",
    "#009e73",
    "#d55e00",
    "#56b4e9",
    "#ffffff",
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

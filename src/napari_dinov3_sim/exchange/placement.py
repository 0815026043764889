"""Where the pixels of an array lie, as the files of this package say it: axes, sizes, units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

METRES = {
    "picometer": 1e-12,
    "angstrom": 1e-10,
    "nanometer": 1e-9,
    "micrometer": 1e-6,
    "millimeter": 1e-3,
    "centimeter": 1e-2,
    "inch": 0.0254,
    "meter": 1.0,
}
"""Units of length that a result carries."""

MOST_PIXELS = 2**31
"""Along a length: PNG and TIFF hold fewer."""

SECONDS = {"millisecond": 1e-3, "second": 1.0, "minute": 60.0, "hour": 3600.0}
"""Units of time that a result carries."""


@dataclass(frozen=True)
class Axis:
    """An axis of an array.

    Attributes
    ----------
    name : {'t', 'c', 'z', 'y', 'x'}
    size : float
        Distance of two pixels; where an axis runs backwards in the world it is what it is there
        without the sign.
    origin : float
        Centre of the first pixel.
    unit : str
        As napari knows it; ``pixel`` where no size is known.
    """

    name: str
    size: float = 1.0
    origin: float = 0.0
    unit: str = "pixel"

    @property
    def is_known(self) -> bool:
        """Whether a size is known in a unit that files carry."""
        return self.unit in METRES or self.unit in SECONDS

    @property
    def is_placed(self) -> bool:
        """Whether anything is known of it at all."""
        return self != Axis(self.name)


def pixels_along(length: float, sizes: Sequence[float]) -> tuple[float, float] | None:
    """Return how many pixels go into a length, as the headers of pictures say how large they are.

    Parameters
    ----------
    length : float
        In metres.
    sizes : sequence of float
        Height and width of a pixel in metres; 0 where they are not known.

    Returns
    -------
    (across, down) or None
        None where a size is not known, or is so small that no header holds the number.
    """
    if not all(sizes) or length >= MOST_PIXELS * min(sizes):
        return None
    down, across = sizes
    return length / across, length / down


def named_axes(labels: Sequence[str], units: Sequence[str]) -> list[str]:
    """Return what the axes of an image are, which end in rows and columns.

    Parameters
    ----------
    labels, units : sequence of str
        As napari has them, one for each axis.

    Returns
    -------
    list of str
        't', 'c', 'z', 'y' or 'x'. An axis is known by its label, or by a unit of time. Of others
        the last is z, the one before t, and one more c: a stack is one in depth unless it says
        something else.

    Raises
    ------
    ValueError
        There are more than five axes.

    Examples
    --------
    >>> named_axes(["time", "-3", "-2", "-1"], ["pixel"] * 4)
    ['t', 'z', 'y', 'x']
    """
    leading = [_known(*pair) for pair in zip(labels[:-2], units[:-2], strict=True)]
    if len(leading) > 3:
        raise ValueError(f"{len(labels)} axes, of which files carry five")
    found: list[str] = []
    free = [name for name in "ztc" if name not in leading]
    for name in reversed(leading):
        found.insert(0, free.pop(0) if name is None or name in found else name)
    return [*found, "y", "x"]


def _known(label: str, unit: str) -> str | None:
    start = label.strip().lower()
    for name, words in (("t", ("t", "time")), ("z", ("z", "depth")), ("c", ("c", "channel"))):
        if start in words:
            return name
    return "t" if unit in SECONDS else None

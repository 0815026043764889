"""Sizes of objects: in pixels, or in the units of the image."""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_dinov3_sim.core.errors import SimilarityError

METRES = {
    "pm": 1e-12,
    "nm": 1e-9,
    "um": 1e-6,
    "mm": 1e-3,
    "cm": 1e-2,
    "m": 1.0,
}
"""Units in which an area may be given, in metres."""

AREA = re.compile(r"([0-9.eE+-]+?)\s*(?:(px|pixels?)|([pnumµμc]?m)(?:2|²|\^2))?")


@dataclass(frozen=True)
class Area:
    """An area: pixels of level 0, or a physical one.

    Attributes
    ----------
    value : float
    unit : str
        Empty for pixels, else one of `METRES`; ``"um"`` stands for square micrometres.
    """

    value: float
    unit: str = ""

    @classmethod
    def parse(cls, text: str) -> Area:
        """Return an area from a text such as ``50``, ``50px``, ``50um2`` or ``0.5 mm²``.

        Raises
        ------
        SimilarityError
            It is none, or less than 0.
        """
        found = AREA.fullmatch(text.strip())
        try:
            value = float(found.group(1)) if found else -1.0
        except ValueError:
            value = -1.0
        if found is None or not 0 <= value < float("inf"):
            raise SimilarityError(
                f"{text!r} is not an area; give pixels, as in 50, or a unit, as in 50um2."
            )
        unit = (found.group(3) or "").replace("µ", "u").replace("μ", "u")
        return cls(value, unit)

    def pixels(self, pixel_area: float | None) -> float:
        """Return it in pixels of level 0.

        Parameters
        ----------
        pixel_area : float or None
            Of one pixel in square metres; None where the image has no unit of length.

        Raises
        ------
        SimilarityError
            The area has a unit and the image has none.
        """
        if not self.unit or not self.value:
            return self.value
        if not pixel_area:
            raise SimilarityError(
                f"{self} cannot be measured in an image without a pixel size; give the area in "
                "pixels, or set the scale and the units of the layer."
            )
        return self.value * METRES[self.unit] ** 2 / pixel_area

    def __str__(self) -> str:
        unit = self.unit.replace("u", "µ")
        return f"{self.value:.12g} {unit}²" if unit else f"{self.value:.12g} px"


NO_LEAST, NO_MOST = Area(0.0), Area(float("inf"))
"""Limits that every object keeps."""

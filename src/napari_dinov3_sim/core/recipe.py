"""How pixels become embeddings, beyond model and intensity window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.tiles import Tiling

Padding = Literal["zeros", "reflect"]
"""What lies beyond the right and the bottom border of an image."""

FACTORS = (0.5, 1.0, 2.0, 4.0)
"""How much larger than the image its pixels may go through the model."""

SHIFTS = (1, 2, 4)
"""Into how many cells a patch may be split along each axis by shifted forward passes."""


@dataclass(frozen=True)
class Recipe:
    """What decides the embeddings of an image, beyond its pixels, the model and the window.

    Parameters
    ----------
    tiling : Tiling, optional
        Images up to one tile go through the model whole, larger ones in overlapping tiles.
    factor : {0.5, 1, 2, 4}, optional
        The image is resampled by this factor before the model, so that a patch of P pixels
        covers P / factor pixels of the image.
    shifts : {1, 2, 4}, optional
        The image goes through the model shifts × shifts times, shifted by P / shifts pixels, and
        the results are interleaved: one embedding per P / shifts pixels, of the patch around them.
    padding : {'zeros', 'reflect'}, optional
        'zeros' is black before the normalisation; 'reflect' mirrors the image.
    debias : int, optional
        How many positional directions are projected out; 0 for none.

    Raises
    ------
    ImageError
        A value is none of those above.
    """

    tiling: Tiling = field(default_factory=Tiling)
    factor: float = 1.0
    shifts: int = 1
    padding: Padding = "zeros"
    debias: int = 0

    def __post_init__(self) -> None:
        if self.factor not in FACTORS:
            raise ImageError(f"The resolution must be ½, 1, 2 or 4, not {self.factor:g}.")
        if self.shifts not in SHIFTS:
            raise ImageError(f"A patch can be split in 1, 2 or 4, not {self.shifts}.")
        if self.padding not in get_args(Padding):
            raise ImageError(f"The padding must be zeros or reflect, not {self.padding}.")
        if self.debias < 0:
            raise ImageError(
                f"The number of positional directions cannot be negative ({self.debias})."
            )

    def cell_size(self, patch_size: int) -> int:
        """Return the side of the square of image pixels that has an embedding of its own.

        Parameters
        ----------
        patch_size : int
            Side P of a patch, in pixels of what goes through the model.

        Returns
        -------
        int
            P / (factor · shifts), in pixels of the image.

        Raises
        ------
        ImageError
            That is no whole number of pixels.
        """
        cell = patch_size / (self.factor * self.shifts)
        if cell < 1 or cell != int(cell):
            raise ImageError(
                f"Patches of {patch_size} pixels cannot be made {self.factor * self.shifts:g} "
                "times as fine; choose a lower resolution or fewer shifts."
            )
        return int(cell)

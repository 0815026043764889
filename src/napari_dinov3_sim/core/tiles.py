"""How an image larger than one tile is cut: into equal, overlapping tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from napari_dinov3_sim.core.errors import ImageError

if TYPE_CHECKING:
    from napari_dinov3_sim.core.geometry import PatchGrid

Joint = Literal["blend", "cut"]
"""How the patches are chosen where tiles overlap."""


@dataclass(frozen=True)
class Tiling:
    """Side and overlap of tiles, in pixels, and how they are joined.

    Parameters
    ----------
    side : int, optional
        Longest side that goes through the model in one piece.
    overlap : int, optional
        Least overlap of neighbouring tiles.
    joint : {'blend', 'cut'}, optional
        'blend' takes the mean of the tiles over a patch, with weights that fall linearly over the
        overlap, where the patches of a tile have seen less and less of their surroundings.
        'cut' takes the vector of the tile whose border is farther.

    Raises
    ------
    ImageError
        `overlap` is negative or not smaller than `side`, or there is no such joint.
    """

    side: int = 1024
    overlap: int = 128
    joint: Joint = "blend"

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.side:
            raise ImageError(
                f"Tiles of {self.side} pixels cannot overlap by {self.overlap}; "
                "choose an overlap from 0 to less than the side."
            )
        if self.joint not in get_args(Joint):
            raise ImageError(f"Tiles are joined by blend or cut, not by {self.joint}.")


@dataclass(frozen=True)
class Span:
    """One tile along one axis, in patches."""

    start: int
    stop: int


@dataclass(frozen=True)
class Tile:
    """A tile: a span of patch rows and a span of patch columns."""

    rows: Span
    columns: Span


def plan_spans(length: int, side: int, overlap: int) -> tuple[Span, ...]:
    """Cover `length` patches with spans of at most `side` patches.

    Parameters
    ----------
    length, side, overlap : int
        In patches.

    Returns
    -------
    tuple of Span
        All of the same size, evenly spaced, as few and then as small as overlapping by at least
        `overlap` allows.
    """
    if length <= side:
        return (Span(0, length),)
    count = -(-(length - overlap) // (side - overlap))
    # As small as `count` tiles can be: attention costs the square of a tile, and what tiles
    # overlap by more than asked is embedded for nothing.
    side = -(-(length + (count - 1) * overlap) // count)
    starts = np.linspace(0, length - side, count).round().astype(int).tolist()
    return tuple(Span(start, start + side) for start in starts)


def plan_tiles(grid: PatchGrid, tiling: Tiling, patch_size: int | None = None) -> tuple[Tile, ...]:
    """Return the tiles of a grid, row by row; a single one where the image fits a tile.

    Parameters
    ----------
    grid : PatchGrid
    tiling : Tiling
        In pixels of the model.
    patch_size : int, optional
        Side of a patch in pixels of the model, where that is not its side in the image.
    """
    patch_size = patch_size or grid.patch_size
    side = max(1, tiling.side // patch_size)
    overlap = min(-(-tiling.overlap // patch_size), side - 1)
    rows = plan_spans(grid.rows, side, overlap)
    columns = plan_spans(grid.columns, side, overlap)
    return tuple(Tile(row, column) for row in rows for column in columns)

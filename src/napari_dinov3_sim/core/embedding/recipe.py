"""The recipe of embeddings: resolution, shifts, padding, tiles, and the plan they give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.images.resampling import Padding

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

    side: int = 512
    overlap: int = 64
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


@dataclass(frozen=True)
class EmbeddingPlan:
    """How an image of a certain shape is embedded.

    A *cell* is a square of image pixels with an embedding of its own. Tiles are planned in whole
    patches, each of `shifts`² cells, so that all passes over a tile read the same pixels.

    Attributes
    ----------
    grid : PatchGrid
        The cells.
    tiles : tuple of Tile
        In row-major order, in patches; all of the same shape.
    patch_size : int
        Side P of a patch, in pixels of the model.
    shifts : int
        Cells along the side of a patch.
    """

    grid: PatchGrid
    tiles: tuple[Tile, ...]
    patch_size: int
    shifts: int

    @property
    def tile_shape(self) -> tuple[int, int]:
        """Rows and columns of patches that go through the model at once."""
        rows, columns = self.tiles[0].rows, self.tiles[0].columns
        return rows.stop - rows.start, columns.stop - columns.start

    @property
    def step(self) -> int:
        """Pixels of the model between neighbouring cells, P / shifts."""
        return self.patch_size // self.shifts

    def region(self, span: Span) -> tuple[int, int]:
        """Return where the pixels of a tile begin and end along one axis, in model pixels.

        Cell j gets the patch that is centred on it: it begins at j · P / shifts - (P - P /
        shifts) / 2, which may lie before the first pixel of the image.
        """
        start = span.start * self.patch_size - (self.patch_size - self.step) // 2
        length = (span.stop - span.start) * self.patch_size + (self.shifts - 1) * self.step
        return start, start + length

    def cells(self, tile: Tile) -> tuple[slice, slice]:
        """Return the rows and columns of cells that a tile has; its last patch may lack some."""
        rows, columns = (
            slice(span.start * self.shifts, min(span.stop * self.shifts, size))
            for span, size in zip((tile.rows, tile.columns), self.grid.shape, strict=True)
        )
        return rows, columns


def plan_embedding(image_shape: tuple[int, int], patch_size: int, recipe: Recipe) -> EmbeddingPlan:
    """Return the plan for an image.

    Parameters
    ----------
    image_shape : tuple of int
        Height and width, in pixels.
    patch_size : int
        Side P of a patch, in pixels of the model.
    recipe : Recipe

    Raises
    ------
    ImageError
        The image has no pixels, or the recipe cannot be followed with this patch size.
    """
    cell = recipe.cell_size(patch_size)
    patches = PatchGrid(image_shape, cell * recipe.shifts)
    tiles = plan_tiles(patches, recipe.tiling, patch_size)
    return EmbeddingPlan(PatchGrid(image_shape, cell), tiles, patch_size, recipe.shifts)


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

"""Which tiles and which shifted passes an image takes, and which cells of its grid each has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.tiles import Span, Tile, plan_tiles

if TYPE_CHECKING:
    from napari_dinov3_sim.core.recipe import Recipe


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

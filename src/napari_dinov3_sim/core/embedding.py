"""The way of an image through the model: tile by tile, into one array of unit vectors."""

from __future__ import annotations

import itertools
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch

from napari_dinov3_sim.core.batches import (
    ArithmeticChangedError,
    Forward,
    Notice,
    Pass,
    Recalled,
    batched,
    read_ahead,
)
from napari_dinov3_sim.core.chunks import ChunkCache
from napari_dinov3_sim.core.joining import Joiner
from napari_dinov3_sim.core.plan import EmbeddingPlan, plan_embedding
from napari_dinov3_sim.core.resampling import ResampledImage
from napari_dinov3_sim.core.tensors import lengths, normalize_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.batches import Batch
    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.intensity import IntensityWindow
    from napari_dinov3_sim.core.recipe import Recipe
    from napari_dinov3_sim.core.sources import PixelSource
    from napari_dinov3_sim.core.state import Backbone, Progress


class TileCache(Protocol):
    """Keeps the tiles of one image, one model, one window and one recipe across runs."""

    def get(self, number: int) -> NDArray[np.float32 | np.float16] | None:
        """Return what `put` was given for a tile, or None."""

    def put(self, number: int, embeddings: NDArray[np.float32 | np.float16]) -> None:
        """Keep the unit vectors (rows, columns, D), float32 or float16, of a whole tile."""


@dataclass(eq=False)
class EmbeddingTask:
    """Embeds one image, all of it in one arithmetic.

    Attributes
    ----------
    image : ResampledImage
    plan : EmbeddingPlan
    joiner : Joiner
    forward : Forward
    tiles : TileCache or None
        Asked before a tile is computed, and given each that was.
    progress : callable or None
        Called with (tiles done, tiles in all).
    """

    image: ResampledImage
    plan: EmbeddingPlan
    joiner: Joiner
    forward: Forward
    tiles: TileCache | None
    progress: Progress | None
    _done: int = field(default=0, init=False)

    def run(self) -> NDArray[np.float32 | np.float16]:
        """Return the unit vectors of all cells, (rows * columns, D)."""
        self._report()
        batches = batched(self._steps(), self.forward.batch_size)
        # Closed on every way out, so that no thread outlives a cancel.
        with closing(read_ahead(batches, self.forward.stage)) as ready:
            self._collect(ready)
        vectors: NDArray[np.float32 | np.float16] = self.joiner.embeddings.numpy()
        return vectors.reshape(-1, self.forward.backbone.dim)

    def _collect(self, ready: Iterator[Batch | Recalled]) -> None:
        unfinished: dict[int, list[torch.Tensor]] = {}
        for step in ready:
            if isinstance(step, Recalled):
                self._join(step.tile, step.vectors)
                continue
            for one, features in zip(step.passes, self.forward(step.pixels), strict=True):
                parts = unfinished.setdefault(one.tile, [])
                parts.append(features)
                if len(parts) == self.plan.shifts**2:
                    self._finish(one.tile, unfinished.pop(one.tile))

    def _steps(self) -> Iterator[tuple[Pass, torch.Tensor] | Recalled]:
        # In one order, whatever is there already: so are the sums, to the last bit.
        for number in range(len(self.plan.tiles)):
            recalled = self._recall(number)
            if recalled is None:
                yield from self._passes(number)
            else:
                yield recalled

    def _passes(self, number: int) -> Iterator[tuple[Pass, torch.Tensor]]:
        backbone, side = self.forward.backbone, self.plan.patch_size
        height, width = (n * side for n in self.plan.tile_shape)
        tile = self.plan.tiles[number]
        rgb = self.image.read(self.plan.region(tile.rows), self.plan.region(tile.columns))
        pixels = normalize_pixels(rgb, backbone.mean, backbone.std)
        for row, column in itertools.product(range(self.plan.shifts), repeat=2):
            top, left = row * self.plan.step, column * self.plan.step
            shifted = pixels[:, top : top + height, left : left + width]
            yield Pass(number, row, column), shifted.contiguous()

    def _finish(self, number: int, parts: list[torch.Tensor]) -> None:
        rows, columns, _ = self._shape(number)
        cells = _interleaved(parts, self.plan.shifts)[:rows, :columns]
        # Rounded before they are joined, so that a run that recalls them joins the same.
        vectors = (cells / lengths(cells)).to(self.joiner.embeddings.dtype)
        if self.tiles is not None:
            self.tiles.put(number, vectors.numpy())
        self._join(number, vectors)

    def _join(self, number: int, vectors: torch.Tensor) -> None:
        self.joiner.add(number, vectors)
        self._done += 1
        self._report()

    def _recall(self, number: int) -> Recalled | None:
        found = self.tiles.get(number) if self.tiles is not None else None
        if found is None or found.shape != self._shape(number):
            return None
        return Recalled(number, torch.from_numpy(found))

    def _shape(self, number: int) -> tuple[int, int, int]:
        rows, columns = self.plan.cells(self.plan.tiles[number])
        dim = self.forward.backbone.dim
        return rows.stop - rows.start, columns.stop - columns.start, dim

    def _report(self) -> None:
        if self.progress is not None:
            self.progress(self._done, len(self.plan.tiles))


def _interleaved(parts: list[torch.Tensor], shifts: int) -> torch.Tensor:
    """Turn `shifts`² maps of patches, in row-major order of their shift, into one of cells."""
    rows, columns, dim = parts[0].shape
    stacked = torch.stack(parts).reshape(shifts, shifts, rows, columns, dim)
    return stacked.permute(2, 0, 3, 1, 4).reshape(rows * shifts, columns * shifts, dim)


def embed_source(
    source: PixelSource,
    backbone: Backbone,
    window: IntensityWindow | None,
    recipe: Recipe,
    *,
    progress: Progress | None = None,
    tiles: TileCache | None = None,
    batch_size: int | None = None,
    notice: Notice | None = None,
) -> tuple[NDArray[np.float32 | np.float16], PatchGrid, str]:
    """Return the unit vectors of an image, their grid, and the fingerprint they belong to.

    The parameters are those of `create_patch_image_state`.
    """
    plan = plan_embedding(source.shape, backbone.patch_size, recipe)
    image = ResampledImage(ChunkCache(source), window, recipe.factor, recipe.padding)
    size = batch_size or _suggested_batch_size(backbone, plan)
    forward = Forward(backbone, size, notice, recipe.debias)
    if len(plan.tiles) == 1:  # of which nothing can be resumed
        tiles = None
    joiner = Joiner(plan, backbone.dim, recipe.tiling.joint)
    try:
        vectors = EmbeddingTask(image, plan, joiner, forward, tiles, progress).run()
    except ArithmeticChangedError as change:
        # What the cache holds belongs to the first arithmetic, and must not be mixed with this.
        # The joiner's array is filled once more, from its first tile.
        forward = Forward(change.backbone, 1, notice, recipe.debias)
        vectors = EmbeddingTask(image, plan, joiner, forward, None, progress).run()
    return vectors, plan.grid, forward.backbone.fingerprint


def _suggested_batch_size(backbone: Backbone, plan: EmbeddingPlan) -> int:
    suggest = getattr(backbone, "suggest_batch_size", None)
    if suggest is None:
        return 1
    height, width = (n * plan.patch_size for n in plan.tile_shape)
    return max(1, min(int(suggest(height, width)), len(plan.tiles) * plan.shifts**2))

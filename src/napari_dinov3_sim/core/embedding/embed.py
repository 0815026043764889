"""The loop that embeds an image, tile by tile, into one array of unit vectors."""

from __future__ import annotations

import itertools
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch

from napari_dinov3_sim.core.embedding.batches import (
    BatchRunner,
    CachedTile,
    Pass,
    PrecisionChangedError,
    batched,
    read_ahead,
)
from napari_dinov3_sim.core.embedding.device_pipeline import DevicePipeline, run_on_device
from napari_dinov3_sim.core.embedding.preprocessing import lengths, normalize_pixels
from napari_dinov3_sim.core.embedding.recipe import EmbeddingPlan, Recipe, plan_embedding
from napari_dinov3_sim.core.embedding.stitching import TileStitcher
from napari_dinov3_sim.core.images.chunk_cache import ChunkCache
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.images.resampling import ResampledImage
from napari_dinov3_sim.core.images.scanning import source_window
from napari_dinov3_sim.core.images.sources import as_source
from napari_dinov3_sim.core.state import PatchImageState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from napari_dinov3_sim.core.embedding.batches import Batch
    from napari_dinov3_sim.core.embedding.queues import DeviceQueues
    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.images.sources import PixelSource
    from napari_dinov3_sim.core.protocols import Backbone, Notice, Progress, TileCache


@dataclass(eq=False)
class EmbeddingTask:
    """Embeds one image, all of it in one arithmetic.

    Attributes
    ----------
    image : ResampledImage
    plan : EmbeddingPlan
    stitcher : TileStitcher
    forward : BatchRunner
    tiles : TileCache or None
        Queried before a tile is computed, and given each that was.
    progress : callable or None
        Called with (tiles done, tiles in all).
    """

    image: ResampledImage
    plan: EmbeddingPlan
    stitcher: TileStitcher
    forward: BatchRunner
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
        vectors: NDArray[np.float32 | np.float16] = self.stitcher.embeddings.numpy()
        return vectors.reshape(-1, self.forward.backbone.dim)

    def _collect(self, ready: Iterator[Batch | CachedTile]) -> None:
        unfinished: dict[int, list[torch.Tensor]] = {}
        for step in ready:
            if isinstance(step, CachedTile):
                self._join(step.tile, step.vectors)
                continue
            for one, features in zip(step.passes, self.forward(step.pixels), strict=True):
                parts = unfinished.setdefault(one.tile, [])
                parts.append(features)
                if len(parts) == self.plan.shifts**2:
                    self._finish(one.tile, unfinished.pop(one.tile))

    def _steps(self) -> Iterator[tuple[Pass, torch.Tensor] | CachedTile]:
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
        vectors = (cells / lengths(cells)).to(self.stitcher.embeddings.dtype)
        if self.tiles is not None:
            self.tiles.put(number, vectors.numpy())
        self._join(number, vectors)

    def _join(self, number: int, vectors: torch.Tensor) -> None:
        self.stitcher.add_tile(number, vectors)
        self._done += 1
        self._report()

    def _recall(self, number: int) -> CachedTile | None:
        found = self.tiles.get(number) if self.tiles is not None else None
        if found is None or found.shape != self._shape(number):
            return None
        return CachedTile(number, torch.from_numpy(found))

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
    if len(plan.tiles) == 1:  # of which nothing can be resumed
        tiles = None
    queues = _queues(backbone, recipe)
    if queues is not None:
        make = partial(DevicePipeline, image, plan, recipe, backbone, queues, tiles, progress)
        on_device = run_on_device(make, backbone, queues, size, notice)
        if on_device is not None:
            return on_device, plan.grid, backbone.fingerprint
        size = 1
    forward = BatchRunner(backbone, size, notice, recipe.debias)
    stitcher = TileStitcher(plan, backbone.dim, recipe.tiling.joint)
    try:
        vectors = EmbeddingTask(image, plan, stitcher, forward, tiles, progress).run()
    except PrecisionChangedError as change:
        # What the cache holds belongs to the first arithmetic, and must not be mixed with this.
        # The stitcher's array is filled once more, from its first tile.
        forward = BatchRunner(change.backbone, 1, notice, recipe.debias)
        vectors = EmbeddingTask(image, plan, stitcher, forward, None, progress).run()
    return vectors, plan.grid, forward.backbone.fingerprint


def _queues(backbone: Backbone, recipe: Recipe) -> DeviceQueues | None:
    # Shifted passes and positional directions are for the processor to put together.
    queues: Callable[[], DeviceQueues | None] | None = getattr(backbone, "queues", None)
    return None if queues is None or recipe.shifts > 1 or recipe.debias else queues()


def _suggested_batch_size(backbone: Backbone, plan: EmbeddingPlan) -> int:
    suggest = getattr(backbone, "suggest_batch_size", None)
    if suggest is None:
        return 1
    height, width = (n * plan.patch_size for n in plan.tile_shape)
    return max(1, min(int(suggest(height, width)), len(plan.tiles) * plan.shifts**2))


def create_patch_image_state(
    image: ArrayLike | PixelSource,
    backbone: Backbone,
    *,
    window: IntensityWindow | tuple[float, float] | None = None,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    tiles: TileCache | None = None,
    batch_size: int | None = None,
    notice: Notice | None = None,
) -> PatchImageState:
    """Embed the patches of an image.

    The image is read tile by tile, row by row of tiles. In memory are the embeddings, a batch of
    tiles, the next one, and at most 128 MiB of chunks.

    Parameters
    ----------
    image : array_like or PixelSource, shape (H, W), (H, W, 3) or (H, W, 4)
        Grayscale, RGB or RGBA of any real dtype. Dask, zarr and HDF5 arrays stay lazy.
    backbone : Backbone
        For example from `load_backbone`.
    window : IntensityWindow or tuple of float, optional
        Intensities drawn black and white. By default 8-bit RGB is divided by 255 and everything
        else is drawn from percentile 0.1 to 99.9 of the whole image, which is read once for it.
    recipe : Recipe, optional
        Tiling, resolution, padding and debiasing. By default images up to one tile go through
        the model whole, larger ones in overlapping tiles.
    progress : callable, optional
        Called with (tiles done, tiles in all) before the first and after each tile.
    tiles : TileCache, optional
        Keeps tiles of this very image, model, window and recipe, so that a run that was stopped
        can be resumed.
    batch_size : int, optional
        Tiles that go through the model together; by default what suits the device. The result
        does not depend on it beyond rounding.
    notice : callable, optional
        Called with a sentence when memory ran out and the work goes on with smaller batches or
        on the CPU.

    Returns
    -------
    PatchImageState

    Raises
    ------
    ImageError
        The pixels cannot be embedded, or cannot be read any more.
    OutOfMemoryError
        Not even the CPU has the memory for one tile.
    BackboneError
        The model returned values that are not finite, or the wrong number of them.
    """
    source = as_source(image)
    if window is None:
        window = source_window(source)
    elif not isinstance(window, IntensityWindow):
        window = IntensityWindow(*window)
    vectors, grid, fingerprint = embed_source(
        source,
        backbone,
        window,
        recipe or Recipe(),
        progress=progress,
        tiles=tiles,
        batch_size=batch_size,
        notice=notice,
    )
    return PatchImageState(vectors, grid, fingerprint, window)

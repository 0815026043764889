"""Cost of tile sides, overlaps and batches, and how well tiles agree with the whole image.

Run `OMP_NUM_THREADS=1 python benchmarks/bench_tiles.py [--side 2048] [--models builtin vits16]`:
on one thread, processor time is what the work costs, whatever else runs. The picture goes through
the model whole once. For each tile side and overlap the script prints the tiles, the core-seconds
per megapixel (best of three forward passes of a tile, times the tiles), the mean and the smallest
cosine between a patch of the tiled and the whole image, the mean at the joints (patches beside a
joint), and the correlation of cosine maps of the tiled image with those of the whole one. Then it
times batches of several tiles.
"""

from __future__ import annotations

import argparse
import itertools
import time

import torch
from common import machine, picture, random_vits16

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.plan import plan_embedding
from napari_dinov3_sim.core.recipe import Recipe
from napari_dinov3_sim.core.tiles import Tiling

SIDES = (512, 768, 1024)
QUERIES = 64


def main() -> None:
    """Print one row per tiling, then one per batch size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--models", nargs="+", default=["builtin", "vits16"])
    parser.add_argument("--overlaps", type=int, nargs="+", default=[64, 128, 256])
    options = parser.parse_args()
    image = picture(options.side)
    print(f"{options.side}²; {machine()}")
    for name in options.models:
        backbone = random_vits16()[1] if name == "vits16" else nds.load_backbone(name)
        compare(image, backbone, options.overlaps)
        time_batches(image[:1024, :1024], backbone)


def compare(image: object, backbone: object, overlaps: list[int]) -> None:
    """Print the row of the whole image and one for each tiling."""
    whole = embed(image, backbone, Tiling(2**20, 0))
    megapixels = image.shape[0] * image.shape[1] / 1e6
    print(f"\n{backbone.name}: whole image {best(image, backbone, 1, 1) / megapixels:.2f} s/MP")
    print("side overlap  tiles of  number   cost    mean     min  joints  map r (mean, min)")
    for side, overlap in itertools.product(SIDES, overlaps):
        tiling = Tiling(side, overlap)
        tiled = embed(image, backbone, tiling)
        plan = plan_embedding(image.shape[:2], backbone.patch_size, Recipe(tiling))
        tile = plan.tile_shape[0] * backbone.patch_size
        seconds = len(plan.tiles) * best(image[:tile, :tile], backbone, 3)
        cosine = (whole * tiled).sum(1).reshape(plan.grid.shape)
        near = cosine[at_joints(plan)].mean()
        maps = correlations(whole, tiled)
        print(
            f"{side:4} {overlap:7} {tile:9} {len(plan.tiles):7} "
            f"{seconds / megapixels:6.2f} {cosine.mean():7.4f} {cosine.min():7.4f} {near:7.4f} "
            f"{maps.mean():7.4f} {maps.min():7.4f}",
            flush=True,
        )


def embed(image: object, backbone: object, tiling: Tiling) -> torch.Tensor:
    """Return the unit vectors of an image."""
    state = nds.create_patch_image_state(image, backbone, recipe=Recipe(tiling))
    return state.embeddings_normalized.float()


def best(image: object, backbone: object, repeats: int, batch: int = 1) -> float:
    """Return the least processor time of a forward pass, in seconds for each image of a batch."""
    pixels = torch.from_numpy(image.transpose(2, 0, 1)[None] / 255.0).float()
    pixels = pixels.expand(batch, -1, -1, -1).contiguous()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        backbone.embed_patches(pixels)
        times.append(time.process_time() - start)
    return min(times) / batch


def at_joints(plan: object) -> torch.Tensor:
    """Mark the patches on both sides of every joint between tiles."""
    marked = torch.zeros(plan.grid.shape, dtype=torch.bool)
    for tile in plan.tiles:
        for edge in (tile.rows.keep_start, tile.rows.keep_stop):
            if 0 < edge < plan.grid.rows:
                marked[edge - 1 : edge + 1] = True
        for edge in (tile.columns.keep_start, tile.columns.keep_stop):
            if 0 < edge < plan.grid.columns:
                marked[:, edge - 1 : edge + 1] = True
    return marked


def correlations(whole: torch.Tensor, tiled: torch.Tensor) -> torch.Tensor:
    """Return Pearson's r of the two cosine maps for evenly spaced queries."""
    queries = torch.linspace(0, len(whole) - 1, QUERIES).long()
    maps = torch.stack([whole @ whole[queries].T, tiled @ tiled[queries].T])
    centred = maps - maps.mean(1, keepdim=True)
    norms = centred.norm(dim=1)
    return (centred[0] * centred[1]).sum(0) / (norms[0] * norms[1])


def time_batches(image: object, backbone: object) -> None:
    """Print the seconds per megapixel of small and middle tiles in batches."""
    for side in (128, 256, 512):
        tile, sizes = image[:side, :side], (1, 2, 4, 8)
        times = [best(tile, backbone, 5, size) / (side * side / 1e6) for size in sizes]
        cells = "  ".join(f"{n}: {t:.2f}" for n, t in zip(sizes, times, strict=True))
        print(f"tiles of {side}, batches of {cells} s/MP")


if __name__ == "__main__":
    main()

"""Cost of tile sides and overlaps, and how well tiles agree with the whole image.

Run `OMP_NUM_THREADS=1 python benchmarks/bench_tiles.py [--side 2048] [--models builtin vits16]`:
on one thread, processor time is what the work costs, whatever else runs. The picture goes through
the model whole, in a plain loop, before the tilings and after them; the cheaper of the two is
what tiles are compared with. For each tile side and overlap the script prints the tiles, the
core-seconds per megapixel, how many times cheaper that is than the whole, and for tiles that are
blended and tiles that are cut at the middle of the overlap: the mean and the smallest cosine
between a patch of the tiled and the whole image, the mean beside the joints, by how much less
neighbours across a joint resemble each other than in the whole image, and the mean and the
smallest correlation of cosine maps with those of the whole image. A tiling that comes to the
same tiles as one above it is left out.
"""

from __future__ import annotations

import argparse
import itertools
import time
from typing import TYPE_CHECKING

import torch
from common import machine, picture, plain_embed, random_vits16

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling, plan_embedding

if TYPE_CHECKING:
    from collections.abc import Callable

QUERIES = 64


def main() -> None:
    """Print two rows per tiling."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--models", nargs="+", default=["builtin", "vits16"])
    parser.add_argument("--tiles", type=int, nargs="+", default=[512, 768, 1024])
    parser.add_argument("--overlaps", type=int, nargs="+", default=[64, 128, 256])
    parser.add_argument("--joints", nargs="+", default=["blend", "cut"])
    options = parser.parse_args()
    image = picture(options.side)
    print(f"{options.side}²; {machine()}")
    for name in options.models:
        compare(image, name, options)


def compare(image: object, name: str, options: argparse.Namespace) -> None:
    """Print the rows of one model."""
    backbone, plain = loaded(name, image)
    whole, before = timed(plain)
    rows: dict[object, Row] = {}
    for side, overlap in itertools.product(options.tiles, options.overlaps):
        tiling = Tiling(side, overlap)
        plan = plan_embedding(image.shape[:2], backbone.patch_size, Recipe(tiling))
        if plan not in rows:  # tiles are made as small as their number allows
            rows[plan] = Row(image, backbone, tiling, plan)
    reference = min(before, timed(plain)[1])
    megapixels = image.shape[0] * image.shape[1] / 1e6
    print(f"\n{backbone.name}: plain loop over the whole image {reference / megapixels:.2f} s/MP")
    print(
        "side overlap  tiles of  number   s/MP  plain/this  joint   mean    min joints   step",
        end="",
    )
    print("  map r: mean    min")
    for row in rows.values():
        row.tell(whole, reference, options.joints)


def loaded(name: str, image: object) -> tuple[object, Callable[[], torch.Tensor]]:
    """Return a backbone, and what puts the image through it whole."""
    if name == "vits16":
        model, backbone = random_vits16()
        return backbone, lambda: plain_embed(model, image)
    backbone = nds.load_backbone(name, device="cpu")
    return backbone, lambda: embed(image, backbone, Tiling(2**20, 0))


def timed(call: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, float]:
    """Return a result and the processor time it took, in seconds."""
    start = time.process_time()
    result = call()
    return result, time.process_time() - start


class Row:
    """An image in one tiling, embedded once and joined as often as is asked for."""

    def __init__(self, image: object, backbone: object, tiling: Tiling, plan: object) -> None:
        self.image, self.backbone, self.tiling, self.plan = image, backbone, tiling, plan
        self.tiles = Tiles()
        self.seconds = timed(lambda: embed(image, backbone, tiling, self.tiles))[1]

    def tell(self, whole: torch.Tensor, reference: float, joints: list[str]) -> None:
        """Print how the joined tiles agree with the whole image."""
        tile = self.plan.tile_shape[0] * self.backbone.patch_size
        megapixels = self.image.shape[0] * self.image.shape[1] / 1e6
        for joint in joints:
            tiling = Tiling(self.tiling.side, self.tiling.overlap, joint)
            tiled = embed(self.image, self.backbone, tiling, self.tiles)
            print(
                f"{tiling.side:4} {tiling.overlap:7} {tile:9} {len(self.plan.tiles):7} "
                f"{self.seconds / megapixels:6.2f} {reference / self.seconds:11.2f}  {joint:5} "
                f"{agreement(whole, tiled, self.plan)}",
                flush=True,
            )


class Tiles(dict):
    """A `TileCache` in memory."""

    put = dict.__setitem__


def embed(
    image: object, backbone: object, tiling: Tiling, tiles: Tiles | None = None
) -> torch.Tensor:
    """Return the unit vectors of an image."""
    state = nds.create_patch_image_state(image, backbone, recipe=Recipe(tiling), tiles=tiles)
    return state.embeddings_normalized.float()


def agreement(whole: torch.Tensor, tiled: torch.Tensor, plan: object) -> str:
    """Return how a tiled image agrees with the whole one, as cells of the table."""
    cosine = (whole * tiled).sum(1).reshape(plan.grid.shape)
    near, step = at_joints(whole, tiled, plan)
    maps = correlations(whole, tiled)
    return (
        f"{cosine.mean():6.3f} {cosine.min():6.3f} {near:6.3f} {step:6.3f} "
        f"{maps.mean():12.3f} {maps.min():6.3f}"
    )


def at_joints(whole: torch.Tensor, tiled: torch.Tensor, plan: object) -> tuple[float, float]:
    """Return the mean cosine to the whole image beside the joints, and the step across them.

    A joint is the middle of an overlap, also where nothing is cut there.
    """
    whole, tiled = (vectors.reshape(*plan.grid.shape, -1) for vectors in (whole, tiled))
    near, steps = [], []
    for axis, name in enumerate(("rows", "columns")):
        spans = sorted({(s.start, s.stop) for s in (getattr(tile, name) for tile in plan.tiles)})
        for (_, stop), (start, _) in itertools.pairwise(spans):
            place = (stop + start) // 2
            w, t = ([v.select(axis, place - 1), v.select(axis, place)] for v in (whole, tiled))
            near += [(a * b).sum(-1) for a, b in zip(w, t, strict=True)]
            steps.append((w[0] * w[1]).sum(-1) - (t[0] * t[1]).sum(-1))
    return float(torch.cat(near).mean()), float(torch.cat(steps).mean())


def correlations(whole: torch.Tensor, tiled: torch.Tensor) -> torch.Tensor:
    """Return Pearson's r of the two cosine maps for evenly spaced queries."""
    queries = torch.linspace(0, len(whole) - 1, QUERIES).long()
    maps = torch.stack([whole @ whole[queries].T, tiled @ tiled[queries].T])
    centred = maps - maps.mean(1, keepdim=True)
    norms = centred.norm(dim=1)
    return (centred[0] * centred[1]).sum(0) / (norms[0] * norms[1])


if __name__ == "__main__":
    main()

"""Seconds per megapixel to embed, beside plain loops and a matrix product.

Run `python benchmarks/bench_embed.py [--sides 512 1024 2048 4096] [--repeats 3]`. The model is a
ViT-S/16 with random weights. These run in turns, so that a busy machine disturbs all alike; the
least of each counts:

- this package with the arithmetic that it chooses, and in float32;
- a plain float32 loop of transformers over tiles of 512² that do not overlap, which is what other
  plugins do (up to `--tiles-up-to`);
- the same model on the whole image (up to `--plain-up-to`);
- products of two float32 matrices of 2048².

*core-s* is processor time, which other work on the machine changes little (least of all with
`OMP_NUM_THREADS=1`). *% of product* is how many floating-point operations of the model this
package does in a core-second in float32, as a fraction of those of torch's matrix product.
Operations are those of the matrix products in the architecture, attention included, for all tiles,
overlaps included.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from common import machine, picture, plain_embed, random_vit, random_vits16
from transformers import DINOv3ViTConfig

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.embedding.recipe import Recipe, plan_embedding

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import DINOv3ViTModel

PRODUCT = 2048
"""Side of the matrices."""

TILE = 512
"""Side of the tiles of the plain loop."""


def main() -> None:
    """Print one row per image side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--repeats", type=int, default=3, help="up to 1024²; 1 above 2048²")
    parser.add_argument("--plain-up-to", type=int, default=2048)
    parser.add_argument("--tiles-up-to", type=int, default=4096)
    options = parser.parse_args()
    model, exact = random_vits16()
    backbone = random_vit(DINOv3ViTConfig(num_register_tokens=4), dtype="auto")[1]
    print(f"ViT-S/16, random weights; {machine()}; chosen: {backbone.dtype}")
    print("        chosen            float32      512² loop, / chosen, / float32   ", end="")
    print("whole, / chosen, / float32   GFLOP/core-s  % of")
    print("side   s/MP core-s/MP    core-s/MP      core-s/MP                       ", end="")
    print("core-s/MP                       of product  product")
    for side in options.sides:
        repeats = options.repeats if side <= 1024 else max(1, options.repeats - side // 1024)
        image = picture(side)
        calls: list[Callable[[], object] | None] = [
            lambda: torch.mm(*MATRICES),
            lambda image=image: nds.create_patch_image_state(image, backbone),
            lambda image=image: nds.create_patch_image_state(image, exact),
            (lambda image=image: plain_tiles(model, image))
            if side <= options.tiles_up_to
            else None,
            (lambda image=image: plain_embed(model, image))
            if side <= options.plain_up_to
            else None,
        ]
        operations = flops(model.config, (side, side), exact.patch_size)
        print(row(side, in_turns(calls, repeats), operations), flush=True)


MATRICES = torch.randn(2, PRODUCT, PRODUCT).unbind()


class Cost(NamedTuple):
    """What a call took, in seconds."""

    wall: float
    cores: float


def plain_tiles(model: DINOv3ViTModel, image: np.ndarray) -> list[torch.Tensor]:
    """Embed an image tile by tile, without overlap."""
    starts = range(0, len(image), TILE)
    return [
        plain_embed(model, np.ascontiguousarray(image[y : y + TILE, x : x + TILE]))
        for y in starts
        for x in starts
    ]


def in_turns(calls: list[Callable[[], object] | None], repeats: int) -> list[Cost | None]:
    """Return the least cost of each call; the first, which is short, runs more often."""
    costs: list[list[Cost]] = [[] for _ in calls]
    for _ in range(repeats):
        for taken, call, times in zip(costs, calls, [5] + [1] * len(calls), strict=False):
            if call is not None:
                taken += [cost(call) for _ in range(times)]
    return [
        Cost(min(one.wall for one in taken), min(one.cores for one in taken)) if taken else None
        for taken in costs
    ]


def cost(call: Callable[[], object]) -> Cost:
    """Return what a call takes."""
    walls, cores = time.perf_counter(), time.process_time()
    call()
    return Cost(time.perf_counter() - walls, time.process_time() - cores)


def flops(config: DINOv3ViTConfig, shape: tuple[int, int], patch_size: int) -> float:
    """Return the operations of all tiles of an image: two for each product of two numbers."""
    plan = plan_embedding(shape, patch_size, Recipe())
    patches = plan.tile_shape[0] * plan.tile_shape[1]
    tokens = patches + 1 + config.num_register_tokens
    width, hidden = config.hidden_size, config.intermediate_size
    block = tokens * (4 * width * width + 2 * width * hidden)  # q, k, v, output; the two layers
    block += 2 * tokens * tokens * width  # attention: scores, and the sums they weight
    embedding = patches * 3 * patch_size**2 * width
    return 2.0 * len(plan.tiles) * (config.num_hidden_layers * block + embedding)


def row(side: int, costs: list[Cost | None], operations: float) -> str:
    """Return one row of the table."""
    product, chosen, exact, *loops = costs
    megapixels = side * side / 1e6
    cells = f"{side:4} {chosen.wall / megapixels:6.2f} {chosen.cores / megapixels:9.2f} "
    cells += f"{exact.cores / megapixels:12.2f}   "
    for loop in loops:
        if loop is None:
            cells += f"{'–':>12} {'–':>9} {'–':>9}"
            continue
        cells += f"{loop.cores / megapixels:12.2f} {loop.cores / chosen.cores:9.2f} "
        cells += f"{loop.cores / exact.cores:8.2f}"
    ceiling = 2 * PRODUCT**3 / product.cores / 1e9
    share = operations / exact.cores / 1e9 / ceiling
    return f"{cells} {ceiling:12.1f} {share:8.0%}"


if __name__ == "__main__":
    main()

"""Seconds per megapixel to embed, beside a plain whole-image loop and a matrix product.

Run `python benchmarks/bench_embed.py [--sides 512 1024 2048 4096] [--repeats 3]`. The model is a
ViT-S/16 with random weights. This package, the plain loop (up to `--plain-up-to`) and products of
two float32 matrices of 2048² run in turns, so that a busy machine disturbs all alike; the least of
each counts. *core-s* is processor time, which other work on the machine changes little.

*% of product* is how many floating-point operations of the model this package does in a
core-second, as a fraction of those of the matrix product. Operations are those of the matrix
products in the architecture, attention included, for all tiles, overlaps included.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, NamedTuple

import torch
from common import machine, picture, plain_embed, random_vits16

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.embedding.recipe import Recipe, plan_embedding

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import DINOv3ViTConfig

PRODUCT = 2048
"""Side of the matrices."""


def main() -> None:
    """Print one row per image side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--repeats", type=int, default=3, help="up to 1024²; 1 above 2048²")
    parser.add_argument("--plain-up-to", type=int, default=2048)
    options = parser.parse_args()
    model, backbone = random_vits16()
    print(f"ViT-S/16, random weights; {machine()}")
    print("      this package       plain loop       plain / this    product         GFLOP  % of")
    print("side   s/MP core-s/MP    s/MP core-s/MP     s  core-s   GFLOP/core-s      /MP  product")
    for side in options.sides:
        repeats = options.repeats if side <= 1024 else max(1, options.repeats - side // 1024)
        image = picture(side)
        calls = [
            lambda: torch.mm(*MATRICES),
            lambda image=image: nds.create_patch_image_state(image, backbone),
        ]
        if side <= options.plain_up_to:
            calls.append(lambda image=image: plain_embed(model, image))
        operations = flops(model.config, (side, side), backbone.patch_size)
        print(row(side, in_turns(calls, repeats), operations), flush=True)


MATRICES = torch.randn(2, PRODUCT, PRODUCT).unbind()


class Cost(NamedTuple):
    """What a call took, in seconds."""

    wall: float
    cores: float


def in_turns(calls: list[Callable[[], object]], repeats: int) -> list[Cost]:
    """Return the least cost of each call; the first, which is short, runs more often."""
    costs: list[list[Cost]] = [[] for _ in calls]
    for _ in range(repeats):
        for taken, call, times in zip(costs, calls, [5] + [1] * len(calls), strict=False):
            taken += [cost(call) for _ in range(times)]
    return [
        Cost(min(one.wall for one in taken), min(one.cores for one in taken)) for taken in costs
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


def row(side: int, costs: list[Cost], operations: float) -> str:
    """Return one row of the table."""
    product, ours, *plain = costs
    megapixels = side * side / 1e6
    ceiling = 2 * PRODUCT**3 / product.cores / 1e9
    cells = f"{side:4} {ours.wall / megapixels:6.2f} {ours.cores / megapixels:9.2f} "
    if plain:
        wall, cores = plain[0]
        cells += f"{wall / megapixels:7.2f} {cores / megapixels:9.2f} "
        cells += f"{wall / ours.wall:5.2f} {cores / ours.cores:7.2f} "
    else:
        cells += f"{'–':>7} {'–':>9} {'–':>5} {'–':>7} "
    share = operations / ours.cores / 1e9 / ceiling
    return f"{cells} {ceiling:12.1f} {operations / megapixels / 1e9:9.0f} {share:7.0%}"


if __name__ == "__main__":
    main()

"""What a GPU makes of ViT-S, B and L: seconds per megapixel, fraction of its bf16 speed, a click.

Run `python benchmarks/bench_gpu.py [--models S B L] [--side 4096] [--repeats 3]`; it takes less
than five minutes on a GPU for data centres. The models have random weights.

- *This package* is everything from the pixels in memory to the embeddings in memory, in
  bfloat16, which is what `dtype="auto"` takes there.
- *Ceiling* is the product of two bfloat16 matrices of 8192² on the same device, in the same
  process; *% of it* is how much of that speed the operations of the model reach in the time of
  this package. `bench_roofline.py` says what to expect.
- *Encoder* is the forward pass alone, of a group of tiles that is there already; *compiled*, the
  same by torch.compile, which the package does not use as long as nobody has measured it. If
  *encoder* is far above *this package*, *read* tells whether the thread that reads is what the
  device waits for: seconds per megapixel to read all tiles.
- *Plain* is the float32 loop of transformers over a whole image of `--plain-side`.
- *Cosine* is the smallest one between the embeddings of a patch in bfloat16 and in float32, for
  an image of 1024².
- *A click* is the product of a query with a million patches, from the processor and back: with
  the copy of the embeddings on the device, and without.

Each time is the least of some runs. Without a GPU it says so and ends with 77. `--device cpu
--small` shows on a CPU that it runs, with the loop for devices; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from bench_embed import flops
from common import picture, plain_embed, random_vit
from transformers import DINOv3ViTConfig

import napari_dinov3_sim as nds
from napari_dinov3_sim.backbones import DINOv3Backbone
from napari_dinov3_sim.core.embedding.recipe import Recipe, plan_embedding
from napari_dinov3_sim.core.images.resampling import ResampledImage
from napari_dinov3_sim.core.images.sources import as_source
from napari_dinov3_sim.core.resident import RESIDENT
from napari_dinov3_sim.core.vectors import dot

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import DINOv3ViTModel

CANNOT = 77
"""The exit code of a measurement that this machine cannot make."""

SIZES = {
    "S": {},
    "B": {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072},
    "L": {
        "hidden_size": 1024,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
    },
}


SMALL = {"models": ["S"], "side": 272, "plain_side": 64, "product": 64, "patches": 1000}


def main() -> None:
    """Print one row per model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--plain-side", type=int, default=2048)
    parser.add_argument("--product", type=int, default=8192, help="side of the matrices")
    parser.add_argument("--patches", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="to see that it runs")
    options = parser.parse_args()
    if options.small:
        vars(options).update(SMALL, repeats=1)
    if options.device == "cuda" and not torch.cuda.is_available():
        print("PyTorch finds no CUDA device here; nothing was measured.")
        sys.exit(CANNOT)
    print(f"{name_of(options.device)}; torch {torch.__version__}; {options.side}², bfloat16")
    print("             this package         ceiling   % of   encoder  compiled    read", end="")
    print("   plain float32      plain/    peak  cosine")
    print("model  s/MP    TFLOP/s    TFLOP/s     it   TFLOP/s   TFLOP/s    s/MP", end="")
    print("   side      s/MP     this       MiB     min")
    for size in options.models:
        print(row(size, options), flush=True)
    print(click(options))


def name_of(device: str) -> str:
    """Name what the numbers were taken on."""
    return torch.cuda.get_device_name() if device == "cuda" else device


def row(size: str, options: argparse.Namespace) -> str:
    """Measure one model."""
    config = DINOv3ViTConfig(num_register_tokens=4, **SIZES[size])
    model, exact = random_vit(config, options.device)
    low = with_queues(random_vit(config, options.device, "bfloat16")[1])
    plain, cosine = plain_cost(model, options), agreement(exact, low, options)
    del model, exact
    reset(options.device)
    image = picture(options.side)
    seconds = least(lambda: nds.create_patch_image_state(image, low), options)
    rate = flops(config, image.shape[:2], low.patch_size) / 1e12 / seconds
    memory, mine, ceiling = peak(options.device), per_megapixel(seconds, image), product(options)
    eager, compiled = (
        forward(config, low, options, is_compiled=is_compiled) for is_compiled in (False, True)
    )
    return (
        f"{size:5} {mine:6.4f} {rate:9.3f} {ceiling:10.3f} {rate / ceiling:7.0%} {eager:9.3f} "
        f"{compiled:9.3f} {reading(image, options):8.4f} "
        f"{options.plain_side:6} {plain:9.4f} {plain / mine:8.1f} {memory:>9} {cosine:7.5f}"
    )


class _AtOnce:
    """A device that is the processor: work is done when it is launched."""

    def __init__(self) -> None:
        self.copies_in = self.computing = self.copies_out = self

    def run(self, work: Callable[[], object]) -> None:
        work()

    def record(self) -> _AtOnce:
        return self

    def follow(self, event: object) -> None:
        pass

    def wait(self) -> None:
        pass

    def finish(self) -> None:
        pass

    def release_memory(self) -> None:
        pass

    def free_bytes(self) -> int:
        return 2**40

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype)

    pinned = empty


class _OnProcessor(DINOv3Backbone):
    """A model that goes through the loop for devices on the processor."""

    def queues(self) -> _AtOnce:
        return _AtOnce()


def with_queues(backbone: DINOv3Backbone) -> DINOv3Backbone:
    """Return a model that goes through the loop for devices, wherever it is."""
    if backbone.queues() is not None:
        return backbone
    return _OnProcessor(**{one.name: getattr(backbone, one.name) for one in fields(backbone)})


def forward(
    config: DINOv3ViTConfig,
    backbone: DINOv3Backbone,
    options: argparse.Namespace,
    *,
    is_compiled: bool,
) -> float:
    """Return the 1e12 operations a second of the forward pass alone, or NaN without a compiler."""
    height, width = plan_embedding((options.side,) * 2, 16, Recipe()).tile_shape
    count = 1 if options.small else backbone.suggest_batch_size(height * 16, width * 16)
    pixels = torch.randn(count, 3, height * 16, width * 16, device=options.device)
    encoder = backbone._model
    with torch.inference_mode():
        if is_compiled:
            if options.device != "cuda":
                return float("nan")
            encoder = torch.compile(encoder)
        try:
            seconds = least(lambda: encoder(pixels), options)
        except Exception as error:
            print(f"torch.compile: {type(error).__name__}", file=sys.stderr)
            return float("nan")
    operations = flops(config, (height * 16, width * 16), backbone.patch_size)
    return count * operations / 1e12 / seconds


def reading(image: np.ndarray, options: argparse.Namespace) -> float:
    """Return the seconds per megapixel to read all tiles of an image."""
    source = ResampledImage(as_source(image), None)
    plan = plan_embedding(image.shape[:2], 16, Recipe())
    regions = [(plan.region(tile.rows), plan.region(tile.columns)) for tile in plan.tiles]

    def read() -> None:
        for region in regions:
            source.read_stored(*region)

    return per_megapixel(least(read, options), image)


def click(options: argparse.Namespace) -> str:
    """Measure the product of a query with many patches."""
    rows = np.random.default_rng(0).standard_normal((options.patches, 384)).astype(np.float16)
    query = rows[:1].T.astype(np.float32)
    here = least(lambda: dot(rows, query), options)
    RESIDENT.keep(rows, torch.from_numpy(rows).to(options.device))
    there = least(lambda: dot(rows, query), options)
    RESIDENT.clear()
    return (
        f"a click on {options.patches} patches: {there * 1e3:.2f} ms on {options.device}, "
        f"{here * 1e3:.2f} ms on the processor"
    )


def plain_cost(model: DINOv3ViTModel, options: argparse.Namespace) -> float:
    """Return the seconds per megapixel of the plain loop."""
    image = picture(options.plain_side)
    return per_megapixel(least(lambda: plain_embed(model, image), options), image)


def per_megapixel(seconds: float, image: np.ndarray) -> float:
    """Return seconds for each million pixels of an image."""
    return seconds / (image.shape[0] * image.shape[1] / 1e6)


def agreement(exact: DINOv3Backbone, low: DINOv3Backbone, options: argparse.Namespace) -> float:
    """Return the smallest cosine between a patch in bfloat16 and in float32."""
    image = picture(min(1024, options.side))
    first, second = (
        nds.create_patch_image_state(image, backbone).embeddings_normalized
        for backbone in (exact, low)
    )
    return float((first * second).sum(1).min())


def product(options: argparse.Namespace) -> float:
    """Return the bfloat16 operations of a product of two matrices, in 1e12 a second."""
    a, b = torch.randn(
        2, options.product, options.product, device=options.device, dtype=torch.bfloat16
    ).unbind()

    def ten() -> None:
        for _ in range(10):
            torch.mm(a, b)

    return 10 * 2 * options.product**3 / least(ten, options) / 1e12


def least(call: Callable[[], object], options: argparse.Namespace) -> float:
    """Return the least seconds of a call after one that does not count."""
    times = []
    for _ in range(options.repeats + 1):
        start = time.perf_counter()
        call()
        if options.device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def reset(device: str) -> None:
    """Forget the greatest use of the GPU's memory up to now."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak(device: str) -> str:
    """Return the most memory of the GPU that was used, in MiB."""
    return f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if device == "cuda" else "–"


if __name__ == "__main__":
    main()

"""What a GPU should make of ViT-S, B and L, counted from the code that it would run.

Run `python benchmarks/bench_roofline.py [--batch 16] [--tile 512] [--overlap 64]`. It needs no
GPU. A group of tiles goes through the pipeline of the package on torch's device without values
("meta"): pixels to RGB, encoder in bfloat16, unit vectors, tiles to the image. Each kernel that
would be launched is noted with its operations and with the bytes that it reads and writes.

- *Bound* is the roofline itself: each kernel takes the longer one of operations / peak and bytes
  / bandwidth.
- *Expected* has products at `product` of the peak, attention at `attention`, memory at `memory`
  of the bandwidth, and no kernel below 3 µs. *% of peak* is of the peak in the data sheet, *% of
  product* of what a product of two large matrices reaches on such a device, which is the ceiling
  that `bench_gpu.py` measures.
- *Fused* is the same if all kernels between two products were one, which torch.compile could do.
- *Launch* is the time of the processor for launching the kernels, at 5 µs each; it is hidden as
  long as it is shorter than *ms*, that of a group on the device.

Operations in *%* are those of the products and of attention only, for all pixels of the tiles.
*s/MP* is of the image, for the tiles of an image of 4096², overlaps included. Reading, copies,
and what is done with an image of a few tiles before the first and after the last kernel, are not
counted; the tests of the pipeline show that copies run beside the model.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from bench_gpu import SIZES
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from napari_dinov3_sim.backbones.architecture import encoder_of
from napari_dinov3_sim.core.embedding.device_tiles import DeviceStitcher, PixelConverter
from napari_dinov3_sim.core.embedding.preprocessing import lengths
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling, plan_embedding

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinov3_sim.core.embedding.encoder import Encoder

SIDE = 4096
"""Of the image whose tiles are counted."""

LAUNCH, LEAST = 5e-6, 3e-6
"""Seconds of the processor for a launch, and of the device for the smallest kernel."""


@dataclass(frozen=True)
class Card:
    """A GPU: what its data sheet says, and what parts of it kernels are assumed to reach.

    Peaks are in 1e12 operations a second without sparsity, bandwidth in 1e12 bytes a second.
    """

    name: str
    bfloat16: float
    float32: float
    bandwidth: float
    product: float
    attention: float
    memory: float


CARDS = (
    # NVIDIA's data sheet of the H200 SXM. FlashAttention 2, which torch contains, reaches 306e12/s
    # with heads of 64 numbers and 1,024 tokens on an H100 of the same peak (Shah et al.,
    # FlashAttention-3, 2024). The other two are what such cards are usually reported to reach.
    Card("H200", 989, 67, 4.8, product=0.72, attention=0.30, memory=0.85),
    # NVIDIA's paper on the Ada architecture: bfloat16 with sums in float32. The parts are guesses.
    Card("RTX 4090", 165, 83, 1.008, product=0.90, attention=0.80, memory=0.90),
)


@dataclass(frozen=True)
class Kernel:
    """One launch."""

    name: str
    operations: float
    moved: float
    is_attention: bool
    dtype: torch.dtype


class Counter(TorchDispatchMode):
    """Notes the kernels that would be launched."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: list[Kernel] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        outputs = [one for one in _flat(found) if isinstance(one, torch.Tensor)]
        inputs = [one for one in _flat((args, kwargs)) if isinstance(one, torch.Tensor)]
        name = function.__name__.split(".")[0]
        if not function.is_view and name not in ("empty", "detach", "zeros", "_unsafe_view"):
            count = flop_registry.get(function.overloadpacket)
            operations = count(*args, **(kwargs or {}), out_val=found) if count else 0
            self.kernels.append(
                Kernel(
                    name,
                    float(operations),
                    float(sum(_bytes(one) for one in (*inputs, *outputs))),
                    "attention" in name,
                    inputs[-1].dtype if inputs else torch.float32,
                )
            )
        return found


def _flat(values: Any) -> list[Any]:
    if isinstance(values, dict):
        return _flat(list(values.values()))
    if isinstance(values, list | tuple):
        return [one for value in values for one in _flat(value)]
    return [values]


def _bytes(tensor: torch.Tensor) -> int:
    # What is repeated along an axis is read once.
    numbers = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        numbers *= size if stride else 1
    return numbers * tensor.element_size()


class Nowhere:
    """A device whose tensors have no values; work is launched at once."""

    def __init__(self) -> None:
        self.computing = self

    def run(self, work: Callable[[], object]) -> None:
        """Launch it."""
        work()

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Return a tensor without values."""
        return torch.empty(shape, dtype=dtype, device="meta")


def main() -> None:
    """Print one table per card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16, help="tiles of a group")
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--overlap", type=int, default=64)
    parser.add_argument("--models", nargs="+", choices=SIZES, default=list(SIZES))
    options = parser.parse_args()
    counted = {size: count(size, options) for size in options.models}
    for number, card in enumerate(CARDS):
        if number:
            print()
        print(
            f"{card.name}: bfloat16 {card.bfloat16:.0f}e12/s, {card.bandwidth}e12 B/s; assumed "
            f"of it: products {card.product:.0%}, attention {card.attention:.0%}, "
            f"memory {card.memory:.0%}"
        )
        print("       of a group of tiles                  bound  expected", end="")
        print("                           fused   launch")
        print("model  kernels  TFLOP  GB moved   products  % peak  % peak  % product   ms", end="")
        print("    s/MP  % product       ms")
        for size, (kernels, tiles) in counted.items():
            print(row(size, kernels, tiles, card, options), flush=True)


def count(size: str, options: argparse.Namespace) -> tuple[list[Kernel], int]:
    """Return the kernels for a group of tiles, and how many tiles the image has."""
    recipe = Recipe(Tiling(options.tile, options.overlap))
    plan = plan_embedding((SIDE, SIDE), 16, recipe)
    network = DINOv3ViTModel(DINOv3ViTConfig(num_register_tokens=4, **SIZES[size]))
    encoder = encoder_of(network, "bfloat16").to("meta")
    device: Any = Nowhere()
    stitcher = DeviceStitcher(plan, network.config.hidden_size, "blend", device)
    convert = PixelConverter(_Statistics, None, device, are_stored=True)
    side = plan.tile_shape[0] * 16
    pixels = torch.empty((options.batch, side, side, 3), dtype=torch.uint8, device="meta")
    with torch.no_grad(), mock.patch.object(functional, "scaled_dot_product_attention", flash):
        encoder(convert(pixels))  # the angles of the positions are computed once
        with Counter() as counter:
            launch(encoder, convert, stitcher, pixels)
    return counter.kernels, len(plan.tiles)


def launch(
    encoder: Encoder, convert: PixelConverter, stitcher: DeviceStitcher, pixels: torch.Tensor
) -> None:
    """Do what `DevicePipeline` does with a group of tiles."""
    tokens = encoder(convert(pixels)).last_hidden_state[:, 5:]
    norms = lengths(tokens)
    torch.isfinite(norms).all()
    side = pixels.shape[1] // 16
    vectors = (tokens / norms).to(stitcher.embeddings.dtype)
    for number, tile in enumerate(vectors):
        stitcher.add_tile(number, tile.view(side, side, -1))
    stitcher.finish_rows(0, stitcher.rows_after(len(pixels) - 1))


class _Statistics:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def flash(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float
) -> torch.Tensor:
    """Return what torch launches for attention in bfloat16 on a CUDA device."""
    found: torch.Tensor = torch.ops.aten._scaled_dot_product_flash_attention(
        query, key, value, scale=scale
    )[0]
    return found


def row(
    size: str, kernels: list[Kernel], tiles: int, card: Card, options: argparse.Namespace
) -> str:
    """Return one row of the table."""
    operations = sum(kernel.operations for kernel in kernels)
    products = sum(k.operations for k in kernels if not k.is_attention)
    bound = sum(seconds(kernel, card, is_ideal=True) for kernel in kernels)
    expected = sum(seconds(kernel, card) for kernel in kernels)
    together = sum(seconds(kernel, card) for kernel in fused(kernels))
    rate, ceiling = operations / expected / 1e12, card.bfloat16 * card.product
    megapixel = expected / options.batch * tiles / (SIDE * SIDE / 1e6)
    return (
        f"{size:5} {len(kernels):8} {operations / 1e12:6.2f} "
        f"{sum(kernel.moved for kernel in kernels) / 1e9:9.1f} {products / operations:10.0%} "
        f"{operations / bound / 1e12 / card.bfloat16:7.0%} {rate / card.bfloat16:7.0%} "
        f"{rate / ceiling:10.0%} {expected * 1e3:5.1f} {megapixel:7.4f} "
        f"{operations / together / 1e12 / ceiling:10.0%} {len(kernels) * LAUNCH * 1e3:8.1f}"
    )


def seconds(kernel: Kernel, card: Card, *, is_ideal: bool = False) -> float:
    """Return what a kernel takes."""
    peak = (card.bfloat16 if kernel.dtype == torch.bfloat16 else card.float32) * 1e12
    bandwidth = card.bandwidth * 1e12
    if is_ideal:
        return max(kernel.operations / peak, kernel.moved / bandwidth)
    reached = card.attention if kernel.is_attention else card.product
    return max(
        kernel.operations / (peak * reached), kernel.moved / (bandwidth * card.memory), LEAST
    )


def fused(kernels: list[Kernel]) -> list[Kernel]:
    """Return the kernels, with those between two products as one.

    It reads and writes as much as the largest of them.
    """
    found: list[Kernel] = []
    between: list[Kernel] = []
    for kernel in kernels:
        if not kernel.operations:
            between.append(kernel)
            continue
        found += [max(between, key=lambda one: one.moved)] if between else []
        found.append(kernel)
        between = []
    return found + between


if __name__ == "__main__":
    main()

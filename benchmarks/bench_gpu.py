"""What a GPU makes of ViT-S, B and L: seconds per megapixel, and the fraction of its bf16 speed.

Run `python benchmarks/bench_gpu.py [--models S B L] [--side 4096] [--repeats 3]`. The models have
random weights. *This package* is everything from the pixels in memory to the embeddings in memory,
in bfloat16, which is what `dtype="auto"` takes there. *Ceiling* is the product of two bfloat16
matrices of 8192² on the same device, in the same process; *% of it* is how much of that speed the
operations of the model reach in the time of this package. *Plain* is the float32 loop of
transformers over a whole image of `--plain-side`. *Cosine* is the smallest one between the
embeddings of a patch in bfloat16 and in float32, for an image of 1024². Each time is the least of
some runs.

Without a GPU it says so and ends with 77. `--device cpu --models S --side 512 --product 1024`
shows on a CPU that it runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

import torch
from bench_embed import flops
from common import picture, plain_embed, random_vit
from transformers import DINOv3ViTConfig

import napari_dinov3_sim as nds

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

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


def main() -> None:
    """Print one row per model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--plain-side", type=int, default=2048)
    parser.add_argument("--product", type=int, default=8192, help="side of the matrices")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("PyTorch finds no CUDA device here; nothing was measured.")
        sys.exit(CANNOT)
    print(f"{name_of(options.device)}; torch {torch.__version__}; {options.side}², bfloat16")
    print("             this package         ceiling   % of   plain float32      plain/", end="")
    print("    peak  cosine")
    print("model  s/MP    TFLOP/s    TFLOP/s     it   side      s/MP     this       MiB     min")
    for size in options.models:
        print(row(size, options), flush=True)


def name_of(device: str) -> str:
    """Name what the numbers were taken on."""
    return torch.cuda.get_device_name() if device == "cuda" else device


def row(size: str, options: argparse.Namespace) -> str:
    """Measure one model."""
    config = DINOv3ViTConfig(num_register_tokens=4, **SIZES[size])
    plain, low = plain_cost(config, options), random_vit(config, options.device, "bfloat16")[1]
    cosine = agreement(config, low, options)
    reset(options.device)
    image = picture(options.side)
    seconds = least(lambda: nds.create_patch_image_state(image, low), options)
    rate = flops(config, image.shape[:2], low.patch_size) / 1e12 / seconds
    memory, mine, ceiling = peak(options.device), per_megapixel(seconds, image), product(options)
    return (
        f"{size:5} {mine:6.4f} {rate:9.3f} {ceiling:10.3f} {rate / ceiling:7.0%} "
        f"{options.plain_side:6} {plain:9.4f} {plain / mine:8.1f} {memory:>9} {cosine:7.5f}"
    )


def plain_cost(config: DINOv3ViTConfig, options: argparse.Namespace) -> float:
    """Return the seconds per megapixel of the plain loop."""
    model, image = random_vit(config, options.device)[0], picture(options.plain_side)
    return per_megapixel(least(lambda: plain_embed(model, image), options), image)


def per_megapixel(seconds: float, image: np.ndarray) -> float:
    """Return seconds for each million pixels of an image."""
    return seconds / (image.shape[0] * image.shape[1] / 1e6)


def agreement(config: DINOv3ViTConfig, low: object, options: argparse.Namespace) -> float:
    """Return the smallest cosine between a patch in bfloat16 and in float32."""
    image = picture(min(1024, options.side))
    exact = random_vit(config, options.device)[1]
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

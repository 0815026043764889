"""Which arithmetic is fastest on a device without a visible change of the map.

Run `python benchmarks/bench_dtype.py [--device auto] [--repeats 5]`. It compares float32 with
bfloat16 autocast at 512² and 1024², for a ViT-S/16 with random weights (layer scale near 1, so
that every block counts) and for the built-in network, and prints the seconds, their ratio, the
smallest cosine between the two embeddings of a patch, and the largest difference of a cosine map
in steps of a 256-colour map stretched over the map's own range. Below one step is invisible.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from skimage import data, transform
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from napari_dinov3_sim.backbones import DINOv3Backbone, load_backbone
from napari_dinov3_sim.backbones.registry import LVD_MEAN, LVD_STD

QUERIES = 16


def main() -> None:
    """Print one row per model, size and arithmetic."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {capability()}")
    print("model        size  float32  bfloat16  ratio  min cosine  map steps: max  p99")
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random-vits16.safetensors"
        write_random_vits16(weights)
        for name, model in (("random ViT-S", weights), ("builtin", "builtin")):
            for side in (512, 1024):
                print(row(name, model, side, options.device, options.repeats))


def capability() -> str:
    """Describe what the CPU can do with bfloat16."""
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    found = {name: getattr(torch.cpu, name, lambda: None)() for name in probes}
    return ", ".join(f"{name.strip('_')}={value}" for name, value in found.items())


def write_random_vits16(path: Path) -> None:
    """Write a ViT-S/16 with seeded random weights and a layer scale near 1."""
    torch.manual_seed(0)
    model = DINOv3ViTModel(DINOv3ViTConfig(num_register_tokens=4))
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    for key, tensor in state.items():
        if "layer_scale" in key:
            tensor.normal_(1.0, 0.2)
        elif tensor.ndim > 1:
            tensor.normal_(0.0, 0.04)
    save_file(state, path)


def row(name: str, model: str | Path, side: int, device: str, repeats: int) -> str:
    """Measure one model at one size."""
    pixels = picture(side)
    full = load_backbone(model, device=device, dtype="float32")
    low = load_backbone(model, device=device, dtype="bfloat16")
    seconds = interleaved(full, low, pixels, repeats)
    exact, rounded = (unit_rows(backbone, pixels) for backbone in (full, low))
    cosine = float((exact * rounded).sum(1).min())
    steps = map_steps(exact, rounded)
    return (
        f"{name:12} {side:4}  {seconds[0]:7.3f}  {seconds[1]:8.3f}  "
        f"{seconds[0] / seconds[1]:5.2f}  {cosine:10.6f}  {steps.max():14.2f}  "
        f"{np.percentile(steps, 99):.2f}"
    )


def picture(side: int) -> torch.Tensor:
    """Return a real photograph, normalised with ImageNet statistics."""
    image = transform.resize(data.astronaut(), (side, side), order=1).astype(np.float32)
    mean, std = (np.array(values, np.float32) for values in (LVD_MEAN, LVD_STD))
    scaled = (image - mean) / std
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)[None]))


def interleaved(
    first: DINOv3Backbone, second: DINOv3Backbone, pixels: torch.Tensor, repeats: int
) -> tuple[float, float]:
    """Return the median seconds of both; in turns, so that a noisy machine disturbs both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats + 1):
        for backbone, taken in zip((first, second), times, strict=True):
            start = time.perf_counter()
            backbone.embed_patches(pixels)
            taken.append(time.perf_counter() - start)
    return statistics.median(times[0][1:]), statistics.median(times[1][1:])


def unit_rows(backbone: DINOv3Backbone, pixels: torch.Tensor) -> torch.Tensor:
    """Return the unit-norm embeddings of the patches."""
    return torch.nn.functional.normalize(backbone.embed_patches(pixels)[0], dim=1)


def map_steps(exact: torch.Tensor, rounded: torch.Tensor) -> np.ndarray:
    """Return the differences of cosine maps of several queries, in steps of 256 colours."""
    queries = torch.linspace(0, len(exact) - 1, QUERIES).long()
    maps, others = exact @ exact[queries].T, rounded @ rounded[queries].T
    span = maps.amax(0) - maps.amin(0)
    return ((maps - others).abs() / span * 255).numpy()


if __name__ == "__main__":
    main()

"""What OpenVINO gains over the encoder of this package, which uses PyTorch.

Run `python benchmarks/bench_openvino.py [--sides 512 1024 2048] [--repeats 5]`. Images are
embedded, tiles and all, by both in float32 and in bfloat16, in turns, with a ViT-S/16 of random
weights and with the built-in network. It prints the least processor seconds per megapixel
(*core-s/MP*, least disturbed with `OMP_NUM_THREADS=1`), their ratio, and the smallest cosine
between what the two give for a patch. Then what a process needs once: the import, and the loading
of each model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from common import machine, picture, random_vit
from transformers import DINOv3ViTConfig

import napari_dinov3_sim as nds

if TYPE_CHECKING:
    from napari_dinov3_sim.backbones import DINOv3Backbone

DTYPES = ("float32", "bfloat16")

IMPORT = """
import time, torch
from napari_dinov3_sim.core.embedding import encoder_weights, encoder
start = time.perf_counter()
from napari_dinov3_sim.core.embedding import openvino_encoder
print(time.perf_counter() - start)
"""


def main() -> None:
    """Print one row per model, side and arithmetic."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"{machine()}; core-s/MP")
    print("model         side  dtype     PyTorch  OpenVINO  ratio  smallest cosine")
    compiling = {}
    for name in ("random ViT-S", "builtin"):
        engines = {}
        for dtype in DTYPES:
            for device in ("cpu", "openvino"):
                start = time.perf_counter()
                engines[device, dtype] = load(name, device, dtype)
                compiling[name, device, dtype] = time.perf_counter() - start
        for side in options.sides:
            for row in rows(name, side, engines, options.repeats):
                print(row, flush=True)
    found = subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True)
    print(f"import of OpenVINO: {float(found.stdout):.2f} s; loading of each model:")
    for (name, device, dtype), seconds in compiling.items():
        print(f"  {name}, {device}, {dtype}: {seconds:.2f} s")


def load(name: str, device: str, dtype: str) -> DINOv3Backbone:
    """Load one of the two models."""
    if name == "builtin":
        return nds.load_backbone(name, device=device, dtype=dtype)
    return random_vit(DINOv3ViTConfig(num_register_tokens=4), device, dtype)[1]


def rows(
    name: str, side: int, engines: dict[tuple[str, str], DINOv3Backbone], repeats: int
) -> list[str]:
    """Measure one model at one size."""
    image = picture(side)
    costs = dict.fromkeys(engines, float("inf"))
    vectors = {}
    for _ in range(repeats):
        for key, backbone in engines.items():
            start = time.process_time()
            state = nds.create_patch_image_state(image, backbone)
            costs[key] = min(costs[key], time.process_time() - start)
            vectors[key] = state.embeddings_normalized
    found = []
    for dtype in DTYPES:
        torch_cost, openvino_cost = costs["cpu", dtype], costs["openvino", dtype]
        one, other = vectors["cpu", dtype].double(), vectors["openvino", dtype].double()
        cosine = float((one * other).sum(-1).min())
        megapixels = side * side / 1e6
        found.append(
            f"{name:12} {side:5}  {dtype:8} {torch_cost / megapixels:8.2f} "
            f"{openvino_cost / megapixels:9.2f} {openvino_cost / torch_cost:6.2f} {cosine:16.6f}"
        )
    return found


if __name__ == "__main__":
    main()

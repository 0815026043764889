"""ViTs with random weights, pictures of any size, annotated images, and the plain recipe."""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save_file
from skimage import data, transform
from skimage.io import imread
from transformers import DINOv3ViTConfig, DINOv3ViTModel

import napari_dinov3_sim as nds
from napari_dinov3_sim.backbones import DINOv3Backbone, load_backbone

if TYPE_CHECKING:
    from collections.abc import Callable

MEAN = np.array((0.485, 0.456, 0.406), np.float32)
STD = np.array((0.229, 0.224, 0.225), np.float32)

ENLARGED = {"nuclei_colour": 2, "nuclei_fluorescence": 3}
"""Sets whose objects are smaller than two patches."""


def random_vits16() -> tuple[DINOv3ViTModel, DINOv3Backbone]:
    """Return the same seeded ViT-S/16 as a plain transformers model and as a backbone."""
    return random_vit(DINOv3ViTConfig(num_register_tokens=4))


def tiny_vit() -> DINOv3Backbone:
    """Return a seeded ViT/16 of 2 layers and width 64, beside which all else shows."""
    config = DINOv3ViTConfig(
        hidden_size=64,
        num_attention_heads=1,
        num_hidden_layers=2,
        intermediate_size=128,
        num_register_tokens=4,
    )
    return random_vit(config)[1]


def random_vit(
    config: DINOv3ViTConfig, device: str = "cpu", dtype: str = "float32"
) -> tuple[DINOv3ViTModel, DINOv3Backbone]:
    """Return the same seeded ViT as a plain transformers model, in float32, and as a backbone."""
    torch.manual_seed(0)
    model = DINOv3ViTModel(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random-vit.safetensors"
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
        plain = "cpu" if device == "openvino" else device
        return model.to(plain), load_backbone(path, device=device, dtype=dtype)


def picture(side: int, seed: int = 0) -> np.ndarray:
    """Return a real picture as uint8 RGB of side × side pixels, another view for each seed."""
    source = np.rot90(data.immunohistochemistry(), seed)[seed * 8 :]
    return (transform.resize(source, (side, side), order=1) * 255).astype(np.uint8)


def plain_embed(model: DINOv3ViTModel, image: np.ndarray) -> torch.Tensor:
    """Embed an image whole, as the seed's recipe says: pad, normalise, one forward pass."""
    height, width = image.shape[:2]
    padded = np.zeros((-(-height // 16) * 16, -(-width // 16) * 16, 3), np.float32)
    padded[:height, :width] = image / 255
    pixels = torch.from_numpy(((padded - MEAN) / STD).transpose(2, 0, 1)[None]).to(model.device)
    with torch.inference_mode():
        hidden = model(pixels).last_hidden_state[0, 5:]
        return (hidden / (hidden.norm(dim=-1, keepdim=True) + 1e-8)).cpu()


def plain_click(
    model: DINOv3ViTModel, images: list[np.ndarray], x: int, y: int
) -> list[np.ndarray]:
    """Answer one click as the seed's recipe does: embed every image again, then the maps."""
    states = [plain_embed(model, image) for image in images]
    query = states[0][y // 16 * -(-images[0].shape[1] // 16) + x // 16]
    maps = []
    for image, state in zip(images, states, strict=True):
        rows, columns = (-(-n // 16) for n in image.shape[:2])
        cosine = (state @ query).reshape(rows, columns).numpy()
        shown = (cosine - cosine.min()) / (cosine.max() - cosine.min() + 1e-8)
        maps.append(np.kron(shown, np.ones((16, 16)))[: image.shape[0], : image.shape[1]])
    return maps


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the median time of a call, after one that does not count."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def machine() -> str:
    """Describe what the numbers were taken on."""
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32 on the CPU"


def peak_mib() -> float:
    """Return the most memory this process has held, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


@dataclass(frozen=True, eq=False)
class Annotated:
    """An embedded image, and what its patches hold."""

    state: nds.PatchImageState
    shares: dict[str, np.ndarray]
    valid: np.ndarray
    instances: np.ndarray


def read_set(
    folder: Path, backbone: object, recipe: object
) -> tuple[list[Annotated], dict[str, str]]:
    """Read and embed a set of images."""
    classes = json.loads((folder / "classes.json").read_text())
    names = sorted(p for p in folder.glob("*.png") if not p.name.endswith(".classes.png"))
    return [read_image(path, classes, backbone, recipe) for path in names], classes


def read_image(path: Path, classes: dict[str, str], backbone: object, recipe: object) -> Annotated:
    """Read, enlarge and embed one image with its annotation."""
    image = imread(path)
    label = imread(path.with_suffix(".classes.png"))
    instances = imread(path.with_suffix(".instances.tif"))
    factor = ENLARGED.get(path.parent.name, 1)
    if factor > 1:
        shape = (image.shape[0] * factor, image.shape[1] * factor)
        image = (transform.resize(image, shape, order=1) * 255).astype(np.uint8)
        label, instances = (a.repeat(factor, 0).repeat(factor, 1) for a in (label, instances))
    state = nds.create_patch_image_state(image, backbone, recipe=recipe)
    shares = {number: share(label == int(number), state) for number in classes}
    return Annotated(state, shares, share(label == 255, state) < 0.5, instances)


def share(mask: np.ndarray, state: nds.PatchImageState) -> np.ndarray:
    """Return the share of each patch's pixels that lie in a mask, row by row."""
    grid = state.grid
    sums = []
    for values in (mask, np.ones_like(mask)):
        padded = np.zeros(grid.padded_shape)
        padded[: mask.shape[0], : mask.shape[1]] = values
        blocks = padded.reshape(grid.rows, grid.patch_size, grid.columns, grid.patch_size)
        sums.append(blocks.sum((1, 3)).ravel())
    return sums[0] / sums[1]

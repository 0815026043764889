"""How much of the time of `embed` goes through the model, for many files of TIFF and Zarr.

Run `python benchmarks/bench_reading.py [--files 8] [--side 1024] [--models builtin vits16]`.
Files of uint16 are written with compression, in chunks of 256², and embedded with the command
line, in this process: opened, scanned for digest and window, read tile by tile, encoded, scanned
again, and written. *Share* is the part of the wall time, from the first file to the last, during
which the model works; *rest* is what is left for each file, in milliseconds. The model is
loaded, and one file of the same size embedded, before. The least `rest` of some runs counts.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
import tifffile
import torch
import zarr
from common import machine, picture
from safetensors.torch import save_file
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from napari_dinov3_sim.backbones import DINOv3Backbone
from napari_dinov3_sim.cli.parser import main as command_line
from napari_dinov3_sim.cli.tasks import TaskRunner

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 256


def main() -> None:
    """Print one row per format and model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--models", nargs="+", choices=["builtin", "vits16"], default=["builtin"])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.files} files of {options.side}² uint16; {machine()}")
    print("model    format   share   wall s   model s   rest ms")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in options.models:
            for suffix, write in (("tif", write_tiff), ("zarr", write_zarr)):
                paths = files(folder, suffix, write, options)
                print(row(model, suffix, paths, folder, options), flush=True)


def files(
    folder: Path,
    suffix: str,
    write: Callable[[Path, np.ndarray], object],
    options: argparse.Namespace,
) -> list[Path]:
    """Write files that differ, and one more."""
    source = picture(options.side).astype(np.uint16)[..., 1] * 200
    paths = [folder / f"{number:03}.{suffix}" for number in range(options.files + 1)]
    for number, path in enumerate(paths):
        if not path.exists():
            write(path, source + np.uint16(number))
    return paths


def write_tiff(path: Path, pixels: np.ndarray) -> None:
    """Write compressed tiles."""
    tifffile.imwrite(path, pixels, tile=(CHUNK, CHUNK), compression="zlib")


def write_zarr(path: Path, pixels: np.ndarray) -> None:
    """Write chunks with the compression that zarr chooses."""
    array = zarr.create_array(
        path, shape=pixels.shape, chunks=(CHUNK, CHUNK), dtype=pixels.dtype, zarr_format=2
    )
    array[:] = pixels


def row(
    model: str, suffix: str, paths: list[Path], folder: Path, options: argparse.Namespace
) -> str:
    """Embed the files some times, and return the run with the least rest."""
    weights = model if model == "builtin" else str(random_weights(folder))
    runs = []
    for number in range(options.repeats):
        out = folder / f"{model}-{suffix}-{number}"
        embed(weights, paths[-1:], out)
        runs.append(embed(weights, paths[:-1], out))
    wall, inside = min(runs, key=lambda run: run[0] - run[1])
    rest = (wall - inside) / (len(paths) - 1) * 1e3
    return f"{model:8} {suffix:6} {inside / wall:7.1%} {wall:8.2f} {inside:9.2f} {rest:9.1f}"


def embed(model: str, paths: list[Path], out: Path) -> tuple[float, float]:
    """Return the seconds of a run from its first plane on, and those within the model."""
    inside, begun = 0.0, []
    encode = DINOv3Backbone.embed_patches
    find = TaskRunner.attempt

    def attempt(runner: TaskRunner, *args: object) -> object:
        runner._model.load()
        begun.append(time.perf_counter())
        return find(runner, *args)

    def timed(backbone: DINOv3Backbone, pixels: torch.Tensor) -> torch.Tensor:
        nonlocal inside
        start = time.perf_counter()
        found = encode(backbone, pixels)
        inside += time.perf_counter() - start
        return found

    words = ["embed", *map(str, paths), "--model", model, "--device", "cpu", "--out", str(out)]
    with (
        mock.patch.object(DINOv3Backbone, "embed_patches", timed),
        mock.patch.object(TaskRunner, "attempt", attempt),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        code = command_line(words)
        end = time.perf_counter()
    if code:
        raise SystemExit(f"embed ended with {code}")
    return end - begun[0], inside


def random_weights(folder: Path) -> Path:
    """Write the weights of a ViT-S/16."""
    path = folder / "random-vit.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        state = DINOv3ViTModel(DINOv3ViTConfig(num_register_tokens=4)).state_dict()
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path


if __name__ == "__main__":
    main()

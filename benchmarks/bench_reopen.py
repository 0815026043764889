"""Seconds from the first click to the heatmap, for an image that was embedded yesterday.

Run `python benchmarks/bench_reopen.py [--sides 1024 4096] [--repeats 5]`. A ViT-S/16 of random
weights embeds pictures into a folder; then every row is a fresh interpreter that opens one of
them in a session on threads, waits until the session is ready for clicks, and clicks, at once or
some seconds later:

- "first click": as it comes; the last two columns count the runs in which PyTorch had been
  imported before it and after it;
- "imports warm": once more in the same process, in a new session with an empty memory.

"CPU" is the time of all threads, which tells what a machine without other work would need at
most. Both with the remembered identity of the model, and by loading the model to know its
fingerprint, as it was done without. The files are in the page cache of the system.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from common import machine, picture
from safetensors.torch import save_file
from transformers import DINOv3ViTConfig, DINOv3ViTModel

SCRIPT = """
import json, sys, time
import numpy as np
from pathlib import Path
from napari.components import ViewerModel
from napari_dinov3_sim.backbones.loader import ModelLoader
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import ThreadRunner
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore

way, folder, side, pause = sys.argv[1], Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
loader = ModelLoader("cpu")
if way == "load":
    loader = loader.__call__
pixels = np.load(folder / f"{side}.npy")

def click(pause):
    viewer = ViewerModel()
    image = viewer.add_image(pixels)
    store = EmbeddingStore(MemoryStore(), DiskStore(folder / "store"))
    model = str(folder / "vits16.safetensors")
    runner = ThreadRunner()
    session = SimilaritySession(
        viewer, backbone=model, runner=runner, store=store, load_model=loader
    )
    session.wait()
    end = time.monotonic() + pause
    while time.monotonic() < end:
        runner.deliver(0.05)
    before = sorted(name for name in ("torch", "transformers") if name in sys.modules)
    start, used = time.perf_counter(), time.process_time()
    session.add_query(image, 100, 100)
    while not session.heatmaps:
        assert time.perf_counter() - start < 300
        runner.deliver(0.1)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    after = "torch" in sys.modules
    session.wait()
    loaded = session.backbone is not None
    session.close()
    return {"seconds": seconds, "CPU": used, "loaded": loaded, "imported before": before,
            "torch after": after}

first = click(pause)
warm = click(0.0)
print(json.dumps({"first": first, "warm": warm}))
"""

EMBED = """
import sys
from pathlib import Path
import numpy as np
from napari.components import ViewerModel
from napari_dinov3_sim.backbones.loader import ModelLoader
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import ThreadRunner
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore

folder = Path(sys.argv[1])
viewer = ViewerModel()
for side in sys.argv[2:]:
    viewer.add_image(np.load(folder / f"{side}.npy"))
session = SimilaritySession(
    viewer,
    backbone=str(folder / "vits16.safetensors"),
    runner=ThreadRunner(),
    store=EmbeddingStore(MemoryStore(), DiskStore(folder / "store")),
    load_model=ModelLoader("cpu"),
)
session.embed()
session.wait()
session.close()
"""


def main() -> None:
    """Print one row for each side and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--pause", type=float, default=6.0, help="seconds in which PyTorch is imported"
    )
    options = parser.parse_args()
    ways = {
        "by identity, at once": ("identity", 0.0),
        f"by identity, after {options.pause:g} s": ("identity", options.pause),
        "by loading it, at once": ("load", 0.0),
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, options.sides)
        print(f"ViT-S/16, random weights; {machine()}; load {os.getloadavg()[0]:.1f} before")
        print(f"{'':31} first click, s              imports warm, s             PyTorch there")
        print(f" side {'the model known':25} median  least   most    CPU   ", end="")
        print("median  least   most    CPU   before  after")
        for side in options.sides:
            # Side by side, so that other work on the machine falls on both.
            runs = [
                {name: reopen(way, folder, side, pause) for name, (way, pause) in ways.items()}
                for _ in range(options.repeats)
            ]
            for name in ways:
                print(row(side, name, [each[name] for each in runs]), flush=True)
        print(f"load {os.getloadavg()[0]:.1f} after")


def prepare(folder: Path, sides: list[int]) -> None:
    """Write a model and pictures, and embed them, in another process than those measured."""
    torch.manual_seed(0)
    model = DINOv3ViTModel(DINOv3ViTConfig(num_register_tokens=4))
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(weights, folder / "vits16.safetensors")
    for side in sides:
        np.save(folder / f"{side}.npy", picture(side))
    run(EMBED, folder, str(folder), *map(str, sides))


def reopen(way: str, folder: Path, side: int, pause: float) -> dict[str, dict[str, object]]:
    """Click in a fresh interpreter and return what it measured."""
    done = dict(
        json.loads(run(SCRIPT, folder, way, str(folder), str(side), str(pause)).splitlines()[-1])
    )
    assert pause or "transformers" not in done["first"]["imported before"]
    assert done["first"]["loaded"] is (way == "load")
    return done


def run(script: str, folder: Path, *arguments: str) -> str:
    """Run a script in a fresh interpreter whose cache, with the identities, is in the folder."""
    command = [sys.executable, "-c", script, *arguments]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout


def row(side: int, way: str, runs: list[dict[str, dict[str, object]]]) -> str:
    """Describe the runs of one side and way: medians, the range, and the time of all cores."""
    cells = []
    for when in ("first", "warm"):
        seconds = [float(run[when]["seconds"]) for run in runs]
        used = statistics.median(float(run[when]["CPU"]) for run in runs)
        numbers = (statistics.median(seconds), min(seconds), max(seconds), used)
        cells.append(" ".join(f"{number:6.2f}" for number in numbers))
    first = [run["first"] for run in runs]
    before = sum("torch" in one["imported before"] for one in first)
    after = sum(bool(one["torch after"]) for one in first)
    return f"{side:5} {way:25} {'   '.join(cells)} {before:8} {after:6}"


if __name__ == "__main__":
    main()

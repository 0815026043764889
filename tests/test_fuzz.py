"""A small part of ``make fuzz``: damaged files are refused, or what comes back is the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from patience import PATIENCE

SCRIPT = Path(__file__).parents[1] / "scripts" / "fuzz.py"
FORMATS = ("plain.tif", "pyramid.tif", "a.png", "a.jp2", "a.npy", "two.zarr", "ome05.zarr")
PARTS = {
    "files of our own": ("stored embeddings", "tile", "saved query"),
    "images": tuple(f"image {name}" for name in FORMATS),
    "headers": (
        *("absurd headers of images", "absurd headers of Zarr", "absurd headers of safetensors"),
    ),
    "JSON": ("JSON of a model: config.json", "JSON of what is remembered of a model"),
    "names and permissions": ("hostile names", "read-only folders"),
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="cannot fork")
@pytest.mark.parametrize("part", PARTS)
def test_nothing_wrong_comes_of_it(part):
    subjects = [word for name in PARTS[part] for word in ("--only", name)]
    command = [sys.executable, str(SCRIPT), "--share", "0.01", *subjects]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in PARTS[part]:
        assert f"| {name} |" in done.stdout

"""PyTorch's libraries are loaded before Python asks for them, and where that fails, by Python."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEFORE = """
import sys
from pathlib import Path
from napari_dinov3_sim.backbones import torch_import

torch_import._load_libraries()
print("libtorch_cpu.so" in Path("/proc/self/maps").read_text(), "torch" in sys.modules)
torch_import.import_torch()
import torch
print(float(torch.ones(2) @ torch.ones(2)))
"""

MISSING = """
import sys
from napari_dinov3_sim.backbones import torch_import

torch_import.LIBRARIES = ("no.so", "neither.so")
torch_import.import_torch()
print("torch" in sys.modules)
"""


def run(program):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    ).stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="libraries have other names elsewhere")
def test_libraries_are_loaded_before_python_imports_them():
    assert run(BEFORE) == ["True", "False", "2.0"]


def test_a_torch_whose_libraries_are_elsewhere_is_imported_as_ever():
    assert run(MISSING) == ["True"]

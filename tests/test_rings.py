"""The four rings: what importing each may load, and whom each may know.

Every module of a ring is found by walking the package, so that a new one is covered unasked.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import pytest

from imports import PACKAGE, ROOT, SOURCES, imported_names, module_name
from patience import PATIENCE

QT = ("PySide6", "PyQt6", "PySide2", "PyQt5", "qtpy", "superqt", "shiboken6", "napari._qt")
RING_OF = {
    "versions": 1,
    "core": 1,
    "backbones": 2,
    "store": 2,
    "readers": 2,
    "exchange": 2,
    "session": 3,
    "widget": 4,
    "cli": 4,
    "sample_data": 4,
    "__main__": 4,
}
"""Every module and package directly in the package belongs to a ring."""

LAZY = {
    "": ("torch", "napari", "transformers", *QT),
    "versions": ("torch", "napari", "transformers", "huggingface_hub", *QT),
    "core": ("napari", "transformers", "skimage", "scipy", "sklearn", *QT),
    "backbones": ("napari", *QT),
    "store": ("torch", "napari", *QT),
    "readers": ("torch", "napari", "dask", "zarr", *QT),
    "exchange": ("torch", "napari", "dask", "zarr", "skimage", "scipy", "roifile", *QT),
    "session": QT,
    # Start-up: opening the dock, or asking the command line for help, waits for no model library.
    "widget": ("torch", "transformers", "sklearn"),
    "cli": ("torch", "napari", *QT),
    "sample_data": ("torch", "transformers", *QT),
}
"""What must not be in ``sys.modules`` after importing all modules of the parts named."""

WALK = """
import importlib, json, pkgutil, sys

package, parts = sys.argv[1], sys.argv[2:]
walked = [package]
root = importlib.import_module(package)
for info in pkgutil.iter_modules(root.__path__, package + "."):
    if info.name.removeprefix(package + ".") not in parts:
        continue
    walked.append(info.name)
    module = importlib.import_module(info.name)
    if info.ispkg:
        for inner in pkgutil.walk_packages(module.__path__, info.name + "."):
            importlib.import_module(inner.name)
            walked.append(inner.name)
print(json.dumps({"walked": walked, "loaded": sorted(sys.modules)}))
"""


@functools.cache
def import_in_fresh_interpreter(*parts: str) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", WALK, PACKAGE, *parts],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def loaded_of(forbidden: tuple[str, ...], loaded: list[str]) -> list[str]:
    return [
        module
        for module in loaded
        for name in forbidden
        if module == name or module.startswith(f"{name}.")
    ]


def modules_on_disk(part: str) -> set[str]:
    """Names of the modules of a part, taken from the files rather than from pkgutil."""
    files = [ROOT / f"{part}.py", *(ROOT / part).rglob("*.py")]
    return {module_name(path) for path in files if path.exists()}


RINGS = [(), ("versions",), ("core",), ("backbones",), ("store",), ("readers",), ("exchange",)]
RINGS += [("session",), ("widget",), ("cli",), ("sample_data",)]


@pytest.mark.slow
@pytest.mark.parametrize("parts", RINGS, ids=lambda parts: " ".join(parts) or "package")
def test_importing_a_ring_loads_nothing_it_must_not(parts):
    result = import_in_fresh_interpreter(*parts)
    expected = {PACKAGE}.union(*(modules_on_disk(part) for part in parts))
    assert set(result["walked"]) == expected
    for part in parts or ("",):
        assert loaded_of(LAZY[part], result["loaded"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("parts", RINGS, ids=lambda parts: " ".join(parts) or "package")
def test_importing_a_ring_loads_no_outer_ring(parts):
    ring = min((RING_OF[part] for part in parts), default=0)
    outer = tuple(f"{PACKAGE}.{part}" for part, other in RING_OF.items() if other > ring)
    assert loaded_of(outer, import_in_fresh_interpreter(*parts)["loaded"]) == []


def test_the_mathematics_needs_torch_and_would_be_seen_to_load_it():
    """Guards the tests above: a walk that imported nothing would pass them all."""
    loaded = import_in_fresh_interpreter("core")["loaded"]
    assert loaded_of(("torch",), loaded)
    assert f"{PACKAGE}.core.search.similarity" in loaded


def test_every_module_belongs_to_a_ring():
    found = {
        path.stem
        for path in ROOT.iterdir()
        if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
    }
    assert found - {"__init__"} <= set(RING_OF), "say in RING_OF and LAZY what these may import"


# --- whom each module names, even within a function or for type checking ------------------------

FOREIGN = {
    "core": ("napari", "transformers", "safetensors", "huggingface_hub", *QT),
    "backbones": ("napari", *QT),
    "store": ("napari", *QT),
    "readers": ("napari", *QT),
    "exchange": ("napari", "transformers", *QT),
    "session": QT,
}


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    part = module.removeprefix(f"{PACKAGE}.").split(".")[0]
    outer = [f"{PACKAGE}.{name}" for name, ring in RING_OF.items() if ring > RING_OF[part]]
    forbidden = (*outer, *FOREIGN.get(part, ()))
    return loaded_of(forbidden, sorted(imported_names(source, module, is_package)))


INNER = [path for path in SOURCES if path != ROOT / "__init__.py"]


@pytest.mark.parametrize("path", INNER, ids=module_name)
def test_imports_point_inward(path):
    module = module_name(path)
    source = path.read_text(encoding="utf-8")
    assert violations(source, module, path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("core.state", "import napari_dinov3_sim.backbones"),
        ("core.state", "from napari_dinov3_sim import store"),
        ("core.state", "from napari_dinov3_sim import load_backbone"),
        ("core.state", "from napari_dinov3_sim.session import SimilaritySession"),
        ("core.state", "from ..cli.parser import main"),
        ("core.state", "from .. import widget"),
        ("core.state", "def f():\n    import transformers"),
        ("core.state", "if TYPE_CHECKING:\n    from napari_dinov3_sim.widget import dock"),
        ("core.state", "importlib.import_module('napari_dinov3_sim.backbones.registry')"),
        ("backbones.registry", "from napari_dinov3_sim.session import jobs"),
        ("backbones.registry", "from napari.layers import Image"),
        ("store", "from .widget import dock"),
        ("store", "from qtpy.QtCore import QObject"),
        ("session.embed_job", "from napari_dinov3_sim.cli.parser import main"),
        ("session.embed_job", "import PySide6.QtCore"),
        ("session.embed_job", "import_module('napari_dinov3_sim.widget.qt_runner')"),
    ],
)
def test_an_import_that_points_outward_is_found(module, source):
    assert violations(source, f"{PACKAGE}.{module}")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "core.state",
            "from napari_dinov3_sim.core.embedding.recipe import Tiling\nimport torch, numpy",
        ),
        ("core.state", "from .geometry import PatchGrid\nfrom . import errors"),
        ("backbones.registry", "from napari_dinov3_sim.core import errors\nimport transformers"),
        ("store", "from napari_dinov3_sim.backbones import registry"),
        ("session.embed_job", "import napari\nfrom napari_dinov3_sim import load_backbone"),
        ("widget.dock", "from napari_dinov3_sim.session import jobs\nfrom qtpy import QtCore"),
        ("cli", "from napari_dinov3_sim.session import SimilaritySession"),
    ],
)
def test_an_import_that_points_inward_is_not(module, source):
    assert violations(source, f"{PACKAGE}.{module}") == []

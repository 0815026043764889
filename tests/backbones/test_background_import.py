"""Libraries are imported without stopping other threads, and where that fails, as ever."""

from __future__ import annotations

import ast
import ctypes
import gc
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from napari_dinov3_sim.backbones import background_import
from napari_dinov3_sim.backbones.background_import import gc_paused
from patience import PATIENCE

pytestmark = pytest.mark.slow

BEFORE = """
import sys
from pathlib import Path
from napari_dinov3_sim.backbones import background_import

background_import._load_libraries()
print("libtorch_cpu.so" in Path("/proc/self/maps").read_text(), "torch" in sys.modules)
background_import.import_torch()
import torch
print(float(torch.ones(2) @ torch.ones(2)))
"""

MISSING = """
import sys
from napari_dinov3_sim.backbones import background_import

background_import.LIBRARIES = ("no.so", "neither.so")
background_import.import_torch()
print("torch" in sys.modules)
"""

COLLECTED = """
import gc
from napari_dinov3_sim.backbones import background_import

full = []
gc.callbacks.append(lambda phase, info: full.append(phase) if info["generation"] == 2 else None)
before = len(gc.get_objects(generation=2))
background_import.import_encoder()
print(len(full), gc.isenabled(), background_import.is_imported(), gc.get_freeze_count())
print(len(gc.get_objects(generation=2)) > before + 100_000)
"""


def run(program):
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    ).stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="libraries have other names elsewhere")
def test_libraries_are_loaded_before_python_imports_them():
    assert run(BEFORE) == ["True", "False", "2.0"]


def test_a_torch_whose_libraries_are_elsewhere_is_imported_as_ever():
    assert run(MISSING) == ["True"]


def test_no_full_collection_stops_the_window_during_the_import_or_because_of_it():
    assert run(COLLECTED) == ["0", "True", "True", "0", "True"]


def test_the_collector_is_left_as_it_was_found():
    before = gc.get_threshold()
    with suppress(ZeroDivisionError), gc_paused():
        assert gc.get_threshold()[0] == background_import.NEVER
        raise ZeroDivisionError
    assert gc.get_threshold() == before
    gc.disable()
    try:
        with gc_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_threads_that_import_at_once_leave_the_collector_as_it_was():
    before = gc.get_threshold()
    first, second = gc_paused(), gc_paused()
    with first:
        second.__enter__()
    assert gc.get_threshold()[0] == background_import.NEVER
    second.__exit__(None, None, None)
    assert gc.get_threshold() == before


def test_dask_that_another_thread_imports_meanwhile_leaves_the_collector_on():
    program = """
import gc
from napari_dinov3_sim.backbones.background_import import gc_paused

with gc_paused():
    import dask.array
dask.array.zeros(9)[2:5].compute()
print(gc.isenabled())
"""
    assert run(program) == ["True"]


def test_what_others_have_frozen_stays_frozen():
    alive = gc.get_objects()  # or some of them would be deleted meanwhile
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with gc_paused():
            pass
        assert gc.isenabled()
        assert gc.get_freeze_count() >= frozen > 0
        thawed = {id(one) for one in gc.get_objects()}
        assert not [one for one in alive if id(one) in thawed]
    finally:
        gc.unfreeze()


# --- several threads ----------------------------------------------------------------------------

AT_ONCE = """
import threading
from napari_dinov3_sim.backbones import load_backbone
from napari_dinov3_sim.backbones.background_import import import_encoder

start, found = threading.Barrier(6), []

def work(number):
    start.wait()
    try:
        if number % 2:
            import_encoder()
        else:
            load_backbone("builtin", device="cpu")
        found.append("fine")
    except BaseException as error:
        found.append(repr(error))

threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*found)
"""


def test_threads_that_need_the_model_at_once_all_get_it():
    assert run(AT_ONCE) == ["fine"] * 6


def test_one_thread_at_a_time_imports_the_model(monkeypatch):
    background_import.import_encoder()  # is there now, so that what is found is true
    held = []

    def import_it(name):
        held.append((name, background_import._one_at_a_time.locked()))

    monkeypatch.setattr(background_import, "import_without_gc", import_it)
    background_import.encoder_classes()
    background_import.import_encoder()
    assert held == [
        (background_import.ENCODER, True),
        ("torch", False),
        (background_import.ENCODER, True),
    ]


def test_no_other_module_imports_transformers():
    """At run time; for the sake of types they may."""
    package = Path(background_import.__file__).parents[1]
    found = set()
    for path in package.rglob("*.py"):
        for node in at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", ()) if alias]
            names.append(getattr(node, "module", None) or "")
            if isinstance(node, ast.Import | ast.ImportFrom) and any(
                name.partition(".")[0] == "transformers" for name in names
            ):
                found.add(path.name)
    assert found == set()  # the one place asks importlib


def at_run_time(tree):
    """Yield the nodes of a module, without what stands under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
            yield node
            yield from at_run_time(node)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no library clashes with Mesa")
def test_triton_is_loaded_to_itself_before_anything_imports_it(monkeypatch, tmp_path):
    """Its LLVM is another one than that of Mesa, and calls its own functions alone."""
    library = tmp_path / "triton" / "_C" / "libtriton.so"
    library.parent.mkdir(parents=True)
    (tmp_path / "triton" / "__init__.py").touch()
    shutil.copy(ctypes_library(), library)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "triton", raising=False)
    loaded, dlopen = [], ctypes.CDLL(None).dlopen

    class Recorded:
        def __call__(self, path, mode):
            loaded.append((path.decode(), mode))
            return dlopen(path, mode)

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace(dlopen=Recorded()))
    monkeypatch.setattr(
        background_import, "import_without_gc", lambda name: loaded.append((name, None))
    )
    with suppress(KeyError):
        background_import.encoder_classes()
    assert [path for path, _ in loaded] == [str(library), background_import.ENCODER]
    assert loaded[0][1] & os.RTLD_DEEPBIND
    assert str(library) in Path("/proc/self/maps").read_text()


def ctypes_library():
    """Any library will do."""
    import _ctypes

    return _ctypes.__file__

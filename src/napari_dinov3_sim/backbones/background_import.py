"""Imports of large libraries in a worker, without stopping the window."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import DINOv3ViTConfig, DINOv3ViTModel

LIBRARIES = ("libtorch_global_deps.so", "libtorch_python.so")
"""What ``import torch`` loads on Linux, in its order; the second brings all others."""

ENCODER = "transformers.models.dinov3_vit.modeling_dinov3_vit"
"""The module of the model; what it imports is nearly all of what an import of it costs."""

NEVER = 2**31 - 1
"""Objects to be made before the collector looks at them; the most that C can count."""

_one_at_a_time = threading.Lock()


def import_torch() -> None:
    """Import PyTorch; for workers, beside a window that must go on drawing.

    Python loads the libraries of an extension module while no other thread can run: 0.3 s for
    PyTorch, in which a window stands still. Asked for by a foreign call, the same files are
    loaded without holding the others up, and Python finds them loaded.
    """
    if "torch" not in sys.modules and sys.platform == "linux":
        # Where that cannot be, the import does without.
        with suppress(AttributeError, OSError, ValueError):
            _load_libraries()
    import_without_gc("torch")


def import_encoder() -> None:
    """Import PyTorch and what models are built with; for workers, as `import_torch`."""
    import_torch()
    encoder_classes()


def encoder_classes() -> tuple[type[DINOv3ViTConfig], type[DINOv3ViTModel]]:
    """Import the classes of the model, and return them; the one place that imports transformers.

    That package puts another module in its own place while it is imported. A thread that imports
    it at the same time may get the former one, in which the classes are not found, and so only one
    thread at a time is let in; and the module of the model is asked, which is none of that sort.
    """
    with _one_at_a_time:
        if sys.platform == "linux":
            with suppress(AttributeError, OSError, ValueError):
                _load_triton()
        import_without_gc(ENCODER)
        module = sys.modules[ENCODER]
    return module.DINOv3ViTConfig, module.DINOv3ViTModel


def is_imported() -> bool:
    """Whether `import_encoder` has nothing left to do."""
    return ENCODER in sys.modules


def import_without_gc(name: str) -> None:
    """Import a module without the garbage collector coming in between.

    Parameters
    ----------
    name : str
    """
    with gc_paused():
        import_module(name)


class _Pause:
    """How many threads hold the collector back, and its thresholds before the first did."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._threads, self._thresholds = 0, gc.get_threshold()

    def begin(self) -> None:
        with self._lock:
            if not self._threads:
                self._thresholds = gc.get_threshold()
                gc.set_threshold(NEVER)
            self._threads += 1

    def end(self) -> None:
        with self._lock:
            self._threads -= 1
            if not self._threads:
                if gc.isenabled():
                    _make_all_old()
                gc.set_threshold(*self._thresholds)


_pause = _Pause()


@contextmanager
def gc_paused() -> Iterator[None]:
    """Hold Python's garbage collector back; what was made meanwhile counts as old afterwards.

    An import makes hundreds of thousands of objects, nearly all to stay. For each quarter more of
    them the collector visits every object there is, 0.1 to 0.3 s beside napari, and no other
    thread runs meanwhile.

    It stays enabled, but has nothing to do: dask asks whether it is when another thread imports
    dask, and if it were not, would leave it disabled after the first slice of an array, for good.
    """
    _pause.begin()
    try:
        yield
    finally:
        _pause.end()


def _make_all_old() -> None:
    """Count all objects as old, without looking at any of them."""
    if not gc.get_freeze_count():  # what others have frozen stays so
        gc.freeze()
        gc.unfreeze()


def _load_libraries() -> None:
    # As torch itself does: the first for all libraries to see, the others on request.
    for name, scope in zip(LIBRARIES, (os.RTLD_GLOBAL, os.RTLD_LOCAL), strict=True):
        _load("torch", f"lib/{name}", os.RTLD_LAZY | scope)


def _load_triton() -> None:
    """Load triton, which torch brings and transformers imports, so that it keeps to itself.

    It has LLVM in it, and so has Mesa, which draws napari's canvas where there is no graphics
    card. Where both are in one process, the later one would call functions of the other, of
    another release, and the process would be killed.
    """
    if "triton" not in sys.modules:
        _load("triton", "_C/libtriton.so", os.RTLD_LAZY | os.RTLD_LOCAL | os.RTLD_DEEPBIND)


def _load(package: str, library: str, mode: int) -> None:
    """Load a library of a package that is installed, without importing the package."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    dlopen(os.fsencode(Path(spec.origin).parent / library), mode)

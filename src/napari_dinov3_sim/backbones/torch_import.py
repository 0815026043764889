"""Importing PyTorch in a worker, without stopping the window for its libraries."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

LIBRARIES = ("libtorch_global_deps.so", "libtorch_python.so")
"""What ``import torch`` loads on Linux, in its order; the second brings all others."""


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
    import_module("torch")


def _load_libraries() -> None:
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return
    dlopen = ctypes.CDLL(None).dlopen
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    # As torch itself does: the first for all libraries to see, the others for those who ask.
    for name, scope in zip(LIBRARIES, (os.RTLD_GLOBAL, os.RTLD_LOCAL), strict=True):
        dlopen(os.fsencode(Path(spec.origin).parent / "lib" / name), os.RTLD_LAZY | scope)

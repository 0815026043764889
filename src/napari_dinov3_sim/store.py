"""Embeddings in memory within a budget, and on disk as safetensors."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.intensity import IntensityWindow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.recipe import Recipe
    from napari_dinov3_sim.core.state import PatchImageState

FORMAT = "napari-dinov3-sim/1"
SUFFIX = ".embeddings.safetensors"
DEFAULT_BUDGET = 2 * 2**30
"""Bytes of embeddings kept in memory: about 500 images of 1024² with ViT-S."""


def digest_of(
    pixels: NDArray[Any],
    fingerprint: str,
    window: IntensityWindow | None,
    recipe: Recipe,
) -> str:
    """Return the key an embedding is stored under.

    Parameters
    ----------
    pixels : ndarray
        The pixels that are embedded.
    fingerprint : str
        Fingerprint of the backbone.
    window : IntensityWindow or None
    recipe : Recipe

    Returns
    -------
    str
        SHA-256, in hexadecimal, of everything that decides the result.
    """
    sha = hashlib.sha256()
    head = (FORMAT, pixels.shape, pixels.dtype.str, fingerprint, window, recipe)
    sha.update(repr(head).encode())
    # A boolean or long-double array has no buffer of its own format; bytes always have.
    sha.update(np.ascontiguousarray(pixels).reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


class MemoryStore:
    """Patch states in memory; the least recently used goes first when the budget is spent.

    Safe to use from several threads.

    Parameters
    ----------
    budget : int, optional
        Bytes of embeddings to keep.
    """

    def __init__(self, budget: int = DEFAULT_BUDGET) -> None:
        self._budget = budget
        self._states: OrderedDict[str, PatchImageState] = OrderedDict()
        self._nbytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes of embeddings held."""
        return self._nbytes

    @property
    def budget(self) -> int:
        """Bytes of embeddings that may be held."""
        return self._budget

    @budget.setter
    def budget(self, budget: int) -> None:
        with self._lock:
            self._budget = budget
            self._evict()

    def __len__(self) -> int:
        return len(self._states)

    def get(self, digest: str) -> PatchImageState | None:
        """Return a state and mark it as used, or None."""
        with self._lock:
            state = self._states.get(digest)
            if state is not None:
                self._states.move_to_end(digest)
            return state

    def put(self, digest: str, state: PatchImageState) -> None:
        """Keep a state, at the expense of those used longest ago, unless it is over the budget."""
        with self._lock:
            if state.nbytes > self._budget:
                return
            old = self._states.pop(digest, None)
            self._nbytes += state.nbytes - (old.nbytes if old is not None else 0)
            self._states[digest] = state
            self._evict()

    def _evict(self) -> None:
        while self._states and self._nbytes > self._budget:
            _, state = self._states.popitem(last=False)
            self._nbytes -= state.nbytes


def save_state(state: PatchImageState, path: str | os.PathLike[str]) -> Path:
    """Write a patch state to a safetensors file, whole or not at all.

    Parameters
    ----------
    state : PatchImageState
    path : path-like
        The file to write; its folder must exist.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        The file cannot be written (no permission, disk full).
    """
    from safetensors.torch import save

    target = Path(path)
    window = None if state.window is None else [state.window.low, state.window.high]
    metadata = {
        "format": FORMAT,
        "image_shape": json.dumps(state.grid.image_shape),
        "patch_size": str(state.grid.patch_size),
        "fingerprint": state.fingerprint,
        "window": json.dumps(window),
    }
    content = save({"embeddings": state.embeddings_normalized.contiguous()}, metadata)
    try:
        write_atomically(target, content)
    except OSError as error:
        raise StoreError(
            f"The embeddings cannot be written to {target} ({error.strerror or error}); "
            "free some space or choose another folder."
        ) from error
    return target


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it into it; on failure nothing is left behind."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        # mkstemp makes files private; results are as readable as any file the user writes.
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def load_state(path: str | os.PathLike[str]) -> PatchImageState:
    """Read a patch state that `save_state` wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    PatchImageState

    Raises
    ------
    StoreError
        The file is missing, damaged, or not one of this package's.
    """
    from safetensors import SafetensorError, safe_open

    source = Path(path)
    try:
        with safe_open(source, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise StoreError(
                    f"{source} holds no embeddings of this version; embed the image again."
                )
            embeddings = file.get_tensor("embeddings")
        return _state_of(embeddings, metadata)
    except FileNotFoundError as error:
        raise StoreError(f"{source} does not exist; embed the image first.") from error
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise StoreError(
            f"{source} is damaged ({error}); delete it and embed the image again."
        ) from error


def _state_of(embeddings: Any, metadata: dict[str, str]) -> PatchImageState:
    import torch

    from napari_dinov3_sim.core.state import PatchImageState

    height, width = json.loads(metadata["image_shape"])
    grid = PatchGrid((int(height), int(width)), int(metadata["patch_size"]))
    if embeddings.ndim != 2 or embeddings.shape[0] != len(grid):
        raise ValueError(f"{tuple(embeddings.shape)} embeddings for {len(grid)} patches")
    if not bool(torch.isfinite(embeddings).all()):
        raise ValueError("embeddings that are not finite")
    bounds = json.loads(metadata["window"])
    window = None if bounds is None else IntensityWindow(*bounds)
    return PatchImageState(embeddings.float(), grid, metadata["fingerprint"], window)

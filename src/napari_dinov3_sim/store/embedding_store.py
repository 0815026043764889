"""The store of embeddings: memory first, then the disk."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.store.disk import DiskStore
    from napari_dinov3_sim.store.safetensors_io import Expected
    from napari_dinov3_sim.store.tile_cache import DiskTileCache


def default_folder() -> Path:
    """Return the folder of embeddings that all sessions of a user share; it may not exist yet."""
    from platformdirs import user_cache_path

    return user_cache_path("napari-dinov3-sim", appauthor=False) / "embeddings"


class EmbeddingStore:
    """Embeddings in memory and, if wanted, on disk. Safe to use from several threads.

    Parameters
    ----------
    memory : MemoryStore
    disk : DiskStore, optional
    """

    def __init__(self, memory: MemoryStore, disk: DiskStore | None = None) -> None:
        self.memory, self.disk = memory, disk
        self._on_disk: set[str] = set()

    @property
    def budget(self) -> int:
        """Bytes of embeddings that may be held in memory."""
        return self.memory.budget

    @budget.setter
    def budget(self, budget: int) -> None:
        self.memory.budget = budget

    def get(self, digest: str) -> PatchImageState | None:
        """Return a state that is in memory, or None; never waits for the disk."""
        return self.memory.get(digest)

    def is_on_disk(self, digest: str) -> bool:
        """Whether a state has been written to the disk or read from it; never waits for it."""
        return digest in self._on_disk

    def fetch(self, digest: str, expected: Expected | None = None) -> PatchImageState | None:
        """Return a state from memory or from disk, or None; for worker threads.

        Parameters
        ----------
        digest : str
            From `digest_of`.
        expected : Expected, optional
            Compared with what a file says of itself.
        """
        state = self.memory.get(digest)
        return self._read(self.disk, digest, expected) if state is None and self.disk else state

    def _read(
        self, disk: DiskStore, digest: str, expected: Expected | None
    ) -> PatchImageState | None:
        state = disk.get(digest, expected)
        if state is None:
            self._on_disk.discard(digest)
        else:
            self._on_disk.add(digest)
            self.memory.put(digest, state)
        return state

    def put(self, digest: str, state: PatchImageState, label: str = "") -> Path | None:
        """Keep a state in memory and, as far as it allows, on disk; for worker threads.

        Parameters
        ----------
        digest : str
            From `digest_of`.
        state : PatchImageState
        label : str, optional
            By which a person recognises the file.

        Returns
        -------
        Path or None
            The file; None where there is none.
        """
        self.memory.put(digest, state)
        path = None if self.disk is None else self.disk.put(digest, state, label)
        if path is not None:
            self._on_disk.add(digest)
        return path

    def tiles(self, digest: str, label: str = "") -> DiskTileCache | None:
        """Return where the finished tiles of an image are kept; None without a disk."""
        return None if self.disk is None else self.disk.tiles(digest, label)


DEFAULT_BUDGET = 2 * 2**30
"""Bytes of embeddings kept in memory: about 500 images of 1024² with ViT-S."""


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

"""Embeddings in memory, within a budget."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_dinov3_sim.core.state import PatchImageState

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

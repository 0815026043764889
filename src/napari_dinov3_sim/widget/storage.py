"""Where the dock keeps embeddings: in memory, and in the folder that the preferences name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore, default_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinov3_sim.widget.preferences import Preferences


def make_store(preferences: Preferences, warn: Callable[[str], object]) -> EmbeddingStore:
    """Return a store as the preferences say; no folder is made before something is kept.

    Parameters
    ----------
    preferences : Preferences
    warn : callable
        Told by worker threads, in one sentence, of damaged files and folders that cannot be
        written.

    Returns
    -------
    EmbeddingStore
    """
    memory = MemoryStore(preferences.memory_budget)
    if not preferences.disk_budget:
        return EmbeddingStore(memory)
    folder = preferences.store_folder
    path = Path(folder).expanduser() if folder else default_folder()
    return EmbeddingStore(memory, DiskStore(path, preferences.disk_budget, warn))

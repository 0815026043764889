"""Embeddings in memory within a budget, and on disk as safetensors.

`memory` keeps states while the program runs, `disk` keeps them in a folder, and `embeddings` joins
the two. `digest` says under what; `files` how one is written; `folder` what a folder holds and
what leaves it first; `parts` keeps the finished tiles of an image that is not done yet.
"""

from __future__ import annotations

from napari_dinov3_sim.store.digest import digest_of
from napari_dinov3_sim.store.disk import DiskStore
from napari_dinov3_sim.store.embeddings import EmbeddingStore, default_folder
from napari_dinov3_sim.store.files import FORMAT, load_state, save_state, write_atomically
from napari_dinov3_sim.store.folder import SUFFIX
from napari_dinov3_sim.store.memory import DEFAULT_BUDGET, MemoryStore
from napari_dinov3_sim.store.parts import TileParts

__all__ = [
    "DEFAULT_BUDGET",
    "FORMAT",
    "SUFFIX",
    "DiskStore",
    "EmbeddingStore",
    "MemoryStore",
    "TileParts",
    "default_folder",
    "digest_of",
    "load_state",
    "save_state",
    "write_atomically",
]

"""What is kept: embeddings in memory and on disk, saved queries, tables of peaks.

May import `core/`. `embedding_store` asks memory first, then `disk`; `digest` says under what key
embeddings are kept, `safetensors_io` how a file is written, `folder` what a folder holds and what
is removed first; `tile_cache` keeps the finished tiles of an image that is not done yet.
"""

from __future__ import annotations

from napari_dinov3_sim.store.digest import digest_of
from napari_dinov3_sim.store.disk import DiskStore
from napari_dinov3_sim.store.embedding_store import (
    DEFAULT_BUDGET,
    EmbeddingStore,
    MemoryStore,
    default_folder,
)
from napari_dinov3_sim.store.folder import SUFFIX
from napari_dinov3_sim.store.safetensors_io import FORMAT, load_state, save_state, write_atomically
from napari_dinov3_sim.store.tile_cache import DiskTileCache

__all__ = [
    "DEFAULT_BUDGET",
    "FORMAT",
    "SUFFIX",
    "DiskStore",
    "DiskTileCache",
    "EmbeddingStore",
    "MemoryStore",
    "default_folder",
    "digest_of",
    "load_state",
    "save_state",
    "write_atomically",
]

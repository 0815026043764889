"""Ring 2, what is kept: embeddings in memory and on disk, saved queries, tables of peaks.

`embedding_store` looks in memory first, then on `disk`. `digest` computes the key of embeddings,
`safetensors_io` reads and writes a file, `disk_folder` chooses what is removed first, and
`tile_cache` keeps the finished tiles of an image. `cached_embedding` embeds a plane unless it is
stored. Whatever the package writes, also elsewhere, goes through `atomic_files`.
May import `core/` and safetensors.
"""

from __future__ import annotations

from napari_dinov3_sim.store.atomic_files import write_atomically
from napari_dinov3_sim.store.digest import digest_of
from napari_dinov3_sim.store.disk import DiskStore
from napari_dinov3_sim.store.disk_folder import SUFFIX
from napari_dinov3_sim.store.embedding_store import (
    DEFAULT_BUDGET,
    EmbeddingStore,
    MemoryStore,
    default_folder,
)
from napari_dinov3_sim.store.safetensors_io import FORMAT, Expected, load_state, save_state
from napari_dinov3_sim.store.tile_cache import DiskTileCache

__all__ = [
    "DEFAULT_BUDGET",
    "FORMAT",
    "SUFFIX",
    "DiskStore",
    "DiskTileCache",
    "EmbeddingStore",
    "Expected",
    "MemoryStore",
    "default_folder",
    "digest_of",
    "load_state",
    "save_state",
    "write_atomically",
]

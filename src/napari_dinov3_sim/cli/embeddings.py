"""From a plane to its patch state, with the embeddings that are already on disk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_dinov3_sim.cli.terminal import note
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.images.intensity import has_contrast
from napari_dinov3_sim.core.images.scanning import hold, scan_pixels
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.core.images.sources import ArraySource
    from napari_dinov3_sim.core.protocols import Progress
    from napari_dinov3_sim.store.cached_embedding import CachedEmbedder, FoundEmbeddings


def open_store(folder: Path | None, *, must_write: bool = False) -> EmbeddingStore:
    """Return the embeddings in a folder, of which none are held in memory."""
    disk = DiskStore(folder, warn=note, must_write=must_write) if folder else None
    return EmbeddingStore(MemoryStore(0), disk)


def tell_of_left_over(folder: Path) -> None:
    """Tell what stays in a folder of embeddings and is of no use: damaged files, old tiles."""
    found = DiskStore(folder).left_over()
    if found:
        note(f"note: {found}")


def find_embeddings(
    embedder: CachedEmbedder,
    source: ArraySource,
    label: str,
    window: IntensityWindow | None = None,
    *,
    progress: Progress | None = None,
    on_missing: Callable[[], object] | None = None,
) -> tuple[FoundEmbeddings, bool]:
    """Return the embeddings of a plane, computed if they are not stored.

    Parameters
    ----------
    embedder : CachedEmbedder
    source : ArraySource
    label : str
        By which a person recognises its file.
    window : IntensityWindow, optional
        Of the layer; by default of the plane itself.
    progress : callable, optional
        As for `create_patch_image_state`.
    on_missing : callable, optional
        Called where the folder has no file of it, before it is embedded.

    Returns
    -------
    FoundEmbeddings, bool
        And whether anything can be seen in the plane, through the window of its layer.
    """
    held = hold(source)
    scan = scan_pixels(held)
    window = window or scan.window
    contrast = scan.contrast if window is None else has_contrast(window)
    disk = embedder.store.disk
    path = None if disk is None else disk.path_of(embedder.digest(scan.digest, window))
    found = embedder.find(scan.digest, window, source.shape)
    if found is not None:
        return replace(found, path=path), contrast
    if disk is not None and path is None and on_missing is not None:
        on_missing()
    found = embedder.compute(
        held,
        scan.digest,
        window,
        label,
        name=source.name,
        progress=progress,
        scan_again=held is source,
    )
    return found, contrast


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """Return how the command line wants pixels to become embeddings."""
    return Recipe(factor=arguments.resolution, shifts=arguments.shifts, padding=arguments.padding)

"""From a plane to its patch state, with the embeddings that are already on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_dinov3_sim.cli.terminal import note
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.images.intensity import has_contrast
from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.store import digest_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinov3_sim.cli.model import LazyModel
    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.core.images.scanning import PixelScan
    from napari_dinov3_sim.core.images.sources import PixelSource
    from napari_dinov3_sim.core.protocols import Progress
    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.store import DiskStore, DiskTileCache


@dataclass(frozen=True, eq=False)
class FoundEmbeddings:
    """The embeddings of one plane.

    Attributes
    ----------
    digest : str
        Under which the embeddings are stored.
    seen : PixelScan
        Of the pixels, when they were looked at first.
    state : PatchImageState
    stored : Path or None
        The file they came from; None where they were computed.
    tiles : (int, int)
        How many tiles of an interrupted run were used, and of how many; (0, 0) where that was
        not asked for.
    """

    digest: str
    seen: PixelScan
    state: PatchImageState
    stored: Path | None
    tiles: tuple[int, int] = (0, 0)

    @property
    def contrast(self) -> bool:
        """Whether anything can be seen in the plane, through the window of its layer."""
        window = self.state.window
        return self.seen.contrast if window is None else has_contrast(window)


@dataclass(frozen=True, eq=False)
class _Tiles:
    """The tiles of a plane; knows which of them an interrupted run has left."""

    parts: DiskTileCache
    found: set[int] = field(default_factory=set)
    made: set[int] = field(default_factory=set)

    def get(self, number: int) -> NDArray[np.float32 | np.float16] | None:
        tile = self.parts.get(number)
        if tile is not None:
            self.found.add(number)
        return tile

    def put(self, number: int, embeddings: NDArray[np.float32 | np.float16]) -> None:
        self.made.add(number)
        self.parts.put(number, embeddings)

    def count(self) -> tuple[int, int]:
        """Return how many were found, and of how many."""
        return len(self.found - self.made), len(self.found | self.made)


@dataclass(frozen=True, eq=False)
class PlaneEmbedder:
    """Embeds planes with one model and one recipe.

    Attributes
    ----------
    model : LazyModel
    store : DiskStore or None
        Asked first.
    recipe : Recipe
    keeps_tiles : bool
        Whether finished tiles are written into the store, which a folder that is only searched
        in does not want.
    """

    model: LazyModel
    store: DiskStore | None
    recipe: Recipe = field(default_factory=Recipe)
    keeps_tiles: bool = False

    def find(
        self,
        source: PixelSource,
        label: str,
        window: IntensityWindow | None = None,
        progress: Progress | None = None,
        missing: Callable[[], object] | None = None,
    ) -> FoundEmbeddings:
        """Return the embeddings of a plane, computed if they are not stored.

        Parameters
        ----------
        source : PixelSource
        label : str
            By which a person recognises its file.
        window : IntensityWindow, optional
            Of the layer; by default of the plane itself.
        progress : callable, optional
            As for `create_patch_image_state`.
        missing : callable, optional
            Called where the store has no file of it, before it is embedded.
        """
        seen = scan_pixels(source)
        window = window or seen.window
        digest = digest_of(seen.digest, self.model.identity.fingerprint, window, self.recipe)
        path = None if self.store is None else self.store.path_of(digest)
        state = None if self.store is None else self.store.get(digest)
        if state is not None:
            return FoundEmbeddings(digest, seen, state, path)
        if path is None and self.store is not None and missing is not None:
            missing()
        tiles = self._tiles(digest, label)
        state = self._create(source, window, progress, tiles)
        # Where memory ran out, another arithmetic may have gone on with it.
        digest = digest_of(seen.digest, state.fingerprint, window, self.recipe)
        return FoundEmbeddings(digest, seen, state, None, tiles.count() if tiles else (0, 0))

    def _tiles(self, digest: str, label: str) -> _Tiles | None:
        if self.store is None or not self.keeps_tiles:
            return None
        return _Tiles(self.store.tiles(digest, label))

    def _create(
        self,
        source: PixelSource,
        window: IntensityWindow | None,
        progress: Progress | None,
        tiles: _Tiles | None,
    ) -> PatchImageState:
        from napari_dinov3_sim.core.embedding.embed import create_patch_image_state

        return create_patch_image_state(
            source,
            self.model.load(),
            window=window,
            recipe=self.recipe,
            progress=progress,
            tiles=tiles,
            notice=note,
        )


def recipe_of(arguments: argparse.Namespace) -> Recipe:
    """Return how the command line wants pixels to become embeddings."""
    return Recipe(factor=arguments.resolution, shifts=arguments.shifts, padding=arguments.padding)

"""Embeds a plane unless a store has it: the same for the window and for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.store.digest import digest_of
from napari_dinov3_sim.store.safetensors_io import Expected

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.core.images.sources import PixelSource
    from napari_dinov3_sim.core.protocols import Backbone, Notice, Progress
    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.store.embedding_store import EmbeddingStore


class ModelOnDemand(Protocol):
    """A model whose fingerprint is known before it is loaded; see `backbones.lazy_model`."""

    @property
    def fingerprint(self) -> str:
        """That of the model."""

    @property
    def patch_size(self) -> int:
        """That of the model."""

    def load(self) -> Backbone:
        """Return the model."""


@dataclass(frozen=True, eq=False)
class FoundEmbeddings:
    """The embeddings of one plane.

    Attributes
    ----------
    digest : str
        Under which a store has them.
    state : PatchImageState
    was_stored : bool
        Whether they were there already.
    path : Path or None
        The file that they were written to, if they were not there already.
    resumed_tiles : (int, int)
        How many tiles of an interrupted run were used, and of how many.
    """

    digest: str
    state: PatchImageState
    was_stored: bool
    path: Path | None = None
    resumed_tiles: tuple[int, int] = (0, 0)


@dataclass(frozen=True, eq=False)
class CachedEmbedder:
    """Embeds planes that a store does not have yet, with one model and one recipe.

    Attributes
    ----------
    model : ModelOnDemand
        Loaded for the first plane that is not stored.
    recipe : Recipe
    store : EmbeddingStore
    notice : callable, optional
        See `create_patch_image_state`.
    keeps : bool, optional
        Whether what is computed is put into the store, each finished tile as well.
    """

    model: ModelOnDemand
    recipe: Recipe
    store: EmbeddingStore
    notice: Notice | None = None
    keeps: bool = True

    def find(
        self, pixels: str, window: IntensityWindow | None, image_shape: tuple[int, int]
    ) -> FoundEmbeddings | None:
        """Return the embeddings of a plane if they are stored.

        Parameters
        ----------
        pixels : str
            Digest of all pixels of the plane, from `scan_pixels`.
        window : IntensityWindow or None
        image_shape : tuple of int
            Height and width of the plane, in pixels.
        """
        digest = self.digest(pixels, window)
        cell = self.recipe.cell_size(self.model.patch_size)
        expected = Expected(image_shape, cell, self.model.fingerprint, window)
        state = self.store.fetch(digest, expected)
        return None if state is None else FoundEmbeddings(digest, state, was_stored=True)

    def digest(self, pixels: str, window: IntensityWindow | None) -> str:
        """Return the key under which the embeddings of a plane are stored."""
        return digest_of(pixels, self.model.fingerprint, window, self.recipe)

    def compute(
        self,
        source: PixelSource,
        pixels: str,
        window: IntensityWindow | None,
        label: str,
        *,
        name: str = "",
        progress: Progress | None = None,
        scan_again: bool = True,
        check: Progress | None = None,
    ) -> FoundEmbeddings:
        """Embed a plane, and keep the embeddings.

        Parameters
        ----------
        source : PixelSource
        pixels, window
            As for `find`.
        label : str
            By which a person recognises the file.
        name : str, optional
            Of the image, for messages; by default the label.
        progress : callable, optional
            See `create_patch_image_state`.
        scan_again : bool, optional
            Whether the pixels are read once more before the embeddings are kept. What was written
            meanwhile would else be kept under the digest of what was there before. A file that
            was deleted may give no error: a chunk of Zarr that is missing reads as zeros.
        check : callable, optional
            Progress of the second reading; may raise `EmbeddingCancelled`.

        Raises
        ------
        ImageError
            The pixels cannot be read, or changed meanwhile.
        """
        from napari_dinov3_sim.core.embedding.embed import create_patch_image_state

        tiles = self.store.tiles(self.digest(pixels, window), label) if self.keeps else None
        state = create_patch_image_state(
            source,
            self.model.load(),
            window=window,
            recipe=self.recipe,
            progress=progress,
            tiles=tiles,
            notice=self.notice,
        )
        # Where memory ran out, another arithmetic may have gone on with it.
        digest = digest_of(pixels, state.fingerprint, window, self.recipe)
        if not self.keeps:
            return FoundEmbeddings(digest, state, was_stored=False)
        if scan_again and scan_pixels(source, check).digest != pixels:
            if tiles is not None:
                tiles.discard()
            raise ImageError(
                f"The pixels of {name or label} changed while they were embedded; embed them "
                "again."
            )
        path = self.store.put(digest, state, label)
        return FoundEmbeddings(digest, state, False, path, tiles.resumed if tiles else (0, 0))

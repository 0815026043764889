"""From image files to patch states, with the embeddings that are already on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim._cli.disk import DiskStore, Key
from napari_dinov3_sim._cli.images import read_image
from napari_dinov3_sim._cli.terminal import say
from napari_dinov3_sim.core.intensity import window_of
from napari_dinov3_sim.core.recipe import Recipe
from napari_dinov3_sim.store import digest_of

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinov3_sim._cli.terminal import Bars
    from napari_dinov3_sim.backbones import DINOv3Backbone
    from napari_dinov3_sim.core.state import PatchImageState


@dataclass(frozen=True, eq=False)
class Embedded:
    """The embeddings of one image file.

    Attributes
    ----------
    path : Path
        The image.
    state : PatchImageState
    key : Key
        Under which the embeddings are stored.
    stored : Path or None
        The file they came from; None where they were computed.
    """

    path: Path
    state: PatchImageState
    key: Key
    stored: Path | None


@dataclass(frozen=True, eq=False)
class ImageEmbedder:
    """Embeds image files with one model.

    Attributes
    ----------
    backbone : DINOv3Backbone
    store : DiskStore or None
        Asked first.
    bars : Bars
    """

    backbone: DINOv3Backbone
    store: DiskStore | None
    bars: Bars

    def embed(self, path: Path) -> Embedded:
        """Return the embeddings of an image, computed if they are not stored."""
        from napari_dinov3_sim.core.state import create_patch_image_state

        image = read_image(path)
        window, recipe = window_of(image), Recipe()
        digest = digest_of(image, self.backbone.fingerprint, window, recipe)
        key = Key.of(digest, image.shape, self.backbone)
        found = self.store.get(key) if self.store is not None else None
        if found is not None:
            return Embedded(path, found[1], key, found[0])
        progress = self.bars.tiles(f"Embedding {path.name}")
        state = create_patch_image_state(
            image, self.backbone, window=window, recipe=recipe, progress=progress
        )
        return Embedded(path, state, key, None)


def load_model(model: str, device: str, dtype: str, bars: Bars) -> DINOv3Backbone:
    """Load a model, with a bar for its download."""
    from napari_dinov3_sim.backbones import load_backbone

    return load_backbone(model, device=device, dtype=dtype, progress=bars.download)


def describe_model(backbone: DINOv3Backbone) -> dict[str, Any]:
    """Return what a result must say about the model it came from."""
    return {
        "model": backbone.name,
        "label": backbone.label,
        "device": str(backbone.device),
        "dtype": str(backbone.dtype),
        "fingerprint": backbone.fingerprint,
        "licence": backbone.licence,
    }


def say_model(backbone: DINOv3Backbone) -> None:
    """Tell which model was used, by its full name."""
    say(f"Model: {backbone.name}, {backbone.label}; {backbone.dtype} on {backbone.device}.")

"""Click on something in one open image; every open image lights up where the same kind is.

The public API is loaded on first use: importing the package imports neither torch nor Qt.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_dinov3_sim.backbones import list_models, load_backbone
    from napari_dinov3_sim.core.errors import SimilarityError
    from napari_dinov3_sim.core.intensity import IntensityWindow
    from napari_dinov3_sim.core.recipe import Recipe
    from napari_dinov3_sim.core.similarity import (
        SimilarityMap,
        create_similarity_images,
        query_vector,
        similarity_map,
    )
    from napari_dinov3_sim.core.state import PatchImageState, create_patch_image_state
    from napari_dinov3_sim.core.tiles import Tiling
    from napari_dinov3_sim.session import Look, SimilaritySession
    from napari_dinov3_sim.store import load_state, save_state

__version__ = "0.1.0"

_HOMES = {
    "IntensityWindow": "core.intensity",
    "Look": "session",
    "PatchImageState": "core.state",
    "SimilarityError": "core.errors",
    "SimilarityMap": "core.similarity",
    "SimilaritySession": "session",
    "Recipe": "core.recipe",
    "Tiling": "core.tiles",
    "create_patch_image_state": "core.state",
    "create_similarity_images": "core.similarity",
    "list_models": "backbones",
    "load_backbone": "backbones",
    "load_state": "store",
    "query_vector": "core.similarity",
    "save_state": "store",
    "similarity_map": "core.similarity",
}

__all__ = [
    "IntensityWindow",
    "Look",
    "PatchImageState",
    "Recipe",
    "SimilarityError",
    "SimilarityMap",
    "SimilaritySession",
    "Tiling",
    "create_patch_image_state",
    "create_similarity_images",
    "list_models",
    "load_backbone",
    "load_state",
    "query_vector",
    "save_state",
    "similarity_map",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

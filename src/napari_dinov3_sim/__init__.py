"""Click on something in one open image; every open image lights up where the same kind is.

The public API is loaded on first use: importing the package imports neither torch nor Qt.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_dinov3_sim.backbones import list_models, load_backbone
    from napari_dinov3_sim.core.combine import (
        KindQuery,
        background_vector,
        kind_of_points,
        score_kinds,
        winner,
    )
    from napari_dinov3_sim.core.errors import SimilarityError
    from napari_dinov3_sim.core.intensity import IntensityWindow
    from napari_dinov3_sim.core.matches import Matches, mutual_matches
    from napari_dinov3_sim.core.pca import pca_colours
    from napari_dinov3_sim.core.peaks import Peak, best_match, find_peaks
    from napari_dinov3_sim.core.recipe import Recipe
    from napari_dinov3_sim.core.regions import (
        coverage_of_mask,
        coverage_of_polygon,
        label_coverages,
        region_vector,
    )
    from napari_dinov3_sim.core.saved_query import SavedKind, SavedQuery, make_thumbnail
    from napari_dinov3_sim.core.similarity import (
        SimilarityMap,
        create_similarity_images,
        query_vector,
        similarity_map,
        upsample_nearest,
    )
    from napari_dinov3_sim.core.state import PatchImageState, create_patch_image_state
    from napari_dinov3_sim.core.thresholds import histogram, otsu_threshold, threshold_labels
    from napari_dinov3_sim.core.tiles import Tiling
    from napari_dinov3_sim.peak_files import PeakRow, save_peaks
    from napari_dinov3_sim.query_files import (
        LibraryEntry,
        list_queries,
        load_query,
        save_query,
    )
    from napari_dinov3_sim.session import Look, SimilaritySession
    from napari_dinov3_sim.store import load_state, save_state

__version__ = "0.1.0"

_HOMES = {
    "IntensityWindow": "core.intensity",
    "KindQuery": "core.combine",
    "LibraryEntry": "query_files",
    "Look": "session",
    "Matches": "core.matches",
    "PatchImageState": "core.state",
    "Peak": "core.peaks",
    "PeakRow": "peak_files",
    "Recipe": "core.recipe",
    "SavedKind": "core.saved_query",
    "SavedQuery": "core.saved_query",
    "SimilarityError": "core.errors",
    "SimilarityMap": "core.similarity",
    "SimilaritySession": "session",
    "Tiling": "core.tiles",
    "background_vector": "core.combine",
    "best_match": "core.peaks",
    "coverage_of_mask": "core.regions",
    "coverage_of_polygon": "core.regions",
    "create_patch_image_state": "core.state",
    "create_similarity_images": "core.similarity",
    "find_peaks": "core.peaks",
    "histogram": "core.thresholds",
    "kind_of_points": "core.combine",
    "label_coverages": "core.regions",
    "list_models": "backbones",
    "list_queries": "query_files",
    "load_backbone": "backbones",
    "load_query": "query_files",
    "load_state": "store",
    "make_thumbnail": "core.saved_query",
    "mutual_matches": "core.matches",
    "otsu_threshold": "core.thresholds",
    "pca_colours": "core.pca",
    "query_vector": "core.similarity",
    "region_vector": "core.regions",
    "save_peaks": "peak_files",
    "save_query": "query_files",
    "save_state": "store",
    "score_kinds": "core.combine",
    "similarity_map": "core.similarity",
    "threshold_labels": "core.thresholds",
    "upsample_nearest": "core.similarity",
    "winner": "core.combine",
}

__all__ = [
    "IntensityWindow",
    "KindQuery",
    "LibraryEntry",
    "Look",
    "Matches",
    "PatchImageState",
    "Peak",
    "PeakRow",
    "Recipe",
    "SavedKind",
    "SavedQuery",
    "SimilarityError",
    "SimilarityMap",
    "SimilaritySession",
    "Tiling",
    "background_vector",
    "best_match",
    "coverage_of_mask",
    "coverage_of_polygon",
    "create_patch_image_state",
    "create_similarity_images",
    "find_peaks",
    "histogram",
    "kind_of_points",
    "label_coverages",
    "list_models",
    "list_queries",
    "load_backbone",
    "load_query",
    "load_state",
    "make_thumbnail",
    "mutual_matches",
    "otsu_threshold",
    "pca_colours",
    "query_vector",
    "region_vector",
    "save_peaks",
    "save_query",
    "save_state",
    "score_kinds",
    "similarity_map",
    "threshold_labels",
    "upsample_nearest",
    "winner",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

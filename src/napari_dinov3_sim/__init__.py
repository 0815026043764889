"""Click on a structure in one open image, and every open image shows where similar ones are.

The public API is loaded on first use: importing the package imports neither torch nor Qt.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_dinov3_sim.backbones import list_models, load_backbone
    from napari_dinov3_sim.core.embedding.embed import create_patch_image_state
    from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling
    from napari_dinov3_sim.core.errors import SimilarityError
    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.core.search.combine import (
        ClassQuery,
        background_vector,
        best_class,
        query_from_points,
        score_classes,
    )
    from napari_dinov3_sim.core.search.matches import Matches, mutual_matches
    from napari_dinov3_sim.core.search.pca import pca_colours
    from napari_dinov3_sim.core.search.peaks import Peak, best_match, find_peaks
    from napari_dinov3_sim.core.search.regions import (
        coverage_of_mask,
        coverage_of_polygon,
        label_coverages,
        region_vector,
    )
    from napari_dinov3_sim.core.search.saved_query import SavedClass, SavedQuery, make_thumbnail
    from napari_dinov3_sim.core.search.similarity import (
        SimilarityMap,
        create_similarity_images,
        query_vector,
        similarity_map,
        upsample_nearest,
    )
    from napari_dinov3_sim.core.search.teaching import Place, agreement, choose_places
    from napari_dinov3_sim.core.search.thresholds import (
        automatic_threshold,
        histogram,
        otsu_threshold,
        threshold_labels,
    )
    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.session import HeatmapStyle, SimilaritySession
    from napari_dinov3_sim.store import load_state, save_state
    from napari_dinov3_sim.store.peak_csv import PeakRow, save_peaks
    from napari_dinov3_sim.store.query_files import (
        LibraryEntry,
        list_queries,
        load_query,
        save_query,
    )
    from napari_dinov3_sim.store.stored_search import StoredMatch, search_embeddings

    __version__: str

_HOMES = {
    "IntensityWindow": "core.images.intensity",
    "ClassQuery": "core.search.combine",
    "LibraryEntry": "store.query_files",
    "HeatmapStyle": "session",
    "Matches": "core.search.matches",
    "PatchImageState": "core.state",
    "Peak": "core.search.peaks",
    "PeakRow": "store.peak_csv",
    "Place": "core.search.teaching",
    "Recipe": "core.embedding.recipe",
    "SavedClass": "core.search.saved_query",
    "SavedQuery": "core.search.saved_query",
    "SimilarityError": "core.errors",
    "SimilarityMap": "core.search.similarity",
    "SimilaritySession": "session",
    "StoredMatch": "store.stored_search",
    "Tiling": "core.embedding.recipe",
    "agreement": "core.search.teaching",
    "automatic_threshold": "core.search.thresholds",
    "background_vector": "core.search.combine",
    "best_match": "core.search.peaks",
    "choose_places": "core.search.teaching",
    "coverage_of_mask": "core.search.regions",
    "coverage_of_polygon": "core.search.regions",
    "create_patch_image_state": "core.embedding.embed",
    "create_similarity_images": "core.search.similarity",
    "find_peaks": "core.search.peaks",
    "histogram": "core.search.thresholds",
    "query_from_points": "core.search.combine",
    "label_coverages": "core.search.regions",
    "list_models": "backbones",
    "list_queries": "store.query_files",
    "load_backbone": "backbones",
    "load_query": "store.query_files",
    "load_state": "store",
    "make_thumbnail": "core.search.saved_query",
    "mutual_matches": "core.search.matches",
    "otsu_threshold": "core.search.thresholds",
    "pca_colours": "core.search.pca",
    "query_vector": "core.search.similarity",
    "region_vector": "core.search.regions",
    "save_peaks": "store.peak_csv",
    "save_query": "store.query_files",
    "save_state": "store",
    "score_classes": "core.search.combine",
    "search_embeddings": "store.stored_search",
    "similarity_map": "core.search.similarity",
    "threshold_labels": "core.search.thresholds",
    "upsample_nearest": "core.search.similarity",
    "best_class": "core.search.combine",
}

__all__ = [
    "ClassQuery",
    "HeatmapStyle",
    "IntensityWindow",
    "LibraryEntry",
    "Matches",
    "PatchImageState",
    "Peak",
    "PeakRow",
    "Place",
    "Recipe",
    "SavedClass",
    "SavedQuery",
    "SimilarityError",
    "SimilarityMap",
    "SimilaritySession",
    "StoredMatch",
    "Tiling",
    "agreement",
    "automatic_threshold",
    "background_vector",
    "best_class",
    "best_match",
    "choose_places",
    "coverage_of_mask",
    "coverage_of_polygon",
    "create_patch_image_state",
    "create_similarity_images",
    "find_peaks",
    "histogram",
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
    "query_from_points",
    "query_vector",
    "region_vector",
    "save_peaks",
    "save_query",
    "save_state",
    "score_classes",
    "search_embeddings",
    "similarity_map",
    "threshold_labels",
    "upsample_nearest",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":  # it stands in pyproject.toml only
        return metadata.version("napari-dinov3-sim")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

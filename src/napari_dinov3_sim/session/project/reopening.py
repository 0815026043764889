"""What a session leaves for the next one in the same viewer: the dock is closed, and opened again.

Points, heatmaps and results stay in the viewer, and are known again by their marks. What no layer
shows is kept in the mark of the layer of points: colours and thresholds of classes, which of the
user's layers are regions, which images are one and which are ticked, the loaded query, and what is
set in the dock.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.layer_metadata import is_derived, mark_of, topmost_of
from napari_dinov3_sim.session.project.snapshot import PLAIN
from napari_dinov3_sim.session.query.labels import LabelRegions

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    import numpy as np
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.session.coordinator import Coordinator
    from napari_dinov3_sim.session.images.channels import Grouping
    from napari_dinov3_sim.session.layers.style import HeatmapStyle, PaletteState
    from napari_dinov3_sim.session.project.restoring import OpenSession
    from napari_dinov3_sim.session.query.loaded_query import LoadedClasses
    from napari_dinov3_sim.session.query.point_history import PointOrigin
    from napari_dinov3_sim.session.query.regions import ShapeRegions
    from napari_dinov3_sim.session.results.thresholds import Level

KEY = "session"

SETTINGS = (*(name for name in PLAIN if name != "side_by_side"), "max_area", "scaling")
"""Side by side ends with the dock."""


@dataclass(frozen=True, eq=False)
class _LeftRegions:
    layer_id: Hashable
    image_id: Hashable | None
    class_name: str | None
    positive: bool
    left_out: frozenset[str]
    origins: tuple[PointOrigin, ...]
    centres: NDArray[np.float64] | None
    sliders: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, regions: ShapeRegions | LabelRegions) -> _LeftRegions:
        return cls(
            regions.layer.unique_id,
            regions.image,
            regions.class_name,
            regions.positive,
            regions.left_out,
            () if isinstance(regions, LabelRegions) else regions.origins,
            None if isinstance(regions, LabelRegions) else regions.centres,
            regions.sliders if isinstance(regions, LabelRegions) else (),
        )


@dataclass(frozen=True, eq=False)
class _LeftSession:
    """What a session was when it was closed."""

    palette: PaletteState
    thresholds: Mapping[int, Level]
    hidden: frozenset[str]
    class_name: str
    regions: tuple[_LeftRegions, ...]
    grouping: Grouping
    settled: frozenset[Hashable]
    unticked: frozenset[Hashable]
    query: LoadedClasses
    query_name: str
    settings: Mapping[str, Any]
    limits: tuple[float, float]
    recipe: Recipe
    style: HeatmapStyle
    source: Hashable | None


def leave_session(parts: Coordinator, session: OpenSession) -> None:
    """Keep what a session is in the mark of its layer of points."""
    layer = parts.queries.layer
    found = None if layer is None else mark_of(layer, "query")
    if found is None:
        return
    asked = [one for one in parts.regions.followed if not is_derived(one.layer)]
    found[KEY] = _LeftSession(
        parts.palette.snapshot(),
        parts.thresholds.snapshot(),
        session.hidden_classes,
        session.class_name,
        tuple(map(_LeftRegions.of, asked)),
        parts.targets.merging.left(),
        parts.targets.merging.settled,
        frozenset(_unticked(parts)),
        parts.results.saved.snapshot(),
        parts.results.saved.name,
        {name: getattr(session, name) for name in SETTINGS},
        session.limits,
        parts.embedder.recipe,
        session.heatmap_style,
        parts.targets.source,
    )


def _unticked(parts: Coordinator) -> Iterator[Hashable]:
    """Yield the ids of images that the user has unticked, and of no others."""
    for record in parts.targets.records():
        is_image = record.merged is None or record.merged.lead == record.layer
        if is_image and not record.ticked and record.refused is None:
            yield record.layer.unique_id


def take_up_session(viewer: ViewerModel, parts: Coordinator, session: OpenSession) -> None:
    """Go on with what an earlier session has left, as far as its layers are still there."""
    points = topmost_of(viewer.layers, "query")
    found = None if points is None else mark_of(points, "query")
    left = None if found is None else found.pop(KEY, None)
    if left is None:
        return
    layers = {layer.unique_id: layer for layer in viewer.layers}
    with parts.held():
        parts.embedder.recipe = left.recipe
        if not parts.overlays.heatmaps.layers:  # which say how they are drawn
            session.style(
                colormap=left.style.colormap,
                opacity=left.style.opacity,
                blending=left.style.blending,
            )
        parts.palette.take_up(left.palette)
        parts.thresholds.restore(left.thresholds)
        if left.query.query is not None:
            parts.results.saved.keep(left.query.query, left.query_name)
            parts.results.saved.restore(left.query)
        merging = parts.targets.merging
        merging.settle(layers[i] for i in left.settled if i in layers)
        merging.restore(left.grouping)
        for layer_id in left.unticked & layers.keys():
            parts.targets.tick(layers[layer_id], False)
        for regions in left.regions:
            if regions.layer_id in layers:
                with suppress(SimilarityError):  # they have become too many labels
                    _ask_regions(parts, layers, regions)
        session.source = layers.get(left.source)
        if left.settings["scaling"] == "fixed":
            session.limits = left.limits
        for name, value in left.settings.items():
            with suppress(SimilarityError):
                setattr(session, name, value)
        session.class_name = left.class_name
        for name in left.hidden:
            session.set_class_visible(name, False)
        parts.edits.forget()


def _ask_regions(parts: Coordinator, layers: Mapping[Hashable, Any], left: _LeftRegions) -> None:
    image = layers.get(left.image_id)
    parts.regions.add(layers[left.layer_id], image, left.class_name, left.positive)
    regions = parts.regions.followed[-1]
    regions.left_out = left.left_out
    if isinstance(regions, LabelRegions):
        regions.adopt(left.sliders)
    elif left.centres is not None:
        regions.know_again(left.origins, left.centres)

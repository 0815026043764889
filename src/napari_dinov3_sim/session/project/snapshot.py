"""The present of a session as a project; on the main thread."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.text import writable
from napari_dinov3_sim.session.images.planes import levels_of
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.layers.label_features import stale_columns
from napari_dinov3_sim.session.project.examining import ImageData
from napari_dinov3_sim.session.project.layer_records import columns_of, look_of, placement_record
from napari_dinov3_sim.session.query.labels import LabelRegions
from napari_dinov3_sim.session.query.point_features import CLASS, ID, SIGN
from napari_dinov3_sim.session.query.point_history import IGNORED, PointOrigin
from napari_dinov3_sim.session.results.result_layers import checksum_of
from napari_dinov3_sim.store.project.archive import array_record
from napari_dinov3_sim.store.project.records import (
    ChannelsRecord,
    ClassRecord,
    JudgedRecord,
    LabelsRecord,
    OriginRecord,
    PointRecord,
    PointsRecord,
    RecipeRecord,
    ResultRecord,
    SettingsRecord,
    ShapeRecord,
    ShapesRecord,
    UsedModel,
    ViewRecord,
)
from napari_dinov3_sim.versions import camera_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_dinov3_sim.core.search.combine import Combination
    from napari_dinov3_sim.session.coordinator import Coordinator
    from napari_dinov3_sim.session.images.target import Target
    from napari_dinov3_sim.session.layers.heatmaps import Scaling
    from napari_dinov3_sim.session.layers.style import HeatmapStyle
    from napari_dinov3_sim.session.project.examining import ExaminedImage
    from napari_dinov3_sim.session.query.regions import ShapeRegions
    from napari_dinov3_sim.store.project.records import ArrayRecord, LookRecord

MAX_INCLUDED = 2**28
"""Bytes of the images without a file that are written into a project, each."""


class DockSettings(Protocol):
    """The settings of a `SimilaritySession` that a project keeps, by their public names."""

    combination: Combination
    class_name: str
    positive: bool
    all_planes: bool
    auto_merge: bool
    outline: str
    split_touching: bool
    connect_planes: str
    min_area: float | str
    max_area: float | str
    show_contours: bool
    show_class_maps: bool
    smooth: bool
    outlines: bool
    side_by_side: bool
    scaling: Scaling
    limits: tuple[float, float]
    source: Image | None

    @property
    def heatmap_style(self) -> HeatmapStyle:
        """Colormap, opacity and blending."""

    @property
    def hidden_classes(self) -> frozenset[str]:
        """Classes whose heatmaps are not shown."""


PLAIN = (
    "combination",
    "positive",
    "all_planes",
    "auto_merge",
    "outline",
    "split_touching",
    "connect_planes",
    "min_area",
    "show_contours",
    "show_class_maps",
    "smooth",
    "outlines",
    "side_by_side",
)
"""Settings that are saved and set as they are."""


@dataclass(frozen=True, eq=False)
class SessionContent:
    """A session as it was when it was saved; what is not known before images are examined lacks.

    Attributes
    ----------
    images : tuple of ImageData
    keys : tuple of hashable
        Under which it is remembered what was found of each.
    placements, looks, ticked
        Of the images.
    parts : mapping of str to object
        The other parts of a `Project`.
    arrays : mapping of str to array_like
        Of regions and results, by member.
    made : mapping of str to int
        By member, the checksums of results that can be painted in, and that were as they were made
        or have columns that were made of them.
    left_out : tuple of str
        What cannot be in a project, and why.
    """

    images: tuple[ImageData, ...]
    keys: tuple[Hashable, ...]
    placements: tuple[Any, ...]
    looks: tuple[Any, ...]
    ticked: tuple[bool, ...]
    parts: dict[str, Any] = field(repr=False)
    arrays: dict[str, Any] = field(repr=False)
    made: dict[str, int] = field(repr=False)
    left_out: tuple[str, ...]


class SessionReader:
    """Reads all parts of a session.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    coordinator : Coordinator
    settings : DockSettings
    known : mapping of hashable to ExaminedImage
        What was found of images before, by id and version.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        coordinator: Coordinator,
        settings: DockSettings,
        known: Mapping[Hashable, ExaminedImage],
    ) -> None:
        self._viewer, self._parts, self._settings = viewer, coordinator, settings
        self._known = known
        self._arrays: dict[str, Any] = {}
        self._made: dict[str, int] = {}
        self._left_out: list[str] = []
        self._layers = self._images()
        self._numbers = {layer.unique_id: n for n, layer in enumerate(self._layers)}

    def _images(self) -> list[Image]:
        """Return the images; one that can never be searched is none of a project."""
        from napari_dinov3_sim.session.images.planes import refusal

        found = []
        for layer in self._parts.images:
            reason = refusal(layer)
            if reason is None:
                found.append(layer)
            else:
                self._left_out.append(reason)
        return found

    def read(self) -> SessionContent:
        """Return what the session is now."""
        recipe = self._parts.embedder.recipe
        parts = {
            "channels": self._channels(),
            "model": self._model(),
            "recipe": RecipeRecord(
                float(recipe.factor),
                recipe.shifts,
                recipe.padding,
                recipe.debias,
                recipe.tiling.side,
                recipe.tiling.overlap,
                recipe.tiling.joint,
            ),
            "classes": self._classes(),
            "points": self._points(),
            "regions": tuple(self._regions()),
            "query": self._query(),
            "judged": self._judged(),
            "results": tuple(self._results()),
            "settings": self._set(),
            "view": self._view(),
        }
        ticked = {layer.unique_id for layer in self._parts.targets.layers()}
        return SessionContent(
            tuple(self._data(layer) for layer in self._layers),
            tuple(map(self._key, self._layers)),
            tuple(map(placement_record, self._layers)),
            tuple(map(self._look, self._layers)),
            tuple(layer.unique_id in ticked for layer in self._layers),
            parts,
            self._arrays,
            self._made,
            tuple(self._left_out),
        )

    def _look(self, layer: Any) -> LookRecord:
        """Return how a layer is shown, or would be if the images were not side by side."""
        side, look = self._parts.interaction.viewboxes, look_of(layer)
        is_hidden = side is not None and layer.unique_id in side.hidden
        return replace(look, visible=True) if is_hidden else look

    def _key(self, layer: Image) -> Hashable:
        return layer.unique_id, self._record(layer).version

    def _record(self, layer: Image) -> Target:
        return next(r for r in self._parts.targets.records() if r.layer == layer)

    def _data(self, layer: Image) -> ImageData:
        source = layer.source
        return ImageData(
            str(layer.name),
            tuple(levels_of(layer)),
            bool(layer.rgb),
            source.path,
            source.reader_plugin or "",
            self._known.get(self._key(layer)),
            self._record(layer).replaced,
        )

    def _number(self, image_id: Hashable | None) -> int | None:
        return None if image_id is None else self._numbers.get(image_id)

    def _channels(self) -> tuple[ChannelsRecord, ...]:
        merged = self._parts.targets.merging.merged()
        groups = [
            tuple(None if one is None else self._number(one.unique_id) for one in group.channels)
            for group in merged
        ]
        return tuple(map(ChannelsRecord, groups))

    def _model(self) -> UsedModel | None:
        embedder = self._parts.embedder
        if not embedder.model:
            return None
        identity = embedder.identity
        return UsedModel(
            writable(embedder.model), "" if identity is None else writable(identity.fingerprint)
        )

    def _classes(self) -> tuple[ClassRecord, ...]:
        palette, by_hand = self._parts.palette, self._parts.thresholds.by_hand
        hidden = self._settings.hidden_classes
        return tuple(
            ClassRecord(writable(name), palette[name], by_hand.get(name), name in hidden)
            for name in palette.names
        )

    # -- the query ---------------------------------------------------------------------------

    def _query(self) -> str | None:
        """Return what a loaded query is called; none of whose classes is left, is none."""
        saved = self._parts.results.saved
        return (writable(saved.name) or None) if saved.classes else None

    def _origin(self, source: PointOrigin) -> OriginRecord:
        ignored = source.image is IGNORED
        return OriginRecord(
            None if ignored else self._number(source.image), _floats(source.lead), ignored
        )

    def _points(self) -> PointsRecord | None:
        queries = self._parts.queries
        layer = queries.layer
        if layer is None or not len(layer.data):
            return None
        now = queries.snapshot()
        rows = zip(now.coordinates, now.roles, now.sources, strict=True)
        points = tuple(
            PointRecord(_place(at), writable(role.class_name), role.positive, self._origin(origin))
            for at, role, origin in rows
        )
        columns = columns_of(now.features, (CLASS, SIGN, ID))
        return PointsRecord(
            writable(layer.name),
            int(layer.ndim),
            float(layer.current_size),
            placement_record(layer),
            points,
            columns,
        )

    def _regions(self) -> list[ShapesRecord | LabelsRecord]:
        found: list[ShapesRecord | LabelsRecord] = []
        for regions in self._parts.regions.followed:
            if isinstance(regions, LabelRegions):
                self._add(found, regions.layer.name, self._labels, regions)
            elif len(regions.layer.data):
                found.append(self._shapes(regions))
        return found

    def _add(self, found: list[Any], name: str, make: Any, part: Any) -> None:
        """Add a record; say so if its array cannot be saved."""
        try:
            found.append(make(part))
        except StoreError as error:
            self._left_out.append(f"{name}: {error}")

    def _shapes(self, regions: ShapeRegions) -> ShapesRecord:
        layer = regions.layer
        origins = (*regions.origins, *[PointOrigin()] * len(layer.data))
        types = [str(getattr(sort, "value", sort)) for sort in layer.shape_type]
        rows = zip(types, layer.data, regions.roles(), origins, strict=False)
        shapes = tuple(
            ShapeRecord(
                sort,  # type: ignore[arg-type]
                tuple(map(_place, corners)),
                writable(role.class_name),
                role.positive,
                self._origin(origin),
            )
            for sort, corners, role, origin in rows
        )
        return ShapesRecord(
            writable(layer.name),
            layer == self._parts.drawn.layer,
            int(layer.ndim),
            max(1e-6, float(layer.current_edge_width)),
            placement_record(layer),
            shapes,
            columns_of(layer.features),
            None if regions.class_name is None else writable(regions.class_name),
            regions.positive,
            _texts(regions.left_out),
        )

    def _labels(self, regions: LabelRegions) -> LabelsRecord:
        layer = regions.layer
        return LabelsRecord(
            writable(layer.name),
            self._array("regions", levels_of(layer)[0]),
            placement_record(layer),
            self._number(regions.image),
            tuple(map(_floats, regions.sliders)),
            None if regions.class_name is None else writable(regions.class_name),
            regions.positive,
            _texts(regions.left_out),
        )

    def _array(self, folder: str, array: Any) -> ArrayRecord:
        record = array_record(f"{folder}/{len(self._arrays)}.npy", array)
        self._arrays[record.member] = array
        return record

    # -- what was judged and made ---------------------------------------------------------------

    def _judged(self) -> tuple[JudgedRecord, ...]:
        found = []
        for class_name, place in self._parts.gallery.judged_places():
            key = place.plane.key
            image = self._number(key.layer_id)
            if image is None:
                continue
            found.append(
                JudgedRecord(
                    writable(class_name),
                    image,
                    key.axes,
                    key.indices,
                    int(place.id.row),
                    int(place.id.column),
                    place.grid.image_shape,
                    place.grid.patch_size,
                    float(place.score),
                    int(place.rank),
                    float(place.threshold),
                )
            )
        return tuple(found)

    def _results(self) -> list[ResultRecord]:
        found: list[ResultRecord] = []
        for layer in self._viewer.layers:
            mark = mark_of(layer, "result")
            if mark is not None and mark.get("image") in self._numbers:
                self._add(found, layer.name, self._result, layer)
        return found

    def _result(self, layer: Any) -> ResultRecord:
        from napari.layers import Labels, Points

        mark = mark_of(layer, "result") or {}
        is_points = isinstance(layer, Points)
        form = "points" if is_points else "labels" if isinstance(layer, Labels) else "image"
        if not isinstance(layer, Points | Labels) and not hasattr(layer, "rgb"):
            raise StoreError(f"layers of type {type(layer).__name__} are not saved.")
        array = np.array(layer.data, float) if is_points else levels_of(layer)[0]
        number = checksum_of(layer)  # reads through large labels: once
        stale = stale_columns(layer, number)
        columns = columns_of(layer.features, stale) if form != "image" else ()
        made = [column.name for column in columns if column.name in mark.get("made", {})]
        what = tuple(self._what(part) for part in mark["what"])
        unchanged, record = mark["checksum"] == number, self._array("results", array)
        if (unchanged or made) and not is_points and isinstance(array, np.ndarray):
            self._made[record.member] = number
        return ResultRecord(
            form,  # type: ignore[arg-type]
            writable(layer.name),
            self._numbers[mark["image"]],
            what,
            unchanged,
            record,
            self._look(layer),
            columns,
            tuple(_floats(colour) for colour in layer.border_color) if is_points else (),
            float(layer.current_size) if is_points else 1.0,
            tuple(made),
            tuple(map(int, mark.get("axes", ()))),
            tuple(tuple(map(int, place)) for place in sorted(mark.get("planes", ()))),
        )

    def _what(self, part: Hashable) -> str | int:
        number = self._number(part)
        return writable(str(part)) if number is None else number

    # -- what is set -----------------------------------------------------------------------------

    def _set(self) -> SettingsRecord:
        settings = self._settings
        style, source = settings.heatmap_style, settings.source
        plain = {name: getattr(settings, name) for name in PLAIN}
        return SettingsRecord(
            **plain,
            max_area=None if settings.max_area == math.inf else settings.max_area,
            class_name=writable(settings.class_name),
            colormap=style.colormap,
            opacity=float(style.opacity),
            blending=style.blending,
            scaling=settings.scaling,
            limits=_floats(settings.limits),
            source=None if source is None else self._number(source.unique_id),
        )

    def _view(self) -> ViewRecord | None:
        dims, camera = self._viewer.dims, camera_of(self._viewer)
        if not camera.zoom > 0:
            return None
        return ViewRecord(
            _floats(dims.point),
            tuple(map(int, dims.order)),
            3 if dims.ndisplay == 3 else 2,
            _floats(camera.center),
            float(camera.zoom),
        )


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _place(values: Any) -> tuple[float | None, ...]:
    return tuple(float(value) if np.isfinite(value) else None for value in values)


def _texts(values: Sequence[str] | frozenset[str]) -> tuple[str, ...]:
    return tuple(writable(value) for value in sorted(values))

"""A project becomes layers and settings of a session; on the main thread.

In this order: images, channels, model and recipe, classes, points, regions, the saved query,
judgements, results, settings, view. Layers that are open stay as they are.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling
from napari_dinov3_sim.core.errors import ImageError, SimilarityError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.session.gallery.matches import ChosenPlace, PatchId
from napari_dinov3_sim.session.images.planes import plane_at
from napari_dinov3_sim.session.images.target import MergedChannels
from napari_dinov3_sim.session.images.transforms import world_points
from napari_dinov3_sim.session.layer_metadata import mark
from napari_dinov3_sim.session.layers.style import CLASS_COLOURS
from napari_dinov3_sim.session.project.layer_records import (
    features_of,
    look_arguments,
    placement_arguments,
)
from napari_dinov3_sim.session.project.snapshot import PLAIN, DockSettings
from napari_dinov3_sim.session.query.drawn_regions import DrawnSnapshot
from napari_dinov3_sim.session.query.labels import LabelRegions
from napari_dinov3_sim.session.query.point_features import ID, PointRole, set_features, with_roles
from napari_dinov3_sim.session.query.point_history import IGNORED, PointOrigin
from napari_dinov3_sim.session.query.regions import ShapeRegions
from napari_dinov3_sim.store.project.records import LabelsRecord, ShapesRecord
from napari_dinov3_sim.versions import camera_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer
    from psygnal import SignalInstance

    from napari_dinov3_sim.core.images.levels import Position
    from napari_dinov3_sim.session.coordinator import Coordinator
    from napari_dinov3_sim.session.project.finding import FoundImage, ReadProject
    from napari_dinov3_sim.store.project.records import (
        ImageRecord,
        JudgedRecord,
        OriginRecord,
        PointsRecord,
        ResultRecord,
        ShapeRecord,
    )


class OpenSession(DockSettings, Protocol):
    """What a `SimilaritySession` lets be changed of it, besides its settings."""

    recipe: Recipe

    @property
    def model_changed(self) -> SignalInstance:
        """Another model is chosen, or it is loaded."""

    @property
    def noticed(self) -> SignalInstance:
        """A sentence for the user."""

    @property
    def model(self) -> str:
        """Name of the model."""

    def set_model(self, backbone: str) -> None:
        """Change the model."""

    def style(self, *, colormap: str, opacity: float, blending: str) -> None:
        """Change how heatmaps are drawn."""

    def set_class_visible(self, class_name: str, visible: bool) -> None:
        """Show or hide the heatmaps of a class."""


class SessionWriter:
    """Adds a project to a session.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    coordinator : Coordinator
    session : OpenSession
    read : ReadProject

    Attributes
    ----------
    told : list of str
        A sentence for each thing that is not as it was.
    points : int
        Query points that were added.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        coordinator: Coordinator,
        session: OpenSession,
        read: ReadProject,
    ) -> None:
        self._viewer, self._parts, self._session = viewer, coordinator, session
        self._read, self._project = read, read.project
        self._images: dict[int, Image] = {}
        self.told: list[str] = []
        self.points = 0
        # What was there before is nobody's to be changed: then the view stays, too.
        self._is_first = not len(viewer.layers)
        parts = coordinator
        asked = len(parts.queries) or parts.regions.followed or parts.results.saved.name
        self._has_query = bool(asked)

    def write(self) -> Iterator[None]:
        """Add everything in parts, between which the window may be drawn.

        Of what cannot be added it is told why, and the rest goes on.
        """
        run = self._attempt
        run("The model of the project", self._set_model)
        self._parts.targets.merging.automatic = False
        for number, (record, found) in enumerate(self._pairs()):
            run(record.name, partial(self._add_image, number, record, found))
            yield
        self._parts.targets.merging.settle(self._images.values())
        with self._parts.held():
            run("The channels of the project", self._merge)
            run("The classes of the project", self._set_classes)
            run("The points of the project", self._add_points)
            run("The regions of the project", self._add_regions)
            run("The saved query of the project", self._load_query)
            run("The view of the project", self._look)
        self._parts.refresh()  # planes and versions of the images are known from then on
        yield
        run("The judgements of the project", self._add_judged)
        for result in self._project.results:
            run(result.name, partial(self._add_result, result))
            yield
        with self._parts.held():
            run("The settings of the project", self._set)
            self._parts.edits.forget()
        self._parts.queries.activate()
        self._parts.schedule()

    def _pairs(self) -> Iterator[tuple[ImageRecord, FoundImage]]:
        return zip(self._project.images, self._read.images, strict=True)

    @property
    def sentence(self) -> str:
        """What was opened, and what is not as it was."""
        images, points = plural(len(self._images), "image"), plural(self.points, "point")
        return " ".join([f"{self._read.path.name} is open: {images}, {points}.", *self.told])

    # -- images ----------------------------------------------------------------------------------

    def _add_image(self, number: int, record: ImageRecord, found: FoundImage) -> None:
        if found.state == "missing":
            self.told.append(_missing(record))
            return
        if found.state == "changed":
            self.told.append(
                f"{record.name} has other pixels than when the project was saved "
                f"({found.path}), so its heatmaps differ; put the original there and open "
                "the project again."
            )
        layer = _image_layer(record, found)
        self._viewer.add_layer(layer)
        self._images[number] = layer
        if not record.ticked:
            self._parts.targets.tick(layer, False)

    def _attempt(self, part: str, add: Callable[[], None]) -> None:
        """Add one thing; if it is refused, tell why, and go on: the file is not to be trusted."""
        try:
            add()
        except Exception as error:  # whatever a layer refuses, the others can be added
            reason = " ".join(str(error).split()).rstrip(".")[:200]
            self.told.append(
                f"{part} could not be opened as the project says ({reason}); add by hand what is "
                "missing."
            )

    def _merge(self) -> None:
        for group in self._project.channels:
            layers = [None if n is None else self._images.get(n) for n in group.channels]
            if sum(layer is None for layer in layers) > group.channels.count(None):
                continue  # one of them is missing
            lead = next(n for n in group.channels if n is not None)
            try:
                self._parts.targets.merge(MergedChannels.of(layers))
            except ImageError as error:
                self.told.append(str(error))
            else:
                layer = self._images[lead]
                self._parts.targets.tick(layer, self._project.images[lead].ticked)

    # -- model and classes -----------------------------------------------------------------------

    def _set_model(self) -> None:
        model, recipe = self._project.model, self._project.recipe
        if model is not None and model.name and model.name != self._session.model:
            self._session.set_model(model.name)
        try:
            self._session.recipe = Recipe(
                Tiling(recipe.side, recipe.overlap, recipe.joint),  # type: ignore[arg-type]
                recipe.factor,
                recipe.shifts,
                recipe.padding,  # type: ignore[arg-type]
                recipe.debias,
            )
        except ImageError as error:
            self.told.append(str(error))

    def _set_classes(self) -> None:
        palette = self._parts.palette
        if not self._has_query:
            for name in palette.names:
                palette.remove(name)
        by_hand = self._parts.thresholds.by_hand
        for record in self._project.classes:
            if record.name not in palette:
                palette.assign(record.name, record.colour.lower())
            if record.threshold is not None and record.name not in by_hand:
                self._parts.thresholds.set_by_hand(record.name, record.threshold)

    # -- points ----------------------------------------------------------------------------------

    def _origin(self, record: OriginRecord) -> PointOrigin:
        image = None if record.image is None else self._images.get(record.image)
        if record.ignored:
            return PointOrigin(IGNORED, record.lead)
        return PointOrigin(None if image is None else image.unique_id, record.lead)

    def _is_lost(self, origin: OriginRecord) -> bool:
        return origin.image is not None and origin.image not in self._images

    def _add_points(self) -> None:
        record = self._project.points
        if record is None or not self._images:
            return
        self.points = sum(not self._is_lost(point.origin) for point in record.points)
        if self._parts.queries.layer is not None and len(self._parts.queries):
            self._append_points(record)
            return
        kept = [n for n, point in enumerate(record.points) if not self._is_lost(point.origin)]
        layer = self._points_layer(record, kept)
        self._take_away_empty(self._parts.queries)
        self._viewer.add_layer(layer)
        mark(layer, "query")
        self._parts.queries.check_layer()
        self._parts.queries.adopt([self._origin(record.points[n].origin) for n in kept])
        self._parts.queries.draw()

    def _take_away_empty(self, part: Any) -> None:
        """Take a layer of ours away in which there is nothing."""
        layer = part.layer
        if layer is not None and not len(layer.data):
            part.forget()
            self._viewer.layers.remove(layer)

    def _points_layer(self, record: PointsRecord, kept: Sequence[int]) -> Any:
        """Return the layer of query points, with those of the images that are here."""
        from napari_dinov3_sim.session.query.points import query_layer

        points = [record.points[n] for n in kept]
        places = np.array([_numbers(point.place) for point in points], float)
        columns = features_of(record.columns, len(record.points)).iloc[list(kept)]
        roles = [PointRole(point.class_name, point.positive) for point in points]
        numbers = {ID: np.zeros(len(points), int)}  # given when the layer is listened to
        layer = query_layer(
            record.ndim,
            record.size,
            self._parts.palette,
            self._parts.queries.role,
            data=places.reshape(-1, record.ndim),
            features=with_roles(columns[[]].reset_index(drop=True), roles).assign(**numbers),
            name=record.name,
            **placement_arguments(record.placement),
        )
        set_features(layer, with_roles(columns.reset_index(drop=True), roles).assign(**numbers))
        return layer

    def _append_points(self, record: PointsRecord) -> None:
        """Add points to those that there are, at their places in the world."""
        layer = self._points_layer(record, range(len(record.points)))
        worlds = world_points(layer, np.array(layer.data, float), self._viewer.layers.units)
        for point, world in zip(record.points, worlds, strict=True):
            if not self._is_lost(point.origin):
                origin = self._origin(point.origin)
                role = PointRole(point.class_name, point.positive)
                whole = np.concatenate([origin.lead, world])
                self._parts.queries.append(whole, origin.image, role)

    # -- regions ---------------------------------------------------------------------------------

    def _add_regions(self) -> None:
        for record in self._project.regions:
            self._attempt(record.name, partial(self._add_region, record))

    def _add_region(self, record: ShapesRecord | LabelsRecord) -> None:
        if isinstance(record, LabelsRecord):
            self._add_labels(record)
        elif record.drawn and not self._has_drawn():
            self._add_drawn(record)
        else:
            self._add_shapes(record)

    def _has_drawn(self) -> bool:
        layer = self._parts.drawn.layer
        return layer is not None and len(layer.data) > 0

    def _kept(self, record: ShapesRecord) -> tuple[list[int], list[ShapeRecord]]:
        kept = [n for n, shape in enumerate(record.shapes) if not self._is_lost(shape.origin)]
        return kept, [record.shapes[n] for n in kept]

    def _add_drawn(self, record: ShapesRecord) -> None:
        from napari_dinov3_sim.session.query.drawn_regions import region_layer

        kept, shapes = self._kept(record)
        if not shapes:
            return
        self._take_away_empty(self._parts.drawn)
        placement = placement_arguments(record.placement)
        layer = region_layer(record.ndim, record.edge_width, name=record.name, **placement)
        self._viewer.add_layer(layer)
        mark(layer, "regions")
        self._parts.drawn.check_layer()
        columns = features_of(record.columns, len(record.shapes)).iloc[kept].reset_index(drop=True)
        roles = tuple(PointRole(shape.class_name, shape.positive) for shape in shapes)
        self._parts.drawn.restore(
            DrawnSnapshot(
                tuple(shape.shape for shape in shapes),
                tuple(_corners(shape) for shape in shapes),
                roles,
                tuple(self._origin(shape.origin) for shape in shapes),
                with_roles(columns, roles),
            )
        )

    def _add_shapes(self, record: ShapesRecord) -> None:
        from napari.layers import Shapes

        kept, shapes = self._kept(record)
        if not shapes:
            return
        features = features_of(record.columns, len(record.shapes)).iloc[kept]
        layer = Shapes(
            [_corners(shape) for shape in shapes],
            ndim=record.ndim,
            shape_type=[shape.shape for shape in shapes],
            features=features.reset_index(drop=True),
            name=record.name,
            face_color="#00000000",
            edge_width=record.edge_width,
            **placement_arguments(record.placement),
        )
        self._viewer.add_layer(layer)
        self._parts.regions.add(layer, None, record.class_name, record.positive)
        regions = self._parts.regions.followed[-1]
        if isinstance(regions, ShapeRegions):
            regions.left_out = frozenset(record.left_out)
            regions.adopt([self._origin(shape.origin) for shape in shapes])

    def _add_labels(self, record: LabelsRecord) -> None:
        from napari.layers import Labels

        if record.image is not None and record.image not in self._images:
            return
        layer = Labels(
            self._read.arrays[record.array.member],
            name=record.name,
            **placement_arguments(record.placement),
        )
        self._viewer.add_layer(layer)
        image = None if record.image is None else self._images[record.image]
        self._parts.regions.add(layer, image, record.class_name, record.positive)
        regions = self._parts.regions.followed[-1]
        if isinstance(regions, LabelRegions):
            regions.left_out = frozenset(record.left_out)
            regions.adopt(record.sliders)

    def _load_query(self) -> None:
        from napari_dinov3_sim.store.query_files import load_query

        content, name, saved = self._read.query, self._project.query, self._parts.results.saved
        if content is None or name is None:
            return
        if saved.classes:
            self.told.append(
                f"The project's query {name} was not loaded, because {saved.name} is. To use it, "
                "open the project in a new window."
            )
            return
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "query.safetensors"
            path.write_bytes(content)
            query = load_query(path)
        saved.keep(query, name)

    # -- what was judged and made ----------------------------------------------------------------

    def _add_judged(self) -> None:
        by_class: dict[str, list[ChosenPlace]] = {}
        for record in self._project.judged:
            place = self._place(record)
            if place is not None:
                by_class.setdefault(record.class_name, []).append(place)
        for class_name, places in by_class.items():
            self._parts.gallery.adopt_places(class_name, places)

    def _place(self, record: JudgedRecord) -> ChosenPlace | None:
        image = self._images.get(record.image)
        target = None if image is None else self._parts.targets.get(image.unique_id)
        if image is None or target is None or max(record.axes) >= image.ndim:
            return None
        axes = record.axes[0], record.axes[1]
        others = [axis for axis in range(image.ndim) if axis not in axes]
        if len(others) != len(record.position) or axes[0] == axes[1]:
            return None
        coordinates = np.zeros(image.ndim)
        coordinates[others] = record.position
        plane = plane_at(image, axes, coordinates, target.version)
        if plane is None or plane.embedded_shape != record.embedded_shape:
            return None
        grid = PatchGrid(plane.embedded_shape, record.patch_size)
        patch = PatchId(plane.key, record.row, record.column)
        return ChosenPlace(patch, plane, grid, record.score, record.rank, record.threshold)

    def _add_result(self, record: ResultRecord) -> None:
        image = self._images.get(record.image)
        if image is None:
            return
        layer = self._result_layer(record, image)
        if layer is None:
            raise SimilarityError("its image is of another size now")
        what = self._what(record)
        self._parts.results.adopt_layer(
            image,
            layer,
            what,
            unchanged=record.unchanged,
            made=record.made,
            searched=_searched(record, image),
        )

    def _what(self, record: ResultRecord) -> tuple[object, ...]:
        ids: dict[object, object] = {n: image.unique_id for n, image in self._images.items()}
        return tuple(ids.get(part, part) for part in record.what)

    def _result_layer(self, record: ResultRecord, image: Image) -> Layer | None:
        from napari.layers import Image as ImageLayer
        from napari.layers import Labels

        array, look = self._read.arrays[record.array.member], look_arguments(record.look)
        shape = tuple(int(n) for n in _finest(image).shape[: image.ndim])
        if record.form == "points":
            return self._result_points(record, array, look) if _is_table(array, image) else None
        if tuple(array.shape[: image.ndim]) != shape:
            return None
        if record.form == "labels":
            from napari.utils import CyclicLabelColormap

            colours = CyclicLabelColormap(["transparent", *CLASS_COLOURS])
            layer = Labels(array, name=record.name, colormap=colours, **look)
            if record.columns:
                layer.features = features_of(record.columns, len(record.columns[0].values))
            return layer
        if array.ndim != image.ndim + 1 or array.shape[-1] not in (3, 4):
            return None
        return ImageLayer(array, rgb=True, name=record.name, **look)

    def _result_points(self, record: ResultRecord, array: Any, look: dict[str, Any]) -> Layer:
        from napari.layers import Points

        layer = Points(
            array,
            ndim=array.shape[1],
            name=record.name,
            size=record.size,
            symbol="ring",
            border_width=0.1,
            canvas_size_limits=(6, 40),
            features=features_of(record.columns, len(array)),
            **look,
        )
        layer.current_symbol = "ring"
        if len(record.colours) == len(array) and len(array):
            layer.border_color = layer.face_color = np.array(record.colours)
        return layer

    # -- settings and view -----------------------------------------------------------------------

    def _set(self) -> None:
        settings, session = self._project.settings, self._session
        for record in self._project.classes:
            session.set_class_visible(record.name, not record.hidden)
        for name in PLAIN:
            if name != "side_by_side":  # when the rest is there
                self._set_one(name, getattr(settings, name))
        most = settings.max_area
        self._set_one("max_area", np.inf if most is None else most)
        self._parts.palette.add(settings.class_name)
        session.class_name = settings.class_name
        session.style(
            colormap=settings.colormap, opacity=settings.opacity, blending=settings.blending
        )
        low, high = settings.limits
        if settings.scaling == "fixed" and low < high:
            session.limits = low, high
        session.scaling = settings.scaling
        if settings.source is not None:
            session.source = self._images.get(settings.source)
        if settings.side_by_side and not session.side_by_side:
            self._parts.make_queries()
            session.side_by_side = True

    def _set_one(self, name: str, value: object) -> None:
        try:
            setattr(self._session, name, value)
        except SimilarityError as error:
            self.told.append(str(error))

    def _look(self) -> None:
        """Set sliders and camera as they were, if nothing else was open."""
        view, viewer = self._project.view, self._viewer
        if view is None or not self._is_first:
            return
        ndim = viewer.dims.ndim
        if len(view.point) == ndim and sorted(view.order) == list(range(ndim)):
            viewer.dims.order = view.order
            viewer.dims.point = view.point
        if view.ndisplay <= ndim:
            viewer.dims.ndisplay = view.ndisplay
        if len(view.center) == 3:
            camera = camera_of(viewer)
            camera.center, camera.zoom = view.center, view.zoom


def _missing(record: ImageRecord) -> str:
    if record.file is None:
        return (
            f"{record.name} has no file and was not written into the project, so that it is "
            "missing, with its points; open it, and set them again."
        )
    return (
        f"{record.name} was not found, and is missing with its points and results; open the "
        "project again and choose the folder that it is in now."
    )


def _image_layer(record: ImageRecord, found: FoundImage) -> Image:
    """Return an image as it was shown, which napari takes for one that it has opened."""
    from napari.layers import Image as ImageLayer

    levels = found.levels
    with _from_file(found):
        return ImageLayer(
            list(levels) if len(levels) > 1 else levels[0],
            multiscale=len(levels) > 1,
            rgb=record.rgb,
            name=record.name,
            interpolation2d=record.look.interpolation,
            **look_arguments(record.look),
            **placement_arguments(record.placement),
        )


@contextmanager
def _from_file(found: FoundImage) -> Iterator[None]:
    """Let napari note which file a layer is from, so that it can be saved in a project again."""
    try:
        from napari.layers._source import layer_source
    except ImportError:  # not public, and the only way: without it, its pixels are saved instead
        context: Any = nullcontext()
    else:
        path = None if found.path is None else str(found.path)
        context = layer_source(path=path, reader_plugin=found.reader or None)
    with context:
        yield


def _finest(image: Image) -> Any:
    return image.data[0] if image.multiscale else image.data


def _searched(
    record: ResultRecord, image: Image
) -> tuple[tuple[int, int], frozenset[Position]] | None:
    """Return the axes of planes, and those that were searched; None if it is not known."""
    axes, shape = record.axes, _finest(image).shape[: image.ndim]
    if len(axes) < 2 or not axes[0] < axes[1] < image.ndim:
        return None
    sizes = [size for axis, size in enumerate(shape) if axis not in axes]
    are_there = all(
        len(place) == len(sizes) and all(at < size for at, size in zip(place, sizes, strict=True))
        for place in record.planes
    )
    return ((axes[0], axes[1]), frozenset(record.planes)) if are_there else None


def _is_table(array: Any, image: Image) -> bool:
    return bool(
        array.ndim == 2
        and array.shape[1] == image.ndim
        and np.issubdtype(array.dtype, np.floating)
    )


def _numbers(place: Sequence[float | None]) -> list[float]:
    return [np.nan if value is None else value for value in place]


def _corners(shape: ShapeRecord) -> Any:
    return np.array([_numbers(corner) for corner in shape.corners], float)

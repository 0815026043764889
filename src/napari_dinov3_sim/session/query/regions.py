"""Regions of the user's Shapes and Labels layers as queries; only read, never changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS
from napari_dinov3_sim.session.answering.question import MAX_LABEL_CLASSES, PolygonPick
from napari_dinov3_sim.session.images.transforms import TRANSFORMS, world_points
from napari_dinov3_sim.session.layer_metadata import is_derived
from napari_dinov3_sim.session.query.labels import LabelRegions
from napari_dinov3_sim.session.query.point_features import PointRole, read_roles
from napari_dinov3_sim.session.query.point_history import NEW, PointOrigin, former_rows, moved

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from napari.layers import Image, Labels, Layer, Shapes
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.answering.question import AnyPick
    from napari_dinov3_sim.session.guard import Guard
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.scene import Scene


ELLIPSE_CORNERS = 128
"""A polygon of so many corners has 0.04 % less area than its ellipse."""


def outlines_of(layer: Shapes) -> list[NDArray[np.float64]]:
    """Return the outline of each shape, in data coordinates of the layer.

    Returns
    -------
    list of ndarray, shape (n, ndim)
        Polygons and rectangles by their corners, ellipses by `ELLIPSE_CORNERS` points, lines and
        paths by their corners there and back again, which encloses nothing.
    """
    types = [str(getattr(shape_type, "value", shape_type)) for shape_type in layer.shape_type]
    drawn = (np.array(corners, float) for corners in layer.data)
    return [
        _outline(shape_type, corners) for shape_type, corners in zip(types, drawn, strict=True)
    ]


def _outline(shape_type: str, corners: NDArray[np.float64]) -> NDArray[np.float64]:
    if shape_type == "ellipse":
        return _ellipse(corners)
    if shape_type in ("line", "path"):
        return np.concatenate([corners, corners[-2:0:-1]])
    return corners


def _ellipse(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points on the ellipse that touches the four sides of a parallelogram."""
    centre = box.mean(axis=0)
    right, down = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angles = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)[:, np.newaxis]
    return np.asarray(centre + np.cos(angles) * right + np.sin(angles) * down)


def follow_shapes(
    old: NDArray[np.float64], sources: Sequence[PointOrigin], new: NDArray[np.float64]
) -> list[PointOrigin]:
    """Return what is remembered of each shape after an edit in which none was deleted.

    A shape stays in its row, and new ones come last. Only where the centres are some of those
    that there were has a program put them in another order, or left some out: to drag shapes
    moves at least one of them to another place.

    Parameters
    ----------
    old, new : ndarray, shape (N, D) and (M, D)
        Centres before and after the edit.
    sources : sequence of PointOrigin
        One for each old shape.
    """
    former = former_rows(old, new)
    if None in former:
        former = [row if row < len(old) else None for row in range(len(new))]
    found = []
    for row, centre in zip(former, new, strict=True):
        if row is None:
            found.append(PointOrigin())
        else:
            in_place = np.array_equal(old[row], centre, equal_nan=True)
            found.append(sources[row] if in_place else moved(sources[row]))
    return found


FOLLOWED = ("data", "set_data", "features", "name", *TRANSFORMS)


class ShapeRegions:
    """Follows a Shapes layer, and remembers the image and the plane of every shape.

    Parameters
    ----------
    layer : napari.layers.Shapes
    image : hashable or None
        Id of the image that shapes belong to as long as they lie on it.
    scene : Scene
    palette : Palette
    changed : callable
        A bound method.
    class_name : str, optional
        The class of shapes whose columns name none; by default, the name of the layer.
    positive : bool, optional
        Whether shapes without a sign are on what is meant.

    Attributes
    ----------
    left_out : frozenset of str
        Classes that are not asked.
    count, outside : int
        Shapes on a ticked image, and others, as of the last `picks`.
    """

    def __init__(
        self,
        layer: Shapes,
        image: Hashable | None,
        scene: Scene,
        palette: Palette,
        changed: Callable[[], None],
        *,
        class_name: str | None = None,
        positive: bool = True,
    ) -> None:
        self._class_name, self._positive = class_name, positive
        self.left_out: frozenset[str] = frozenset()
        self.layer, self._image = layer, image
        self._scene, self._palette, self._changed = scene, palette, changed
        self._centres: NDArray[np.float64] = np.empty((0, layer.ndim))
        self._sources: list[PointOrigin] = []
        self._leaving: list[int] = []
        self._seen = _state(layer)
        self.count = self.outside = 0
        for name, handler in self._handlers().items():
            getattr(layer.events, name).connect(handler)

    def _handlers(self) -> dict[str, Callable[[Any], None]]:
        """Return what listens to which event of the layer."""
        edits = {"data": self._on_data, "set_data": self._on_set_data}
        return {**dict.fromkeys(FOLLOWED, self._on_changed), **edits}

    def close(self) -> None:
        """Stop listening."""
        for name, handler in self._handlers().items():
            getattr(self.layer.events, name).disconnect(handler)

    def _on_data(self, event: Any) -> None:
        """Take note of which shapes are deleted: of two at one place nothing else tells."""
        self._follow(self._centres_of(outlines_of(self.layer)))
        if str(getattr(event.action, "value", event.action)) == "removing":
            self._leaving = sorted({index % len(self._sources) for index in event.data_indices})
        self._changed()

    def _centres_of(self, drawn: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        return np.array([corners.mean(axis=0) for corners in drawn]).reshape(-1, self.layer.ndim)

    def _follow(self, centres: NDArray[np.float64]) -> None:
        """Know the shapes again that were there before."""
        if self._leaving and len(centres) == len(self._sources) - len(self._leaving):
            kept = [row for row in range(len(self._sources)) if row not in self._leaving]
            self._sources = [self._sources[row] for row in kept]
            self._centres, self._leaving = self._centres[kept], []
        self._sources = follow_shapes(self._centres, self._sources, centres)
        self._centres = centres

    def _on_changed(self, event: Any) -> None:
        del event
        self._changed()

    def _on_set_data(self, event: Any) -> None:
        """Notice each step of a drag: napari reports it as any other redraw."""
        del event
        if _state(self.layer) != self._seen:
            self._follow(self._centres_of(outlines_of(self.layer)))
            self._changed()

    def picks(self) -> tuple[list[PolygonPick], dict[PlaneKey, Plane]]:
        """Return a pick for each shape that lies on an image, and the planes of those."""
        layer = self.layer
        self._seen = _state(layer)
        drawn = outlines_of(layer)
        self._follow(self._centres_of(drawn))
        self._sources = [self._on_its_plane(source) for source in self._sources]
        found: list[PolygonPick] = []
        planes: dict[PlaneKey, Plane] = {}
        asked = 0
        for number, (corners, role) in enumerate(zip(drawn, self.roles(), strict=True)):
            plane, pick = self._pick(number, corners, role)
            if role.class_name in self.left_out:
                continue
            asked += 1
            self._palette.add(role.class_name)
            if plane is not None and pick is not None:
                planes[plane.key] = plane
                found.append(pick)
        self.count, self.outside = len(found), asked - len(found)
        return found, planes

    @property
    def class_name(self) -> str | None:
        """The class of shapes whose columns name none; None for the name of the layer."""
        return self._class_name

    @property
    def positive(self) -> bool:
        """Whether shapes without a sign are on what is meant."""
        return self._positive

    def roles(self) -> list[PointRole]:
        """Return what each shape says."""
        default = PointRole(self._class_name or self.layer.name, self._positive)
        if len(self.layer.features) != len(self.layer.data):  # while shapes come and go
            return [default] * len(self.layer.data)
        return read_roles(self.layer, default.class_name, positive=default.positive)

    def count_classes(self) -> Counter[str]:
        """Return how many shapes are of which class."""
        names = (role.class_name for role in self.roles())
        return Counter(name for name in names if name not in self.left_out)

    def asks(self, class_name: str) -> bool:
        """Whether any shape is of a class."""
        return class_name in self.count_classes()

    @property
    def origins(self) -> tuple[PointOrigin, ...]:
        """What is remembered of each shape, as of the last `picks`."""
        return tuple(self._sources)

    def adopt(self, origins: Sequence[PointOrigin]) -> None:
        """Take shapes for those that had these origins: they have been put back."""
        self._centres = self._centres_of(outlines_of(self.layer))
        self._sources, self._leaving = list(origins), []

    def _on_its_plane(self, source: PointOrigin) -> PointOrigin:
        """Where a shape lies along the axes its layer lacks: where the slider was at first."""
        viewer = self._scene.viewer
        missing = max(0, viewer.dims.ndim - self.layer.ndim)
        image = self._image if source.image is NEW else source.image
        if len(source.lead) == missing:
            return PointOrigin(image, source.lead)
        return PointOrigin(image, tuple(float(value) for value in viewer.dims.point[:missing]))

    def _pick(
        self, number: int, corners: NDArray[np.float64], role: PointRole
    ) -> tuple[Plane | None, PolygonPick | None]:
        source = self._sources[number]
        inner = world_points(self.layer, corners, self._scene.viewer.layers.units)
        world = np.hstack([np.tile(source.lead, (len(inner), 1)), inner])
        place = None
        if len(world) and np.isfinite(world).all():
            place = self._scene.hit_any([world.mean(axis=0), *world], source.image)
        if place is None:
            self._sources[number] = PointOrigin(None, source.lead)
            return None, None
        plane = place.plane
        self._sources[number] = PointOrigin(plane.key.layer_id, source.lead)
        x, y = self._scene.pixels(plane, world).T.tolist()
        vertices = tuple(zip(x, y, strict=True))
        return plane, PolygonPick(plane.key, vertices, role.class_name, role.positive)


def _state(layer: Shapes) -> tuple[Any, ...]:
    """Return what makes a difference, to be compared: types of shapes and corners."""
    corners = [np.asarray(shape) for shape in layer.data]
    return tuple(map(str, layer.shape_type)), tuple((c.shape, c.tobytes()) for c in corners)


@dataclass(frozen=True)
class LeftOut:
    """The classes that are not asked, by the id of the layer of their regions."""

    classes: Mapping[Hashable, frozenset[str]]

    def same_as(self, other: LeftOut) -> bool:
        """Whether the same is asked of the layers that both know."""
        common = self.classes.keys() & other.classes.keys()
        return all(self.classes[layer_id] == other.classes[layer_id] for layer_id in common)


class Regions:
    """The layers whose shapes and labels are queries.

    Each polygon, rectangle and ellipse is the mean of the patches below it, weighted by how much
    of each it covers; of lines and paths, the patches they run over. Class and sign are those of
    the columns ``class`` and ``sign`` of ``layer.features``; without, those that were given when
    the layer was added, and else the class is the name of the layer. Each label above 0 is a class
    of its own, ``<name of the layer> <label>``, unless all are given one.

    The user's layers are never changed. A class that is removed is not asked any more, and the
    shapes and labels stay; it is asked again when the layer is added again.

    Parameters
    ----------
    scene : Scene
    palette : Palette
        Colours of the classes.
    changed : callable
        A bound method, called after every change that matters.
    guard : Guard

    Attributes
    ----------
    edited : bool
        See `Recorded`; classes are left out together with those of points.
    """

    def __init__(
        self, scene: Scene, palette: Palette, changed: Callable[[], None], guard: Guard
    ) -> None:
        self._scene, self._palette, self._changed = scene, palette, changed
        self._guard = guard
        self._followed: dict[Hashable, ShapeRegions | LabelRegions] = {}
        self.edited = False
        scene.viewer.layers.events.removed.connect(self._on_removed)

    @property
    def layers(self) -> list[Layer]:
        """The user's layers that are queries, in the order in which they were added."""
        layers = [regions.layer for regions in self._followed.values()]
        return [layer for layer in layers if not is_derived(layer)]

    @property
    def followed(self) -> tuple[ShapeRegions | LabelRegions, ...]:
        """The regions of all layers that are queries, our own among them, in their order."""
        return tuple(self._followed.values())

    @property
    def count(self) -> int:
        """How many regions ask, as of the last refresh."""
        return sum(regions.count for regions in self._followed.values())

    @property
    def outside(self) -> int:
        """How many more lie on no ticked image, or have no corners at finite places."""
        return sum(regions.outside for regions in self._followed.values())

    def candidates(self) -> list[Layer]:
        """Return the Shapes and Labels layers of the viewer, except those that this package made.

        Those that are queries already are among them; adding one again does no harm.
        """
        layers = self._scene.viewer.layers
        return [layer for layer in layers if _is_drawn(layer) and not is_derived(layer)]

    def add(
        self,
        layer: Shapes | Labels,
        image: Image | None = None,
        class_name: str | None = None,
        positive: bool = True,
        planes: Sequence[tuple[int, ...]] = (),
    ) -> None:
        """Make the shapes or labels of a layer queries, and follow every change of them.

        Parameters
        ----------
        layer : napari.layers.Shapes or napari.layers.Labels
        image : napari.layers.Image, optional
            The image they lie on; by default, and where they do not lie on it, the topmost
            visible one that is searched. It is remembered for as long as they lie on it.
        class_name : str, optional
            The class of all labels, or of the shapes whose columns name none.
        positive : bool, optional
            Whether they are on what is meant; for shapes whose columns do not say.
        planes : sequence of tuple of int, optional
            Planes of labels in a stack that ask besides the one shown, by their indices along the
            axes before rows and columns.

        Raises
        ------
        SimilarityError
            The layer or the image cannot be used; the sentence says why.
        """
        self._check(layer, image)
        self.remove(layer, notify=False)
        image_id = None if image is None else image.unique_id
        role = None if class_name is None else class_name.strip() or None
        found = self._follow(layer, image_id, role, positive=positive)
        if isinstance(found, LabelRegions):
            found.ask_on(planes)
        self._followed[layer.unique_id] = found
        self._changed()

    def follow_drawn(self, layer: Shapes) -> ShapeRegions:
        """Make the shapes of our own layer queries."""
        found = ShapeRegions(
            layer, None, self._scene, self._palette, self._changed, class_name=DEFAULT_CLASS
        )
        self._followed[layer.unique_id] = found
        return found

    def _check(self, layer: Layer, image: Image | None) -> None:
        if layer not in self.candidates():
            raise SimilarityError(
                f"{layer.name} cannot be a query region; choose a Shapes or Labels layer of your "
                "own that is in the viewer."
            )
        if image is not None and self._scene.image_of(image.unique_id) is None:
            raise SimilarityError(
                f"{image.name} is none of the images that can be searched; choose one of those."
            )

    def _follow(
        self,
        layer: Shapes | Labels,
        image_id: Hashable | None,
        class_name: str | None,
        *,
        positive: bool,
    ) -> ShapeRegions | LabelRegions:
        from napari.layers import Labels

        scene, changed = self._scene, self._changed
        if not isinstance(layer, Labels):
            return ShapeRegions(
                layer,
                image_id,
                scene,
                self._palette,
                changed,
                class_name=class_name,
                positive=positive,
            )
        labelled = LabelRegions(
            layer, image_id, scene, changed, class_name=class_name, positive=positive
        )
        found = len(labelled.count_classes())
        if found > MAX_LABEL_CLASSES:
            labelled.close()
            raise SimilarityError(
                f"{layer.name} has {found} labels here, and each would be a class with heatmaps "
                f"of its own; use at most {MAX_LABEL_CLASSES} labels."
            )
        return labelled

    def remove(self, layer: Shapes | Labels, *, notify: bool = True) -> None:
        """Let the shapes or labels of a layer be no queries any more; the layer stays as it is."""
        regions = self._followed.pop(layer.unique_id, None)
        if regions is not None:
            regions.close()
            if notify:
                self._changed()

    # -- classes ----------------------------------------------------------------------------

    def count_classes(self) -> Counter[str]:
        """Return how many shapes and labels are of which class."""
        return sum((regions.count_classes() for regions in self._followed.values()), Counter())

    def leave_out(self, class_name: str) -> None:
        """Ask a class no more, in the layers that ask it now."""
        for regions in self._followed.values():
            if regions.asks(class_name):
                regions.left_out |= {class_name}
                self._changed()

    def snapshot(self) -> LeftOut:
        """Return which classes are left out."""
        return LeftOut({i: regions.left_out for i, regions in self._followed.items()})

    def restore(self, snapshot: LeftOut) -> None:
        """Leave out what was left out, in the layers that are still queries."""
        for layer_id, regions in self._followed.items():
            regions.left_out = snapshot.classes.get(layer_id, regions.left_out)
        self._changed()

    def picks(self) -> tuple[tuple[AnyPick, ...], Mapping[PlaneKey, Plane]]:
        """Return the picks of all regions, and the planes that they lie on."""
        found: list[AnyPick] = []
        planes: dict[PlaneKey, Plane] = {}
        for regions in self._followed.values():
            part = f"The regions of {regions.layer.name}"
            picked = self._guard.run(part, _picks_and_planes, regions)
            if picked is not None:
                found += picked[0]
                planes |= picked[1]
        return tuple(found), planes

    def close(self) -> None:
        """Stop listening."""
        self._scene.viewer.layers.events.removed.disconnect(self._on_removed)
        for regions in self._followed.values():
            regions.close()
        self._followed.clear()

    def _on_removed(self, event: Any) -> None:
        self.remove(event.value)


def _picks_and_planes(
    regions: ShapeRegions | LabelRegions,
) -> tuple[Sequence[AnyPick], Mapping[PlaneKey, Plane]]:
    return regions.picks()


def _is_drawn(layer: Layer) -> bool:
    from napari.layers import Labels, Shapes

    return isinstance(layer, Labels | Shapes)

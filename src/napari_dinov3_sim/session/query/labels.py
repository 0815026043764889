"""Picks from the labels of one Labels layer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.images.levels import coordinate_in_level, pixel_in_level
from napari_dinov3_sim.session.answering.question import LabelsPick, class_of_label
from napari_dinov3_sim.session.images.planes import choose_level, shown_axes
from napari_dinov3_sim.session.images.transforms import TRANSFORMS, plane_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from napari.layers import Labels
    from numpy.typing import DTypeLike, NDArray

    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.images.transforms import PlaneTransform
    from napari_dinov3_sim.session.scene import Scene


COPIED = 2**26
"""Planes in memory of up to so many bytes are copied, so that every change is seen, and
no worker reads what is being painted. Of others only what the layer tells is known."""

Position = tuple[tuple[int, int], ...]
"""Where a plane lies: (axis, index) at level 0."""


@dataclass(frozen=True, eq=False)
class LazyPlane:
    """A plane of an array that is read when it becomes an array itself."""

    data: Any = field(repr=False)
    index: tuple[int | slice, ...]

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[np.integer[Any]]:
        """Read the plane."""
        del copy
        return np.asarray(self.data[self.index], dtype)


@dataclass(frozen=True, eq=False)
class LabelPlane:
    """One state of one plane of labels.

    Attributes
    ----------
    labels : array_like, shape (H, W)
    version : int
        Never the same for two states.
    ratio : tuple of float
        Pixels of this level per pixel of level 0, along rows and columns.
    empty : bool
        Whether it is known that nothing is labelled.
    """

    labels: Any = field(repr=False)
    version: int
    ratio: tuple[float, float]
    empty: bool


class LabelPlanes:
    """Remembers the planes that were asked for.

    Parameters
    ----------
    layer : napari.layers.Labels
    """

    def __init__(self, layer: Labels) -> None:
        self._layer = layer
        self._versions = count()
        self._shape: tuple[int, ...] = ()
        self._known: dict[tuple[tuple[int, int], Position], LabelPlane] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the labels at level 0."""
        data = self._layer.data
        return tuple((data[0] if self._layer.multiscale else data).shape)

    def forget_lazy(self) -> None:
        """Take planes that are not copied for changed: the layer was painted on."""
        copied = {k: v for k, v in self._known.items() if isinstance(v.labels, np.ndarray)}
        self._known = copied

    def plane(self, axes: tuple[int, int], position: Position) -> LabelPlane:
        """Return the present state of a plane; the same object if nothing has changed."""
        if self._shape != self.shape:
            self._known.clear()
            self._shape = self.shape
        key = (axes, position)
        known = self._known.get(key)
        if known is None or self._is_stale(known, *key):
            self._known[key] = self._read(*key)
        return self._known[key]

    def changed(self) -> bool:
        """Whether a plane that was asked for is not any more what it was."""
        if self._known and self._shape != self.shape:
            return True
        return any(self._is_stale(known, *key) for key, known in self._known.items())

    def _is_stale(self, known: LabelPlane, axes: tuple[int, int], position: Position) -> bool:
        lazy = self._lazy(axes, position)[0]
        if not _is_copied(lazy):
            return isinstance(known.labels, np.ndarray)
        return not np.array_equal(known.labels, lazy.data[lazy.index])

    def _read(self, axes: tuple[int, int], position: Position) -> LabelPlane:
        lazy, ratio = self._lazy(axes, position)
        if not _is_copied(lazy):
            return LabelPlane(lazy, next(self._versions), ratio, empty=False)
        labels = np.array(lazy.data[lazy.index])
        return LabelPlane(labels, next(self._versions), ratio, empty=not (labels > 0).any())

    def _lazy(
        self, axes: tuple[int, int], position: Position
    ) -> tuple[LazyPlane, tuple[float, float]]:
        data = choose_level(self._layer, axes)[1]
        full = self.shape
        index: list[int | slice] = [slice(None)] * self._layer.ndim
        for axis, at in position:
            index[axis] = pixel_in_level(at, full[axis], data.shape[axis])
        rows, columns = (data.shape[axis] / full[axis] for axis in axes)
        return LazyPlane(data, tuple(index)), (rows, columns)


def _is_copied(lazy: LazyPlane) -> bool:
    data = lazy.data
    if not isinstance(data, np.ndarray):
        return False
    sides = [n for n, at in zip(data.shape, lazy.index, strict=True) if isinstance(at, slice)]
    return bool(np.prod(sides) * data.itemsize <= COPIED)


EDITED = ("paint", "labels_update", "data")
FOLLOWED = (*EDITED, "set_data", "name", *TRANSFORMS)


class LabelRegions:
    """Follows a Labels layer, and remembers its image and the planes it was labelled on.

    Those are the plane that was shown when the layer was added, and every one that was shown
    when it was painted on. A plane without labels asks nothing.

    Parameters
    ----------
    layer : napari.layers.Labels
    image : hashable or None
        Id of the image that labels belong to as long as they lie on it.
    scene : Scene
    changed : callable
        A bound method.
    class_name : str, optional
        The class of all labels; by default each label is a class of its own.
    positive : bool, optional
        Whether the labels are on what is meant.

    Attributes
    ----------
    left_out : frozenset of str
        Classes that are not asked.
    count, outside : int
        Labelled planes on a ticked image, and others, as of the last `picks`.
    """

    def __init__(
        self,
        layer: Labels,
        image: Hashable | None,
        scene: Scene,
        changed: Callable[[], None],
        *,
        class_name: str | None = None,
        positive: bool = True,
    ) -> None:
        self.layer, self._image = layer, image
        self._scene, self._changed = scene, changed
        self._class_name, self._positive = class_name, positive
        self._counted: tuple[object, Counter[str]] = None, Counter()
        self.left_out: frozenset[str] = frozenset()
        self._planes = LabelPlanes(layer)
        self._sliders: dict[tuple[float, ...], tuple[float, ...]] = {}
        self._note_slider()
        self.count = self.outside = 0
        for name in FOLLOWED:
            getattr(layer.events, name).connect(self._handler(name))

    @property
    def class_name(self) -> str | None:
        """The class of all labels; None where each is a class of its own."""
        return self._class_name

    @property
    def positive(self) -> bool:
        """Whether the labels are on what is meant."""
        return self._positive

    @property
    def image(self) -> Hashable | None:
        """Id of the image that labels belong to as long as they lie on it."""
        return self._image

    @property
    def sliders(self) -> tuple[tuple[float, ...], ...]:
        """Where the sliders were on the planes that are labelled, as far as that is known."""
        return tuple(self._sliders.values())

    def adopt(self, sliders: Iterable[tuple[float, ...]]) -> None:
        """Take the labels for those that were made with the sliders at these places."""
        self._sliders = {point[-self.layer.ndim :]: point for point in sliders} or self._sliders

    def close(self) -> None:
        """Stop listening."""
        for name in FOLLOWED:
            getattr(self.layer.events, name).disconnect(self._handler(name))

    def _handler(self, name: str) -> Callable[[Any], None]:
        if name == "set_data":
            return self._on_set_data
        return self._on_edited if name in EDITED else self._on_moved

    def _note_slider(self) -> None:
        """Remember the plane shown; along axes that the labels lack, only the last one counts."""
        point = tuple(self._scene.viewer.dims.point)
        self._sliders[point[-self.layer.ndim :]] = point

    def ask_on(self, indices: Iterable[tuple[int, ...]]) -> None:
        """Ask on planes that were not shown, given along the axes before rows and columns."""
        viewer = self._scene.viewer
        axes = shown_axes(self.layer, viewer)
        if axes != (self.layer.ndim - 2, self.layer.ndim - 1):
            return  # the labels of a file lie along its rows and columns
        placement = plane_transform(self.layer, axes, viewer.layers.units)
        for place in indices:
            world = placement.to_world(np.array([*place, 0, 0], float))
            full = self._scene.full_position(world)
            point = (*full[:-2].tolist(), *viewer.dims.point[-2:])
            self._sliders[point[-self.layer.ndim :]] = point

    def _on_edited(self, event: Any) -> None:
        del event
        self._note_slider()
        self._planes.forget_lazy()
        self._changed()

    def _on_set_data(self, event: Any) -> None:
        """Notice what is taken back or put in place: napari reports it as any redraw."""
        del event
        if self._planes.changed():
            self._changed()

    def _on_moved(self, event: Any) -> None:
        del event
        self._changed()

    def count_classes(self) -> Counter[str]:
        """Return how many labels are of which class, as far as that can be told from memory."""
        planes = [labels for _, _, _, labels in self._labelled()]
        known = [plane for plane in planes if isinstance(plane.labels, np.ndarray)]
        now = (tuple(plane.version for plane in known), self.layer.name, self.left_out)
        if self._counted[0] != now:
            found = [np.unique(plane.labels) for plane in known]
            ids = np.unique(np.concatenate(found)) if found else np.empty(0, int)
            names = Counter(self._class_of(int(number)) for number in ids[ids > 0])
            asked = {name: n for name, n in names.items() if name not in self.left_out}
            self._counted = now, Counter(asked)
        return self._counted[1]

    def _class_of(self, number: int) -> str:
        return class_of_label(self.layer.name, number, self._class_name)

    def asks(self, class_name: str) -> bool:
        """Whether a class is asked; of labels that are a class each, whether one can be it."""
        if class_name in self.left_out or self._class_name is not None:
            return class_name == self._class_name and class_name not in self.left_out
        number = class_name.removeprefix(f"{self.layer.name} ")
        return number != class_name and number.isdecimal()

    def picks(self) -> tuple[list[LabelsPick], dict[PlaneKey, Plane]]:
        """Return a pick for each labelled plane that lies on an image, and the planes of those."""
        found: dict[tuple[PlaneKey, int], LabelsPick] = {}
        planes: dict[PlaneKey, Plane] = {}
        self.outside = 0
        for world, axes, placement, labels in self._labelled():
            place = self._scene.hit_any(self._spots(world, axes, placement), self._image)
            if place is None:
                self.outside += 1
                continue
            plane = place.plane
            self._image = plane.key.layer_id
            planes[plane.key] = plane
            matrix, offset = self._affine(plane, world, axes, placement, labels)
            source = (self.layer.unique_id, labels.version)
            if self._class_name in self.left_out:
                continue
            found[plane.key, labels.version] = LabelsPick(
                plane.key,
                source,
                self.layer.name,
                matrix,
                offset,
                labels.labels,
                self._class_name,
                self._positive,
                self.left_out,
            )
        self.count = len(found)
        return list(found.values()), planes

    def _labelled(
        self,
    ) -> Iterator[tuple[NDArray[np.float64], tuple[int, int], PlaneTransform, LabelPlane]]:
        """Yield where the slider was, the plane's axes, its place in the world, and its labels."""
        viewer = self._scene.viewer
        axes = shown_axes(self.layer, viewer)
        # While the layer is given more axes, the viewer does not have them yet.
        if axes is None or self.layer.ndim > viewer.dims.ndim:
            return
        placement = plane_transform(self.layer, axes, viewer.layers.units)
        for slider in self._sliders.values():
            world = self._scene.full_position(np.array(slider))
            position = self._position(axes, placement.to_data(world))
            if position is not None:
                labels = self._planes.plane(axes, position)
                if not labels.empty:
                    yield world, axes, placement, labels

    def _position(self, axes: tuple[int, int], data: NDArray[np.float64]) -> Position | None:
        if not np.isfinite(data).all():
            return None
        others = [axis for axis in range(self.layer.ndim) if axis not in axes]
        position = tuple((axis, int(np.round(data[axis]))) for axis in others)
        shape = self._planes.shape
        return position if all(0 <= at < shape[axis] for axis, at in position) else None

    def _spots(
        self, world: NDArray[np.float64], axes: tuple[int, int], placement: PlaneTransform
    ) -> list[NDArray[np.float64]]:
        """Return the centre and points all over the labels: where to look for their image."""
        ends = [self._planes.shape[axis] - 1 for axis in axes]
        shares = np.array([(0.5, 0.5), *np.ndindex(5, 5)])
        shares[1:] /= 4
        spots = []
        for share in shares:
            data = placement.to_data(world)
            data[list(axes)] = share * ends
            spots.append(_with_plane(world, placement.to_world(data), axes))
        return spots

    def _affine(
        self,
        plane: Plane,
        world: NDArray[np.float64],
        axes: tuple[int, int],
        placement: PlaneTransform,
        labels: LabelPlane,
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return where a pixel (y, x) of the image lies in the labels: a matrix and an offset."""
        found = []
        for y, x in ((0, 0), (1, 0), (0, 1)):
            at = _with_plane(world, self._scene.world_of(plane, x, y), plane.key.axes)
            data = placement.to_data(at)[list(axes)]
            found.append(coordinate_in_level(data, np.array(labels.ratio)))
        origin, down, right = found
        matrix = np.column_stack([down - origin, right - origin])
        return tuple(matrix.ravel().tolist()), tuple(origin.tolist())


def _with_plane(
    world: NDArray[np.float64], other: NDArray[np.float64], axes: tuple[int, int]
) -> NDArray[np.float64]:
    """Return a point of the world, moved along the two axes of a plane to another one's place."""
    found = world.copy()
    for axis in axes:
        found[axis - len(other)] = other[axis]
    return found

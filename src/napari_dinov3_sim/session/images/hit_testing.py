"""Hit testing: which pixel of which image is under a point of the world."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_dinov3_sim.core.geometry import pixel_from_coordinate
from napari_dinov3_sim.core.images.levels import pixel_in_level
from napari_dinov3_sim.session.images.planes import choose_level, levels_of, plane_at, shown_axes
from napari_dinov3_sim.session.images.transforms import plane_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey, WindowKey
    from napari_dinov3_sim.session.images.target import Target
    from napari_dinov3_sim.session.images.transforms import PlaneTransform


class PlanePixel(NamedTuple):
    """A pixel of an embedded plane: its column and its row."""

    plane: Plane
    x: int
    y: int


@dataclass(frozen=True, eq=False)
class ImageExtent:
    """An image as it lies in the world now.

    Attributes
    ----------
    axes : tuple of int
        The data axes that span the view, ascending.
    transform : PlaneTransform
    shape, level_shape : tuple of int
        Of the layer at level 0 and at the level that is embedded, without channels.
    plane_at : callable
        Given data coordinates, returns the plane through them, or None outside.
    """

    axes: tuple[int, int]
    transform: PlaneTransform
    shape: tuple[int, ...]
    level_shape: tuple[int, ...]
    plane_at: Callable[[NDArray[np.float64]], Plane | None]
    _planes: dict[tuple[int, ...], Plane | None] = field(default_factory=dict)

    def pixel_at(self, world: NDArray[np.float64]) -> PlanePixel | None:
        """Return the embedded pixel under a point, or None outside."""
        data = self.transform.to_data(world)
        values = data.tolist()
        if not all(map(math.isfinite, values)):
            return None
        y, x = (self._embedded_pixel(values[axis], axis) for axis in self.axes)
        if y is None or x is None:
            return None
        # Python rounds as NumPy does, halves to the even.
        position = tuple(round(v) for axis, v in enumerate(values) if axis not in self.axes)
        if position not in self._planes:
            self._planes[position] = self.plane_at(data)
        plane = self._planes[position]
        return None if plane is None else PlanePixel(plane, x, y)

    def _embedded_pixel(self, coordinate: float, axis: int) -> int | None:
        size, embedded = self.shape[axis], self.level_shape[axis]
        pixel = pixel_from_coordinate(coordinate)
        return pixel_in_level(pixel, size, embedded) if 0 <= pixel < size else None


class HitTester:
    """Finds images under points; true until an image or the view changes.

    Parameters
    ----------
    targets : mapping of layer id to Target
        Those of all images; for each of several channels, that of the first one.
    preferred : sequence of Target
        The visible ones that are searched, those that are preferred first.
    extent_of : callable
        Given a target, returns the extent of its image, or None if it is seen edge on.
    """

    def __init__(
        self,
        targets: Mapping[Hashable, Target],
        preferred: Sequence[Target],
        extent_of: Callable[[Target], ImageExtent | None],
    ) -> None:
        self._targets, self._preferred, self._extent_of = targets, preferred, extent_of
        self._extents: dict[Target, ImageExtent | None] = {}

    def hit(self, world: NDArray[np.float64], remembered: Hashable | None) -> PlanePixel | None:
        """Return where a point lies: on the image it was set on, else on the topmost below it."""
        target = self._targets.get(remembered)
        found = None
        if target is not None and target.ticked:
            found = self.pixel_at(target, world)
        others = iter(self._preferred)
        while found is None and (target := next(others, None)) is not None:
            found = self.pixel_at(target, world)
        return found

    def count(self, world: NDArray[np.float64]) -> int:
        """Return how many visible images that are searched lie under a point."""
        return sum(self.pixel_at(target, world) is not None for target in self._preferred)

    def pixel_at(self, target: Target, world: NDArray[np.float64]) -> PlanePixel | None:
        """Return the embedded pixel of an image under a point, or None outside."""
        if target not in self._extents:
            self._extents[target] = self._extent_of(target)
        extent = self._extents[target]
        return None if extent is None else extent.pixel_at(world)


@dataclass(frozen=True, eq=False)
class ResolvedImages:
    """Which images are searched, what they show and where they lie.

    True until an image or the view changes; then `Targets.resolve` returns another one.

    Attributes
    ----------
    count : int
        How many images are open.
    targets : mapping of layer id to Target
        The images that are searched, the bottom one first.
    planes : mapping of PlaneKey to Plane
        The plane that each of them shows, where it shows one.
    tops : mapping of layer id to Image
        The topmost layer of each open image.
    names : mapping of layer id to str
        What each searched image is called.
    versions : frozenset of (layer id, int)
        Id and version of the pixels of every open image.
    hits : HitTester
    """

    count: int
    targets: Mapping[Hashable, Target]
    planes: Mapping[PlaneKey, Plane]
    tops: Mapping[Hashable, Image]
    names: Mapping[Hashable, str]
    versions: frozenset[WindowKey]
    hits: HitTester


class ExtentCache:
    """Measures where images lie, each once until something moves.

    With hundreds of points, measuring it for each takes most of a refresh.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._transforms: dict[Hashable, PlaneTransform] = {}

    def forget(self) -> None:
        """Measure anew: something has moved, come or gone."""
        self._transforms.clear()

    def transform(self, layer: Image, axes: tuple[int, int]) -> PlaneTransform:
        """Return how the planes of a layer along two data axes lie in the world."""
        units = self._viewer.layers.units
        key = (layer.unique_id, axes, units)
        if key not in self._transforms:
            self._transforms[key] = plane_transform(layer, axes, units)
        return self._transforms[key]

    def shown_plane(self, record: Target) -> Plane | None:
        """Return the plane of an image that is shown, or None if none is."""
        axes = shown_axes(record.layer, self._viewer)
        if axes is None:
            return None
        transform = self.transform(record.layer, axes)
        if not transform.is_finite:
            return None
        return _plane(record, axes, transform.to_data(np.array(self._viewer.dims.point, float)))

    def extent(self, record: Target) -> ImageExtent | None:
        """Return an image as it lies in the world now; None if it is seen edge on."""
        axes = shown_axes(record.layer, self._viewer)
        if axes is None:
            return None
        ndim, level = record.layer.ndim, choose_level(record.layer, axes)[1]
        return ImageExtent(
            axes,
            self.transform(record.layer, axes),
            tuple(levels_of(record.layer)[0].shape[:ndim]),
            tuple(level.shape[:ndim]),
            partial(_plane, record, axes),
        )


def _plane(record: Target, axes: tuple[int, int], data: NDArray[np.float64]) -> Plane | None:
    """Return the plane of an image through data coordinates, with all of its channels."""
    plane = plane_at(record.layer, axes, data, record.version)
    if plane is None or record.merged is None:
        return plane
    return replace(plane, data=record.merged.arrays(plane.level), name=record.name)

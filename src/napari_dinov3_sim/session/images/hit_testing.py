"""Which pixel of which image lies under a point of the world, for many points at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_dinov3_sim.core.geometry import pixel_from_coordinate
from napari_dinov3_sim.session.images.planes import choose_level, levels_of, plane_at, shown_axes
from napari_dinov3_sim.session.images.transforms import plane_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.images.planes import Plane
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
    placement : PlaneTransform
    shape, level_shape : tuple of int
        Of the layer at level 0 and at the level that is embedded, without channels.
    plane_at : callable
        Given data coordinates, returns the plane through them, or None outside.
    """

    axes: tuple[int, int]
    placement: PlaneTransform
    shape: tuple[int, ...]
    level_shape: tuple[int, ...]
    plane_at: Callable[[NDArray[np.float64]], Plane | None]
    _planes: dict[tuple[int, ...], Plane | None] = field(default_factory=dict)

    def pixel(self, world: NDArray[np.float64]) -> PlanePixel | None:
        """Return the embedded pixel under a point, or None outside."""
        data = self.placement.to_data(world)
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
        return (2 * pixel + 1) * embedded // (2 * size) if 0 <= pixel < size else None


class HitTester:
    """Finds images under points. True until anything changes: make a new one for each round.

    Parameters
    ----------
    targets : sequence of Target
        The ticked ones, those that are preferred first.
    get : callable
        Given an id, returns the record of a layer, or None.
    site_of : callable
        Given a record, returns the site of its image, or None if it is seen edge on.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        get: Callable[[Hashable | None], Target | None],
        site_of: Callable[[Target], ImageExtent | None],
    ) -> None:
        self._shown = [target for target in targets if target.visible]
        self._get, self._site_of = get, site_of
        self._sites: dict[Target, ImageExtent | None] = {}

    def locate(self, world: NDArray[np.float64], remembered: Hashable | None) -> PlanePixel | None:
        """Return where a point lies: on the image it was set on, else on the topmost below it."""
        record = self._get(remembered)
        place = self.pixel(record, world) if record is not None and record.ticked else None
        if place is not None:
            return place
        places = (self.pixel(target, world) for target in self._shown)
        return next((place for place in places if place is not None), None)

    def pixel(self, record: Target, world: NDArray[np.float64]) -> PlanePixel | None:
        """Return the embedded pixel of an image under a point, or None outside."""
        if record not in self._sites:
            self._sites[record] = self._site_of(record)
        site = self._sites[record]
        return None if site is None else site.pixel(world)


class ExtentCache:
    """Measures where images lie, each once until something moves.

    With hundreds of points, measuring it for each takes most of a refresh.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._placements: dict[Hashable, PlaneTransform] = {}

    def forget(self) -> None:
        """Measure anew: something has moved, come or gone."""
        self._placements.clear()

    def placement(self, layer: Image, axes: tuple[int, int]) -> PlaneTransform:
        """Return how the planes of a layer along two data axes lie in the world."""
        units = self._viewer.layers.units
        key = (layer.unique_id, axes, units)
        if key not in self._placements:
            self._placements[key] = plane_transform(layer, axes, units)
        return self._placements[key]

    def shown_plane(self, record: Target) -> Plane | None:
        """Return the plane of an image that is shown, or None if none is."""
        axes = shown_axes(record.layer, self._viewer)
        if axes is None:
            return None
        point = np.array(self._viewer.dims.point, float)
        return _plane(record, axes, self.placement(record.layer, axes).to_data(point))

    def site(self, record: Target) -> ImageExtent | None:
        """Return an image as it lies in the world now; None if it is seen edge on."""
        axes = shown_axes(record.layer, self._viewer)
        if axes is None:
            return None
        ndim, level = record.layer.ndim, choose_level(record.layer, axes)[1]
        return ImageExtent(
            axes,
            self.placement(record.layer, axes),
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

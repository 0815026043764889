"""The shapes of one Shapes layer as picks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.placement import TRANSFORMS, worlds_of
from napari_dinov3_sim.session.point_features import Role, read_roles
from napari_dinov3_sim.session.questions import PolygonPick
from napari_dinov3_sim.session.shape_outlines import outlines_of
from napari_dinov3_sim.session.sources import NEW, Source, carry_over

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from napari.layers import Shapes
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.atlas import Atlas
    from napari_dinov3_sim.session.palette import Palette
    from napari_dinov3_sim.session.planes import Plane, PlaneKey

FOLLOWED = ("data", "set_data", "features", "name", *TRANSFORMS)


class DrawnRegions:
    """Follows a Shapes layer, and remembers the image and the plane of every shape.

    Parameters
    ----------
    layer : napari.layers.Shapes
    image : hashable or None
        Id of the image that shapes belong to as long as they lie on it.
    atlas : Atlas
    palette : Palette
    changed : callable
        A bound method.
    """

    def __init__(
        self,
        layer: Shapes,
        image: Hashable | None,
        atlas: Atlas,
        palette: Palette,
        changed: Callable[[], None],
    ) -> None:
        self.layer, self._image = layer, image
        self._atlas, self._palette, self._changed = atlas, palette, changed
        self._centres: NDArray[np.float64] = np.empty((0, layer.ndim))
        self._sources: list[Source] = []
        self._seen = _state(layer)
        self.count = self.outside = 0
        for name in FOLLOWED:
            handler = self._on_set_data if name == "set_data" else self._on_changed
            getattr(layer.events, name).connect(handler)

    def close(self) -> None:
        """Stop listening."""
        for name in FOLLOWED:
            handler = self._on_set_data if name == "set_data" else self._on_changed
            getattr(self.layer.events, name).disconnect(handler)

    def _on_changed(self, event: Any) -> None:
        del event
        self._changed()

    def _on_set_data(self, event: Any) -> None:
        """Notice each step of a drag: napari tells of it as of any other redraw."""
        del event
        if _state(self.layer) != self._seen:
            self._changed()

    def picks(self) -> tuple[list[PolygonPick], dict[PlaneKey, Plane]]:
        """Return a pick for each shape that lies on an image, and the planes of those."""
        layer = self.layer
        self._seen = _state(layer)
        drawn = outlines_of(layer)
        centres = np.array([corners.mean(axis=0) for corners in drawn]).reshape(-1, layer.ndim)
        self._sources = [
            self._on_its_plane(source)
            for source in carry_over(self._centres, self._sources, centres)
        ]
        self._centres = centres
        found: list[PolygonPick] = []
        planes: dict[PlaneKey, Plane] = {}
        for number, (corners, role) in enumerate(zip(drawn, self._roles(len(drawn)), strict=True)):
            plane, pick = self._pick(number, corners, role)
            if plane is not None and pick is not None:
                planes[plane.key] = plane
                found.append(pick)
        self.count, self.outside = len(found), len(drawn) - len(found)
        return found, planes

    def _roles(self, count: int) -> list[Role]:
        roles = []
        if len(self.layer.features) == count:  # while shapes come and go, it may not be
            roles = read_roles(self.layer, self.layer.name)
        for role in roles:
            self._palette.colour(role.kind)
        return roles or [Role(self.layer.name)] * count

    def _on_its_plane(self, source: Source) -> Source:
        """Where a shape lies along the axes its layer lacks: where the slider was at first."""
        viewer = self._atlas.viewer
        missing = max(0, viewer.dims.ndim - self.layer.ndim)
        image = self._image if source.image is NEW else source.image
        if len(source.lead) == missing:
            return Source(image, source.lead)
        return Source(image, tuple(float(value) for value in viewer.dims.point[:missing]))

    def _pick(
        self, number: int, corners: NDArray[np.float64], role: Role
    ) -> tuple[Plane | None, PolygonPick | None]:
        source = self._sources[number]
        inner = worlds_of(self.layer, corners, self._atlas.viewer.layers.units)
        world = np.hstack([np.tile(source.lead, (len(inner), 1)), inner])
        place = None
        if len(world) and np.isfinite(world).all():
            place = self._atlas.locate_any([world.mean(axis=0), *world], source.image)
        if place is None:
            self._sources[number] = Source(None, source.lead)
            return None, None
        plane = place.plane
        self._sources[number] = Source(plane.key.layer_id, source.lead)
        x, y = self._atlas.pixels(plane, world).T.tolist()
        vertices = tuple(zip(x, y, strict=True))
        return plane, PolygonPick(plane.key, vertices, role.kind, role.positive)


def _state(layer: Shapes) -> tuple[Any, ...]:
    """Return what makes a difference, to be compared: kinds of shapes and corners."""
    corners = [np.asarray(shape) for shape in layer.data]
    return tuple(map(str, layer.shape_type)), tuple((c.shape, c.tobytes()) for c in corners)

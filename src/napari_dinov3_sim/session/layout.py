"""Where images lie in the viewer's world, and which of their planes are where."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.placement import placement_of
from napari_dinov3_sim.session.planes import choose_level, levels_of, plane_at, shown_axes
from napari_dinov3_sim.session.survey import Site

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.merging import Target
    from napari_dinov3_sim.session.placement import Placement
    from napari_dinov3_sim.session.planes import Plane


class Layout:
    """Measures where images lie, each once until something moves.

    With hundreds of points, measuring it for each takes most of a refresh.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._placements: dict[Hashable, Placement] = {}

    def forget(self) -> None:
        """Measure anew: something has moved, come or gone."""
        self._placements.clear()

    def placement(self, layer: Image, axes: tuple[int, int]) -> Placement:
        """Return how the planes of a layer along two data axes lie in the world."""
        units = self._viewer.layers.units
        key = (layer.unique_id, axes, units)
        if key not in self._placements:
            self._placements[key] = placement_of(layer, axes, units)
        return self._placements[key]

    def shown_plane(self, record: Target) -> Plane | None:
        """Return the plane of an image that is shown, or None if none is."""
        axes = shown_axes(record.layer, self._viewer)
        if axes is None:
            return None
        point = np.array(self._viewer.dims.point, float)
        return _plane(record, axes, self.placement(record.layer, axes).to_data(point))

    def site(self, record: Target) -> Site | None:
        """Return an image as it lies in the world now; None if it is seen edge on."""
        axes = shown_axes(record.layer, self._viewer)
        if axes is None:
            return None
        ndim, level = record.layer.ndim, choose_level(record.layer, axes)[1]
        return Site(
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

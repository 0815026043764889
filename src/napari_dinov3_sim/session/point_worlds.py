"""Between the viewer's world and a Points layer, which may have fewer axes than the viewer.

Where points lie along the axes that their layer lacks, their *lead*, is remembered for each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.placement import worlds_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Points
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.sources import Source

Lead = tuple[float, ...]


def lead_of(viewer: ViewerModel, layer: Points, source: Source) -> Lead:
    """Return a point's place along the axes its layer lacks, that of the slider when set."""
    missing = max(0, viewer.dims.ndim - layer.ndim)
    if len(source.lead) == missing:
        return source.lead
    return tuple(float(value) for value in viewer.dims.point[:missing])


def worlds_of_points(
    viewer: ViewerModel, layer: Points, leads: Sequence[Lead]
) -> list[NDArray[np.float64]]:
    """Return where each point lies in the viewer's world, along all axes of it."""
    worlds = worlds_of(layer, np.array(layer.data, float), viewer.layers.units)
    return [np.concatenate([lead, world]) for lead, world in zip(leads, worlds, strict=True)]


def data_of_world(
    viewer: ViewerModel, layer: Points, world: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Lead]:
    """Return the data coordinates of a place of the world, and its lead.

    Where the place lacks axes, it is on the plane that is shown.
    """
    shown = np.array(viewer.dims.point, float)
    full = np.concatenate([shown[: max(0, len(shown) - len(world))], world])
    data = np.asarray(layer.world_to_data(full[-layer.ndim :]), float)
    return data, tuple(full[: max(0, len(full) - layer.ndim)].tolist())

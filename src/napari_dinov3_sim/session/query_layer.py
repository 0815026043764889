"""The Points layer of a session: found again, or made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.marks import mark, marked_as
from napari_dinov3_sim.session.placement import adopt_units

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Points

    from napari_dinov3_sim.session.palette import Palette
    from napari_dinov3_sim.session.point_features import Role

NAME = "DINOv3 query"


def find_query_layer(viewer: ViewerModel) -> Points | None:
    """Return the topmost layer that a session has made for its points, or None."""
    for layer in reversed(viewer.layers):
        if marked_as(layer, "query") is not None:
            found: Points = layer
            return found
    return None


def make_query_layer(viewer: ViewerModel, image: Image, palette: Palette, role: Role) -> Points:
    """Add an empty Points layer to a viewer.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    image : Image
        Its pixels decide scale and units, and how large points are.
    palette : Palette
    role : Role
        Of the first point.

    Returns
    -------
    Points
        With as many axes as the viewer, so that each point is on one plane.
    """
    ndim = viewer.dims.ndim
    units = viewer.layers.units or image.units
    scale = np.ones(ndim)
    scale[-min(ndim, image.ndim) :] = image.scale[-ndim:]
    layer = viewer.add_points(
        ndim=ndim,
        name=NAME,
        scale=scale,
        size=max(4.0, 0.02 * max(image.data.shape[:2] if image.ndim == 2 else (512,))),
        symbol="disc",
        face_color="#00000000",
        border_color=palette.colour(role.kind),
        features={"kind": np.empty(0, object), "sign": np.empty(0, object)},
        feature_defaults={"kind": role.kind, "sign": "positive"},
        border_width=0.2,
        canvas_size_limits=(9, 18),
    )
    mark(layer, "query")
    if len(image.units) == ndim:
        layer.units = image.units
    adopt_units(layer, units if len(units) == ndim else None)
    return layer

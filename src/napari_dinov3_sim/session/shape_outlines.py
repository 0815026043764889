"""Closed outlines of what is drawn in a Shapes layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Shapes
    from numpy.typing import NDArray

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
    kinds = [str(getattr(kind, "value", kind)) for kind in layer.shape_type]
    drawn = (np.array(corners, float) for corners in layer.data)
    return [_outline(kind, corners) for kind, corners in zip(kinds, drawn, strict=True)]


def _outline(kind: str, corners: NDArray[np.float64]) -> NDArray[np.float64]:
    if kind == "ellipse":
        return _ellipse(corners)
    if kind in ("line", "path"):
        return np.concatenate([corners, corners[-2:0:-1]])
    return corners


def _ellipse(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points on the ellipse that touches the four sides of a parallelogram."""
    centre = box.mean(axis=0)
    right, down = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angles = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)[:, np.newaxis]
    return np.asarray(centre + np.cos(angles) * right + np.sin(angles) * down)

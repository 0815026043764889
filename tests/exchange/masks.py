"""Masks for tests, and what shapely and Pillow make of polygons."""

from __future__ import annotations

import numpy as np
import shapely

from napari_dinov3_sim.exchange.shapes import ExchangeError


def random_labels(rng, height, width, most):
    """Labels in which every way for pixels to touch occurs."""
    return rng.integers(0, most + 1, (height, width))


def ring_with_island():
    """One label with a hole and, in the hole, an island that touches its border at a corner."""
    labels = np.ones((7, 7), int)
    labels[1:6, 1:6] = 0
    labels[2:4, 2:4] = 1
    labels[1, 1] = 0
    return labels


def geometry_of(polygons):
    """Polygons as shapely's users have them."""
    return shapely.MultiPolygon([shapely.Polygon(p.exterior, p.holes) for p in polygons])


def pixels_in(geometry, shape):
    """The pixels whose middle lies in a geometry, asked of shapely one by one."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return shapely.contains_xy(geometry, x.ravel(), y.ravel()).reshape(shape)


def shapes_or_sentence(read, path):
    """What a file holds, or why it cannot be read; nothing else is raised."""
    try:
        return read(path), ""
    except ExchangeError as error:
        return [], str(error)

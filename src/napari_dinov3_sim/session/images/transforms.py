"""Transforms between the world of the viewer and the data of a layer, with units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Points, Shapes
    from numpy.typing import NDArray

    Units = Sequence[pint.Unit]

TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units")
"""The layer attributes, each with an event of its own, that say where its data lie."""


def unit_factors(source: Units | None, target: Units | None, ndim: int) -> NDArray[np.float64]:
    """Return what to multiply coordinates in `source` units by to have them in `target` units.

    Parameters
    ----------
    source, target : sequence of pint.Unit or None
        Units per axis, aligned at the last axis. None, or units that cannot be converted
        (pixels and micrometres), leave the numbers as they are, as napari does.
    ndim : int
        Number of axes wanted.

    Returns
    -------
    ndarray, shape (ndim,)
    """
    factors = np.ones(ndim)
    if source is None or target is None:
        return factors
    for axis in range(1, min(ndim, len(source), len(target)) + 1):
        if source[-axis] != target[-axis] and source[-axis].is_compatible_with(target[-axis]):
            factors[-axis] = pint.Quantity(1.0, source[-axis]).to(target[-axis]).magnitude
    return factors


@dataclass(frozen=True, eq=False)
class PlaneTransform:
    """How napari lays a plane of a layer into the world.

    napari draws a plane with the block of data-to-world that belongs to the axes shown, and finds
    which one to draw with the block of world-to-data that belongs to the others. For a layer
    rotated or sheared across both, neither is what the whole transform says.

    Attributes
    ----------
    linear : ndarray, shape (ndim, ndim)
        From the world to data, block by block; the mixed blocks are zero.
    offset : ndarray, shape (ndim,)
    """

    linear: NDArray[np.float64]
    offset: NDArray[np.float64]

    @property
    def is_finite(self) -> bool:
        """Whether the layer lies anywhere: napari takes NaN and infinity as a translation."""
        return bool(np.isfinite(self.linear).all() and np.isfinite(self.offset).all())

    def to_data(self, world: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the data coordinates of points of the world, which may have more axes.

        Parameters
        ----------
        world : ndarray, shape (..., n)

        Returns
        -------
        ndarray, shape (..., ndim)
        """
        ndim = len(self.offset)
        return np.asarray(world[..., -ndim:] @ self.linear.T + self.offset)

    def to_world(self, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the points of the world of data coordinates, shape (..., ndim)."""
        if not self.is_finite:
            return np.full(np.shape(data), np.nan)
        return np.asarray((data - self.offset) @ np.linalg.pinv(self.linear).T)


def plane_transform(layer: Layer, shown: tuple[int, int], units: Units | None) -> PlaneTransform:
    """Return how a layer's planes along two data axes lie in a world of given units."""
    ndim = layer.ndim
    world = _world_of_corners(layer, np.eye(ndim))
    world *= unit_factors(layer.units, units, ndim)
    with np.errstate(invalid="ignore", over="ignore"):
        origin, forward = world[0], (world[1:] - world[0]).T
        linear = _inverse(forward)
        offset = -linear @ origin
        drawn = np.ix_(list(shown), list(shown))
        linear[drawn] = _inverse(forward[drawn])
        offset[list(shown)] = -linear[drawn] @ origin[list(shown)]
    in_plane = np.isin(np.arange(ndim), shown)
    linear[in_plane[:, np.newaxis] != in_plane] = 0
    return PlaneTransform(linear, offset)


def turned_axes(layer: Layer) -> NDArray[np.float64]:
    """Return a step along each axis of a layer as columns, turned and stretched by its affine.

    What its own scale and shear make of a step is left out.
    """
    return np.asarray(layer.affine.affine_matrix[:-1, :-1] @ layer.rotate, float)


def pixel_steps(layer: Layer) -> NDArray[np.float64]:
    """Return where one pixel further along each axis lies in the world of a layer, as columns.

    Unlike differences of places in the world, they have no rounding of a far origin.
    """
    from napari.utils.transforms import Affine

    own = Affine(scale=layer.scale, shear=layer.shear, ndim=layer.ndim)
    return np.asarray(turned_axes(layer) @ own.linear_matrix, float)


def _world_of_corners(layer: Layer, steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where the origin of a layer's data lies in its world, and the ends of some steps."""
    corners = np.vstack([np.zeros(layer.ndim), steps])
    with np.errstate(invalid="ignore", over="ignore"):
        return np.array([layer.data_to_world(corner) for corner in corners], dtype=float)


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inverse of a matrix, or NaN where there is none."""
    try:
        return np.asarray(np.linalg.inv(matrix), float)
    except np.linalg.LinAlgError:
        return np.full_like(matrix, np.nan)


STEP = 4096.0
"""A power of two, so that dividing by it rounds nothing, and so long that what the transform
rounds is small beside it."""


def world_points(
    layer: Layer, coordinates: NDArray[np.float64], units: Units | None
) -> NDArray[np.float64]:
    """Return where points of a layer's data lie in a world of given units, all at once.

    Parameters
    ----------
    layer : napari.layers.Layer
    coordinates : ndarray, shape (N, ndim)
    units : sequence of pint.Unit or None

    Returns
    -------
    ndarray, shape (N, ndim)
    """
    ndim = layer.ndim
    world = _world_of_corners(layer, STEP * np.eye(ndim))
    with np.errstate(invalid="ignore", over="ignore"):
        forward = (world[1:] - world[0]) / STEP
        placed = np.asarray(coordinates, float).reshape(-1, ndim) @ forward + world[0]
    return np.asarray(placed * unit_factors(layer.units, units, ndim))


def copy_transform(source: Layer, target: Layer, step: Sequence[int] = ()) -> None:
    """Lay `target` exactly over `source`, which has the same number of axes.

    Parameters
    ----------
    source, target : Layer
    step : sequence of int, optional
        How many elements of the source one of the target is long along each axis; by default one.
    """
    placed = _placement(source, step) if step else {}
    for name in TRANSFORMS:
        value = placed[name] if name in placed else getattr(source, name)
        if name == "affine":
            value = value.affine_matrix
        if not _same(getattr(target, name), value):
            setattr(target, name, value)
    if tuple(target.axis_labels) != tuple(source.axis_labels):
        target.axis_labels = source.axis_labels


def _placement(source: Layer, step: Sequence[int]) -> dict[str, Any]:
    """Return scale and translate of a layer whose elements are longer.

    The centre of its first element lies half an element, less half a pixel, from that of the first
    pixel, along axes that the source may have turned and sheared.
    """
    from napari.utils.transforms import Affine

    lengths = np.asarray(step, float)
    linear = Affine(
        scale=source.scale, rotate=source.rotate, shear=source.shear, ndim=source.ndim
    ).linear_matrix
    with np.errstate(invalid="ignore", over="ignore"):
        translate = source.translate + linear @ ((lengths - 1) / 2)
        return {"scale": source.scale * lengths, "translate": translate}


def _same(old: Any, new: Any) -> bool:
    if isinstance(new, tuple) and new and isinstance(new[0], pint.Unit):
        return tuple(old) == new
    old = old.affine_matrix if hasattr(old, "affine_matrix") else old
    return bool(np.shape(old) == np.shape(new) and np.all(np.asarray(old) == np.asarray(new)))


def scale_over(image: Image, ndim: int) -> NDArray[np.float64]:
    """Return the scale of a new layer of `ndim` axes that is drawn in over an image."""
    scale = np.ones(ndim)
    scale[-min(ndim, image.ndim) :] = image.scale[-ndim:]
    return scale


def add_over(viewer: ViewerModel, layer: Points | Shapes, image: Image) -> None:
    """Add a new layer, which has the scale of an image, in the units of the world."""
    units = viewer.layers.units or image.units
    # Before it is added: napari warns of a layer of other units as soon as there is one.
    if len(image.units) == layer.ndim:
        layer.units = image.units
    adopt_units(layer, units if len(units) == layer.ndim else None)
    viewer.add_layer(layer)


def adopt_units(points: Points | Shapes, units: Units | None) -> None:
    """Give a Points layer the units of the world without moving its points.

    napari stores a click in world numbers; in a layer of other units it would be drawn elsewhere
    than where the mouse was.
    """
    if units is None or tuple(points.units) == tuple(units[-points.ndim :]):
        return
    factors = unit_factors(points.units, units, points.ndim)
    scale, translate = points.scale * factors, points.translate * factors
    points.units = tuple(units[-points.ndim :])
    points.scale, points.translate = scale, translate

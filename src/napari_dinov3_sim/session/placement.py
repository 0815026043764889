"""Where things are: between the world of the viewer and the data of a layer, units included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Layer, Points
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


def world_to_data(
    layer: Layer, world: NDArray[np.float64], units: Units | None
) -> NDArray[np.float64]:
    """Return data coordinates of a layer for a point of the world given in `units`."""
    ndim = layer.ndim
    scaled = world[-ndim:] * unit_factors(units, layer.units, ndim)
    return np.asarray(layer.world_to_data(scaled), dtype=float)


def data_to_world(
    layer: Layer, data: NDArray[np.float64], units: Units | None
) -> NDArray[np.float64]:
    """Return the point of the world, in `units`, of data coordinates of a layer."""
    world = np.asarray(layer.data_to_world(data), dtype=float)
    return world * unit_factors(layer.units, units, layer.ndim)


def lift(world: NDArray[np.float64], ndim: int, shown: Sequence[float]) -> NDArray[np.float64]:
    """Give a point the leading coordinates it lacks: those of the plane that is shown."""
    missing = ndim - len(world)
    return np.concatenate([np.asarray(shown, float)[:missing], world]) if missing > 0 else world


def copy_transform(source: Layer, target: Layer) -> None:
    """Lay `target` exactly over `source`, which has the same number of axes."""
    for name in TRANSFORMS:
        value = getattr(source, name)
        if name == "affine":
            value = value.affine_matrix
        if not _same(getattr(target, name), value):
            setattr(target, name, value)
    if tuple(target.axis_labels) != tuple(source.axis_labels):
        target.axis_labels = source.axis_labels


def _same(old: Any, new: Any) -> bool:
    if isinstance(new, tuple) and new and isinstance(new[0], pint.Unit):
        return tuple(old) == new
    old = old.affine_matrix if hasattr(old, "affine_matrix") else old
    return bool(np.shape(old) == np.shape(new) and np.all(np.asarray(old) == np.asarray(new)))


def adopt_units(points: Points, units: Units | None) -> None:
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

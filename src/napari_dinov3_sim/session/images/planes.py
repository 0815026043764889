"""A plane: the frozen description of what an image layer shows."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images.intensity import IntensityWindow, check_dtype, check_shape
from napari_dinov3_sim.core.images.levels import (
    coordinate_in_level,
    embedded_level,
    pixel_in_level,
)
from napari_dinov3_sim.core.images.sources import numpy_dtype

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid


WindowKey = tuple[Hashable, int]
"""Layer id and version of its data: one window for a whole layer."""


class LayerAxes(NamedTuple):
    """All planes of a layer along two axes: they are shown together, in one heatmap layer.

    Attributes
    ----------
    layer_id : hashable
        ``layer.unique_id``; names and objects are no identity in napari.
    version : int
        Counts how often the layer's data were replaced.
    axes : tuple of int
        The data axes of the planes' rows and columns, ascending.
    """

    layer_id: Hashable
    version: int
    axes: tuple[int, int]


class PlaneKey(NamedTuple):
    """Identity of one plane of one layer; a tuple, so that looking it up costs little.

    Attributes
    ----------
    layer : LayerAxes
        The layer, the version of its data, and the axes of rows and columns.
    position : tuple of (axis, index)
        Where the plane lies along the other axes, at level 0.
    """

    layer: LayerAxes
    position: tuple[tuple[int, int], ...]

    @property
    def layer_id(self) -> Hashable:
        """Id of the layer."""
        return self.layer.layer_id

    @property
    def axes(self) -> tuple[int, int]:
        """The data axes of rows and columns, ascending."""
        return self.layer.axes

    @property
    def window_key(self) -> WindowKey:
        """Which window the plane is drawn through."""
        return self.layer.layer_id, self.layer.version

    @property
    def indices(self) -> tuple[int, ...]:
        """Where the plane lies along the other axes, ascending."""
        return tuple(index for _, index in self.position)


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane and the arrays it is read from; holds no layer, so it may travel to a worker.

    Attributes
    ----------
    key : PlaneKey
    name : str
        What the image is called, for messages and names.
    shape : tuple of int
        Shape of the layer at level 0, without channels.
    data : tuple of array_like
        The level that is embedded: NumPy, dask or zarr, with channels if `rgb`. Several are the
        red, green and blue of one image.
    rgb : bool
    level : int
        Number of the level, 0 the finest.
    """

    key: PlaneKey
    name: str
    shape: tuple[int, ...]
    data: tuple[Any, ...] = field(repr=False)
    rgb: bool
    level: int

    @cached_property
    def level_shape(self) -> tuple[int, ...]:
        """Shape of the embedded level, without channels."""
        return tuple(int(n) for n in self.data[0].shape[: len(self.shape)])

    @property
    def stack_size(self) -> int:
        """How many planes its layer has along the same axes, itself among them."""
        return math.prod(self.shape[axis] for axis, _ in self.key.position)

    @property
    def embedded_shape(self) -> tuple[int, int]:
        """Height and width of what goes through the model, in pixels."""
        rows, columns = self.key.axes
        return self.level_shape[rows], self.level_shape[columns]


def level_ratios(plane: Plane) -> NDArray[np.float64]:
    """Return how many pixels of level 0 an embedded pixel spans, along rows and columns."""
    return np.array([plane.shape[axis] / plane.level_shape[axis] for axis in plane.key.axes])


def data_coordinates(
    plane: Plane, key: PlaneKey, places: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return where places of an embedded plane lie in the data of its layer, at level 0.

    Parameters
    ----------
    plane : Plane
        Any plane of the layer.
    key : PlaneKey
        The plane that is meant.
    places : ndarray, shape (n, 2)
        (x, y) in pixels of the embedded level; the centre of pixel i is at i.

    Returns
    -------
    ndarray, shape (n, ndim)
        As napari has it: the centre of pixel i of level 0 is at i.
    """
    out = np.zeros((len(places), len(plane.shape)))
    for axis, index in key.position:
        out[:, axis] = index
    out[:, list(key.axes)] = coordinate_in_level(places[:, ::-1], level_ratios(plane))
    return out


def patch_borders(plane: Plane, grid: PatchGrid) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return where the patches of an embedded plane begin, in pixels of level 0.

    Parameters
    ----------
    plane : Plane
    grid : PatchGrid

    Returns
    -------
    rows, columns : ndarray of int, shape (rows + 1,), (columns + 1,)
        The first pixel of each patch, and at the end the number of pixels.
    """
    borders = []
    for axis, size, count in zip(plane.key.axes, plane.embedded_shape, grid.shape, strict=True):
        pixels = pixel_in_level(np.arange(plane.shape[axis]), plane.shape[axis], size)
        borders.append(np.searchsorted(pixels // grid.patch_size, np.arange(count + 1)))
    return borders[0], borders[1]


def shown_axes(layer: Layer, viewer: ViewerModel) -> tuple[int, int] | None:
    """Return the layer's data axes that span the view, ascending; None if it is seen edge on."""
    offset = viewer.dims.ndim - layer.ndim
    axes = sorted(axis - offset for axis in viewer.dims.order[-2:])
    return (axes[0], axes[1]) if axes[0] >= 0 else None


def plane_at(
    layer: Image, axes: tuple[int, int], coordinates: NDArray[np.float64], version: int
) -> Plane | None:
    """Return the plane along `axes` through data coordinates at level 0, or None outside."""
    level, data = choose_level(layer, axes)
    shape = tuple(int(n) for n in levels_of(layer)[0].shape[: layer.ndim])
    others = [axis for axis in range(layer.ndim) if axis not in axes]
    if not np.isfinite(coordinates[others]).all():
        return None
    # np.round, as napari itself picks the slice.
    position = tuple((axis, int(np.round(coordinates[axis]))) for axis in others)
    if any(not 0 <= index < shape[axis] for axis, index in position):
        return None
    key = PlaneKey(LayerAxes(layer.unique_id, version, axes), position)
    return Plane(key, layer.name, shape, (data,), bool(layer.rgb), level)


def levels_of(layer: Image | Labels) -> list[Any]:
    """Return the arrays of a layer, the finest first."""
    return list(layer.data) if layer.multiscale else [layer.data]


def choose_level(layer: Image | Labels, axes: tuple[int, int]) -> tuple[int, Any]:
    """Return the number and the array of the level that is embedded."""
    levels = levels_of(layer)
    number = embedded_level([data.shape for data in levels], axes)
    return number, levels[number]


def refusal(layer: Image) -> str | None:
    """Say why a layer can never be embedded, or None if it can."""
    data = levels_of(layer)[0]
    try:
        check_dtype(numpy_dtype(data))
        check_shape((*data.shape[:2], data.shape[-1]) if layer.rgb else data.shape[-2:])
    except ImageError as error:
        return f"{layer.name}: {error}"
    return None


IntensityWindows = tuple[IntensityWindow | None, ...]
"""The windows of a layer, one for each of its arrays."""

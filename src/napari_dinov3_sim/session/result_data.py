"""Arrays for results: labels that can be painted in, colours, and what tells an edit."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.heatmap_data import (
    LayerData,
    PatchwiseArray,
    create_layer_data,
    pyramid_shapes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.session.heatmap_data import Position
    from napari_dinov3_sim.session.planes import LayerAxes

MAX_EDITABLE = 2**26
"""Labels up to so many elements, 128 MiB, are plain arrays; above they are computed where seen."""

MAX_SIDE = 8192
"""Graphics cards draw no longer side without a pyramid."""

MAX_COLOURS = 2**24
"""Pixels up to which colours are a plain array of 48 or 64 MiB."""

CHUNK = 1024
"""Side of the pieces in which larger colour images are computed."""


def create_label_data(
    values: Mapping[Position, NDArray[np.int32]],
    grid: PatchGrid,
    layer: LayerAxes,
    shape: tuple[int, ...],
) -> LayerData:
    """Return labels of the image's shape, 0 where a plane has no values.

    Parameters
    ----------
    values : mapping of tuple of int to ndarray of int32, shape (rows, columns)
        Labels per patch, by the position of their plane.
    grid, layer, shape
        See `create_layer_data`.

    Returns
    -------
    LayerData
        A plain array to paint in, up to `MAX_EDITABLE`.
    """
    highest = max(int(part.max()) for part in values.values())
    # As many numbers again are left to the user.
    dtype = np.uint16 if highest < 2**15 else np.int32
    small = {position: part.astype(dtype) for position, part in values.items()}
    sides = [shape[axis] for axis in layer.axes]
    if int(np.prod(shape)) > MAX_EDITABLE or max(sides) > MAX_SIDE:
        return create_layer_data(small, grid, layer, shape, 0)
    whole = PatchwiseArray(shape, shape, layer.axes, grid, small, 0)
    # A gather leaves columns first, which napari draws and checksums read ten times as slowly.
    return LayerData(np.ascontiguousarray(whole), False, (0.0, float(highest)))


def create_colour_data(
    values: Mapping[Position, NDArray[np.uint8]],
    grid: PatchGrid,
    layer: LayerAxes,
    shape: tuple[int, ...],
) -> LayerData:
    """Return an RGB image of the image's shape; RGBA where planes without values are clear.

    Parameters
    ----------
    values : mapping of tuple of int to ndarray of uint8, shape (rows, columns, 3)
        Colours per patch, by the position of their plane.
    grid, layer, shape
        See `create_layer_data`.

    Returns
    -------
    LayerData
        A plain array up to `MAX_COLOURS`, else a pyramid that is computed where it is seen.
    """
    channels = [{at: part[..., c] for at, part in values.items()} for c in range(3)]
    planes = int(np.prod([size for axis, size in enumerate(shape) if axis not in layer.axes]))
    if planes > len(values):
        channels.append({at: np.full(grid.shape, 255, np.uint8) for at in values})
    small = int(np.prod(shape)) <= MAX_COLOURS
    shapes = [shape] if small else pyramid_shapes(shape, layer.axes)
    levels = []
    for level in shapes:
        parts = [PatchwiseArray(level, shape, layer.axes, grid, part, 0) for part in channels]
        levels.append(_plain(parts) if small else _lazy(parts))
    return LayerData(levels if len(levels) > 1 else levels[0], len(levels) > 1, (0.0, 255.0))


def _plain(parts: list[PatchwiseArray]) -> NDArray[np.uint8]:
    return np.stack([np.asarray(part) for part in parts], axis=-1)


def _lazy(parts: list[PatchwiseArray]) -> Any:
    import dask.array as da

    axes = parts[0].axes
    chunks = tuple(CHUNK if axis in axes else 1 for axis in range(parts[0].ndim))
    lazy = [da.from_array(part, chunks, name=False) for part in parts]  # type: ignore[no-untyped-call]
    return da.stack(lazy, axis=-1)  # type: ignore[no-untyped-call]


def checksum(data: Any, multiscale: bool = False) -> int:
    """Return a number that tells whether layer data are still what they were.

    A plain array is read through (128 MiB in 0.1 s), because it can be painted in; what is
    computed on demand can only be replaced.

    Parameters
    ----------
    data : ndarray, PatchwiseArray or dask array, or levels of these
    multiscale : bool, optional
        Whether `data` are levels.
    """
    whole = data[0] if multiscale else data
    if isinstance(whole, np.ndarray):
        return zlib.crc32(np.ascontiguousarray(whole).ravel().view(np.uint8).data)
    if isinstance(whole, PatchwiseArray):
        return sum(checksum(part) for part in whole.values.values())
    return zlib.crc32(str(getattr(whole, "name", id(whole))).encode())

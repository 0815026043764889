"""Heatmap data of the image's own shape, upsampled by index: no half-pixel can go astray."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.geometry import resample_indices

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from napari_dinov3_sim.core.similarity import SimilarityMap
    from napari_dinov3_sim.session.planes import PlaneKey

NOT_COMPUTED = float("nan")
"""Value of planes without a map, which napari draws as nothing under any blending."""

MAX_PLAIN = 2**22
"""Up to this many elements a heatmap is a plain array; above it is computed where it is seen."""

MAX_LEVEL_SIDE = 2048
MAX_LEVEL_ELEMENTS = 2**26


@dataclass(frozen=True, eq=False)
class HeatmapArray:
    """A read-only array in which each pixel has the value of the patch over it.

    Implements what napari asks of layer data. Pixels of other planes are `NOT_COMPUTED`.

    Attributes
    ----------
    shape : tuple of int
        Shape of this level of the pyramid.
    full_shape : tuple of int
        Shape of level 0, that of the image.
    similarity : SimilarityMap
        Values per patch of one plane.
    plane : PlaneKey
        Which plane that is.
    """

    shape: tuple[int, ...]
    full_shape: tuple[int, ...]
    similarity: SimilarityMap
    plane: PlaneKey

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Always float32."""
        return np.dtype(np.float32)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> NDArray[np.float32]:
        if isinstance(key, np.ndarray) and key.ndim > 1:  # a mask: napari's data range uses one
            return np.asarray(self)[key]
        indices, dropped = _expand(key, self.shape)
        pixels = [
            resample_indices(size, full)[index]
            for size, full, index in zip(self.shape, self.full_shape, indices, strict=True)
        ]
        return self._values(pixels).squeeze(axis=dropped)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Compute the whole array."""
        del copy
        return self[(slice(None),) * self.ndim].astype(dtype or self.dtype, copy=False)

    def _values(self, pixels: list[NDArray[np.intp]]) -> NDArray[np.float32]:
        """Evaluate at the outer product of level-0 pixel indices, one array per axis."""
        rows, columns = self._patches(pixels)
        # Rows first: a gather of both at once costs four times as much.
        values = self.similarity.cosine[rows][:, columns]
        if not self.plane.position:
            return values
        out = np.full([len(axis) for axis in pixels], NOT_COMPUTED, np.float32)
        where = [np.arange(len(axis)) for axis in pixels]
        for axis, index in self.plane.position:
            where[axis] = np.flatnonzero(pixels[axis] == index)
        spread = [1] * len(pixels)
        for axis, patches in zip(self.plane.axes, (rows, columns), strict=True):
            spread[axis] = len(patches)
        out[np.ix_(*where)] = values.reshape(spread)
        return out

    def _patches(self, pixels: list[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
        """Return the patch row and the patch column over pixels of the plane's two axes."""
        grid, patches = self.similarity.grid, []
        for axis, embedded in zip(self.plane.axes, grid.image_shape, strict=True):
            full = self.full_shape[axis]
            patches.append((2 * pixels[axis] + 1) * embedded // (2 * full) // grid.patch_size)
        return patches


def _expand(key: Any, shape: tuple[int, ...]) -> tuple[list[NDArray[np.intp]], tuple[int, ...]]:
    """Turn an index into one array of positions per axis, and the axes that integers drop."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(part is Ellipsis for part in keys):
        at = next(i for i, part in enumerate(keys) if part is Ellipsis)
        keys[at : at + 1] = [slice(None)] * (len(shape) - len(keys) + 1)
    keys += [slice(None)] * (len(shape) - len(keys))
    indices = [np.atleast_1d(np.arange(n)[part]) for n, part in zip(shape, keys, strict=True)]
    dropped = tuple(i for i, part in enumerate(keys) if isinstance(part, (int, np.integer)))
    return indices, dropped


@dataclass(frozen=True, eq=False)
class HeatmapData:
    """What a heatmap layer is given: a plain array, one computed on demand, or a pyramid."""

    data: Any
    multiscale: bool
    limits: tuple[float, float]


def create_heatmap_data(
    similarity: SimilarityMap, plane: PlaneKey, shape: tuple[int, ...]
) -> HeatmapData:
    """Return the data of a heatmap layer for one plane of an image.

    Parameters
    ----------
    similarity : SimilarityMap
        The plane's map.
    plane : PlaneKey
    shape : tuple of int
        Shape of the image at level 0, without channels.

    Returns
    -------
    HeatmapData
        ``limits`` are the least and the greatest cosine of the map.
    """
    levels = [
        HeatmapArray(level, shape, similarity, plane)
        for level in pyramid_shapes(shape, plane.axes)
    ]
    limits = (float(similarity.cosine.min()), float(similarity.cosine.max()))
    if len(levels) > 1:
        return HeatmapData(levels, True, limits)
    plain = levels[0].size <= MAX_PLAIN
    return HeatmapData(np.asarray(levels[0]) if plain else levels[0], False, limits)


def pyramid_shapes(shape: tuple[int, ...], axes: tuple[int, int]) -> list[tuple[int, ...]]:
    """Return the shapes of a pyramid: the plane's axes are halved until a level is small."""
    shapes = [shape]
    while _is_large(shapes[-1], axes):
        halved = list(shapes[-1])
        for axis in axes:
            halved[axis] = -(-halved[axis] // 2)
        shapes.append(tuple(halved))
    return shapes


def _is_large(shape: tuple[int, ...], axes: tuple[int, int]) -> bool:
    sides = [shape[axis] for axis in axes]
    too_many = int(np.prod(shape)) > MAX_LEVEL_ELEMENTS and max(sides) > 64
    return max(sides) > MAX_LEVEL_SIDE or too_many

"""Values per patch as the data of a layer: patch by patch, or spread over their pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.images.levels import pixel_in_level

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from napari.layers import Layer
    from numpy.typing import DTypeLike, NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.images.levels import Position
    from napari_dinov3_sim.session.images.planes import LayerAxes

NOT_COMPUTED = float("nan")
"""Value of planes without a map, which napari draws as nothing under any blending."""

MAX_PLAIN = 2**22
"""Up to this many elements the data are a plain array; above they are computed where seen."""

MAX_LEVEL_SIDE = 2048
MAX_LEVEL_ELEMENTS = 2**26


@dataclass(frozen=True, eq=False)
class PatchwiseArray:
    """A read-only array in which each pixel has the value of the patch over it.

    Smooth, it has the values of the patches in their centres, and between four of them the
    bilinear interpolation; beyond the outermost ones their values go on. Implements what napari
    asks of layer data. Pixels of planes without values have `fill`.

    Attributes
    ----------
    shape : tuple of int
        Shape of this level of the pyramid.
    full_shape : tuple of int
        Shape of level 0, that of the image.
    axes : tuple of int
        The two axes that planes span, ascending.
    grid : PatchGrid
        The patch grid of every plane.
    values : mapping of tuple of int to ndarray, shape (rows, columns)
        Values per patch of the planes that have some, by position.
    fill : float or int
    smooth : bool
    """

    shape: tuple[int, ...]
    full_shape: tuple[int, ...]
    axes: tuple[int, int]
    grid: PatchGrid
    values: Mapping[Position, NDArray[Any]] = field(repr=False)
    fill: float = NOT_COMPUTED
    smooth: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the values."""
        return next(iter(self.values.values())).dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> NDArray[Any]:
        if isinstance(key, np.ndarray) and key.ndim > 1:  # a mask: napari's data range uses one
            return np.asarray(self)[key]
        indices, dropped = _expand(key, self.shape)
        pixels = [
            pixel_in_level(index, size, full)
            for size, full, index in zip(self.shape, self.full_shape, indices, strict=True)
        ]
        return self._at(pixels).squeeze(axis=dropped)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Compute the whole array."""
        del copy
        return self[(slice(None),) * self.ndim].astype(dtype or self.dtype, copy=False)

    def _at(self, pixels: list[NDArray[np.intp]]) -> NDArray[Any]:
        """Evaluate at the outer product of level-0 pixel indices, one array per axis."""
        spread_over = self._spreading(pixels)
        others = [axis for axis in range(self.ndim) if axis not in self.axes]
        if not others:
            return spread_over(self.values[()])
        out = np.full([len(axis) for axis in pixels], self.fill, self.dtype)
        spread = [1] * self.ndim
        for axis in self.axes:
            spread[axis] = len(pixels[axis])
        for position, values in self.values.items():
            where = [np.arange(len(axis)) for axis in pixels]
            for axis, index in zip(others, position, strict=True):
                where[axis] = np.flatnonzero(pixels[axis] == index)
            if all(len(where[axis]) for axis in others):
                out[np.ix_(*where)] = spread_over(values).reshape(spread)
        return out

    def _spreading(self, pixels: list[NDArray[np.intp]]) -> Callable[[NDArray[Any]], NDArray[Any]]:
        """Return what turns values per patch into values at the pixels of the two axes."""
        if self.smooth:
            return partial(_interpolate, tuple(self._centres(pixels)))
        rows, columns = (
            pixel_in_level(pixels[axis], self.full_shape[axis], embedded) // self.grid.patch_size
            for axis, embedded in zip(self.axes, self.grid.image_shape, strict=True)
        )
        return partial(_gather, rows=rows, columns=columns)

    def _centres(self, pixels: list[NDArray[np.intp]]) -> Iterator[_Between]:
        """Yield for each of the two axes which centres of patches pixels lie between."""
        counts = (self.grid.rows, self.grid.columns)
        for axis, embedded, count in zip(self.axes, self.grid.image_shape, counts, strict=True):
            scale = embedded / self.full_shape[axis] / self.grid.patch_size
            place = np.clip((pixels[axis] + 0.5) * scale - 0.5, 0, count - 1)
            before = np.minimum(place.astype(np.intp), max(count - 2, 0))
            after = np.minimum(before + 1, count - 1)
            yield before, after, (place - before).astype(np.float32)


_Between = tuple["NDArray[np.intp]", "NDArray[np.intp]", "NDArray[np.float32]"]
"""Of each pixel along an axis: the patch before, the patch after, and the weight of that."""


def _interpolate(centres: tuple[_Between, ...], values: NDArray[Any]) -> NDArray[Any]:
    before, after, weight = centres[0]
    between = values[before] + (values[after] - values[before]) * weight[:, np.newaxis]
    before, after, weight = centres[1]
    out: NDArray[Any] = (between[:, after] - between[:, before]) * weight
    out += between[:, before]
    return out


def _gather(
    values: NDArray[Any], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[Any]:
    # Rows first: a gather of both at once costs four times as much.
    gathered: NDArray[Any] = values[rows][:, columns]
    return gathered


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
class LayerData:
    """What a layer is given: a plain array, one computed on demand, or a pyramid.

    Attributes
    ----------
    data : array_like, or list of array_like
    multiscale : bool
    limits : tuple of float
        The least and the greatest value per patch.
    step : tuple of int
        How many pixels of the image an element is long along each axis; empty where it is one.
    by_pixel : callable or None
        Returns the same with an element for each pixel, where this has fewer.
    """

    data: Any
    multiscale: bool
    limits: tuple[float, float]
    step: tuple[int, ...] = ()
    by_pixel: Callable[[], LayerData] | None = field(default=None, repr=False)

    def in_view(self, ndisplay: int) -> LayerData:
        """Return what to show in a view of two or three dimensions.

        In three, napari takes one sample per element along a ray: of long elements it misses
        corners, and their edges are ragged. A layer cannot become a pyramid, though.
        """
        if ndisplay == 2 or self.by_pixel is None:
            return self
        whole = self.by_pixel()
        return whole if whole.multiscale == self.multiscale else self

    def fits(self, layer: Layer) -> bool:
        """Whether a layer can show these data, which has the axes of their image."""
        return bool(layer.multiscale == self.multiscale)

    def show_in(self, layer: Layer) -> None:
        """Give a layer these data in place of those it has.

        The data event makes napari measure every layer of the viewer again, which costs 8 ms
        with 20 layers and is blocked where the extent cannot have changed; ``set_data`` is still
        emitted. The array is a new one each time: scripts and other layers may hold the old.
        """
        new = self.data[0] if self.multiscale else self.data
        if layer.data.shape == new.shape:
            with layer.events.data.blocker():
                layer.data = self.data
        else:
            layer.data = self.data


def create_layer_data(
    values: Mapping[Position, NDArray[Any]],
    grid: PatchGrid,
    layer: LayerAxes,
    shape: tuple[int, ...],
    *,
    fill: float = NOT_COMPUTED,
    smooth: bool = False,
    by_pixel: bool = True,
) -> LayerData:
    """Return the data of a layer that shows values per patch over an image.

    Parameters
    ----------
    values : mapping of tuple of int to ndarray, shape (rows, columns)
        Values per patch, by the position of their plane.
    grid : PatchGrid
    layer : LayerAxes
        The image, and the axes that its planes span.
    shape : tuple of int
        Shape of the image at level 0, without channels.
    fill : float, optional
        Value of planes that have none.
    smooth : bool, optional
        See `PatchwiseArray`.
    by_pixel : bool, optional
        Whether the data have an element for each pixel; otherwise as few as lie exactly over the
        image, see `element_lengths`. What is smooth has one for each pixel.

    Returns
    -------
    LayerData
    """
    step = (1,) * len(shape) if by_pixel or smooth else element_lengths(shape, layer.axes, grid)
    elements = tuple(size // length for size, length in zip(shape, step, strict=True))
    levels = [
        PatchwiseArray(level, shape, layer.axes, grid, values, fill, smooth)
        for level in pyramid_shapes(elements, layer.axes)
    ]
    limits = (
        min(float(part.min()) for part in values.values()),
        max(float(part.max()) for part in values.values()),
    )
    every: Callable[[], LayerData] | None = None
    if max(step) > 1:
        every = partial(create_layer_data, values, grid, layer, shape, fill=fill)
    else:
        step = ()
    if len(levels) > 1:
        return LayerData(levels, True, limits, step, every)
    plain = levels[0].size <= MAX_PLAIN
    return LayerData(np.asarray(levels[0]) if plain else levels[0], False, limits, step, every)


def element_lengths(
    shape: tuple[int, ...], axes: tuple[int, int], grid: PatchGrid
) -> tuple[int, ...]:
    """Return how many pixels of an image one element can stand for, along each axis.

    Borders of patches and the border of the image must lie between elements. Where a side of the
    image is a multiple of the patch, that is the patch; where the last patch is only partly
    image, a divisor of both: 8 pixels for 1000 pixels and patches of 16, one pixel for 1001.

    Parameters
    ----------
    shape : tuple of int
        Shape of the image at level 0, without channels.
    axes : tuple of int
        The two axes that planes span.
    grid : PatchGrid

    Returns
    -------
    tuple of int
        1 along other axes.
    """
    lengths = [1] * len(shape)
    for axis, embedded in zip(axes, grid.image_shape, strict=True):
        lengths[axis] = _element_length(shape[axis], embedded, grid.patch_size)
    return tuple(lengths)


@lru_cache(maxsize=256)
def _element_length(size: int, embedded: int, patch_size: int) -> int:
    patches = pixel_in_level(np.arange(size), size, embedded) // patch_size
    borders = np.flatnonzero(np.diff(patches)) + 1
    return int(np.gcd.reduce(np.append(borders, size)))


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

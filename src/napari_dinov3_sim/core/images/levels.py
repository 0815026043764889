"""Which level of a pyramid is embedded, and where a pixel lies in another level."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Pixel = TypeVar("Pixel", int, NDArray[np.intp])
    Coordinate = TypeVar("Coordinate", float, NDArray[np.float64])

MAX_LEVEL_PIXELS = 4096**2
"""The finest level with at most this many pixels a plane is embedded."""

Position = tuple[int, ...]
"""Where a plane lies along the axes that it does not span, ascending."""


def embedded_level(shapes: Sequence[tuple[int, ...]], axes: tuple[int, int] = (-2, -1)) -> int:
    """Return the number of the finest level whose planes are not too large, else the coarsest.

    Parameters
    ----------
    shapes : sequence of tuple of int
        Of the levels, the finest first.
    axes : tuple of int, optional
        The axes of the plane's rows and columns.

    Examples
    --------
    >>> embedded_level([(5, 6000, 6000), (5, 3000, 3000), (5, 1500, 1500)])
    1
    """
    rows, columns = axes
    fits = (shape[rows] * shape[columns] <= MAX_LEVEL_PIXELS for shape in shapes)
    return next((number for number, fit in enumerate(fits) if fit), len(shapes) - 1)


def pixel_in_level(pixel: Pixel, size: int, level_size: int) -> Pixel:
    """Return the pixel of another level that lies over the centre of a pixel.

    Parameters
    ----------
    pixel : int or ndarray of int
        Along one axis, counted from 0.
    size, level_size : int
        Length of the axis in the level of `pixel` and in the other one, finer or coarser.

    Returns
    -------
    int or ndarray of int
        ``floor((pixel + 0.5) * level_size / size)``, exactly.

    Examples
    --------
    >>> [pixel_in_level(pixel, 5, 2) for pixel in range(5)]
    [0, 0, 1, 1, 1]
    >>> [pixel_in_level(pixel, 2, 5) for pixel in range(2)]
    [1, 3]
    """
    # In integers, so that no rounding can move a pixel: it would, for pixel 14 of 29 in 28.
    return (2 * pixel + 1) * level_size // (2 * size)


def embedded_position(position: Position, full: Position, leading: Position) -> Position:
    """Return where a plane of the finest level lies in the embedded one, which may have fewer.

    Parameters
    ----------
    position : tuple of int
    full, leading : tuple of int
        Lengths of the same axes in the finest and in the embedded level.
    """
    return tuple(map(pixel_in_level, position, full, leading))


def coordinate_in_level(coordinate: Coordinate, ratio: float | Coordinate) -> Coordinate:
    """Return where a coordinate lies in another level; the centre of pixel i is at i in both.

    Parameters
    ----------
    coordinate : float or ndarray
    ratio : float or ndarray
        How many pixels of the other level one pixel spans.

    Examples
    --------
    The centre of a coarse pixel lies between those of the fine ones under it:

    >>> coordinate_in_level(0.0, 2), coordinate_in_level(0.5, 1 / 2)
    (0.5, 0.0)
    """
    return (coordinate + 0.5) * ratio - 0.5

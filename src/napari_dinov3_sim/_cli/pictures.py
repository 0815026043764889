"""Pictures of planes of any size, read block by block."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim._cli.overlay import draw_image
from napari_dinov3_sim.core.images.scanning import plan_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.core.images.sources import PixelSource

MAX_SIDE = 4096
"""Pixels of the longer side of a picture; of a larger plane every k-th pixel is drawn."""


def step_of(shape: tuple[int, int]) -> int:
    """Return k, of which every k-th pixel of a plane is drawn."""
    return -(-max(shape) // MAX_SIDE)


def draw_plane(source: PixelSource, window: IntensityWindow | None) -> NDArray[np.uint8]:
    """Return a plane as RGB, as the model saw it, no larger than `MAX_SIDE`.

    Parameters
    ----------
    source : PixelSource
        Each of its chunks is read once.
    window : IntensityWindow or None
        The window it was embedded through.

    Returns
    -------
    ndarray of uint8, shape (⌈H / k⌉, ⌈W / k⌉, 3)
    """
    step = step_of(source.shape)
    height, width = (-(-size // step) for size in source.shape)
    picture = np.empty((height, width, 3), np.uint8)
    for rows, columns in itertools.product(*plan_blocks(source)):
        (to_rows, of_rows), (to_columns, of_columns) = _every(rows, step), _every(columns, step)
        pixels = source.read(rows, columns)[of_rows, of_columns]
        picture[to_rows, to_columns] = draw_image(pixels, window)
    return picture


def _every(part: slice, step: int) -> tuple[slice, slice]:
    """Return where every k-th pixel of a part goes, and which of the part these are."""
    first, end = -(-part.start // step), -(-part.stop // step)
    return slice(first, end), slice(first * step - part.start, None, step)

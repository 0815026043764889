"""Pictures of a heatmap over its image."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.images.intensity import IntensityWindow, convert_to_rgb
from napari_dinov3_sim.core.images.scanning import plan_blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.images.sources import PixelSource
    from napari_dinov3_sim.core.search.similarity import Point, SimilarityMap


OPACITY = 0.6
OUTLINE = (0, 255, 255)
"""Cyan, the colour that magma is farthest from."""

NEGATIVE = (255, 255, 255)
"""White, which is no colour of magma either."""

LEAST_FRAME = 8
"""Pixels of the side of a frame in a picture that is smaller than its image."""

LEAST_RANGE = 1e-8
"""Maps that differ by less are drawn black; the least range that the formulas divide by."""

GAP = 8
STRIP = 512
"""Rows drawn at a time: a large image as floats would take eight times its memory."""

Limits = tuple[float, float]
"""The cosines drawn black and bright."""


def draw_image(image: NDArray[Any], window: IntensityWindow | None) -> NDArray[np.uint8]:
    """Return an image as RGB, as the model saw it."""
    picture = np.empty((*image.shape[:2], 3), np.uint8)
    for rows in _strips(image.shape[0]):
        picture[rows] = (convert_to_rgb(image[rows], window) * 255 + 0.5).astype(np.uint8)
    return picture


def draw_heatmap(
    image: NDArray[Any],
    window: IntensityWindow | None,
    similarity: SimilarityMap,
    limits: Limits,
) -> NDArray[np.uint8]:
    """Return an image under its heatmap.

    Parameters
    ----------
    image : ndarray, shape (H, W), (H, W, 3) or (H, W, 4)
    window : IntensityWindow or None
        The window the image was embedded through.
    similarity : SimilarityMap
    limits : tuple of float
        Cosines at the ends of the colormap.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    return lay_heat(draw_image(image, window), similarity, limits)


def lay_heat(
    picture: NDArray[np.uint8], similarity: SimilarityMap, limits: Limits, step: int = 1
) -> NDArray[np.uint8]:
    """Return a picture under its heatmap.

    Parameters
    ----------
    picture : ndarray, shape (⌈H / k⌉, ⌈W / k⌉, 3)
    similarity : SimilarityMap
    limits : tuple of float
        Cosines at the ends of the colormap.
    step : int, optional
        The picture holds every k-th pixel of its image.
    """
    colours = _colours(similarity.cosine, limits)
    side, mixed = similarity.grid.patch_size, np.empty_like(picture)
    columns = np.arange(picture.shape[1]) * step // side
    for rows in _strips(picture.shape[0]):
        heat = colours[np.ix_(np.arange(rows.start, rows.stop) * step // side, columns)]
        mixed[rows] = ((1 - OPACITY) * picture[rows] + OPACITY * heat + 0.5).astype(np.uint8)
    return mixed


def outline_patches(
    picture: NDArray[np.uint8],
    grid: PatchGrid,
    points: Sequence[Point],
    colour: tuple[int, int, int] = OUTLINE,
    step: int = 1,
) -> NDArray[np.uint8]:
    """Return a picture with a frame around each clicked patch.

    Parameters
    ----------
    picture : ndarray, shape (⌈H / k⌉, ⌈W / k⌉, 3)
    grid : PatchGrid
    points : sequence of (x, y)
        In pixels of the image.
    colour : tuple of int, optional
    step : int, optional
        The picture holds every k-th pixel of its image.
    """
    framed = picture.copy()
    for x, y in points:
        (top, bottom), (left, right) = (_side(at, grid.patch_size, step) for at in (y, x))
        patch, thickness = framed[top:bottom, left:right], max(1, (bottom - top) // 8)
        inner = patch[thickness:-thickness, thickness:-thickness].copy()
        patch[:] = colour
        patch[thickness:-thickness, thickness:-thickness] = inner
    return framed


def _side(at: float, side: int, step: int) -> tuple[int, int]:
    """Return where a patch begins and ends in a picture; what is hard to see is framed wider."""
    first, end = (-(-int(at // side + more) * side // step) for more in (0, 1))
    wider = max(0, LEAST_FRAME - (end - first)) if step > 1 else 0
    return max(0, first - wider // 2), end + (wider + 1) // 2


def side_by_side(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return pictures in a row on white, their tops aligned."""
    height = max(picture.shape[0] for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + GAP * (len(pictures) - 1)
    sheet = np.full((height, width, 3), 255, np.uint8)
    left = 0
    for picture in pictures:
        sheet[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + GAP
    return sheet


def _strips(height: int) -> list[slice]:
    return [slice(start, min(start + STRIP, height)) for start in range(0, height, STRIP)]


def _colours(cosine: NDArray[np.float32], limits: Limits) -> NDArray[np.float32]:
    low, high = limits
    shown = np.clip((cosine - low) / max(high - low, LEAST_RANGE), 0, 1)
    colours: NDArray[np.float32] = _magma()[np.round(shown * 255).astype(int)]
    return colours


@functools.cache
def _magma() -> NDArray[np.float32]:
    from napari.utils.colormaps import ensure_colormap

    colours: NDArray[Any] = np.asarray(ensure_colormap("magma").map(np.linspace(0, 1, 256)))
    return colours[:, :3].astype(np.float32) * np.float32(255)


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

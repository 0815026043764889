"""Regions and labels: which patches they cover, and the vector of a region."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import ImageError, PointError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.vectors import normalize_embeddings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from napari_dinov3_sim.core.state import PatchImageState

STRIP = 512
"""Rows of pixels that are drawn at a time."""


def patch_areas(grid: PatchGrid) -> NDArray[np.int64]:
    """Return how many pixels of the unpadded image each patch has.

    Parameters
    ----------
    grid : PatchGrid

    Returns
    -------
    ndarray of int, shape (rows, columns)
    """
    heights, widths = (
        np.bincount(np.arange(size) // grid.patch_size) for size in grid.image_shape
    )
    return np.outer(heights, widths)


def is_mostly_image(grid: PatchGrid) -> NDArray[np.bool_]:
    """Mark the patches that have at least half as many pixels as the fullest one.

    Parameters
    ----------
    grid : PatchGrid

    Returns
    -------
    ndarray of bool, shape (rows * columns,)
        In row-major order. The others, at a border, are more padding than image.
    """
    areas = patch_areas(grid).ravel()
    most: NDArray[np.bool_] = 2 * areas >= areas.max()
    return most


def coverage_of_mask(mask: ArrayLike, grid: PatchGrid) -> NDArray[np.float32]:
    """Return the share of each patch's unpadded pixels that lie in a mask.

    Parameters
    ----------
    mask : array_like of bool, shape (H, W)
    grid : PatchGrid

    Returns
    -------
    ndarray of float32, shape (rows * columns,)

    Raises
    ------
    ImageError
        The mask has not the shape of the image.
    """
    inside = _checked(mask, grid).astype(bool)
    rows, columns = (np.arange(0, size, grid.patch_size) for size in grid.image_shape)
    counts = np.add.reduceat(np.add.reduceat(inside, rows, 0, np.int64), columns, 1)
    shares: NDArray[np.float32] = (counts / patch_areas(grid)).astype(np.float32)
    return shares.ravel()


def coverage_of_polygon(vertices: ArrayLike, grid: PatchGrid) -> NDArray[np.float32]:
    """Return the share of each patch's unpadded pixels that lie in a polygon.

    Parameters
    ----------
    vertices : array_like, shape (n, 2)
        Corners (x, y) in pixels, whose centres are at integers; closed by itself. One that
        crosses itself is filled by the even-odd rule.
    grid : PatchGrid

    Returns
    -------
    ndarray of float32, shape (rows * columns,)
        A pixel is inside if its centre is. Of a polygon that is thinner than a pixel, a line
        or a point among them, the pixels under its outline count. What lies outside the image
        is cut off.

    Raises
    ------
    PointError
        There is no corner, or one is not finite.
    """
    corners = np.asarray(vertices, float).reshape(-1, 2)
    if not len(corners) or not np.isfinite(corners).all():
        raise PointError("A region needs corners at finite positions; draw it again.")
    parts = [
        coverage_of_mask(_rasterize(corners - (0, top), strip.image_shape), strip)
        for top, strip in _strips(grid)
    ]
    return np.concatenate(parts)


def _strips(grid: PatchGrid) -> Iterator[tuple[int, PatchGrid]]:
    """Cut a grid into rows of patches, so that a mask of a large image is never whole."""
    height, width = grid.image_shape
    step = grid.patch_size * max(1, STRIP // grid.patch_size)
    for top in range(0, height, step):
        yield top, PatchGrid((min(step, height - top), width), grid.patch_size)


def _rasterize(corners: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    inside = fill_even_odd(corners, shape)
    if _is_thin(corners):
        x, y = np.floor(_outline(corners) + 0.5).T
        seen = (x >= 0) & (x < shape[1]) & (y >= 0) & (y < shape[0])
        inside[y[seen].astype(int), x[seen].astype(int)] = True
    return inside


def fill_even_odd(corners: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill a ring by the even-odd rule: each crossing of a row turns all to its right over.

    `skimage.draw.polygon` compares each pixel with each corner: 3.6 s for 500 corners in 2048².

    Parameters
    ----------
    corners : ndarray, shape (n, 2)
        (x, y) in pixels, whose centres are at integers; closed by itself.
    shape : (int, int)
        Rows and columns.

    Returns
    -------
    ndarray of bool, shape (rows, columns)
        Which centres of pixels are within.
    """
    height, width = shape
    after = np.roll(corners, -1, axis=0)
    # An edge crosses the rows from its upper end to just before its lower end.
    ends = np.ceil(np.sort(np.stack([corners[:, 1], after[:, 1]]), axis=0))
    first, last = np.clip(ends, 0, height).astype(int)
    edges = np.repeat(np.arange(len(corners)), last - first)
    rows = np.arange(len(edges)) - np.repeat(np.cumsum(last - first) - last, last - first)
    (x, y), (dx, dy) = corners[edges].T, (after - corners)[edges].T
    columns = np.clip(np.ceil(x + (rows - y) * dx / dy), 0, width).astype(int)
    turns = np.zeros((height, width + 1), np.uint8)
    np.add.at(turns, (rows, columns), 1)
    # Sums that pass 255 start at 0 again, and stay odd or even.
    inside: NDArray[np.bool_] = np.cumsum(turns[:, :-1], axis=1, dtype=np.uint8) % 2 == 1
    return inside


def _is_thin(corners: NDArray[np.float64]) -> bool:
    """Whether it may lie between pixel centres: its area is at most half its perimeter."""
    after = np.roll(corners, -1, axis=0)
    area = abs(np.sum(corners[:, 0] * after[:, 1] - after[:, 0] * corners[:, 1])) / 2
    return bool(2 * area <= np.hypot(*(after - corners).T).sum())


def _outline(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points along all sides, at most half a pixel apart."""
    after = np.roll(corners, -1, axis=0)
    steps = [int(2 * np.hypot(*side)) + 2 for side in after - corners]
    sides = zip(corners, after, steps, strict=True)
    return np.concatenate([np.linspace(start, end, count) for start, end, count in sides])


def label_coverages(labels: ArrayLike, grid: PatchGrid) -> dict[int, NDArray[np.float32]]:
    """Return the coverage of each label, in one pass over the pixels.

    Parameters
    ----------
    labels : array_like of int, shape (H, W)
        Ids; 0 and below are background.
    grid : PatchGrid

    Returns
    -------
    dict of int to ndarray of float32, shape (rows * columns,)
        By id, ascending; see `coverage_of_mask`.

    Raises
    ------
    ImageError
        The labels have not the shape of the image.
    """
    ids = _checked(labels, grid)
    y, x = np.nonzero(ids > 0)
    patches = y // grid.patch_size * grid.columns + x // grid.patch_size
    found, numbers = np.unique(ids[y, x], return_inverse=True)
    size = len(found) * len(grid)
    counts = np.bincount(numbers * len(grid) + patches, minlength=size).reshape(-1, len(grid))
    shares = (counts / patch_areas(grid).ravel()).astype(np.float32)
    return {int(number): share for number, share in zip(found, shares, strict=True)}


def label_shares(
    labels: ArrayLike, grid: PatchGrid
) -> Iterator[tuple[int, NDArray[np.intp], NDArray[np.float32]]]:
    """Yield the patches that each label covers, and how much of each: also of 10,000 labels.

    Parameters
    ----------
    labels : array_like of int, shape (H, W)
        Ids; 0 and below are background.
    grid : PatchGrid

    Yields
    ------
    int
        Ids, ascending.
    ndarray of int, shape (n,)
        Numbers of the patches that it covers, ascending.
    ndarray of float32, shape (n,)
        The share of the unpadded pixels of each that it covers; see `coverage_of_mask`.

    Raises
    ------
    ImageError
        The labels have not the shape of the image.
    """
    ids = _checked(labels, grid)
    y, x = np.nonzero(ids > 0)
    patches = y // grid.patch_size * grid.columns + x // grid.patch_size
    found, numbers = np.unique(ids[y, x], return_inverse=True)
    pairs = numbers * len(grid) + patches
    if len(found) * len(grid) <= COUNTED:
        dense = np.bincount(pairs, minlength=len(found) * len(grid))
        covered = np.flatnonzero(dense)
        counts = dense[covered]
    else:  # most labels cover few patches, and a table of all with all has no room
        covered, counts = np.unique(pairs, return_counts=True)
    areas, owners = patch_areas(grid).ravel(), covered // len(grid)
    ends = np.searchsorted(owners, np.arange(len(found) + 1))
    for number, (start, end) in enumerate(pairwise(ends.tolist())):
        own = covered[start:end] % len(grid)
        yield int(found[number]), own, (counts[start:end] / areas[own]).astype(np.float32)


COUNTED = 2**24
"""Pairs of labels and patches up to which each is counted in a table, in 128 MiB."""


def region_vector(state: PatchImageState, coverage: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return one vector for a region: the mean of its patches, weighted by coverage.

    Parameters
    ----------
    state : PatchImageState
    coverage : ndarray, shape (rows * columns,)
        Weight of each patch, for example from `coverage_of_polygon`.

    Returns
    -------
    ndarray of float32, shape (D,)
        Unit vector.

    Raises
    ------
    PointError
        The region covers no patch.
    """
    covered = np.flatnonzero(coverage > 0)
    if not len(covered):
        raise PointError("The region covers no part of the image; draw it over the image.")
    return shares_vector(state, covered, np.asarray(coverage, np.float32)[covered])


def shares_vector(
    state: PatchImageState, patches: NDArray[np.intp], shares: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the vector of a region by the patches that it covers, and how much of each.

    Parameters
    ----------
    state : PatchImageState
    patches : ndarray of int, shape (n,)
        At least one.
    shares : ndarray of float32, shape (n,)

    Returns
    -------
    ndarray of float32, shape (D,)
        As `region_vector` has it.
    """
    vectors = state.vectors[patches].astype(np.float32)
    return normalize_embeddings(shares @ vectors / shares.sum())


def _checked(array: ArrayLike, grid: PatchGrid) -> NDArray[Any]:
    values = np.asarray(array)
    if values.shape != grid.image_shape:
        raise ImageError(
            f"A region of shape {values.shape} does not fit an image of shape "
            f"{grid.image_shape}; give one value per pixel of the image."
        )
    return values

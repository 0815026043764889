"""The objects of a plane: their labels, their number and area, the lines around them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.session.images.planes import level_ratios, patch_borders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.objects.labelling import ObjectRules
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.objects.pixel_scores import PixelScores, SearchedPlane


@dataclass(frozen=True, eq=False)
class ObjectRequest:
    """A plane, a class and a threshold of which objects are wanted.

    Attributes
    ----------
    searched : SearchedPlane
    class_name : str
    cosine : ndarray of float32, shape (rows, columns)
    grid : PatchGrid
    threshold : float
    shown : bool
        Whether lines are wanted too.
    """

    searched: SearchedPlane
    class_name: str
    cosine: NDArray[np.float32] = field(repr=False)
    grid: PatchGrid
    threshold: float
    shown: bool

    @property
    def key(self) -> tuple[PlaneKey, str]:
        """The plane and the class."""
        return self.searched.plane.key, self.class_name


@dataclass(frozen=True, eq=False)
class PlaneObjects:
    """What is found of one class in one plane.

    Attributes
    ----------
    request : ObjectRequest
        What it answers.
    objects : int
    area, pixels : int
        Of the objects and of the plane, in pixels of level 0.
    lines : ndarray, shape (n, 2, ndim), or None
        Start and direction of each line around an object, in the data of the layer; they lie
        between pixels. None where they were not wanted.
    problem : str
        Why objects have no edges, although they were wanted; empty if they have.
    """

    request: ObjectRequest
    objects: int
    area: int
    pixels: int
    lines: NDArray[np.float64] | None = field(repr=False)
    problem: str = ""

    def answers(self, request: ObjectRequest) -> bool:
        """Whether it is what another request would find."""
        mine = self.request
        return (
            mine.threshold == request.threshold
            and mine.searched.rules == request.searched.rules
            and mine.searched.edges == request.searched.edges
            and mine.searched.digest == request.searched.digest
            and mine.grid == request.grid
            and (self.lines is not None or not request.shown)
            and np.array_equal(mine.cosine, request.cosine)
        )


def find_objects(request: ObjectRequest, scores: PixelScores) -> PlaneObjects:
    """Return what is found of one class in one plane."""
    labels, grid = label_plane(request, scores)
    plane = request.searched.plane
    heights, widths = (np.diff(borders) for borders in patch_borders(plane, grid))
    found = labels > 0
    # Where every pixel is one of level 0, it is enough to count them.
    whole = len(labels) == plane.shape[plane.key.axes[0]] and level_ratios(plane).max() == 1
    area = int(np.count_nonzero(found) if whole else heights @ (found @ widths))
    lines = boundary_vectors(labels, plane, grid) if request.shown else None
    edges = request.searched.edges
    problem = scores.problem(request.searched) if edges else ""
    pixels = int(heights.sum() * widths.sum())
    return PlaneObjects(request, int(labels.max(initial=0)), area, pixels, lines, problem)


def label_plane(
    request: ObjectRequest, scores: PixelScores
) -> tuple[NDArray[np.int32], PatchGrid]:
    """Return the objects of one class in one plane.

    Returns
    -------
    labels : ndarray of int32, shape (rows, columns)
        Numbered from 1; 0 where nothing is found.
    grid : PatchGrid
        What an element is: a patch, or a pixel of the embedded level.
    """
    from napari_dinov3_sim.core.objects.labelling import label_objects, label_patches
    from napari_dinov3_sim.core.search.similarity import SimilarityMap

    searched, grid = request.searched, request.grid
    rules = _in_level(searched.rules, float(level_ratios(searched.plane).prod()))
    if searched.edges:
        pixels = scores.of(searched, request.class_name, request.cosine, grid)
        if pixels is not None:
            labels = label_objects(pixels, request.threshold, rules, grid.patch_size)
            return labels, pixel_grid(grid)
    similarity = SimilarityMap(request.cosine, grid)
    return label_patches(similarity, request.threshold, rules), grid


def pixel_grid(grid: PatchGrid) -> PatchGrid:
    """Return the grid of the same image whose patches are its pixels."""
    return PatchGrid(grid.image_shape, 1)


def _in_level(rules: ObjectRules, ratio: float) -> ObjectRules:
    return replace(rules, min_area=rules.min_area / ratio, max_area=rules.max_area / ratio)


def boundary_vectors(
    labels: NDArray[np.int32], plane: Plane, grid: PatchGrid
) -> NDArray[np.float64]:
    """Return the lines around objects.

    Parameters
    ----------
    labels : ndarray of int, shape (rows, columns)
    plane : Plane
    grid : PatchGrid
        What an element of the labels is.

    Returns
    -------
    ndarray, shape (n, 2, ndim)
        Start and direction of each line, in the data of the layer; they lie between pixels.
    """
    borders = [border - 0.5 for border in patch_borders(plane, grid)]
    padded = np.pad(labels, 1)
    vectors = []
    for along, across in ((1, 0), (0, 1)):
        changes = padded[1:] != padded[:-1] if across == 0 else padded[:, 1:] != padded[:, :-1]
        inner = changes[:, 1:-1] if along == 1 else changes[1:-1].T
        line, start, end = _runs(inner)
        lines = np.zeros((len(line), 2, len(plane.shape)))
        for axis, index in plane.key.position:
            lines[:, 0, axis] = index
        lines[:, 0, plane.key.axes[across]] = borders[across][line]
        lines[:, 0, plane.key.axes[along]] = borders[along][start]
        lines[:, 1, plane.key.axes[along]] = borders[along][end] - borders[along][start]
        vectors.append(lines)
    return np.concatenate(vectors)


def _runs(marked: NDArray[np.bool_]) -> Iterable[NDArray[np.intp]]:
    """Return row, first column and the column after the last of each run of marked elements."""
    steps = np.diff(np.pad(marked, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    return rows, starts, ends

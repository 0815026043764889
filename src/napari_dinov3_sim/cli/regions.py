"""Regions of a file as queries: ``similarity --regions``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.cli.errors import UsageError
from napari_dinov3_sim.core.images.levels import embedded_position
from napari_dinov3_sim.exchange.outlines import draw, mask_of
from napari_dinov3_sim.exchange.region_files import read_regions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinov3_sim.cli.planes import SearchPlane
    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.search.similarity import Point
    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.exchange.region_files import LabelRegion, RegionFile
    from napari_dinov3_sim.exchange.shapes import Shape


@dataclass(frozen=True, eq=False)
class RegionVector:
    """What a region asks.

    Attributes
    ----------
    class_name : str
    positive : bool
    vector : ndarray of float32, shape (D,)
    place : (x, y)
        Middle of the patch of which it covers most, in embedded pixels.
    """

    class_name: str
    positive: bool
    vector: NDArray[np.float32]
    place: Point


@dataclass(frozen=True, eq=False)
class QueryRegions:
    """The regions of a file.

    Attributes
    ----------
    file : RegionFile
    default : str
        The class of those that name none.
    """

    file: RegionFile
    default: str

    @classmethod
    def read(cls, path: Path, default: str) -> QueryRegions:
        """Read a file; raises `ExchangeError` where it cannot be."""
        return cls(read_regions(path), default)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that are marked, each once."""
        return tuple(dict.fromkeys(name or self.default for name in self.file.classes))

    @property
    def colours(self) -> dict[str, str]:
        """The colours that the file gives to classes."""
        return self.file.colours

    def vectors(self, place: SearchPlane, state: PatchImageState) -> list[RegionVector]:
        """Return what the regions on a plane ask.

        Parameters
        ----------
        place : SearchPlane
            The plane that they are marked on.
        state : PatchImageState
            Its embeddings.

        Raises
        ------
        UsageError
            None of them lies on it, or labels have another size.
        """
        from napari_dinov3_sim.core.search.peaks import patch_center
        from napari_dinov3_sim.core.search.regions import shares_vector

        found = []
        for name, positive, patches, shares in self._shares(place, state.grid):
            if len(patches):
                row, column = divmod(int(patches[shares.argmax()]), state.grid.columns)
                middle = patch_center(row, column, state.grid)
                vector = shares_vector(state, patches, shares)
                found.append(RegionVector(name or self.default, positive, vector, middle))
        if not found:
            height, width = place.plan.full_shape
            raise UsageError(
                f"None of the regions of {self.file.path} lies on {place.name}, which has {width} "
                f"× {height} pixels; name the image that they were drawn on, and its plane with "
                "--plane."
            )
        return found

    def _shares(self, place: SearchPlane, grid: PatchGrid) -> Iterator[_Region]:
        """Yield class and sign of each region, the patches it covers, and how much of each."""
        from napari_dinov3_sim.core.search.regions import label_shares

        shapes = [shape for shape in self.file.shapes if _is_on(shape, place)]
        areas = [shape for shape in shapes if shape.geometry == "area"]
        if len(areas) > MOST_DRAWN:
            yield from _many_areas(areas, place, grid)
            shapes = [shape for shape in shapes if shape.geometry != "area"]
        for shape in shapes:
            for coverage in _coverages_of(shape, place, grid):
                covered = np.flatnonzero(coverage)
                yield shape.class_name, shape.positive, covered, coverage[covered]
        for labels in self.file.labels:
            over = _labels_over(labels, place, grid, self.file.path)
            for _, patches, shares in label_shares(over, grid):
                yield labels.class_name, True, patches, shares


_Region = tuple["str | None", bool, "NDArray[np.intp]", "NDArray[np.float32]"]

MOST_DRAWN = 50
"""Areas up to which each is drawn over the whole plane; more are drawn as labels, in one."""


def _many_areas(areas: list[Shape], place: SearchPlane, grid: PatchGrid) -> Iterator[_Region]:
    """Yield what areas that do not overlap cover; where they do, the last one counts."""
    from napari_dinov3_sim.core.search.regions import label_shares

    drawn = np.zeros(grid.image_shape, np.int32)
    across = np.array(place.ratios)
    for number, shape in enumerate(areas, start=1):
        draw(drawn, [np.asarray(ring) / across for ring in shape.rings], number)
    for number, patches, shares in label_shares(drawn, grid):
        shape = areas[number - 1]
        yield shape.class_name, shape.positive, patches, shares


def _is_on(shape: Shape, place: SearchPlane) -> bool:
    """Whether a shape names this plane, or none."""
    full = place.plan.full_leading
    for at, named in enumerate(shape.plane.along(place.plan.stack_axes)):
        wanted = None if named is None or named >= full[at] else named
        if named is not None and (
            wanted is None
            or embedded_position((wanted,), (full[at],), (place.plan.leading[at],))
            != (place.position[at],)
        ):
            return False
    return True


def _coverages_of(
    shape: Shape, place: SearchPlane, grid: PatchGrid
) -> Iterator[NDArray[np.float32]]:
    from napari_dinov3_sim.core.search.regions import coverage_of_mask, coverage_of_polygon

    across = np.array(place.ratios)
    if shape.geometry == "area" and len(shape.rings) == 1:
        yield coverage_of_polygon(np.asarray(shape.rings[0]) / across - 0.5, grid)
    elif shape.geometry == "area":
        rings = [np.asarray(ring) / across for ring in shape.rings]
        yield coverage_of_mask(mask_of(rings, grid.image_shape), grid)
    elif shape.places is not None and shape.geometry == "line":
        line = np.asarray(shape.places) / across - 0.5
        yield coverage_of_polygon(np.concatenate([line, line[-2:0:-1]]), grid)
    elif shape.places is not None:
        for x, y in np.floor(np.asarray(shape.places) / across).astype(int).tolist():
            coverage = np.zeros(len(grid), np.float32)
            if grid.contains(x, y):
                coverage[y // grid.patch_size * grid.columns + x // grid.patch_size] = 1
            yield coverage


def _labels_over(
    one: LabelRegion, place: SearchPlane, grid: PatchGrid, path: Path
) -> NDArray[np.int64]:
    """Return the label in the middle of each embedded pixel."""
    labels, full = np.asarray(one.labels), place.plan.full_shape
    leading = place.plan.full_leading
    if labels.shape == (*leading, *full) and leading:
        labels = labels[place.full_position]
    if labels.shape not in (full, grid.image_shape):
        raise UsageError(
            f"The labels of {path} have the shape {labels.shape}, and {place.path} has "
            f"{(*leading, *full)}; name the labels of this image."
        )
    rows, columns = (
        np.floor((np.arange(size) + 0.5) * there / size).astype(int)
        for size, there in zip(grid.image_shape, labels.shape, strict=True)
    )
    over: NDArray[np.int64] = labels[np.ix_(rows, columns)].astype(np.int64)
    return over

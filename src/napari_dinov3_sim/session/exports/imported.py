"""Regions of other programs, made ready for layers in the worker, and the layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.exchange.outlines import draw
from napari_dinov3_sim.exchange.region_files import read_regions
from napari_dinov3_sim.exchange.shapes import ExchangeError
from napari_dinov3_sim.session.query.point_features import CLASS, SIGN, PointRole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinov3_sim.exchange.objects import ImagePlacement
    from napari_dinov3_sim.exchange.region_files import RegionFile
    from napari_dinov3_sim.exchange.shapes import Shape

MAX_SHAPES = 50
"""Areas up to which each is a shape that can be moved; napari takes 1 to 2 ms to make one. More
are labels, and so are those with holes or of several parts, which napari's shapes have not."""

MAX_ELEMENTS = 2**28
"""Of an image that is laid over with labels."""


@dataclass(frozen=True, eq=False)
class LabelLayer:
    """Objects of one class and sign over an image."""

    role: PointRole
    labels: NDArray[Any] = field(repr=False)
    count: int

    @property
    def planes(self) -> tuple[tuple[int, ...], ...]:
        """The planes that have labels, along the axes before rows and columns."""
        labelled = np.argwhere((self.labels > 0).any(axis=(-2, -1)))
        return tuple(tuple(place) for place in labelled.tolist())


@dataclass(frozen=True, eq=False)
class ImportedRegions:
    """What a file gives for one image, in coordinates of its data.

    Attributes
    ----------
    path : Path
    corners : tuple of ndarray, shape (n, ndim)
        Of each shape.
    types : tuple of str
        'polygon' or 'path', for each shape.
    roles : tuple of PointRole
    points : tuple of (ndarray, PointRole)
    labels : tuple of LabelLayer
    colours : mapping of str to str
        Of the classes, as the file has them.
    outside : int
        How many more lie beside the image.
    """

    path: Path
    corners: tuple[NDArray[np.float64], ...] = field(default=(), repr=False)
    types: tuple[str, ...] = ()
    roles: tuple[PointRole, ...] = ()
    points: tuple[tuple[NDArray[np.float64], PointRole], ...] = ()
    labels: tuple[LabelLayer, ...] = ()
    colours: Mapping[str, str] = field(default_factory=dict)
    outside: int = 0

    def count_classes(self) -> Counter[str]:
        """Return how many regions and points are of which class."""
        found = Counter(role.class_name for role in self.roles)
        found.update(role.class_name for _, role in self.points)
        for layer in self.labels:
            found[layer.role.class_name] += layer.count
        return found

    def features(self) -> dict[str, NDArray[Any]]:
        """Return the columns of the shapes."""
        return {
            CLASS: np.array([role.class_name for role in self.roles], object),
            SIGN: np.array([role.sign for role in self.roles], object),
        }


def import_file(
    path: Path, placement: ImagePlacement, shown: tuple[int, ...], default: str
) -> Iterator[ImportedRegions]:
    """Read the regions of a file for an image.

    Parameters
    ----------
    path : Path
    placement : ImagePlacement
        Of the image that they were drawn on.
    shown : tuple of int
        Where the plane lies that is shown, along the axes of files before rows and columns;
        regions that name no plane of a stack lie on it.
    default : str
        The class of those that name none.

    Raises
    ------
    ExchangeError
        The file cannot be read, or nothing in it lies on the image.
    """
    file = read_regions(path)
    found = _Placed(placement, shown, default)
    regions = found.of_labels(file) if file.labels else found.of_shapes(file)
    if not sum(regions.count_classes().values()):
        height, width = placement.shape[-2:]
        raise ExchangeError(
            f"None of the {regions.outside} regions of {path.name} lies on {placement.name}, "
            f"which has {width} × {height} pixels; choose the image that they were drawn on."
        )
    yield regions


@dataclass(frozen=True, eq=False)
class _Placed:
    placement: ImagePlacement
    shown: tuple[int, ...]
    default: str

    def of_shapes(self, file: RegionFile) -> ImportedRegions:
        inside = [(shape, plane) for shape in file.shapes if (plane := self._plane(shape))]
        areas = [(shape, plane) for shape, plane in inside if shape.geometry == "area"]
        drawn = [one for one in areas if len(one[0].rings) == 1]
        drawn = drawn if len(drawn) <= MAX_SHAPES else []
        labelled = [one for one in areas if one not in drawn]
        drawn += [one for one in inside if one[0].geometry == "line"]
        corners, types, roles = [], [], []
        for shape, plane in drawn:
            line = shape.geometry == "line"
            places = shape.places if line else shape.rings[0]
            corners.append(self._data(np.asarray(places, float), plane[0]))
            types.append("path" if line else "polygon")
            roles.append(self._role(shape))
        points = [
            (place, self._role(shape))
            for shape, plane in inside
            if shape.geometry == "points"
            for place in self._data(np.asarray(shape.places, float), plane[0])
            if self._holds(place)
        ]
        return ImportedRegions(
            file.path,
            tuple(corners),
            tuple(types),
            tuple(roles),
            tuple(points),
            tuple(self._labelled(labelled)) if labelled else (),
            file.colours,
            len(file.shapes) - len(inside),
        )

    def _role(self, shape: Shape) -> PointRole:
        return PointRole(shape.class_name or self.default, shape.positive)

    def _plane(self, shape: Shape) -> tuple[tuple[int, ...]] | None:
        """Return the plane of a shape that reaches into the image; None of another."""
        leading = [axis.name for axis in self.placement.axes[:-2]]
        named = shape.plane.along(leading)
        plane = tuple(
            shown if at is None else at for at, shown in zip(named, self.shown, strict=True)
        )
        sizes = [self.placement.shape[axis] for axis in self.placement.order[:-2]]
        if any(not 0 <= at < size for at, size in zip(plane, sizes, strict=True)):
            return None
        places = np.concatenate(shape.rings) if shape.rings else np.asarray(shape.places, float)
        height, width = self.placement.shape[-2:]
        reaches = (places.max(0) > 0).all() and (places.min(0) < (width, height)).all()
        return (plane,) if reaches else None

    def _data(self, places: NDArray[np.float64], plane: tuple[int, ...]) -> NDArray[np.float64]:
        """Return places (x, y) as napari has them: the centre of the first pixel is at 0."""
        data = np.zeros((len(places), len(self.placement.shape)))
        for axis, at in zip(self.placement.order[:-2], plane, strict=True):
            data[:, axis] = at
        data[:, -2:] = places[:, ::-1] - 0.5
        return data

    def _holds(self, place: NDArray[np.float64]) -> bool:
        pixel = np.floor(place[-2:] + 0.5)
        return bool((pixel >= 0).all() and (pixel < self.placement.shape[-2:]).all())

    def _labelled(
        self, areas: Sequence[tuple[Shape, tuple[tuple[int, ...]]]]
    ) -> Iterator[LabelLayer]:
        self._check_size()
        by_role: dict[PointRole, list[tuple[Shape, tuple[int, ...]]]] = {}
        for shape, plane in areas:
            by_role.setdefault(self._role(shape), []).append((shape, plane[0]))
        for role, shapes in by_role.items():
            dtype = np.uint16 if len(shapes) < 2**16 else np.int32
            labels: NDArray[Any] = np.zeros(self.placement.shape, dtype)
            for number, (shape, place) in enumerate(shapes, start=1):
                part = self.placement.index(place, 0, labels.shape[-2])
                draw(labels[part], shape.rings, number)
            yield LabelLayer(role, labels, len(shapes))

    def _check_size(self) -> None:
        if np.prod(self.placement.shape) > MAX_ELEMENTS:
            raise ExchangeError(
                f"More than {MAX_SHAPES} regions, and those with holes, become labels, and "
                f"{self.placement.name} is too large for them; export fewer regions, without "
                "holes."
            )

    def of_labels(self, file: RegionFile) -> ImportedRegions:
        layers = []
        for one in file.labels:
            labels = np.asarray(one.labels)
            if labels.shape not in (self.placement.shape, self.placement.shape[-2:]):
                raise SimilarityError(
                    f"The labels of {file.path.name} have the shape {labels.shape}, and "
                    f"{self.placement.name} has {self.placement.shape}; choose the image that "
                    "they belong to."
                )
            count = len(np.unique(labels[labels > 0]))
            if count:
                role = PointRole(one.class_name or self.default)
                layers.append(LabelLayer(role, labels, count))
        return ImportedRegions(file.path, labels=tuple(layers))

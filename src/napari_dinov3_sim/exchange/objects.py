"""The objects of an image in every format: outlines, labels, masks."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_dinov3_sim.exchange.geojson import write_geojson
from napari_dinov3_sim.exchange.imagej import write_rois
from napari_dinov3_sim.exchange.ome_tiff import PlaneStack, write_ome_tiff
from napari_dinov3_sim.exchange.ome_zarr import LabelImage, write_ome_zarr
from napari_dinov3_sim.exchange.outlines import trace_labels
from napari_dinov3_sim.exchange.pictures import write_label_png
from napari_dinov3_sim.exchange.placement import Axis
from napari_dinov3_sim.exchange.shapes import ExchangeError, Polygon, Shape, StackPlace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

    Step = Callable[..., None]
    """Called before each plane, with anything; may raise, which ends the writing."""

ObjectFormat = Literal["geojson", "imagej", "ome-tiff", "ome-zarr", "png"]

FILE_ORDER = "tczyx"
"""In which the files of other programs have their axes."""

SUFFIXES: dict[str, str] = {
    "geojson": ".geojson",
    "imagej": ".rois.zip",
    "ome-tiff": ".labels.ome.tif",
    "ome-zarr": ".ome.zarr",
    "png": ".labels.png",
    "heatmaps": ".heatmap.ome.tif",
    "npz": ".embeddings.npz",
    "zarr": ".embeddings.zarr",
    "query": ".query.geojson",
}
"""How the files of each sort end."""


@dataclass(frozen=True, eq=False)
class ImagePlacement:
    """An image as files describe it.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Of the data at level 0, without colours.
    axes : tuple of Axis
        In the order of files.
    order : tuple of int
        Which axis of the data each is; the last two are rows and columns.
    ratios : (float, float)
        Pixels of level 0 that one of the data spans, along x and y.
    place : StackPlace, optional
        Of a plane that is all there is of a stack: where it lies in it.
    """

    name: str
    shape: tuple[int, ...]
    axes: tuple[Axis, ...]
    order: tuple[int, ...]
    ratios: tuple[float, float] = (1.0, 1.0)
    place: StackPlace | None = None

    @property
    def planes(self) -> int:
        """How many planes along rows and columns it has."""
        return int(np.prod(self.shape[:-2]))

    def stack(self, data: Any, dtype: DTypeLike, channel: str = "") -> PlaneStack:
        """Return an array over the image as it is written."""
        shape = tuple(self.shape[at] for at in self.order)

        def read(plane: tuple[int, ...], top: int, end: int) -> NDArray[Any]:
            return np.asarray(data[self.index(plane, top, end)])

        return PlaneStack(shape, dtype, self.axes, read, (channel,))

    def index(self, plane: tuple[int, ...], top: int, end: int) -> tuple[int | slice, ...]:
        """Return where rows of a plane, by its place in the order of files, are in the data."""
        index: list[int | slice] = [slice(None)] * len(self.shape)
        index[-2] = slice(top, end)
        for at, place in zip(self.order, plane, strict=False):
            index[at] = place
        return tuple(index)

    def stack_place(self, plane: tuple[int, ...]) -> StackPlace:
        """Return a plane, by its place in the order of files, as other programs name it."""
        if self.place is not None:
            return self.place
        leading = [axis.name for axis in self.axes[:-2]]
        return StackPlace(**dict(zip(leading, plane, strict=True)))

    def at_level_0(self, polygon: Polygon) -> Polygon:
        """Return a polygon of the data in pixels of level 0."""
        if self.ratios == (1.0, 1.0):
            return polygon
        exterior, *holes = (np.asarray(ring, float) * self.ratios for ring in polygon.rings)
        return Polygon(exterior, tuple(holes))


def with_channels(stacks: Sequence[PlaneStack], placement: ImagePlacement) -> PlaneStack:
    """Return the arrays of several classes as the channels of one file.

    Raises
    ------
    ExchangeError
        The image has an axis of channels of its own.
    """
    if len(stacks) == 1:
        return stacks[0]
    names = [axis.name for axis in placement.axes]
    if "c" in names:
        raise ExchangeError(
            f"{placement.name} has channels of its own, and an OME-TIFF has no second axis for "
            f"{len(stacks)} classes; export as OME-Zarr, or with one class alone."
        )
    at = 1 if names[0] == "t" else 0
    first = stacks[0]
    shape = (*first.shape[:at], len(stacks), *first.shape[at:])
    axes = (*first.axes[:at], Axis("c"), *first.axes[at:])

    def read(plane: tuple[int, ...], top: int, end: int) -> NDArray[Any]:
        return stacks[plane[at]].read((*plane[:at], *plane[at + 1 :]), top, end)

    channels = tuple(channel for stack in stacks for channel in stack.channels)
    dtype = np.result_type(*(stack.dtype for stack in stacks))
    return PlaneStack(shape, dtype, axes, read, channels)


@dataclass(frozen=True, eq=False)
class ObjectNumbers:
    """The measurements of a Labels layer.

    Attributes
    ----------
    labels : ndarray, shape (n,)
    columns : mapping of str to ndarray, shape (n,)
        Numbers only.
    """

    labels: NDArray[Any] = field(repr=False)
    columns: Mapping[str, NDArray[Any]] = field(repr=False)

    def by_label(self) -> dict[int, dict[str, float]]:
        """Return the measurements of each object."""
        columns = {name: values.tolist() for name, values in self.columns.items()}
        return {
            int(label): {name: float(values[row]) for name, values in columns.items()}
            for row, label in enumerate(self.labels.tolist())
            if label == label  # noqa: PLR0124 - NaN is no label
        }


@dataclass(frozen=True, eq=False)
class ClassObjects:
    """The objects of one class in one image: its Labels layer as it is now."""

    class_name: str
    colour: str
    labels: Any = field(repr=False)
    measured: ObjectNumbers

    @property
    def dtype(self) -> np.dtype[Any]:
        """In which its labels are written: as they are if every program reads it."""
        dtype = np.dtype(self.labels.dtype)
        return dtype if dtype in (np.uint8, np.uint16, np.int32) else np.dtype(np.int32)


@dataclass(frozen=True, eq=False)
class ImageObjects:
    """All objects of one image."""

    placement: ImagePlacement
    classes: tuple[ClassObjects, ...]


def object_shapes(image: ImageObjects, step: Step) -> Iterator[Shape]:
    """Yield the objects of an image, plane by plane of each class, with exact outlines.

    Parameters
    ----------
    image : ImageObjects
    step : callable
        Called before each plane.
    """
    placement = image.placement
    sizes = [placement.shape[at] for at in placement.order[:-2]]
    for one in image.classes:
        measured = one.measured.by_label()
        for plane in product(*map(range, sizes)):
            step()

            def read(top: int, end: int, plane: Any = plane, data: Any = one.labels) -> Any:
                return np.asarray(data[placement.index(plane, top, end)])

            rows, columns = placement.shape[-2:]
            where = placement.stack_place(plane)
            for label, polygons in trace_labels(read, (rows, columns)).items():
                yield Shape(
                    polygons=tuple(placement.at_level_0(polygon) for polygon in polygons),
                    class_name=one.class_name,
                    colour=one.colour,
                    name=f"{one.class_name} {label}",
                    plane=where,
                    measurements=measured.get(label, {}),
                )


def write_image_objects(
    image: ImageObjects, path: Path, file_format: ObjectFormat, step: Step
) -> int:
    """Write the objects of an image.

    Parameters
    ----------
    image : ImageObjects
    path : Path
        Written as it is; see `exchange.files.written`.
    file_format : {'geojson', 'imagej', 'ome-tiff', 'ome-zarr', 'png'}
    step : callable
        Called before each plane of each class.

    Returns
    -------
    int
        How many objects there are, or label images.
    """
    return _WRITERS[file_format](image, path, step)


def _geojson(image: ImageObjects, part: Path, step: Step) -> int:
    return write_geojson(object_shapes(image, step), part)


def _imagej(image: ImageObjects, part: Path, step: Step) -> int:
    return write_rois(object_shapes(image, step), part)


def _ome_tiff(image: ImageObjects, part: Path, step: Step) -> int:
    placement = image.placement
    stacks = [placement.stack(one.labels, one.dtype, one.class_name) for one in image.classes]
    write_ome_tiff(part, with_channels(stacks, placement), step)
    return len(stacks)


def _ome_zarr(image: ImageObjects, part: Path, step: Step) -> int:
    images = [
        LabelImage(
            one.class_name,
            one.colour,
            image.placement.stack(one.labels, one.dtype),
            one.measured.by_label(),
        )
        for one in image.classes
    ]
    write_ome_zarr(part, images, check=step)
    return len(images)


def _png(image: ImageObjects, part: Path, step: Step) -> int:
    placement = image.placement
    if placement.planes > 1 or len(image.classes) > 1:
        raise ExchangeError(
            f"{placement.name} has {placement.planes} planes and {len(image.classes)} classes, "
            "and a PNG holds one of each; export as OME-TIFF instead."
        )
    step()
    rows, columns = placement.shape[-2:]
    at = placement.index((0,) * (len(placement.shape) - 2), 0, rows)
    labels = np.asarray(image.classes[0].labels[at]).reshape(rows, columns)
    write_label_png(part, labels, placement.axes[-2:])
    return 1


_WRITERS: dict[ObjectFormat, Callable[[ImageObjects, Path, Step], int]] = {
    "geojson": _geojson,
    "imagej": _imagej,
    "ome-tiff": _ome_tiff,
    "ome-zarr": _ome_zarr,
    "png": _png,
}

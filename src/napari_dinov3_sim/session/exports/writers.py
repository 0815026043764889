"""Writing files in the worker: one after the other, each whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_dinov3_sim.exchange.embeddings import (
    EmbeddingTable,
    PlaneEmbeddings,
    patch_centres,
    write_embedding_zarr,
    write_npz,
)
from napari_dinov3_sim.exchange.files import written
from napari_dinov3_sim.exchange.geojson import write_geojson
from napari_dinov3_sim.exchange.imagej import write_rois
from napari_dinov3_sim.exchange.ome_tiff import write_ome_tiff
from napari_dinov3_sim.exchange.ome_zarr import LabelImage, write_ome_zarr
from napari_dinov3_sim.exchange.outlines import trace_labels
from napari_dinov3_sim.exchange.pictures import write_label_png
from napari_dinov3_sim.exchange.shapes import ExchangeError, Shape
from napari_dinov3_sim.session.exports.sources import with_channels
from napari_dinov3_sim.session.images.planes import data_coordinates
from napari_dinov3_sim.session.results.computations import state_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_dinov3_sim.session.exports.sources import ImageHeatmaps, ImageObjects
    from napari_dinov3_sim.session.images.transforms import PlaneTransform
    from napari_dinov3_sim.session.results.computations import EmbeddedPlane
    from napari_dinov3_sim.session.results.result_jobs import Check
    from napari_dinov3_sim.store import EmbeddingStore

ObjectFormat = Literal["geojson", "imagej", "ome-tiff", "ome-zarr", "png"]
EmbeddingFormat = Literal["npz", "zarr"]


@dataclass(frozen=True)
class Written:
    """A file that was written, and how many things are in it."""

    path: Path
    count: int


@dataclass(eq=False)
class _Progress:
    """Counts planes over all files, for one progress."""

    check: Check
    total: int
    done: int = field(default=0)

    def step(self, *_: int) -> None:
        """Tell that one more is begun; raises if the work was given up."""
        self.check(min(self.done, self.total), self.total)
        self.done += 1


def write_objects(
    images: Sequence[ImageObjects],
    paths: Sequence[Path],
    file_format: ObjectFormat,
    check: Check,
    *,
    overwrite: bool = False,
) -> Iterator[Written]:
    """Write the objects of each image to its file.

    Parameters
    ----------
    images : sequence of ImageObjects
    paths : sequence of Path
        One for each image.
    file_format : {'geojson', 'imagej', 'ome-tiff', 'ome-zarr', 'png'}
    check : callable
        Called for each plane of each class; see `ResultJobs.start_long`.
    overwrite : bool, optional
        Whether files that are there are replaced.
    """
    total = sum(image.placement.planes * len(image.classes) for image in images)
    progress = _Progress(check, total)
    for image, path in zip(images, paths, strict=True):
        with written(path, "objects", overwrite=overwrite) as part:
            count = _OBJECTS[file_format](image, part, progress)
        yield Written(path, count)


def object_shapes(image: ImageObjects, step: Callable[..., None]) -> Iterator[Shape]:
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
                    polygons=polygons,
                    class_name=one.class_name,
                    colour=one.colour,
                    name=f"{one.class_name} {label}",
                    plane=where,
                    measurements=measured.get(label, {}),
                )


def _geojson(image: ImageObjects, part: Path, progress: _Progress) -> int:
    return write_geojson(object_shapes(image, progress.step), part)


def _imagej(image: ImageObjects, part: Path, progress: _Progress) -> int:
    return write_rois(object_shapes(image, progress.step), part)


def _ome_tiff(image: ImageObjects, part: Path, progress: _Progress) -> int:
    placement = image.placement
    stacks = [placement.stack(one.labels, one.dtype, one.class_name) for one in image.classes]
    write_ome_tiff(part, with_channels(stacks, placement), progress.step)
    return len(stacks)


def _ome_zarr(image: ImageObjects, part: Path, progress: _Progress) -> int:
    images = [
        LabelImage(
            one.class_name,
            one.colour,
            image.placement.stack(one.labels, one.dtype),
            one.measured.by_label(),
        )
        for one in image.classes
    ]
    write_ome_zarr(part, images, check=progress.step)
    return len(images)


def _png(image: ImageObjects, part: Path, progress: _Progress) -> int:
    placement = image.placement
    if placement.planes > 1 or len(image.classes) > 1:
        raise ExchangeError(
            f"{placement.name} has {placement.planes} planes and {len(image.classes)} classes, "
            "and a PNG holds one of each; export as OME-TIFF instead."
        )
    progress.step()
    labels = np.asarray(image.classes[0].labels).reshape(placement.shape[-2:])
    write_label_png(part, labels, placement.axes[-2:])
    return 1


_OBJECTS: dict[ObjectFormat, Callable[[ImageObjects, Path, _Progress], int]] = {
    "geojson": _geojson,
    "imagej": _imagej,
    "ome-tiff": _ome_tiff,
    "ome-zarr": _ome_zarr,
    "png": _png,
}

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


def write_heatmaps(
    images: Sequence[ImageHeatmaps],
    paths: Sequence[Path],
    check: Check,
    *,
    overwrite: bool = False,
) -> Iterator[Written]:
    """Write the raw cosines of each image to its file, a channel for each class.

    Where a plane of a stack was not searched they are NaN.
    """
    progress = _Progress(check, sum(i.placement.planes * len(i.classes) for i in images))
    for image, path in zip(images, paths, strict=True):
        stacks = [
            image.placement.stack(array, np.float32, name) for name, array in image.classes.items()
        ]
        with written(path, "heatmaps", overwrite=overwrite) as part:
            write_ome_tiff(part, with_channels(stacks, image.placement), progress.step)
        yield Written(path, len(stacks))


@dataclass(frozen=True, eq=False)
class ImageEmbeddings:
    """Where the embeddings of an image are found.

    Attributes
    ----------
    name, model : str
    axes, units : tuple of str
        Of the world.
    planes : tuple of (Plane, StateHandle)
    transform : PlaneTransform
        Where the image lies in the viewer.
    """

    name: str
    model: str
    axes: tuple[str, ...]
    units: tuple[str, ...]
    planes: tuple[EmbeddedPlane, ...]
    transform: PlaneTransform


def write_embeddings(
    images: Sequence[ImageEmbeddings],
    paths: Sequence[Path],
    file_format: EmbeddingFormat,
    store: EmbeddingStore,
    check: Check,
    *,
    overwrite: bool = False,
) -> Iterator[Written]:
    """Write the embeddings of each image to its file, with their places."""
    write = write_npz if file_format == "npz" else write_embedding_zarr
    progress = _Progress(check, len(images))
    for image, path in zip(images, paths, strict=True):
        progress.step()
        table = _table(image, store)
        with written(path, "embeddings", overwrite=overwrite) as part:
            write(part, table)
        yield Written(path, sum(len(plane.vectors) for plane in table.planes))


def _table(image: ImageEmbeddings, store: EmbeddingStore) -> EmbeddingTable:
    planes, fingerprint = [], ""
    for plane, handle in image.planes:
        state = state_of(plane, handle, store)
        fingerprint = state.fingerprint
        data = data_coordinates(plane, plane.key, patch_centres(state))
        pixels = data[:, list(plane.key.axes)]
        vectors = state.vectors.astype(np.float32)
        world = image.transform.to_world(data)
        indices = plane.key.indices
        planes.append(PlaneEmbeddings(vectors, state.grid.shape, pixels, world, indices))
    return EmbeddingTable(
        image.name, image.model, fingerprint, image.axes, image.units, tuple(planes)
    )

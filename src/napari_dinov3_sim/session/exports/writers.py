"""Writing files in the worker: one after the other, each whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_dinov3_sim.exchange.embeddings import (
    EmbeddingTable,
    PlaneEmbeddings,
    patch_centres,
    write_embedding_zarr,
    write_npz,
)
from napari_dinov3_sim.exchange.files import written
from napari_dinov3_sim.exchange.objects import with_channels, write_image_objects
from napari_dinov3_sim.exchange.ome_tiff import write_ome_tiff
from napari_dinov3_sim.session.images.planes import data_coordinates
from napari_dinov3_sim.session.results.computations import state_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_dinov3_sim.exchange.objects import ImageObjects, ObjectFormat
    from napari_dinov3_sim.session.exports.sources import ImageHeatmaps
    from napari_dinov3_sim.session.images.transforms import PlaneTransform
    from napari_dinov3_sim.session.results.computations import EmbeddedPlane
    from napari_dinov3_sim.session.results.result_jobs import Check
    from napari_dinov3_sim.store import EmbeddingStore

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
            count = write_image_objects(image, part, file_format, progress.step)
        yield Written(path, count)


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

"""Files for other programs, as the command line writes them: one for each plane."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from napari_dinov3_sim.cli.errors import OutputError
from napari_dinov3_sim.cli.output.files import (
    axes_of,
    check_inputs_survive,
    check_nothing_is_replaced,
)
from napari_dinov3_sim.cli.reading.paths import files_of
from napari_dinov3_sim.exchange.embeddings import (
    EmbeddingTable,
    PlaneEmbeddings,
    patch_centres,
    write_embedding_zarr,
    write_npz,
)
from napari_dinov3_sim.exchange.files import written
from napari_dinov3_sim.exchange.objects import (
    SUFFIXES,
    ClassObjects,
    ImageObjects,
    ImagePlacement,
    ObjectFormat,
    ObjectNumbers,
    write_image_objects,
)
from napari_dinov3_sim.exchange.shapes import ExchangeError, StackPlace
from napari_dinov3_sim.store.safetensors_io import load_state

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.cli.output.files import OutputFolder
    from napari_dinov3_sim.cli.planes import SearchPlane
    from napari_dinov3_sim.cli.tasks import PlaneDone
    from napari_dinov3_sim.core.geometry import PatchGrid

OBJECT_FORMATS: tuple[ObjectFormat, ...] = get_args(ObjectFormat)

COLOURS = ("#00ffff", "#ff00ff", "#ffff00", "#00ff00", "#ff8000", "#0080ff")
"""Of classes whose query names none, in turn."""


@dataclass(frozen=True, eq=False)
class SpreadLabels:
    """Labels of patches as those of pixels, computed for the rows that are asked for.

    Attributes
    ----------
    values : ndarray of int, shape (rows, columns)
    grid : PatchGrid
    """

    values: NDArray[Any] = field(repr=False)
    grid: PatchGrid

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the values."""
        return self.values.dtype

    def __getitem__(self, index: tuple[slice, slice]) -> NDArray[Any]:
        height, width = self.grid.image_shape
        rows, columns = (
            np.arange(size)[part] // self.grid.patch_size
            for size, part in zip((height, width), index, strict=True)
        )
        found: NDArray[Any] = self.values[np.ix_(rows, columns)]
        return found


def export_objects(
    folder: OutputFolder,
    place: SearchPlane,
    labels: Mapping[str, SpreadLabels],
    colours: Mapping[str, str],
    formats: Sequence[ObjectFormat],
) -> dict[str, str]:
    """Write the objects of a plane in some formats.

    Parameters
    ----------
    folder : OutputFolder
    place : SearchPlane
    labels : mapping of str to SpreadLabels
        By class.
    colours : mapping of str to str
        Of the classes that have one.
    formats : sequence of str

    Returns
    -------
    dict of str to str
        The path of each file, by its format.

    Raises
    ------
    OutputError
        A format does not hold these objects.
    """
    shape = next(iter(labels.values())).grid.image_shape
    within = StackPlace(**dict(zip(place.plan.stack_axes, place.full_position, strict=False)))
    placement = ImagePlacement(
        place.short_name, shape, axes_of(place.pixel), (0, 1), place.ratios, within
    )
    nothing = ObjectNumbers(np.empty(0), {})
    classes = tuple(
        ClassObjects(name, colours.get(name, COLOURS[number % len(COLOURS)]), values, nothing)
        for number, (name, values) in enumerate(labels.items())
    )
    paths: dict[str, str] = {}
    for file_format in formats:
        name = f"{place.stem}{SUFFIXES[file_format]}"
        try:
            # That nothing is replaced unasked was made sure of before the search.
            with written(folder.path / name, "objects", overwrite=True) as part:
                write_image_objects(
                    ImageObjects(placement, classes), part, file_format, lambda *_: None
                )
        except ExchangeError as error:
            raise OutputError(f"{folder.path / name} cannot be written: {error}") from error
        paths[file_format] = str(folder.path / name)
    return paths


@dataclass(frozen=True, eq=False)
class EmbeddingExports:
    """Writes the embeddings of planes for other programs.

    Attributes
    ----------
    places : list of SearchPlane
        All planes, by whose names the files are called; empty where nothing is exported.
    arguments : argparse.Namespace
    """

    places: list[SearchPlane]
    arguments: argparse.Namespace

    def check(self) -> None:
        """Raise an error if a file would be replaced, unless that was asked for."""
        paths = [path for place in self.places for path in self._paths(place).values()]
        images = dict.fromkeys(place.path for place in self.places)
        check_inputs_survive([file for path in images for file in files_of(path)], paths)
        if not self.arguments.overwrite:
            # Another --out would have no embeddings, and all would be made again.
            check_nothing_is_replaced(paths, "add --overwrite, which embeds nothing again")

    def _paths(self, place: SearchPlane) -> dict[str, Path]:
        formats = self.arguments.export or ()
        return {name: self.arguments.out / f"{place.stem}{SUFFIXES[name]}" for name in formats}

    def write(self, done: PlaneDone) -> None:
        """Write the embeddings of a plane that is done."""
        of = done.task.path, done.task.layer, done.task.position
        places = [
            place for place in self.places if (place.path, place.layer, place.position) == of
        ]
        for place in places:
            table = _table(place, Path(done.facts["embeddings"]), str(done.model["model"]))
            for name, path in self._paths(place).items():
                with written(path, "embeddings", overwrite=True) as part:
                    (write_npz if name == "npz" else write_embedding_zarr)(part, table)


def _table(place: SearchPlane, path: Path, model: str) -> EmbeddingTable:
    state = load_state(path)
    middles = [place.full(x, y) for x, y in patch_centres(state).tolist()]
    pixels = np.array(middles, float)[:, ::-1]
    pixel = place.plan.pixel
    world = pixels * pixel.size + pixel.origin
    vectors = state.vectors.astype(np.float32)
    plane = PlaneEmbeddings(vectors, state.grid.shape, pixels, world, place.position)
    units = (pixel.unit, pixel.unit)
    return EmbeddingTable(place.short_name, model, state.fingerprint, ("y", "x"), units, (plane,))

"""Tables of measured objects: one for each image, and a summary of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.cli.errors import failed
from napari_dinov3_sim.cli.output.files import OBJECTS, SUMMARY
from napari_dinov3_sim.core.images.sources import COLOURS
from napari_dinov3_sim.core.objects.measure import (
    ArrayPart,
    LabelledPixels,
    Placement,
    measure_objects,
)
from napari_dinov3_sim.core.objects.object_table import ObjectTable, join_tables
from napari_dinov3_sim.core.objects.stacks import place_columns
from napari_dinov3_sim.core.objects.summary import MeasuredArea, summarise_objects
from napari_dinov3_sim.exchange.placement import METRES
from napari_dinov3_sim.store.object_csv import objects_csv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.cli.errors import Failures
    from napari_dinov3_sim.cli.output.files import OutputFolder
    from napari_dinov3_sim.cli.planes import PlaneOpener, SearchPlane
    from napari_dinov3_sim.cli.reading.layer import PixelGrid
    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.images.sources import ArraySource
    from napari_dinov3_sim.core.search.similarity import SimilarityMap

MICROMETRE = 1e-6
"""In metres."""


class ObjectTables:
    """Measures objects plane by plane; the table of an image is written with its last plane.

    Parameters
    ----------
    folder : OutputFolder
    classes : sequence of str
    planes : PlaneOpener
        Of which the pixels are read.
    failures : Failures
        Gets the planes that cannot be read any more.
    """

    def __init__(
        self,
        folder: OutputFolder,
        classes: Sequence[str],
        planes: PlaneOpener,
        failures: Failures,
    ) -> None:
        self._folder, self._classes = folder, classes
        self._planes, self._failures = planes, failures
        self._image: SearchPlane | None = None
        self._parts: list[ObjectTable] = []
        self._places: dict[str, int] = {}
        self._summary: list[ObjectTable] = []
        self._written: list[str] = []

    def add(
        self,
        place: SearchPlane,
        class_name: str,
        labels: NDArray[np.int32],
        grid: PatchGrid,
        similarity: SimilarityMap,
    ) -> None:
        """Measure the objects of a class in a plane.

        Parameters
        ----------
        place : SearchPlane
        class_name : str
        labels : ndarray of int32, shape (rows, columns)
        grid : PatchGrid
            What an element of the labels is, a patch or a pixel.
        similarity : SimilarityMap
        """
        if self._image is None or self._image.image_stem != place.image_stem:
            self._finish_image()
            self._image = place
        try:
            spread = _spread(labels, grid)
            table = _measure(self._planes.source(place), place, spread, similarity)
        except Exception as error:  # as when it is embedded, it does not stop the others
            self._failures.add(failed(place.path, error))
            return
        names = {"image": place.image_name, "class_": class_name}
        where = place_columns(place.position, place.plan.leading_names)
        self._parts.append(table.labelled(**names, **where))
        self._places[class_name] = self._places.get(class_name, 0) + 1

    def _finish_image(self) -> None:
        """Write the table of the image that was measured last."""
        image = self._image
        if image is None or not self._parts:
            return
        table = join_tables(self._of_class(name) for name in self._classes)
        self._write(f"{image.image_stem}{OBJECTS}", table)
        height, width = image.plan.full_shape
        placement = _placement(image.plan.pixel)
        areas = [
            MeasuredArea(
                image.image_name,
                name,
                planes,
                planes * height * width,
                None if placement is None else placement.pixel,
            )
            for name, planes in self._places.items()
        ]
        self._summary.append(summarise_objects(table, areas))
        self._parts, self._places = [], {}

    def _of_class(self, class_name: str) -> ObjectTable:
        """Return the rows of one class: of a stack, classes come one after the other."""
        joined = join_tables(self._parts)
        return joined.select(joined.columns["class"] == class_name)

    def finish(self) -> tuple[str, ...]:
        """Write the last table and the summary, and return the paths of all."""
        self._finish_image()
        if self._summary:
            self._write(SUMMARY, join_tables(self._summary))
        return tuple(self._written)

    def _write(self, name: str, table: ObjectTable) -> None:
        self._written.append(str(self._folder.write(name, objects_csv(table).encode())))


def _spread(values: NDArray[Any], grid: PatchGrid) -> NDArray[Any]:
    """Return a value for each pixel."""
    from napari_dinov3_sim.core.search.similarity import upsample_nearest

    return values if grid.patch_size == 1 else upsample_nearest(values, grid)


def _measure(
    source: ArraySource,
    place: SearchPlane,
    labels: NDArray[np.int32],
    similarity: SimilarityMap,
) -> ObjectTable:
    table = measure_objects(
        LabelledPixels(
            ArrayPart(labels),
            _channels(source),
            ArrayPart(_spread(similarity.cosine, similarity.grid)),
            _placement(place.pixel),
        )
    )
    return _in_full_pixels(table, place)


def _channels(source: ArraySource) -> dict[str, ArrayPart]:
    """Return the channels of a plane by the names that the dock gives them."""
    if not source.channels_last:
        return {"intensity": ArrayPart(source.data, source.index)}
    return {
        name: ArrayPart(source.data, (*source.index, number))
        for number, name in enumerate(COLOURS)
    }


def _placement(pixel: PixelGrid) -> Placement | None:
    """Return where pixels lie; None where their size is not known."""
    if pixel.unit not in METRES:
        return None
    factor = METRES[pixel.unit] / MICROMETRE
    return Placement.scaled([factor * n for n in pixel.size], [factor * n for n in pixel.origin])


def _in_full_pixels(table: ObjectTable, place: SearchPlane) -> ObjectTable:
    """Return places and areas in pixels of the finest level, where a coarser one was searched."""
    across, down = place.ratios
    if (across, down) == (1, 1):
        return table
    columns: dict[str, NDArray[Any]] = dict(table.columns)
    columns["area_px"] = columns["area_px"] * across * down
    for axis, ratio in (("y", down), ("x", across)):
        columns[f"centroid_{axis}_px"] = (columns[f"centroid_{axis}_px"] + 0.5) * ratio - 0.5
        for end in ("min", "max"):
            columns[f"bbox_{end}_{axis}_px"] = columns[f"bbox_{end}_{axis}_px"] * ratio
    if "equivalent_diameter_px" in columns:
        columns["equivalent_diameter_px"] = columns["equivalent_diameter_px"] * (
            np.sqrt(across * down)
        )
    return ObjectTable(columns, table.units)

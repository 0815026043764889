"""The rows of the table of peaks: positions in pixels, in stacks and in the world.

Its columns are in `store/peak_csv.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.results.computations import find_image_peaks
from napari_dinov3_sim.store.peak_csv import PeakRow, save_peaks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.images.planes import LayerAxes
    from napari_dinov3_sim.session.images.transforms import PlaneTransform
    from napari_dinov3_sim.session.results.computations import AnsweredImage, FoundPeak


@dataclass(frozen=True)
class WorldAxes:
    """The axes of a viewer when a table is asked for.

    Attributes
    ----------
    names : tuple of str
        One for each axis.
    units : tuple of str
        One for each axis, empty where the layers have none in common.
    hidden : tuple of int
        The axes that are not shown.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    hidden: tuple[int, ...]

    @classmethod
    def of(cls, viewer: ViewerModel) -> WorldAxes:
        """Return the axes of a viewer as they are now."""
        dims, units = viewer.dims, viewer.layers.units
        names = tuple(_axis_name(label) for label in dims.axis_labels)
        texts = tuple(f"{unit:~}".replace("µ", "u") for unit in units or ())
        texts = ("",) * (dims.ndim - len(texts)) + texts
        return cls(names, texts, tuple(sorted(dims.order[:-2])))

    @property
    def headings(self) -> list[str]:
        """A column for each hidden axis in pixels, then one for each axis of the world."""
        pixels = [f"{self.names[axis]}_px" for axis in self.hidden]
        world = zip(self.names, self.units, strict=True)
        return pixels + ["_".join(filter(None, ("world", *part))) for part in world]

    def row(self, data: NDArray[np.float64], world: NDArray[np.float64]) -> tuple[float, ...]:
        """Return the columns of a point; axes that its image lacks are not a number."""
        missing = np.full(len(self.names) - len(data), np.nan)
        pixels = np.concatenate([missing, data])[list(self.hidden)]
        return (*pixels.tolist(), *missing.tolist(), *world.tolist())


def _axis_name(label: str) -> str:
    """Return a name for an axis; napari calls those without one -3, -2, -1."""
    return {"-2": "y", "-1": "x"}.get(label, f"axis{label}" if label.startswith("-") else label)


@dataclass(frozen=True, eq=False)
class PeakTable:
    """All peaks of all images, to be written to a file.

    Attributes
    ----------
    images : tuple of AnsweredImage
    classes : tuple of str
    thresholds : mapping of str to float
        Of the classes that have one.
    min_distance : float
    world : WorldAxes
    placements : mapping of LayerAxes to PlaneTransform
        Where the images lie in the viewer.
    """

    images: tuple[AnsweredImage, ...]
    classes: tuple[str, ...]
    thresholds: Mapping[str, float]
    min_distance: float
    world: WorldAxes
    placements: Mapping[LayerAxes, PlaneTransform] = field(repr=False)

    def save(self, path: Path) -> Iterator[int]:
        """Write the table and give the number of peaks in it."""
        found = find_image_peaks(self.images, self.classes, self.thresholds, self.min_distance)
        rows = [
            self._row(image, peak)
            for image, peaks in zip(self.images, found, strict=True)
            for peak in peaks.peaks
        ]
        save_peaks(rows, path, self.world.headings)
        yield len(rows)

    def _row(self, image: AnsweredImage, peak: FoundPeak) -> PeakRow:
        key = image.plane.key
        row, column = key.axes
        place = peak.coordinates
        world = self.placements[key.layer].to_world(place)
        x, y = float(place[column]), float(place[row])
        columns = self.world.row(place, world)
        return PeakRow(image.plane.name, peak.class_name, x, y, peak.score, columns)

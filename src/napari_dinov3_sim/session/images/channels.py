"""Merged channels: several layers searched as one image, and split again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.session.images.planes import levels_of, refusal
from napari_dinov3_sim.session.images.transforms import world_points

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.images.target import MergedChannels, Target
    from napari_dinov3_sim.session.images.transforms import Units


TOLERANCE = 0.01
"""Pixels that corners of channels may lie apart: what reading transforms from files rounds."""


def disagreement(merged: MergedChannels, units: Units | None) -> str | None:
    """Say why layers cannot be channels of one image, or None if they can.

    Parameters
    ----------
    merged : MergedChannels
    units : sequence of pint.Unit or None
        Of the viewer's world.
    """
    lead = merged.lead
    for layer in merged.members:
        reason = refusal(layer)
        if reason is not None:
            return reason
        if layer.rgb:
            return f"{layer.name} is a colour image already; merge grayscale layers."
        if _shapes(layer) != _shapes(lead):
            return (
                f"{layer.name} and {lead.name} differ in size or in levels; merge layers of the "
                "same shape."
            )
        if not _lie_together(layer, lead, units):
            return (
                f"{layer.name} does not lie over {lead.name}; give both the same scale, position "
                "and rotation."
            )
    return None


def _shapes(layer: Image) -> list[tuple[int, ...]]:
    return [tuple(int(n) for n in data.shape) for data in levels_of(layer)]


def _lie_together(layer: Image, lead: Image, units: Units | None) -> bool:
    """Whether the corners of two layers of the same shape are at the same places."""
    size = np.array(_shapes(lead)[0], float)
    corners = np.vstack([np.zeros(len(size)), np.diag(size), size])
    here, there = (world_points(each, corners, units) for each in (layer, lead))
    return bool((np.abs(here - there) <= TOLERANCE * _pixel(there, size)).all())


def _pixel(corners: NDArray[np.float64], size: NDArray[np.float64]) -> float:
    """Return the shortest side of a pixel in the world."""
    sides = np.linalg.norm(corners[1:-1] - corners[0], axis=1) / size
    return float(sides.min())


class ChannelMerger:
    """Makes layers one image, and parts those that do not go together any more.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    records : mapping of layer id to Target
        Those of all images, as they come and go.
    versions : iterator of int
        Gives numbers that no pixels have had.
    """

    def __init__(
        self, viewer: ViewerModel, records: Mapping[Hashable, Target], versions: Iterator[int]
    ) -> None:
        self._viewer, self._records, self._versions = viewer, records, versions
        self._parted: list[str] = []

    def merged(self) -> list[MergedChannels]:
        """Return all layers that are one image."""
        found = (record.merged for record in self._records.values())
        return list(dict.fromkeys(merged for merged in found if merged is not None))

    def merge(self, merged: MergedChannels) -> None:
        """Search layers as one image; those that are channels of another one leave it.

        Raises
        ------
        ImageError
            They are no channels of one image, or not in the viewer; the sentence says why.
        """
        for layer in merged.members:
            if layer.unique_id not in self._records:
                raise ImageError(
                    f"{layer.name} is none of the images that can be searched; choose another."
                )
        reason = disagreement(merged, self._viewer.layers.units)
        if reason is not None:
            raise ImageError(reason)
        for layer in merged.members:
            before = self._records[layer.unique_id].merged
            if before is not None:
                self.part(before)
        for layer in merged.members:
            record = self._records[layer.unique_id]
            record.merged, record.version = merged, next(self._versions)
            record.ticked = layer == merged.lead
            record.refuse()

    def part(self, merged: MergedChannels) -> None:
        """Search each layer by itself, if they were searched together."""
        records = [self._records.get(layer.unique_id) for layer in merged.members]
        self._split_records([record for record in records if record is not None], merged)

    def _split_records(self, records: Sequence[Target], merged: MergedChannels) -> None:
        ticked = any(record.ticked for record in records if record.layer == merged.lead)
        for record in records:
            record.merged, record.version = None, next(self._versions)
            record.refuse()
            record.ticked = ticked and record.refused is None

    def lose(self, record: Target) -> None:
        """Part channels one of which has left the viewer."""
        if record.merged is not None:
            self._parted.append(
                f"{record.layer.name} was removed; the channels merged with it are split."
            )
            others = (self._records.get(layer.unique_id) for layer in record.merged.members)
            self._split_records(
                [record, *(other for other in others if other is not None)], record.merged
            )

    def split_diverged(self) -> list[str]:
        """Part what does not go together any more; return a sentence for each case."""
        for merged in self.merged():
            reason = disagreement(merged, self._viewer.layers.units)
            if reason is not None:
                self._parted.append(f"{reason} They are split.")
                self.part(merged)
        parted, self._parted = self._parted, []
        return parted

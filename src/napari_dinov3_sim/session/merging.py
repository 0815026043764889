"""The record of each image layer, and how several are made one image and parted again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.session.channels import disagreement
from napari_dinov3_sim.session.planes import refusal

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_dinov3_sim.session.channels import Merged


@dataclass(eq=False)
class Target:
    """An image layer, and what is known about it.

    Attributes
    ----------
    layer : Image
    ticked : bool
        Whether it is searched.
    refused : str or None
        Why it cannot be.
    version : int
        A number that its pixels share with no others.
    merged : Merged or None
        The channels that it is one of; the record of the first one stands for all.
    """

    layer: Image
    ticked: bool
    refused: str | None
    version: int
    merged: Merged | None = None

    @property
    def layers(self) -> tuple[Image, ...]:
        """The layer, or all that are searched as one with it."""
        return (self.layer,) if self.merged is None else self.merged.members

    @property
    def name(self) -> str:
        """What it is called; the first of several channels is called after all of them."""
        if self.merged is None or self.merged.lead != self.layer:
            return str(self.layer.name)
        return self.merged.name

    def refuse(self) -> None:
        """Say anew why it cannot be searched."""
        self.refused = refusal(self.layer)
        if self.merged is not None and self.merged.lead != self.layer:
            self.refused = self.merged.role(self.layer)

    @property
    def visible(self) -> bool:
        """Whether any of its layers is shown."""
        return any(layer.visible for layer in self.layers)


class Merging:
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

    def merged(self) -> list[Merged]:
        """Return all layers that are one image."""
        found = (record.merged for record in self._records.values())
        return list(dict.fromkeys(merged for merged in found if merged is not None))

    def merge(self, merged: Merged) -> None:
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

    def part(self, merged: Merged) -> None:
        """Search each layer by itself, if they were searched together."""
        records = [self._records.get(layer.unique_id) for layer in merged.members]
        self._part([record for record in records if record is not None], merged)

    def _part(self, records: Sequence[Target], merged: Merged) -> None:
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
            self._part([record, *(other for other in others if other is not None)], record.merged)

    def part_diverged(self) -> list[str]:
        """Part what does not go together any more; return a sentence for each case."""
        for merged in self.merged():
            reason = disagreement(merged, self._viewer.layers.units)
            if reason is not None:
                self._parted.append(f"{reason} They are split.")
                self.part(merged)
        parted, self._parted = self._parted, []
        return parted

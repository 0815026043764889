"""Merged channels: several layers searched as one image, and split again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.session.images.channel_groups import Opened, find_channels
from napari_dinov3_sim.session.images.planes import levels_of, refusal
from napari_dinov3_sim.session.images.target import MergedChannels
from napari_dinov3_sim.session.images.transforms import world_points

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.images.target import Target
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


@dataclass(frozen=True)
class Grouping:
    """Which layers are one image, to be undone.

    Attributes
    ----------
    groups : frozenset of tuple
        Ids of the red, green and blue of each; None is black.
    """

    groups: frozenset[tuple[Hashable | None, ...]]

    def same_as(self, other: Grouping) -> bool:
        """Whether the same layers are one image."""
        return self == other

    def follow(self, before: Grouping, now: Grouping) -> Grouping:
        """Let channels come, go and part here, too, that did so by themselves."""
        gone = before.groups - now.groups
        if not gone <= self.groups:
            return self
        return Grouping(self.groups - gone | now.groups - before.groups)


class ChannelMerger:
    """Makes layers one image, and parts those that do not go together any more.

    Channels of one file are merged when they are opened, as long as `automatic` says so. What
    the user has merged or split stays as it is.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    records : mapping of layer id to Target
        Those of all images, as they come and go.
    versions : iterator of int
        Gives numbers that no pixels have had.

    Attributes
    ----------
    automatic : bool
        Whether `merge_opened` looks for channels; those that are merged stay so.
    edited : bool
        Whether layers have been merged or split since `snapshot`.
    """

    def __init__(
        self, viewer: ViewerModel, records: Mapping[Hashable, Target], versions: Iterator[int]
    ) -> None:
        self._viewer, self._records, self._versions = viewer, records, versions
        self._parted: list[tuple[MergedChannels, str]] = []
        self._opened: dict[Hashable, Opened] = {}
        self._settled: set[Hashable] = set()  # by the user: merged or split by hand
        self._found: set[tuple[Hashable | None, ...]] = set()
        self._unseen = False
        self.automatic, self.edited = True, False

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
        self._settle(merged)
        self._merge(merged)
        self._records[merged.lead.unique_id].ticked = True
        self.edited = True

    def settle(self, layers: Iterable[Image]) -> None:
        """Leave layers alone from now on: the user has said what they are."""
        self._settled.update(layer.unique_id for layer in layers)

    def _settle(self, merged: MergedChannels) -> None:
        self.settle(merged.members)

    def _merge(self, merged: MergedChannels) -> None:
        ticked = any(self._records[layer.unique_id].ticked for layer in merged.members)
        for layer in merged.members:
            before = self._records[layer.unique_id].merged
            if before is not None:
                self._part(before)
        for layer in merged.members:
            record = self._records[layer.unique_id]
            record.merged, record.version = merged, next(self._versions)
            record.ticked = ticked and layer == merged.lead
            record.refuse()

    def part(self, merged: MergedChannels) -> None:
        """Search each layer by itself, if they were searched together."""
        self._settle(merged)
        self._part(merged)
        self.edited = True

    def _part(self, merged: MergedChannels) -> None:
        records = [self._records.get(layer.unique_id) for layer in merged.members]
        self._split_records([record for record in records if record is not None], merged)

    def _split_records(self, records: Sequence[Target], merged: MergedChannels) -> None:
        ticked = any(record.ticked for record in records if record.layer == merged.lead)
        for record in records:
            record.merged, record.version = None, next(self._versions)
            record.refuse()
            record.ticked = ticked and record.refused is None

    def lose(self, record: Target) -> None:
        """Part channels one of which has left the viewer.

        Of those that were merged when they were opened, the rest are merged anew. So are three
        that are left of four.
        """
        self._opened.pop(record.layer.unique_id, None)
        self._unseen = True
        if record.merged is not None:
            if not self.is_automatic(record.merged):
                reason = f"{record.layer.name} was removed; the channels merged with it are split."
                self._parted.append((record.merged, reason))
            others = (self._records.get(layer.unique_id) for layer in record.merged.members)
            self._split_records(
                [record, *(other for other in others if other is not None)], record.merged
            )

    def split_diverged(self) -> list[str]:
        """Part what does not go together any more; return a sentence for each case."""
        for merged in self.merged():
            reason = disagreement(merged, self._viewer.layers.units)
            if reason is not None:
                self._parted.append((merged, f"{reason} They are split."))
                self._settle(merged)
                self._part(merged)
        parted, self._parted = self._parted, []
        return [reason for merged, reason in parted if self._has_any(merged)]

    def _has_any(self, merged: MergedChannels) -> bool:
        """Whether any channel is still there: of an image that is closed nothing is told."""
        return any(layer.unique_id in self._records for layer in merged.members)

    # -- channels of one file ---------------------------------------------------------------

    def note_opened(self, layer: Image) -> None:
        """Remember what a layer is like that has been opened."""
        self._opened[layer.unique_id] = Opened.of(layer)
        self._unseen = True

    def merge_opened(self) -> bool:
        """Merge what has been opened as channels of one image; return whether anything was."""
        if not (self._unseen and self.automatic):
            return False
        self._unseen = False
        # In the order in which they were opened: the layer list may be in any other.
        left = [self._opened[i] for i in self._opened if i in self._records and self._is_left(i)]
        places = _Places(self._viewer.layers.units)
        found = [MergedChannels.of(channels) for channels in find_channels(left, places.number)]
        now = {_ids_of(merged): merged for merged in self.merged()}
        grown = {layer_id for ids in self._found for layer_id in ids}
        # What the user has merged since, be it the same layers, is not taken apart.
        before = {i: now[i] for i in self._found if i in now and self.is_automatic(now[i])}
        wanted = {_ids_of(merged): merged for merged in found}
        self._found = set(wanted)
        new = [merged for ids, merged in wanted.items() if ids not in before]
        gone = [merged for ids, merged in before.items() if ids not in wanted]
        for merged in gone:
            self._part(merged)
        for merged in new:
            self._merge(merged)
        # Channels that come one by one are merged in one step that can be taken back.
        self.edited |= any(merged.lead.unique_id not in grown for merged in new)
        return bool(new or gone)

    def _is_left(self, layer_id: Hashable) -> bool:
        """Whether the user has not said what a layer is a channel of."""
        return layer_id not in self._settled

    def is_automatic(self, merged: MergedChannels) -> bool:
        """Whether layers were merged when they were opened, and not by the user."""
        return _ids_of(merged) in self._found and merged.lead.unique_id not in self._settled

    # -- undo -------------------------------------------------------------------------------

    def snapshot(self) -> Grouping:
        """Return which layers are one image now."""
        return Grouping(frozenset(_ids_of(merged) for merged in self.merged()))

    def restore(self, grouping: Grouping) -> bool:
        """Merge and split as it was; return whether that changed anything.

        What has left the viewer, or does not go together any more, stays as it is.
        """
        changed = False
        for merged in self.merged():
            if _ids_of(merged) not in grouping.groups:
                self.part(merged)
                changed = True
        present = {_ids_of(merged) for merged in self.merged()}
        for ids in grouping.groups - present:
            layers = tuple(self._layer(layer_id) for layer_id in ids)
            missing = any(i is not None and a is None for i, a in zip(ids, layers, strict=True))
            if missing:
                continue
            merged = MergedChannels.of(layers)
            if disagreement(merged, self._viewer.layers.units) is None:
                self._settle(merged)
                self._merge(merged)
                changed = True
        return changed

    def _layer(self, layer_id: Hashable | None) -> Image | None:
        record = self._records.get(layer_id)
        return None if record is None else record.layer


def _ids_of(merged: MergedChannels) -> tuple[Hashable | None, ...]:
    return tuple(None if layer is None else layer.unique_id for layer in merged.channels)


class _Places:
    """Gives layers of the same shape and place the same number."""

    def __init__(self, units: Units | None) -> None:
        self._units = units
        self._known: list[Image] = []

    def number(self, layer: Image) -> int | None:
        """Return the number of the place; None for what can be no channel."""
        if disagreement(MergedChannels.of([layer]), self._units) is not None:
            return None
        for number, known in enumerate(self._known):
            if _shapes(layer) == _shapes(known) and _lie_together(layer, known, self._units):
                return number
        self._known.append(layer)
        return len(self._known) - 1

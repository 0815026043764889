"""All targets of a viewer, and the events of their layers."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.session.images.channels import ChannelMerger
from napari_dinov3_sim.session.images.hit_testing import ExtentCache, HitTester, ResolvedImages
from napari_dinov3_sim.session.images.planes import refusal
from napari_dinov3_sim.session.images.stack_order import StackOrder
from napari_dinov3_sim.session.images.target import Target
from napari_dinov3_sim.session.images.transforms import TRANSFORMS
from napari_dinov3_sim.session.layer_metadata import is_answer, is_derived

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_dinov3_sim.session.images.channels import Grouping
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.images.target import MergedChannels
    from napari_dinov3_sim.session.images.transforms import PlaneTransform


class Targets:
    """Keeps one record per image layer of the viewer, by unique id.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    listed : callable
        Bound method, called when images come, go, are renamed, ticked or refused.
    moved : callable
        Bound method, called with an image and the name of the attribute (a transform, the
        visibility) that changed.
    changed : callable
        Bound method, called when the pixels or the planes to be shown have changed.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        listed: Callable[[], None],
        moved: Callable[[Image, str], None],
        changed: Callable[[], None],
    ) -> None:
        self._viewer = viewer
        self._listed, self._moved, self._changed = listed, moved, changed
        self._records: dict[Hashable, Target] = {}
        # Never the same for two sets of pixels, also when a layer leaves and comes back.
        self._versions = count()
        self._extents = ExtentCache(viewer)
        self._resolved: ResolvedImages | None = None
        self._view: tuple[object, ...] = ()
        self._stacks = StackOrder(self._records)
        self.merging = ChannelMerger(viewer, self._records, self._versions)
        self._source: Hashable | None = None
        viewer.layers.events.inserted.connect(self._on_inserted, position="last")
        viewer.layers.events.removed.connect(self._on_removed, position="last")
        viewer.layers.events.reordered.connect(self._on_reordered, position="last")
        for layer in viewer.layers:
            self._add(layer)

    def close(self) -> None:
        """Stop listening to the viewer and to every layer."""
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.layers.events.reordered.disconnect(self._on_reordered)
        for record in self._records.values():
            self._unfollow(record.layer)
        self._records.clear()

    def _on_inserted(self, event: Any) -> None:
        if is_answer(event.value):
            return  # it lies where its image does, and the end of the answer asks for a refresh
        self._forget()  # any other layer may bring axes and units that move the others
        if self._add(event.value):
            self._listed()
        self._changed()

    def _on_reordered(self, event: Any) -> None:
        del event
        self._forget()
        self._listed()
        self._changed()

    def _on_removed(self, event: Any) -> None:
        record = self._records.pop(event.value.unique_id, None)
        if record is not None:
            self._unfollow(record.layer)
            self.merging.lose(record)
        self._forget()
        if record is not None:
            self._listed()
        self._changed()

    def _add(self, layer: Layer) -> bool:
        from napari.layers import Image

        if not isinstance(layer, Image) or is_derived(layer):
            return False
        reason = refusal(layer)
        record = Target(layer, reason is None, reason, next(self._versions))
        self._records[layer.unique_id] = record
        self.merging.note_opened(layer)
        for name, handler in self._handlers().items():
            getattr(layer.events, name).connect(handler)
        return True

    def _unfollow(self, layer: Image) -> None:
        for name, handler in self._handlers().items():
            getattr(layer.events, name).disconnect(handler)

    def _handlers(self) -> dict[str, Callable[[Any], None]]:
        """Return what listens to which event of an image layer."""
        moved = dict.fromkeys((*TRANSFORMS, "visible", "axis_labels"), self._on_moved)
        return {**moved, "name": self._on_renamed, "data": self._on_replaced}

    def _on_moved(self, event: Any) -> None:
        self._forget()
        record = self.get(event.source.unique_id)
        if record is not None:
            self._moved(record.layer, event.type)
            self._changed()

    def _on_renamed(self, event: Any) -> None:
        del event
        for record in self._records.values():
            record.refuse()
        self._forget()
        self._listed()

    def _on_replaced(self, event: Any) -> None:
        record = self._records.get(event.source.unique_id)
        if record is None:
            return
        record.replaced = True
        for layer in record.layers:
            self._records[layer.unique_id].version = next(self._versions)
        before = record.refused
        record.refuse()
        if record.refused != before:
            record.ticked = record.refused is None
        self._forget()
        if record.refused != before:
            self._listed()
        self._changed()

    # -- channels that are one image --------------------------------------------------------

    def merge(self, merged: MergedChannels) -> None:
        """Search layers as one image; see `Merging.merge`."""
        self.merging.merge(merged)
        self._regrouped()

    def split(self, layer: Image) -> bool:
        """Search layers one by one again; return whether the layer was one of several."""
        record = self._records.get(layer.unique_id)
        if record is None or record.merged is None:
            return False
        self.merging.part(record.merged)
        self._regrouped()
        return True

    def regroup(self) -> list[str]:
        """Merge channels that have been opened, and split those that do not go together any more.

        Returns
        -------
        list of str
            A sentence for each that were split.
        """
        merged, parted = self.merging.merge_opened(), self.merging.split_diverged()
        if merged or parted:
            self._regrouped()
        return parted

    def set_automatic(self, wanted: bool) -> None:
        """Merge channels when they are opened, or leave that to the user."""
        self.merging.automatic = wanted
        self._forget()
        self._changed()

    @property
    def edited(self) -> bool:
        """Whether layers have been merged or split since `snapshot`."""
        return self.merging.edited

    @edited.setter
    def edited(self, edited: bool) -> None:
        self.merging.edited = edited

    def snapshot(self) -> Grouping:
        """Return which layers are one image."""
        return self.merging.snapshot()

    def restore(self, snapshot: Grouping) -> None:
        """Merge and split as it was, as far as the layers are there."""
        if self.merging.restore(snapshot):
            self._regrouped()

    def _regrouped(self) -> None:
        self._forget()
        self._listed()
        self._changed()

    def records(self) -> list[Target]:
        """Return the records in the order of the layer list, the bottom one first."""
        ids = [layer.unique_id for layer in self._viewer.layers]
        return [self._records[i] for i in ids if i in self._records]

    def get(self, layer_id: Hashable | None) -> Target | None:
        """Return the record of a layer, that of the first channel for any of several, or None."""
        record = self._records.get(layer_id)
        if record is None or record.merged is None:
            return record
        return self._records.get(record.merged.lead.unique_id)

    def name(self, layer: Image) -> str:
        """Return what a layer is called, with the channels that are searched as one with it."""
        record = self._records.get(layer.unique_id)
        return str(layer.name) if record is None else record.name

    def refusal(self, layer: Image) -> str | None:
        """Say why a layer cannot be searched by itself, or None if it can."""
        record = self._records.get(layer.unique_id)
        return None if record is None else record.refused

    def resolve(self) -> ResolvedImages:
        """Return what is searched and shown now: the same value until something of it changes."""
        dims = self._viewer.dims
        view = (dims.point, dims.order, dims.ndim, self._viewer.layers.units)
        if self._resolved is None or view != self._view:
            self._view, self._resolved = view, self._resolve()
        return self._resolved

    def last_resolved(self) -> ResolvedImages:
        """Return what is open, whatever part of it is shown by now: `resolve` costs 2 ms."""
        return self.resolve() if self._resolved is None else self._resolved

    def _resolve(self) -> ResolvedImages:
        records = self.records()
        order = {layer.unique_id: place for place, layer in enumerate(self._viewer.layers)}
        searched = {record.layer.unique_id: record for record in records if record.ticked}
        planes = (self._extents.shown_plane(record) for record in searched.values())
        preferred = [r for r in self._preferred() if r.ticked and r.visible]
        found = {i: self.get(i) for i in self._records}
        leads = {i: record for i, record in found.items() if record is not None}
        return ResolvedImages(
            len(records),
            searched,
            {plane.key: plane for plane in planes if plane is not None},
            {
                r.layer.unique_id: max(r.layers, key=lambda layer: order[layer.unique_id])
                for r in records
            },
            {i: record.name for i, record in searched.items()},
            frozenset((i, record.version) for i, record in self._records.items()),
            HitTester(leads, preferred, self._extents.extent),
        )

    def _forget(self) -> None:
        """Resolve anew: something has moved, come, gone, or is searched no more."""
        self._extents.forget()
        self._resolved = None

    def layers(self) -> list[Image]:
        """Return the ticked image layers."""
        return [record.layer for record in self.records() if record.ticked]

    def tick(self, layer: Image, ticked: bool) -> None:
        """Search an image, or leave it out."""
        record = self._records.get(layer.unique_id)
        if record is None or record.refused or record.ticked == ticked:
            return
        record.ticked = ticked
        self._forget()
        self._listed()
        self._changed()

    def transform(self, key: PlaneKey) -> PlaneTransform:
        """Return how the layer of a plane lies in the world.

        Raises
        ------
        KeyError
            The layer has left the viewer.
        """
        return self._extents.transform(self._records[key.layer_id].layer, key.axes)

    @property
    def source(self) -> Hashable | None:
        """Id of the image that clicks belong to wherever it lies; None for the topmost."""
        return self._source

    @source.setter
    def source(self, source: Hashable | None) -> None:
        self._source = source
        self._forget()

    def other_planes(self, shown: Iterable[Plane]) -> Iterator[Plane]:
        """Yield the planes of the same stacks that are not shown, the nearest ones first."""
        return self._stacks.other_planes(shown)

    def _preferred(self) -> list[Target]:
        """Return the records from the top down, the one chosen as the source of clicks first.

        Channels of one image lie where the topmost of them does.
        """
        chosen = self.get(self.source)
        found = (self.get(layer.unique_id) for layer in reversed(self._viewer.layers))
        return list(dict.fromkeys(r for r in (chosen, *found) if r is not None))

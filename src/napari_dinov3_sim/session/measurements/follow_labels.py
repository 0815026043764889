"""Follows Labels layers: what is painted, moved, removed or picked in them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.images.transforms import TRANSFORMS
from napari_dinov3_sim.session.layer_metadata import mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Labels

EDITED = ("paint", "labels_update", "data", *TRANSFORMS)


class LabelsFollower:
    """Tells when Labels layers of results are not any more what they were.

    Nothing is listened to before the first `follow`.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    listed : callable
        Bound method, called when Labels have come, gone, or been shown or hidden.
    edited : callable
        Bound method, called when Labels have changed.
    selected : callable
        Bound method, called with a layer in which another label was picked.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        listed: Callable[[], None],
        edited: Callable[[], None],
        selected: Callable[[Labels], None],
    ) -> None:
        self._viewer, self._selected = viewer, selected
        self._listed, self._edited = listed, edited
        self._layers: dict[Hashable, Labels] = {}
        self._seen: dict[Hashable, tuple[object, ...]] = {}
        self._unheard: Hashable | None = None
        self._listens = False

    @property
    def followed(self) -> set[Hashable]:
        """The ids of the layers that are followed."""
        return set(self._layers)

    def follow(self, layers: Iterable[Labels]) -> None:
        """Follow these layers, and whatever comes or goes; no others any more."""
        if not self._listens:
            self._listens = True
            events = self._viewer.layers.events
            events.inserted.connect(self._on_listed)
            events.removed.connect(self._on_listed)
        wanted = {layer.unique_id: layer for layer in layers}
        for layer_id in self._layers.keys() - wanted.keys():
            self._connect(self._layers.pop(layer_id), "disconnect")
        for layer_id in wanted.keys() - self._layers.keys():
            self._layers[layer_id] = wanted[layer_id]
            self._connect(wanted[layer_id], "connect")
        self._seen = {layer_id: self._sight(layer) for layer_id, layer in self._layers.items()}

    def close(self) -> None:
        """Stop listening."""
        self.follow(())
        events = self._viewer.layers.events
        events.inserted.disconnect(self._on_listed)
        events.removed.disconnect(self._on_listed)

    @contextmanager
    def unheard(self, layer: Labels) -> Iterator[None]:
        """Select a label of a layer without being told of it."""
        before, self._unheard = self._unheard, layer.unique_id
        try:
            yield
        finally:
            self._unheard = before

    def _connect(self, layer: Labels, how: str) -> None:
        for name in EDITED:
            getattr(getattr(layer.events, name), how)(self._on_edited)
        getattr(layer.events.visible, how)(self._on_visible)
        getattr(layer.events.set_data, how)(self._on_set_data)
        getattr(layer.events.selected_label, how)(self._on_selected)

    def _on_listed(self, event: Any) -> None:
        if mark_of(event.value, "result") is not None:
            self._listed()

    def _on_visible(self, event: Any) -> None:
        del event
        self._listed()

    def _on_edited(self, event: Any) -> None:
        del event
        self._edited()

    def _on_set_data(self, event: Any) -> None:
        """Notice what is taken back or put in place: napari reports it as any redraw.

        A redraw after the sliders have moved is none; what is not held in memory cannot be
        painted in.
        """
        layer = self._layers.get(event.source.unique_id)
        if layer is None:
            return
        before, now = self._seen.get(layer.unique_id), self._sight(layer)
        self._seen[layer.unique_id] = now
        is_same_view = before is not None and before[0] == now[0]
        is_same_data = before is not None and before[1] == now[1]
        is_plain = isinstance(layer.data, np.ndarray)
        if not is_same_data or (is_plain and is_same_view):
            self._edited()

    def _sight(self, layer: Labels) -> tuple[object, ...]:
        """Return what is seen of a layer, and which array it is."""
        dims = self._viewer.dims
        data = layer.data[0] if layer.multiscale else layer.data
        return (tuple(dims.point), tuple(dims.order), dims.ndisplay), id(data)

    def _on_selected(self, event: Any) -> None:
        layer = self._layers.get(event.source.unique_id)
        if layer is not None and layer.unique_id != self._unheard:
            self._selected(layer)

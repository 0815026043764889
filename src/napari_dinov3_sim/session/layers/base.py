"""The base of all layers over images: heatmaps, class maps, outlines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from napari_dinov3_sim.session.images.transforms import copy_transform
from napari_dinov3_sim.session.layer_metadata import mark_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_dinov3_sim.session.images.patch_array import LayerData
    from napari_dinov3_sim.session.layer_metadata import LayerRole

Key = TypeVar("Key", bound="Hashable")
Over = TypeVar("Over", bound="Layer")


class OverlayLayers(Generic[Key, Over]):
    """The layers of one sort: they follow their image, and are known until they leave.

    A key says which layer over which image: the id of the image, where there is one over each.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    role : str
        What the layers are marked as.

    Attributes
    ----------
    layers : dict
        Those that are in the viewer, by key; changed by this class alone.
    """

    def __init__(self, viewer: ViewerModel, role: LayerRole) -> None:
        self._viewer, self._role = viewer, role
        self.layers: dict[Key, Over] = {}
        self._hidden_images: set[Hashable] = set()
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Stop listening; the layers stay."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _on_removed(self, event: Any) -> None:
        gone = event.value.unique_id
        for key in [key for key, layer in self.layers.items() if layer.unique_id == gone]:
            self._drop(key)

    def _from_earlier_session(self) -> Iterator[tuple[dict[str, Any], Any]]:
        """Yield the layers that an earlier session has made, each with its mark."""
        for layer in self._viewer.layers:
            found = mark_of(layer, self._role)
            if found is not None:
                yield found, layer

    def _image_of(self, key: Key) -> Hashable:
        """Return the id of the image that the layer of a key lies over."""
        return key

    def over(self, image_id: Hashable) -> dict[Key, Over]:
        """Return those of the layers that lie over an image."""
        return {key: self.layers[key] for key in self._keys_over(image_id) if key in self.layers}

    def _keys_over(self, image_id: Hashable) -> Iterable[Any]:
        """Return the keys of the layers that may lie over an image."""
        return (image_id,)

    def follow(self, image: Image) -> None:
        """Lay what is over an image over it again."""
        for key, layer in self.over(image.unique_id).items():
            if layer.ndim == image.ndim:
                copy_transform(image, layer, self._step_of(key))

    def _step_of(self, key: Key) -> tuple[int, ...]:
        """Return how many pixels an element of a layer is long, see `LayerData`."""
        del key
        return ()

    def follow_visibility(self, image: Image, visible: bool) -> None:
        """Hide what is over an image with it, and show it again with it."""
        self._note_visibility(image, visible)
        for key, layer in self.over(image.unique_id).items():
            self._update_visibility(key, layer)

    def _note_visibility(self, image: Image, visible: bool) -> None:
        """Remember whether an image is shown; it may have changed while it was out of the list."""
        (self._hidden_images.discard if visible else self._hidden_images.add)(image.unique_id)

    def _update_visibility(self, key: Key, layer: Over) -> None:
        """Hide or show a layer as its image is by now."""
        layer.visible = self._image_of(key) not in self._hidden_images

    def keep_only(self, keys: Iterable[Key]) -> None:
        """Remove all other layers."""
        for key in set(self.layers) - set(keys):
            self.remove(key)

    def remove(self, key: Key) -> None:
        """Remove one layer."""
        layer = self._drop(key)
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _drop(self, key: Key) -> Over | None:
        """Forget a layer and all that is known about it."""
        return self.layers.pop(key, None)

    def _fitting(self, key: Key, image: Image, data: LayerData) -> Over | None:
        """Return the layer of a key if it can show new data; one that cannot is removed."""
        layer = self._of_axes(key, image)
        if layer is None or data.fits(layer):
            return layer
        self.remove(key)
        return None

    def _of_axes(self, key: Key, image: Image) -> Over | None:
        """Return the layer of a key if it has the axes of its image; another is removed."""
        layer = self.layers.get(key)
        if layer is None or layer.ndim == image.ndim:
            return layer
        self.remove(key)
        return None


def insert_above(viewer: ViewerModel, layer: Layer, over: Sequence[Layer]) -> None:
    """Insert a layer directly above its own image and what lies over that already.

    So another image over both hides both. Inserting selects the layer; the user's selection is
    put back.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    layer : Layer
    over : sequence of Layer
        First the image, or the topmost of those that are one with it, then what lies over it.
    """
    layers = viewer.layers
    selected, active = set(layers.selection), layers.selection.active
    order = list(layers)  # a slice of napari's list is another list with all of its events
    image = order.index(over[0])
    top = max(order.index(other) for other in over if other in order)
    if any(other not in over for other in order[image + 1 : top + 1]):
        top = image
    # Nobody is told of a selection that is gone again at once: napari looks at all layers each
    # time, and most of the cost of a new class over many images was that.
    with layers.selection.events.blocker_all():
        layers.insert(top + 1, layer)
        layers.selection = selected
        layers.selection.active = active

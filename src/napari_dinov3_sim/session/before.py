"""What a viewer was like before its layers were rearranged, and how it becomes so again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer, Points


@dataclass(frozen=True)
class Before:
    """What the viewer was like; ids, for a layer may be gone by the time it is restored.

    Attributes
    ----------
    order : tuple of hashable
        Ids of the layers, the bottom one first.
    hidden : set of hashable
        Ids of the layers that have been hidden since, by us.
    grid, camera : dict
        Attributes of napari's grid and of its camera.
    opacity : float
        Of the query layer.
    """

    order: tuple[Hashable, ...]
    hidden: set[Hashable]
    grid: dict[str, Any]
    camera: dict[str, Any]
    opacity: float

    @classmethod
    def of(cls, viewer: ViewerModel, queries: Points) -> Before:
        """Return what a viewer and its query layer are like now."""
        grid, camera = viewer.canvas.grid, viewer.scene.camera
        return cls(
            order=tuple(layer.unique_id for layer in viewer.layers),
            hidden=set(),
            grid={name: getattr(grid, name) for name in ("stride", "shape", "spacing", "enabled")},
            camera={name: getattr(camera, name) for name in ("center", "zoom")},
            opacity=queries.opacity,
        )

    def hide_all_but(self, kept: Collection[Hashable], viewer: ViewerModel) -> None:
        """Hide all layers but some, and show those of them again that were hidden for this."""
        for layer in viewer.layers:
            if layer.unique_id in kept and layer.unique_id in self.hidden:
                self.hidden.discard(layer.unique_id)
                layer.visible = True
            elif layer.unique_id not in kept and layer.visible:
                self.hidden.add(layer.unique_id)
                layer.visible = False

    def restore_layers(self, viewer: ViewerModel, queries: Points) -> None:
        """Show, order and draw the layers as before; newcomers are shown, where they are."""
        for layer in viewer.layers:
            if layer.unique_id in self.hidden:
                layer.visible = True
        reorder(viewer, _restored(list(viewer.layers), self.order))
        queries.opacity = self.opacity


def set_changed(model: Any, **values: Any) -> None:
    """Set what differs: napari draws again for values that are set, the same or not."""
    for name, value in values.items():
        if getattr(model, name) != value:
            setattr(model, name, value)


def reorder(viewer: ViewerModel, wanted: Sequence[Layer]) -> None:
    """Bring the list into an order, with no event for a layer that already is in its place."""
    for place, layer in enumerate(wanted):
        viewer.layers.move(viewer.layers.index(layer), place)


def _restored(current: Sequence[Layer], order: Sequence[Hashable]) -> list[Layer]:
    """Return the layers in an earlier order; each newcomer directly above what it is above now."""
    rank = {layer_id: place for place, layer_id in enumerate(order)}
    known = [layer for layer in current if layer.unique_id in rank]
    result = sorted(known, key=lambda layer: rank[layer.unique_id])
    for below, layer in zip([None, *current], current, strict=False):
        if layer.unique_id not in rank:
            result.insert(0 if below is None else result.index(below) + 1, layer)
    return result

"""The Points layer that is listened to, and which image each of its points belongs to."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.placement import adopt_units, data_to_world, lift

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Points
    from numpy.typing import NDArray

MARKER = "napari_dinov3_sim"
"""Key in ``layer.metadata`` of the layers this package makes."""

NAME = "DINOv3 query"

Locate = Callable[["NDArray[np.float64]", Hashable | None], Hashable | None]
"""Given a world point and the image it belonged to, the image it belongs to now, or None."""


class QueryPoints:
    """Makes or adopts the Points layer, and remembers the image of every point.

    A point stays with the image it was set on for as long as it lies inside it, whatever is
    shown above; one that is dragged out belongs to the topmost target under it.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    changed : callable
        A bound method, called after every edit.
    """

    def __init__(self, viewer: ViewerModel, changed: Callable[[], None]) -> None:
        self._viewer = viewer
        self._changed = changed
        self._layer: Points | None = None
        self._coordinates: NDArray[np.float64] = np.empty((0, 0))
        self._sources: list[Hashable | None] = []
        self._interrupted = False

    @property
    def layer(self) -> Points | None:
        """The Points layer, or None before the first image is opened."""
        return self._layer

    def ensure(self, image: Image) -> Points:
        """Return the Points layer, made for `image` if there is none that fits.

        An empty layer with too few axes for the viewer is replaced: its clicks would not know
        the plane they were made on.
        """
        layer = self._layer if self._layer is not None else self._adopt()
        if layer is not None and not len(layer.data) and layer.ndim < self._viewer.dims.ndim:
            self.forget()
            self._viewer.layers.remove(layer)
            layer = None
        return layer if layer is not None else self._make(image)

    def _adopt(self) -> Points | None:
        for layer in reversed(self._viewer.layers):
            if layer.metadata.get(MARKER, {}).get("role") == "query":
                self._listen(layer)
                return self._layer
        return None

    def _make(self, image: Image) -> Points:
        ndim = self._viewer.dims.ndim
        units = self._viewer.layers.units or image.units
        scale = np.ones(ndim)
        scale[-min(ndim, image.ndim) :] = image.scale[-ndim:]
        layer = self._viewer.add_points(
            ndim=ndim,
            name=NAME,
            scale=scale,
            size=max(4.0, 0.02 * max(image.data.shape[:2] if image.ndim == 2 else (512,))),
            symbol="disc",
            face_color="#00000000",
            border_color="cyan",
            border_width=0.2,
            canvas_size_limits=(9, 18),
            metadata={MARKER: {"role": "query"}},
        )
        if len(image.units) == ndim:
            layer.units = image.units
        adopt_units(layer, units if len(units) == ndim else None)
        self._listen(layer)
        self.activate()
        return layer

    def _listen(self, layer: Points) -> None:
        self._layer = layer
        layer.events.data.connect(self._on_data)
        # A pasted point comes with no data event at all.
        layer.events.set_data.connect(self._on_set_data)

    def activate(self) -> None:
        """Make the layer active and ready to add: the user's next click is a query."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.selection.active = self._layer
            self._layer.mode = "add"

    def interrupted(self) -> None:
        """Note whether the user was querying when an image was opened.

        napari selects the new image after it has told everybody of it.
        """
        active = self._viewer.layers.selection.active
        self._interrupted = self._layer is not None and active == self._layer

    def resume(self) -> None:
        """Give the layer back the activity that a newly opened image has taken."""
        if self._interrupted:
            self._interrupted = False
            self.activate()

    def forget(self) -> None:
        """Stop listening; the layer stays the user's."""
        if self._layer is None:
            return
        self._layer.events.data.disconnect(self._on_data)
        self._layer.events.set_data.disconnect(self._on_set_data)
        self._layer = None
        self._coordinates, self._sources = np.empty((0, 0)), []

    def raise_to_top(self) -> None:
        """Put the layer above everything, so that points stay visible and clickable."""
        layers = self._viewer.layers
        if self._layer is not None and self._layer in layers and layers[-1] != self._layer:
            layers.move(layers.index(self._layer), len(layers))

    def _on_data(self, event: Any) -> None:
        if str(getattr(event.action, "value", event.action)) in ("added", "removed", "changed"):
            self._changed()

    def _on_set_data(self, event: Any) -> None:
        del event
        layer = self._layer
        # napari fires this at every redraw as well; only new coordinates are news.
        if layer is not None and not np.array_equal(layer.data, self._coordinates):
            self._changed()

    def world_points(self) -> list[NDArray[np.float64]]:
        """Return each point in the viewer's world, with the leading axes of the shown plane."""
        if self._layer is None:
            return []
        units = self._viewer.layers.units
        adopt_units(self._layer, units)
        shown, ndim = self._viewer.dims.point, self._viewer.dims.ndim
        points = np.asarray(self._layer.data, float)
        return [lift(data_to_world(self._layer, p, units), ndim, shown) for p in points]

    @property
    def remembered(self) -> list[Hashable | None]:
        """The image of each point as last determined."""
        return list(self._sources)

    def sources(self, locate: Locate) -> list[Hashable | None]:
        """Return the image of each point, remembered from the time it was set."""
        if self._layer is None:
            return []
        coordinates = np.array(self._layer.data, float)
        remembered = _carry_over(self._coordinates, self._sources, coordinates)
        world = self.world_points()
        self._sources = [locate(w, old) for w, old in zip(world, remembered, strict=True)]
        self._coordinates = coordinates
        return list(self._sources)

    def append(self, world: NDArray[np.float64], source: Hashable) -> None:
        """Add a point at a world position and attach it to an image."""
        if self._layer is None:
            return
        layer, ndim = self._layer, self._layer.ndim
        data = np.asarray(layer.world_to_data(lift(world, ndim, self._viewer.dims.point)[-ndim:]))
        self._coordinates = np.vstack([self._coordinates.reshape(-1, ndim), data])
        self._sources.append(source)
        layer.add(data)


class Ignored:
    """Takes the place of the image of a point that was set where a click means nothing."""


IGNORED = Ignored()


def _carry_over(
    old: NDArray[np.float64], sources: Sequence[Hashable | None], new: NDArray[np.float64]
) -> list[Hashable | None]:
    """Match points to their former selves: by index while none came or went, else by place."""
    if len(old) == len(new):
        moved = [not np.array_equal(a, b) for a, b in zip(old, new, strict=True)]
        return [None if s is IGNORED and m else s for s, m in zip(sources, moved, strict=True)]
    pool = [(tuple(point), source) for point, source in zip(old, sources, strict=True)]
    carried: list[Hashable | None] = []
    for point in new:
        at = next((i for i, (place, _) in enumerate(pool) if place == tuple(point)), None)
        carried.append(None if at is None else pool.pop(at)[1])
    return carried


def is_ours(layer: Layer) -> bool:
    """Whether this package made the layer."""
    return MARKER in layer.metadata

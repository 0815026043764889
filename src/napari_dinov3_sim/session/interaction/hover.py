"""The patch under the mouse, and how similar it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.images.hit_testing import PlanePixel
    from napari_dinov3_sim.session.scene import Scene


class Hover:
    """Follows the mouse, and reports when it has come to another patch.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    place_at : callable
        Returns the pixel under a point of the world.
    scene : Scene
    changed : callable
        Bound method, called when the mouse is over another patch, or over none any more.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        place_at: Callable[[NDArray[np.float64]], PlanePixel | None],
        scene: Scene,
        changed: Callable[[], None],
    ) -> None:
        self._viewer, self._place_at = viewer, place_at
        self._scene, self._changed = scene, changed
        self._place: PlanePixel | None = None
        self._patch: object = None
        # This event, unlike the mouse callbacks, also comes while a point is dragged.
        viewer.cursor.events.position.connect(self._on_move)
        viewer.events.mouse_over_canvas.connect(self._on_canvas)

    @property
    def place(self) -> PlanePixel | None:
        """The pixel under the mouse, of the topmost image that is searched there."""
        return self._place

    def _on_move(self, event: Any) -> None:
        del event
        position = np.array(self._viewer.cursor.position, float)
        flat = self._viewer.dims.ndisplay == 2 and len(position) == self._viewer.dims.ndim
        self._set(self._place_at(position) if flat else None)

    def _on_canvas(self, event: Any) -> None:
        del event
        if not self._viewer.mouse_over_canvas:
            self._set(None)

    def _set(self, place: PlanePixel | None) -> None:
        self._place = place
        patch = None if place is None else self._patch_of(place)
        if patch != self._patch:
            self._patch = patch
            self._changed()

    def _patch_of(self, place: PlanePixel) -> object:
        grid = self._scene.grid(place.plane)
        side = 1 if grid is None else grid.patch_size
        return place.plane.key, place.y // side, place.x // side

    def close(self) -> None:
        """Follow the mouse no more."""
        self._viewer.cursor.events.position.disconnect(self._on_move)
        self._viewer.events.mouse_over_canvas.disconnect(self._on_canvas)

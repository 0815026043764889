"""Points layers of which no point lies on the plane that is shown."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.layer_metadata import mark_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from napari.components import ViewerModel
    from napari.layers import Points


class EmptyPoints:
    """Keeps napari from drawing a dot where there is no point.

    Of a layer that has points, but none on the plane shown, napari draws one of size 0 at the
    origin; the least size on the canvas makes a white dot of it. Such a layer has no least size
    for as long as that is so.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._least: dict[Hashable, float] = {}

    def update(self) -> None:
        """Look which layers show a point now."""
        if self._viewer.dims.ndim <= self._viewer.dims.ndisplay and not self._least:
            return  # there are no other planes
        for layer in self._ours():
            if not _shows_nothing(layer, self._viewer):
                self._restore(layer)
            elif layer.canvas_size_limits[0] > 0:
                self._least[layer.unique_id] = layer.canvas_size_limits[0]
                layer.canvas_size_limits = (0, layer.canvas_size_limits[1])

    def close(self) -> None:
        """Give all layers their least size again."""
        for layer in self._ours():
            # What draws them may be gone already, with its window.
            with suppress(RuntimeError):
                self._restore(layer)

    def _restore(self, layer: Points) -> None:
        least = self._least.pop(layer.unique_id, None)
        if least is not None and layer.canvas_size_limits[0] == 0:
            layer.canvas_size_limits = (least, layer.canvas_size_limits[1])

    def _ours(self) -> Iterator[Points]:
        from napari.layers import Points

        for layer in self._viewer.layers:
            if isinstance(layer, Points) and any(
                mark_of(layer, role) for role in ("query", "mirror", "result")
            ):
                yield layer


def _shows_nothing(layer: Points, viewer: ViewerModel) -> bool:
    """Whether a layer has points, but none within half a pixel of the plane that is shown."""
    if not len(layer.data) or layer.ndim <= viewer.dims.ndisplay:
        return False
    first = viewer.dims.ndim - layer.ndim
    hidden = [axis - first for axis in viewer.dims.not_displayed if axis >= first]
    place = np.asarray(layer.world_to_data(viewer.dims.point))[hidden]
    away = np.abs(np.asarray(layer.data)[:, hidden] - place)
    return not bool((away <= 0.5).all(axis=1).any())

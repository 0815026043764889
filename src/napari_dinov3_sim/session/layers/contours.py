"""Contours around what reaches the threshold of its class."""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.images.transforms import copy_transform, plane_transform
from napari_dinov3_sim.session.layer_metadata import layer_name, mark
from napari_dinov3_sim.session.layers.base import OverlayLayers, insert_above
from napari_dinov3_sim.versions import camera_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer, Vectors
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.images.hit_testing import ResolvedImages
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.images.target import Target
    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.objects.plane_objects import PlaneObjects

WIDTH = 2.0
"""Of a line, in pixels of the screen."""

ZOOM_STEP = 1.25
"""Lines are drawn anew when the zoom has changed by so much: a wheel sends many small steps."""

Drawn = tuple["Plane", tuple["PlaneObjects", ...], tuple[str, ...]]
"""A plane, what is found in it of each class, and the colours of these."""


class ContourLayers(OverlayLayers["Hashable", "Vectors"]):
    """One Vectors layer per image, with lines around what is found in the plane that is shown.

    The lines part exactly the pixels that *Labels* would have from the others. Of what napari can
    draw, vectors follow a dragged threshold best: the contour of a Labels layer needs three times
    as long for 1024² pixels, and Shapes longer still.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    palette : Palette
        Colours of the classes.

    Attributes
    ----------
    wanted : bool
        Whether there are contours.
    """

    def __init__(self, viewer: ViewerModel, palette: Palette) -> None:
        super().__init__(viewer, "contour")
        self._palette = palette
        self._drawn: dict[Hashable, Drawn] = {}
        self._zoom = camera_of(viewer).zoom
        self.wanted = True
        self.layers = {found["image"]: layer for found, layer in self._from_earlier_session()}
        camera_of(viewer).events.zoom.connect(self._on_zoom)

    def close(self) -> None:
        """Stop listening; the layers stay."""
        super().close()
        camera_of(self._viewer).events.zoom.disconnect(self._on_zoom)

    def _drop(self, key: Hashable) -> Vectors | None:
        self._drawn.pop(key, None)
        return super()._drop(key)

    def apply(
        self,
        images: ResolvedImages,
        found_of: Callable[[PlaneKey], Mapping[str, PlaneObjects] | None],
        over: Callable[[Hashable], Mapping[str, Layer]],
    ) -> None:
        """Draw what is found now, where that differs from what is drawn.

        Contours whose answer is under way stay for as long as their heatmaps do, and what was
        drawn stays until something newer is found.

        Parameters
        ----------
        images : ResolvedImages
        found_of : callable
            Returns what is found in a plane, by class; None while that is not known.
        over : callable
            Given the id of an image, returns its heatmaps by class, the lowest first.
        """
        kept = {image_id for image_id in images.targets if over(image_id)} if self.wanted else ()
        if self.layers.keys() - set(kept):
            self.keep_only(kept)
        for key, plane in images.planes.items():
            found = found_of(key)
            if key.layer_id not in kept or found is None:
                continue
            heatmaps = over(key.layer_id)
            there = heatmaps.keys() & self._palette.keys()
            names = [name for name in found if name in there and heatmaps[name].visible]
            colours = tuple(self._palette[name] for name in names)
            wanted = (plane, tuple(found[name] for name in names), colours)
            if not self._is_drawn(wanted) and (names or key.layer_id in self.layers):
                below = [images.tops[key.layer_id], *heatmaps.values()]
                self._show(images.targets[key.layer_id], wanted, below)

    def _is_drawn(self, wanted: Drawn) -> bool:
        plane, found, colours = wanted
        before = self._drawn.get(plane.key.layer_id)
        if before is None or plane.key.layer_id not in self.layers:
            return False
        same = len(found) == len(before[1]) and all(map(is_, found, before[1]))
        return before[0].key == plane.key and same and before[2] == colours

    def _show(self, target: Target, wanted: Drawn, below: Sequence[Layer]) -> None:
        plane, found, colours = wanted
        image = target.layer
        none = np.empty((0, 2, len(plane.shape)))
        # Of a class that was hidden a moment ago, lines are still to be found.
        parts = [none if one.lines is None else one.lines for one in found]
        data = np.concatenate([none, *parts])
        layer = self._of_axes(image.unique_id, image)
        if layer is None:
            layer = self._make(target, data, plane.key.axes, below)
        else:
            # The extent of all layers is measured again after a data event, see `LayerData`.
            with layer.events.data.blocker():
                layer.data = data
        self._drawn[image.unique_id] = wanted
        # Every time: napari draws vectors that are added to others in a colour of its own.
        if len(set(colours)) == 1:
            layer.edge_color = colours[0]
        elif colours:
            layer.edge_color = np.repeat(list(colours), [len(part) for part in parts])

    def _make(
        self,
        target: Target,
        data: NDArray[np.float64],
        plane_axes: tuple[int, int],
        over: Sequence[Layer],
    ) -> Vectors:
        from napari.layers import Vectors

        image = target.layer
        layer = Vectors(
            data,
            ndim=image.ndim,
            name=layer_name(target.name, "contours"),
            vector_style="line",
            edge_width=self._width(image, plane_axes),
            visible=image.visible,
        )
        # Half of the time of an update went into a thumbnail, in a row of the list that is hidden.
        layer._max_vectors_thumbnail = 0
        copy_transform(image, layer)
        mark(layer, "contour", image=image.unique_id)
        self.layers[image.unique_id] = layer
        insert_above(self._viewer, layer, over)
        return layer

    def _on_zoom(self) -> None:
        zoom = camera_of(self._viewer).zoom
        if not 1 / ZOOM_STEP < zoom / self._zoom < ZOOM_STEP:
            self._zoom = zoom
            for image_id, (plane, *_) in self._drawn.items():
                layer = self.layers[image_id]
                layer.edge_width = self._width(layer, plane.key.axes)

    def _width(self, layer: Layer, plane_axes: tuple[int, int]) -> float:
        """Return the width of a line in pixels of the image."""
        transform = plane_transform(layer, plane_axes, self._viewer.layers.units)
        area = np.linalg.det(transform.linear[np.ix_(plane_axes, plane_axes)])
        return float(WIDTH / self._zoom * np.sqrt(abs(area)))

"""Contours around the patches that reach the threshold of their class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.images.planes import level_ratios, patch_borders
from napari_dinov3_sim.session.images.transforms import copy_transform, plane_transform
from napari_dinov3_sim.session.layer_metadata import layer_name, mark
from napari_dinov3_sim.session.layers.base import OverlayLayers, insert_above

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer, Vectors
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.session.images.hit_testing import ResolvedImages
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.images.target import Target
    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.worker_messages import PlaneMaps

WIDTH = 2.0
"""Of a line, in pixels of the screen."""

ZOOM_STEP = 1.25
"""Lines are drawn anew when the zoom has changed by so much: a wheel sends many small steps."""

Drawn = tuple["Plane", "PlaneMaps", tuple[tuple[str, float, str], ...], float]
"""A plane, its maps, the class, threshold and colour of each contour, and the minimum area."""


class ContourLayers(OverlayLayers["Hashable", "Vectors"]):
    """One Vectors layer per image, with lines around what is found in the plane that is shown.

    Lines along the borders of patches part exactly the pixels that *Labels* would have from the
    others. Of what napari can draw, vectors follow a dragged threshold best: the contour of a
    Labels layer needs three times as long for 1024² pixels, and Shapes longer still.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    palette : Palette
        Colours of the classes.

    Attributes
    ----------
    wanted : bool
        Whether there are contours.
    min_area : float
        Objects of fewer pixels of level 0 have none.
    """

    def __init__(self, viewer: ViewerModel, palette: Palette) -> None:
        super().__init__(viewer, "contour")
        self._palette = palette
        self._drawn: dict[Hashable, Drawn] = {}
        self._zoom = viewer.scene.camera.zoom
        self.wanted = True
        self.min_area = 0.0
        self.layers = {found["image"]: layer for found, layer in self._from_earlier_session()}
        viewer.scene.camera.events.zoom.connect(self._on_zoom)

    def close(self) -> None:
        """Stop listening; the layers stay."""
        super().close()
        self._viewer.scene.camera.events.zoom.disconnect(self._on_zoom)

    def _drop(self, key: Hashable) -> Vectors | None:
        self._drawn.pop(key, None)
        return super()._drop(key)

    def apply(
        self,
        images: ResolvedImages,
        maps_of: Callable[[PlaneKey], PlaneMaps | None],
        thresholds: Mapping[str, float],
        over: Callable[[Hashable], Mapping[str, Layer]],
    ) -> None:
        """Draw what is found now, where that differs from what is drawn.

        Contours whose answer is under way stay for as long as their heatmaps do.

        Parameters
        ----------
        images : ResolvedImages
        maps_of : callable
            Returns the maps of a plane, or None while there are none.
        thresholds : mapping of str to float
        over : callable
            Given the id of an image, returns its heatmaps by class, the lowest first.
        """
        kept = {image_id for image_id in images.targets if over(image_id)} if self.wanted else ()
        if self.layers.keys() - set(kept):
            self.keep_only(kept)
        for key, plane in images.planes.items():
            maps = maps_of(key)
            if key.layer_id not in kept or maps is None:
                continue
            heatmaps = over(key.layer_id)
            classes = tuple(
                (name, thresholds[name], self._palette[name])
                for name in maps.cosines
                if name in thresholds and name in heatmaps and heatmaps[name].visible
            )
            wanted = (plane, maps, classes, self.min_area)
            if not self._is_drawn(wanted) and (classes or key.layer_id in self.layers):
                below = [images.tops[key.layer_id], *heatmaps.values()]
                self._show(images.targets[key.layer_id], wanted, below)

    def _is_drawn(self, wanted: Drawn) -> bool:
        plane, maps, *rest = wanted
        before = self._drawn.get(plane.key.layer_id)
        if before is None or plane.key.layer_id not in self.layers:
            return False
        return before[0].key == plane.key and before[1] is maps and [*before[2:]] == rest

    def _show(self, target: Target, wanted: Drawn, below: Sequence[Layer]) -> None:
        plane, maps, classes, min_area = wanted
        image = target.layer
        found = [found_objects(plane, maps, name, level, min_area) for name, level, _ in classes]
        parts = [boundary_vectors(objects > 0, plane, maps.grid) for objects in found]
        data = np.concatenate([np.empty((0, 2, len(plane.shape))), *parts])
        layer = self._of_axes(image.unique_id, image)
        if layer is None:
            layer = self._make(target, data, plane.key.axes, below)
        else:
            # The extent of all layers is measured again after a data event, see `LayerData`.
            with layer.events.data.blocker():
                layer.data = data
        self._drawn[image.unique_id] = wanted
        # Every time: napari draws vectors that are added to others in a colour of its own.
        colours = [colour for *_, colour in classes]
        if len(set(colours)) == 1:
            layer.edge_color = colours[0]
        elif colours:
            layer.edge_color = np.repeat(colours, [len(part) for part in parts])

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
        zoom = self._viewer.scene.camera.zoom
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


def found_objects(
    plane: Plane, maps: PlaneMaps, class_name: str, level: float, min_area: float
) -> NDArray[np.int32]:
    """Return the objects of a class in a plane, patch by patch, as *Labels* would have them.

    Parameters
    ----------
    plane : Plane
    maps : PlaneMaps
    class_name : str
    level : float
        The threshold.
    min_area : float
        In pixels of level 0; smaller objects are left out.

    Returns
    -------
    ndarray of int32, shape (rows, columns)
        0 where nothing is found.
    """
    from napari_dinov3_sim.core.search.similarity import SimilarityMap
    from napari_dinov3_sim.core.search.thresholds import threshold_labels

    similarity = SimilarityMap(maps.cosines[class_name], maps.grid)
    return threshold_labels(similarity, level, min_area / float(level_ratios(plane).prod()))


def boundary_vectors(
    found: NDArray[np.bool_], plane: Plane, grid: PatchGrid
) -> NDArray[np.float64]:
    """Return the lines between patches that are found and those that are not.

    Parameters
    ----------
    found : ndarray of bool, shape (rows, columns)
    plane : Plane
    grid : PatchGrid

    Returns
    -------
    ndarray, shape (n, 2, ndim)
        Start and direction of each line, in the data of the layer; they lie between pixels.
    """
    borders = [border - 0.5 for border in patch_borders(plane, grid)]
    padded = np.pad(found, 1)
    vectors = []
    for along, across in ((1, 0), (0, 1)):
        changes = np.diff(padded, axis=across)
        inner = changes[:, 1:-1] if along == 1 else changes[1:-1].T
        line, start, end = _runs(inner)
        lines = np.zeros((len(line), 2, len(plane.shape)))
        for axis, index in plane.key.position:
            lines[:, 0, axis] = index
        lines[:, 0, plane.key.axes[across]] = borders[across][line]
        lines[:, 0, plane.key.axes[along]] = borders[along][start]
        lines[:, 1, plane.key.axes[along]] = borders[along][end] - borders[along][start]
        vectors.append(lines)
    return np.concatenate(vectors)


def _runs(marked: NDArray[np.bool_]) -> Iterable[NDArray[np.intp]]:
    """Return row, first column and the column after the last of each run of marked elements."""
    steps = np.diff(np.pad(marked, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    return rows, starts, ends

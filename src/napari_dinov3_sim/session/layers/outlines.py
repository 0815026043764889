"""Outlines of the patches that were clicked, one layer over each image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.images.transforms import copy_transform
from napari_dinov3_sim.session.layer_metadata import layer_name, mark
from napari_dinov3_sim.session.layers.base import OverlayLayers, insert_above

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Vectors
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.images.planes import Plane

CORNERS = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], float)

WIDTH = 0.08
"""Width of a line, in sides of a patch."""


class OutlineLayers(OverlayLayers["Hashable", "Vectors"]):
    """One Vectors layer per image with the outline of each queried patch.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer, "outline")
        self._drawn: dict[Hashable, tuple[object, tuple[str, ...]]] = {}
        self.layers = {found["image"]: layer for found, layer in self._from_earlier_session()}

    def _drop(self, key: Hashable) -> Vectors | None:
        self._drawn.pop(key, None)
        return super()._drop(key)

    def show(
        self,
        image: Image,
        squares: Sequence[tuple[Plane, int, int, int]],
        colours: Sequence[str],
        over: Sequence[Layer],
    ) -> None:
        """Outline patches of an image.

        Parameters
        ----------
        image : Image
        squares : sequence of (Plane, row, column, side)
            Row and column of the patch; side in pixels of the embedded level.
        colours : sequence of str
            One for each.
        over : sequence of Layer
            What a new layer is to lie above: the image, or the topmost of those that are one
            with it, and what lies over that already.
        """
        wanted = (tuple((p.key, *rest) for p, *rest in squares), tuple(colours))
        layer = self.layers.get(image.unique_id)
        before = self._drawn.get(image.unique_id)
        if layer is not None and before == wanted:
            return
        data = np.concatenate([_lines(*square) for square in squares])
        width = WIDTH * max(_side_at_level_0(plane, side) for plane, *_, side in squares)
        if layer is None:
            layer = self._make(image, squares[0][0].name, data, width, over)
        else:
            layer.data = data
        # Each of these draws the layer again, which a drag has no time for.
        if layer.edge_width != width:
            layer.edge_width = width
        if before is None or before[1] != wanted[1]:
            layer.edge_color = [colour for colour in colours for _ in range(len(CORNERS))]
        self._drawn[image.unique_id] = wanted

    def _make(
        self,
        image: Image,
        name: str,
        data: NDArray[np.float64],
        width: float,
        over: Sequence[Layer],
    ) -> Vectors:
        from napari.layers import Vectors

        layer = Vectors(
            data,
            ndim=image.ndim,
            name=layer_name(name, "queried patches"),
            edge_width=width,
            vector_style="line",
            visible=image.visible,
        )
        copy_transform(image, layer)
        mark(layer, "outline", image=image.unique_id)
        self.layers[image.unique_id] = layer
        insert_above(self._viewer, layer, over)
        return layer


def _side_at_level_0(plane: Plane, side: int) -> float:
    axis = plane.key.axes[0]
    return side * plane.shape[axis] / plane.level_shape[axis]


def _lines(plane: Plane, row: int, column: int, side: int) -> NDArray[np.float64]:
    """Return the four sides of a patch, cut at the border of the image, as start and direction."""
    axes = list(plane.key.axes)
    full = np.array([plane.shape[axis] for axis in axes], float)
    level = np.array([plane.level_shape[axis] for axis in axes], float)
    corners = np.minimum((np.array([row, column]) + CORNERS) * side, level) * full / level - 0.5
    lines = np.zeros((len(corners), 2, len(plane.shape)))
    for axis, index in plane.key.position:
        lines[:, 0, axis] = index
    lines[:, 0, axes] = corners
    lines[:, 1, axes] = np.roll(corners, -1, axis=0) - corners
    return lines

"""Outlines of the patches that were clicked, one layer over each image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.answering.question import Pick
from napari_dinov3_sim.session.images.transforms import copy_transform
from napari_dinov3_sim.session.layer_metadata import mark, overlay_name
from napari_dinov3_sim.session.layers.base import OverlayLayers, insert_above
from napari_dinov3_sim.session.layers.style import darkened

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Vectors
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.images.planes import Plane
    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.resolved_state import ResolvedState

CORNERS = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], float)

WIDTH = 0.08
"""Width of a line, in sides of a patch."""


MATCH_COLOUR = "#ffffff"
"""Outline of the best match that the view was moved to."""

Square = tuple["Plane", int, int, int]
"""A plane, row and column of a patch, and its side in pixels of the embedded level."""

Marked = tuple["Plane", int, int]
"""A plane, and the column and row of a pixel of it."""


class OutlineLayers(OverlayLayers["Hashable", "Vectors"]):
    """One Vectors layer per image with the outline of each clicked patch.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    palette : Palette
        Colours of the classes.

    Attributes
    ----------
    wanted : bool
        Whether there are outlines.
    """

    def __init__(self, viewer: ViewerModel, palette: Palette) -> None:
        super().__init__(viewer, "outline")
        self._palette = palette
        self._applied: tuple[object, ...] = ()
        self._drawn: dict[Hashable, tuple[object, tuple[str, ...]]] = {}
        self.wanted = True
        self.layers = {found["image"]: layer for found, layer in self._from_earlier_session()}

    def _drop(self, key: Hashable) -> Vectors | None:
        self._drawn.pop(key, None)
        return super()._drop(key)

    def apply(
        self,
        new: ResolvedState,
        match: Marked | None,
        over: Callable[[Hashable], Sequence[Layer]],
    ) -> None:
        """Outline the patches that are clicked now, and the best match.

        Parameters
        ----------
        new : ResolvedState
        match : (Plane, int, int) or None
            The pixel that the view was moved to.
        over : callable
            Given the id of an image, returns what lies over it.
        """
        picks = [pick for pick in new.picked.picks if isinstance(pick, Pick)]
        colours = [
            self._palette[pick.class_name]
            if pick.positive
            else darkened(self._palette[pick.class_name])
            for pick in picks
        ]
        now = (picks, colours, new.images, new.cell_size, match, self.wanted)
        if now == self._applied:
            return
        planes = new.picked.planes
        marked = [(planes[pick.plane], pick.x, pick.y) for pick in picks] if self.wanted else []
        if self.wanted and match is not None:
            marked.append(match)
            colours.append(MATCH_COLOUR)
        squares: dict[Hashable, list[tuple[Square, str]]] = {}
        side = new.cell_size
        for (plane, x, y), colour in zip(marked, colours, strict=False):
            if side is not None:
                square = (plane, y // side, x // side, side)
                squares.setdefault(plane.key.layer.layer_id, []).append((square, colour))
        if self.layers.keys() - squares.keys():
            self.keep_only(set(squares))
        for image_id, found in squares.items():
            target = new.images.targets.get(image_id)
            if target is not None:
                below: Sequence[Layer] = ()
                if self._of_axes(image_id, target.layer) is None:
                    below = [new.images.tops[image_id], *over(image_id)]
                self._show(target.layer, found, below)
        self._applied = now  # at the end: what could not be done is tried again

    def _show(
        self, image: Image, found: Sequence[tuple[Square, str]], below: Sequence[Layer]
    ) -> None:
        """Outline patches of an image, each in its colour; a new layer lies above `below`."""
        squares, colours = zip(*found, strict=True)
        wanted = (tuple((p.key, *rest) for p, *rest in squares), colours)
        layer = self.layers.get(image.unique_id)
        before = self._drawn.get(image.unique_id)
        if layer is not None and before == wanted:
            return
        data = np.concatenate([_lines(*square) for square in squares])
        width = WIDTH * max(_side_at_level_0(plane, side) for plane, *_, side in squares)
        if layer is None:
            layer = self._make(image, squares[0][0].name, data, width, below)
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
            name=overlay_name(name, "outlines"),
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
    axis = plane.key.layer.axes[0]
    return side * plane.shape[axis] / plane.level_shape[axis]


def _lines(plane: Plane, row: int, column: int, side: int) -> NDArray[np.float64]:
    """Return the four sides of a patch, cut at the border of the image, as start and direction."""
    axes = list(plane.key.layer.axes)
    full = np.array([plane.shape[axis] for axis in axes], float)
    level = np.array([plane.level_shape[axis] for axis in axes], float)
    corners = np.minimum((np.array([row, column]) + CORNERS) * side, level) * full / level - 0.5
    lines = np.zeros((len(corners), 2, len(plane.shape)))
    for axis, index in plane.key.position:
        lines[:, 0, axis] = index
    lines[:, 0, axes] = corners
    lines[:, 1, axes] = np.roll(corners, -1, axis=0) - corners
    return lines

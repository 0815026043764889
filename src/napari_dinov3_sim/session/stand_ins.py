"""The Points layers that are in a viewer only while its images are side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.before import set_changed
from napari_dinov3_sim.session.marks import MARKER
from napari_dinov3_sim.session.placement import copy_transform

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer, Points
    from numpy.typing import NDArray

STYLES = ("size", "symbol", "border_width", "border_color", "face_color")
"""What a mirror copies of each point, besides where it lies."""


class StandIns:
    """One mirror of the query points for each group of layers, and fillers for short groups.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    queries : Points
        The layer whose points are mirrored.

    Attributes
    ----------
    mirrors, fillers : list of Points
    """

    def __init__(self, viewer: ViewerModel, queries: Points) -> None:
        self._viewer, self._queries = viewer, queries
        self.mirrors: list[Points] = []
        self.fillers: list[Points] = []

    @property
    def layers(self) -> list[Points]:
        """All of them."""
        return [*self.mirrors, *self.fillers]

    def make(self, mirrors: int, fillers: int, opacity: float) -> None:
        """Make what is missing, and remove what is too much."""
        for layers, number, name in (
            (self.mirrors, mirrors, "points"),
            (self.fillers, fillers, "(room)"),
        ):
            layers[:] = [layer for layer in layers if layer in self._viewer.layers]
            while len(layers) > number:
                self._remove(layers.pop())
            while len(layers) < number:
                layers.append(self._add(name, opacity))
        for filler in self.fillers:
            set_changed(filler, visible=False)

    def _add(self, name: str, opacity: float) -> Points:
        from napari.layers import Points

        layer = Points(
            ndim=self._queries.ndim,
            name=f"{self._queries.name}: {name}",
            opacity=opacity,
            canvas_size_limits=self._queries.canvas_size_limits,
            border_width_is_relative=self._queries.border_width_is_relative,
        )
        copy_transform(self._queries, layer)
        layer.metadata[MARKER] = {"role": "mirror", "layer": layer.unique_id}
        layer.editable = False
        self._viewer.layers.append(layer)
        return layer

    def arrange(self, groups: Sequence[Sequence[Layer]], slots: int) -> list[Layer]:
        """Return the layers of all groups, bottom first, each group filled up to its slots.

        A mirror is the uppermost of its group.
        """
        fillers = iter(self.fillers)
        order: list[Layer] = []
        for group, mirror in zip(groups, self.mirrors, strict=True):
            order += [*group, *(next(fillers) for _ in range(slots - 1 - len(group))), mirror]
        return order

    def show(self, visible: Iterable[bool]) -> None:
        """Show the mirrors of some groups, and hide the others."""
        for mirror, shown in zip(self.mirrors, visible, strict=True):
            set_changed(mirror, visible=shown)

    def show_points(self, groups: Sequence[int | None]) -> None:
        """Draw each query point in the mirror of its group; one of none in all of them."""
        of = np.array([-1 if index is None else index for index in groups], int)
        for index, mirror in enumerate(self.mirrors):
            _mirror(self._queries, mirror, np.flatnonzero((of == index) | (of < 0)))

    def remove(self) -> None:
        """Remove all of them."""
        for layer in self.layers:
            self._remove(layer)
        self.mirrors, self.fillers = [], []

    def _remove(self, layer: Points) -> None:
        """Unselected first: napari selects another layer in place of a selected one."""
        if layer in self._viewer.layers:
            self._viewer.layers.selection.discard(layer)
            self._viewer.layers.remove(layer)


def _mirror(source: Points, target: Points, rows: NDArray[np.intp]) -> None:
    """Show some of the points of one layer in another; nothing is drawn anew without need."""
    data = np.asarray(source.data)[rows]
    copy_transform(source, target)
    if not np.array_equal(target.data, data):
        target.data = data
    for name in STYLES if len(rows) else ():
        value = np.asarray(getattr(source, name))[rows]
        if not np.array_equal(getattr(target, name), value):
            setattr(target, name, value)

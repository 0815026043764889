"""Side by side: every target in a viewbox of its own, with its heatmaps and its points.

napari's grid puts equally many neighbours of the layer list into each viewbox, and draws every
layer in one viewbox only. So the layers are put in order, short groups are filled up, and each
group gets a layer that mirrors the query points lying on it. The query layer itself stays on top
and active, and takes the clicks in every viewbox; it is transparent meanwhile. The one camera
shows the same part of the world in all viewboxes, and no transform is touched. All of it is
undone at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.marks import MARKER
from napari_dinov3_sim.session.placement import copy_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer, Points
    from numpy.typing import NDArray

STYLES = ("size", "symbol", "border_width", "border_color", "face_color")
"""What a mirror copies of each point, besides where it lies."""

SPACING = 4.0
"""Screen pixels between viewboxes."""


@dataclass(frozen=True)
class _Before:
    """What the viewer was like; ids, for a layer may be gone by the time it is restored."""

    order: tuple[Hashable, ...]
    hidden: set[Hashable]  # by us, from then on
    grid: dict[str, Any]
    camera: dict[str, Any]
    opacity: float


class SideBySide:
    """Shows groups of layers next to each other until told to stop.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    queries : Points
        The layer whose points are mirrored; it should be the active one.
    ended : callable, optional
        Called when the user has ended it with napari's own grid button, all restored.
    """

    def __init__(
        self, viewer: ViewerModel, queries: Points, ended: Callable[[], None] | None = None
    ) -> None:
        self._viewer, self._queries, self._ended = viewer, queries, ended
        self._groups: list[list[Hashable]] = []
        self._order: list[Hashable] = []
        self._mirrors: list[Points] = []
        self._fillers: list[Points] = []
        self._before: _Before | None = None
        self._arranging = False

    @property
    def active(self) -> bool:
        """Whether the layers are side by side."""
        return self._before is not None

    @property
    def made(self) -> list[Points]:
        """The layers that are here only for now: one mirror per group, and fillers."""
        return [*self._mirrors, *self._fillers]

    # -- the arrangement ------------------------------------------------------------------------

    def arrange(self, groups: Sequence[Sequence[Layer]]) -> None:
        """Give each group a viewbox, row by row; call again when the layers have changed.

        The layers of no group are hidden. The camera moves when this is first called, and when
        the number of groups has changed.

        Parameters
        ----------
        groups : sequence of sequence of Layer
            In each, what is drawn first comes first; without the query layer. None at all, or
            the removal of that layer, ends it.
        """
        if not groups or self._queries not in self._viewer.layers:
            self.leave()
            return
        first = self._before is None
        refit = first or len(groups) != len(self._groups)
        if first:
            self._before = _look_at(self._viewer, self._queries)
            self._viewer.canvas.grid.events.enabled.connect(self._on_enabled)
        if first or not self._in_place(groups):
            self._arranging = True
            try:
                # napari builds its scene once, at the end.
                with self._viewer.layers.batched_update():
                    self._build(groups)
            finally:
                self._arranging = False
        for mirror, group in zip(self._mirrors, groups, strict=True):
            _set(mirror, visible=any(layer.visible for layer in group))
        if refit:
            self._viewer.fit_to_view(layers=[layer for group in groups for layer in group])

    def _in_place(self, groups: Sequence[Sequence[Layer]]) -> bool:
        """Whether nothing has changed; even to build nothing costs 0.3 s in a large process."""
        return self._groups == _ids(groups) and self._order == _ids([self._viewer.layers])[0]

    def _build(self, groups: Sequence[Sequence[Layer]]) -> None:
        slots = max(len(group) for group in groups) + 1
        self._groups = _ids(groups)
        selection = self._viewer.layers.selection
        selected, active = set(selection), selection.active
        self._make(groups, slots)
        self._hide_others()
        _reorder(self._viewer, self._wanted(groups, slots))
        if set(selection) != selected or selection.active != active:
            present = set(self._viewer.layers)
            self._viewer.layers.selection = selected & present
            selection.active = active if active in present else None
        _set(self._queries, opacity=0.0)
        self._switch_on(slots)
        self._order = _ids([self._viewer.layers])[0]

    def _switch_on(self, slots: int) -> None:
        """Set a shape: napari would count the query layer as one more viewbox.

        As it is, napari draws it in the first viewbox, or in one that is left over.
        """
        grid, number = self._viewer.canvas.grid, len(self._groups)
        columns = math.ceil(math.sqrt(number))
        shape = (math.ceil(number / columns), columns)
        _set(grid, stride=slots, shape=shape, spacing=SPACING, enabled=True)

    def _make(self, groups: Sequence[Sequence[Layer]], slots: int) -> None:
        """Make what is missing of mirrors and fillers, and remove what is too much."""
        room = sum(slots - 1 - len(group) for group in groups)
        for layers, number, name in (
            (self._mirrors, len(groups), "points"),
            (self._fillers, room, "(room)"),
        ):
            layers[:] = [layer for layer in layers if layer in self._viewer.layers]
            while len(layers) > number:
                self._remove(layers.pop())
            while len(layers) < number:
                layers.append(self._add(name))
        for filler in self._fillers:
            _set(filler, visible=False)

    def _add(self, name: str) -> Points:
        from napari.layers import Points

        layer = Points(
            ndim=self._queries.ndim,
            name=f"{self._queries.name}: {name}",
            opacity=self._before.opacity if self._before else 1.0,
            canvas_size_limits=self._queries.canvas_size_limits,
            border_width_is_relative=self._queries.border_width_is_relative,
        )
        copy_transform(self._queries, layer)
        layer.metadata[MARKER] = {"role": "mirror", "layer": layer.unique_id}
        layer.editable = False
        self._viewer.layers.append(layer)
        return layer

    def _hide_others(self) -> None:
        assert self._before is not None  # noqa: S101
        hidden = self._before.hidden
        ours = {layer.unique_id for layer in (*self.made, self._queries)}
        kept = ours.union(*self._groups)
        for layer in self._viewer.layers:
            if layer.unique_id in kept & hidden:
                hidden.discard(layer.unique_id)
                layer.visible = True
            elif layer.unique_id not in kept and layer.visible:
                hidden.add(layer.unique_id)
                layer.visible = False

    def _wanted(self, groups: Sequence[Sequence[Layer]], slots: int) -> list[Layer]:
        """The whole list, bottom first: group by group, the others, the query layer."""
        fillers = iter(self._fillers)
        order: list[Layer] = []
        for group, mirror in zip(groups, self._mirrors, strict=True):
            order += [*group, *(next(fillers) for _ in range(slots - 1 - len(group))), mirror]
        taken = {layer.unique_id for layer in (*order, self._queries)}
        others = [layer for layer in self._viewer.layers if layer.unique_id not in taken]
        return [*order, *others, self._queries]

    # -- points and clicks ----------------------------------------------------------------------

    def show_points(self, groups: Sequence[int | None]) -> None:
        """Draw each query point in the viewbox of its group.

        Parameters
        ----------
        groups : sequence of int or None
            For each query point, the index of the group it lies on; a point on none is drawn in
            all viewboxes.
        """
        of = np.array([-1 if index is None else index for index in groups], int)
        for index, mirror in enumerate(self._mirrors):
            _mirror(self._queries, mirror, np.flatnonzero((of == index) | (of < 0)))

    def group_at(self, viewbox: tuple[int, int] | None) -> int | None:
        """Return the index of the group shown in a viewbox, None if there is none.

        Parameters
        ----------
        viewbox : tuple of int or None
            Row and column: ``event.viewbox`` of a mouse event, or ``viewer.cursor.viewbox``,
            which within the data event of a click or a drag is where the mouse was pressed.
        """
        if viewbox is None or not self.active:
            return None
        layers = self._viewer.layers
        found = self._viewer.canvas.grid.contents_at(viewbox, layers)
        ids = {layers[index].unique_id for index in found}
        for index, (group, mirror) in enumerate(zip(self._groups, self._mirrors, strict=True)):
            if ids.intersection((*group, mirror.unique_id)):
                return index
        return None

    # -- the end --------------------------------------------------------------------------------

    def _on_enabled(self) -> None:
        if self._before is None or self._arranging or self._viewer.canvas.grid.enabled:
            return
        self._before.grid["enabled"] = False
        self.leave()
        if self._ended is not None:
            self._ended()

    def leave(self) -> None:
        """Make everything as it was; layers opened meanwhile are shown, where they are."""
        before, self._before = self._before, None
        if before is None:
            return
        grid = self._viewer.canvas.grid
        grid.events.enabled.disconnect(self._on_enabled)
        with self._viewer.layers.batched_update():
            grid.enabled = False
            self._remove_made()
            for layer in self._viewer.layers:
                if layer.unique_id in before.hidden:
                    layer.visible = True
            _reorder(self._viewer, _restored(list(self._viewer.layers), before.order))
            self._queries.opacity = before.opacity
            _set(grid, **before.grid)
        _set(self._viewer.scene.camera, **before.camera)

    def _remove_made(self) -> None:
        for layer in self.made:
            self._remove(layer)
        self._groups, self._mirrors, self._fillers = [], [], []

    def _remove(self, layer: Points) -> None:
        """Unselected first: napari selects another layer in place of a selected one."""
        if layer in self._viewer.layers:
            self._viewer.layers.selection.discard(layer)
            self._viewer.layers.remove(layer)


def _look_at(viewer: ViewerModel, queries: Points) -> _Before:
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    return _Before(
        order=tuple(layer.unique_id for layer in viewer.layers),
        hidden=set(),
        grid={name: getattr(grid, name) for name in ("stride", "shape", "spacing", "enabled")},
        camera={name: getattr(camera, name) for name in ("center", "zoom")},
        opacity=queries.opacity,
    )


def _ids(groups: Iterable[Iterable[Layer]]) -> list[list[Hashable]]:
    return [[layer.unique_id for layer in group] for group in groups]


def _set(model: Any, **values: Any) -> None:
    """Set what differs: napari draws again for values that are set, the same or not."""
    for name, value in values.items():
        if getattr(model, name) != value:
            setattr(model, name, value)


def _reorder(viewer: ViewerModel, wanted: Sequence[Layer]) -> None:
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

"""Side by side: every target in a viewbox of its own, with its heatmaps and its points.

napari's grid puts equally many neighbours of the layer list into each viewbox, and draws every
layer in one viewbox only. So the layers are ordered, short groups are filled up, and each group
gets a layer that mirrors its query points. The query layer itself stays on top and active, and
takes the clicks in every viewbox; it is transparent meanwhile. The one camera shows the same part
of the world in all viewboxes, and no transform is changed. All of it is undone at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.images.transforms import copy_transform
from napari_dinov3_sim.session.layer_metadata import MARKER
from napari_dinov3_sim.versions import camera_of, fit_to_layers, grid_of, layers_in_viewbox

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer, Points
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ViewerState:
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
    def of(cls, viewer: ViewerModel, queries: Points) -> ViewerState:
        """Return what a viewer and its query layer are like now."""
        grid, camera = grid_of(viewer), camera_of(viewer)
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
        for layer in viewer.layers:  # after all were shown: a layer linked to one is shown with it
            if layer.unique_id not in kept and layer.visible:
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


STYLES = ("size", "symbol", "border_width", "border_color", "face_color")
"""What a mirror copies of each point, besides where it lies."""


class MirrorLayers:
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
        """Draw each query point in the mirror of its group; see `SideBySide.show_points`."""
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


SPACING = 4.0
"""Screen pixels between viewboxes."""


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
        self._mirror_layers = MirrorLayers(viewer, queries)
        self._before: ViewerState | None = None
        self._arranging = self._fit_due = False

    @property
    def queries(self) -> Points:
        """The layer whose points are mirrored."""
        return self._queries

    @property
    def active(self) -> bool:
        """Whether the layers are side by side."""
        return self._before is not None

    @property
    def hidden(self) -> frozenset[Hashable]:
        """Ids of the layers that are hidden only for now."""
        return frozenset() if self._before is None else frozenset(self._before.hidden)

    @property
    def made(self) -> list[Points]:
        """The layers that are here only for now: one mirror per group, and fillers."""
        return self._mirror_layers.layers

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
        if self._arranging:  # layers that come and go for it have this called, too
            return
        if not groups or self._queries not in self._viewer.layers:
            self.leave()
            return
        first = self._before is None
        self._fit_due |= first or len(groups) != len(self._groups)
        if self._before is None:
            self._before = ViewerState.of(self._viewer, self._queries)
            grid_of(self._viewer).events.enabled.connect(self._on_enabled)
            self._viewer.events.reset_view.connect(self._on_reset_view)
        if first or not self._in_place(groups):
            self._build_quietly(groups, self._before)
        self._mirror_layers.show(any(layer.visible for layer in group) for group in groups)
        if self._fit_due:
            self._fit()

    def _fit(self) -> None:
        """Fit the view to the groups; to all, where those lack an axis that napari looks up."""
        ids = {layer_id for group in self._groups for layer_id in group}
        every = list(self._viewer.layers)
        layers = [layer for layer in every if layer.unique_id in ids]
        axes = self._viewer.dims.ndim
        # While a layer gets or loses an axis, napari's parts disagree; they are asked later.
        self._fit_due = _axes_of(every) < axes
        if self._fit_due:
            return
        with self._viewer.events.reset_view.blocker(self._on_reset_view):
            # The list, and not all: the extent that napari keeps of all may be an older one.
            fit_to_layers(self._viewer, layers if _axes_of(layers) == axes else every)

    def _on_reset_view(self) -> None:
        """Show what is side by side, also after napari's Home, which fits hidden layers too."""
        if not self._arranging:
            self._fit()

    def _in_place(self, groups: Sequence[Sequence[Layer]]) -> bool:
        """Whether nothing has changed; even to build nothing costs 0.3 s in a large process."""
        return self._groups == _ids(groups) and self._order == _ids([self._viewer.layers])[0]

    def _build_quietly(self, groups: Sequence[Sequence[Layer]], before: ViewerState) -> None:
        self._arranging = True
        try:
            # napari builds its scene once, at the end.
            with self._viewer.layers.batched_update():
                self._build(groups, before)
        finally:
            self._arranging = False

    def _build(self, groups: Sequence[Sequence[Layer]], before: ViewerState) -> None:
        slots = max(len(group) for group in groups) + 1
        self._groups = _ids(groups)
        selection = self._viewer.layers.selection
        was_selected = set(selection), selection.active
        room = sum(slots - 1 - len(group) for group in groups)
        self._mirror_layers.make(len(groups), room, before.opacity)
        ours = {layer.unique_id for layer in (*self.made, self._queries)}
        before.hide_all_but(ours.union(*self._groups), self._viewer)
        reorder(self._viewer, self._wanted(groups, slots))
        self._select(*was_selected)
        set_changed(self._queries, opacity=0.0)
        self._switch_on(slots)
        self._order = _ids([self._viewer.layers])[0]

    def _select(self, selected: set[Layer], active: Layer | None) -> None:
        """Put the user's selection back: napari selects what is inserted."""
        selection = self._viewer.layers.selection
        if set(selection) != selected or selection.active != active:
            present = set(self._viewer.layers)
            self._viewer.layers.selection = selected & present
            selection.active = active if active in present else None

    def _switch_on(self, slots: int) -> None:
        """Set a shape: napari would count the query layer as one more viewbox.

        As it is, napari draws it in the first viewbox, or in one that is left over.
        """
        grid, number = grid_of(self._viewer), len(self._groups)
        columns = math.ceil(math.sqrt(number))
        shape = (math.ceil(number / columns), columns)
        set_changed(grid, stride=slots, shape=shape, spacing=SPACING, enabled=True)

    def _wanted(self, groups: Sequence[Sequence[Layer]], slots: int) -> list[Layer]:
        """The whole list, bottom first: group by group, the others, the query layer."""
        order = self._mirror_layers.arrange(groups, slots)
        taken = {layer.unique_id for layer in (*order, self._queries)}
        others = [layer for layer in self._viewer.layers if layer.unique_id not in taken]
        return [*order, *others, self._queries]

    # -- points and clicks ----------------------------------------------------------------------

    def show_points(self, groups: Sequence[int | None]) -> None:
        """Draw each query point in the viewbox of its group.

        Parameters
        ----------
        groups : sequence of int or None
            For each query point, the index of the group it lies on; with None it is drawn in all
            viewboxes, with an index that no group has in none.
        """
        self._mirror_layers.show_points(groups)

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
        found = layers_in_viewbox(self._viewer, viewbox)
        ids = {layers[index].unique_id for index in found}
        mirrors = self._mirror_layers.mirrors
        for index, (group, mirror) in enumerate(zip(self._groups, mirrors, strict=True)):
            if ids.intersection((*group, mirror.unique_id)):
                return index
        return None

    # -- the end --------------------------------------------------------------------------------

    def _on_enabled(self) -> None:
        if self._before is None or self._arranging or grid_of(self._viewer).enabled:
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
        grid_of(self._viewer).events.enabled.disconnect(self._on_enabled)
        self._viewer.events.reset_view.disconnect(self._on_reset_view)
        self._arranging = True
        try:
            with self._viewer.layers.batched_update():
                self._restore(before)
        finally:
            self._arranging = False
        set_changed(camera_of(self._viewer), **before.camera)

    def _restore(self, before: ViewerState) -> None:
        grid = grid_of(self._viewer)
        grid.enabled = False
        self._mirror_layers.remove()
        self._groups = []
        before.restore_layers(self._viewer, self._queries)
        set_changed(grid, **before.grid)


def _axes_of(layers: Iterable[Layer]) -> int:
    return max((layer.extent.world.shape[1] for layer in layers), default=0)


def _ids(groups: Iterable[Iterable[Layer]]) -> list[list[Hashable]]:
    return [[layer.unique_id for layer in group] for group in groups]

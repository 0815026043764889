"""The query points: their Points layer, its events, and the image of each point."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.images.transforms import (
    TRANSFORMS,
    add_over,
    adopt_units,
    scale_over,
    world_points,
)
from napari_dinov3_sim.session.layer_metadata import mark, topmost_of
from napari_dinov3_sim.session.query.point_features import (
    ID,
    PointRole,
    add_missing_columns,
    current_role,
    draw_roles,
    read_roles,
    set_current_role,
    set_features,
    write_roles,
)
from napari_dinov3_sim.session.query.point_history import (
    IGNORED,
    PointMemory,
    PointOrigin,
    PointsSnapshot,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Points
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.layers.style import Palette


Lead = tuple[float, ...]


def lead_of(viewer: ViewerModel, layer: Points, source: PointOrigin) -> Lead:
    """Return a point's place along the axes its layer lacks, that of the slider when set."""
    missing = max(0, viewer.dims.ndim - layer.ndim)
    if len(source.lead) == missing:
        return source.lead
    return tuple(float(value) for value in viewer.dims.point[:missing])


def worlds_of_points(
    viewer: ViewerModel, layer: Points, leads: Sequence[Lead]
) -> list[NDArray[np.float64]]:
    """Return where each point lies in the viewer's world, along all axes of it."""
    worlds = world_points(layer, np.array(layer.data, float), viewer.layers.units)
    return [np.concatenate([lead, world]) for lead, world in zip(leads, worlds, strict=True)]


def data_of_world(
    viewer: ViewerModel, layer: Points, world: NDArray[np.float64]
) -> tuple[NDArray[np.float64], Lead]:
    """Return the data coordinates of a place of the world, and its lead.

    Where the place lacks axes, it is on the plane that is shown.
    """
    shown = np.array(viewer.dims.point, float)
    full = np.concatenate([shown[: max(0, len(shown) - len(world))], world])
    data = np.asarray(layer.world_to_data(full[-layer.ndim :]), float)
    return data, tuple(full[: max(0, len(full) - layer.ndim)].tolist())


NAME = "DINOv3 query"


def query_layer(
    ndim: int, size: float, palette: Palette, role: PointRole, **attributes: Any
) -> Points:
    """Return a Points layer as clicks are set in, in no viewer yet and without a mark.

    Parameters
    ----------
    ndim : int
        How many axes it has.
    size : float
        Of a point, in data of the layer.
    palette : Palette
    role : PointRole
        Of the next point.
    **attributes
        Others of the layer, such as its points, or where it lies.
    """
    from napari.layers import Points

    columns = {"class": np.empty(0, object), "sign": np.empty(0, object), ID: np.empty(0, int)}
    return Points(
        **{"name": NAME, "features": columns, **attributes},
        ndim=ndim,
        size=size,
        symbol="disc",
        face_color="#00000000",
        border_color=palette[role.class_name],
        feature_defaults={"class": role.class_name, "sign": "positive", ID: 0},
        border_width=0.2,
        canvas_size_limits=(9, 18),
    )


def make_query_layer(
    viewer: ViewerModel, image: Image, palette: Palette, role: PointRole
) -> Points:
    """Add an empty Points layer to a viewer.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    image : Image
        Its pixels decide scale and units, and how large points are.
    palette : Palette
    role : PointRole
        Of the first point.

    Returns
    -------
    Points
        With as many axes as the viewer, so that each point is on one plane.
    """
    ndim = viewer.dims.ndim
    size = max(4.0, 0.02 * max(image.data.shape[:2] if image.ndim == 2 else (512,)))
    layer = query_layer(ndim, size, palette, role, scale=scale_over(image, ndim))
    add_over(viewer, layer, image)
    mark(layer, "query")
    return layer


class QueryPoints:
    """Makes or adopts the Points layer, and remembers the image of every point.

    A point stays with the image it was set on for as long as it lies inside it, whatever is
    shown above; one that is dragged out belongs to the topmost target under it.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    changed : callable
        A bound method, called after every edit.
    palette : Palette
        Colours of the classes.
    note : callable
        A bound method, called when something is to be remembered, but not to be looked at: the
        end of a drag, or what the user's own columns say.

    Attributes
    ----------
    layer : napari.layers.Points or None
        None before the first image is opened.
    changes : int
        Another number after each change of the points.
    lost : bool
        Whether a layer has been let go of: what was done to it cannot be undone in another one.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        changed: Callable[[], None],
        palette: Palette,
        note: Callable[[], None],
    ) -> None:
        self._viewer, self._palette = viewer, palette
        self._notify, self._note, self.changes = changed, note, 0
        self.layer: Points | None = None
        self._memory = PointMemory()
        self._role = PointRole()
        self._restoring = self._adding = self.lost = False
        self._snapshot: PointsSnapshot | None = None

    @property
    def outside(self) -> int:
        """How many points lie on no target."""
        return sum(source.image is None for source in self._memory.sources)

    @property
    def ignored(self) -> int:
        """How many points were set where a click means nothing."""
        return sum(source.image is IGNORED for source in self._memory.sources)

    @property
    def owners(self) -> tuple[Hashable | None, ...]:
        """The image that each point lies on; None on no target."""
        return tuple(None if s.image is IGNORED else s.image for s in self._memory.sources)

    def _changed(self) -> None:
        self.changes += 1
        self._snapshot = None
        if not self._adding:
            self._notify()

    def __len__(self) -> int:
        return len(self._memory.sources)

    # -- the layer ---------------------------------------------------------------------------

    def check_layer(self) -> None:
        """Let go of a layer that has left the viewer; take one of ours that has come back."""
        if self.layer is not None and self.layer not in self._viewer.layers:
            # Whoever threw the points away begins with what is meant.
            self._role = replace(self.role, positive=True)
            self.forget()
        if self.layer is None:
            found = topmost_of(self._viewer.layers, "query")
            if found is not None:
                self._listen(found)
        if self._is_moved():  # by an assignment to `layer.data[0]`, which sends no event
            self.changes += 1

    def _is_moved(self) -> bool:
        """Whether points lie elsewhere than when they were last located, or came or went."""
        layer, before = self.layer, self._memory.coordinates
        return layer is not None and not np.array_equal(layer.data, before, equal_nan=True)

    def ensure(self, image: Image) -> Points:
        """Return the Points layer, made for `image` if there is none that fits.

        An empty layer with too few axes for the viewer is replaced: its points would be seen on
        every plane, and mean one.
        """
        self.check_layer()
        layer = self.layer
        if layer is not None and not len(layer.data) and layer.ndim < self._viewer.dims.ndim:
            self.forget()
            self._viewer.layers.remove(layer)
            layer = None
        return layer if layer is not None else self._make(image)

    def _make(self, image: Image) -> Points:
        layer = make_query_layer(self._viewer, image, self._palette, self._role)
        self._listen(layer)
        self.set_role(self._role)
        self.activate()
        return layer

    def _listen(self, layer: Points) -> None:
        self.layer, self._snapshot = layer, None
        self.changes += 1
        add_missing_columns(layer)
        self._role = self.role
        self._memory.begin(layer)
        for name, handler in self._handlers().items():
            getattr(layer.events, name).connect(handler)

    def forget(self) -> None:
        """Stop listening; the layer stays the user's."""
        layer, self.layer = self.layer, None
        self.changes += 1
        self._snapshot = None
        if layer is not None:
            self.lost = True
            for name, handler in self._handlers().items():
                getattr(layer.events, name).disconnect(handler)
            self._memory.clear()

    def _handlers(self) -> dict[str, Callable[[Any], None]]:
        """Return what listens to which event of the layer."""
        moved = dict.fromkeys(TRANSFORMS, self._on_moved)
        # A pasted point comes with no data event at all.
        edits = {"data": self._on_data, "set_data": self._on_set_data}
        role = {"features": self._on_features, "feature_defaults": self._on_defaults}
        return {**moved, **edits, **role}

    def activate(self) -> None:
        """Make the layer active and ready to add: the user's next click is a query."""
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.selection.active = self.layer
            self.layer.mode = "add"

    def raise_to_top(self) -> None:
        """Put the layer above everything, so that points stay visible and clickable."""
        layers = self._viewer.layers
        if self.layer is not None and self.layer in layers and layers[-1] != self.layer:
            layers.move(layers.index(self.layer), len(layers))

    # -- what happens to it --------------------------------------------------------------------

    def _on_data(self, event: Any) -> None:
        action = str(getattr(event.action, "value", event.action))
        layer = self.layer
        if layer is None or action not in ("added", "removed", "changed") or self._restoring:
            return
        self._memory.edited = True
        self._memory.identify(layer)
        # Most edits were noticed with `set_data`, and are only to be completed.
        if self._is_moved() or self._memory.notices_roles(layer):
            self._changed()
        else:
            self._snapshot = None
            self._note()

    def _on_set_data(self, event: Any) -> None:
        """Notice what comes without a data event: every step of a drag, and a paste."""
        del event
        # napari fires this at every redraw as well; only new coordinates are news.
        layer = self.layer
        if layer is not None and self._is_moved():
            self._memory.identify(layer)
            self._memory.note_count(layer)
            self._changed()

    def _on_features(self, event: Any) -> None:
        del event
        layer = self.layer
        if layer is None or self._restoring or len(layer.features) != len(layer.data):
            return
        if add_missing_columns(layer):  # which has called this again
            return
        # A program that sorts the points has changed the coordinates before.
        self._memory.edited |= (sorted_anew := self._memory.identify(layer))
        has_other_role = self._takes_role()
        if self._memory.notices_roles(layer) or sorted_anew or has_other_role:
            self._changed()
        elif not self._is_moved():  # columns that are the user's alone
            self._snapshot = None
            self._note()

    def _on_defaults(self, event: Any) -> None:
        """Notice another role of the next point: that of points the user selects becomes it."""
        del event
        if self._takes_role() and not (self._adding or self._restoring):
            self._notify()

    def _takes_role(self) -> bool:
        """Take over the role that the layer has for the next point; return whether it is new."""
        before, self._role = self._role, self.role
        return self._role != before

    def _on_moved(self, event: Any) -> None:
        del event
        self._changed()

    # -- where its points are ------------------------------------------------------------------

    def locate(
        self, image_of: Callable[[int, NDArray[np.float64], Hashable | None], Hashable | None]
    ) -> list[PointRole]:
        """Find the image of each point, and return what each point says.

        Parameters
        ----------
        image_of : callable
            Given the number of a point, its place in the world and the id of the image it was on
            before, returns that of the image it is on now, or None.
        """
        layer, memory = self.layer, self._memory
        if layer is None:
            return []
        adopt_units(layer, self._viewer.layers.units)
        before = memory.sources_of(layer)
        leads = [lead_of(self._viewer, layer, source) for source in before]
        worlds = worlds_of_points(self._viewer, layer, leads)
        images = [
            image_of(number, world, source.image)
            for number, (world, source) in enumerate(zip(worlds, before, strict=True))
        ]
        memory.keep(layer, [PointOrigin(i, lead) for i, lead in zip(images, leads, strict=True)])
        self._snapshot = None
        return memory.roles

    @property
    def last_world(self) -> NDArray[np.float64] | None:
        """Where the last point lies in the viewer's world; None if there is none."""
        layer, sources = self.layer, self._memory.sources
        if layer is None or not sources or len(sources) != len(layer.data):
            return None
        return worlds_of_points(self._viewer, layer, [source.lead for source in sources])[-1]

    # -- classes and signs ----------------------------------------------------------------------

    @property
    def role(self) -> PointRole:
        """What the next point will say."""
        return self._role if self.layer is None else current_role(self.layer)

    def set_role(self, role: PointRole) -> None:
        """Choose what the next point will say; points that are there keep theirs."""
        self._role = role
        if self.layer is not None:
            set_current_role(self.layer, role, self._palette)

    def draw(self) -> None:
        """Colour the points by class and mark the negative ones."""
        layer = self.layer
        if layer is not None and len(self._memory.roles) == len(layer.data):
            draw_roles(layer, self._memory.roles, self._palette)

    def roles(self) -> list[PointRole]:
        """Return what each point says."""
        return [] if self.layer is None else read_roles(self.layer)

    def set_roles(self, roles: Sequence[PointRole]) -> None:
        """Let the points say something else."""
        if self.layer is not None and list(roles) != self.roles():
            write_roles(self.layer, roles)

    def selected(self) -> list[int]:
        """Return the points that are selected."""
        return [] if self.layer is None else sorted(self.layer.selected_data)

    def rename_class(self, old: str, new: str) -> None:
        """Give all points of a class another name."""
        self.set_roles([role.renamed(old, new) for role in self.roles()])

    def remove_class(self, class_name: str) -> None:
        """Delete the points of a class."""
        roles = self.roles()
        self.remove([n for n, role in enumerate(roles) if role.class_name == class_name])

    # -- undo -----------------------------------------------------------------------------------

    @property
    def edited(self) -> bool:
        """See `Recorded`."""
        return self._memory.edited

    @edited.setter
    def edited(self, edited: bool) -> None:
        self._memory.edited = edited

    def snapshot(self) -> PointsSnapshot:
        """Return what the points are, in the middle of a drag what they were before it."""
        if self._snapshot is None:
            layer = self.layer
            found = PointsSnapshot() if layer is None else self._memory.snapshot(layer)
            self._snapshot = found
        return self._snapshot

    def restore(self, snapshot: PointsSnapshot) -> None:
        """Put the points back as they were."""
        layer = self.layer
        if layer is None:
            return
        features = self._memory.restore(layer, snapshot)
        layer.selected_data = set()
        self._restoring = True
        try:
            layer.data = snapshot.coordinates.reshape(-1, layer.ndim).copy()
            if features is not None:
                set_features(layer, features)
        finally:
            self._restoring = False
        self._changed()

    def adopt(self, origins: Sequence[PointOrigin]) -> None:
        """Take the points for those that had these origins: they have been put back."""
        layer = self.layer
        if layer is not None:
            self._memory.keep(layer, list(origins))
            self._changed()

    # -- edits by the program -------------------------------------------------------------------

    def append(
        self, world: NDArray[np.float64], image: Hashable, role: PointRole | None = None
    ) -> None:
        """Add a point at a place of the world and attach it to an image."""
        layer = self.layer
        if layer is None:
            return
        data, lead = data_of_world(self._viewer, layer, world)
        self._memory.append(data, PointOrigin(image, lead))
        self._add(layer, data, role or self.role)

    def remove(self, numbers: Sequence[int]) -> None:
        """Take points away, as one edit."""
        layer = self.layer
        if layer is not None and numbers:
            layer.remove(list(numbers))

    def set_role_of(self, numbers: Sequence[int], role: PointRole) -> None:
        """Let some points say something else, as one edit."""
        self.set_roles([role if n in numbers else old for n, old in enumerate(self.roles())])

    def _add(self, layer: Points, data: NDArray[np.float64], role: PointRole) -> None:
        before, changes = self.role, self.changes
        # Nobody looks before the role of the next point is back: it is the class of the gallery.
        self._adding = True
        try:
            self.set_role(role)
            layer.add(data)
            if role != before:
                self.set_role(before)
        finally:
            self._adding = False
        if self.changes != changes:
            self._notify()

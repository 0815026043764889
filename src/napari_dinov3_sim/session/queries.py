"""The Points layer that is listened to, and where its points lie in the world."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.history import History, Snapshot
from napari_dinov3_sim.session.marks import mark, marked_as
from napari_dinov3_sim.session.placement import TRANSFORMS, adopt_units, worlds_of
from napari_dinov3_sim.session.point_features import (
    Role,
    current_role,
    draw_roles,
    read_roles,
    set_current_role,
    set_features,
    write_roles,
)
from napari_dinov3_sim.session.sources import IGNORED, Source, carry_over

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from napari.components import ViewerModel
    from napari.layers import Image, Points
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.palette import Palette

NAME = "DINOv3 query"


@dataclass(frozen=True, eq=False)
class Located:
    """A query point: where it is in the viewer's world, what it says, on which image."""

    world: NDArray[np.float64]
    role: Role
    image: Hashable | None


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
        Colours of the kinds.
    """

    def __init__(self, viewer: ViewerModel, changed: Callable[[], None], palette: Palette) -> None:
        self._viewer, self._palette = viewer, palette
        self._changed = changed
        self._layer: Points | None = None
        self._coordinates: NDArray[np.float64] = np.empty((0, 0))
        self._sources: list[Source] = []
        self._roles: list[Role] = []
        self._role = Role()
        self._history = History()
        self._edited = self._restoring = False

    @property
    def layer(self) -> Points | None:
        """The Points layer, or None before the first image is opened."""
        return self._layer

    @property
    def outside(self) -> int:
        """How many points lie on no target."""
        return sum(source.image is None for source in self._sources)

    @property
    def ignored(self) -> int:
        """How many points were set where a click means nothing."""
        return sum(source.image is IGNORED for source in self._sources)

    @property
    def owners(self) -> list[Hashable | None]:
        """The image that each point lies on; None on no target."""
        return [None if s.image is IGNORED else s.image for s in self._sources]

    def __len__(self) -> int:
        return len(self._sources)

    # -- the layer ---------------------------------------------------------------------------

    def check_layer(self) -> None:
        """Let go of a layer that has left the viewer; take one of ours that has come back."""
        if self._layer is not None and self._layer not in self._viewer.layers:
            self.forget()
        if self._layer is None:
            self._adopt()

    def ensure(self, image: Image) -> Points:
        """Return the Points layer, made for `image` if there is none that fits.

        An empty layer with too few axes for the viewer is replaced: its points would be seen on
        every plane, and mean one.
        """
        self.check_layer()
        layer = self._layer
        if layer is not None and not len(layer.data) and layer.ndim < self._viewer.dims.ndim:
            self.forget()
            self._viewer.layers.remove(layer)
            layer = None
        return layer if layer is not None else self._make(image)

    def _adopt(self) -> None:
        for layer in reversed(self._viewer.layers):
            if marked_as(layer, "query") is not None:
                self._listen(layer)
                return

    def _make(self, image: Image) -> Points:
        ndim = self._viewer.dims.ndim
        units = self._viewer.layers.units or image.units
        scale = np.ones(ndim)
        scale[-min(ndim, image.ndim) :] = image.scale[-ndim:]
        layer = self._viewer.add_points(
            ndim=ndim,
            name=NAME,
            scale=scale,
            size=max(4.0, 0.02 * max(image.data.shape[:2] if image.ndim == 2 else (512,))),
            symbol="disc",
            face_color="#00000000",
            border_color=self._palette.colour(self._role.kind),
            features={"kind": np.empty(0, object), "sign": np.empty(0, object)},
            feature_defaults={"kind": self._role.kind, "sign": "positive"},
            border_width=0.2,
            canvas_size_limits=(9, 18),
        )
        mark(layer, "query")
        if len(image.units) == ndim:
            layer.units = image.units
        adopt_units(layer, units if len(units) == ndim else None)
        self._listen(layer)
        self.set_role(self._role)
        self.activate()
        return layer

    def _listen(self, layer: Points) -> None:
        self._layer = layer
        self._coordinates, self._roles = np.array(layer.data, float), read_roles(layer)
        self._sources = [Source() for _ in self._roles]
        self._take_note()
        layer.events.data.connect(self._on_data)
        # A pasted point comes with no data event at all.
        layer.events.set_data.connect(self._on_set_data)
        layer.events.features.connect(self._on_features)
        for name in TRANSFORMS:
            getattr(layer.events, name).connect(self._on_moved)

    def forget(self) -> None:
        """Stop listening; the layer stays the user's."""
        layer = self._layer
        if layer is None:
            return
        layer.events.data.disconnect(self._on_data)
        layer.events.set_data.disconnect(self._on_set_data)
        layer.events.features.disconnect(self._on_features)
        for name in TRANSFORMS:
            getattr(layer.events, name).disconnect(self._on_moved)
        self._layer = None
        self._coordinates, self._sources, self._roles = np.empty((0, 0)), [], []
        self._history.clear()

    def activate(self) -> None:
        """Make the layer active and ready to add: the user's next click is a query."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.selection.active = self._layer
            self._layer.mode = "add"

    def raise_to_top(self) -> None:
        """Put the layer above everything, so that points stay visible and clickable."""
        layers = self._viewer.layers
        if self._layer is not None and self._layer in layers and layers[-1] != self._layer:
            layers.move(layers.index(self._layer), len(layers))

    # -- what happens to it --------------------------------------------------------------------

    def _on_data(self, event: Any) -> None:
        action = str(getattr(event.action, "value", event.action))
        if action in ("added", "removed", "changed") and not self._restoring:
            self._edited = True
            self._changed()

    def _on_set_data(self, event: Any) -> None:
        """Notice what comes without a data event: every step of a drag, and a paste."""
        del event
        layer = self._layer
        # napari fires this at every redraw as well; only new coordinates are news.
        if layer is not None and not np.array_equal(layer.data, self._coordinates, equal_nan=True):
            # The steps of a drag are one edit, which ends with a data event.
            self._edited |= len(layer.data) != len(self._coordinates)
            self._changed()

    def _on_features(self, event: Any) -> None:
        del event
        layer = self._layer
        if layer is None or self._restoring or len(layer.features) != len(layer.data):
            return
        if read_roles(layer) != self._roles:
            self._edited = True
            self._changed()
        elif np.array_equal(layer.data, self._coordinates, equal_nan=True):
            self._take_note()

    def _on_moved(self, event: Any) -> None:
        del event
        self._changed()

    # -- where its points are ------------------------------------------------------------------

    def locate(
        self, image_of: Callable[[int, NDArray[np.float64], Hashable | None], Hashable | None]
    ) -> list[Located]:
        """Return where each point lies in the viewer's world, what it says, and on which image.

        Parameters
        ----------
        image_of : callable
            Given the number of a point, its place in the world and the id of the image it was on
            before, returns that of the image it is on now, or None.
        """
        if self._layer is None:
            return []
        adopt_units(self._layer, self._viewer.layers.units)
        coordinates = np.array(self._layer.data, float)
        carried = carry_over(self._coordinates, self._sources, coordinates)
        leads = [self._lead(source) for source in carried]
        worlds = self._worlds(coordinates, leads)
        images = [
            image_of(number, world, source.image)
            for number, (world, source) in enumerate(zip(worlds, carried, strict=True))
        ]
        self._sources = [Source(i, lead) for i, lead in zip(images, leads, strict=True)]
        self._coordinates, self._roles = coordinates, read_roles(self._layer)
        self._take_note()
        found = zip(worlds, self._roles, images, strict=True)
        return [Located(world, role, image) for world, role, image in found]

    def _take_note(self) -> None:
        assert self._layer is not None  # noqa: S101
        now = Snapshot(
            self._coordinates,
            tuple(self._roles),
            tuple(self._sources),
            self._palette.names,
            self._layer.features.copy(),
        )
        self._history.take(now, edited=self._edited)
        self._edited = False

    def _lead(self, source: Source) -> tuple[float, ...]:
        """Return a point's place along the axes its layer lacks, that of the slider when set."""
        assert self._layer is not None  # noqa: S101
        missing = max(0, self._viewer.dims.ndim - self._layer.ndim)
        if len(source.lead) == missing:
            return source.lead
        return tuple(float(value) for value in self._viewer.dims.point[:missing])

    def _worlds(
        self, coordinates: NDArray[np.float64], leads: list[tuple[float, ...]]
    ) -> list[NDArray[np.float64]]:
        layer = self._layer
        assert layer is not None  # noqa: S101
        worlds = worlds_of(layer, coordinates, self._viewer.layers.units)
        return [np.concatenate([lead, world]) for lead, world in zip(leads, worlds, strict=True)]

    # -- kinds and signs ----------------------------------------------------------------------

    @property
    def role(self) -> Role:
        """What the next point will say."""
        return self._role if self._layer is None else current_role(self._layer)

    def set_role(self, role: Role) -> None:
        """Choose what the next point will say; points that are there keep theirs."""
        self._role = role
        if self._layer is not None:
            set_current_role(self._layer, role, self._palette)

    def draw(self) -> None:
        """Colour the points by kind and mark the negative ones."""
        layer = self._layer
        if layer is not None and len(self._roles) == len(layer.data):
            draw_roles(layer, self._roles, self._palette)

    def _catch_up(self, layer: Points) -> None:
        """Take note of an edit that no refresh has seen yet."""
        if self._edited:
            coordinates = np.array(layer.data, float)
            self._sources = carry_over(self._coordinates, self._sources, coordinates)
            self._coordinates, self._roles = coordinates, read_roles(layer)
            self._take_note()

    def rename_kind(self, old: str, new: str) -> None:
        """Give all points of a kind another name."""
        layer, role = self._layer, self.role
        self._palette.rename(old, new)
        if layer is not None:
            roles = read_roles(layer)
            write_roles(layer, [replace(r, kind=new) if r.kind == old else r for r in roles])
        if role.kind == old:
            self.set_role(replace(role, kind=new))

    # -- edits by the program -------------------------------------------------------------------

    def undo(self) -> bool:
        """Take the last edit back; return whether there was one."""
        layer = self._layer
        if layer is None:
            return False
        self._catch_up(layer)
        before = self._history.undo()
        if before is None:
            return False
        self._coordinates = before.coordinates
        self._palette.restore(before.kinds)
        self._sources, self._roles = list(before.sources), list(before.roles)
        layer.selected_data = set()
        self._restoring = True
        try:
            layer.data = before.coordinates.reshape(-1, layer.ndim).copy()
            set_features(layer, before.features)
        finally:
            self._restoring = False
        self._changed()
        return True

    def append(
        self, world: NDArray[np.float64], image: Hashable, role: Role | None = None
    ) -> None:
        """Add a point at a place of the world and attach it to an image."""
        layer = self._layer
        if layer is None:
            return
        ndim = layer.ndim
        shown = np.array(self._viewer.dims.point, float)
        full = np.concatenate([shown[: max(0, len(shown) - len(world))], world])
        data = np.asarray(layer.world_to_data(full[-ndim:]), float)
        lead = tuple(full[: max(0, len(full) - ndim)].tolist())
        self._coordinates = np.vstack([self._coordinates.reshape(-1, ndim), data])
        self._sources.append(Source(image, lead))
        self._add(layer, data, role or self.role)

    def _add(self, layer: Points, data: NDArray[np.float64], role: Role) -> None:
        before = self.role
        self.set_role(role)
        layer.add(data)
        if role != before:
            self.set_role(before)

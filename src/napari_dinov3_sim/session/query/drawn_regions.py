"""The Shapes layer in which boxes are drawn: classes and signs of its shapes, and undo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.images.transforms import add_over, scale_over
from napari_dinov3_sim.session.layer_metadata import mark, topmost_of
from napari_dinov3_sim.session.query.point_features import (
    CLASS,
    SIGN,
    PointRole,
    colour_of,
    set_features,
    with_roles,
    with_users_columns,
)
from napari_dinov3_sim.session.query.point_history import PointOrigin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Shapes
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.query.regions import Regions, ShapeRegions
    from napari_dinov3_sim.session.scene import Scene


NAME = "DINOv3 regions"


def region_layer(ndim: int, edge_width: float, **attributes: Any) -> Shapes:
    """Return an empty Shapes layer as boxes are drawn in, in no viewer yet and without a mark."""
    from napari.layers import Shapes

    return Shapes(
        **{"name": NAME, **attributes},
        ndim=ndim,
        face_color="#00000000",
        edge_width=edge_width,
        features={CLASS: np.empty(0, object), SIGN: np.empty(0, object)},
    )


def make_region_layer(viewer: ViewerModel, image: Image, ndim: int) -> Shapes:
    """Add an empty Shapes layer to a viewer.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    image : Image
        Its pixels decide scale and units, and how wide edges are.
    ndim : int
        How many axes it has.
    """
    width = max(1.0, 0.004 * max(image.extent.data.max(0)[-2:]))
    layer = region_layer(ndim, width, scale=scale_over(image, ndim))
    add_over(viewer, layer, image)
    mark(layer, "regions")
    return layer


@dataclass(frozen=True, eq=False)
class DrawnSnapshot:
    """All that the shapes of the layer were.

    Attributes
    ----------
    types : tuple of str
        Rectangle, ellipse, …
    corners : tuple of ndarray
        In data of the layer.
    roles : tuple of PointRole
    origins : tuple of PointOrigin
        The images that they were drawn on.
    features : DataFrame or None
        The layer's, with the columns that are the user's; None while there is no layer.
    """

    types: tuple[str, ...] = ()
    corners: tuple[NDArray[np.float64], ...] = ()
    roles: tuple[PointRole, ...] = ()
    origins: tuple[PointOrigin, ...] = ()
    features: Any = field(default=None, repr=False)

    def same_as(self, other: DrawnSnapshot) -> bool:
        """Whether the shapes are the same, whatever images they are on by now."""
        if (self.types, self.roles) != (other.types, other.roles):
            return False
        return all(map(np.array_equal, self.corners, other.corners))


class DrawnRegions:
    """Makes or adopts the Shapes layer, and gives each new shape the present class and sign.

    Parameters
    ----------
    scene : Scene
    regions : Regions
        Asks what is drawn.
    palette : Palette
    role : callable
        Returns what the next shape says.
    changed : callable
        A bound method, called when there is something to be done.

    Attributes
    ----------
    layer : napari.layers.Shapes or None
    edited : bool
        See `Recorded`.
    awaiting_box : bool
        Whether a box is to be drawn, after which points are clicked again.
    box_drawn : bool
        Whether that box has just been drawn.
    """

    def __init__(
        self,
        scene: Scene,
        regions: Regions,
        palette: Palette,
        role: Callable[[], PointRole],
        changed: Callable[[], None],
    ) -> None:
        self._scene, self._viewer = scene, scene.viewer
        self._regions, self._palette, self._role = regions, palette, role
        self._changed = changed
        self.layer: Shapes | None = None
        self._shapes: ShapeRegions | None = None
        self._last: DrawnSnapshot | None = DrawnSnapshot()
        self._restoring = self._drawing = False
        self.edited = self.awaiting_box = self.box_drawn = False

    # -- the layer ---------------------------------------------------------------------------

    def check_layer(self) -> None:
        """Let go of a layer that has left the viewer; take one of ours that has come back."""
        if self.layer is not None and self.layer not in self._viewer.layers:
            self.edited |= bool(self._last is not None and self._last.types)
            self.forget()
        if self.layer is None:
            found = topmost_of(self._viewer.layers, "regions")
            if found is not None:
                self._listen(found)

    def forget(self) -> None:
        """Stop listening; the layer stays the user's."""
        layer, self.layer, self._shapes = self.layer, None, None
        self.awaiting_box = self.box_drawn = False
        if layer is not None:
            for name, handler in self._handlers().items():
                getattr(layer.events, name).disconnect(handler)

    def _listen(self, layer: Shapes) -> None:
        self.layer = layer
        if not (CLASS in layer.features and SIGN in layer.features):
            set_features(layer, with_roles(layer.features, [PointRole()] * len(layer.data)))
        # In this order: napari calls the last that was connected first, and that an edit is
        # complete must be known before it is looked at.
        self._shapes = self._regions.follow_drawn(layer)
        for name, handler in self._handlers().items():
            getattr(layer.events, name).connect(handler)
        self._last = None
        self._changed()

    def _handlers(self) -> dict[str, Callable[[Any], None]]:
        return {
            "data": self._on_data,
            "set_data": self._on_set_data,
            "features": self._on_features,
        }

    def _ensure(self, ndim: int) -> Shapes:
        """Return the layer, made for the topmost image that is searched if there is none.

        An empty layer with another number of axes is replaced: with fewer than the viewer has, its
        shapes would be seen on every plane, and mean one.
        """
        self.check_layer()
        layer = self.layer
        if layer is not None and not len(layer.data) and layer.ndim != ndim:
            self.forget()
            self._viewer.layers.remove(layer)
            layer = None
        if layer is not None:
            return layer
        targets = list(self._scene.targets.resolve().targets.values())
        if not targets:
            raise SimilarityError("There is no image to draw on; open one and tick it.")
        made = make_region_layer(self._viewer, targets[-1].layer, ndim)
        self._listen(made)
        return made

    def start_box(self) -> None:
        """Make the layer active and ready for one box."""
        if self._viewer.dims.ndisplay != 2:
            raise SimilarityError("A box is drawn on one plane; go back to the 2-D view first.")
        layer = self._ensure(self._viewer.dims.ndim)
        layer.visible = True
        self._viewer.layers.selection.active = layer
        layer.mode = "add_rectangle"
        self.awaiting_box, self.box_drawn = True, False

    def take_box(self) -> bool:
        """Return once that the box that was awaited has been drawn."""
        drawn, self.box_drawn = self.box_drawn, False
        return drawn

    # -- what happens to it --------------------------------------------------------------------

    def _on_data(self, event: Any) -> None:
        action = str(getattr(event.action, "value", event.action))
        layer = self.layer
        if layer is None or self._restoring:
            return
        self._drawing = action == "adding"  # with the mouse, until the button is released
        if action == "adding":  # napari takes what is selected as an example for the next one
            self._set_next_role(layer)
        elif action in ("added", "removed", "changed"):
            self.edited = True
            self.box_drawn |= action == "added" and self.awaiting_box
            self.awaiting_box &= action != "added"

    def _on_set_data(self, event: Any) -> None:
        """Notice what comes without a data event: a paste, but not a shape while it is drawn."""
        del event
        layer = self.layer
        if layer is not None and not self._restoring and not self._drawing:
            self.edited |= len(layer.data) != len(self._now().types)

    def _on_features(self, event: Any) -> None:
        del event
        layer, shapes = self.layer, self._shapes
        if layer is None or shapes is None or self._restoring or self._drawing:
            return
        if len(layer.features) == len(layer.data):
            self.edited |= tuple(shapes.roles()) != self._now().roles

    def _now(self) -> DrawnSnapshot:
        return self._last or DrawnSnapshot()

    # -- classes and signs ---------------------------------------------------------------------

    def _set_next_role(self, layer: Shapes) -> None:
        role = self._role()
        defaults = layer.feature_defaults.copy()
        defaults[CLASS], defaults[SIGN] = [role.class_name], [role.sign]
        layer.feature_defaults = defaults
        with layer.block_update_properties():
            layer.current_edge_color = colour_of(role, self._palette)

    def roles(self) -> list[PointRole]:
        """Return what each shape says."""
        return [] if self._shapes is None else self._shapes.roles()

    def selected(self) -> list[int]:
        """Return the shapes that are selected."""
        return [] if self.layer is None else sorted(self.layer.selected_data)

    def set_roles(self, roles: Sequence[PointRole]) -> None:
        """Let the shapes say something else."""
        if self.layer is not None and list(roles) != self.roles():
            set_features(self.layer, with_roles(self.layer.features, roles))
            self.edited = True

    def rename_class(self, old: str, new: str) -> None:
        """Give all shapes of a class another name."""
        self.set_roles([role.renamed(old, new) for role in self.roles()])

    def remove_class(self, class_name: str) -> None:
        """Delete the shapes of a class."""
        roles = self.roles()
        self._delete([n for n, role in enumerate(roles) if role.class_name == class_name])

    def _delete(self, rows: Iterable[int]) -> None:
        layer, gone = self.layer, set(rows)
        if layer is not None and gone:
            layer.selected_data = gone
            layer.remove_selected()
            self.edited = True

    def draw(self) -> None:
        """Draw edges in the colours of the classes, those of negative shapes darker."""
        from napari.utils.colormaps.standardize_color import transform_color

        layer, roles = self.layer, self.roles()
        if layer is None or not roles or len(roles) != len(layer.edge_color):
            return
        colours = transform_color([colour_of(role, self._palette) for role in roles])
        if not np.array_equal(layer.edge_color, colours):
            layer.edge_color = colours

    # -- undo ----------------------------------------------------------------------------------

    def snapshot(self) -> DrawnSnapshot:
        """Return what the shapes are; while one is drawn or dragged, what they were before."""
        now = self._look()
        if self._last is None or self.edited or self._last.same_as(now):
            self._last = now
        return self._last

    def _look(self) -> DrawnSnapshot:
        layer, shapes = self.layer, self._shapes
        if layer is None or shapes is None or len(layer.features) != len(layer.data):
            return DrawnSnapshot()
        count = len(layer.data)
        origins = (*shapes.origins, *[PointOrigin()] * count)[:count]
        return DrawnSnapshot(
            tuple(str(getattr(sort, "value", sort)) for sort in layer.shape_type),
            tuple(np.array(corners, float) for corners in layer.data),
            tuple(shapes.roles()),
            origins,
            layer.features.copy(),
        )

    def restore(self, snapshot: DrawnSnapshot) -> None:
        """Put the shapes back as they were, in a new layer if that has left the viewer."""
        if not snapshot.types and self.layer is None:
            return
        if self.layer is None and not self._scene.targets.resolve().targets:
            return
        active = self._viewer.layers.selection.active
        ndim = next((each.shape[1] for each in snapshot.corners), self._viewer.dims.ndim)
        layer = self.layer if self.layer is not None and not snapshot.types else self._ensure(ndim)
        before, features = self._look(), snapshot.features
        self._restoring = True
        try:
            layer.selected_data = set(range(len(layer.data)))
            layer.remove_selected()
            if snapshot.types:
                corners = [each.copy() for each in snapshot.corners]
                layer.add(corners, shape_type=list(snapshot.types))
            if features is not None:
                former = _rows_of(snapshot.corners, before.corners)
                set_features(layer, with_users_columns(features, before.features, former))
        finally:
            self._restoring = False
        if self._shapes is not None:
            self._shapes.adopt(snapshot.origins)
        if active is not None and active != layer:
            self._viewer.layers.selection.active = active
        self._last = None
        self.draw()
        self._changed()


def _rows_of(
    corners: Sequence[NDArray[np.float64]], before: Sequence[NDArray[np.float64]]
) -> list[int | None]:
    """Return for each shape the row of the same shape before; None if it was not there."""
    rows: dict[bytes, list[int]] = {}
    for row, each in enumerate(before):
        rows.setdefault(each.tobytes(), []).append(row)
    return [found.pop(0) if (found := rows.get(c.tobytes())) else None for c in corners]

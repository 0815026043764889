"""The layers over images: one heatmap per kind, and who wins; made once, kept exactly over it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.look import Look, kind_colormap
from napari_dinov3_sim.session.marks import mark, marked_as
from napari_dinov3_sim.session.placement import copy_transform
from napari_dinov3_sim.session.questions import DEFAULT_KIND

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_dinov3_sim.session.heatmap_data import LayerData
    from napari_dinov3_sim.session.palette import Palette
    from napari_dinov3_sim.session.planes import LayerAxes
    from napari_dinov3_sim.session.questions import Question

Scaling = Literal["shared", "each", "fixed"]
"""Contrast limits: the same for all maps, each map's own minimum and maximum, or those given."""


class Place(NamedTuple):
    """Which layer over which image: by the id of the image and the kind."""

    image: Hashable
    kind: str


@dataclass(frozen=True, eq=False)
class Shown:
    """What a heatmap layer shows.

    Attributes
    ----------
    layer : LayerAxes
        The planes of the image whose maps it has.
    question : Question
        The question that it answers.
    data : LayerData
    model : str
        Name of the model that answered.
    """

    layer: LayerAxes
    question: Question
    data: LayerData
    model: str


class Heatmaps:
    """Makes, updates, places and removes heatmap layers.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    look : Look
        How new layers are drawn; layers of an earlier session keep theirs and pass it on.
    palette : Palette
        Colours of the kinds.
    """

    def __init__(self, viewer: ViewerModel, look: Look, palette: Palette) -> None:
        self._viewer, self._palette = viewer, palette
        self._layers: dict[Place, Image] = {}
        self._shown: dict[Place, Shown] = {}
        self._limits_set: dict[Place, tuple[float, float]] = {}
        self._colormaps_set: dict[Place, str] = {}
        self._hidden: set[Place] = set()
        self._kinds: tuple[str, ...] = ()
        self._pooled = self._fixed = (0.0, 1.0)
        self._scaling: Scaling = "shared"
        self._look = look
        self._adopt()

    def _adopt(self) -> None:
        from napari.layers import Image

        for layer in self._viewer.layers:
            found = marked_as(layer, "heatmap")
            if found is not None and isinstance(layer, Image):
                place = Place(found["image"], found.get("kind", DEFAULT_KIND))
                self._layers[place] = layer
                colormap = self._look.colormap
                if not layer.colormap.name.startswith("kind #"):
                    colormap = layer.colormap.name
                self._colormaps_set[place] = layer.colormap.name
                self._look = Look(colormap, layer.opacity, str(layer.blending))

    def items(self) -> dict[Place, Image]:
        """Return the heatmap layers that are in the viewer."""
        present = {layer.unique_id for layer in self._viewer.layers}
        gone = [k for k, v in self._layers.items() if v.unique_id not in present]
        for place in gone:
            self._forget(place)
        return dict(self._layers)

    def shown(self) -> dict[Place, Shown]:
        """Return what the heatmap layers in the viewer show."""
        return {place: self._shown[place] for place in self.items() if place in self._shown}

    def _forget(self, place: Place) -> None:
        for kept in (self._layers, self._shown, self._limits_set, self._colormaps_set):
            kept.pop(place, None)
        self._hidden.discard(place)

    # -- showing -----------------------------------------------------------------------------

    def show(self, image: Image, kind: str, shown: Shown, above: Image) -> None:
        """Give an image the heatmap of a kind, in the layer it already has if there is one.

        A new one lies above `above`: the image, or the topmost of those that are one with it.
        """
        place, data = Place(image.unique_id, kind), shown.data
        layer = self.items().get(place)
        if layer is not None and (layer.ndim, layer.multiscale) == (image.ndim, data.multiscale):
            self._shown[place] = shown
            update_data(layer, data.data)
            self._mark(layer, place, shown.model)
            return
        if layer is not None:
            self.remove(place)
        self._shown[place] = shown
        self._insert_above(above, place, self._make(image, place, shown))

    def _mark(self, layer: Image, place: Place, model: str) -> None:
        mark(layer, "heatmap", image=place.image, kind=place.kind, model=model)

    def _make(self, image: Image, place: Place, shown: Shown) -> Image:
        from napari.layers import Image as ImageLayer

        limits = self._limits(shown.data)
        layer = ImageLayer(
            shown.data.data,
            multiscale=shown.data.multiscale,
            name=self._name(image, place.kind),
            colormap=self._colormap(place.kind),
            opacity=self._look.opacity,
            blending=self._look.blending,
            contrast_limits=limits,
            interpolation2d="nearest",
            interpolation3d="nearest",
            visible=image.visible,
        )
        copy_transform(image, layer)
        layer.contrast_limits_range = (-1.0, 1.0)
        layer.contrast_limits = limits
        self._layers[place] = layer
        self._limits_set[place] = limits
        self._colormaps_set[place] = layer.colormap.name
        if not image.visible:
            self._hidden.add(place)
        # Marked before it is seen: an unmarked image would be searched.
        self._mark(layer, place, shown.model)
        return layer

    def _name(self, image: Image, kind: str) -> str:
        several = len(self._kinds) > 1 or kind != DEFAULT_KIND
        return f"{image.name} similarity: {kind}" if several else f"{image.name} similarity"

    def _insert_above(self, above: Image, place: Place, layer: Image) -> None:
        over = [other for key, other in self._layers.items() if key.image == place.image]
        insert_above(self._viewer, above, layer, [o for o in over if o != layer])

    # -- following the image -----------------------------------------------------------------

    def follow(self, image: Image) -> None:
        """Lay an image's heatmaps over it again."""
        for place, layer in self.items().items():
            if place.image == image.unique_id and layer.ndim == image.ndim:
                copy_transform(image, layer)

    def follow_visibility(self, image: Image, visible: bool) -> None:
        """Hide an image's heatmaps with it, and show those again that were hidden for that."""
        for place, layer in self.items().items():
            if place.image != image.unique_id:
                continue
            if not visible and layer.visible:
                self._hidden.add(place)
                layer.visible = False
            elif visible and place in self._hidden:
                self._hidden.discard(place)
                layer.visible = True

    # -- coming and going --------------------------------------------------------------------

    def keep_only(self, places: Iterable[Place]) -> None:
        """Remove all other heatmaps."""
        for place in set(self.items()) - set(places):
            self.remove(place)

    def remove(self, place: Place) -> None:
        """Remove one heatmap layer."""
        layer = self._layers.get(place)
        self._forget(place)
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def rename_kind(self, old: str, new: str) -> None:
        """Give the heatmaps of a kind to another name, unless that has its own."""
        self._kinds = tuple(new if kind == old else kind for kind in self._kinds)
        for place, layer in self.items().items():
            renamed = place._replace(kind=new)
            if place.kind != old or renamed in self._layers:
                continue
            tables: tuple[dict[Place, Any], ...] = (
                self._layers,
                self._shown,
                self._limits_set,
                self._colormaps_set,
            )
            for table in tables:
                if place in table:
                    table[renamed] = table.pop(place)
            if place in self._hidden:
                self._hidden.remove(place)
                self._hidden.add(renamed)
            if layer.name.endswith(f" similarity: {old}"):
                layer.name = layer.name.removesuffix(old) + new
            self._mark(layer, renamed, (marked_as(layer, "heatmap") or {}).get("model", ""))

    # -- colours ------------------------------------------------------------------------------

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds that have heatmaps."""
        return self._kinds

    def set_kinds(self, kinds: Sequence[str]) -> None:
        """Say which kinds there are: with several, each is drawn in its own colour."""
        if tuple(kinds) == self._kinds:
            return
        self._kinds = tuple(kinds)
        self.recolour()

    def recolour(self) -> None:
        """Draw each kind in the colour that it has now."""
        for place, layer in self.items().items():
            self._recolour(place, layer)

    def _colormap(self, kind: str) -> Any:
        if len(self._kinds) < 2 or kind not in self._kinds:
            return self._look.colormap
        return kind_colormap(self._palette.colour(kind))

    def _recolour(self, place: Place, layer: Image) -> None:
        """Give a layer the colormap of its kind, unless the user has given it another."""
        if self._colormaps_set.get(place, layer.colormap.name) == layer.colormap.name:
            layer.colormap = self._colormap(place.kind)
            self._colormaps_set[place] = layer.colormap.name

    # -- contrast -----------------------------------------------------------------------------

    @property
    def scaling(self) -> Scaling:
        """How contrast limits are chosen."""
        return self._scaling

    @scaling.setter
    def scaling(self, scaling: Scaling) -> None:
        if scaling not in get_args(Scaling):
            raise SimilarityError(
                f"There is no scaling {scaling!r}; choose shared, each or fixed."
            )
        self._scaling = scaling
        self._limits_set.clear()
        self._apply_all_limits()

    @property
    def limits(self) -> tuple[float, float]:
        """The cosines drawn darkest and brightest where one scale holds for all maps."""
        return self._fixed if self._scaling == "fixed" else self._pooled

    @limits.setter
    def limits(self, limits: tuple[float, float]) -> None:
        self._fixed = limits
        self.scaling = "fixed"

    def rescale(self, pooled: tuple[float, float]) -> None:
        """Use one scale for all maps after some of them have changed."""
        self._pooled = pooled
        self._apply_all_limits()

    def _apply_all_limits(self) -> None:
        for place, layer in self.items().items():
            self._apply_limits(place, layer)

    def _limits(self, data: LayerData) -> tuple[float, float]:
        """Contrast limits must differ, also for a map of one value."""
        low, high = data.limits if self._scaling == "each" else self.limits
        return (low, high) if high - low > 1e-6 else (high - 1e-3, high)

    def _apply_limits(self, place: Place, layer: Image) -> None:
        """Set the limits, unless the user has set others since."""
        shown = self._shown.get(place)
        ours = self._limits_set.get(place)
        if shown is None or (ours is not None and not np.allclose(layer.contrast_limits, ours)):
            return
        limits = self._limits(shown.data)
        layer.contrast_limits = limits
        self._limits_set[place] = limits

    # -- look ---------------------------------------------------------------------------------

    @property
    def look(self) -> Look:
        """How new heatmaps are drawn."""
        return self._look

    def style(self, **changes: Any) -> None:
        """Change attributes of `Look` in all heatmaps, and in those still to come."""
        look = replace(self._look, **changes)
        look.check()
        self._look = look
        for place, layer in self.items().items():
            for name, value in changes.items():
                if name == "colormap":
                    layer.colormap = self._colormap(place.kind)
                    self._colormaps_set[place] = layer.colormap.name
                else:
                    setattr(layer, name, value)


def insert_above(viewer: ViewerModel, image: Image, layer: Layer, over: Iterable[Layer]) -> None:
    """Insert a layer directly above its own image and what lies over that already.

    So another image over both hides both. Inserting selects the layer; the user's selection is
    put back.
    """
    layers = viewer.layers
    selected, active = set(layers.selection), layers.selection.active
    top = max([layers.index(image), *(layers.index(o) for o in over if o in layers)])
    between = layers[layers.index(image) + 1 : top + 1]
    if any(other not in over for other in between):
        top = layers.index(image)
    layers.insert(top + 1, layer)
    layers.selection = selected
    layers.selection.active = active


def update_data(layer: Any, data: Any) -> None:
    """Show new values.

    The data event makes napari measure every layer of the viewer again, which costs 8 ms with
    20 layers and is blocked where the extent cannot have changed; ``set_data`` still tells.
    The array is a new one each time: scripts and other layers may hold the old.
    """
    if layer.data.shape == data[0].shape if layer.multiscale else layer.data.shape == data.shape:
        with layer.events.data.blocker():
            layer.data = data
    else:
        layer.data = data

"""The heatmap layers: one per image and class, made once, kept exactly over their image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS
from napari_dinov3_sim.session.images.transforms import copy_transform
from napari_dinov3_sim.session.layer_metadata import follow_name, layer_name, mark
from napari_dinov3_sim.session.layers.base import OverlayLayers, insert_above, update_data
from napari_dinov3_sim.session.layers.style import Contrast, HeatmapStyle, class_colormap

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_dinov3_sim.session.answering.question import Question
    from napari_dinov3_sim.session.images.patch_array import LayerData
    from napari_dinov3_sim.session.images.planes import LayerAxes
    from napari_dinov3_sim.session.layers.style import Palette, Scaling


class HeatmapKey(NamedTuple):
    """Which layer over which image: by the id of the image and the class."""

    image: Hashable
    class_name: str


@dataclass(frozen=True, eq=False)
class HeatmapContent:
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
    name : str
        What the image is called.
    """

    layer: LayerAxes
    question: Question
    data: LayerData
    model: str
    name: str


@dataclass(eq=False)
class _HeatmapRecord:
    """What we made of a layer; where it is otherwise by now, the user has made it so."""

    model: str
    name: str
    colormap: str
    shown: HeatmapContent | None = None
    limits: tuple[float, float] | None = None
    hidden: bool = False


class HeatmapLayers(OverlayLayers[HeatmapKey, "Image"]):
    """Makes, updates, places and removes heatmap layers.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    heatmap_style : HeatmapStyle
        How new layers are drawn; layers of an earlier session keep theirs and pass it on.
    palette : Palette
        Colours of the classes.
    """

    def __init__(self, viewer: ViewerModel, heatmap_style: HeatmapStyle, palette: Palette) -> None:
        super().__init__(viewer, "heatmap")
        self._palette, self._style = palette, heatmap_style
        self._notes: dict[HeatmapKey, _HeatmapRecord] = {}
        self._classes: tuple[str, ...] = ()
        self._contrast = Contrast()
        self._adopt()

    def _adopt(self) -> None:
        from napari.layers import Image

        for found, layer in self._from_earlier_session():
            if isinstance(layer, Image):
                place = HeatmapKey(found["image"], found.get("class_name", DEFAULT_CLASS))
                model, name = found.get("model", ""), found.get("name", layer.name)
                self._layers[place] = layer
                note = _HeatmapRecord(
                    model, name, layer.colormap.name, hidden=found.get("hidden", False)
                )
                self._notes[place] = note
                of_class = layer.colormap.name.startswith("class #")
                colormap = self._style.colormap if of_class else layer.colormap.name
                self._style = HeatmapStyle(colormap, layer.opacity, str(layer.blending))

    def shown(self) -> dict[HeatmapKey, HeatmapContent]:
        """Return what the heatmap layers in the viewer show."""
        notes = {place: self._notes[place] for place in self.items()}
        return {place: note.shown for place, note in notes.items() if note.shown is not None}

    def _drop(self, key: HeatmapKey) -> Image | None:
        self._notes.pop(key, None)
        return super()._drop(key)

    def _image_of(self, key: HeatmapKey) -> Hashable:
        return key.image

    def _set_visible(self, key: HeatmapKey, layer: Image, visible: bool) -> None:
        """Show again only what was hidden with the image, and not by the user."""
        note = self._notes[key]
        if not visible and layer.visible:
            note.hidden, layer.visible = True, False
        elif visible and note.hidden:
            note.hidden, layer.visible = False, True
        self._mark(key)

    # -- showing -----------------------------------------------------------------------------

    def show(self, image: Image, class_name: str, shown: HeatmapContent, above: Image) -> None:
        """Give an image the heatmap of a class, in the layer it already has if there is one.

        A new one lies above `above`: the image, or the topmost of those that are one with it.
        """
        place = HeatmapKey(image.unique_id, class_name)
        layer = self._fitting(place, image, shown.data)
        if layer is None:
            self._make(image, place, shown, above)
            return
        note = self._notes[place]
        note.shown, note.model = shown, shown.model
        update_data(layer, shown.data.data)
        note.name = follow_name(layer, note.name, self._name(shown, class_name))
        self._mark(place)

    def _make(self, image: Image, place: HeatmapKey, shown: HeatmapContent, above: Image) -> None:
        from napari.layers import Image as ImageLayer

        limits, over = self._contrast.limits_of(shown.data), self.over(image.unique_id)
        layer = ImageLayer(
            shown.data.data,
            multiscale=shown.data.multiscale,
            name=self._name(shown, place.class_name),
            colormap=self._colormap(place.class_name),
            opacity=self._style.opacity,
            blending=self._style.blending,
            contrast_limits=limits,
            interpolation2d="nearest",
            interpolation3d="nearest",
            visible=image.visible,
        )
        copy_transform(image, layer)
        layer.contrast_limits_range = (-1.0, 1.0)
        layer.contrast_limits = limits
        note = _HeatmapRecord(shown.model, layer.name, layer.colormap.name, shown, limits)
        note.hidden = not image.visible
        self._layers[place], self._notes[place] = layer, note
        # Marked before it is seen: an unmarked image would be searched.
        self._mark(place)
        insert_above(self._viewer, layer, [above, *over.values()])

    def _mark(self, place: HeatmapKey) -> None:
        layer, note = self._layers[place], self._notes[place]
        kept = {"model": note.model, "name": note.name, "hidden": note.hidden}
        mark(layer, "heatmap", **place._asdict(), **kept)

    # -- classes and names ---------------------------------------------------------------------

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that have heatmaps."""
        return self._classes

    def set_classes(self, classes: Sequence[str]) -> None:
        """Say which classes there are: with several, each is drawn in its own colour."""
        if tuple(classes) == self._classes:
            return
        self._classes = tuple(classes)
        self.recolour()

    def rename_class(self, old: str, new: str) -> None:
        """Give the heatmaps of a class to another, unless that has its own.

        Their names follow with the answer that comes next.
        """
        self._classes = tuple(
            new if class_name == old else class_name for class_name in self._classes
        )
        for place in self.items():
            renamed = place._replace(class_name=new)
            if place.class_name == old and renamed not in self._layers:
                self._layers[renamed] = self._layers.pop(place)
                self._notes[renamed] = self._notes.pop(place)
                self._mark(renamed)

    def _name(self, shown: HeatmapContent, class_name: str) -> str:
        return layer_name(shown.name, "similarity", class_name, several=len(self._classes) > 1)

    # -- colours and look --------------------------------------------------------------------

    def recolour(self) -> None:
        """Draw each class in the colour it has now, unless the user has given it another."""
        for place, layer in self.items().items():
            if self._notes[place].colormap == layer.colormap.name:
                self._set_colormap(place, layer)

    def _set_colormap(self, place: HeatmapKey, layer: Image) -> None:
        layer.colormap = self._colormap(place.class_name)
        self._notes[place].colormap = layer.colormap.name

    def _colormap(self, class_name: str) -> Any:
        if len(self._classes) < 2 or class_name not in self._classes:
            return self._style.colormap
        return class_colormap(self._palette.colour(class_name))

    @property
    def heatmap_style(self) -> HeatmapStyle:
        """How new heatmaps are drawn."""
        return self._style

    def style(self, **changes: Any) -> None:
        """Change attributes of `HeatmapStyle` in all heatmaps, and in those still to come."""
        heatmap_style = replace(self._style, **changes)
        heatmap_style.check()
        self._style = heatmap_style
        for place, layer in self.items().items():
            for name, value in changes.items():
                if name == "colormap":
                    self._set_colormap(place, layer)
                else:
                    setattr(layer, name, value)

    # -- contrast ----------------------------------------------------------------------------

    @property
    def scaling(self) -> Scaling:
        """How contrast limits are chosen."""
        return self._contrast.scaling

    @scaling.setter
    def scaling(self, scaling: Scaling) -> None:
        self._contrast.scaling = scaling
        for note in self._notes.values():
            note.limits = None  # those that the user has set, too
        self._apply_limits()

    @property
    def limits(self) -> tuple[float, float]:
        """The cosines drawn darkest and brightest where one scale holds for all maps."""
        return self._contrast.limits

    @limits.setter
    def limits(self, limits: tuple[float, float]) -> None:
        self._contrast.fixed = limits
        self.scaling = "fixed"

    def rescale(self, pooled: tuple[float, float]) -> None:
        """Use one scale for all maps after some of them have changed."""
        self._contrast.pooled = pooled
        self._apply_limits()

    def _apply_limits(self) -> None:
        """Set the limits of all layers, but where the user has set others since."""
        for place, layer in self.items().items():
            note = self._notes[place]
            ours = note.limits is None or np.allclose(layer.contrast_limits, note.limits)
            if note.shown is not None and ours:
                note.limits = self._contrast.limits_of(note.shown.data)
                layer.contrast_limits = note.limits

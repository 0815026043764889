"""Class maps: Labels layers that show the most similar class of each patch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinov3_sim.session.images.transforms import copy_transform
from napari_dinov3_sim.session.layer_metadata import mark, overlay_name
from napari_dinov3_sim.session.layers.base import OverlayLayers, insert_above

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from napari.utils import DirectLabelColormap

    from napari_dinov3_sim.session.images.patch_array import LayerData
    from napari_dinov3_sim.session.images.target import Target
    from napari_dinov3_sim.session.layers.style import Palette


class ClassMapLayers(OverlayLayers["Hashable", "Labels"]):
    """One Labels layer per image: 1 where the first class wins, 2 where the second does.

    It is another view of the heatmaps: while it is shown, they are not.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    palette : Palette
        Colours of the classes.
    replaced : callable
        Bound method, called when other images than before are shown as class maps.

    Attributes
    ----------
    hidden_classes : frozenset of str
        Their patches are not coloured.
    """

    def __init__(
        self, viewer: ViewerModel, palette: Palette, replaced: Callable[[], None]
    ) -> None:
        super().__init__(viewer, "class map")
        self._palette, self._replaced = palette, replaced
        self._classes: dict[Hashable, tuple[str, ...]] = {}
        self._coloured: dict[Hashable, tuple[str, ...]] = {}
        self._visible = False
        self.hidden_classes: frozenset[str] = frozenset()
        for found, layer in self._from_earlier_session():
            self.layers[found["image"]] = layer
            self._visible |= layer.visible  # hidden, too, are those of hidden images

    @property
    def visible(self) -> bool:
        """Whether the layers are shown, also those still to come."""
        return self._visible

    @visible.setter
    def visible(self, visible: bool) -> None:
        self._visible = visible
        for image_id, layer in self.layers.items():
            self._mark(image_id, layer)
            self._update_visibility(image_id, layer)
        self._replaced()

    @property
    def shown_over(self) -> frozenset[Hashable]:
        """Ids of the images that are shown as class maps."""
        return frozenset(self.layers) if self._visible else frozenset()

    def show(
        self, target: Target, data: LayerData, classes: Sequence[str], over: Sequence[Image]
    ) -> None:
        """Give an image its class map, in the layer it already has if there is one.

        Parameters
        ----------
        target : Target
            The image.
        data : LayerData
        classes : sequence of str
            Those that are numbered from 1.
        over : sequence of Image
            What a new layer is to lie above, the lowest first.
        """
        image_id = target.layer.unique_id
        layer = self._fitting(image_id, target.layer, data)
        self._classes[image_id] = tuple(classes)
        if layer is None:
            self._make(target, data, classes, over)
            self._replaced()
        else:
            data.show_in(layer)
            self._colour(image_id, classes)

    def rename_class(self, old: str, new: str) -> None:
        """Know a class by another name."""
        for image_id, classes in self._classes.items():
            self._classes[image_id] = tuple(new if name == old else name for name in classes)

    def recolour(self) -> None:
        """Draw each class in the colour it has now, and those that are hidden not at all."""
        for image_id, classes in self._classes.items():
            self._colour(image_id, classes)

    def _colour(self, image_id: Hashable, classes: Sequence[str]) -> None:
        """Give a layer the colours of its classes, where they are others: napari takes long."""
        colours = self._colours(classes)
        if self._coloured.get(image_id) != colours:
            self._coloured[image_id] = colours
            self.layers[image_id].colormap = self._colormap(classes)

    def _drop(self, key: Hashable) -> Labels | None:
        self._classes.pop(key, None)
        self._coloured.pop(key, None)
        layer = super()._drop(key)
        if layer is not None:
            self._replaced()
        return layer

    def _make(
        self, target: Target, data: LayerData, classes: Sequence[str], over: Sequence[Image]
    ) -> None:
        from napari.layers import Labels

        image = target.layer
        self._note_visibility(image, image.visible)
        layer = Labels(
            data.data,
            multiscale=data.multiscale,
            name=overlay_name(target.name, "class map"),
            colormap=self._colormap(classes),
            opacity=0.6,
            visible=self._visible and image.visible,
        )
        copy_transform(image, layer)
        layer.editable = False
        self.layers[image.unique_id] = layer
        self._mark(image.unique_id, layer)
        insert_above(self._viewer, layer, over)

    def _mark(self, image_id: Hashable, layer: Labels) -> None:
        mark(layer, "class map", image=image_id, replaced=not self._visible)

    def _update_visibility(self, key: Hashable, layer: Labels) -> None:
        layer.visible = self._visible and key not in self._hidden_images

    def _colormap(self, classes: Sequence[str]) -> DirectLabelColormap:
        from napari.utils import DirectLabelColormap

        numbered = enumerate(self._colours(classes), start=1)
        nothing: dict[int | None, str] = {None: "transparent", 0: "transparent"}
        return DirectLabelColormap(color_dict=nothing | dict(numbered))

    def _colours(self, classes: Sequence[str]) -> tuple[str, ...]:
        # A class that there is no more may still be shown; to ask for its colour brings it back.
        shown = self._palette.keys() - self.hidden_classes
        return tuple(self._palette[name] if name in shown else "transparent" for name in classes)

"""Class maps: Labels layers that show the most similar class of each patch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinov3_sim.session.images.transforms import copy_transform
from napari_dinov3_sim.session.layer_metadata import layer_name, mark
from napari_dinov3_sim.session.layers.base import OverlayLayers, insert_above

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from napari.utils import DirectLabelColormap

    from napari_dinov3_sim.session.images.patch_array import LayerData
    from napari_dinov3_sim.session.images.target import Target
    from napari_dinov3_sim.session.layers.style import Palette


class ClassMapLayers(OverlayLayers["Hashable", "Labels"]):
    """One Labels layer per image: 1 where the first class wins, 2 where the second does.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    palette : Palette
        Colours of the classes.
    """

    def __init__(self, viewer: ViewerModel, palette: Palette) -> None:
        super().__init__(viewer, "class map")
        self._palette = palette
        self._visible = False
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
        for layer in self.layers.values():
            layer.visible = visible

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
        layer = self._fitting(target.layer.unique_id, target.layer, data)
        if layer is None:
            self._make(target, data, classes, over)
        else:
            data.show_in(layer)
            layer.colormap = self._colormap(classes)

    def _make(
        self, target: Target, data: LayerData, classes: Sequence[str], over: Sequence[Image]
    ) -> None:
        from napari.layers import Labels

        image = target.layer
        layer = Labels(
            data.data,
            multiscale=data.multiscale,
            name=layer_name(target.name, "class map"),
            colormap=self._colormap(classes),
            opacity=0.6,
            visible=self._visible and image.visible,
        )
        copy_transform(image, layer)
        layer.editable = False
        self.layers[image.unique_id] = layer
        mark(layer, "class map", image=image.unique_id)
        insert_above(self._viewer, layer, over)

    def _set_visible(self, key: Hashable, layer: Labels, visible: bool) -> None:
        super()._set_visible(key, layer, self._visible and visible)

    def _colormap(self, classes: Sequence[str]) -> DirectLabelColormap:
        from napari.utils import DirectLabelColormap

        colours: dict[int | None, str] = {None: "transparent", 0: "transparent"}
        for number, class_name in enumerate(classes, start=1):
            colours[number] = self._palette[class_name]
        return DirectLabelColormap(color_dict=colours)

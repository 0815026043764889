"""The Labels layers that say which kind wins where there are several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinov3_sim.session.heatmaps import insert_above, update_data
from napari_dinov3_sim.session.marks import mark, marked_as
from napari_dinov3_sim.session.placement import copy_transform

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from napari.utils import DirectLabelColormap

    from napari_dinov3_sim.session.heatmap_data import LayerData
    from napari_dinov3_sim.session.palette import Palette


class Winners:
    """One Labels layer per image: 1 where the first kind wins, 2 where the second does.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    palette : Palette
        Colours of the kinds.
    """

    def __init__(self, viewer: ViewerModel, palette: Palette) -> None:
        self._viewer, self._palette = viewer, palette
        self._layers: dict[Hashable, Labels] = {}
        self._visible = False
        for layer in viewer.layers:
            found = marked_as(layer, "winner")
            if found is not None:
                self._layers[found["image"]] = layer
                self._visible = layer.visible

    def items(self) -> dict[Hashable, Labels]:
        """Return the layers that are in the viewer, by the id of their image."""
        present = {layer.unique_id for layer in self._viewer.layers}
        self._layers = {k: v for k, v in self._layers.items() if v.unique_id in present}
        return dict(self._layers)

    @property
    def visible(self) -> bool:
        """Whether the layers are shown, also those still to come."""
        return self._visible

    @visible.setter
    def visible(self, visible: bool) -> None:
        self._visible = visible
        for layer in self.items().values():
            layer.visible = visible

    def show(
        self, image: Image, data: LayerData, kinds: Sequence[str], over: Sequence[Image]
    ) -> None:
        """Give an image its winners, in the layer it already has if there is one.

        Parameters
        ----------
        image : Image
        data : LayerData
        kinds : sequence of str
            Those that are numbered from 1.
        over : sequence of Image
            What a new layer is to lie above, the lowest first.
        """
        layer = self.items().get(image.unique_id)
        if layer is not None and (layer.ndim, layer.multiscale) == (image.ndim, data.multiscale):
            update_data(layer, data.data)
            layer.colormap = self._colormap(kinds)
            return
        if layer is not None:
            self.remove(image.unique_id)
        self._make(image, data, kinds, over)

    def _make(
        self, image: Image, data: LayerData, kinds: Sequence[str], over: Sequence[Image]
    ) -> None:
        from napari.layers import Labels

        layer = Labels(
            data.data,
            multiscale=data.multiscale,
            name=f"{image.name} winning kind",
            colormap=self._colormap(kinds),
            opacity=0.6,
            visible=self._visible and image.visible,
        )
        copy_transform(image, layer)
        layer.editable = False
        self._layers[image.unique_id] = layer
        mark(layer, "winner", image=image.unique_id)
        insert_above(self._viewer, over[0], layer, over[1:])

    def follow(self, image: Image) -> None:
        """Lay an image's winners over it again."""
        layer = self.items().get(image.unique_id)
        if layer is not None and layer.ndim == image.ndim:
            copy_transform(image, layer)

    def follow_visibility(self, image: Image, visible: bool) -> None:
        """Hide the layer with its image."""
        layer = self.items().get(image.unique_id)
        if layer is not None:
            layer.visible = self._visible and visible

    def keep_only(self, image_ids: set[Hashable]) -> None:
        """Remove the layers of all other images."""
        for image_id in set(self.items()) - image_ids:
            self.remove(image_id)

    def remove(self, image_id: Hashable) -> None:
        """Remove one layer."""
        layer = self._layers.pop(image_id, None)
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _colormap(self, kinds: Sequence[str]) -> DirectLabelColormap:
        from napari.utils import DirectLabelColormap

        colours: dict[int | None, str] = {None: "transparent", 0: "transparent"}
        for number, kind in enumerate(kinds, start=1):
            colours[number] = self._palette.colour(kind)
        return DirectLabelColormap(color_dict=colours)

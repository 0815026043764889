"""Class maps of what is suggested: Labels layers, for as long as suggestions are shown."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from napari_dinov3_sim.session.images.transforms import copy_transform
from napari_dinov3_sim.session.layer_metadata import mark, overlay_name
from napari_dinov3_sim.session.layers.base import OverlayLayers, insert_above

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer
    from napari.utils import DirectLabelColormap

    from napari_dinov3_sim.session.images.patch_array import LayerData


class SuggestionMaps(OverlayLayers[Hashable, "Labels"]):
    """One Labels layer per image, in which each patch has the number of its suggested class.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer, "suggestion")
        for _, layer in list(self._from_earlier_session()):
            viewer.layers.remove(layer)  # nothing is suggested any more

    def show(
        self,
        image: Image,
        name: str,
        data: LayerData,
        colours: Sequence[str],
        over: Sequence[Layer],
    ) -> None:
        """Show the class map of an image, in the layer it already has if there is one.

        Parameters
        ----------
        image : Image
        name : str
            What the image is called.
        data : LayerData
        colours : sequence of str
            Of the classes, the first of number 1.
        over : sequence of Layer
            What a new layer is to lie above, the image first.
        """
        from napari.layers import Labels as LabelsLayer

        layer: Labels | None = self._fitting(image.unique_id, image, data)
        if layer is not None:
            data.show_in(layer)
            layer.colormap, layer.visible = _colormap(colours), True
            return
        layer = LabelsLayer(
            data.data,
            multiscale=data.multiscale,
            name=overlay_name(name, "suggested classes"),
            colormap=_colormap(colours),
            opacity=0.5,
        )
        copy_transform(image, layer)
        layer.editable = False
        self.layers[image.unique_id] = layer
        mark(layer, "suggestion", image=image.unique_id)
        insert_above(self._viewer, layer, over)

    def hide(self) -> None:
        """Let what lies below be seen; the eye of a layer shows it again."""
        for layer in self.layers.values():
            layer.visible = False


def _colormap(colours: Sequence[str]) -> DirectLabelColormap:
    from napari.utils import DirectLabelColormap

    wanted: dict[int | None, str] = {None: "transparent", 0: "transparent"}
    return DirectLabelColormap(color_dict=wanted | dict(enumerate(colours, start=1)))

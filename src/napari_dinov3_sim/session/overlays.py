"""All that shows an answer over images, together: heatmaps by kind, and winners."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinov3_sim.session.heatmaps import Heatmaps
from napari_dinov3_sim.session.shown import Shown
from napari_dinov3_sim.session.winners import Winners

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Set

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_dinov3_sim.session.look import Look
    from napari_dinov3_sim.session.merging import Target
    from napari_dinov3_sim.session.messages import LayerReady
    from napari_dinov3_sim.session.palette import Palette
    from napari_dinov3_sim.session.questions import Question
    from napari_dinov3_sim.session.shown import Place


class Overlays:
    """Shows answers, and keeps what shows them with their images.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    look : Look
    palette : Palette
    """

    def __init__(self, viewer: ViewerModel, look: Look, palette: Palette) -> None:
        self._viewer = viewer
        self.heatmaps = Heatmaps(viewer, look, palette)
        self.winners = Winners(viewer, palette)

    def show(
        self, target: Target, above: Image, ready: LayerReady, question: Question, model: str
    ) -> None:
        """Show what a job has found over an image.

        New layers lie above `above`: the image, or the topmost of those that are one with it.
        """
        image, name = target.layer, target.name
        self.heatmaps.set_kinds(tuple(ready.heatmaps))
        for kind, data in ready.heatmaps.items():
            self.heatmaps.show(image, kind, Shown(ready.layer, question, data, model, name), above)
        for place in self.heatmaps.over(image.unique_id):
            if place.kind not in ready.heatmaps:
                self.heatmaps.remove(place)
        if ready.winner is None:
            self.winners.remove(image.unique_id)
        else:
            over = [above, *self.heatmaps.over(image.unique_id).values()]
            self.winners.show(target, ready.winner, tuple(ready.heatmaps), over)

    def keep_only(self, places: Set[Place]) -> None:
        """Remove all other heatmaps, and the winners that are none any more."""
        self.heatmaps.keep_only(places)
        several = len({place.kind for place in places}) > 1
        self.winners.keep_only({place.image for place in places} if several else ())

    def over(self, image_id: Hashable) -> list[Layer]:
        """Return the layers that lie over an image."""
        heatmaps, winner = self.heatmaps.over(image_id), self.winners.over(image_id)
        return [*heatmaps.values(), *winner.values()]

    def clear(self) -> None:
        """Remove everything."""
        self.keep_only(set())

    def follow(self, image: Image) -> None:
        """Lay what is over an image over it again."""
        self.heatmaps.follow(image)
        self.winners.follow(image)

    def follow_visibility(self, image: Image, visible: bool) -> None:
        """Hide what is over an image with it."""
        self.heatmaps.follow_visibility(image, visible)
        self.winners.follow_visibility(image, visible)

    def restack(self, images: Mapping[Hashable, Image]) -> None:
        """Put what has come to lie below its image above it again, in the same order.

        Parameters
        ----------
        images : mapping of image id to Image
            The layer to lie above: the topmost one, where several are one image.
        """
        layers = self._viewer.layers
        for image_id, image in images.items():
            top = layers.index(image)
            below = [layer for layer in self.over(image_id) if layers.index(layer) < top]
            for layer in sorted(below, key=layers.index, reverse=True):
                layers.move(layers.index(layer), layers.index(image) + 1)

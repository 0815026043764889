"""Which layers still say something true about their image, and the end of all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.session.layers.class_maps import ClassMapLayers
from napari_dinov3_sim.session.layers.heatmaps import HeatmapContent, HeatmapLayers

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Set

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_dinov3_sim.core.search.combine import Combination
    from napari_dinov3_sim.session.answering.answers import Answers
    from napari_dinov3_sim.session.answering.question import AnyPick, Question
    from napari_dinov3_sim.session.images.target import Target
    from napari_dinov3_sim.session.images.targets import Targets
    from napari_dinov3_sim.session.layers.heatmaps import HeatmapKey
    from napari_dinov3_sim.session.layers.style import HeatmapStyle, Palette
    from napari_dinov3_sim.session.messages import LayerReady


class Overlays:
    """Shows answers, and keeps what shows them with their images.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    heatmap_style : HeatmapStyle
    palette : Palette
    """

    def __init__(self, viewer: ViewerModel, heatmap_style: HeatmapStyle, palette: Palette) -> None:
        self._viewer = viewer
        self.heatmaps = HeatmapLayers(viewer, heatmap_style, palette)
        self.class_maps = ClassMapLayers(viewer, palette)

    def show(
        self, target: Target, above: Image, ready: LayerReady, question: Question, model: str
    ) -> None:
        """Show what a job has found over an image.

        New layers lie above `above`: the image, or the topmost of those that are one with it.
        """
        image, name = target.layer, target.name
        self.heatmaps.set_classes(tuple(ready.heatmaps))
        for class_name, data in ready.heatmaps.items():
            self.heatmaps.show(
                image, class_name, HeatmapContent(ready.layer, question, data, model, name), above
            )
        for place in self.heatmaps.over(image.unique_id):
            if place.class_name not in ready.heatmaps:
                self.heatmaps.remove(place)
        if ready.class_map is None:
            self.class_maps.remove(image.unique_id)
        else:
            over = [above, *self.heatmaps.over(image.unique_id).values()]
            self.class_maps.show(target, ready.class_map, tuple(ready.heatmaps), over)

    def keep_only(self, places: Set[HeatmapKey]) -> None:
        """Remove all other heatmaps, and the class maps of fewer than two classes."""
        self.heatmaps.keep_only(places)
        several = len({place.class_name for place in places}) > 1
        self.class_maps.keep_only({place.image for place in places} if several else ())

    def over(self, image_id: Hashable) -> list[Layer]:
        """Return the layers that lie over an image."""
        heatmaps, class_map = self.heatmaps.over(image_id), self.class_maps.over(image_id)
        return [*heatmaps.values(), *class_map.values()]

    def clear(self) -> None:
        """Remove everything."""
        self.keep_only(set())

    def follow(self, image: Image) -> None:
        """Lay what is over an image over it again."""
        self.heatmaps.follow(image)
        self.class_maps.follow(image)

    def follow_visibility(self, image: Image, visible: bool) -> None:
        """Hide what is over an image with it."""
        self.heatmaps.follow_visibility(image, visible)
        self.class_maps.follow_visibility(image, visible)

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


Asked = tuple[tuple["AnyPick", ...], "Combination"]
"""What is picked, and how it is combined."""

Versions = dict["Hashable", int]
"""Of the pixels of each image that is searched, by its id."""


@dataclass(frozen=True)
class _Found:
    """What was asked, and which pixels were open, when the session began."""

    asked: Asked
    versions: Versions


class StaleLayerRemover:
    """Removes heatmaps and class maps that do not answer the present question.

    While work is under way, those of an earlier question stay until their answer comes. Those
    that an earlier session left stay too, and, as long as what is asked is what it was then,
    until there is a question.

    Parameters
    ----------
    targets : Targets
    answers : Answers
    overlays : Overlays
    """

    def __init__(self, targets: Targets, answers: Answers, overlays: Overlays) -> None:
        self._targets, self._answers, self._overlays = targets, answers, overlays
        self._found: _Found | None = None

    def prune(self, asked: Asked, *, busy: bool) -> None:
        """Remove what is no answer any more.

        Parameters
        ----------
        asked : Asked
            If nothing is picked, nothing stays.
        busy : bool
            Whether an answer may still come; until then an older one stays.
        """
        versions = self._versions()
        if self._found is None:
            self._found = _Found(asked, versions)
        found = self._found.versions if asked == self._found.asked else {}
        now = _StaleRule(versions, found, self._answers.asked, busy)
        shown = self._overlays.heatmaps.shown()
        places = self._overlays.heatmaps.items() if asked[0] else ()
        self._overlays.keep_only({p for p in places if now.allows(p, shown.get(p))})

    def _versions(self) -> Versions:
        records = (self._targets.get(image.unique_id) for image in self._targets.layers())
        return {r.layer.unique_id: r.version for r in records if r is not None}


@dataclass(frozen=True)
class _StaleRule:
    """What heatmaps are measured against.

    Attributes
    ----------
    versions : mapping of image id to int
        Of the pixels of the images that are searched.
    found : mapping of image id to int
        The same when the layers of an earlier session were found; empty if they are answers
        to something else than what is asked now.
    question : Question or None
        The present one.
    busy : bool
        Whether an answer may still come.
    """

    versions: Mapping[Hashable, int]
    found: Mapping[Hashable, int]
    question: Question | None
    busy: bool

    def allows(self, place: HeatmapKey, shown: HeatmapContent | None) -> bool:
        """Whether a heatmap may stay."""
        if place.image not in self.versions:
            return False
        version = self.versions[place.image]
        if shown is None:
            return self.busy or (self.question is None and self.found.get(place.image) == version)
        answers = self.question is not None and shown.question == self.question
        return shown.layer.version == version and (self.busy or answers)

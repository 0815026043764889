"""All layers over images together, and the removal of stale ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.session.layers.class_maps import ClassMapLayers
from napari_dinov3_sim.session.layers.contours import ContourLayers
from napari_dinov3_sim.session.layers.empty_points import EmptyPoints
from napari_dinov3_sim.session.layers.heatmaps import HeatmapContent, HeatmapLayers
from napari_dinov3_sim.session.layers.outlines import OutlineLayers

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Set

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_dinov3_sim.session.answering.question import Question
    from napari_dinov3_sim.session.images.hit_testing import ResolvedImages
    from napari_dinov3_sim.session.images.planes import PlaneKey
    from napari_dinov3_sim.session.layers.heatmaps import HeatmapKey
    from napari_dinov3_sim.session.layers.style import HeatmapStyle, Palette
    from napari_dinov3_sim.session.objects.plane_objects import PlaneObjects
    from napari_dinov3_sim.session.resolved_state import ResolvedState
    from napari_dinov3_sim.session.worker_messages import LayerReady

    FoundOf = Callable[[PlaneKey], Mapping[str, PlaneObjects] | None]


class Overlays:
    """Shows answers over images, and removes what is no answer any more.

    While work is under way, heatmaps of an earlier question stay until their answer comes. Those
    that an earlier session left stay too, and, as long as what is asked is what it was then,
    until there is a question.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    heatmap_style : HeatmapStyle
    palette : Palette
    """

    def __init__(self, viewer: ViewerModel, heatmap_style: HeatmapStyle, palette: Palette) -> None:
        self._viewer, self._palette = viewer, palette
        self.heatmaps = HeatmapLayers(viewer, heatmap_style, palette)
        self.class_maps = ClassMapLayers(viewer, palette, self._on_replaced)
        self.contours = ContourLayers(viewer, palette)
        self.outlines = OutlineLayers(viewer, palette)
        self.empty_points = EmptyPoints(viewer)
        self._found: tuple[object, Mapping[Hashable, int]] | None = None
        self._last_check: tuple[object, ...] = ()
        # By number: classes that follow each other may have the same name.
        self._hidden_before: dict[int | None, frozenset[str]] = {}
        self._contoured: tuple[ResolvedImages, FoundOf] | None = None
        self._stacked: ResolvedImages | None = None
        self._ndisplay = viewer.dims.ndisplay
        self._on_replaced()

    def _on_replaced(self) -> None:
        """Show heatmaps where there is no class map in their place.

        Contours follow when they are drawn next: a class map may be one of many layers that napari
        is removing, and meanwhile no layer may come or go.
        """
        replaced = self.class_maps.shown_over
        if replaced != self.heatmaps.replaced:
            self.heatmaps.replaced = replaced
            self.heatmaps.update_visibility()

    def hide_classes(self, classes: frozenset[str]) -> None:
        """Show the heatmaps of all classes but some."""
        self.heatmaps.hidden_classes = self.class_maps.hidden_classes = classes
        self.heatmaps.update_visibility()
        self.class_maps.recolour()
        self._redraw_contours()

    def rename_class(self, old: str, new: str, number: int | None) -> None:
        """Give what is shown of a class to another, which is hidden if the first one was.

        Class maps and contours follow with the answer that comes next: to draw them now would give
        the new name a colour of its own.
        """
        self.heatmaps.rename_class(old, new)
        self.class_maps.rename_class(old, new)
        hidden = self.heatmaps.hidden_classes
        self._hidden_before[number] = hidden & {old, new}
        now = hidden - {old, new} | ({new} if old in hidden else set())
        self.heatmaps.hidden_classes = self.class_maps.hidden_classes = now
        self.heatmaps.update_visibility()

    def part_class(self, old: str, new: str, number: int) -> None:
        """Hide a class, and the one it was joined with, where they were hidden before that."""
        hidden = self.heatmaps.hidden_classes
        before = self._hidden_before.pop(number, hidden & {old, new})
        now = hidden - {old, new} | before
        self.heatmaps.hidden_classes = self.class_maps.hidden_classes = now
        self.heatmaps.update_visibility()

    def recolour(self) -> None:
        """Draw each class in the colour it has now."""
        self.heatmaps.recolour()
        self.class_maps.recolour()
        self._redraw_contours()

    def show(
        self, images: ResolvedImages, ready: LayerReady, question: Question, model: str
    ) -> None:
        """Show what a job has found over an image.

        New layers lie above the topmost of the layers that are one with the image. A class that
        was asked and is deleted by now is not shown; one that the answer names is a new one.
        """
        image_id = ready.layer.layer_id
        target, above = images.targets[image_id], images.tops[image_id]
        image, name = target.layer, images.names[image_id]
        self.heatmaps.set_classes(tuple(ready.heatmaps))
        gone = set(question.classes) - self._palette.keys()
        there = {name: data for name, data in ready.heatmaps.items() if name not in gone}
        for class_name, data in there.items():
            content = HeatmapContent(ready.layer, question, data, model, name)
            self.heatmaps.show(image, class_name, content, above)
        for key in self.heatmaps.over(image_id):
            if key.class_name not in there:
                self.heatmaps.remove(key)
        if ready.class_map is not None:
            over = [above, *self.heatmaps.over(image_id).values()]
            self.class_maps.show(target, ready.class_map, tuple(ready.heatmaps), over)
        elif image_id in self.class_maps.layers:
            self.class_maps.remove(image_id)

    def apply(
        self,
        new: ResolvedState,
        asked: Question | None,
        *,
        busy: bool,
    ) -> None:
        """Remove what is no answer any more; put back what has come to lie below its image.

        What could not be done is tried again at the next refresh.

        Parameters
        ----------
        new : ResolvedState
            If nothing is picked now, nothing stays.
        asked : Question or None
            The question that was submitted last.
        busy : bool
            Whether an answer may still come; until then an older one stays.
        """
        check = (new.picked.picks, new.combination, new.images, asked, busy)
        if check != self._last_check:
            self._remove_stale(new, asked, busy=busy)
            self._last_check = check
        if self._ndisplay != self._viewer.dims.ndisplay:
            self._ndisplay = self._viewer.dims.ndisplay
            self.heatmaps.adapt_to_view(new.images.targets)
        if self._stacked is not new.images:
            self._restack(new.images.tops)
            self._stacked = new.images

    def _remove_stale(self, new: ResolvedState, asked: Question | None, *, busy: bool) -> None:
        versions = {i: target.version for i, target in new.images.targets.items()}
        wanted = new.picked.picks, new.combination
        if self._found is None:
            self._found = wanted, versions
        found = self._found[1] if wanted == self._found[0] else {}
        rule = _StaleRule(versions, found, asked, busy)
        contents = self.heatmaps.contents()
        kept = {key for key, content in contents.items() if rule.keeps(key, content)}
        kept = kept if new.picked.picks else set()
        if len(kept) < len(contents) or self.class_maps.layers:
            self._keep_only(kept)

    def _keep_only(self, keys: Set[HeatmapKey]) -> None:
        """Remove all other heatmaps, and the class maps of fewer than two classes."""
        self.heatmaps.keep_only(keys)
        several = len({key.class_name for key in keys}) > 1
        self.class_maps.keep_only({key.image for key in keys} if several else ())

    def draw_contours(self, images: ResolvedImages, found_of: FoundOf) -> None:
        """Draw what is found around the heatmaps that are shown."""
        self._contoured = images, found_of
        self._redraw_contours()

    def _redraw_contours(self) -> None:
        """Draw the same contours of the heatmaps that are shown by now."""
        if self._contoured is not None:
            self.contours.apply(*self._contoured, self.heatmaps.by_class)

    def over(self, image_id: Hashable) -> list[Layer]:
        """Return the heatmaps and the class map that lie over an image."""
        heatmaps, class_map = self.heatmaps.over(image_id), self.class_maps.over(image_id)
        return [*heatmaps.values(), *class_map.values()]

    def close(self) -> None:
        """Stop listening; the layers stay."""
        self.heatmaps.close()
        self.class_maps.close()
        self.contours.close()
        self.outlines.close()
        self.empty_points.close()

    def clear(self) -> None:
        """Remove everything."""
        self._keep_only(set())
        self._contoured = None
        self.contours.keep_only(())

    def follow(self, image: Image) -> None:
        """Give what lies over an image the transform of the image again."""
        self.heatmaps.follow(image)
        self.class_maps.follow(image)
        self.contours.follow(image)
        self.outlines.follow(image)

    def follow_visibility(self, image: Image, visible: bool) -> None:
        """Hide what is over an image with it."""
        self.heatmaps.follow_visibility(image, visible)
        self.class_maps.follow_visibility(image, visible)
        self.contours.follow_visibility(image, visible)
        self.outlines.follow_visibility(image, visible)

    def _restack(self, images: Mapping[Hashable, Image]) -> None:
        """Put what has come to lie below its image above it again, in the same order.

        Parameters
        ----------
        images : mapping of image id to Image
            The layer to lie above: the topmost one, where several are one image.
        """
        layers = self._viewer.layers
        order = {layer.unique_id: place for place, layer in enumerate(layers)}
        for image_id, image in images.items():
            top = order[image.unique_id]
            over = [*self.over(image_id), *self.contours.over(image_id).values()]
            below = [layer for layer in over if order[layer.unique_id] < top]
            for layer in sorted(below, key=lambda one: order[one.unique_id], reverse=True):
                layers.move(layers.index(layer), layers.index(image) + 1)
            if below:
                order = {layer.unique_id: place for place, layer in enumerate(layers)}


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

    def keeps(self, key: HeatmapKey, content: HeatmapContent | None) -> bool:
        """Whether a heatmap may stay."""
        if key.image not in self.versions:
            return False
        version = self.versions[key.image]
        if content is None:
            return self.busy or (self.question is None and self.found.get(key.image) == version)
        answers = self.question is not None and content.question == self.question
        return content.layer.version == version and (self.busy or answers)

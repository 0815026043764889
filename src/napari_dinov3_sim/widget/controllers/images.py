"""The controller of the images section: targets, resolution, channels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning

from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.widget.controllers.base import SectionController, shown_errors
from napari_dinov3_sim.widget.focus import QueryFocus
from napari_dinov3_sim.widget.views.images import ImageEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence, Set

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.widget.views.views import Views


class ImagesController(SectionController):
    """The list of images, and the options below it.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    views : Views
    call_soon : callable
        Calls back on the main thread, as a `Runner` does.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: SimilaritySession,
        views: Views,
        call_soon: Callable[[Callable[[], None]], None],
    ) -> None:
        super().__init__(viewer, session, views)
        self._call_soon = call_soon
        self._focus = QueryFocus(viewer, session)
        self._images = len(session.images)
        options = views.options
        views.images.ticked.connect(self._on_ticked)
        views.images.split_clicked.connect(self._on_split)
        options.all_planes_changed.connect(self.set_all_planes)
        options.factor_picked.connect(self._on_factor)
        options.shifts_picked.connect(self._on_shifts)
        options.padding_picked.connect(self._on_padding)
        options.merge_clicked.connect(self.merge)
        options.split_clicked.connect(self.split)
        self.listen(session.listed, self._on_listed)
        self._on_listed()
        self._show_options()

    def _on_ticked(self, layer_id: Hashable, ticked: bool) -> None:
        for image in self._session.images:
            if image.unique_id == layer_id:
                self._session.set_target(image, ticked)

    def _on_listed(self) -> None:
        images = self._session.images
        ticked = {target.unique_id for target in self._session.targets}
        merged = {
            lead.unique_id: [channel for channel in channels if channel is not None]
            for lead, channels in self._session.merged.items()
        }
        parts = {part.unique_id for channels in merged.values() for part in channels}
        listed = [
            image
            for image in reversed(images)
            if image.unique_id in merged or image.unique_id not in parts
        ]
        self._views.images.show_entries(
            [self._entry(image, ticked, merged.get(image.unique_id, ())) for image in listed]
        )
        if len(images) > self._images:
            self._call_soon(self._focus.restore)
        self._images = len(images)

    def _entry(self, image: Image, ticked: Set[Hashable], channels: Sequence[Image]) -> ImageEntry:
        return ImageEntry(
            image.unique_id,
            self._session.name_of(image),
            image.unique_id in ticked,
            self._session.refusal(image),
            tuple(channel.name for channel in channels),
        )

    # -- how fine -------------------------------------------------------------------------

    def set_all_planes(self, all_planes: bool) -> None:
        """Answer on all planes of stacks, or on those that are shown."""
        self._session.all_planes = all_planes
        self._show_options()

    def toggle_all_planes(self) -> None:
        """Answer on all planes of stacks if it was those that are shown, and back."""
        self.set_all_planes(not self._session.all_planes)

    def _on_factor(self, factor: float) -> None:
        self._change_recipe(factor=factor)

    def _on_shifts(self, shifts: int) -> None:
        self._change_recipe(shifts=shifts)

    def _on_padding(self, padding: str) -> None:
        self._change_recipe(padding=padding)

    def _change_recipe(self, **changes: Any) -> None:
        with shown_errors():
            self._session.recipe = replace(self._session.recipe, **changes)
        self._show_options()

    def _show_options(self) -> None:
        self._views.options.show_options(self._session.recipe, self._session.all_planes)

    # -- channels -------------------------------------------------------------------------

    def _selected_images(self) -> list[Image]:
        """Return the images that are selected in the layer list, the lowest first."""
        selected = {layer.unique_id for layer in self._viewer.layers.selection}
        return [image for image in self._session.images if image.unique_id in selected]

    def merge(self) -> None:
        """Search the selected grayscale layers as one colour image."""
        selected = self._selected_images()
        if not 2 <= len(selected) <= 3:
            show_warning(
                f"{plural(len(selected), 'image')} selected in the layer list; select two or "
                "three grayscale ones to merge."
            )
            return
        with shown_errors():
            self._session.merge_channels(selected)

    def _on_split(self, layer_id: Hashable) -> None:
        for image in self._session.images:
            if image.unique_id == layer_id:
                self._session.split_channels(image)

    def split(self) -> None:
        """Search the channels of the selected merged images one by one again.

        After a click the query layer is selected: where only one image is merged, that one is
        meant.
        """
        split = [self._session.split_channels(image) for image in self._selected_images()]
        merged = list(self._session.merged)
        if any(split):
            return
        if len(merged) == 1:
            self._session.split_channels(merged[0])
        elif merged:
            show_warning("No merged image is selected; select one in the layer list to split it.")
        else:
            show_warning("No image is merged, so there is none to split.")

    def close(self) -> None:
        """Listen to nothing any more."""
        super().close()
        self._focus.close()

"""The controller of navigation: live heatmaps, outlines, best match, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_info

from napari_dinov3_sim.widget.controllers.base import SectionController, shown_errors

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.components import ViewerModel

    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.widget.views.views import Views


class NavigationController(SectionController):
    """The switches of what is seen, and where."""

    def __init__(self, viewer: ViewerModel, session: SimilaritySession, views: Views) -> None:
        super().__init__(viewer, session, views)
        navigation = views.navigation
        views.source.source_picked.connect(self._on_source)
        navigation.hovering_changed.connect(self.set_hovering)
        views.outlines.toggled.connect(self.set_outlines)
        navigation.side_by_side_changed.connect(self.set_side_by_side)
        views.results.best_match_clicked.connect(self.go_to_best_match)
        self.listen(session.listed, self._show_sources)
        # Side by side ends by itself with napari's own grid button, say.
        self.listen(session.status_changed, self._show)
        self.listen(session.queried, self._show)
        self._show_sources()
        self._show()

    def _show(self) -> None:
        session = self._session
        self._views.navigation.show_switches(
            hovering=session.hovering, side_by_side=session.side_by_side
        )
        self._views.show_outlines(session.outlines)

    def _show_sources(self) -> None:
        source, images = self._session.source, self._session.images
        self._views.source.source.show_layers(
            {image.unique_id: self._session.name_of(image) for image in reversed(images)},
            None if source is None else source.unique_id,
        )

    def _on_source(self, layer_id: Hashable | None) -> None:
        images = {image.unique_id: image for image in self._session.images}
        self._session.source = images.get(layer_id)

    def set_hovering(self, hovering: bool) -> None:
        """Show the map of the patch under the mouse, or that of the points."""
        with shown_errors():
            self._session.hovering = hovering
        self._show()

    def toggle_hovering(self) -> None:
        """Turn the map under the mouse on or off."""
        self.set_hovering(not self._session.hovering)

    def set_outlines(self, outlines: bool) -> None:
        """Outline the patches that were clicked, or do not."""
        self._session.outlines = outlines
        self._show()

    def toggle_outlines(self) -> None:
        """Turn the outlines of the clicked patches on or off."""
        self.set_outlines(not self._session.outlines)

    def set_side_by_side(self, side_by_side: bool) -> None:
        """Show all images next to each other, or as they lie in the world."""
        with shown_errors():
            self._session.side_by_side = side_by_side
        self._show()

    def toggle_side_by_side(self) -> None:
        """Show all images next to each other, or as they lie in the world again."""
        self.set_side_by_side(not self._session.side_by_side)

    def go_to_best_match(self) -> None:
        """Move the view to the next best match in the next image."""
        with shown_errors():
            if not self._session.go_to_best_match():
                show_info("There is no match to go to yet; click on a structure first.")

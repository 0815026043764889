"""The controller of suggested classes: their dock page, and what is chosen there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.session.discovery.discovery import FEWEST, MOST
from napari_dinov3_sim.widget.controllers.base import SectionController, shown_errors
from napari_dinov3_sim.widget.controllers.pages.place import PagePlace
from napari_dinov3_sim.widget.suggestions_page import (
    PICTURES,
    SuggestionEntry,
    SuggestionsView,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel

    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.session.gallery.matches import PatchId
    from napari_dinov3_sim.widget.views.views import Views

NAME = "Suggested classes"
"""Of the dock page, in napari's Window menu."""


class SuggestionsController(SectionController):
    """Opens the page of suggested classes and keeps it true to the session.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    views : Views

    Attributes
    ----------
    view : SuggestionsView or None
        None before it is first opened.
    """

    def __init__(self, viewer: ViewerModel, session: SimilaritySession, views: Views) -> None:
        super().__init__(viewer, session, views)
        self.view: SuggestionsView | None = None
        self._place = PagePlace(viewer, NAME, views.results)
        views.suggest_button.clicked.connect(self.open)
        self.listen(session.discovery.changed, self._show)
        self.listen(session.queried, self._show)
        self.listen(session.discovery.thumbnail_ready, self._show_picture)

    def open(self) -> None:
        """Show the page, and look for classes if none are shown or the images have changed."""
        discovery = self._session.discovery
        has_none = not (discovery.suggestions or discovery.is_waiting)
        is_old = discovery.is_outdated and not discovery.is_waiting
        with shown_errors():
            if has_none or is_old:
                discovery.suggest()
            view = self.view or self._make()
            self._place.show(view, view.height_of_page)

    def _make(self) -> SuggestionsView:
        view = SuggestionsView(FEWEST, MOST)
        view.count_changed.connect(self._suggest)
        view.refresh_clicked.connect(self._on_refresh)
        view.cancel_clicked.connect(self._session.cancel)
        view.make_clicked.connect(self._on_make)
        view.opened.connect(self._on_opened)
        view.closed.connect(self._session.discovery.hide)
        self.view = view
        self._show()
        return view

    def close(self) -> None:
        """Close the page, too."""
        super().close()
        view, self.view = self.view, None
        if view is not None:
            self._place.close(view)

    # -- what the session says -------------------------------------------------------------------

    def _show(self) -> None:
        view, discovery = self.view, self._session.discovery
        if view is None:
            return
        suggestions = discovery.suggestions
        view.show_entries(
            [
                SuggestionEntry(
                    one.number,
                    one.colour,
                    one.share,
                    one.images,
                    one.places[:PICTURES],
                    one.class_name,
                )
                for one in suggestions
            ]
        )
        view.show_state(discovery.count, self._line(), waiting=discovery.is_waiting)
        for one in suggestions:
            for patch in one.places[:PICTURES]:
                self._show_picture(patch)

    def _line(self) -> str:
        discovery = self._session.discovery
        if discovery.is_waiting:
            return f"Looking for {plural(discovery.count, 'class')}…"
        if discovery.is_outdated:
            return "Other images or planes are shown by now; Refresh looks at them."
        if not discovery.suggestions:
            return "Nothing is suggested; Refresh looks at the ticked images."
        found = len(discovery.suggestions)
        fewer = "" if found == discovery.count else f"only {plural(found, 'class')} differ; "
        return f"{fewer}tick what you want to search for"

    def _show_picture(self, patch: PatchId) -> None:
        view = self.view
        if view is not None:
            pixels = self._session.discovery.thumbnail(patch, view.picture_size)
            if pixels is not None:
                view.show_picture(patch, pixels)

    # -- what the user does ----------------------------------------------------------------------

    def _suggest(self, count: int) -> None:
        with shown_errors():
            self._session.discovery.suggest(count)

    def _on_refresh(self) -> None:
        self._suggest(self._session.discovery.count)

    def _on_make(self, numbers: Sequence[int]) -> None:
        with shown_errors():
            self._session.discovery.make_classes(numbers)

    def _on_opened(self, patch: PatchId) -> None:
        with shown_errors():
            self._session.discovery.go_to(patch)

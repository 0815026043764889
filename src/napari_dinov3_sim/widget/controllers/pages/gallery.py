"""The controller of the gallery: its dock page, and what is judged there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info

from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.widget.controllers.base import SectionController, shown_errors
from napari_dinov3_sim.widget.controllers.pages.place import PagePlace
from napari_dinov3_sim.widget.dialogs import Dialogs
from napari_dinov3_sim.widget.match_list import GalleryItem
from napari_dinov3_sim.widget.views.gallery import GalleryView

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.components import ViewerModel

    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.session.gallery.matches import GalleryMatch
    from napari_dinov3_sim.widget.views.views import Views

NAME = "Gallery of matches"
"""Of the dock page, in napari's Window menu."""

JUDGEMENTS = "Judgements (*.json);;All files (*)"

WAITING = "Click on what you mean in an image; its matches come here."
LOOKING = "Looking for the embeddings of the files; their matches come here."
NOTHING_LEFT = "There are no more places. Refresh begins again from the first one."


class GalleryController(SectionController):
    """Opens the page of the gallery and keeps it true to the session.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    views : Views
    dialogs : Dialogs, optional
        Where the path of a file comes from.

    Attributes
    ----------
    view : GalleryView or None
        None before it is first opened.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: SimilaritySession,
        views: Views,
        dialogs: Dialogs | None = None,
    ) -> None:
        super().__init__(viewer, session, views)
        self._dialogs = dialogs or Dialogs()
        self.view: GalleryView | None = None
        self._place = PagePlace(viewer, NAME, views.results)
        self.listen(session.gallery.changed, self._show)
        self.listen(session.gallery.thumbnail_ready, self._on_thumbnail)

    # -- the page --------------------------------------------------------------------------------

    def open(self) -> GalleryView:
        """Show the page, and the best matches if it was not open."""
        view = self.view or self._make()
        if self._place.show(view, view.height_of_page):
            self._session.gallery.show(self._session.gallery.order)
        view.setFocus()
        return view

    def _make(self) -> GalleryView:
        view = GalleryView()
        view.order_chosen.connect(self._on_order)
        view.next_clicked.connect(self.next_round)
        view.refresh_clicked.connect(self.refresh)
        view.save_clicked.connect(self.save_judgements)
        view.files_clicked.connect(self.add_files)
        view.undo_clicked.connect(self._on_undo)
        view.judged.connect(self._on_judged)
        view.opened.connect(self._on_opened)
        view.picture_wanted.connect(self._on_picture_wanted)
        view.closed.connect(self._session.gallery.hide)
        self.view = view
        self._show()
        return view

    def close(self) -> None:
        """Close the page, too."""
        super().close()
        view, self.view = self.view, None
        if view is None:
            return
        self._place.close(view)

    # -- what the session says -------------------------------------------------------------------

    def _show(self) -> None:
        view, gallery = self.view, self._session.gallery
        if view is None:
            return
        message = WAITING if gallery.is_waiting else NOTHING_LEFT
        if gallery.is_looking:
            message = LOOKING
        view.show_order(gallery.order)
        view.show_items(
            [
                GalleryItem(match.id, _label(match), match.score, match.judgement)
                for match in gallery.matches
            ],
            message,
        )
        counts, certainty = gallery.counts, gallery.certainty
        line = f"✓ {counts.right}  ✗ {counts.wrong}"
        tip = f"{counts.right} judged right and {counts.wrong} wrong, of this class"
        if certainty.judged:
            line += f"  {certainty.agreed} of {certainty.judged} as predicted"
            tip += f"; in the last round {certainty.text}"
        view.show_line(
            line,
            tip,
            judged=bool(gallery.judgements()),
            more=not gallery.is_waiting,
        )

    def _on_thumbnail(self, match_id: Hashable) -> None:
        self._on_picture_wanted(match_id)

    def _on_picture_wanted(self, match_id: Hashable) -> None:
        match, view = self._match(match_id), self.view
        if match is None or view is None:
            return
        pixels = self._session.gallery.thumbnail(match, view.picture_size)
        if pixels is not None:
            view.show_picture(match_id, pixels)

    def _match(self, match_id: Hashable) -> GalleryMatch | None:
        matches = self._session.gallery.matches
        return next((match for match in matches if match.id == match_id), None)

    # -- what the user does ----------------------------------------------------------------------

    def _on_order(self, order: str) -> None:
        self._session.gallery.show("teach" if order == "teach" else "best")

    def next_round(self) -> None:
        """Show the next ten."""
        self._session.gallery.next_round()

    def refresh(self) -> None:
        """Begin again from the first place, by the present scores."""
        self._session.gallery.show(self._session.gallery.order)

    def _on_judged(self, match_id: Hashable, right: bool | None) -> None:
        match = self._match(match_id)
        if match is not None:
            with shown_errors():
                self._session.gallery.judge(match, right)

    def _on_opened(self, match_id: Hashable) -> None:
        match = self._match(match_id)
        if match is not None:
            with shown_errors():
                self._session.gallery.go_to(match)

    def _on_undo(self) -> None:
        self._session.undo()

    def add_files(self) -> None:
        """Ask for a folder of images and one of embeddings, and search these images too."""
        images = self._dialogs.ask_for_folder("Folder of images to search, which need not be open")
        if not images:
            return
        stored = self._dialogs.ask_for_folder(
            'Folder of their embeddings, from "embed --out" (cancel: the one of the preferences)'
        )
        with shown_errors():
            self._session.gallery.add_files(images, stored or None)

    def save_judgements(self) -> None:
        """Ask for a file, and write what was judged."""
        path = self._dialogs.ask_for_new_file("Save judgements", "judgements.json", JUDGEMENTS)
        if not path:
            return
        with shown_errors():
            # The dialog has asked whether a file that is there is replaced.
            count = self._session.gallery.save_judgements(path, overwrite=True)
            verb = "is" if count == 1 else "are"
            show_info(f"{plural(count, 'judgement')} {verb} saved in {Path(path).name}.")


def _label(match: GalleryMatch) -> str:
    """Return the name of an image, with the place of its plane in a stack."""
    place = ", ".join(str(index) for _, index in match.plane.position)
    return f"{match.image} [{place}]" if place else match.image

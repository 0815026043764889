"""The controller of the dock: model, embedding, hints, all other controllers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_info, show_warning
from napari.utils.theme import get_theme

from napari_dinov3_sim.backbones import BUILTIN
from napari_dinov3_sim.widget.activity import Activity
from napari_dinov3_sim.widget.controllers.base import SectionController
from napari_dinov3_sim.widget.controllers.exports import ExportsController
from napari_dinov3_sim.widget.controllers.heatmaps import HeatmapsController
from napari_dinov3_sim.widget.controllers.images import ImagesController
from napari_dinov3_sim.widget.controllers.keys import KeysController, dock_keys
from napari_dinov3_sim.widget.controllers.navigation import NavigationController
from napari_dinov3_sim.widget.controllers.pages.file_search import FileSearchController
from napari_dinov3_sim.widget.controllers.pages.gallery import GalleryController
from napari_dinov3_sim.widget.controllers.pages.suggestions import SuggestionsController
from napari_dinov3_sim.widget.controllers.pages.table import TableController
from napari_dinov3_sim.widget.controllers.project import ProjectController
from napari_dinov3_sim.widget.controllers.query import QueryController
from napari_dinov3_sim.widget.controllers.results import ResultsController
from napari_dinov3_sim.widget.dialogs import Dialogs

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_dinov3_sim.core.protocols import Backbone
    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.session.worker_messages import Failure, Progress
    from napari_dinov3_sim.widget.views.views import Views


class DockController(SectionController):
    """The model, the embedding and the hints; everything else has its own controller.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    views : Views
    call_soon : callable
        Calls back on the main thread, as a `Runner` does.
    dialogs : Dialogs, optional
        Where the paths of files come from.

    Attributes
    ----------
    images, queries, navigation, heatmaps, results : SectionController
    gallery, table, project, file_search, suggestions, keys : SectionController
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: SimilaritySession,
        views: Views,
        *,
        call_soon: Callable[[Callable[[], None]], None],
        dialogs: Dialogs | None = None,
    ) -> None:
        super().__init__(viewer, session, views)
        self._activity = Activity()
        self._embed_wanted = False
        self.images = ImagesController(viewer, session, views, call_soon)
        dialogs = dialogs or Dialogs()
        self.queries = QueryController(viewer, session, views, dialogs)
        self.navigation = NavigationController(viewer, session, views)
        self.heatmaps = HeatmapsController(viewer, session, views)
        self.results = ResultsController(viewer, session, views, dialogs)
        self.exports = ExportsController(viewer, session, views, dialogs)
        self.gallery = GalleryController(viewer, session, views, dialogs)
        self.project = ProjectController(viewer, session, views, dialogs)
        views.results.gallery_clicked.connect(self.gallery.open)
        self.table = TableController(viewer, session, views, dialogs)
        self.file_search = FileSearchController(
            viewer, session, views, dialogs=dialogs, open_gallery=self.gallery.open
        )
        self.suggestions = SuggestionsController(viewer, session, views)
        keys = dock_keys(self.queries, self.navigation, self.gallery, views)
        self.keys = KeysController(viewer, session, views, keys)
        self._connect()
        viewer.events.theme.connect(self._on_theme)
        self._on_theme()
        self._on_model_changed()
        self._on_steps()

    def _connect(self) -> None:
        session, views = self._session, self._views
        views.model.picked.connect(self._on_model_picked)
        views.offer.accepted.connect(self._on_offer_accepted)
        views.embed.embed_clicked.connect(self.embed)
        views.embed.cancel_clicked.connect(session.cancel)
        self.listen(session.steps_changed, self._on_steps)
        self.listen(session.queried, self._on_steps)
        self.listen(session.progressed, self._on_progress)
        self.listen(session.failed, self._on_failed)
        self.listen(session.noticed, self._on_noticed)
        self.listen(session.model_changed, self._on_model_changed)
        self.listen(session.answered, self._on_answered)

    # -- what the user does ---------------------------------------------------------------

    def embed(self) -> None:
        """Embed all ticked images, and leave the mouse ready for a query.

        Now and not when it is done: whoever works in another layer by then keeps it.
        """
        if not self._session.model:
            show_warning("Choose a model first.")
            return
        self._embed_wanted = True
        self._session.embed()
        self._session.new_queries()

    def start_clicking(self) -> None:
        """Make the next click a query."""
        self.queries.start_clicking()

    def _on_model_picked(self, model: str) -> None:
        self._embed_wanted = False
        self._views.hide_offer()
        self._session.set_model(model)

    def _on_offer_accepted(self) -> None:
        wanted = self._embed_wanted
        self._on_model_picked(BUILTIN)
        # With points the session embeds by itself.
        if wanted:
            self.embed()

    # -- what the session says ------------------------------------------------------------

    def _on_theme(self, event: object = None) -> None:
        del event
        self._views.show_lists_on(get_theme(self._viewer.theme).foreground.as_hex())

    def _on_steps(self) -> None:
        self._views.embed.show_state(self._session.steps.images)
        # Where images overlap, it is not to be seen which one was meant.
        hit = self._session.hit_name
        said = f"The last click is on {hit}. " if hit else ""
        self._views.hint.show_text(said + self._session.steps.query)

    def _on_progress(self, progress: Progress | None) -> None:
        self._views.embed.show_progress(progress)
        self._activity.show(progress)

    def _on_answered(self) -> None:
        self._embed_wanted = False

    def _on_noticed(self, sentence: str) -> None:
        show_info(sentence)

    def _on_failed(self, failure: Failure) -> None:
        if failure.subject == "plane":
            show_warning(failure.message)
            return
        show_error(failure.message)
        if failure.subject == "model" and self._session.model != BUILTIN:
            self._views.show_offer(failure.message)

    def _on_model_changed(self) -> None:
        backbone = self._session.backbone
        self._views.model.show_model(self._session.model)
        self._views.model.show_device(None if backbone is None else _describe_device(backbone))

    # -- the end --------------------------------------------------------------------------

    def close(self) -> None:
        """Stop working and listening; Qt calls this when the dock is destroyed."""
        controllers = (
            self.images,
            self.queries,
            self.navigation,
            self.heatmaps,
            self.results,
            self.exports,
            self.gallery,
            self.table,
            self.project,
            self.file_search,
            self.suggestions,
            self.keys,
        )
        for controller in controllers:
            controller.close()
        super().close()
        self._viewer.events.theme.disconnect(self._on_theme)
        self._session.close()
        self._activity.close()


def _describe_device(backbone: Backbone) -> str:
    """Name device and arithmetic; a backbone of the user's own need not have them."""
    device = str(getattr(backbone, "device", "that of the model"))
    dtype = getattr(backbone, "dtype", None)
    return device if dtype is None else f"{device}, {dtype}"

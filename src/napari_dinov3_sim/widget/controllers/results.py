"""The controller of the results section: threshold, layers of results, files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.utils.notifications import show_info, show_warning

from napari_dinov3_sim.core.errors import QueryModelError
from napari_dinov3_sim.widget.controllers.base import SectionController, shown_errors
from napari_dinov3_sim.widget.dialogs import QUERIES, Dialogs
from napari_dinov3_sim.widget.views.combination import AGAIN

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.widget.views.views import Views


RESULT_NAMES = {"labels": "Labels", "peaks": "Peaks"}


class ResultsController(SectionController):
    """The threshold and the buttons around it.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    views : Views
    dialogs : Dialogs
        Where the paths of files come from.
    """

    def __init__(
        self, viewer: ViewerModel, session: SimilaritySession, views: Views, dialogs: Dialogs
    ) -> None:
        super().__init__(viewer, session, views)
        self._dialogs = dialogs
        views.state.renew_clicked.connect(self.renew)
        panel, options, files = views.results, views.result_options, views.files
        panel.threshold_changed.connect(self._on_threshold)
        panel.automatic_clicked.connect(session.use_automatic_threshold)
        panel.labels_clicked.connect(self.make_labels)
        objects = views.object_options
        objects.outline_changed.connect(self._on_outline)
        objects.connection_changed.connect(self._on_connection)
        objects.split_changed.connect(self._on_split)
        objects.areas_changed.connect(self._on_areas)
        options.peaks_clicked.connect(self.make_peaks)
        options.colours_clicked.connect(self.make_colours)
        options.follow_clicked.connect(self.follow)
        views.matches.clicked.connect(self.match)
        files.save_clicked.connect(self.save_query)
        files.load_clicked.connect(self.load_query)
        files.again_clicked.connect(self.ask_again)
        files.drop_clicked.connect(self.drop_query)
        self.listen(session.answered, self._show)
        self.listen(session.queried, self._show)
        self.listen(session.queried, self._show_loaded)
        self.listen(session.steps_changed, self._show_state)
        self.listen(session.thresholded, self._show_threshold)
        self.listen(session.listed, self._show_images)
        self.listen(session.results.done, self._on_done)
        self.listen(session.tracking.done, self._on_done)
        viewer.layers.events.removed.connect(self._on_removed)
        self._show()
        self._show_images()
        self._show_loaded()

    def _show(self) -> None:
        session = self._session
        self._views.results.show_histograms(
            session.histograms, session.classes, session.class_name
        )
        self._show_threshold()

    def _show_state(self) -> None:
        outdated = tuple(RESULT_NAMES[name] for name in self._session.results.outdated)
        self._views.state.show_state(self._session.steps.found, outdated)

    def _show_threshold(self) -> None:
        session, panel = self._session, self._views.results
        panel.show_threshold(
            session.thresholds.get(session.class_name), automatic=session.threshold is None
        )
        self._views.object_options.show_options(
            session.outline,
            session.connect_planes,
            split=session.split_touching,
            areas=(session.min_area, session.max_area),
        )
        found = session.found.get(session.class_name)
        if found is None:
            panel.histogram.clear_found()
        else:
            panel.histogram.show_found(found.objects, f"{found.area_fraction:.1%} of the area")
        self._show_state()

    def _show_images(self) -> None:
        session = self._session
        names = {image.unique_id: session.name_of(image) for image in reversed(session.targets)}
        self._views.matches.show_images(names)

    def _show_loaded(self) -> None:
        saved = self._session.results.saved
        self._views.files.show_loaded(
            saved.name, saved.classes, saved.problem, again=saved.can_be_asked_again
        )

    def _on_removed(self, event: object) -> None:
        del event
        self._show_state()

    def close(self) -> None:
        """Listen to nothing any more."""
        super().close()
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _on_done(self, sentence: str) -> None:
        show_info(sentence)

    # -- the threshold --------------------------------------------------------------------

    def _on_threshold(self, threshold: float) -> None:
        self._session.threshold = threshold

    # -- what counts as an object -----------------------------------------------------------

    def _on_outline(self, outline: str) -> None:
        self._session.outline = outline

    def _on_connection(self, connection: str) -> None:
        self._session.connect_planes = connection

    def _on_split(self, split: bool) -> None:
        self._session.split_touching = split

    def _on_areas(self, least: str, most: str) -> None:
        self._session.min_area = least
        self._session.max_area = most or float("inf")

    # -- layers ---------------------------------------------------------------------------

    def make_labels(self) -> None:
        """Make what lies above the threshold objects of Labels layers."""
        with shown_errors():
            self._session.results.labels()

    def renew(self) -> None:
        """Make the results that are older than the query again."""
        with shown_errors():
            self._session.results.renew()
        self._show_state()

    def make_peaks(self) -> None:
        """Make the peaks of the heatmaps points, with their scores."""
        distance = self._views.result_options.min_distance.value()
        with shown_errors():
            self._session.results.peaks(min_distance=distance)

    def make_colours(self) -> None:
        """Show the principal components of the embeddings as colours."""
        with shown_errors():
            self._session.results.colours()

    def follow(self) -> None:
        """Find which objects are the same in the planes of a stack."""
        patches = self._views.result_options.follow.distance.value()
        with shown_errors():
            self._session.tracking.follow(patches=patches)

    def match(self) -> None:
        """Match the patches of the two images that are chosen in the dock."""
        row = self._views.matches
        first, second = row.first.layer_id, row.second.layer_id
        images = {image.unique_id: image for image in self._session.images}
        if first == second or first not in images or second not in images:
            show_warning("Matches need two images; choose two different ones.")
            return
        with shown_errors():
            self._session.results.matches(images[first], images[second], row.count.value())

    # -- files ----------------------------------------------------------------------------

    def save_query(self) -> None:
        """Ask for a file, and save the query for other images."""
        name = f"{self._session.class_name}.query.safetensors"
        path = self._dialogs.ask_for_new_file("Save query", name, QUERIES)
        if path:
            with shown_errors():
                self._session.results.save_query(path)

    def load_query(self) -> None:
        """Ask for a file, and search with the query in it."""
        path = self._dialogs.ask_for_file("Load query", QUERIES)
        if path:
            with shown_errors():
                try:
                    self._session.results.load_query(path)
                except QueryModelError as error:
                    if not self._dialogs.ask("Load query", f"{error}\n\n{AGAIN}?", "Ask again"):
                        return
                    self._session.results.ask_again(path)
                self._views.steps[1].open()  # it says which one is loaded

    def ask_again(self) -> None:
        """Search with the loaded query by another model than the one it was made with."""
        with shown_errors():
            self._session.results.ask_again()

    def drop_query(self) -> None:
        """Search without the query that was loaded."""
        if not self._session.results.saved.name:
            show_info("No saved query is loaded, so there is none to drop.")
            return
        self._session.results.drop_query()

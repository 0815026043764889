"""The controller of the table: its dock page, renewed when Labels change."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info
from napari.utils.theme import get_theme
from qtpy.QtCore import QTimer

from napari_dinov3_sim.widget.controllers.base import SectionController, shown_errors
from napari_dinov3_sim.widget.controllers.pages.place import PagePlace
from napari_dinov3_sim.widget.dialogs import TABLES, Dialogs
from napari_dinov3_sim.widget.table.panel import TablePage
from napari_dinov3_sim.widget.table.plot import PlotColours

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.session.worker_messages import Progress
    from napari_dinov3_sim.widget.views.views import Views

NAME = "Table of objects"
"""Of the dock page, in napari's Window menu."""

SOON = 300
"""Milliseconds after a change, before it is measured: a stroke of the brush is several."""

AT_ONCE = 2.0
"""Seconds; what took longer is measured again only when the user says so."""

NOTHING = "no objects yet: click on what you mean, then press Make Labels"


class TableController(SectionController):
    """Opens the page of the table and keeps it true to the Labels.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    views : Views
    dialogs : Dialogs, optional
        Where the path of a file comes from.

    Attributes
    ----------
    view : TablePage or None
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
        self._place = PagePlace(viewer, NAME, views.results)
        self.view: TablePage | None = None
        self._progress = ""
        self._is_asked_for = False
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.setInterval(SOON)
        self._soon.timeout.connect(self._measure_if_quick)
        views.results.table_clicked.connect(self.open)
        measurements = session.measurements
        self.listen(measurements.changed, self._on_changed)
        self.listen(measurements.selected, self._on_selected)
        self.listen(measurements.done, self._on_done)
        self.listen(measurements.progressed, self._on_progress)
        self.listen(session.results.done, self._on_result)
        self.listen(session.restyled, self._show_colours)
        viewer.events.theme.connect(self._on_theme)

    @property
    def _is_open(self) -> bool:
        return self.view is not None and (self.view.parent() is not None or self.view.isVisible())

    # -- the page --------------------------------------------------------------------------------

    def open(self) -> TablePage:
        """Show the page, measured; where there are no Labels yet, they are made first."""
        view = self.view or self._make()
        self._place.show(view, view.height_of_page)
        measurements = self._session.measurements
        if measurements.can_measure:
            if measurements.outdated or not measurements.table.columns:
                self.measure()
        else:
            self._is_asked_for = True
            with shown_errors():
                self._session.results.labels()  # measured when they are there
        self._show_state()
        view.setFocus()
        return view

    def _make(self) -> TablePage:
        view = TablePage()
        view.row_chosen.connect(self._on_row)
        view.measure_clicked.connect(self.measure)
        view.save_clicked.connect(self.save)
        self.view = view
        self._show_colours()
        self._show()
        return view

    def close(self) -> None:
        """Close the page, too."""
        super().close()
        with suppress(RuntimeError):  # when Python ends, Qt's objects may be gone in any order
            self._soon.stop()
        self._viewer.events.theme.disconnect(self._on_theme)
        view, self.view = self.view, None
        if view is not None:
            self._place.close(view)

    # -- what the session says -------------------------------------------------------------------

    def _show(self) -> None:
        if self.view is not None:
            measurements = self._session.measurements
            self.view.show_tables(measurements.table, measurements.summary)
            self._show_state()

    def _show_state(self) -> None:
        if self.view is None:
            return
        measurements = self._session.measurements
        state = ""
        if measurements.pending:
            state = self._progress or "measuring…"
        elif measurements.outdated:
            state = "out of date"
        elif not measurements.can_measure:
            state = NOTHING
        self.view.show_state(state, can_measure=measurements.can_measure)

    def _on_changed(self) -> None:
        if self.view is None:
            return
        measurements = self._session.measurements
        if self.view.objects.rows.table is not measurements.table:
            self._show()
        self._show_state()
        if measurements.outdated and self._is_open:
            self._soon.start()

    def _on_result(self, sentence: str) -> None:
        """Measure the first Labels; of those to come, the measurements tell."""
        del sentence
        if self._is_open and not self._session.measurements.table.columns:
            self._soon.start()

    def _measure_if_quick(self) -> None:
        measurements = self._session.measurements
        is_due = measurements.outdated or not measurements.table.columns
        is_wanted = self._is_asked_for or measurements.seconds < AT_ONCE
        if is_due and is_wanted and measurements.can_measure:
            self.measure()

    def _on_progress(self, progress: Progress | None) -> None:
        self._progress = ""
        if progress is not None:
            self._progress = f"measuring… {progress.done / max(1, progress.total):.0%}"
        self._show_state()

    def _on_selected(self, row: int) -> None:
        if self.view is not None:
            self.view.objects.choose(row)

    def _on_done(self, sentence: str) -> None:
        show_info(sentence)

    def _on_theme(self, event: object) -> None:
        del event
        self._show_colours()

    def _show_colours(self) -> None:
        if self.view is not None:
            theme = get_theme(self._viewer.theme)
            classes = self._session.classes
            self.view.plot.show_colours(
                PlotColours(theme.background.as_hex(), theme.text.as_hex(), classes)
            )

    # -- what the user does ----------------------------------------------------------------------

    def measure(self) -> None:
        """Measure all objects as they are now."""
        self._is_asked_for = False
        with shown_errors():
            self._session.measurements.measure()
        self._show_state()

    def _on_row(self, row: int) -> None:
        with shown_errors():
            self._session.measurements.go_to(row)

    def save(self) -> None:
        """Ask for a file, and save the table that is shown."""
        view = self.view
        if view is None:
            return
        name = "summary.csv" if view.saves_images else "objects.csv"
        path = self._dialogs.ask_for_new_file("Save table", name, TABLES)
        if not path:
            return
        with shown_errors():
            if view.saves_images:
                self._session.measurements.save_summary_csv(path)
            else:
                self._session.measurements.save_csv(path)

"""The controller of the panel that searches a folder or files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info
from qtpy.QtGui import QGuiApplication

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.text import plural, printable
from napari_dinov3_sim.session.file_search.folders import ChosenFiles
from napari_dinov3_sim.session.file_search.outputs import DEFAULT_OUTPUTS, OUTPUTS
from napari_dinov3_sim.widget.controllers.base import SectionController, shown_errors
from napari_dinov3_sim.widget.dialogs import QUERIES, Dialogs
from napari_dinov3_sim.widget.file_search_panel import NO_FILES, FileSearchPanel

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel

    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.session.file_search.state import FileSearchState
    from napari_dinov3_sim.widget.views.views import Views

LOOKING = "Looking for images…"


class FileSearchController(SectionController):
    """Opens the panel and keeps it true to the session.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    views : Views
    dialogs : Dialogs
        Where paths come from.
    open_gallery : callable
        Shows the gallery.

    Attributes
    ----------
    panel : FileSearchPanel or None
        None before it is first opened.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        session: SimilaritySession,
        views: Views,
        *,
        dialogs: Dialogs,
        open_gallery: Callable[[], object],
    ) -> None:
        super().__init__(viewer, session, views)
        self._dialogs, self._open_gallery = dialogs, open_gallery
        self._chosen = ChosenFiles()
        self._out: Path | None = None
        self._can_resume = False
        self._was_running = False
        self._saved: tuple[object, Path] | None = None
        self.panel: FileSearchPanel | None = None
        views.results.folder_clicked.connect(self.open)
        self.listen(session.file_search.changed, self._on_changed)
        self.listen(session.file_search.files_found, self._on_found)

    # -- the panel -----------------------------------------------------------------------------

    def open(self) -> FileSearchPanel:
        """Show the panel."""
        panel = self.panel or self._make()
        self._show()
        panel.show()
        panel.raise_()
        panel.activateWindow()
        return panel

    def _make(self) -> FileSearchPanel:
        outputs = [(output.name, output.label, output.tip) for output in OUTPUTS]
        panel = FileSearchPanel(outputs, self._views.results.window())
        panel.tick(DEFAULT_OUTPUTS)
        panel.folder_clicked.connect(self.choose_folder)
        panel.files_clicked.connect(self.choose_files)
        panel.out_clicked.connect(self.choose_out)
        panel.start_clicked.connect(self.start)
        panel.resume_clicked.connect(self.resume)
        panel.cancel_clicked.connect(self._session.file_search.cancel)
        panel.matches_clicked.connect(self.show_matches)
        panel.open_clicked.connect(self.open_results)
        panel.command_clicked.connect(self.copy_command)
        panel.script_clicked.connect(self.copy_script)
        self.panel = panel
        return panel

    def close(self) -> None:
        """Close the panel, too; the session ends what runs."""
        super().close()
        panel, self.panel = self.panel, None
        if panel is not None:
            with suppress(RuntimeError):  # the window it belongs to may be gone
                panel.close()
                panel.deleteLater()

    # -- what the session says -------------------------------------------------------------------

    def _on_found(self, chosen: ChosenFiles) -> None:
        self._chosen = chosen
        if chosen.out is not None:
            self._set_out(chosen.out)
        panel = self.panel
        if panel is None:
            return
        names = [printable(file.name) for file in chosen.files]
        homes = {file.parent for file in chosen.files}
        where = f" in {printable(homes.pop().name)}" if len(homes) == 1 else ""
        text = f"{plural(len(names), 'image')}{where}" if names else NO_FILES
        panel.show_files(text, names)
        self._show()
        if chosen.problem:
            panel.show_progress(0.0, printable(chosen.problem))

    def _on_changed(self, state: FileSearchState) -> None:
        if self._was_running and not state.is_running:
            self._check_out()
            if state.phase == "done":
                show_info(self._said(state))
        self._was_running = state.is_running
        self._show()

    def _show(self) -> None:
        panel, state = self.panel, self._session.file_search.state
        if panel is None:
            return
        fraction = (state.done + state.part) / state.planes if state.planes else 0.0
        panel.show_progress(1.0 if state.phase == "done" else fraction, self._said(state))
        running = state.is_running
        panel.enable(
            start=bool(self._chosen.files) and not running,
            resume=self._can_resume and not running,
            cancel=running,
            results=state.phase in ("done", "stopped"),
        )

    def _said(self, state: FileSearchState) -> str:
        sentence, all_done = state.sentence, 0 < state.planes <= state.done
        if state.phase == "idle":
            sentence = " ".join(self._session.file_search.remarks)
        elif state.phase == "searching" and state.current and not all_done:
            sentence = f"{sentence} Now: {printable(state.current)}"
        elif state.phase == "done":
            sentence = f"{sentence} The results are in {printable(str(state.folder))}."
        return sentence

    # -- what the user does ----------------------------------------------------------------------

    def choose_folder(self) -> None:
        """Ask for a folder, whose images are searched."""
        folder = self._dialogs.ask_for_folder("Folder of images to search")
        if folder:
            self._look([folder])

    def choose_files(self) -> None:
        """Ask for files."""
        files = self._dialogs.ask_for_files("Images to search")
        if files:
            self._look(files)

    def _look(self, paths: list[str]) -> None:
        if self.panel is not None:
            self.panel.show_files(LOOKING, [])
        self._session.file_search.look(paths)

    def choose_out(self) -> None:
        """Ask for the folder of the results."""
        folder = self._dialogs.ask_for_folder("Folder for the results")
        if folder:
            self._set_out(Path(folder))
            self._show()

    def _set_out(self, path: Path) -> None:
        self._out = path
        if self.panel is not None:
            self.panel.show_out(printable(str(path)))
        self._check_out()

    def _check_out(self) -> None:
        """Find out whether the folder of results holds a search that was stopped."""
        self._can_resume = False
        if self._out is not None:
            with suppress(SimilarityError):  # starting a search there says what is wrong
                record = self._session.file_search.record(self._out)
                self._can_resume = record is not None and not record.finished

    def start(self) -> None:
        """Search the files; ask before results of an earlier search are replaced."""
        panel = self.panel
        if panel is None or self._out is None:
            return
        with shown_errors():
            replaces = self._session.file_search.record(self._out) is not None
            if replaces and not self._dialogs.confirm(
                "Replace results",
                f"{printable(str(self._out))} holds the results of an earlier search.\n"
                "Do you want to replace them?",
            ):
                return
            self._session.file_search.start(
                self._chosen.sources, self._out, panel.outputs, replaces=replaces
            )

    def resume(self) -> None:
        """Go on with the search whose results are in the chosen folder."""
        if self._out is not None:
            with shown_errors():
                self._session.file_search.resume(self._out)

    def show_matches(self) -> None:
        """Show the matches of all files in the gallery."""
        with shown_errors():
            self._open_gallery()  # first, as a page that opens shows what is known
            self._session.file_search.show_matches()

    def open_results(self) -> None:
        """Open the folder of the results in the system's own program."""
        folder = self._session.file_search.state.folder
        if folder is not None:
            self._dialogs.open_folder(str(folder))

    # -- the same again ---------------------------------------------------------------------------

    def copy_command(self) -> None:
        """Copy a command line that searches the chosen files, or else the open images."""
        self._copy("command")

    def copy_script(self) -> None:
        """Copy a script that searches the chosen files, or else the open images."""
        self._copy("script")

    def _copy(self, what: str) -> None:
        with shown_errors():
            make = self._writer(what)  # or it says why there is nothing to copy
            path = self._saved_query(what)
            if path is None:
                return
            text = make(path)
            clipboard = QGuiApplication.clipboard()
            if clipboard is not None:
                clipboard.setText(text)
            show_info(f"The {what} is on the clipboard; it uses the query in {path.name}.")

    def _writer(self, what: str) -> Callable[[Path], str]:
        search, panel = self._session.file_search, self.panel
        if panel is not None and self._chosen.files and self._out is not None:
            chosen = search.chosen_sources(self._chosen.sources, self._out, panel.outputs)
            return chosen.command if what == "command" else chosen.script
        search.open_files()
        return search.command if what == "command" else search.script

    def _saved_query(self, what: str) -> Path | None:
        """Return a file with the query of now: the last one, or a new one that is asked for."""
        content = self._session.results.snapshot().content
        if self._saved is not None and self._saved[0] == content:
            path = self._saved[1]
            # One that is not there is still being written, or was deleted.
            if path.is_file() or self._session.results.pending:
                return path
        name = f"{self._session.class_name}.query.safetensors"
        chosen = self._dialogs.ask_for_new_file(f"Save the query of the {what}", name, QUERIES)
        if not chosen:
            return None
        path = Path(chosen).absolute()
        self._session.results.save_query(path)
        self._saved = content, path
        return path

"""The controller of projects: asks for paths, and for what only the user can say."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info
from qtpy.QtCore import QTimer

from napari_dinov3_sim.core.text import plural, printable
from napari_dinov3_sim.widget.controllers.base import SectionController, shown_errors
from napari_dinov3_sim.widget.dialogs import PROJECTS, Dialogs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari.components import ViewerModel

    from napari_dinov3_sim.session import SimilaritySession
    from napari_dinov3_sim.session.project.saving import UnsavedImage
    from napari_dinov3_sim.widget.views.views import Views

NAME = "project.dinov3sim.zip"
"""What a project is called at first."""

MOST_NAMED = 5
"""Images that a question names."""


class ProjectController(SectionController):
    """The buttons *Save project…* and *Open project…*.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    session : SimilaritySession
    views : Views
    dialogs : Dialogs
        Where paths and answers come from.
    """

    def __init__(
        self, viewer: ViewerModel, session: SimilaritySession, views: Views, dialogs: Dialogs
    ) -> None:
        super().__init__(viewer, session, views)
        self._dialogs = dialogs
        self._path = ""
        self._open = True
        views.project.save_clicked.connect(self.save)
        views.project.open_clicked.connect(self.open)
        self.listen(session.project.unsaved, self._on_unsaved)
        self.listen(session.project.missed, self._on_missed)
        self.listen(session.project.done, self._on_done)

    def close(self) -> None:
        """Listen to nothing, and ask nothing, any more."""
        super().close()
        self._open = False

    def save(self) -> None:
        """Ask for a file, and write the project to it."""
        path = self._dialogs.ask_for_new_file("Save project", self._path or NAME, PROJECTS)
        if path:
            with shown_errors():
                self._session.project.save(path, include=None)
                self._path = path

    def open(self) -> None:
        """Ask for a file, and add the project in it to what is open."""
        path = self._dialogs.ask_for_file("Open project", PROJECTS)
        if path:
            self.open_path(path)

    def open_soon(self, path: str) -> None:
        """Add a project to what is open, once what is going on now is over, such as a drop."""
        self._soon(partial(self.open_path, path))

    def open_path(self, path: str) -> None:
        """Add a project to what is open; ask first if anything is."""
        name = printable(Path(path).name)
        if len(self._viewer.layers) and not self._dialogs.ask(
            "Open project",
            f"There are layers in the viewer. They stay, and {name} is added to them; model, "
            "resolution and other settings become those of the project.",
            "Add",
        ):
            return
        with shown_errors():
            self._session.project.open(path, ask=True)
            self._path = path

    def _on_done(self, sentence: str) -> None:
        session = self._session
        self._views.options.show_options(session.recipe, session.all_planes)
        show_info(sentence)

    # -- questions -------------------------------------------------------------------------

    def _soon(self, ask: Callable[[], None]) -> None:
        """Ask when the message that led to it is handled: a dialog lets other messages wait."""
        QTimer.singleShot(0, partial(self._if_open, ask))

    def _if_open(self, ask: Callable[[], None]) -> None:
        if self._open:
            ask()

    def _on_unsaved(self, images: Sequence[UnsavedImage]) -> None:
        self._soon(partial(self._ask_to_include, images))

    def _ask_to_include(self, images: Sequence[UnsavedImage]) -> None:
        fitting = [image for image in images if image.fits]
        size = sum(image.nbytes for image in fitting) / 2**20
        answer = self._dialogs.ask(
            "Save project",
            f"{_named([image.name for image in fitting])}\n\nThis is in no file. Write the "
            f"pixels into the project ({size:.1f} MiB), so that it can be opened again?",
            "Write into the project",
            "Leave out",
        )
        if answer is None:
            self._session.project.cancel()
        else:
            self._session.project.include(answer)

    def _on_missed(self, names: Sequence[str]) -> None:
        self._soon(partial(self._ask_for_folder, names))

    def _ask_for_folder(self, names: Sequence[str]) -> None:
        """Ask where images are, and go on; *Cancel* opens nothing."""
        answer = self._dialogs.ask(
            "Open project",
            f"{_named(names)}\n\n{plural(len(names), 'image')} not found where the project was "
            "saved. Choose the folder that they are in now; folders in it are searched, too.",
            "Choose folder…",
            "Open without",
        )
        folder = self._dialogs.ask_for_folder("Folder of the images") if answer else ""
        if answer is None or (answer and not folder):
            self._session.project.cancel()
        else:
            self._session.project.search(folder or None)


def _named(names: Sequence[str]) -> str:
    """Return names, one a line, and how many more there are."""
    shown = [printable(name) for name in names[:MOST_NAMED]]
    rest = len(names) - len(shown)
    return "\n".join([*shown, f"and {rest} more"] if rest > 0 else shown)

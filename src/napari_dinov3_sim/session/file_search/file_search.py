"""The search of files that need not be open; as ``session.file_search``."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.file_search.folders import (
    ChosenFiles,
    find_files,
    suggest_folder,
)
from napari_dinov3_sim.session.file_search.outputs import DEFAULT_OUTPUTS, checked_outputs
from napari_dinov3_sim.session.file_search.process import (
    NewSearch,
    OldSearch,
    SearchedFiles,
    SearchProcess,
)
from napari_dinov3_sim.session.file_search.record import SearchFolder, SearchRecord, read_record
from napari_dinov3_sim.session.file_search.script import (
    ChosenSources,
    OpenedFiles,
    classes_of,
    write_command,
    write_script,
)
from napari_dinov3_sim.session.file_search.settings import SearchSettings
from napari_dinov3_sim.session.file_search.state import FileSearchState
from napari_dinov3_sim.session.results.summaries import answered_images
from napari_dinov3_sim.session.worker_messages import Computed, Failure, Finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from napari_dinov3_sim.session.gallery.gallery import Gallery
    from napari_dinov3_sim.session.objects.options import ObjectOptions
    from napari_dinov3_sim.session.results.results import Results
    from napari_dinov3_sim.session.results.thresholds import Thresholds
    from napari_dinov3_sim.session.runner import CancelToken, Receive, Runner
    from napari_dinov3_sim.session.scene import Scene
    from napari_dinov3_sim.session.worker_messages import Message

PathLike = str | os.PathLike[str]

CHANNELS = (
    "Channels that are merged here are searched one by one in files, as images of their own."
)
PLANES = "Objects that are connected through planes here are found plane by plane in files."


class FileSearch:
    """Asks the present query of files, in a process of its own; as ``session.file_search``.

    What a search needs to go on after it was stopped lies in the folder of its results. Only one
    search runs at a time.

    Parameters
    ----------
    scene : Scene
    runner : Runner
    results : Results
        Whose query is saved.
    thresholds : Thresholds
    gallery : Gallery
        Shows the matches.
    objects : callable
        Returns what counts as an object.
    limits : callable
        Returns the cosines that heatmaps draw darkest and brightest.
    fail : callable
        Bound method, called with every `Failure`.

    Attributes
    ----------
    changed : psygnal.Signal of FileSearchState
        Emitted on the main thread.
    files_found : psygnal.Signal of ChosenFiles
        Emitted on the main thread after `look`.
    """

    changed = Signal(object)
    files_found = Signal(object)

    def __init__(
        self,
        scene: Scene,
        runner: Runner,
        *,
        results: Results,
        thresholds: Thresholds,
        gallery: Gallery,
        objects: Callable[[], ObjectOptions],
        limits: Callable[[], tuple[float, float]],
        fail: Callable[[Failure], None],
    ) -> None:
        self._scene, self._runner, self._results = scene, runner, results
        self._thresholds, self._gallery = thresholds, gallery
        self._objects, self._limits, self._fail = objects, limits, fail
        self._number = self._looked = 0
        self._token: CancelToken | None = None
        self._searched: SearchedFiles | None = None
        self._is_looking = False
        self.state = FileSearchState()

    @property
    def pending(self) -> bool:
        """Whether a search runs, or files are looked for."""
        return self.state.is_running or self._is_looking

    # -- before it ---------------------------------------------------------------------------

    def look(self, paths: Sequence[PathLike]) -> None:
        """Find out which images are at some places, in the background; see `files_found`.

        Parameters
        ----------
        paths : sequence of path-like
            Files, and folders whose images are meant.
        """
        self._looked += 1
        self._is_looking = True
        job = partial(_look, tuple(Path(path) for path in paths))
        self._runner.submit("files", job, partial(self._on_found, self._looked))

    def _on_found(self, number: int, message: Message) -> None:
        if number != self._looked:
            return
        if isinstance(message, Computed):
            self.files_found.emit(message.value)
        elif isinstance(message, Failure):
            self._fail(message)
        elif isinstance(message, Finished):
            self._is_looking = False

    def record(self, out: PathLike) -> SearchRecord | None:
        """Return what is known of the search whose results are in a folder; None if there is none.

        Raises
        ------
        StoreError
            It cannot be read.
        """
        return read_record(SearchFolder(Path(out).absolute()))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What files do not give that the same images give here, in sentences."""
        found = []
        if self._scene.targets.merging.merged():
            found.append(CHANNELS)
        if self._objects().connect != "none":
            found.append(PLANES)
        return tuple(found)

    # -- the search --------------------------------------------------------------------------

    def start(
        self,
        paths: PathLike | Sequence[PathLike],
        out: PathLike | None = None,
        outputs: Iterable[str] = DEFAULT_OUTPUTS,
        *,
        replaces: bool = False,
    ) -> Path:
        """Search files in the background, with the query, the model and thresholds of now.

        They are read and embedded as the command line does it, which is how they would be if they
        were open, but for what `remarks` says. See `SimilaritySession.wait`.

        Parameters
        ----------
        paths : path-like, or sequence of path-like
            Files, and folders whose images are meant.
        out : path-like, optional
            The folder of results; by default a new one beside that of the images.
        outputs : iterable of str, optional
            What is written: 'heatmaps', 'scores', 'objects', 'table', 'peaks',
            'geojson', 'imagej'.
        replaces : bool, optional
            Whether files that are in the folder already may be replaced, such as the results of
            an earlier search. What that one has embedded is not embedded again.

        Returns
        -------
        Path
            The folder of results.

        Raises
        ------
        SimilarityError
            A search runs already, nothing is asked, or nothing is to be written. What is wrong
            with the files or the folder is a failure of the session.
        """
        self._check_idle()
        sources = [Path(p) for p in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
        chosen = checked_outputs(outputs)
        query = self._results.snapshot()
        settings = self._settings()
        if out is None:
            sources = [*find_files(sources)]
        folder = SearchFolder(suggest_folder(sources) if out is None else Path(out).absolute())
        self._submit(
            NewSearch(query, settings, chosen, partial(find_files, sources), replaces), folder
        )
        return folder.path

    def resume(self, out: PathLike) -> None:
        """Go on with a search that was stopped, as it was started: query, model and thresholds.

        Parameters
        ----------
        out : path-like
            The folder of its results.

        Raises
        ------
        SimilarityError
            A search runs already. That there is none in the folder is a failure of the session.
        """
        self._check_idle()
        self._submit(OldSearch(), SearchFolder(Path(out).absolute()))

    def _settings(self) -> SearchSettings:
        scene, thresholds = self._scene, self._thresholds
        return SearchSettings.of(scene, thresholds, self._objects(), self._limits())

    def _check_idle(self) -> None:
        if self.state.is_running:
            raise SimilarityError("A search of files runs already; wait for it, or cancel it.")

    def _submit(self, search: NewSearch | OldSearch, folder: SearchFolder) -> None:
        self._number += 1
        number = self._number
        self._show(FileSearchState("starting", folder=folder.path))
        job = SearchProcess(search, folder)
        token = self._runner.submit("search", job, partial(self._receive, number))
        if self.state.is_running:
            self._token = token

    def _receive(self, number: int, message: Message) -> None:
        if number != self._number:
            return
        if isinstance(message, Computed) and isinstance(message.value, SearchedFiles):
            self._searched = message.value
        elif isinstance(message, Computed) and isinstance(message.value, FileSearchState):
            self._take(message.value)
        elif isinstance(message, Failure):
            self._fail(message)
            self._show(replace(self.state, phase="failed", message=message.message))
        elif isinstance(message, Finished):
            self._token = None
            if self.state.is_running:
                self._show(replace(self.state, phase="stopped"))

    def _take(self, state: FileSearchState) -> None:
        if state.is_running and self.state.phase == "stopping":
            state = replace(state, phase="stopping")
        self._show(state)
        if state.phase == "failed":
            self._fail(Failure("internal", state.message, error=SimilarityError(state.message)))

    def _show(self, state: FileSearchState) -> None:
        self.state = state
        self.changed.emit(state)

    def cancel(self) -> None:
        """End the search; the images that are done stay, and `resume` goes on with the rest."""
        if self._token is not None:
            self._token.cancel()
            self._show(replace(self.state, phase="stopping"))

    # -- after it ----------------------------------------------------------------------------

    def show_matches(self) -> None:
        """Let the gallery show the matches of all files that were searched, as far as they are.

        They are shown anew, the best ones first, whatever the gallery showed before.

        Raises
        ------
        SimilarityError
            No files were searched by this session.
        """
        if self._searched is None:
            raise SimilarityError("No files have been searched yet; start a search first.")
        self._gallery.show_files(self._searched.files, self._searched.folder.embeddings)

    # -- the same again, for files that are chosen -----------------------------------------

    def chosen_sources(
        self,
        paths: PathLike | Sequence[PathLike],
        out: PathLike,
        outputs: Iterable[str] = DEFAULT_OUTPUTS,
    ) -> ChosenSources:
        """Return what `start` would search, as a script or a command does it.

        Parameters
        ----------
        paths, out, outputs
            As for `start`.

        Raises
        ------
        SimilarityError
            Nothing is asked, or nothing is to be written.
        """
        sources = [Path(p) for p in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
        chosen = checked_outputs(outputs)
        classes = classes_of(answered_images(self._scene))
        options = self._settings().options(chosen, classes)
        absolute = tuple(path.absolute() for path in sources)
        return ChosenSources(absolute, Path(out).absolute(), options)

    # -- the same for the images that are open -------------------------------------------------

    def open_files(self) -> OpenedFiles:
        """Return the images that are open from files, for `script` and `command`.

        Raises
        ------
        SimilarityError
            Nothing is asked, or no image was opened from a file.
        """
        settings = self._settings()
        return OpenedFiles.of(self._scene, settings)

    def script(self, query: PathLike) -> str:
        """Return a Python script that does for the images that are open what is done here.

        Parameters
        ----------
        query : path-like
            Where the query is saved, see ``session.results.save_query``.
        """
        return write_script(self.open_files(), Path(query).absolute())

    def command(self, query: PathLike, out: PathLike = "results") -> str:
        """Return a command line that does for the images that are open what is done here.

        Parameters
        ----------
        query : path-like
            Where the query is saved.
        out : path-like, optional
            The folder of results.
        """
        return write_command(self.open_files(), Path(query).absolute(), Path(out))

    def close(self) -> None:
        """End what runs; it can be resumed in a later session."""
        self._number += 1
        self._looked += 1
        if self._token is not None:
            self._token.cancel()
        self._token = None
        self._is_looking = False
        self.state = FileSearchState()


def _look(paths: tuple[Path, ...], post: Receive, token: CancelToken) -> None:
    del token
    post(Computed(ChosenFiles.at(paths)))

"""Projects of a session: saved and opened in the background; as ``session.project``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.state import same_weights
from napari_dinov3_sim.session.project.examining import ExaminedImage, examine_images
from napari_dinov3_sim.session.project.finding import ReadProject, find_missing, read_project
from napari_dinov3_sim.session.project.restoring import SessionWriter
from napari_dinov3_sim.session.project.saving import ProjectToWrite, unsaved_images
from napari_dinov3_sim.session.project.snapshot import SessionReader
from napari_dinov3_sim.session.results.result_jobs import ResultJobs

if TYPE_CHECKING:
    import os
    from collections.abc import Hashable, Iterator

    from napari.components import ViewerModel

    from napari_dinov3_sim.session.coordinator import Coordinator
    from napari_dinov3_sim.session.project.restoring import OpenSession
    from napari_dinov3_sim.session.project.snapshot import SessionContent
    from napari_dinov3_sim.session.runner import Runner
    from napari_dinov3_sim.session.worker_messages import Failure


class Projects:
    """Saves what a session is to a file, and opens it again; as ``session.project``.

    Both work in the background, see `SimilaritySession.wait`; `SimilaritySession.cancel` stops
    them, and the file and the session are as they were then.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    coordinator : Coordinator
    session : OpenSession
    runner : Runner

    Attributes
    ----------
    done : psygnal.Signal
        A sentence when a project is saved or opened, with what is not as it was.
    progressed : psygnal.Signal
        The `Progress` of what takes long, and None at the end.
    unsaved : psygnal.Signal of tuple of UnsavedImage
        Images have no file; `include` says whether they are written into the project.
    missed : psygnal.Signal of tuple of str
        Images are not where they were; `search` says in which folder they are.
    """

    done = Signal(str)
    progressed = Signal(object)
    unsaved = Signal(object)
    missed = Signal(object)

    def __init__(
        self, viewer: ViewerModel, coordinator: Coordinator, session: OpenSession, runner: Runner
    ) -> None:
        self._viewer, self._parts, self._session = viewer, coordinator, session
        self._fail = coordinator.failures.add
        self._runner = runner
        self._work = ResultJobs(runner, self._on_failure, _ignore, self.progressed.emit, "files")
        self._saving: _Saving | None = None
        self._target: Path | None = None
        self._opening: tuple[ReadProject, bool] | None = None
        self._adding: _Adding | None = None
        self._expected: tuple[str, str] | None = None
        self._known: dict[Hashable, ExaminedImage] = {}
        session.model_changed.connect(self._check_model)

    @property
    def pending(self) -> bool:
        """Whether a project is being saved or opened, without waiting for an answer."""
        return self._work.pending or self._adding is not None

    def _check_saved(self) -> None:
        """Raise `SimilarityError` while a project is being saved: it would be given up."""
        if self._saving is not None or self._work.runs("write"):
            raise SimilarityError(
                "A project is just being saved; wait until it is, or press Cancel."
            )

    def _check_opened(self) -> None:
        """Raise `SimilarityError` while a project is being opened."""
        reading = self._work.runs("open") or self._work.runs("find")
        if reading or self._opening is not None or self._adding is not None:
            raise SimilarityError("A project is just being opened; wait until it is there.")

    def cancel(self) -> None:
        """Stop saving or opening; what is being added to the viewer already is added."""
        self._work.stop_all()
        self._saving = self._opening = None

    def close(self) -> None:
        """Stop, and hear nothing any more."""
        self.cancel()
        self._adding = None
        self._session.model_changed.disconnect(self._check_model, missing_ok=True)

    def _on_failure(self, failure: Failure) -> None:
        self._saving = self._opening = None
        self._fail(failure)

    # -- saving ------------------------------------------------------------------------------

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        include: bool | None = True,
        overwrite: bool = False,
    ) -> None:
        """Write the session to a file: images, query, judgements, results and settings.

        Of images that were opened from files, where these are and a digest of their pixels; all
        else is in the file itself. See ``docs/projects.md``.

        Parameters
        ----------
        path : path-like
            Best ending in ``.dinov3sim.zip``; the folder must exist. A project that is there is
            replaced.
        include : bool or None, optional
            Whether images without a file are written into the project, up to 256 MiB each; None
            to ask, by the signal `unsaved`, if there are any.
        overwrite : bool, optional
            Whether a file that is no project is replaced, too.

        Raises
        ------
        SimilarityError
            There is nothing to save, or another project is just being saved or opened.
        """
        self._check_opened()
        target = Path(path).absolute()
        if target != self._target:
            self._check_saved()
        parts = self._parts
        content = SessionReader(self._viewer, parts, self._session, self._known).read()
        if not content.images:
            raise SimilarityError("There is no image to save; open one first.")
        query = parts.results.saved.present(parts.palette)
        self._target = target
        self._saving = _Saving(target, content, query, include=include, overwrite=overwrite)
        compute = partial(examine_images, content.images)
        self._work.start_long("save", "Looking at images", compute, self._examined, _say_nothing)

    def _examined(self, found: tuple[ExaminedImage, ...]) -> bool:
        saving = self._saving
        if saving is None:
            return False
        saving.examined = found
        self._known = dict(zip(saving.content.keys, found, strict=True))
        without = unsaved_images(saving.content, found)
        if any(image.fits for image in without) and saving.include is None:
            self.unsaved.emit(without)
        else:
            self.include(bool(saving.include))
        return True

    def include(self, wanted: bool) -> None:
        """Write the project that is being saved, with or without the images that have no file."""
        saving, self._saving = self._saving, None
        if saving is None or saving.examined is None:
            return
        project = ProjectToWrite(
            saving.path,
            saving.content,
            saving.examined,
            saving.query,
            include=wanted,
            overwrite=saving.overwrite,
        )
        what = f"Saving {saving.path.name}"
        self._work.start_long("write", what, project.write, _always, self._tell)

    # -- opening -----------------------------------------------------------------------------

    def open(
        self,
        path: str | os.PathLike[str],
        *,
        folder: str | os.PathLike[str] | None = None,
        ask: bool = False,
    ) -> None:
        """Add a project to what is open; its settings become those of the session.

        Images are looked for from the folder of the project, and where they were; those whose
        pixels have changed, or that are missing, are named by `done`.

        Parameters
        ----------
        path : path-like
        folder : path-like, optional
            Where images are that have moved, in it or in a folder in it.
        ask : bool, optional
            Whether to ask for that folder, by the signal `missed`, if images are missing.

        Raises
        ------
        SimilarityError
            The folder is none, or another project is just being saved or opened.
        """
        if self._adding is not None or self._work.runs("open") or self._work.runs("find"):
            raise SimilarityError("A project is just being opened; wait until it is there.")
        self._check_saved()
        if folder is not None and not Path(folder).is_dir():
            raise SimilarityError(f"{folder} is no folder; choose the one that the images are in.")
        where = None if folder is None else Path(folder).absolute()
        self._opening = None
        source = Path(path).absolute()
        compute = partial(read_project, source)
        take = partial(self._on_read, folder=where, ask=ask)
        self._work.start_long("open", f"Opening {source.name}", compute, take, _say_nothing)

    def _on_read(self, read: ReadProject, *, folder: Path | None, ask: bool) -> bool:
        if not any(found.state != "same" for found in read.images):
            self._write(read)
        elif folder is not None:
            self._opening = read, ask
            self.search(folder)
        elif ask and read.missing:
            self._opening = read, ask
            self.missed.emit(read.missing)
        else:
            self._write(read)
        return True

    def search(self, folder: str | os.PathLike[str] | None) -> None:
        """Go on opening a project whose images have moved.

        Parameters
        ----------
        folder : path-like or None
            Where they are; None to open the project without them.
        """
        opening, self._opening = self._opening, None
        if opening is None:
            return
        read, ask = opening
        if folder is None:
            self._write(read)
            return
        compute = partial(find_missing, read, Path(folder).absolute())
        take = partial(self._on_found, ask=ask, before=len(read.missing))
        self._work.start_long("find", "Looking for images", compute, take, _say_nothing)

    def _on_found(self, read: ReadProject, *, ask: bool, before: int) -> bool:
        if ask and 0 < len(read.missing) < before:  # the others may be in another folder
            self._opening = read, ask
            self.missed.emit(read.missing)
        else:
            self._write(read)
        return True

    def _write(self, read: ReadProject) -> None:
        for name in ("open", "find"):  # it is read: whoever hears `done` may save
            self._work.stop(name)
        writer = SessionWriter(self._viewer, self._parts, self._session, read)
        model = read.project.model
        self._expected = (
            (model.name, model.fingerprint) if model is not None and model.fingerprint else None
        )
        self._adding = _Adding(writer, writer.write())
        self.go_on()

    def go_on(self) -> None:
        """Add the next part of the project that is being opened, and ask to go on soon.

        Where there is no event loop, that is at once.
        """
        adding = self._adding
        if adding is None:
            return
        adding.is_called = True
        if adding.is_busy:  # called by itself
            return
        adding.is_busy = True
        try:
            while adding.is_called and self._adding is adding:
                adding.is_called = False
                try:
                    next(adding.parts)
                except StopIteration:
                    self._finish(adding)
                else:
                    self._runner.call_soon(self.go_on)
        finally:
            adding.is_busy = False

    def _finish(self, adding: _Adding) -> None:
        self._adding = None
        self._check_model()
        self.done.emit(adding.writer.sentence)

    def _check_model(self) -> None:
        """Tell once if the model of a project is another one here."""
        identity, expected = self._parts.embedder.identity, self._expected
        if expected is None:
            return
        name, fingerprint = expected
        if self._session.model != name:
            self._expected = None
        elif identity is not None:
            self._expected = None
            if not same_weights(identity.fingerprint, fingerprint):
                self._session.noticed.emit(
                    f"The model {name} has other weights here than when the project was saved, as "
                    "a built-in model of another version has; its points and regions are asked "
                    "again with these, and heatmaps, thresholds and objects may differ."
                )

    def _tell(self, sentences: list[Any]) -> str:
        self.done.emit(" ".join(sentences))
        return ""


@dataclass(eq=False)
class _Adding:
    """A project that is being added to the viewer, part by part."""

    writer: SessionWriter
    parts: Iterator[None]
    is_busy: bool = False
    is_called: bool = False


class _Saving:
    """A project that is being saved, until it is known which images have a file."""

    def __init__(
        self,
        path: Path,
        content: SessionContent,
        query: Any,
        *,
        include: bool | None,
        overwrite: bool,
    ) -> None:
        self.path, self.content, self.query = path, content, query
        self.include, self.overwrite = include, overwrite
        self.examined: tuple[ExaminedImage, ...] | None = None


def _always(value: object) -> bool:
    del value
    return True


def _ignore(sentence: str) -> None:
    del sentence


def _say_nothing(found: list[Any]) -> str:
    del found
    return ""

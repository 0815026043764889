"""The process that searches files, and the job that starts, hears and ends it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.text import printable
from napari_dinov3_sim.session.file_search.folders import check_folder
from napari_dinov3_sim.session.file_search.record import (
    SearchFolder,
    SearchRecord,
    read_list,
    read_record,
    write_list,
)
from napari_dinov3_sim.session.file_search.state import FileSearchState
from napari_dinov3_sim.session.worker_messages import Computed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_dinov3_sim.core.search.saved_query import SavedQuery
    from napari_dinov3_sim.session.file_search.outputs import SearchOutput
    from napari_dinov3_sim.session.file_search.settings import SearchSettings
    from napari_dinov3_sim.session.results.save_query import QuerySnapshot
    from napari_dinov3_sim.session.runner import CancelToken, Receive

EVERY = 0.1
"""Seconds between two messages of how far it is."""

PATIENCE = 3.0
"""Seconds in which a process that was asked to end has to end by itself."""

NICENESS = 5
"""By how much its process gives way to the window."""

KEPT_LINES = 50
"""Of what the process writes to its standard error."""


def search_command(folder: SearchFolder, options: Sequence[str]) -> list[str]:
    """Return the command that searches the listed files.

    Parameters
    ----------
    folder : SearchFolder
        Of the results, as an absolute path: it begins like no option.
    options : sequence of str
        See `SearchSettings.options`.
    """
    # -P: a file of the current folder must not be taken for a library. utf8: into a pipe, Windows
    # would write in the code page of the computer, and what is written is read as UTF-8.
    program = [sys.executable, "-P", "-X", "utf8", "-m", "napari_dinov3_sim", "search"]
    names = ["--files-from", str(folder.files), "--out", str(folder.path), "--overwrite"]
    kept = ["--embeddings", str(folder.embeddings), "--keep-embeddings"]
    return [*program, str(folder.query), *names, *kept, "--progress", "json", *options]


@dataclass(frozen=True, eq=False)
class NewSearch:
    """A search that is prepared in the worker.

    Attributes
    ----------
    query : QuerySnapshot
    settings : SearchSettings
    outputs : tuple of SearchOutput
    files : callable
        Returns the images; may take long.
    replaces : bool
        Whether the results of an earlier search may be replaced.
    """

    query: QuerySnapshot
    settings: SearchSettings
    outputs: tuple[SearchOutput, ...]
    files: Callable[[], tuple[Path, ...]] = field(repr=False)
    replaces: bool

    def prepare(self, folder: SearchFolder) -> SearchRecord:
        """Write query, list and record.

        Raises
        ------
        SimilarityError
            The files or the folder cannot be used.
        """
        files = self.files()
        check_folder(folder.path, files)
        self._check_free(folder)
        write_list(files, folder)
        (query,) = self.query.save(folder.query)
        record = SearchRecord(self._options(query), len(files))
        record.write(folder)
        return record

    def _check_free(self, folder: SearchFolder) -> None:
        if self.replaces:
            return
        if read_record(folder) is not None:
            raise SimilarityError(
                f"{folder.path} holds the results of another search; resume that one, replace it, "
                "or choose another folder."
            )
        with contextlib.suppress(OSError):
            if any(folder.path.iterdir()):
                raise SimilarityError(
                    f"{folder.path} is not empty; choose a new folder for the results."
                )

    def _options(self, query: SavedQuery) -> tuple[str, ...]:
        return self.settings.options(self.outputs, [one.name for one in query.classes])


@dataclass(frozen=True)
class OldSearch:
    """A search that was stopped, and goes on as it was started."""

    def prepare(self, folder: SearchFolder) -> SearchRecord:
        """Return how it was started.

        Raises
        ------
        SimilarityError
            There is none.
        """
        record = read_record(folder)
        if record is None:
            raise SimilarityError(
                f"{folder.path} holds no search that could go on; choose its folder of results."
            )
        return record


@dataclass(frozen=True)
class SearchedFiles:
    """The images of a search, and where their embeddings are."""

    files: tuple[Path, ...] = field(repr=False)
    folder: SearchFolder


@dataclass(frozen=True, eq=False)
class SearchProcess:
    """A job that runs a search in a process of its own, and sends how far it is.

    Attributes
    ----------
    search : NewSearch or OldSearch
    folder : SearchFolder
    """

    search: NewSearch | OldSearch
    folder: SearchFolder

    def __call__(self, post: Receive, token: CancelToken) -> None:
        """Send a `FileSearchState` now and then, and what was searched at the end."""
        state = FileSearchState("starting", folder=self.folder.path)
        try:
            record = self.search.prepare(self.folder)
            state = self._run(replace(state, files=record.count), record, post, token)
            if state.phase == "done":
                replace(record, finished=True).write(self.folder)
            post(Computed(SearchedFiles(read_list(self.folder), self.folder)))
        except (SimilarityError, OSError) as error:
            state = replace(state, phase="failed", message=printable(str(error)))
        post(Computed(state))

    def _run(
        self, state: FileSearchState, record: SearchRecord, post: Receive, token: CancelToken
    ) -> FileSearchState:
        if token.cancelled:
            return replace(state, phase="stopped")
        with _Child(search_command(self.folder, record.options)) as child:
            told, at = state, 0.0
            while not token.cancelled:
                line = child.line()
                if line is None:
                    break
                now = time.monotonic()
                state = _after(state, line, now)
                # The end is told when all that belongs to it is known.
                if state != told and state.is_running and now - at > EVERY:
                    post(Computed(state))
                    told, at = state, now
            if token.cancelled and state.phase != "done":
                return replace(state, phase="stopped", current="")
            return state if state.phase == "done" else child.failed(state)


def _give_way(pid: int) -> None:
    """Let a process compute when nothing else does: the window comes first."""
    if sys.platform != "win32":
        with contextlib.suppress(OSError):  # it has ended already
            os.setpriority(os.PRIO_PROCESS, pid, min(19, os.nice(0) + NICENESS))


def _after(state: FileSearchState, line: str, now: float) -> FileSearchState:
    """Return the state after a line; what is no event, such as a library's print, is passed."""
    try:
        event = json.loads(line) if line else {}
        return state.after(event, now)
    except (ValueError, KeyError, TypeError, AttributeError):
        return state


class _Child:
    """A process whose lines are waited for no longer than a cancellation may take.

    Leaving the context ends it.

    Parameters
    ----------
    command : list of str
    """

    def __init__(self, command: list[str]) -> None:
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        flags |= getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
        self._process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            creationflags=flags,
        )
        _give_way(self._process.pid)
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._errors: deque[str] = deque(maxlen=KEPT_LINES)
        self._is_over = False
        self._threads = [
            self._reader(self._process.stdout, self._lines.put, None),
            self._reader(self._process.stderr, self._errors.append),
        ]

    def _reader(
        self, stream: IO[bytes] | None, take: Callable[[str], object], *last: None
    ) -> threading.Thread:
        def read() -> None:
            for line in stream or ():
                take(line.decode(errors="replace").strip())
            for end in last:
                self._lines.put(end)

        thread = threading.Thread(target=read, name="napari-dinov3-sim-lines", daemon=True)
        thread.start()
        return thread

    def line(self) -> str | None:
        """Return the next line, empty if there is none yet; None at the end."""
        try:
            found = self._lines.get(timeout=EVERY)
        except Empty:
            return ""
        self._is_over = found is None
        return found

    def failed(self, state: FileSearchState) -> FileSearchState:
        """Return the state after a process that ended too early, with what it said last."""
        code = self._process.wait()
        self._threads[1].join(PATIENCE)
        errors = [line.partition("error: ")[2] for line in self._errors if "error: " in line]
        last = errors or list(self._errors)[-1:]
        message = printable(last[-1]) if last else f"Its process ended with code {code}."
        # The names of its options help at a command line only.
        return replace(state, phase="failed", message=message.replace(" with --out", ""))

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()
        for thread in self._threads:
            thread.join(PATIENCE)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _end(self) -> None:
        """Ask it to end, so that no file is left half written, and see that it does."""
        process = self._process
        interrupt = process.terminate if os.name == "nt" else self._interrupt
        asked = [interrupt, process.terminate, process.kill]
        if not self._is_over:
            asked.pop(0)()
        while True:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                asked.pop(0)()
            else:
                return

    def _interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

"""Files from the Hugging Face Hub: found in its local cache, or downloaded."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_dinov3_sim.backbones.errors import (
    DownloadError,
    GatedModelError,
    ModelError,
    ModelNotFoundError,
    OfflineError,
)
from napari_dinov3_sim.backbones.files.weights import INDEX, SINGLE, shard_names
from napari_dinov3_sim.versions import ask_hub, download_with_bar, network_errors

Progress = Callable[[str, int, int], None]
"""Called with (description, bytes done, bytes in all); may raise `EmbeddingCancelled`."""

THREAD_NAME = "napari-dinov3-sim-download"
"""Of the thread of a download, which ends on its own after it was cancelled."""

_INTERVAL = 0.1


class _CancelledError(Exception):
    """Stops the downloading thread at its next block."""


class _Meter:
    """Where the bars of a download report to; read from the thread that waits for it."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self._bars: dict[int, tuple[int, int]] = {}

    def report(self, bar: int, done: float, total: float | None) -> None:
        if self.cancelled.is_set():
            raise _CancelledError
        self._bars[bar] = (int(done), int(total or 0))

    @property
    def reading(self) -> tuple[int, int]:
        # hf_xet shows one bar for the network and one for the disk; the largest counts.
        return max(self._bars.copy().values(), default=(0, 0))


def fetch(repo: str, filename: str, progress: Progress | None) -> Path:
    """Download a file of a repository into the local cache.

    Parameters
    ----------
    repo, filename : str
        Where it is on the hub.
    progress : callable or None
        Called on the calling thread, ten times a second; what it raises stops the download and
        is passed on. With None the bar of huggingface_hub is shown on a terminal.

    Returns
    -------
    Path
    """
    from pathlib import Path

    from huggingface_hub import hf_hub_download

    if progress is None:
        return Path(hf_hub_download(repo, filename))
    meter = _Meter()
    bar = _bar_class(meter)
    return Path(
        _watched(
            lambda: download_with_bar(repo, filename, bar),
            meter,
            lambda: progress(f"Downloading {repo}", *meter.reading),
        )
    )


def _watched(work: Callable[[], str], meter: _Meter, report: Callable[[], None]) -> str:
    # On its own thread, because hf_xet calls the bar from a thread of its own, where an exception
    # would be lost, and because a stalled connection must not keep the user from cancelling.
    outcome: list[str | BaseException] = []
    thread = threading.Thread(target=_run, args=(work, outcome), name=THREAD_NAME, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            report()
            thread.join(_INTERVAL)
        report()
    except BaseException:
        meter.cancelled.set()
        _abort_xet()
        raise
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _run(work: Callable[[], str], outcome: list[str | BaseException]) -> None:
    try:
        outcome.append(work())
    except BaseException as error:
        outcome.append(error)


def _abort_xet() -> None:
    # What huggingface_hub itself does on Ctrl-C; without hf_xet there is nothing to abort.
    try:
        from huggingface_hub.utils._xet import abort_xet_session
    except ImportError:
        return
    abort_xet_session()  # type: ignore[no-untyped-call]


def _bar_class(meter: _Meter) -> type[Any]:
    from tqdm import tqdm

    class Bar(tqdm):  # type: ignore[misc]
        """A bar that shows nothing and reports to the meter."""

        monitor_interval = 0

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs.pop("name", None)
            super().__init__(*args, **kwargs | {"file": io.StringIO(), "disable": False})

        def display(self, *_args: Any, **_kwargs: Any) -> bool:
            return True

        def update(self, n: float | None = 1) -> bool | None:
            shown: bool | None = super().update(n)
            meter.report(id(self), self.n, self.total)
            return shown

    return Bar


PROBE_TIMEOUT = 8.0
"""Seconds that the hub has to answer a question, before it counts as unreachable."""


class MissingFileError(ModelNotFoundError):
    """The repository is there, the file is not."""


def cached_file(repo: str, filename: str) -> Path | None:
    """Return a file of a repository from the local cache, without asking the network."""
    from huggingface_hub import errors, try_to_load_from_cache

    try:
        path = try_to_load_from_cache(repo, filename)
    except errors.HFValidationError:  # no repository can have this name; asking for it says so
        return None
    return Path(path) if isinstance(path, str) and Path(path).is_file() else None


def has_snapshot(repo: str) -> bool:
    """Whether the local cache seems to hold weights of a repository.

    Looked up by folder names (https://huggingface.co/docs/huggingface_hub/guides/manage-cache),
    which takes no import of the hub's library: a window that opens does not wait for it.
    `cached_weights` is exact.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}" / "snapshots"
    return any(any(folder.glob(f"*/{name}")) for name in (SINGLE, INDEX))


def cached_weights(repo: str) -> tuple[Path, ...]:
    """Return the weights of a repository from the local cache, empty when not complete."""
    single = cached_file(repo, SINGLE)
    if single is not None:
        return (single,)
    index = cached_file(repo, INDEX)
    if index is None:
        return ()
    shards = [cached_file(repo, name) for name in shard_names(index, repo)]
    found = tuple(shard for shard in shards if shard is not None)
    return found if len(found) == len(shards) else ()


def download_file(
    repo: str, filename: str, model: str, command: str, progress: Progress | None
) -> Path:
    """Download a file into the local cache.

    The file's metadata are first requested from the hub with a time limit and without retries:
    `HfApi.auth_check` has no time limit, and `hf_hub_download` alone retries for 23 to 34 s when
    there is no network.

    Parameters
    ----------
    repo, filename : str
        Where it is on the hub.
    model, command : str
        What the user asked for, and the command that downloads it, for the message.
    progress : callable or None
        See `progress.fetch`.

    Returns
    -------
    Path

    Raises
    ------
    GatedModelError, ModelNotFoundError, OfflineError, DownloadError
        Each with its cure.
    """
    from huggingface_hub import hf_hub_url

    try:
        ask_hub(hf_hub_url(repo, filename), PROBE_TIMEOUT)
        return fetch(repo, filename, progress)
    except _failures() as error:
        raise _translated(error, repo, filename, model, command) from error


def _failures() -> tuple[type[Exception], ...]:
    from huggingface_hub import errors

    xet = getattr(errors, "XetDownloadError", OSError)
    return (*network_errors(), xet, OSError, RuntimeError, ValueError)


def download_weights(
    repo: str, model: str, command: str, progress: Progress | None
) -> tuple[Path, ...]:
    """Download the weights of a repository, whole or in parts; see `download_file`."""
    try:
        return (download_file(repo, SINGLE, model, command, progress),)
    except MissingFileError as missing:
        index = _index_or(missing, repo, model, command)
    names = shard_names(index, model)
    return tuple(download_file(repo, name, model, command, progress) for name in names)


def _index_or(missing: MissingFileError, repo: str, model: str, command: str) -> Path:
    try:
        return download_file(repo, INDEX, model, command, None)
    except MissingFileError:
        raise missing from None


def _translated(
    error: Exception, repo: str, filename: str, model: str, command: str
) -> ModelError:
    from huggingface_hub import errors

    # The order matters: a gated repository is also one that was not found.
    if isinstance(error, errors.GatedRepoError):
        return _gated(error, repo, model)
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return ModelNotFoundError(
            model,
            f"the Hugging Face Hub has no public repository {repo}",
            "check the id, `napari-dinov3-sim models` lists the names",
        )
    # `RemoteEntryNotFoundError`, which huggingface_hub has since 1.0.
    not_there = isinstance(error, errors.EntryNotFoundError)
    not_there = not_there and not isinstance(error, errors.LocalEntryNotFoundError)
    if not_there or isinstance(error, errors.RevisionNotFoundError):
        return MissingFileError(
            model, f"{repo} has no file {filename}", "load `builtin`, or name another model"
        )
    if isinstance(error, errors.OfflineModeIsEnabled):
        return OfflineError(
            model,
            "it is not in the local cache and HF_HUB_OFFLINE keeps the Hugging Face Hub from "
            "being asked",
            f"unset HF_HUB_OFFLINE and run `{command}`, or load `builtin`",
        )
    return _unreachable(error, model, command)


def _gated(error: Exception, repo: str, model: str) -> GatedModelError:
    status = getattr(getattr(error, "response", None), "status_code", None)
    why = "this account has no access yet" if status == 403 else "nobody is logged in here"
    return GatedModelError(
        model,
        f"{repo} is gated and {why}",
        f"accept the licence at https://huggingface.co/{repo} and run `hf auth login`, or load "
        "`builtin`",
    )


def _unreachable(error: Exception, model: str, command: str) -> ModelError:
    from huggingface_hub import errors

    local = isinstance(error, errors.LocalEntryNotFoundError)
    if not local and not isinstance(error, network_errors()):
        return DownloadError(
            model,
            f"the download broke off ({_brief(error)})",
            f"see that the cache has room and run `{command}`, or load `builtin`",
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    answer = f"answers with status {status}" if status else "cannot be reached"
    cause = error.__cause__ if local else error
    return OfflineError(
        model,
        f"it is not in the local cache and the Hugging Face Hub {answer} "
        f"({type(cause or error).__name__})",
        f"connect to the internet and run `{command}`, or load `builtin`",
    )


def _brief(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:120].rstrip(".")

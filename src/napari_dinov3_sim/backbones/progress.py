"""Downloads that report to a callback and can be cancelled by it."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

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
            lambda: hf_hub_download(repo, filename, tqdm_class=bar),
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
        """A bar that shows nothing and tells the meter."""

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

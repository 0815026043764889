"""Jobs whose results become layers or files; of each result only the newest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.core.errors import EmbeddingCancelled
from napari_dinov3_sim.session.worker_messages import (
    Computed,
    Failure,
    Finished,
    Message,
    Progress,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinov3_sim.session.runner import CancelToken, Lane, Receive, Runner

Check = Callable[[int, int], None]
"""Called with (parts done, parts in all); may raise `EmbeddingCancelled`."""


@dataclass(frozen=True, eq=False)
class ResultJob:
    """Sends what an iterator gives, until it ends or the job is cancelled.

    Attributes
    ----------
    compute : callable
        Given a `Check`, returns an iterator; what it raises travels as a `Failure`.
    what : str
        What is done, for the progress.
    """

    compute: Callable[[Check], Iterator[object]]
    what: str

    def __call__(self, post: Receive, token: CancelToken) -> None:
        """Send one `Computed` for each result, and `Progress` where there are several parts."""

        def check(done: int, total: int) -> None:
            if token.cancelled:
                raise EmbeddingCancelled
            if total > 1:
                post(Progress(self.what, done, total))

        with suppress(EmbeddingCancelled):
            for value in self.compute(check):
                if token.cancelled:
                    return
                post(Computed(value))


@dataclass(eq=False)
class _Request:
    """What has become of a job so far."""

    number: int
    apply: Callable[[Any], bool]
    describe: Callable[[list[Any]], str]
    shown: list[Any] = field(default_factory=list)
    failed: bool = False
    in_progress: bool = False
    token: CancelToken | None = None


class ResultJobs:
    """Runs at most one job for each result; a newer one takes its place, and nothing queues up.

    Parameters
    ----------
    runner : Runner
    fail : callable
        Bound method, called on the main thread with every `Failure`.
    done : callable
        Called on the main thread with a sentence when something is done.
    progress : callable
        Called on the main thread with the `Progress` of what takes long, and with None at the
        end of it.
    lane : str, optional
        By default that of answers; what takes seconds has another, so that clicks are answered
        meanwhile.
    """

    def __init__(
        self,
        runner: Runner,
        fail: Callable[[Failure], None],
        done: Callable[[str], None],
        progress: Callable[[Progress | None], None],
        lane: Lane = "answer",
    ) -> None:
        self._lane: Lane = lane
        self._runner, self._fail, self._done, self._progress = runner, fail, done, progress
        self._numbers = count(1)
        self._requests: dict[str, _Request] = {}

    @property
    def pending(self) -> bool:
        """Whether something is on its way."""
        return bool(self._requests)

    def runs(self, name: str) -> bool:
        """Whether the job for a result is on its way."""
        return name in self._requests

    def start(
        self,
        name: str,
        compute: Callable[[], Iterator[object]],
        apply: Callable[[Any], bool],
        describe: Callable[[list[Any]], str],
    ) -> None:
        """Compute results in the worker, and show them one by one.

        Parameters
        ----------
        name : str
            Of the result; an earlier job for the same one is given up.
        compute : callable
            Runs in the worker and returns an iterator of results.
        apply : callable
            Called on the main thread with each result; returns whether it was of use.
        describe : callable
            Called with those that were; returns the sentence for the user.
        """
        self.start_long(name, "", lambda _check: compute(), apply, describe)

    def start_long(
        self,
        name: str,
        what: str,
        compute: Callable[[Check], Iterator[object]],
        apply: Callable[[Any], bool],
        describe: Callable[[list[Any]], str],
    ) -> None:
        """Compute what may take long enough to be shown, and to be stopped by the user.

        Parameters
        ----------
        name, apply, describe
            As for `start`.
        what : str
            What is done, for the progress.
        compute : callable
            As for `start`; given a `Check` to call now and then.
        """
        self.stop(name)
        request = _Request(next(self._numbers), apply, describe)
        self._requests[name] = request
        receive = partial(self._receive, name, request.number)
        request.token = self._runner.submit(self._lane, ResultJob(compute, what), receive)

    def stop(self, name: str) -> None:
        """Give up a job; whatever is on its way is stale."""
        request = self._requests.pop(name, None)
        if request is not None and request.token is not None:
            request.token.cancel()
        if request is not None:
            self._end_progress(request)

    def stop_long(self) -> None:
        """Give up what shows its progress; what does not is soon done."""
        for name in [name for name, request in self._requests.items() if request.in_progress]:
            self.stop(name)

    def _end_progress(self, request: _Request) -> None:
        if request.in_progress:
            self._progress(None)

    def stop_all(self) -> None:
        """Give up everything."""
        for name in list(self._requests):
            self.stop(name)

    def _show(self, request: _Request, value: Any) -> None:
        try:
            if request.apply(value):
                request.shown.append(value)
        except Exception as error:  # the next result may well be shown
            request.failed = True
            self._fail(Failure.of(error, "internal"))

    def _receive(self, name: str, number: int, message: Message) -> None:
        request = self._requests.get(name)
        if request is None or request.number != number:
            return
        if isinstance(message, Computed):
            self._show(request, message.value)
        elif isinstance(message, Progress):
            request.in_progress = True
            self._progress(message)
        elif isinstance(message, Failure):
            request.failed = True
            self._fail(message)
        elif isinstance(message, Finished):
            del self._requests[name]
            self._end_progress(request)
            if request.shown and not request.failed:
                self._done(request.describe(request.shown))

"""Runners of jobs: at once, or on threads, with messages delivered on the main thread."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import entry_points
from queue import Empty, SimpleQueue
from typing import Literal, Protocol

from napari_dinov3_sim.session.worker_messages import Failure, Finished, Message

Lane = Literal[
    "embed", "answer", "warm-up", "thumbnails", "files", "analysis", "objects", "exports", "search"
]
Receive = Callable[[Message], None]


class CancelToken:
    """Asks a job to stop; a job looks at it between tiles."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the job to stop as soon as it can."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether the job was asked to stop."""
        return self._event.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` s to be asked to stop, and return whether that was so."""
        return self._event.wait(timeout)


Job = Callable[[Receive, CancelToken], None]
"""Runs off the main thread, sends messages, touches no layer."""


class Runner(Protocol):
    """Runs jobs and delivers their messages on the thread that owns the layers."""

    def submit(self, lane: Lane, job: Job, receive: Receive) -> CancelToken:
        """Start a job behind the earlier ones of its lane; its last message is `Finished`."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back on the main thread, at once where there is no event loop.

        A callback that already waits is not added again.
        """

    def deliver(self, timeout: float = 0.0) -> bool:
        """Deliver what is waiting, on the main thread; wait up to `timeout` s for it.

        Returns
        -------
        bool
            Whether anything was delivered.
        """

    def close(self) -> None:
        """Cancel everything and deliver nothing any more."""


def run_guarded(job: Job, receive: Receive, token: CancelToken) -> None:
    """Run a job; whatever happens, it ends with one `Finished`."""
    try:
        if not token.cancelled:
            job(receive, token)
    except BaseException as error:  # a lazy array may raise asyncio's CancelledError, say
        receive(Failure.of(error, "internal"))
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
    finally:
        receive(Finished(cancelled=token.cancelled))


class _InlineToken(CancelToken):
    """That of a job on the thread that would have to cancel it: to wait for that is idle."""

    def wait(self, timeout: float) -> bool:
        del timeout
        return self.cancelled


class InlineRunner:
    """Runs every job at once on the calling thread, in the order of submission.

    A job that is submitted while another runs waits for it, so that a message never arrives
    in the middle of the handling of another.
    """

    def __init__(self) -> None:
        self._pending: deque[Callable[[], None]] = deque()
        self._running = False
        self._closed = False

    def submit(self, lane: Lane, job: Job, receive: Receive) -> CancelToken:
        """Run the job now, or after the one that is running."""
        del lane
        token = _InlineToken()
        messages: list[Message] = []

        def run() -> None:
            run_guarded(job, messages.append, token)
            errors = [error for message in messages if (error := self._hand(message, receive))]
            if errors:
                raise errors[0]

        self._pending.append(run)
        self._pump()
        return token

    def _hand(self, message: Message, receive: Receive) -> Exception | None:
        """Deliver a message; a listener that raises must not keep the next ones from coming."""
        try:
            if not self._closed:
                receive(message)
        except Exception as error:
            return error
        return None

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back now, or after the job that is running."""
        if callback not in self._pending:
            self._pending.append(callback)
        self._pump()

    def _pump(self) -> None:
        if self._running:
            return
        self._running = True
        try:
            while self._pending and not self._closed:
                self._pending.popleft()()
        finally:
            self._running = False

    def deliver(self, timeout: float = 0.0) -> bool:
        """Nothing ever waits."""
        del timeout
        return False

    def close(self) -> None:
        """Run nothing any more."""
        self._closed = True


class ThreadRunner:
    """Runs each lane on a thread of its own; messages wait in a queue until `deliver`.

    Parameters
    ----------
    wake : callable, optional
        Called from the worker when something is waiting; an event loop uses it to have
        `deliver` called on the main thread.
    """

    def __init__(self, wake: Callable[[], None] | None = None) -> None:
        self._wake = wake
        self._queue: SimpleQueue[tuple[Receive, Message]] = SimpleQueue()
        self._lanes: dict[Lane, ThreadPoolExecutor] = {}
        self._tokens: set[CancelToken] = set()
        self._closed = False

    def submit(self, lane: Lane, job: Job, receive: Receive) -> CancelToken:
        """Queue the job on the thread of its lane."""
        token = CancelToken()
        if self._closed:
            return token
        self._tokens.add(token)
        pool = self._lanes.get(lane)
        if pool is None:
            pool = ThreadPoolExecutor(1, thread_name_prefix=f"napari-dinov3-sim-{lane}")
            self._lanes[lane] = pool

        def post(message: Message) -> None:
            if isinstance(message, Finished):
                self._tokens.discard(token)
            self._queue.put((receive, message))
            if self._wake is not None and not self._closed:
                self._wake()

        pool.submit(run_guarded, job, post, token)
        return token

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back at once: without an event loop there is no later."""
        if not self._closed:
            callback()

    def deliver(self, timeout: float = 0.0) -> bool:
        """Deliver what is waiting; see `Runner.deliver`."""
        deadline = time.monotonic() + timeout
        delivered = False
        while not self._closed:
            wait = 0.0 if delivered else max(0.0, deadline - time.monotonic())
            try:
                receive, message = self._queue.get(wait > 0, wait or None)
            except Empty:
                break
            receive(message)
            delivered = True
        return delivered

    def cancel_all(self) -> None:
        """Ask every job to stop."""
        for token in list(self._tokens):
            token.cancel()

    def close(self) -> None:
        """Cancel all jobs; the threads end by themselves after the tile they are at."""
        self._closed = True
        self.cancel_all()
        for pool in self._lanes.values():
            pool.shutdown(wait=False, cancel_futures=True)


def default_runner() -> Runner:
    """Return a threaded runner; where a GUI event loop runs, one that it delivers for.

    Ring 3 never imports Qt: what knows the event loop registers itself as an entry point.
    """
    if "qtpy" in sys.modules:
        for entry_point in entry_points(group="napari_dinov3_sim.runner"):
            runner: Runner | None = entry_point.load()()
            if runner is not None:
                return runner
    return ThreadRunner()

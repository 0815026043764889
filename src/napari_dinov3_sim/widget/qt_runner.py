"""The runner for Qt: jobs on threads, their messages delivered by the event loop."""

from __future__ import annotations

import threading
import time
import weakref
from queue import Empty
from typing import TYPE_CHECKING

from qtpy.QtCore import QCoreApplication, QObject, Qt, QThread, QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_dinov3_sim.session.runner import Runner, ThreadRunner

if TYPE_CHECKING:
    from collections.abc import Callable

TURN = 0.008
"""Seconds of delivering per turn of the event loop: half a frame at 60 Hz."""


class _Bridge(QObject):
    """The only Qt object a worker touches: its signal crosses to the main thread."""

    woken = Signal()

    def __init__(
        self, turn: Callable[[], None], quit_: Callable[[], None], application: QCoreApplication
    ) -> None:
        super().__init__(application)
        # Weak, so that a runner nobody needs any more is not kept by the application.
        self._turn, self._quit = weakref.WeakMethod(turn), weakref.WeakMethod(quit_)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._on_turn)
        self.woken.connect(self._on_turn, Qt.ConnectionType.QueuedConnection)
        # At exit Python waits for worker threads; cancelled ones end after their tile.
        application.aboutToQuit.connect(self._on_quit)

    def arm(self) -> None:
        """Have a turn soon, after what Qt has to do first; main thread only."""
        self._timer.start()

    def post(self) -> None:
        """Have a turn before anything is painted; main thread only."""
        self.woken.emit()

    def _on_turn(self) -> None:
        turn = self._turn()
        if turn is not None:
            turn()

    def _on_quit(self) -> None:
        quit_ = self._quit()
        if quit_ is not None:
            quit_()


class QtRunner(ThreadRunner):
    """A `ThreadRunner` whose messages are delivered by the running Qt event loop.

    Made on the main thread, like everything else here but `_wake_up`.
    """

    def __init__(self) -> None:
        super().__init__(wake=self._wake_up)
        self._callbacks: list[Callable[[], None]] = []
        # Held while the worker emits, so that the bridge is not deleted under its hands.
        self._lock = threading.Lock()
        self._awake = self._in_turn = False
        application = QApplication.instance()
        if application is None:
            raise RuntimeError("There is no QApplication; make a napari viewer first.")
        self._bridge: _Bridge | None = _Bridge(self._run_turn, self.cancel_all, application)

    def _wake_up(self) -> None:
        """Ask for a turn; called by workers."""
        with self._lock:
            if self._awake or self._bridge is None:
                return
            self._awake = True
            try:
                self._bridge.woken.emit()
            except RuntimeError:
                # The application has been deleted, and the bridge with it.
                self._bridge = None

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back in the next turn of the event loop; the same callback only once.

        That turn comes before Qt paints what the present event has changed: so what is changed by
        the callback is painted with it. A callback that is added in a turn lets Qt paint first.
        """
        if self._bridge is None or self._closed:
            return
        waiting = bool(self._callbacks)
        if callback not in self._callbacks:
            self._callbacks.append(callback)
        if self._in_turn or waiting:
            self._arm()
        else:
            self._ask(self._bridge.post)

    def _arm(self) -> None:
        if self._bridge is not None:
            self._ask(self._bridge.arm)

    def _ask(self, for_turn: Callable[[], None]) -> None:
        try:
            for_turn()
        except RuntimeError:
            self._bridge = None

    def _run_turn(self) -> None:
        """Call back and deliver for at most `TURN`, then let Qt go on.

        Handling a message may run the event loop (napari's activity dock does), and a message
        must not arrive in the middle of the handling of another.
        """
        with self._lock:
            self._awake = False
        if self._in_turn:
            return
        self._in_turn = True
        try:
            self._run_until(time.monotonic() + TURN)
        finally:
            self._in_turn = False
            if self._callbacks or not self._queue.empty():
                self._arm()

    def _run_until(self, deadline: float) -> None:
        # One at a time, so that one that raises does not take the others along; those that
        # are added meanwhile wait for the next turn.
        for _ in range(len(self._callbacks)):
            if self._callbacks and not self._closed:
                self._callbacks.pop(0)()
        while not self._closed and time.monotonic() < deadline:
            try:
                receive, message = self._queue.get_nowait()
            except Empty:
                return
            receive(message)

    def close(self) -> None:
        """Cancel everything; nothing is delivered and no Qt object is touched any more."""
        super().close()
        self._callbacks.clear()
        with self._lock:
            bridge, self._bridge = self._bridge, None
        if bridge is not None:
            try:
                bridge.deleteLater()
            except RuntimeError:
                return


def runner_for_running_application() -> Runner | None:
    """Return a runner for the Qt application of this thread, or None if there is none."""
    application = QApplication.instance()
    if not isinstance(application, QApplication):
        return None
    return QtRunner() if application.thread() is QThread.currentThread() else None

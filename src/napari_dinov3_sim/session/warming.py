"""Imports ahead of need, off the thread that draws the window."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from napari_dinov3_sim.session.messages import Finished

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinov3_sim.session.messages import Message
    from napari_dinov3_sim.session.runner import CancelToken, Receive, Runner


class Warming:
    """Has pandas imported by a worker before the first Points layer needs it.

    Parameters
    ----------
    done : callable
        Bound method, called when a Points layer can be made without delay.
    """

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self._warm = "pandas" in sys.modules

    @property
    def is_warm(self) -> bool:
        """Whether a Points layer can be made without delay."""
        return self._warm

    def start(self, runner: Runner) -> None:
        """Import what is missing, before any question is answered."""
        if not self._warm:
            runner.submit("answer", _warm_up, self._on_message)

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Finished):
            self._warm = True
            self._done()


def _warm_up(post: Receive, token: CancelToken) -> None:
    """Import what napari imports at its first Points layer: half a second, off the window."""
    del post, token
    import_module("pandas")

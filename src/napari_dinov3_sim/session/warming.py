"""Imports ahead of need, off the thread that draws the window."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from napari_dinov3_sim.backbones import background_import
from napari_dinov3_sim.session.messages import Finished

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinov3_sim.session.messages import Message
    from napari_dinov3_sim.session.runner import CancelToken, Receive, Runner


LULL = 1.0
"""Seconds without a question after which a model is prepared for, in case it will be needed."""


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
            runner.submit("answer", _import_pandas, self._on_message)

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Finished):
            self._warm = True
            self._done()


class EncoderWarming:
    """Has what models are built with imported in a lull, before one is needed.

    Parameters
    ----------
    runner : Runner
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._token: CancelToken | None = None

    def start(self) -> None:
        """Wait for a lull from now on; what fails in it is told when a model is loaded."""
        if not background_import.is_imported():
            self.put_off()
            self._token = self._runner.submit("warm-up", _import_encoder, _ignore)

    def put_off(self) -> None:
        """Wait no longer: something has been asked."""
        if self._token is not None:
            self._token.cancel()
            self._token = None


def _import_pandas(post: Receive, token: CancelToken) -> None:
    """Import what napari imports at its first Points layer: half a second, off the window."""
    del post, token
    background_import.import_calmly("pandas")


def _import_encoder(post: Receive, token: CancelToken) -> None:
    """Import PyTorch and transformers when nothing else has been asked for a while.

    It takes three seconds, and half of the time of every other thread meanwhile. Embeddings that
    are on disk are answered without it, and so it waits until they are.
    """
    del post
    if token.wait(LULL):
        return
    background_import.import_torch()
    if not token.cancelled:  # something was asked meanwhile
        background_import.import_encoder()


def _ignore(message: Message) -> None:
    del message

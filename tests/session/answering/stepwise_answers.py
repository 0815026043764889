"""Answers that come as far as a test allows, as they would on a slower computer."""

from __future__ import annotations

import threading

from napari_dinov3_sim.core.search import combine
from patience import PATIENCE


class StepwiseAnswers:
    """Answers every plane at once, until it is told to hold.

    Attributes
    ----------
    begun : int
        How many planes were begun since then, those that wait included.
    """

    def __init__(self, monkeypatch):
        self.begun = 0
        self._allowed, self._free = threading.Semaphore(0), threading.Event()
        self._free.set()
        score = combine.score_classes

        def score_when_allowed(*arguments):
            self.begun += 1
            if not self._free.is_set():
                assert self._allowed.acquire(timeout=PATIENCE)
            return score(*arguments)

        monkeypatch.setattr(combine, "score_classes", score_when_allowed)

    def hold(self):
        """Answer no plane more than `allow` says."""
        self.begun, self._allowed = 0, threading.Semaphore(0)
        self._free.clear()

    def allow(self, count):
        """Answer so many planes more."""
        self._allowed.release(count)

    def let_go(self):
        """Answer at once again."""
        self._free.set()
        self._allowed.release(1000)

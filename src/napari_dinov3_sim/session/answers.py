"""The latest question only: what was asked, what is being answered, what has gone stale."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_dinov3_sim.session.jobs import AnswerJob, Pick
from napari_dinov3_sim.session.messages import Finished, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.session.planes import PlaneKey
    from napari_dinov3_sim.session.runner import CancelToken, Runner


class Answers:
    """Answers the newest question; older ones are cancelled and their answers dropped.

    Parameters
    ----------
    runner : Runner
    notify : callable
        Bound method, called on the main thread with each `MapReady`, `Answered`, `Failure` and
        `Finished` that is still true.
    """

    def __init__(self, runner: Runner, notify: Callable[[Message], None]) -> None:
        self._runner, self._notify = runner, notify
        self._generation = 0
        self._asked: object = None
        self._token: CancelToken | None = None
        self._pending = False

    @property
    def pending(self) -> bool:
        """Whether an answer is on its way."""
        return self._pending

    def forget(self) -> None:
        """Drop the question; whatever is on its way is stale."""
        if self._token is not None:
            self._token.cancel()
        self._generation += 1
        self._asked, self._token, self._pending = None, None, False

    def ask(
        self,
        picks: tuple[tuple[Pick, PatchImageState], ...],
        targets: Mapping[PlaneKey, PatchImageState],
        shapes: Mapping[PlaneKey, tuple[int, ...]],
    ) -> None:
        """Ask how similar every target is to the picks, unless just that was asked last.

        Parameters
        ----------
        picks : tuple of (Pick, PatchImageState)
        targets : mapping of PlaneKey to PatchImageState
        shapes : mapping of PlaneKey to tuple of int
            Shape of each target's layer at level 0, without channels.
        """
        # States are compared by identity and kept here, so that no id can be used again.
        question = (picks, tuple(targets.items()))
        if question == self._asked:
            return
        self.forget()
        self._asked, self._pending = question, True
        sources = tuple((state, (pick.x, pick.y)) for pick, state in picks)
        job = AnswerJob(sources, dict(targets), {key: shapes[key] for key in targets})
        generation = self._generation
        token = self._runner.submit("answer", job, partial(self._receive, generation))
        if generation == self._generation and self._pending:
            self._token = token

    def _receive(self, generation: int, message: Message) -> None:
        if generation != self._generation:
            return
        if isinstance(message, Finished):
            self._pending, self._token = False, None
        self._notify(message)

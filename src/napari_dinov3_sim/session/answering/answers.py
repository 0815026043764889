"""The newest question and its answers, and the job that computes them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari_dinov3_sim.session.answering.answer_job import AnswerJob, TargetPlane
from napari_dinov3_sim.session.worker_messages import (
    Answered,
    Finished,
    Message,
    PlaneMaps,
    StateGone,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from napari_dinov3_sim.session.answering.query_vectors import Backgrounds
    from napari_dinov3_sim.session.answering.question import Question
    from napari_dinov3_sim.session.images.planes import LayerAxes, PlaneKey
    from napari_dinov3_sim.session.runner import CancelToken, Runner
    from napari_dinov3_sim.session.worker_messages import StateHandle
    from napari_dinov3_sim.store import EmbeddingStore

Targets = tuple[TargetPlane, ...]


class Answers:
    """Answers the newest question.

    While the visible planes of one question are being answered, newer ones wait, and only the
    newest of them is kept: so a dragged point draws a heatmap at every answer, and no queue
    builds up. Planes out of sight are given up for a newer question at once.

    Parameters
    ----------
    runner : Runner
    store : EmbeddingStore
        Where jobs find states that are not held.
    notify : callable
        Bound method, called on the main thread with every message that is still true.
    """

    def __init__(
        self, runner: Runner, store: EmbeddingStore, notify: Callable[[Message], None]
    ) -> None:
        self._runner, self._store, self._notify = runner, store, notify
        self._job = 0
        self._token: CancelToken | None = None
        self._question: Question | None = None
        self._maps: dict[PlaneKey, tuple[StateHandle, PlaneMaps]] = {}
        # The scores of a question that differs from the present one in its thresholds alone.
        self._same_scores: dict[PlaneKey, tuple[StateHandle, PlaneMaps]] = {}
        self._unanswerable: dict[PlaneKey, StateHandle] = {}
        self._in_flight: dict[PlaneKey, StateHandle] = {}
        self._visible_in_flight: frozenset[PlaneKey] = frozenset()
        self._visible_pending = self._lost = self.smooth = False
        # Whether thresholds, limits and histograms count images that are not shown any more.
        self._counts_others = False
        self._next: tuple[Question, Targets] | None = None
        self._shown: dict[LayerAxes, frozenset[str]] = {}
        self._layers: Collection[LayerAxes] = ()
        # Weak: a background goes with its state.
        self._backgrounds: Backgrounds = WeakKeyDictionary()

    @property
    def pending(self) -> bool:
        """Whether an answer is on its way."""
        return self._token is not None or self._next is not None

    @property
    def question(self) -> Question | None:
        """The question whose answers are arriving, or have arrived."""
        return self._question

    @property
    def asked(self) -> Question | None:
        """The question that was asked last."""
        return self._question if self._next is None else self._next[0]

    def maps_of(self, key: PlaneKey) -> PlaneMaps | None:
        """Return the maps of a plane, if they are there."""
        found = self._maps.get(key) or self._same_scores.get(key)
        return None if found is None else found[1]

    def is_unanswerable(self, key: PlaneKey) -> bool:
        """Whether a plane could not be compared with the picks."""
        return key in self._unanswerable

    def planes(self) -> tuple[PlaneKey, ...]:
        """Return the planes that are answered."""
        return tuple({**self._same_scores, **self._maps})

    def forget(self) -> None:
        """Drop the question; whatever is on its way is stale."""
        self._stop()
        self._question, self._next = None, None
        self._maps.clear()
        self._shown.clear()
        self._same_scores.clear()
        self._unanswerable.clear()

    def rename_class(self, old: str, new: str) -> None:
        """Drop the question, as `forget` does; heatmaps of a class are those of another now."""
        shown = {
            layer: frozenset(new if name == old else name for name in names)
            for layer, names in self._shown.items()
        }
        self.forget()
        self._shown = shown

    def _stop(self) -> None:
        if self._token is not None:
            self._token.cancel()
        self._job += 1
        self._token, self._in_flight, self._visible_pending = None, {}, False

    def ask(self, question: Question, targets: Targets, layers: Collection[LayerAxes]) -> None:
        """Ask how similar every target is to the picks; what is known is not asked again.

        Parameters
        ----------
        question : Question
        targets : tuple of TargetPlane
            The visible ones first.
        layers : collection of LayerAxes
            Those that are shown; what is known of others is forgotten.
        """
        if layers != self._layers:
            self._layers = layers
            counted = (*self._maps, *self._in_flight)
            self._counts_others |= any(key.layer not in layers for key in counted)
            self._shown = {k: found for k, found in self._shown.items() if k in layers}
            self._maps = {k: found for k, found in self._maps.items() if k.layer in layers}
            self._same_scores.clear()
        if question != self._question:
            self._next = (question, targets)
            if not self._visible_pending:
                self._start_next()
            return
        self._next = None
        self._go_on(targets)

    def _start_next(self) -> None:
        if self._next is None:
            return
        (question, targets), self._next = self._next, None
        known = {**self._same_scores, **self._maps}
        same = self._question is not None and _has_same_scores(question, self._question)
        self._stop()
        # While a threshold is dragged, what is found is counted on the scores that are known.
        self._same_scores = known if same else {}
        self._question, self._counts_others = question, False
        self._maps.clear()
        self._unanswerable.clear()
        self._go_on(targets)

    def _go_on(self, targets: Targets) -> None:
        if self._counts_others:
            self._stop()
        missing = tuple(target for target in targets if not self._is_settled(target))
        if not missing and not (self._counts_others and self._maps):
            return
        seen = {target.key for target in missing if target.visible}
        # What has come into sight does not wait behind what is out of it. What is out of it does:
        # the end of the job brings it here again, and no answer is given up half-way.
        if not self._in_flight or not seen <= self._visible_in_flight:
            self._stop()
            self._submit(missing)

    def _is_settled(self, target: TargetPlane) -> bool:
        found = self._maps.get(target.key)
        if found is not None and found[0] == target.handle:
            return True
        return self._unanswerable.get(target.key) == target.handle

    def _submit(self, missing: Targets) -> None:
        assert self._question is not None  # noqa: S101
        asked = {target.key: target.handle for target in missing}
        known = {key: maps for key, (_, maps) in self._maps.items() if key not in asked}
        self._job += 1
        self._in_flight, self._visible_pending, self._lost = asked, True, False
        self._counts_others = False
        self._visible_in_flight = frozenset(target.key for target in missing if target.visible)
        job = AnswerJob(
            self._question,
            missing,
            known,
            self._store,
            self._backgrounds,
            smooth=self.smooth,
            shown=dict(self._shown),
        )
        number = self._job
        token = self._runner.submit("answer", job, partial(self._receive, number))
        if number == self._job:  # or it has ended already
            self._token = token

    def _receive(self, number: int, message: Message) -> None:
        if number != self._job:
            return
        self._note(message)
        self._notify(message)
        if not self._visible_pending:
            self._start_next()

    def _note(self, message: Message) -> None:
        if isinstance(message, Answered):
            self._maps.update({one.plane: (one.handle, one.maps) for one in message.maps})
            self._shown |= {one.layer: frozenset(one.heatmaps) for one in message.layers}
            self._visible_pending &= message.summary is None
        elif isinstance(message, StateGone):
            self._lost = True
        elif isinstance(message, Finished):
            self._end()

    def _end(self) -> None:
        """Remember what has no answer, so that it is not asked for ever.

        Where a state was gone from the store, it is embedded and asked again.
        """
        if not self._lost:
            unanswered = self._in_flight.keys() - self._maps.keys()
            self._unanswerable |= {key: self._in_flight[key] for key in unanswered}
        self._same_scores.clear()
        self._stop()


def _has_same_scores(one: Question, other: Question) -> bool:
    """Whether two questions differ in their thresholds at most."""
    return replace(one, thresholds=()) == replace(other, thresholds=())

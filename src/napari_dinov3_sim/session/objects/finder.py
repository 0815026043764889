"""The objects of all planes, kept up to date in the background."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.objects.guide import may_have_edges
from napari_dinov3_sim.core.objects.labelling import ObjectRules
from napari_dinov3_sim.session.objects.options import ObjectOptions, pixel_area
from napari_dinov3_sim.session.objects.pixel_scores import (
    PixelScores,
    SearchedPlane,
)
from napari_dinov3_sim.session.objects.plane_objects import (
    ObjectRequest,
    PlaneObjects,
    find_objects,
)
from napari_dinov3_sim.session.worker_messages import Computed, Failure, Finished, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from napari.layers import Image

    from napari_dinov3_sim.session.embedding.embedder import Embedder
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.runner import CancelToken, Receive, Runner

TOO_LARGE = (
    "{name} has too many pixels for objects with edges; its objects are outlined along patches."
)


PAUSE = 0.3
"""Seconds between two messages: each has the window drawn again, which costs more than to find
the objects of a plane."""

SETTLE = 0.2
"""Seconds without a new answer before edges are looked for again, after an answer that came before
the edges of the last one were found: a point is being dragged, and more will follow."""


@dataclass(frozen=True, eq=False)
class ObjectJob:
    """Finds the objects of planes, one after the other."""

    requests: tuple[ObjectRequest, ...]
    scores: PixelScores
    wait: float
    """Seconds in which the job may still be cancelled before it begins."""

    def __call__(self, post: Receive, token: CancelToken) -> None:
        """Send `Computed` with what was found since the last one; planes that are shown first."""
        if token.wait(self.wait):
            return
        found: list[PlaneObjects] = []
        sent = time.monotonic()
        rest = [*(request.shown for request in self.requests[1:]), False]
        for request, more_shown in zip(self.requests, rest, strict=True):
            if token.cancelled:
                break
            found.append(self._find(request))
            last_shown = request.shown and not more_shown
            if last_shown or time.monotonic() - sent >= PAUSE:
                post(Computed(tuple(found)))
                found, sent = [], time.monotonic()
        if found:
            post(Computed(tuple(found)))

    def _find(self, request: ObjectRequest) -> PlaneObjects:
        try:
            return find_objects(request, self.scores)
        except Exception as error:  # no memory, say; the other planes may well fare better
            self.scores.give_up(request.searched, error)
            return find_objects(request, self.scores)


class ObjectFinder:
    """Knows what is found in each plane, and runs at most one job that finds what is new.

    While a threshold is dragged, the job goes on with what is shown, newer requests wait, and
    only the newest of them are kept: so contours follow the mouse, and no queue builds up. While a
    point is dragged, answers overtake the job, and it waits for the mouse to rest: edges would
    take the processor from the heatmaps that follow the mouse.

    Parameters
    ----------
    runner : Runner
    embedder : Embedder
    image_of : callable
        Returns an image layer by its id, or None.
    changed : callable
        Bound method, called on the main thread when something was found.
    tell : callable
        Called with a sentence for the user.
    fail : callable
        Called with a `Failure`.

    Attributes
    ----------
    options : ObjectOptions
    scores : PixelScores
    pending : bool
        Whether something is being found.
    """

    def __init__(
        self,
        runner: Runner,
        embedder: Embedder,
        image_of: Callable[[Hashable], Image | None],
        *,
        changed: Callable[[], None],
        tell: Callable[[str], None],
        fail: Callable[[Failure], None],
    ) -> None:
        self._runner, self._embedder, self._image_of = runner, embedder, image_of
        self._changed, self._tell, self._fail = changed, tell, fail
        self.options, self.scores = ObjectOptions(), PixelScores()
        self._wanted: dict[tuple[PlaneKey, str], ObjectRequest] = {}
        self._found: dict[tuple[PlaneKey, str], PlaneObjects] = {}
        self._job, self._waiting, self.pending = 0, False, False
        self._token: CancelToken | None = None
        self._in_flight: dict[tuple[PlaneKey, str], ObjectRequest] = {}
        self._overtaken = False
        self._told: set[tuple[Hashable, str]] = set()

    def searched(
        self, plane: Plane, keys: Iterable[PlaneKey], options: ObjectOptions | None = None
    ) -> dict[PlaneKey, SearchedPlane]:
        """Return planes of an image with what is needed to find their objects.

        Parameters
        ----------
        plane : Plane
            One of them.
        keys : iterable of PlaneKey
        options : ObjectOptions, optional
            By default those in force.
        """
        chosen = self.options if options is None else options
        edges, rules = chosen.outline == "edges", self._rules(plane, chosen)
        if edges and not may_have_edges(plane.embedded_shape, plane.stack_size):
            edges = False
            self._tell_once(plane, TOO_LARGE.format(name=plane.name))
        searched = {}
        for key in keys:
            handle, windows = self._embedder.handle(key), self._embedder.windows(key)
            digest = "" if handle is None else handle.digest
            may = edges and windows is not None
            searched[key] = SearchedPlane(replace(plane, key=key), digest, windows, rules, may)
        return searched

    def _rules(self, plane: Plane, options: ObjectOptions) -> ObjectRules:
        image = self._image_of(plane.key.layer_id)
        area = None if image is None else pixel_area(image, plane.key.axes)
        try:
            return options.rules(area)
        except SimilarityError as error:
            self._tell_once(plane, f"{plane.name}: {error}")
            return ObjectRules(split=options.split)

    def _tell_once(self, plane: Plane, sentence: str) -> None:
        if (plane.key.layer_id, sentence) not in self._told:
            self._told.add((plane.key.layer_id, sentence))
            self._tell(sentence)

    def of(self, key: PlaneKey, class_name: str) -> PlaneObjects | None:
        """Return what was found last of a class in a plane; None if nothing was looked for."""
        return self._found.get((key, class_name))

    def update(self, requests: Iterable[ObjectRequest]) -> None:
        """Have found what is requested; what is known is not looked for again.

        Parameters
        ----------
        requests : iterable of ObjectRequest
            Of all planes that are answered; what was found in others is forgotten.
        """
        self._wanted = {request.key: request for request in requests}
        self._found = {key: found for key, found in self._found.items() if key in self._wanted}
        missing = self._missing()
        for key, request in missing.items():
            if not request.searched.edges:  # patches are few, and follow at once
                self._found[key] = find_objects(request, self.scores)
        if not self.pending:
            self._start()
        elif missing:
            self._waiting = True
            self._overtaken |= self._is_overtaken()
            self._make_way()

    def forget(self) -> None:
        """Give up what is under way."""
        if self._token is not None:
            self._token.cancel()
        self._token, self.pending, self._job = None, False, self._job + 1
        self._wanted, self._found, self._overtaken = {}, {}, False

    def _is_overtaken(self) -> bool:
        """Whether another answer has come since to what is being looked at."""
        wanted, in_flight = self._wanted, self._in_flight
        return any(
            key in wanted and wanted[key].cosine is not request.cosine
            for key, request in in_flight.items()
        )

    def _missing(self) -> dict[tuple[PlaneKey, str], ObjectRequest]:
        found = self._found
        return {
            key: request
            for key, request in self._wanted.items()
            if key not in found or not found[key].answers(request)
        }

    def _start(self) -> None:
        wait, self._overtaken = SETTLE if self._overtaken else 0.0, False
        missing = [one for one in self._missing().values() if one.searched.edges]
        if not missing:
            return
        ordered = tuple(sorted(missing, key=lambda request: not request.shown))
        self._in_flight = {request.key: request for request in ordered}
        self._job, self.pending, self._waiting = self._job + 1, True, False
        number = self._job
        receive = partial(self._receive, number)
        token = self._runner.submit("objects", ObjectJob(ordered, self.scores, wait), receive)
        if number == self._job and self.pending:
            self._token = token

    def _make_way(self) -> None:
        """Give up planes out of sight, and what another answer has overtaken, for what waits."""
        shown = any(request.shown for request in self._in_flight.values())
        if self._waiting and self._token is not None and (self._overtaken or not shown):
            self._token.cancel()

    def _receive(self, number: int, message: Message) -> None:
        if number != self._job:
            return
        if isinstance(message, Computed) and isinstance(message.value, tuple):
            self._take(message.value)
            self._make_way()
        elif isinstance(message, Failure):
            self._fail(message)
        elif isinstance(message, Finished):
            self._token, self.pending = None, False
            if self._waiting:
                self._start()
            self._changed()  # whoever waits for the end hears of it

    def _take(self, found: Iterable[PlaneObjects]) -> None:
        drawn = False
        for one in found:
            key = one.request.key
            self._in_flight.pop(key, None)
            if one.problem:
                self._tell_once(one.request.searched.plane, one.problem)
            if key in self._wanted:  # also for an older threshold: contours follow the mouse
                self._found[key] = one
                drawn |= one.request.shown
        if drawn:
            self._changed()

"""The job that answers a question: every target plane compared with every class."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.images.patch_array import create_layer_data
from napari_dinov3_sim.session.worker_messages import (
    Answered,
    AnswerSummary,
    Failure,
    LayerReady,
    MapReady,
    PlaneMaps,
    StateGone,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.images.levels import Position
    from napari_dinov3_sim.core.search.combine import ClassQuery
    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.session.answering.query_vectors import Backgrounds
    from napari_dinov3_sim.session.answering.question import Question
    from napari_dinov3_sim.session.images.planes import LayerAxes, PlaneKey
    from napari_dinov3_sim.session.runner import CancelToken, Receive
    from napari_dinov3_sim.session.worker_messages import StateHandle
    from napari_dinov3_sim.store import EmbeddingStore

HISTOGRAM_BINS = 200
"""From cosine -1 to 1."""

PAUSE = 0.3
"""Seconds between two looks at a stack whose hidden planes are being answered."""

TOGETHER = 100
"""So many images are given their answer at once; of more, the window would stand still."""


@dataclass(frozen=True)
class TargetPlane:
    """A plane to be compared.

    Attributes
    ----------
    key : PlaneKey
    handle : StateHandle
    shape : tuple of int
        Shape of its layer at level 0, without channels.
    visible : bool
        Whether it is shown now.
    """

    key: PlaneKey
    handle: StateHandle
    shape: tuple[int, ...]
    visible: bool


@dataclass(frozen=True, eq=False)
class AnswerJob:
    """Compare the picks with every target, those that are seen first.

    Attributes
    ----------
    question : Question
    targets : tuple of TargetPlane
        In the order wanted, the visible ones first.
    known : mapping of PlaneKey to PlaneMaps
        Answers to the same question for other planes of the same layers.
    store : EmbeddingStore
    backgrounds : mutable mapping of PatchImageState to ndarray
        Kept from one question to the next.
    smooth : bool
        Whether heatmaps change gradually from patch to patch.
    shown : mapping of LayerAxes to frozenset of str
        The classes that there are heatmaps of. An answer with another class is sent by itself,
        because napari needs much longer to make a layer than to change one.
    """

    question: Question
    targets: tuple[TargetPlane, ...]
    known: Mapping[PlaneKey, PlaneMaps] = field(repr=False)
    store: EmbeddingStore
    backgrounds: Backgrounds = field(repr=False)
    smooth: bool = False
    shown: Mapping[LayerAxes, frozenset[str]] = field(default_factory=dict, repr=False)

    def __call__(self, post: Receive, token: CancelToken) -> None:
        """Send `Answered`, once for all planes that are seen where that can be drawn at once."""
        from napari_dinov3_sim.session.answering.query_vectors import build_class_queries

        states = {key: handle.fetch(self.store) for key, handle in self.question.states}
        gone = [key for key, state in states.items() if state is None]
        for key in gone:
            post(StateGone(key))
        if gone:
            return
        found = {key: state for key, state in states.items() if state is not None}
        classes = build_class_queries(self.question, found, self.backgrounds)
        if classes:
            _AnswerRun(self, classes, post, token).run()


class _AnswerRun:
    """One pass over the targets, and what has been answered since the last message."""

    def __init__(
        self, job: AnswerJob, classes: Sequence[ClassQuery], post: Receive, token: CancelToken
    ) -> None:
        self._job, self._classes, self._post, self._token = job, classes, post, token
        self._planes: dict[LayerAxes, dict[Position, PlaneMaps]] = {}
        for key, maps in job.known.items():
            self._planes.setdefault(key.layer, {})[key.indices] = maps
        self._shapes = {target.key.layer: target.shape for target in job.targets}
        self._names = frozenset(one.name for one in classes)
        self._maps: list[MapReady] = []
        self._changed: dict[LayerAxes, None] = {}
        self._sent = time.monotonic()

    def run(self) -> None:
        visible = [target for target in self._job.targets if target.visible]
        hidden = [target for target in self._job.targets if not target.visible]
        for target in visible:
            if self._token.cancelled:
                return
            self._compare(target)
            shown = self._job.shown.get(target.key.layer, frozenset())
            if not self._names <= shown or len(self._changed) >= TOGETHER:
                self._send()
        self._send(self._summary())
        for target in hidden:
            if self._token.cancelled:
                return
            self._compare(target)
            if time.monotonic() - self._sent >= PAUSE:
                self._send()
        if hidden:
            self._send(self._summary())

    def _compare(self, target: TargetPlane) -> None:
        state = target.handle.fetch(self._job.store)
        if state is None:
            self._post(StateGone(target.key))
            return
        try:
            maps = self._score(state)
        except Exception as error:  # the other targets still have their answers
            self._post(Failure.of(error, "plane", target.key))
            return
        self._planes.setdefault(target.key.layer, {})[target.key.indices] = maps
        self._changed[target.key.layer] = None
        self._maps.append(MapReady(target.key, target.handle, maps))

    def _score(self, state: PatchImageState) -> PlaneMaps:
        from napari_dinov3_sim.core.search.combine import score_classes

        scored = score_classes(self._classes, state, self._job.question.combination)
        return PlaneMaps(
            state.grid, {k.name: m.cosine for k, m in zip(self._classes, scored, strict=True)}
        )

    def _send(self, summary: AnswerSummary | None = None) -> None:
        """Send what was not sent yet, and the layers that show it."""
        layers = tuple(self._layer_ready(layer) for layer in self._changed)
        maps, self._maps = tuple(self._maps), []
        self._changed, self._sent = {}, time.monotonic()
        if maps or summary is not None:
            self._post(Answered(maps, layers, summary))

    def _layer_ready(self, layer: LayerAxes) -> LayerReady:
        planes = self._planes[layer]
        grid, shape = next(iter(planes.values())).grid, self._shapes[layer]
        heatmaps = {
            class_query.name: create_layer_data(
                {at: maps.cosines[class_query.name] for at, maps in planes.items()},
                grid,
                layer,
                shape,
                smooth=self._job.smooth,
                by_pixel=False,
            )
            for class_query in self._classes
        }
        if len(self._classes) < 2:
            return LayerReady(layer, heatmaps, None)
        class_maps = {at: self._class_map(maps) for at, maps in planes.items()}
        class_map = create_layer_data(class_maps, grid, layer, shape, fill=0)
        return LayerReady(layer, heatmaps, class_map)

    def _class_map(self, maps: PlaneMaps) -> NDArray[np.uint8 | np.uint16]:
        from napari_dinov3_sim.core.search.combine import best_class
        from napari_dinov3_sim.core.search.similarity import SimilarityMap

        ordered = [
            SimilarityMap(maps.cosines[class_query.name], maps.grid)
            for class_query in self._classes
        ]
        given = dict(self._job.question.thresholds)
        return best_class(ordered, [given.get(one.name) for one in self._classes])

    def _summary(self) -> AnswerSummary:
        from napari_dinov3_sim.core.search.similarity import shared_limits

        every = self._every_maps()
        cosines = [c for maps in every for c in maps.cosines.values()]
        histograms = {
            class_query.name: sum(
                np.histogram(maps.cosines[class_query.name], HISTOGRAM_BINS, (-1.0, 1.0))[0]
                for maps in every
            )
            for class_query in self._classes
        }
        limits = shared_limits(cosines) if cosines else (0.0, 1.0)
        return AnswerSummary(limits, histograms, self._thresholds(every))  # type: ignore[arg-type]

    def _every_maps(self) -> list[PlaneMaps]:
        return [maps for planes in self._planes.values() for maps in planes.values()]

    def _thresholds(self, every: Sequence[PlaneMaps]) -> dict[str, float]:
        from napari_dinov3_sim.core.search.combine import resolve
        from napari_dinov3_sim.core.search.similarity import SimilarityMap
        from napari_dinov3_sim.core.search.thresholds import automatic_threshold

        if not every:
            return {}
        negatives = sum(len(one.negatives) for one in self._classes)
        chosen = resolve(self._job.question.combination, negatives)
        return {
            one.name: automatic_threshold(
                one,
                [SimilarityMap(maps.cosines[one.name], maps.grid) for maps in every],
                chosen,
            )
            for one in self._classes
        }

"""The job that answers a question: every target plane compared with every class."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.images.patch_array import create_layer_data
from napari_dinov3_sim.session.worker_messages import (
    Answered,
    Failure,
    LayerReady,
    MapReady,
    PlaneMaps,
    StateGone,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

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
    """

    question: Question
    targets: tuple[TargetPlane, ...]
    known: Mapping[PlaneKey, PlaneMaps] = field(repr=False)
    store: EmbeddingStore
    backgrounds: Backgrounds = field(repr=False)
    smooth: bool = False

    def __call__(self, post: Receive, token: CancelToken) -> None:
        """Send `MapReady` for each plane, `LayerReady` for each layer, then `Answered`."""
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
    """One pass over the targets, and the layers that have changed since they were last sent."""

    def __init__(
        self, job: AnswerJob, classes: Sequence[ClassQuery], post: Receive, token: CancelToken
    ) -> None:
        self._job, self._classes, self._post, self._token = job, classes, post, token
        self._maps: dict[PlaneKey, PlaneMaps] = dict(job.known)
        self._shapes = {target.key.layer: target.shape for target in job.targets}
        self._changed: dict[LayerAxes, None] = {}
        self._sent = time.monotonic()

    def run(self) -> None:
        visible = [target for target in self._job.targets if target.visible]
        hidden = [target for target in self._job.targets if not target.visible]
        if not self._answer(visible, pause=0.0):
            return
        self._post(self._summary())
        if hidden and self._answer(hidden, pause=PAUSE):
            self._post(self._summary())

    def _answer(self, targets: Iterable[TargetPlane], *, pause: float) -> bool:
        """Answer planes; return whether that was not cancelled."""
        for target in targets:
            if self._token.cancelled:
                return False
            self._compare(target)
            if time.monotonic() - self._sent >= pause:
                self._send_layers()
        self._send_layers()
        return not self._token.cancelled

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
        self._maps[target.key] = maps
        self._changed[target.key.layer] = None
        self._post(MapReady(target.key, target.handle, maps))

    def _score(self, state: PatchImageState) -> PlaneMaps:
        from napari_dinov3_sim.core.search.combine import score_classes

        scored = score_classes(self._classes, state, self._job.question.combination)
        return PlaneMaps(
            state.grid, {k.name: m.cosine for k, m in zip(self._classes, scored, strict=True)}
        )

    def _send_layers(self) -> None:
        changed, self._changed, self._sent = self._changed, {}, time.monotonic()
        for layer in changed:
            self._post(self._layer_ready(layer))

    def _layer_ready(self, layer: LayerAxes) -> LayerReady:
        planes = {key.indices: maps for key, maps in self._maps.items() if key.layer == layer}
        grid, shape = next(iter(planes.values())).grid, self._shapes[layer]
        heatmaps = {
            class_query.name: create_layer_data(
                {at: maps.cosines[class_query.name] for at, maps in planes.items()},
                grid,
                layer,
                shape,
                smooth=self._job.smooth,
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

    def _summary(self) -> Answered:
        from napari_dinov3_sim.core.search.similarity import shared_limits

        cosines = [c for maps in self._maps.values() for c in maps.cosines.values()]
        histograms = {
            class_query.name: sum(
                np.histogram(maps.cosines[class_query.name], HISTOGRAM_BINS, (-1.0, 1.0))[0]
                for maps in self._maps.values()
            )
            for class_query in self._classes
        }
        limits = shared_limits(cosines) if cosines else (0.0, 1.0)
        return Answered(limits, histograms, self._thresholds())  # type: ignore[arg-type]

    def _thresholds(self) -> dict[str, float]:
        from napari_dinov3_sim.core.search.combine import resolve
        from napari_dinov3_sim.core.search.similarity import SimilarityMap
        from napari_dinov3_sim.core.search.thresholds import automatic_threshold

        if not self._maps:
            return {}
        negatives = sum(len(one.negatives) for one in self._classes)
        chosen = resolve(self._job.question.combination, negatives)
        return {
            one.name: automatic_threshold(
                one,
                [SimilarityMap(maps.cosines[one.name], maps.grid) for maps in self._maps.values()],
                chosen,
            )
            for one in self._classes
        }

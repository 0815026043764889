"""Keeps heatmaps true to what is open, shown and clicked."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_dinov3_sim.session.answer_job import TargetPlane
from napari_dinov3_sim.session.answers import Answers
from napari_dinov3_sim.session.atlas import Atlas
from napari_dinov3_sim.session.embedder import Embedder
from napari_dinov3_sim.session.looking import Looking
from napari_dinov3_sim.session.messages import (
    Answered,
    Failure,
    Finished,
    LayerReady,
    Message,
    ModelKnown,
    ModelLoaded,
    Notice,
    PlaneEmbedded,
    Progress,
    StateGone,
)
from napari_dinov3_sim.session.overlays import Overlays
from napari_dinov3_sim.session.palette import Palette
from napari_dinov3_sim.session.point_features import Role
from napari_dinov3_sim.session.queries import QueryPoints
from napari_dinov3_sim.session.questions import LabelsPick, Pick, Question
from napari_dinov3_sim.session.regions import Regions
from napari_dinov3_sim.session.results import Results
from napari_dinov3_sim.session.sources import IGNORED, NEW
from napari_dinov3_sim.session.status import Situation, describe
from napari_dinov3_sim.session.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from queue import SimpleQueue

    import numpy as np
    from napari.components import ViewerModel
    from napari.layers import Image, Points
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.combine import Combination
    from napari_dinov3_sim.core.recipe import Recipe
    from napari_dinov3_sim.core.saved_query import SavedQuery
    from napari_dinov3_sim.core.state import Backbone
    from napari_dinov3_sim.session.embed_job import LoadModel
    from napari_dinov3_sim.session.look import Look
    from napari_dinov3_sim.session.planes import Plane, PlaneKey, WindowKey
    from napari_dinov3_sim.session.questions import AnyPick, PickSource
    from napari_dinov3_sim.session.runner import CancelToken, Receive, Runner
    from napari_dinov3_sim.session.survey import Place
    from napari_dinov3_sim.store import EmbeddingStore


AHEAD = 128
"""Planes out of sight that are dealt with at a time: every refresh looks at all of them."""


@dataclass(frozen=True)
class _Found:
    """What was clicked, and which pixels were open, when the session began."""

    picks: tuple[AnyPick, ...]
    combination: Combination
    versions: Mapping[Hashable, int]


class Coordinator:
    """Turns what happens in the viewer into questions, and answers into layers.

    Everything here runs on the thread that owns the layers.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    runner : Runner
    store : EmbeddingStore
    notices : SimpleQueue of str
        What other threads have to tell the user.
    recipe : Recipe
    load_model : callable
        Loads a backbone by name, in the worker.
    look : Look
    """

    status_changed = Signal(str)
    progressed = Signal(object)
    failed = Signal(object)
    noticed = Signal(str)
    listed = Signal()
    answered = Signal()
    model_changed = Signal()
    restyled = Signal()
    queried = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        runner: Runner,
        store: EmbeddingStore,
        notices: SimpleQueue[str],
        recipe: Recipe,
        load_model: LoadModel,
        look: Look,
    ) -> None:
        self._viewer, self._runner, self._notices = viewer, runner, notices
        self._closed = self._dirty = self._refreshing = False
        self._images_known = 0
        self._queries_due = True
        self._status = ""
        self._failures: list[Failure] = []
        self._told: set[tuple[str, WindowKey | None]] = set()
        self._combination: Combination = "auto"
        self._threshold: float | None = None
        self._all_planes = False
        self._picks: tuple[AnyPick, ...] = ()
        self._found: _Found | None = None
        self._histograms: Mapping[str, NDArray[np.intp]] = {}
        self._palette = Palette()
        self._overlays = Overlays(viewer, look, self._palette)
        self._embedder = Embedder(runner, load_model, store, recipe, self._on_message)
        self._answers = Answers(runner, store, self._on_answer)
        self._queries = QueryPoints(viewer, self._on_points, self._palette)
        self._targets = Targets(viewer, self._on_listed, self._on_moved, self._schedule)
        self._atlas = Atlas(viewer, self._targets, self._embedder, self._answers)
        self.regions = Regions(self._atlas, self._palette, self._on_points)
        self.results = Results(
            self._atlas,
            runner,
            store,
            self._palette,
            threshold=lambda: self._threshold,
            fail=self._on_failure,
            adopt=self._adopt_query,
        )
        self._pick_sources: list[PickSource] = [self.regions, self.results.saved]
        self._looking = Looking(viewer, self._atlas, self._overlays, self._palette, self._schedule)
        viewer.dims.events.connect(self._on_dims)
        self._warm = "pandas" in sys.modules
        if not self._warm:
            runner.submit("answer", _warm_up, self._on_warm)

    @property
    def backbone(self) -> Backbone | None:
        """The loaded model, or None before it is first needed."""
        return self._embedder.backbone

    @property
    def model(self) -> str:
        """Name of the model, loaded or not; empty if none is chosen."""
        return self._embedder.model

    @property
    def queries(self) -> Points | None:
        """The Points layer that is listened to; None before the first image is opened."""
        return self._queries.layer

    @property
    def images(self) -> list[Image]:
        """All image layers of the viewer that could be searched, the bottom one first."""
        return [record.layer for record in self._targets.records()]

    @property
    def targets(self) -> list[Image]:
        """The image layers that are searched."""
        return self._targets.layers()

    @property
    def busy(self) -> bool:
        """Whether something is being embedded or answered."""
        working = self._embedder.busy or self._answers.pending or not self._warm
        return working and not self._closed

    @property
    def status(self) -> str:
        """One line that says what is going on and what to do next."""
        return self._status

    # -- what happens in the viewer -------------------------------------------------------

    def _on_points(self) -> None:
        self._embedder.retry()
        self._schedule()

    def _adopt_query(self, query: SavedQuery | None) -> None:
        """Ask a saved query as it was asked when it was saved; points to come refine it."""
        if query is not None:
            self._combination = query.combination
            self._overlays.heatmaps.recolour()
            if not len(self._queries):
                self._queries.set_role(Role(query.kinds[0].name, self._queries.role.positive))
        self._on_points()

    def _on_listed(self) -> None:
        known, self._images_known = self._images_known, len(self._targets.records())
        if self._images_known > known:
            self._queries_due = True
        self.listed.emit()

    def _on_moved(self, image: Image, what: str) -> None:
        if what == "visible":
            self._overlays.follow_visibility(image, self._atlas.visible(image))
        else:
            self._overlays.follow(image)
        self._looking.follow(image, what)

    def _on_dims(self, event: Any) -> None:
        if event.type in ("point", "order", "ndisplay", "ndim", "current_step"):
            self._schedule()

    def _schedule(self) -> None:
        if not self._closed:
            self._dirty = True
            self._runner.call_soon(self._refresh)

    # -- from the state of the viewer to a question ----------------------------------------

    def _refresh(self) -> None:
        """Bring everything in line with what is open, shown and clicked now.

        What a refresh itself changes (units of the Points layer, say) tells of several changes
        one by one; they are looked at together, when it is done.
        """
        if self._refreshing:
            return
        self._refreshing = True
        try:
            while self._dirty and not self._closed:
                self._dirty = False
                self._refresh_once()
        finally:
            self._refreshing = False

    def _refresh_once(self) -> None:
        self._queries.check_layer()
        if self._queries_due and self._warm:
            self._make_queries()
        for sentence in self._targets.part_diverged():
            self.noticed.emit(sentence)
        shown = {plane.key: plane for plane in self._targets.planes()}
        picks, picked = self._find_picks()
        if picks != self._picks:
            self._looking.forget_match()
        self._picks = picks
        self._queries.draw()
        hidden = self._hidden_planes(shown.values())
        self._embedder.retain(picked | shown, hidden, self._targets.versions())
        question = self._make_question(picked)
        wanted = picked | self._without_answer(question, shown) | hidden
        self._embedder.request(wanted.values() if self._picks else ())
        self._ask(question, shown, hidden)
        self._drop_untrue()
        if self._histograms and not (self._answers.pending or self._answers.planes()):
            self._histograms = {}
            self.answered.emit()
        self._overlays.restack(self._targets.tops())
        self._looking.outline(picks, picked)
        self._looking.arrange(self._queries.owners)
        self.queried.emit()
        self._announce()

    def _make_queries(self) -> None:
        targets = self.targets
        if targets:
            self._queries_due = False
            self._queries.ensure(targets[-1])
            self._queries.raise_to_top()
            self._embedder.warm_up()

    def _hidden_planes(self, shown: Iterable[Plane]) -> dict[PlaneKey, Plane]:
        """Return the next planes out of sight that are to be answered and have not been yet."""
        if not (self._all_planes and self._picks):
            return {}
        due = (p for p in self._targets.other_planes(shown) if self._is_due(p.key))
        return {plane.key: plane for plane in islice(due, AHEAD)}

    def _is_due(self, key: PlaneKey) -> bool:
        if self._answers.known(key) is not None or self._answers.has_given_up(key):
            return False
        return self._embedder.is_coming(key)

    def _find_picks(self) -> tuple[tuple[AnyPick, ...], dict[PlaneKey, Plane]]:
        """Return everything that is picked, and the planes it lies on."""
        places: dict[int, Place] = {}
        survey = self._targets.survey()

        def image_of(
            number: int, world: NDArray[np.float64], remembered: Hashable | None
        ) -> Hashable | None:
            if remembered is IGNORED or (remembered is NEW and self._clicks_mean_nothing):
                return IGNORED
            if remembered is NEW and self._looking.is_click(world):
                place = self._looking.place_at(world)
            else:
                place = survey.locate(world, remembered)
            if place is None:
                return None
            places[number] = place
            return place.plane.key.layer_id

        located = self._queries.locate(image_of)
        picks: tuple[AnyPick, ...] = tuple(
            Pick(
                at.plane.key, at.x, at.y, located[number].role.kind, located[number].role.positive
            )
            for number, at in places.items()
        )
        planes = {at.plane.key: at.plane for at in places.values()}
        hovered = self._looking.hovered
        if hovered is not None:
            pick = Pick(hovered.plane.key, hovered.x, hovered.y, self._queries.role.kind)
            return (pick,), {hovered.plane.key: hovered.plane}
        for source in self._pick_sources:
            more, on = source.picks()
            picks, planes = picks + more, planes | dict(on)
        return picks, planes

    @property
    def _clicks_mean_nothing(self) -> bool:
        """In 3-D a click lands mid-plane; in the grid all images lie at the same place."""
        grid = bool(self._viewer.canvas.grid.enabled) and not self._looking.side_by_side
        return self._viewer.dims.ndisplay == 3 or grid

    def _make_question(self, picked: Iterable[PlaneKey]) -> Question | None:
        """Return what is asked now; None while something that was picked is not embedded."""
        states = tuple((key, self._embedder.handle(key)) for key in picked)
        known = tuple((key, handle) for key, handle in states if handle is not None)
        if not self._picks or len(known) < len(states):
            return None
        threshold = self._threshold if self._has_several_kinds() else None
        return Question(self._picks, known, self._combination, threshold)

    def _without_answer(
        self, question: Question | None, shown: Mapping[PlaneKey, Plane]
    ) -> dict[PlaneKey, Plane]:
        """Return the planes that must be embedded: an answer is kept longer than embeddings."""
        if question is not None and question == self._answers.asked == self._answers.question:
            return {k: plane for k, plane in shown.items() if self._answers.known(k) is None}
        return dict(shown)

    def _ask(
        self,
        question: Question | None,
        shown: Mapping[PlaneKey, Plane],
        hidden: Mapping[PlaneKey, Plane],
    ) -> None:
        if question is None or not shown:
            self._answers.forget()
            return
        targets = tuple(self._target_planes(shown, visible=True))
        targets += tuple(self._target_planes(hidden, visible=False))
        self._answers.retain({key.layer for key in shown})
        self._answers.ask(question, targets)

    def _has_several_kinds(self) -> bool:
        labelled = any(isinstance(pick, LabelsPick) for pick in self._picks)
        return labelled or len({getattr(pick, "kind", pick) for pick in self._picks}) > 1

    def _target_planes(
        self, planes: Mapping[PlaneKey, Plane], *, visible: bool
    ) -> Iterable[TargetPlane]:
        for key, plane in planes.items():
            handle = self._embedder.handle(key)
            if handle is not None:
                yield TargetPlane(key, handle, plane.shape, visible)

    def _drop_untrue(self) -> None:
        """Remove layers that no longer say anything about their image.

        While work is under way, those of an earlier question stay until their answer comes.
        Those that an earlier session left stay too, and, as long as what is clicked is what it
        was then, until something is asked.
        """
        records = {image.unique_id: self._targets.get(image.unique_id) for image in self.targets}
        versions = {image_id: record.version for image_id, record in records.items() if record}
        if self._found is None:
            self._found = _Found(self._picks, self._combination, versions)
        as_found = (self._picks, self._combination) == (self._found.picks, self._found.combination)
        self._overlays.drop_untrue(
            versions,
            self._found.versions if as_found else {},
            self._answers.asked if self._picks else None,
            asking=bool(self._picks),
            busy=self.busy,
        )

    # -- from workers back to layers --------------------------------------------------------

    def _pass_on_notices(self) -> None:
        while not self._notices.empty():
            self.noticed.emit(self._notices.get())

    def _on_answer(self, message: Message) -> None:
        self._pass_on_notices()
        if isinstance(message, LayerReady):
            self._show(message)
        elif isinstance(message, StateGone):
            self._embedder.lost(message.plane)
        elif isinstance(message, Answered):
            self._histograms = message.histograms
            self._overlays.heatmaps.rescale(message.limits)
            self._queries.raise_to_top()
            self.answered.emit()
        elif isinstance(message, Failure):
            self._on_failure(message)
        elif isinstance(message, Finished):
            self._schedule()
            self._announce()

    def _show(self, message: LayerReady) -> None:
        record = self._targets.get(message.layer.layer_id)
        question = self._answers.question
        # The pixels may have been replaced since, and the refresh may still be due.
        if record is None or question is None or record.version != message.layer.version:
            return
        above = self._atlas.top(record.layer.unique_id) or record.layer
        self._overlays.show(record.layer, above, message, question, self.model)
        if record.merged is not None:  # a new layer is hidden with the first channel alone
            self._overlays.follow_visibility(record.layer, record.visible)

    def _on_warm(self, message: Message) -> None:
        if isinstance(message, Finished):
            self._warm = True
            self._schedule()

    def _on_failure(self, failure: Failure) -> None:
        # For `wait`; in a window nobody waits, and the list must not grow for ever.
        self._failures = [*self._failures[-9:], failure]
        told = (failure.message, failure.plane.window_key if failure.plane else None)
        # Every plane of a broken stack fails alike; once is enough.
        if told not in self._told:
            self._told.add(told)
            self.failed.emit(failure)

    def _on_message(self, message: Message) -> None:
        self._pass_on_notices()
        if isinstance(message, Progress):
            self.progressed.emit(message)
        elif isinstance(message, Notice):
            self.noticed.emit(message.message)
        elif isinstance(message, Failure):
            self._on_failure(message)
        elif isinstance(message, ModelKnown | ModelLoaded):
            self.model_changed.emit()
            self._schedule()
        elif isinstance(message, PlaneEmbedded):
            self._schedule()
        elif isinstance(message, Finished):
            if not self._embedder.busy:
                self.progressed.emit(None)
            self._schedule()

    def _announce(self) -> None:
        if self._closed:
            return
        status = describe(self._situation())
        if status != self._status:
            self._status = status
            self.status_changed.emit(status)

    def _situation(self) -> Situation:
        planes = self._targets.planes()
        return Situation(
            images=len(self.images),
            targets=len(self.targets),
            planes=len(planes),
            points=len(self._queries),
            outside=self._queries.outside,
            ignored=self._queries.ignored,
            embedded=sum(self._embedder.handle(plane.key) is not None for plane in planes),
            levels=tuple(
                f"{plane.name} is searched at level {plane.level}."
                for plane in planes
                if plane.level
            ),
            model=self.model,
            three_d=self._viewer.dims.ndisplay == 3,
            grid=bool(self._viewer.canvas.grid.enabled) and not self._looking.side_by_side,
            busy=self.busy,
            model_failed=self._embedder.model_failed,
            answered=len(self._overlays.heatmaps.items()),
            regions=self.regions.count,
            regions_outside=self.regions.outside,
            saved=self.results.saved.count,
        )


def _warm_up(post: Receive, token: CancelToken) -> None:
    """Import what napari imports at its first Points layer: half a second, off the window."""
    del post, token
    import_module("pandas")

"""Keeps heatmaps true to what is open, shown and clicked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_dinov3_sim.session.answering.answers import Answers
from napari_dinov3_sim.session.embedding.embedder import Embedder
from napari_dinov3_sim.session.embedding.model_loading import LibraryPreload
from napari_dinov3_sim.session.images.targets import Targets
from napari_dinov3_sim.session.interaction.interaction import Interaction
from napari_dinov3_sim.session.layers.overlays import Overlays, StaleLayerRemover
from napari_dinov3_sim.session.layers.style import Palette
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
from napari_dinov3_sim.session.query.point_features import PointRole
from napari_dinov3_sim.session.query.points import QueryPoints
from napari_dinov3_sim.session.query.question_builder import PickCollector, QuestionBuilder
from napari_dinov3_sim.session.query.regions import Regions
from napari_dinov3_sim.session.results.results import Results
from napari_dinov3_sim.session.scene import Scene
from napari_dinov3_sim.session.status import FailureLog, StatusReporter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from queue import SimpleQueue

    import numpy as np
    from napari.components import ViewerModel
    from napari.layers import Image, Points
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.core.protocols import Backbone
    from napari_dinov3_sim.core.search.combine import Combination
    from napari_dinov3_sim.core.search.saved_query import SavedQuery
    from napari_dinov3_sim.session.answering.question import AnyPick
    from napari_dinov3_sim.session.embedding.model_loading import LoadModel
    from napari_dinov3_sim.session.images.planes import WindowKey
    from napari_dinov3_sim.session.layers.style import HeatmapStyle
    from napari_dinov3_sim.session.query.question_builder import Planes
    from napari_dinov3_sim.session.runner import Runner
    from napari_dinov3_sim.store import EmbeddingStore


class MessageHandler:
    """Takes the messages of jobs, on the thread that owns the layers.

    Parameters
    ----------
    signals : SessionSignals
    scene : Scene
    overlays : Overlays
    queries : QueryPoints
    mishaps : FailureLog
    notices : SimpleQueue of str
        What other threads have to tell the user.
    changed : callable
        Bound method, called when there may be something else to ask.

    Attributes
    ----------
    histograms : mapping of str to ndarray of int
        How many patches of all maps have which cosine, by class.
    """

    def __init__(
        self,
        signals: SessionSignals,
        scene: Scene,
        *,
        overlays: Overlays,
        queries: QueryPoints,
        mishaps: FailureLog,
        notices: SimpleQueue[str],
        changed: Callable[[], None],
    ) -> None:
        self._signals, self._scene = signals, scene
        self._overlays, self._queries = overlays, queries
        self._failures, self._notices, self._changed = mishaps, notices, changed
        self.histograms: Mapping[str, NDArray[np.intp]] = {}
        self._plain: set[WindowKey] = set()

    def on_embed_message(self, message: Message) -> None:
        """Take a message of a job that embeds."""
        self._pass_on_notices()
        if isinstance(message, Progress):
            self._signals.progressed.emit(message)
        elif isinstance(message, Notice):
            self._signals.noticed.emit(message.message)
        elif isinstance(message, Failure):
            self._failures.add(message)
        elif isinstance(message, ModelKnown | ModelLoaded):
            self._signals.model_changed.emit()
            self._changed()
        elif isinstance(message, PlaneEmbedded):
            self._tell_if_plain(message)
            self._changed()
        elif isinstance(message, Finished):
            if not self._scene.embedder.busy:
                self._signals.progressed.emit(None)
            self._changed()

    def _tell_if_plain(self, message: PlaneEmbedded) -> None:
        """Say once that an image shows nothing: its heatmap is bright everywhere."""
        key = message.window_key
        record = self._scene.targets.get(message.plane.layer_id)
        if message.contrast or key in self._plain or record is None:
            return
        self._plain.add(key)
        self._signals.noticed.emit(f"{record.name} has no contrast: every patch looks the same.")

    def on_answer_message(self, message: Message) -> None:
        """Take a message of a job that answers."""
        self._pass_on_notices()
        if isinstance(message, LayerReady):
            self._show(message)
        elif isinstance(message, StateGone):
            self._scene.embedder.lost(message.plane)
        elif isinstance(message, Answered):
            self.histograms = message.histograms
            self._overlays.heatmaps.rescale(message.limits)
            self._queries.raise_to_top()
            self._signals.answered.emit()
        elif isinstance(message, Failure):
            self._failures.add(message)
        elif isinstance(message, Finished):
            self._changed()

    def clear_answer(self) -> None:
        """Tell that there is no answer any more, if there was one and none is to come."""
        answers = self._scene.answers
        if self.histograms and not (answers.pending or answers.planes()):
            self.histograms = {}
            self._signals.answered.emit()

    def _pass_on_notices(self) -> None:
        while not self._notices.empty():
            self._signals.noticed.emit(self._notices.get())

    def _show(self, message: LayerReady) -> None:
        record = self._scene.targets.get(message.layer.layer_id)
        question = self._scene.answers.question
        # The pixels may have been replaced since, and the refresh may still be due.
        if record is None or question is None or record.version != message.layer.version:
            return
        above = self._scene.top(record.layer.unique_id) or record.layer
        model = self._scene.embedder.model
        self._overlays.show(record, above, message, question, model)
        if record.merged is not None:  # a new layer is hidden with the first channel alone
            self._overlays.follow_visibility(record.layer, record.visible)


class SessionSignals:
    """The signals of a session.

    Attributes
    ----------
    status_changed : psygnal.Signal of str
        One line that says what is going on.
    progressed : psygnal.Signal of Progress or None
        None at the end.
    failed : psygnal.Signal of Failure
    noticed : psygnal.Signal of str
        A sentence for the user.
    listed : psygnal.Signal
        The list of images, or a tick in it, has changed.
    answered : psygnal.Signal
        The heatmaps are up to date.
    model_changed : psygnal.Signal
        The model has changed, or its device.
    restyled : psygnal.Signal
        The look or the scaling of the heatmaps has changed.
    queried : psygnal.Signal
        What is asked may have changed.
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


class Coordinator(SessionSignals):
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
    heatmap_style : HeatmapStyle
    """

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        runner: Runner,
        store: EmbeddingStore,
        notices: SimpleQueue[str],
        recipe: Recipe,
        load_model: LoadModel,
        heatmap_style: HeatmapStyle,
    ) -> None:
        self._viewer, self._runner = viewer, runner
        self._closed = self._dirty = self._refreshing = False
        self._images_known = 0
        self._queries_due = True
        self._failures = FailureLog(self.failed.emit)
        self._combination: Combination = "auto"
        self._threshold: float | None = None
        self._all_planes = False
        self._picks: tuple[AnyPick, ...] = ()
        self._palette = Palette()
        self._overlays = Overlays(viewer, heatmap_style, self._palette)
        self._embedder = Embedder(runner, load_model, store, recipe, self._on_embedding)
        self._answers = Answers(runner, store, self._on_answer)
        self._queries = QueryPoints(viewer, self._on_points, self._palette)
        self._targets = Targets(viewer, self._on_listed, self._on_moved, self._schedule)
        self._scene = Scene(viewer, self._targets, self._embedder, self._answers)
        self.regions = Regions(self._scene, self._palette, self._on_points)
        self.results = Results(
            self._scene,
            runner,
            store,
            self._palette,
            threshold=lambda: self._threshold,
            fail=self._failures.add,
            adopt=self._adopt_query,
        )
        self._interaction = Interaction(
            viewer, self._scene, self._overlays, self._palette, self._schedule
        )
        self._pick_collector = PickCollector(
            viewer,
            self._queries,
            self._targets,
            self._interaction,
            [self.regions, self.results.saved],
        )
        self._question_builder = QuestionBuilder(self._targets, self._embedder, self._answers)
        self._handler = MessageHandler(
            self,
            self._scene,
            overlays=self._overlays,
            queries=self._queries,
            mishaps=self._failures,
            notices=notices,
            changed=self._schedule,
        )
        self._stale_layers = StaleLayerRemover(self._targets, self._answers, self._overlays)
        self._status = StatusReporter(
            self,
            self._scene,
            self._pick_collector,
            overlays=self._overlays,
            regions=self.regions,
            saved=self.results.saved,
        )
        self._warming = LibraryPreload(self._schedule)
        viewer.dims.events.connect(self._on_dims)
        for image in self.images:  # moved or hidden, maybe, since an earlier session looked
            self._on_moved(image, "affine")
            self._on_moved(image, "visible")
        self._warming.start(runner)

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
        working = self._embedder.busy or self._answers.pending or not self._warming.is_ready
        return working and not self._closed

    @property
    def status(self) -> str:
        """One line that says what is going on and what to do next."""
        return self._status.status

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
                self._queries.set_role(
                    PointRole(query.classes[0].name, self._queries.role.positive)
                )
        self._on_points()

    def _on_listed(self) -> None:
        known, self._images_known = self._images_known, len(self._targets.records())
        if self._images_known > known:
            self._queries_due = True
            self._failures.start_over()  # nobody has been told of the new one
        self.listed.emit()

    def _on_moved(self, image: Image, what: str) -> None:
        if what == "visible":
            self._overlays.follow_visibility(image, self._scene.visible(image))
        else:
            self._overlays.follow(image)
        self._interaction.follow(image, what)

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
        if self._queries_due and self._warming.is_ready:
            self._make_queries()
        for sentence in self._targets.split_diverged():
            self.noticed.emit(sentence)
        shown = {plane.key: plane for plane in self._targets.planes()}
        picks, picked = self._pick_collector.find()
        if picks != self._picks:
            self._interaction.forget_match()
        self._picks = picks
        self._queries.draw()
        self._ask(picked, shown)
        self._stale_layers.prune((picks, self._combination), busy=self.busy)
        self._handler.clear_answer()
        self._overlays.restack(self._targets.tops())
        self._interaction.outline(picks, picked)
        self._interaction.arrange(self._queries.layer, self._queries.owners)
        self.queried.emit()
        if not self._closed:
            self._status.report(shown.values(), picks, busy=self.busy, all_planes=self._all_planes)

    def _ask(self, picked: Planes, shown: Planes) -> None:
        """Have embedded what is missing, and ask about what is there."""
        picks, inquiry = self._picks, self._question_builder
        hidden = inquiry.hidden(shown.values()) if self._all_planes and picks else {}
        self._embedder.retain(picked | shown, hidden, self._targets.versions())
        question = inquiry.question(picks, picked, self._combination, self._threshold)
        wanted = picked | inquiry.unanswered(question, shown) | hidden
        self._embedder.request(wanted.values() if picks else ())
        inquiry.ask(question, shown, hidden)

    def _make_queries(self) -> None:
        targets = self.targets
        if targets:
            self._queries_due = False
            self._queries.ensure(targets[-1])
            self._queries.raise_to_top()
            self._embedder.preload()

    # -- from workers ------------------------------------------------------------------------

    def _on_embedding(self, message: Message) -> None:
        self._handler.on_embed_message(message)

    def _on_answer(self, message: Message) -> None:
        self._handler.on_answer_message(message)

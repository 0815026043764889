"""Keeps heatmaps true to what is open, shown and clicked."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.images.intensity import NO_CONTRAST
from napari_dinov3_sim.session.answering.answers import Answers
from napari_dinov3_sim.session.answering.question import has_rivals
from napari_dinov3_sim.session.discovery.discovery import Discovery
from napari_dinov3_sim.session.edits import Edits
from napari_dinov3_sim.session.embedding.embedder import Embedder
from napari_dinov3_sim.session.embedding.model_loading import LibraryPreload
from napari_dinov3_sim.session.exports.exports import Exports
from napari_dinov3_sim.session.file_search.file_search import FileSearch
from napari_dinov3_sim.session.gallery.gallery import Gallery
from napari_dinov3_sim.session.guard import Guard
from napari_dinov3_sim.session.images.targets import Targets
from napari_dinov3_sim.session.interaction.interaction import Interaction
from napari_dinov3_sim.session.layers.overlays import Overlays
from napari_dinov3_sim.session.layers.style import Palette
from napari_dinov3_sim.session.measurements.measurements import Measurements
from napari_dinov3_sim.session.objects.finder import ObjectFinder
from napari_dinov3_sim.session.query.drawn_regions import DrawnRegions
from napari_dinov3_sim.session.query.point_features import PointRole
from napari_dinov3_sim.session.query.points import QueryPoints
from napari_dinov3_sim.session.query.question_builder import PickCollector, QuestionBuilder
from napari_dinov3_sim.session.query.regions import Regions
from napari_dinov3_sim.session.results.results import Results
from napari_dinov3_sim.session.results.thresholds import Thresholds
from napari_dinov3_sim.session.scene import Scene
from napari_dinov3_sim.session.status import FailureLog, StackProgress, StatusReporter
from napari_dinov3_sim.session.tracking.tracking import Tracking
from napari_dinov3_sim.session.worker_messages import (
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from queue import SimpleQueue

    import numpy as np
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.core.search.combine import Combination
    from napari_dinov3_sim.core.search.saved_query import SavedQuery
    from napari_dinov3_sim.session.answering.question import Pick
    from napari_dinov3_sim.session.embedding.model_loading import LoadModel
    from napari_dinov3_sim.session.images.planes import Plane, WindowKey
    from napari_dinov3_sim.session.layers.style import HeatmapStyle
    from napari_dinov3_sim.session.objects.options import ObjectOptions
    from napari_dinov3_sim.session.resolved_state import ResolvedState
    from napari_dinov3_sim.session.runner import Runner
    from napari_dinov3_sim.session.status import StepStatus
    from napari_dinov3_sim.store import EmbeddingStore


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
        The style or the scaling of the heatmaps has changed.
    queried : psygnal.Signal
        What is asked may have changed.
    steps_changed : psygnal.Signal
        A sentence of `SimilaritySession.steps` has changed.
    thresholded : psygnal.Signal
        The threshold of a class has changed, or what reaches it.
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
    steps_changed = Signal()
    thresholded = Signal()


class MessageHandler:
    """Turns the messages of jobs into layers and signals, on the thread that owns the layers.

    Parameters
    ----------
    signals : SessionSignals
    targets : Targets
    embedder : Embedder
    answers : Answers
    overlays : Overlays
    queries : QueryPoints
    failures : FailureLog
    guard : Guard
    notices : SimpleQueue of str
        Sentences from other threads for the user.
    changed : callable
        Bound method, called when there may be something else to ask.
    thresholded : callable
        Bound method, called with the automatic threshold of each class.

    Attributes
    ----------
    histograms : mapping of str to ndarray of int
        How many patches of all maps have which cosine, by class.
    """

    def __init__(
        self,
        signals: SessionSignals,
        *,
        targets: Targets,
        embedder: Embedder,
        answers: Answers,
        overlays: Overlays,
        queries: QueryPoints,
        failures: FailureLog,
        guard: Guard,
        notices: SimpleQueue[str],
        changed: Callable[[], None],
        thresholded: Callable[[Mapping[str, float]], None],
    ) -> None:
        self._signals, self._targets = signals, targets
        self._embedder, self._answers = embedder, answers
        self._overlays, self._queries = overlays, queries
        self._failures, self._guard = failures, guard
        self._notices, self._changed = notices, changed
        self._thresholded = thresholded
        self.histograms: Mapping[str, NDArray[np.intp]] = {}
        self._without_contrast: set[WindowKey] = set()

    def on_embed_message(self, message: Message) -> None:
        """Handle a message of a job that embeds."""
        self._emit_notices()
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
            self._report_missing_contrast(message)
            self._changed()
        elif isinstance(message, Finished):
            if not self._embedder.busy:
                self._signals.progressed.emit(None)
            self._changed()

    def _report_missing_contrast(self, message: PlaneEmbedded) -> None:
        """Say once that an image shows nothing: its heatmap is bright everywhere."""
        key = message.window_key
        target = self._targets.get(message.plane.layer_id)
        if message.contrast or key in self._without_contrast or target is None:
            return
        self._without_contrast.add(key)
        self._signals.noticed.emit(NO_CONTRAST.format(name=target.name))

    def on_answer_message(self, message: Message) -> None:
        """Handle a message of a job that answers."""
        self._emit_notices()
        if isinstance(message, Answered):
            self._show_answer(message)
        elif isinstance(message, StateGone):
            self._embedder.forget_state(message.plane)
        elif isinstance(message, Failure):
            self._failures.add(message)
        elif isinstance(message, Finished):
            self._changed()

    def _show_answer(self, message: Answered) -> None:
        for answered in message.maps:
            self._embedder.note_use(answered.plane)
        summary, heatmaps = message.summary, self._overlays.heatmaps
        for ready in message.layers:
            self._guard.run("A heatmap", self._show, ready)
        if summary is not None:
            self.histograms = summary.histograms
            self._guard.run("The scale", heatmaps.rescale, summary.limits)
            self._guard.run("The query layer", self._queries.raise_to_top)
            self._signals.answered.emit()
            self._thresholded(summary.thresholds)

    def clear_answer(self) -> None:
        """Report that there is no answer any more, if there was one and none is to come."""
        if self.histograms and not (self._answers.pending or self._answers.planes()):
            self.histograms = {}
            self._signals.answered.emit()
            self._thresholded({})

    def _emit_notices(self) -> None:
        while not self._notices.empty():
            self._signals.noticed.emit(self._notices.get())

    def _show(self, message: LayerReady) -> None:
        images, question = self._targets.last_resolved(), self._answers.question
        target = images.targets.get(message.layer.layer_id)
        # The pixels may have been replaced since, and the refresh may still be due.
        if target is None or question is None or target.version != message.layer.version:
            return
        self._overlays.show(images, message, question, self._embedder.model)
        if target.merged is not None:  # a new layer is hidden with the first channel alone
            self._overlays.follow_visibility(target.layer, target.visible)


class Coordinator:
    """Turns what happens in the viewer into questions, and answers into layers.

    An event changes nothing by itself: it asks for a refresh, which resolves the present into
    one `ResolvedState` and has every part apply the difference. Everything here runs on the
    thread that owns the layers.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    signals : SessionSignals
    runner : Runner
    store : EmbeddingStore
    notices : SimpleQueue of str
        Sentences from other threads for the user.
    recipe : Recipe
    load_model : callable
        Loads a backbone by name, in the worker.
    heatmap_style : HeatmapStyle
    auto_merge : bool
        Whether channels of one image are merged when they are opened.

    Attributes
    ----------
    targets, embedder, answers, queries, regions, drawn, edits, results, exports, measurements,
    tracking, gallery, discovery, interaction, overlays, scene
        The parts of a session.
    palette : Palette
        Colours of the classes.
    combination : str
        How the picks of a class are combined.
    thresholds : Thresholds
        Of each class.
    all_planes : bool
        Whether stacks are answered on all planes, or only on those that are shown.
    queries_due : bool
        Whether the Points layer is to be made at the next refresh.
    is_due : bool
        Whether a refresh is due.
    state : ResolvedState or None
        What the last refresh found.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        signals: SessionSignals,
        *,
        runner: Runner,
        store: EmbeddingStore,
        notices: SimpleQueue[str],
        recipe: Recipe,
        load_model: LoadModel,
        heatmap_style: HeatmapStyle,
        auto_merge: bool,
    ) -> None:
        self._viewer, self._signals, self._runner = viewer, signals, runner
        self.closed = self.is_due = self._refreshing = self._batching = False
        self._images_known = 0
        self.queries_due = True
        self.combination: Combination = "auto"
        self.all_planes = False
        self.state: ResolvedState | None = None
        self._retained: tuple[object, ...] = ()
        self.failures = FailureLog(signals.failed.emit)
        self._guard = Guard(self.failures.add)
        self.palette = Palette()
        self.overlays = Overlays(viewer, heatmap_style, self.palette)
        self.embedder = Embedder(runner, load_model, store, recipe, self._on_embed_message)
        self.answers = Answers(runner, store, self._on_answer_message)
        self.queries = QueryPoints(viewer, self._on_points, self.palette, self._on_noted)
        self.targets = Targets(viewer, self._on_listed, self._on_moved, self.schedule)
        self.targets.merging.automatic = auto_merge
        self.scene = Scene(viewer, self.targets, self.embedder, self.answers)
        self.regions = Regions(self.scene, self.palette, self._on_regions, self._guard)
        self.drawn = DrawnRegions(
            self.scene, self.regions, self.palette, lambda: self.queries.role, self._on_regions
        )
        self.finder = ObjectFinder(
            runner,
            self.embedder,
            self.scene.image_of,
            changed=self._on_objects,
            tell=signals.noticed.emit,
            fail=self.failures.add,
        )
        self.thresholds = Thresholds(self.scene, self.finder, self.palette)
        self.results = Results(
            self.scene,
            runner,
            store,
            self.palette,
            thresholds=self.thresholds,
            finder=self.finder,
            fail=self.failures.add,
            adopt=self._adopt_query,
        )
        self.exports = Exports(
            self.scene,
            runner,
            store,
            self.palette,
            regions=self.regions,
            role=lambda: self.queries.role,
            add_point=self._add_point,
            fail=self.failures.add,
        )
        self.measurements = Measurements(self.scene, runner, self.failures.add)
        self._measured_signals = (signals.answered, signals.listed)
        for signal in self._measured_signals:
            signal.connect(self._note_measured)
        self.tracking = Tracking(
            self.scene,
            runner,
            store,
            self.palette,
            fail=self.failures.add,
            is_outdated=lambda: "labels" in self.results.outdated,
        )
        self.tracking.done.connect(self._note_tracks)
        self.interaction = Interaction(viewer, self.scene, self.overlays, self.schedule)
        self._picks = PickCollector(
            viewer,
            self.queries,
            self.regions,
            self.results.saved,
            embedder=self.embedder,
            interaction=self.interaction,
        )
        self.gallery = Gallery(
            self.scene,
            runner,
            store,
            self.queries,
            picks_of_points=self._picks_of_points,
            interaction=self.interaction,
            palette=self.palette,
            thresholds=lambda: self.thresholds.in_force,
            fail=self.failures.add,
        )
        self.gallery.told.connect(signals.noticed.emit)
        self._gallery_signals = (signals.answered, signals.queried, signals.listed)
        for signal in self._gallery_signals:
            signal.connect(self._update_gallery)
        self.file_search = FileSearch(
            self.scene,
            runner,
            results=self.results,
            thresholds=self.thresholds,
            gallery=self.gallery,
            objects=lambda: self.finder.options,
            limits=lambda: self.overlays.heatmaps.limits,
            fail=self.failures.add,
        )
        self._builder = QuestionBuilder(self.targets, self.embedder, self.answers)
        self.handler = MessageHandler(
            signals,
            targets=self.targets,
            embedder=self.embedder,
            answers=self.answers,
            overlays=self.overlays,
            queries=self.queries,
            failures=self.failures,
            guard=self._guard,
            notices=notices,
            changed=self.schedule,
            thresholded=self._on_automatic_thresholds,
        )
        self.edits = Edits(
            viewer,
            palette=self.palette,
            targets=self.targets,
            saved=self.results.saved,
            regions=self.regions,
            drawn=self.drawn,
            queries=self.queries,
            hold=self.held,
            rename_layers=self._rename_layers,
            part_layers=self._part_layers,
            recolour=self._recolour,
            changed=self._on_regions,
        )
        self.discovery = Discovery(
            self.scene,
            runner,
            store,
            self.queries,
            self.edits,
            palette=self.palette,
            interaction=self.interaction,
            embed=self.embed,
            over=self.overlays.over,
            planes=self._searched_planes,
            is_loaded=lambda name: name in self.results.saved.classes,
            fail=self.failures.add,
        )
        # Not `listed`, which comes while napari removes layers: this may remove some, too.
        self._discovery_signals = (signals.answered, signals.queried)
        for signal in self._discovery_signals:
            signal.connect(self._update_discovery)
        self._status = StatusReporter(signals.status_changed.emit, signals.steps_changed.emit)
        self._preload = LibraryPreload(self.schedule)
        viewer.dims.events.connect(self._on_dims)
        viewer.layers.events.begin_batch.connect(self._on_begin_batch)
        viewer.layers.events.end_batch.connect(self._on_end_batch)
        for image in self.images:  # moved or hidden, maybe, since an earlier session
            self._on_moved(image, "affine")
            self._on_moved(image, "visible")
        self._preload.start(runner)

    @property
    def images(self) -> list[Image]:
        """All image layers of the viewer that could be searched, the bottom one first."""
        return [record.layer for record in self.targets.records()]

    @property
    def busy(self) -> bool:
        """Whether something is being embedded or answered."""
        working = self.embedder.busy or self.answers.pending or not self._preload.is_ready
        return working and not self.closed

    @property
    def status(self) -> str:
        """One line that says what is going on and what to do next."""
        return self._status.status

    @property
    def steps(self) -> StepStatus:
        """The same for each of the three steps: images, query, what was found."""
        return self._status.steps

    def close(self) -> None:
        """Stop listening and working."""
        self.closed, self.is_due = True, False
        self.embedder.cancel()
        self.answers.forget()
        self._runner.close()
        self.interaction.close()
        self.overlays.close()
        self.queries.forget()
        self.drawn.forget()
        self.regions.close()
        self.results.close()
        for signal in self._measured_signals:
            signal.disconnect(self._note_measured)
        self.measurements.close()
        self.finder.forget()
        self.tracking.done.disconnect(self._note_tracks)
        self.tracking.close()
        self.exports.close()
        for signal in self._gallery_signals:
            signal.disconnect(self._update_gallery)
        self.gallery.close()
        self.file_search.close()
        for signal in self._discovery_signals:
            signal.disconnect(self._update_discovery)
        self.discovery.close()
        self.targets.close()
        self._viewer.dims.events.disconnect(self._on_dims)
        self._viewer.layers.events.begin_batch.disconnect(self._on_begin_batch)
        self._viewer.layers.events.end_batch.disconnect(self._on_end_batch)

    # -- what happens in the viewer -------------------------------------------------------

    def _on_points(self) -> None:
        if self.embedder.paused:
            self.embedder.retry()
        self.schedule()

    def _on_regions(self) -> None:
        self._picks.regions_changed()
        self._on_points()

    def _adopt_query(self, query: SavedQuery | None) -> None:
        """Ask a saved query as it was asked when it was saved; points to come refine it."""
        if query is not None:
            self.combination = query.combination
            self._recolour()
            if not len(self.queries):
                role = PointRole(query.classes[0].name, self.queries.role.positive)
                self.queries.set_role(role)
        self.draw_contours()  # its thresholds may be others, where the scores are the same
        self._signals.thresholded.emit()
        self._on_regions()

    def _on_listed(self) -> None:
        known, self._images_known = self._images_known, len(self.targets.records())
        if self._images_known > known:
            self.queries_due = True
            self.failures.reset()  # nobody has been told of the new one
        self._signals.listed.emit()

    def _on_moved(self, image: Image, what: str) -> None:
        if what == "visible":
            self.overlays.follow_visibility(image, self.scene.is_visible(image))
        else:
            self.overlays.follow(image)

    def _on_dims(self, event: Any) -> None:
        if event.type in ("point", "order", "ndisplay", "ndim", "current_step"):
            self.schedule()

    def _on_begin_batch(self) -> None:
        self._batching = True

    def _on_end_batch(self) -> None:
        """Follow what napari has removed, now that it has removed all of it."""
        self._batching = False
        if self.is_due:
            self.schedule()

    @property
    def hit_name(self) -> str:
        """Name of the image that the last point is on, if others lie under it; else empty."""
        state = self.state
        owners = () if state is None else state.picked.owners
        if state is None or not owners or owners[-1] not in state.images.names:
            return ""
        world = self.queries.last_world
        if world is None or self.interaction.side_by_side:
            return ""
        return state.images.names[owners[-1]] if state.images.hits.count(world) > 1 else ""

    # -- thresholds --------------------------------------------------------------------------

    def set_threshold(self, class_name: str, threshold: float | None) -> None:
        """Set the threshold of a class by hand; None goes back to the automatic one.

        Contours follow at once. Only where classes are compared is there anything to ask.
        """
        self.thresholds.set_by_hand(class_name, threshold)
        self.draw_contours()
        self._signals.thresholded.emit()
        if self.state is not None and has_rivals(self.state.picked.picks):
            self.schedule()

    def set_objects(self, options: ObjectOptions) -> None:
        """Change what counts as an object."""
        self.finder.options = options
        self.draw_contours()
        self._signals.thresholded.emit()

    def _on_objects(self) -> None:
        """Show what was found in the background."""
        if not self.closed:
            self._guard.run("Contours", self._redraw_contours)
            self._signals.thresholded.emit()

    def _on_automatic_thresholds(self, thresholds: Mapping[str, float]) -> None:
        self.thresholds.automatic = thresholds
        self.draw_contours()
        self._signals.thresholded.emit()

    def draw_contours(self) -> None:
        """Have found what reaches the thresholds now, and draw the contours of it."""
        self.finder.update(self.thresholds.requests())
        self._redraw_contours()

    def _redraw_contours(self) -> None:
        self.overlays.draw_contours(self.targets.last_resolved(), self.thresholds.found_in)

    # -- edits ------------------------------------------------------------------------------

    @contextmanager
    def held(self) -> Iterator[None]:
        """Refresh nothing before a change of several parts is complete."""
        before, self._refreshing = self._refreshing, True
        try:
            yield
        finally:
            self._refreshing = before

    def _on_noted(self) -> None:
        if not self._refreshing:
            self.edits.note()

    def _recolour(self) -> None:
        self.overlays.recolour()
        self.queries.draw()
        self.drawn.draw()
        self.queries.set_role(self.queries.role)  # the next point is drawn in it, too
        self._signals.restyled.emit()

    def _rename_layers(self, old: str, new: str, number: int | None) -> None:
        self.overlays.rename_class(old, new, number)
        self.results.rename_class(old, new, number)
        self.measurements.note_changes()
        self.gallery.rename_class(old, new, number)
        self.discovery.rename_class(old, new)
        self.thresholds.rename_class(old, new)
        self._picks.regions_changed()
        # Regions may still ask for the old one, whose layers are gone.
        self.answers.rename_class(old, new)

    def _part_layers(self, old: str, new: str, number: int) -> None:
        self.overlays.part_class(old, new, number)
        self.results.part_class(old, new, number)
        self.measurements.note_changes()
        self.gallery.part_class(old, new, number)

    def _add_point(self, image: Image, data: NDArray[np.float64], role: PointRole) -> None:
        """Add a query point at data coordinates of an image."""
        plane = self.scene.shown_planes().get(image.unique_id)
        if plane is not None:
            self.queries.ensure(image)
            self.edits.note()
            world = self.scene.targets.transform(plane.key).to_world(data)
            self.queries.append(world, image.unique_id, role)

    def start_box(self) -> None:
        """Make ready for a box to be drawn around something, by one drag."""
        if self.interaction.viewboxes is not None:
            raise SimilarityError("A box is drawn in one view; turn side by side off first.")
        self.drawn.start_box()
        self.queries.raise_to_top()

    def embed(self) -> None:
        """Have the shown plane of every target embedded, and all planes if they are searched."""
        self.queries_due = True
        self.failures.reset()
        self.answers.forget()
        self.embedder.reembed(self._searched_planes())
        self.schedule()

    def schedule(self) -> None:
        """Ask for a refresh."""
        if not self.closed:
            self.is_due = True
            self._runner.call_soon(self.refresh)

    # -- from the state of the viewer to a question ----------------------------------------

    def refresh(self) -> None:
        """Bring everything in line with what is open, shown and clicked now.

        What a refresh itself changes (units of the Points layer, say) is reported by several
        events one by one; they are handled together, when it is done. So are the layers that
        napari removes at once: those of ours among them must be there until it removes them.
        """
        if self._refreshing or self._batching:
            return
        self._refreshing = True
        try:
            while self.is_due and not self.closed:
                self.is_due = False
                self._refresh_once()
        finally:
            self._refreshing = False

    def _refresh_once(self) -> None:
        """Resolve the present, and have every part follow; one that cannot stops no other."""
        run = self._guard.run
        run("The query layer", self._check_queries)
        old, new = self.state, run("Looking at what is open", self._resolve)
        if new is None:
            return
        self.state = new
        if old is None or old.picked is not new.picked:
            run("Drawing the points", self.queries.draw)
            run("Drawing the regions", self.drawn.draw)
        run("The history", self.edits.note)
        if self.drawn.take_box():
            run("The query layer", self.queries.activate)
        run("The computation", self._work, new)
        busy = self.busy
        if old is not None and old.picked.picks != new.picked.picks:
            self.interaction.match = None  # the question is another one
        overlays, match = self.overlays, run("The best match", self._best_match)
        run("Heatmaps", overlays.apply, new, self.answers.asked, busy=busy)
        run("Outlines", overlays.outlines.apply, new, match, overlays.over)
        run("Points", overlays.empty_points.update)
        if new.question is None or not busy:
            self.handler.clear_answer()
        run("Contours", self.draw_contours)
        if self.interaction.viewboxes is not None:
            arrange = self.interaction.arrange
            run("Side by side", arrange, self.queries.layer, new.picked.owners)
        self._signals.queried.emit()
        if not self.closed:
            self._report(new, busy=busy)

    def _check_queries(self) -> None:
        self.queries.check_layer()
        self.drawn.check_layer()
        if self.queries_due and self._preload.is_ready:
            self.make_queries()

    def _note_measured(self) -> None:
        self.measurements.note_changes()

    def _note_tracks(self, sentence: str) -> None:
        del sentence
        self.measurements.note_tracks()

    def _update_gallery(self) -> None:
        if not self.closed:
            self.gallery.update(self.state)

    def _update_discovery(self) -> None:
        if not self.closed:
            self.discovery.update()

    def _searched_planes(self) -> list[Plane]:
        """Return what is shown of every target, and all other planes if they are searched."""
        shown = list(self.targets.resolve().planes.values())
        return [*shown, *(self.targets.other_planes(shown) if self.all_planes else [])]

    def _picks_of_points(self) -> dict[int, Pick]:
        return self._picks.picks_of_points(self.targets.resolve())

    def _resolve(self) -> ResolvedState:
        images = self.targets.resolve()
        if self.state is None or images is not self.state.images:
            parted = self.targets.regroup()
            self.edits.note(opened=True)
            for sentence in parted:
                self._signals.noticed.emit(sentence)
            images = self.targets.resolve()
        return self._builder.build(
            images,
            self._picks.collect(images),
            self.combination,
            self.thresholds.by_hand,
            all_planes=self.all_planes,
            three_d=self._viewer.dims.ndisplay == 3,
            in_napari_grid=self._picks.in_napari_grid,
        )

    def _work(self, new: ResolvedState) -> None:
        """Have embedded what is missing, and ask about what is there."""
        images, picked = new.images, new.picked
        now = (images, frozenset(picked.planes), self.embedder.changes)
        if new.hidden or now != self._retained:
            self._retained = now
            used = picked.planes.keys() | images.planes.keys()
            self.embedder.keep_only(used, new.hidden, images.versions)
        if new.wanted or self.embedder.busy:
            self.embedder.request(new.wanted)
        if new.question is None or not images.planes:
            self.answers.forget()
        else:
            for name in new.question.classes:
                self.palette.add(name)  # an answer about a class that it lacks is of no use
            self.answers.ask(new.question, new.targets, {key.layer for key in images.planes})

    def _best_match(self) -> tuple[Plane, int, int] | None:
        """Return the match that the view was moved to, while it is one."""
        match = self.interaction.match
        if match is None:
            return None
        layers = {key.layer for key in self.answers.planes()}
        return (match.plane, match.x, match.y) if match.plane.key.layer in layers else None

    def make_queries(self) -> None:
        """Make the Points layer, above everything, if there is an image to click on."""
        images = list(self.targets.resolve().targets.values())
        if images:
            self.queries_due = False
            self.queries.ensure(images[-1].layer)
            self.queries.raise_to_top()
            self.embedder.preload()

    def _report(self, new: ResolvedState, *, busy: bool) -> None:
        self._status.report(
            new,
            model=self.embedder.model,
            model_failed=self.embedder.model_failed,
            busy=busy,
            heatmaps=len(self.overlays.heatmaps.layers),
            stacks=self._stack_progress(new) if busy and self.all_planes else None,
        )

    def _stack_progress(self, new: ResolvedState) -> StackProgress:
        planes = new.images.planes.values()
        layers = {plane.key.layer for plane in planes}
        return StackProgress(
            sum(plane.stack_size for plane in planes),
            sum(key.layer in layers for key in self.embedder.embedded_planes()),
            sum(key.layer in layers for key in self.answers.planes()),
        )

    # -- from workers ------------------------------------------------------------------------

    def _on_embed_message(self, message: Message) -> None:
        self.handler.on_embed_message(message)

    def _on_answer_message(self, message: Message) -> None:
        self.handler.on_answer_message(message)

"""Keeps heatmaps true to what is open, shown and clicked."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_dinov3_sim.session.answers import Answers
from napari_dinov3_sim.session.atlas import Atlas
from napari_dinov3_sim.session.embedder import Embedder
from napari_dinov3_sim.session.inquiry import Inquiry, is_only_negative
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
from napari_dinov3_sim.session.mishaps import Mishaps
from napari_dinov3_sim.session.overlays import Overlays
from napari_dinov3_sim.session.palette import Palette
from napari_dinov3_sim.session.picking import Picking
from napari_dinov3_sim.session.point_features import Role
from napari_dinov3_sim.session.queries import QueryPoints
from napari_dinov3_sim.session.regions import Regions
from napari_dinov3_sim.session.results import Results
from napari_dinov3_sim.session.status import Situation, describe
from napari_dinov3_sim.session.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
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
    from napari_dinov3_sim.session.questions import AnyPick
    from napari_dinov3_sim.session.runner import CancelToken, Receive, Runner
    from napari_dinov3_sim.store import EmbeddingStore


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
        self._mishaps = Mishaps(self.failed.emit)
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
            fail=self._mishaps.add,
            adopt=self._adopt_query,
        )
        self._looking = Looking(viewer, self._atlas, self._overlays, self._palette, self._schedule)
        self._picking = Picking(
            viewer, self._queries, self._targets, self._looking, [self.regions, self.results.saved]
        )
        self._inquiry = Inquiry(self._targets, self._embedder, self._answers)
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
        picks, picked = self._picking.find()
        if picks != self._picks:
            self._looking.forget_match()
        self._picks = picks
        self._queries.draw()
        hidden = self._inquiry.hidden(shown.values()) if self._all_planes and picks else {}
        self._embedder.retain(picked | shown, hidden, self._targets.versions())
        inquiry = self._inquiry
        question = inquiry.question(picks, picked, self._combination, self._threshold)
        wanted = picked | inquiry.without_answer(question, shown) | hidden
        self._embedder.request(wanted.values() if picks else ())
        inquiry.ask(question, shown, hidden)
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
            self._mishaps.add(message)
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

    def _on_message(self, message: Message) -> None:
        self._pass_on_notices()
        if isinstance(message, Progress):
            self.progressed.emit(message)
        elif isinstance(message, Notice):
            self.noticed.emit(message.message)
        elif isinstance(message, Failure):
            self._mishaps.add(message)
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
            grid=self._picking.in_grid,
            busy=self.busy,
            model_failed=self._embedder.model_failed,
            answered=len(self._overlays.heatmaps.items()),
            regions=self.regions.count,
            regions_outside=self.regions.outside,
            saved=self.results.saved.count,
            only_negative=is_only_negative(self._picks),
        )


def _warm_up(post: Receive, token: CancelToken) -> None:
    """Import what napari imports at its first Points layer: half a second, off the window."""
    del post, token
    import_module("pandas")

"""Keeps heatmaps true to what is open, shown and clicked."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_dinov3_sim.session.answers import Answers
from napari_dinov3_sim.session.embedder import Embedder
from napari_dinov3_sim.session.heatmaps import Shown
from napari_dinov3_sim.session.jobs import LoadModel, Pick
from napari_dinov3_sim.session.messages import (
    Answered,
    Failure,
    Finished,
    MapReady,
    Message,
    ModelLoaded,
    PlaneEmbedded,
    Progress,
)
from napari_dinov3_sim.session.queries import QueryPoints
from napari_dinov3_sim.session.sources import IGNORED, NEW
from napari_dinov3_sim.session.status import Situation, describe
from napari_dinov3_sim.session.targets import Target, Targets

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import numpy as np
    from napari.components import ViewerModel
    from napari.layers import Image, Points
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.recipe import Recipe
    from napari_dinov3_sim.core.state import Backbone
    from napari_dinov3_sim.session.heatmaps import Heatmaps
    from napari_dinov3_sim.session.planes import Plane, PlaneKey, WindowKey
    from napari_dinov3_sim.session.runner import CancelToken, Receive, Runner
    from napari_dinov3_sim.store import MemoryStore


class Coordinator:
    """Turns what happens in the viewer into questions, and answers into heatmap layers.

    Everything here runs on the thread that owns the layers.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    runner : Runner
    store : MemoryStore
    recipe : Recipe
    load_model : callable
        Loads a backbone by name, in the worker.
    heatmaps : Heatmaps
    """

    status_changed = Signal(str)
    progressed = Signal(object)
    failed = Signal(object)
    listed = Signal()
    answered = Signal()
    model_changed = Signal()
    restyled = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        runner: Runner,
        store: MemoryStore,
        recipe: Recipe,
        load_model: LoadModel,
        heatmaps: Heatmaps,
    ) -> None:
        self._viewer, self._runner, self._heatmaps = viewer, runner, heatmaps
        self._closed = self._dirty = self._refreshing = False
        self._images_known = 0
        self._queries_due = True
        self._status = ""
        self._failures: list[Failure] = []
        self._told: set[tuple[str, WindowKey | None]] = set()
        self._picks: tuple[Pick, ...] = ()
        self._embedder = Embedder(runner, load_model, store, recipe, self._on_message)
        self._answers = Answers(runner, self._on_answer)
        self._queries = QueryPoints(viewer, self._on_points)
        self._targets = Targets(viewer, self._on_listed, self._on_moved, self._schedule)
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

    def _on_listed(self) -> None:
        known, self._images_known = self._images_known, len(self._targets.records())
        if self._images_known > known:
            self._queries_due = True
        self.listed.emit()

    def _on_moved(self, image: Image, what: str) -> None:
        if what == "visible":
            self._heatmaps.follow_visibility(image)
        else:
            self._heatmaps.follow(image)

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
        planes = {plane.key: plane for plane in self._targets.planes()}
        picks = self._find_picks()
        self._picks = tuple(pick for pick, _ in picks)
        needed = {plane.key: plane for _, plane in picks} | planes
        self._embedder.retain(needed, self._targets.versions())
        if picks:
            self._embedder.request(needed.values())
        self._ask(planes)
        self._drop_untrue()
        self._heatmaps.restack({image.unique_id: image for image in self.images})
        self._announce()

    def _make_queries(self) -> None:
        targets = self.targets
        if targets:
            self._queries_due = False
            self._queries.ensure(targets[-1])
            self._queries.raise_to_top()

    def _find_picks(self) -> list[tuple[Pick, Plane]]:
        """Return the pixel of each point that lies on a target."""
        picks = []
        for world, image in self._queries.locate(self._image_of):
            record = self._targets.get(image)
            found = None if record is None else self._targets.pixel(record, world)
            if found is not None:
                plane, x, y = found
                picks.append((Pick(plane.key, x, y), plane))
        return picks

    def _image_of(
        self, world: NDArray[np.float64], remembered: Hashable | None
    ) -> Hashable | None:
        if remembered is IGNORED or (remembered is NEW and self._clicks_mean_nothing):
            return IGNORED
        return self._targets.locate(world, remembered)

    @property
    def _clicks_mean_nothing(self) -> bool:
        """In 3-D a click lands mid-plane; in the grid all images lie at the same place."""
        return self._viewer.dims.ndisplay == 3 or bool(self._viewer.canvas.grid.enabled)

    def _ask(self, planes: Mapping[PlaneKey, Plane]) -> None:
        states = {pick: self._embedder.state(pick.plane) for pick in self._picks}
        known = tuple((p, s) for p in self._picks if (s := states[p]) is not None)
        found = {key: self._embedder.state(key) for key in planes}
        targets = {key: state for key, state in found.items() if state is not None}
        if not known or len(known) < len(self._picks) or not targets:
            self._answers.forget()
            return
        self._answers.ask(known, targets, {key: planes[key].shape for key in targets})

    def _drop_untrue(self) -> None:
        """Remove heatmaps that no longer say anything about their image.

        While work is under way, those of an earlier question stay until their answer comes, and
        so do those that an earlier session left.
        """
        shown = self._heatmaps.shown()
        keep = {
            image.unique_id
            for image in self.targets
            if self._is_true(shown.get(image.unique_id), self._targets.get(image.unique_id))
        }
        self._heatmaps.keep_only(keep if self._picks else set())

    def _is_true(self, shown: Shown | None, record: Target | None) -> bool:
        if shown is None or record is None:
            return self.busy
        current = shown.plane.version == record.version
        return current and (shown.picks == self._picks or self.busy)

    # -- from workers back to layers --------------------------------------------------------

    def _on_answer(self, message: Message) -> None:
        if isinstance(message, MapReady):
            record = self._targets.get(message.plane.layer_id)
            # The pixels may have been replaced since, and the refresh may still be due.
            if record is not None and record.version == message.plane.version:
                shown = Shown(message.plane, self._picks, message.heatmap, self.model)
                self._heatmaps.show(record.layer, shown)
        elif isinstance(message, Answered):
            self._heatmaps.rescale(message.limits)
            self._queries.raise_to_top()
        elif isinstance(message, Failure):
            self._on_failure(message)
        elif isinstance(message, Finished):
            self._drop_untrue()
            self.answered.emit()
            self._announce()

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
        if isinstance(message, Progress):
            self.progressed.emit(message)
        elif isinstance(message, Failure):
            self._on_failure(message)
        elif isinstance(message, ModelLoaded):
            self.model_changed.emit()
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
            embedded=sum(self._embedder.state(plane.key) is not None for plane in planes),
            levels=tuple(
                f"{plane.name} is searched at level {plane.level}."
                for plane in planes
                if plane.level
            ),
            model=self.model,
            three_d=self._viewer.dims.ndisplay == 3,
            grid=bool(self._viewer.canvas.grid.enabled),
            busy=self.busy,
            model_failed=self._embedder.model_failed,
            answered=len(self._heatmaps.items()),
        )


def _warm_up(post: Receive, token: CancelToken) -> None:
    """Import what napari imports at its first Points layer: half a second, off the window."""
    del post, token
    import_module("pandas")

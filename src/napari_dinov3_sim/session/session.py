"""The coordinator: from what is shown and clicked to heatmaps that are true."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_dinov3_sim.core.errors import PointError, SimilarityError
from napari_dinov3_sim.core.tiles import Tiling
from napari_dinov3_sim.session.answers import Answers
from napari_dinov3_sim.session.embedder import Embedder
from napari_dinov3_sim.session.heatmaps import Heatmaps, Scaling
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
from napari_dinov3_sim.session.placement import data_to_world
from napari_dinov3_sim.session.queries import IGNORED, QueryPoints
from napari_dinov3_sim.session.runner import Runner, default_runner
from napari_dinov3_sim.session.status import Situation, describe
from napari_dinov3_sim.session.targets import Targets
from napari_dinov3_sim.store import DEFAULT_BUDGET, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image, Points
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.state import Backbone
    from napari_dinov3_sim.session.planes import Plane, PlaneKey


class SimilaritySession:
    """Clicks in any open image light up every open image.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    backbone : Backbone or str, optional
        A loaded model, or the name of one that is loaded when it is first needed.
    runner : Runner, optional
        How work runs; by default on threads, delivered by the GUI's event loop where there is
        one and by `wait` everywhere.
    memory_budget : int, optional
        Bytes of embeddings to keep for planes that are not shown.
    tiling : Tiling, optional
        Images up to one tile go through the model whole.
    load_model : callable, optional
        Replaces `load_backbone`.

    Attributes
    ----------
    status_changed, progressed, failed, listed, answered, model_changed : psygnal.Signal
        Emitted on the main thread: a line of text; a `Progress` or None at the end; a
        `Failure`; the image list or a tick has changed; heatmaps are up to date; the model
        or its device has changed.
    """

    status_changed = Signal(str)
    progressed = Signal(object)
    failed = Signal(object)
    listed = Signal()
    answered = Signal()
    model_changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        *,
        backbone: Backbone | str | None = None,
        runner: Runner | None = None,
        memory_budget: int = DEFAULT_BUDGET,
        tiling: Tiling | None = None,
        load_model: LoadModel | None = None,
        colormap: str = "magma",
        opacity: float = 0.7,
    ) -> None:
        self._viewer = viewer
        self._runner = runner if runner is not None else default_runner()
        self.store = MemoryStore(memory_budget)
        self._embedder = Embedder(
            self._runner, load_model or _load, self.store, tiling or Tiling(), self._on_message
        )
        self._closed = self._dirty = False
        self._answers = Answers(self._runner, self._on_answer)
        self._images_known = 0
        self._queries_due = True
        self._status = ""
        self._failures: list[Failure] = []
        self._heatmaps = Heatmaps(viewer, colormap, opacity)
        self._queries = QueryPoints(viewer, self._on_points)
        self._targets = Targets(viewer, self._on_listed, self._on_moved, self._schedule)
        viewer.dims.events.connect(self._on_dims)
        self._choose(backbone)
        self._schedule()

    # -- what a script uses ---------------------------------------------------------------

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
    def heatmaps(self) -> dict[Image, Image]:
        """Each image layer's heatmap layer, as they are in the viewer now."""
        pairs = ((self._targets.get(i), layer) for i, layer in self._heatmaps.items().items())
        return {target.layer: layer for target, layer in pairs if target is not None}

    @property
    def images(self) -> list[Image]:
        """All image layers of the viewer that could be searched, the bottom one first."""
        return [record.layer for record in self._targets.records()]

    @property
    def targets(self) -> list[Image]:
        """The image layers that are searched."""
        return self._targets.layers()

    def refusal(self, layer: Image) -> str | None:
        """Say why an image cannot be searched, or None if it can."""
        record = self._targets.get(layer.unique_id)
        return record.refused if record is not None else None

    def set_target(self, layer: Image, ticked: bool) -> None:
        """Search an image, or leave it out."""
        self._targets.tick(layer, ticked)

    def set_model(self, backbone: Backbone | str | None) -> None:
        """Change the model; heatmaps of the old one are removed.

        Parameters
        ----------
        backbone : Backbone or str or None
            A loaded model, the name of one to load when needed, or None.
        """
        self._heatmaps.keep_only(set())
        self._answers.forget()
        self._choose(backbone)
        self.model_changed.emit()
        self._schedule()

    def _choose(self, backbone: Backbone | str | None) -> None:
        if backbone is None or isinstance(backbone, str):
            self._embedder.set_model(backbone or "")
        else:
            self._embedder.set_model(backbone.name, backbone)

    def embed(self) -> None:
        """Embed the shown plane of every target, in the background; see `wait`."""
        self._require_model()
        self._queries_due = True
        self._targets.reread()
        self._embedder.insist(self._targets.planes())
        self._schedule()

    def cancel(self) -> None:
        """Stop embedding; what is done stays, and the next click asks again."""
        self._embedder.cancel()
        self.progressed.emit(None)
        self._announce()

    def add_query(self, layer: Image, x: float, y: float) -> None:
        """Add a query point at a pixel of the plane of an image that is shown.

        Parameters
        ----------
        layer : napari.layers.Image
        x, y : float
            Pixel column and row at full resolution.

        Raises
        ------
        PointError
            The point lies outside the image, or no plane of the image is shown.
        """
        record = self._targets.get(layer.unique_id)
        shown = {plane.key.layer_id: plane for plane in self._targets.planes()}
        plane = shown.get(layer.unique_id)
        if record is None or plane is None:
            raise PointError(f"{layer.name} shows no plane that is searched; tick it and show it.")
        data = np.zeros(layer.ndim)
        for axis, index in plane.key.position:
            data[axis] = index
        data[list(plane.key.axes)] = y, x
        world = data_to_world(layer, data, self._viewer.layers.units)
        if self._targets.pixel(record, world) is None:
            raise PointError(
                f"The point (x={x:g}, y={y:g}) lies outside {layer.name}; choose a pixel inside."
            )
        self._queries.ensure(layer)
        self._queries.append(world, layer.unique_id)

    def new_queries(self) -> None:
        """Make the Points layer active and ready for clicks, and make it if it is gone."""
        self._make_queries()
        self._queries.activate()

    def style(self, *, colormap: str | None = None, opacity: float | None = None) -> None:
        """Change colormap or opacity of all heatmaps."""
        self._heatmaps.style(colormap=colormap, opacity=opacity)

    @property
    def scaling(self) -> Scaling:
        """Contrast of the heatmaps: 'shared', one scale for all, or 'each', its own min-max."""
        return self._heatmaps.scaling

    @scaling.setter
    def scaling(self, scaling: Scaling) -> None:
        self._heatmaps.scaling = scaling

    def wait(self, timeout: float | None = None) -> None:
        """Wait until everything asked for is embedded and every heatmap is up to date.

        Parameters
        ----------
        timeout : float, optional
            Seconds; by default there is no limit.

        Raises
        ------
        SimilarityError
            Something failed in the meantime; the first failure is raised.
        TimeoutError
            Time is up; the work goes on.
        """
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self._dirty or self.busy:
            if self._dirty:
                self._refresh()
            self._runner.deliver(0.05)
            if time.monotonic() > deadline:
                raise TimeoutError(f"Embedding takes longer than {timeout} s; it goes on.")
        failures, self._failures = self._failures, []
        if failures:
            error = failures[0].error
            raise (
                error
                if isinstance(error, SimilarityError)
                else SimilarityError(failures[0].message)
            ) from error

    @property
    def busy(self) -> bool:
        """Whether something is being embedded or answered."""
        return not self._closed and (self._embedder.busy or self._answers.pending)

    def close(self) -> None:
        """Stop listening and working; layers stay in the viewer, they are the user's."""
        if self._closed:
            return
        self._closed = True
        self._embedder.cancel()
        self._answers.forget()
        self._runner.close()
        self._queries.forget()
        self._targets.close()
        self._viewer.dims.events.disconnect(self._on_dims)

    # -- what happens in the viewer -------------------------------------------------------

    def _on_points(self) -> None:
        self._embedder.retry()
        self._schedule()

    def _on_listed(self) -> None:
        known, self._images_known = self._images_known, len(self._targets.records())
        if self._images_known > known:
            self._queries_due = True
            self._queries.interrupted()
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
        """Bring everything in line with what is open, shown and clicked now."""
        if self._closed or not self._dirty:
            return
        self._dirty = False
        if self.queries is not None and self.queries not in self._viewer.layers:
            self._queries.forget()
        if self._queries_due:
            self._make_queries()
            self._queries.resume()
        planes = {plane.key: plane for plane in self._targets.planes()}
        picks = self._find_picks()
        self._drop_untrue(planes, picks)
        needed = {plane.key: plane for _, plane in picks} | planes
        self._embedder.retain(needed)
        if picks:
            self._embedder.request(needed.values())
        self._ask(picks, planes)
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
        sources = self._queries.sources(self._locate)
        for world, source in zip(self._queries.world_points(), sources, strict=True):
            record = self._targets.get(source)
            found = None if record is None else self._targets.pixel(record, world)
            if found is not None:
                plane, x, y = found
                picks.append((Pick(plane.key, x, y), plane))
        return picks

    def _locate(self, world: NDArray[np.float64], remembered: Hashable | None) -> Hashable | None:
        if remembered is IGNORED or (remembered is None and self._viewer.dims.ndisplay == 3):
            return IGNORED
        return self._targets.locate(world, remembered)

    def _drop_untrue(
        self, planes: Mapping[PlaneKey, Plane], picks: Sequence[tuple[Pick, Plane]]
    ) -> None:
        """Remove heatmaps that no longer say anything about their image.

        One of another plane of a stack stays: it is drawn on that plane only. One that an
        earlier session left stays until its answer comes.
        """
        shown = self._heatmaps.shown_planes()
        false = {key.layer_id for key in shown if not self._is_true(key, planes)}
        ticked = {layer.unique_id for layer in self.targets}
        self._heatmaps.keep_only(ticked - false if picks else set())

    def _is_true(self, key: PlaneKey, planes: Mapping[PlaneKey, Plane]) -> bool:
        record = self._targets.get(key.layer_id)
        if record is None or not record.ticked or record.version != key.version:
            return False
        return key in planes or bool(key.position)

    def _ask(self, picks: Sequence[tuple[Pick, Plane]], planes: Mapping[PlaneKey, Plane]) -> None:
        found = [(pick, self._embedder.state(pick.plane)) for pick, _ in picks]
        known = tuple((pick, state) for pick, state in found if state is not None)
        states = {key: self._embedder.state(key) for key in planes}
        targets = {key: state for key, state in states.items() if state is not None}
        if not known or len(known) < len(picks) or not targets:
            self._answers.forget()
            return
        self._answers.ask(known, targets, {key: planes[key].shape for key in targets})

    # -- from workers back to layers --------------------------------------------------------

    def _on_answer(self, message: Message) -> None:
        if isinstance(message, MapReady):
            record = self._targets.get(message.plane.layer_id)
            # The pixels may have been replaced since, and the refresh may still be due.
            if record is not None and record.version == message.plane.version:
                self._heatmaps.show(record.layer, message.plane, message.heatmap)
        elif isinstance(message, Answered):
            self._heatmaps.rescale(message.limits)
            self._queries.raise_to_top()
        elif isinstance(message, Failure):
            self._on_failure(message)
        elif isinstance(message, Finished):
            self.answered.emit()
            self._announce()

    def _on_failure(self, failure: Failure) -> None:
        self._failures.append(failure)
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
            self._announce()

    def _require_model(self) -> None:
        if not self.model:
            raise SimilarityError('No model is chosen; call set_model("builtin") first.')

    @property
    def status(self) -> str:
        """One line that says what is going on and what to do next."""
        return self._status

    def _announce(self) -> None:
        if self._closed:
            return
        status = describe(self._situation())
        if status != self._status:
            self._status = status
            self.status_changed.emit(status)

    def _situation(self) -> Situation:
        planes, sources = self._targets.planes(), self._queries.remembered
        return Situation(
            images=len(self.images),
            targets=len(self.targets),
            planes=len(planes),
            points=len(sources),
            outside=sources.count(None),
            ignored=sources.count(IGNORED),
            embedded=sum(self._embedder.state(plane.key) is not None for plane in planes),
            levels=tuple(
                f"{plane.name} is searched at level {plane.level}."
                for plane in planes
                if plane.level
            ),
            model=self.model,
            three_d=self._viewer.dims.ndisplay == 3,
            busy=self.busy,
            answered=len(self._heatmaps.items()),
        )


def _load(model: str, report: Callable[[str, int, int], None]) -> Backbone:
    from napari_dinov3_sim.backbones import load_backbone

    return load_backbone(model, progress=report)

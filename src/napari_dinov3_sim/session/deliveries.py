"""From workers back to layers: what jobs send is shown, told, or asks for another look."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from queue import SimpleQueue

    import numpy as np
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.atlas import Atlas
    from napari_dinov3_sim.session.mishaps import Mishaps
    from napari_dinov3_sim.session.overlays import Overlays
    from napari_dinov3_sim.session.planes import WindowKey
    from napari_dinov3_sim.session.queries import QueryPoints
    from napari_dinov3_sim.session.signals import Signals


class Deliveries:
    """Takes the messages of jobs, on the thread that owns the layers.

    Parameters
    ----------
    signals : Signals
    atlas : Atlas
    overlays : Overlays
    queries : QueryPoints
    mishaps : Mishaps
    notices : SimpleQueue of str
        What other threads have to tell the user.
    changed : callable
        Bound method, called when there may be something else to ask.

    Attributes
    ----------
    histograms : mapping of str to ndarray of int
        How many patches of all maps have which cosine, by kind.
    """

    def __init__(
        self,
        signals: Signals,
        atlas: Atlas,
        *,
        overlays: Overlays,
        queries: QueryPoints,
        mishaps: Mishaps,
        notices: SimpleQueue[str],
        changed: Callable[[], None],
    ) -> None:
        self._signals, self._atlas = signals, atlas
        self._overlays, self._queries = overlays, queries
        self._mishaps, self._notices, self._changed = mishaps, notices, changed
        self.histograms: Mapping[str, NDArray[np.intp]] = {}
        self._plain: set[WindowKey] = set()

    def take_embedding(self, message: Message) -> None:
        """Take a message of a job that embeds."""
        self._pass_on_notices()
        if isinstance(message, Progress):
            self._signals.progressed.emit(message)
        elif isinstance(message, Notice):
            self._signals.noticed.emit(message.message)
        elif isinstance(message, Failure):
            self._mishaps.add(message)
        elif isinstance(message, ModelKnown | ModelLoaded):
            self._signals.model_changed.emit()
            self._changed()
        elif isinstance(message, PlaneEmbedded):
            self._tell_if_plain(message)
            self._changed()
        elif isinstance(message, Finished):
            if not self._atlas.embedder.busy:
                self._signals.progressed.emit(None)
            self._changed()

    def _tell_if_plain(self, message: PlaneEmbedded) -> None:
        """Say once that an image shows nothing: its heatmap is bright everywhere."""
        key = message.window_key
        record = self._atlas.targets.get(message.plane.layer_id)
        if message.contrast or key in self._plain or record is None:
            return
        self._plain.add(key)
        self._signals.noticed.emit(f"{record.name} has no contrast: every patch looks the same.")

    def take_answer(self, message: Message) -> None:
        """Take a message of a job that answers."""
        self._pass_on_notices()
        if isinstance(message, LayerReady):
            self._show(message)
        elif isinstance(message, StateGone):
            self._atlas.embedder.lost(message.plane)
        elif isinstance(message, Answered):
            self.histograms = message.histograms
            self._overlays.heatmaps.rescale(message.limits)
            self._queries.raise_to_top()
            self._signals.answered.emit()
        elif isinstance(message, Failure):
            self._mishaps.add(message)
        elif isinstance(message, Finished):
            self._changed()

    def forget_answer(self) -> None:
        """Tell that there is no answer any more, if there was one and none is to come."""
        answers = self._atlas.answers
        if self.histograms and not (answers.pending or answers.planes()):
            self.histograms = {}
            self._signals.answered.emit()

    def _pass_on_notices(self) -> None:
        while not self._notices.empty():
            self._signals.noticed.emit(self._notices.get())

    def _show(self, message: LayerReady) -> None:
        record = self._atlas.targets.get(message.layer.layer_id)
        question = self._atlas.answers.question
        # The pixels may have been replaced since, and the refresh may still be due.
        if record is None or question is None or record.version != message.layer.version:
            return
        above = self._atlas.top(record.layer.unique_id) or record.layer
        model = self._atlas.embedder.model
        self._overlays.show(record, above, message, question, model)
        if record.merged is not None:  # a new layer is hidden with the first channel alone
            self._overlays.follow_visibility(record.layer, record.visible)

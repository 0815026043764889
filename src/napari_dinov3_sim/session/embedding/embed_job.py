"""The job that embeds planes, on a worker thread; it knows no layers."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.backbones import ModelChangedError
from napari_dinov3_sim.core.errors import BackboneError, EmbeddingCancelled
from napari_dinov3_sim.session.embedding.model_loading import job_model
from napari_dinov3_sim.session.embedding.plane_reader import may_be_written_into, read_pixels
from napari_dinov3_sim.session.worker_messages import Failure, Notice, PlaneEmbedded, Progress
from napari_dinov3_sim.store.cached_embedding import CachedEmbedder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_dinov3_sim.backbones import ModelIdentity
    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.core.protocols import Backbone
    from napari_dinov3_sim.session.embedding.model_loading import CachingLoader
    from napari_dinov3_sim.session.images.planes import (
        IntensityWindows,
        Plane,
        PlaneKey,
        WindowKey,
    )
    from napari_dinov3_sim.session.runner import CancelToken, Receive
    from napari_dinov3_sim.store import EmbeddingStore


class PlaneQueue:
    """The planes still to be embedded; the main thread may change them while a job runs.

    Parameters
    ----------
    planes : sequence of Plane
        In the order wanted.
    done : iterable of PlaneKey
        Planes that an earlier job has embedded, and whose messages are on the way.
    """

    def __init__(self, planes: Sequence[Plane], done: Iterable[PlaneKey] = ()) -> None:
        self._lock = threading.Lock()
        self._waiting = deque(planes)
        self._current: PlaneKey | None = None
        self._taken: set[PlaneKey] = set(done)
        self._failed: set[PlaneKey] = set()
        self._closed = False

    def replace(self, planes: Sequence[Plane]) -> tuple[Plane, ...]:
        """Put other planes in, those apart that have been taken: their messages are on the way.

        Returns
        -------
        tuple of Plane
            Those for another job, because this one cannot take them: it has found the queue empty,
            or it is busy with a plane that is not among them while others wait.
        """
        with self._lock:
            new = [plane for plane in planes if plane.key not in self._taken]
            if new and (self._closed or self._is_astray(planes)):
                # What has failed is tried again: the message of a job that is stopped is not read.
                done = self._done()
                return tuple(plane for plane in planes if plane.key not in done)
            if not self._closed:
                self._waiting = deque(new)
            return ()

    @property
    def done(self) -> set[PlaneKey]:
        """The planes that are embedded, and whose messages are on the way."""
        with self._lock:
            return self._done()

    def _done(self) -> set[PlaneKey]:
        return self._taken - self._failed - {self._current}

    def _is_astray(self, planes: Sequence[Plane]) -> bool:
        current = self._current
        return current is not None and all(plane.key != current for plane in planes)

    @property
    def is_started(self) -> bool:
        """Whether a plane has been taken, and so perhaps read."""
        with self._lock:
            return self._current is not None or self._closed

    def take(self) -> Plane | None:
        """Return the next plane to embed, or None for ever."""
        with self._lock:
            plane = self._waiting.popleft() if self._waiting else None
            self._current = None if plane is None else plane.key
            self._closed = plane is None
            if plane is not None:
                self._taken.add(plane.key)
            return plane

    def fail(self, key: PlaneKey) -> None:
        """Take note that a plane which was taken could not be embedded."""
        with self._lock:
            self._failed.add(key)

    def release(self, key: PlaneKey) -> None:
        """Allow a plane to be embedded again, now that the message of the first time is here."""
        with self._lock:
            self._taken.discard(key)
            self._failed.discard(key)

    def pixels(self) -> int:
        """Return how many pixels wait."""
        with self._lock:
            return sum(_pixels(plane) for plane in self._waiting)

    def keys(self) -> set[PlaneKey]:
        """Return the keys of the current plane and of those that wait."""
        with self._lock:
            waiting = {plane.key for plane in self._waiting}
            return waiting if self._current is None else waiting | {self._current}


@dataclass(frozen=True, eq=False)
class EmbedJob:
    """Embed planes one after the other; load the model when the first is in no store.

    Attributes
    ----------
    model : str
        Name of the model.
    backbone : Backbone or None
        The model, if it is loaded.
    identity : ModelIdentity or None
        What is remembered of it, if that is known and it is not loaded.
    load_model : CachingLoader
    queue : PlaneQueue
    windows : mapping
        Intensity windows that are known already.
    """

    model: str
    backbone: Backbone | None
    identity: ModelIdentity | None
    load_model: CachingLoader
    queue: PlaneQueue
    windows: Mapping[WindowKey, IntensityWindows]
    store: EmbeddingStore
    recipe: Recipe

    def __call__(self, post: Receive, token: CancelToken) -> None:
        """Send `ModelKnown` or `ModelLoaded`, `Progress`, and the result for each plane."""
        meter = _Meter(self.queue, post, token)
        try:
            model = job_model(
                self.model,
                self.load_model,
                post,
                token,
                backbone=self.backbone,
                identity=self.identity,
            )
            self._embed_all(
                CachedEmbedder(model, self.recipe, self.store, meter.notice), post, meter
            )
        except (EmbeddingCancelled, ModelChangedError):  # the embedder starts anew after a change
            return

    def _embed_all(self, embedder: CachedEmbedder, post: Receive, meter: _Meter) -> None:
        windows = dict(self.windows)
        while (plane := self.queue.take()) is not None:
            meter.start(plane)
            try:
                message = self._embed(plane, embedder, windows, meter)
            except (EmbeddingCancelled, ModelChangedError):
                raise
            except Exception as error:
                self.queue.fail(plane.key)
                post(Failure.of(error, "plane", plane.key))
                continue
            windows[plane.key.window_key] = message.windows
            post(message)

    def _embed(
        self,
        plane: Plane,
        embedder: CachedEmbedder,
        windows: Mapping[WindowKey, IntensityWindows],
        meter: _Meter,
    ) -> PlaneEmbedded:
        key = plane.key.window_key
        read = read_pixels(plane, windows.get(key), meter.check)
        found = embedder.find(read.digest, read.window, read.source.shape) or embedder.compute(
            read.source,
            read.digest,
            read.window,
            plane.name,
            progress=meter,
            scan_again=may_be_written_into(read, plane),
            check=meter.check,
        )
        if found.state.fingerprint != embedder.model.fingerprint:
            raise BackboneError(
                f"The memory did not suffice for {plane.name} with the model {self.model}; "
                'choose the device "cpu", a smaller model or a lower resolution.'
            )
        return PlaneEmbedded(
            plane.key, found.digest, found.state, key, read.windows, read.contrast
        )


def _check(token: CancelToken) -> None:
    if token.cancelled:
        raise EmbeddingCancelled


class _Meter:
    """Turns the tiles of one plane into the progress of the whole job, in pixels."""

    def __init__(self, queue: PlaneQueue, post: Receive, token: CancelToken) -> None:
        self._queue, self._post, self._token = queue, post, token
        self._before, self._now, self._name = 0, 0, ""

    def start(self, plane: Plane) -> None:
        self._before, self._now, self._name = self._before + self._now, _pixels(plane), plane.name
        self(0, 1)

    def check(self, done: int, total: int) -> None:
        """Stop here if the job was cancelled; reading counts for nothing."""
        del done, total
        _check(self._token)

    def notice(self, sentence: str) -> None:
        """Send a notice for the user."""
        self._post(Notice(sentence))

    def __call__(self, done: int, total: int) -> None:
        _check(self._token)
        in_all = self._before + self._now + self._queue.pixels()
        so_far = self._before + self._now * done // max(1, total)
        self._post(Progress(f"Embedding {self._name}", so_far, in_all))


def _pixels(plane: Plane) -> int:
    height, width = plane.embedded_shape
    return max(1, height * width)

"""Which planes are embedded, by which model, and the one job that embeds the rest."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from napari_dinov3_sim.session.embed_job import EmbedJob, PlaneQueue
from napari_dinov3_sim.session.loading import LoadOnce, warm_up
from napari_dinov3_sim.session.messages import (
    Failure,
    Finished,
    Message,
    ModelKnown,
    ModelLoaded,
    PlaneEmbedded,
)
from napari_dinov3_sim.session.questions import StateHandle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_dinov3_sim.backbones import ModelCard
    from napari_dinov3_sim.core.recipe import Recipe
    from napari_dinov3_sim.core.state import Backbone, PatchImageState
    from napari_dinov3_sim.session.embed_job import LoadModel
    from napari_dinov3_sim.session.pixels import Windows
    from napari_dinov3_sim.session.planes import Plane, PlaneKey, WindowKey
    from napari_dinov3_sim.session.runner import CancelToken, Runner
    from napari_dinov3_sim.store import EmbeddingStore


def _ignore(message: Message) -> None:
    del message


class Embedder:
    """Holds the states of the planes in use, and runs at most one embedding job.

    Parameters
    ----------
    runner : Runner
    load_model : callable
        Loads a backbone by name, in the worker.
    store : EmbeddingStore
        Where states outlive their use.
    recipe : Recipe
    notify : callable
        Bound method, called on the main thread with `Progress`, `Failure`, `ModelKnown`,
        `ModelLoaded`, `PlaneEmbedded` and `Finished` messages that still matter.
    """

    def __init__(
        self,
        runner: Runner,
        load_model: LoadModel,
        store: EmbeddingStore,
        recipe: Recipe,
        notify: Callable[[Message], None],
    ) -> None:
        self._runner, self._load_model = runner, LoadOnce(load_model)
        self._store, self._recipe, self._notify = store, recipe, notify
        self.model = ""
        self.backbone: Backbone | None = None
        self._card: ModelCard | None = None
        self._states: dict[PlaneKey, PatchImageState] = {}
        self._digests: dict[PlaneKey, str] = {}
        self._windows: dict[WindowKey, Windows] = {}
        self._failed: set[PlaneKey] = set()
        self._cancelled: set[PlaneKey] = set()
        self._paused = False
        self.model_failed = False
        self._asked_for: dict[PlaneKey, Plane] = {}
        self._found_by_card: dict[PlaneKey, Plane] = {}
        self._job = self._trusted_from = 0
        self._queue: PlaneQueue | None = None
        self._token: CancelToken | None = None
        self._warming: CancelToken | None = None

    @property
    def busy(self) -> bool:
        """Whether a job runs whose results are wanted."""
        return self._queue is not None

    @property
    def identity(self) -> Backbone | ModelCard | None:
        """The model, or what is remembered of it; None before it is first needed."""
        return self._card if self.backbone is None else self.backbone

    @property
    def recipe(self) -> Recipe:
        """How pixels become embeddings."""
        return self._recipe

    @recipe.setter
    def recipe(self, recipe: Recipe) -> None:
        self._recipe, card = recipe, self._card
        self.set_model(self.model, self.backbone)
        self._card = card
        # Its fingerprint does not tell a state of the same model and another recipe.
        self._trusted_from = self._job + 1

    def warm_up(self) -> None:
        """Import PyTorch in a lull, before it is needed; what fails is told when it is."""
        if "torch" not in sys.modules:
            self._put_off_warm_up()
            self._warming = self._runner.submit("warm-up", warm_up, _ignore)

    def _put_off_warm_up(self) -> None:
        if self._warming is not None:
            self._warming.cancel()
            self._warming = None

    def set_model(self, model: str, backbone: Backbone | None = None) -> None:
        """Change the model; nothing embedded by another one is used any more."""
        self.cancel()
        self._load_model.forget()
        self.model, self.backbone, self._card = model, backbone, None
        self.model_failed = False
        self._states.clear()
        self._found_by_card.clear()
        self._digests.clear()
        self._failed.clear()
        self.retry()

    def handle(self, key: PlaneKey) -> StateHandle | None:
        """Return where a worker finds the state of a plane; None if it must be embedded."""
        digest = self._digests.get(key)
        if digest is None:
            return None
        state = self._states.get(key)
        if state is None:
            # What the disk has is seen by the worker; asking it here would make the window wait.
            state = self._store.get(digest)
            if state is None and self._store.disk is None:
                return None
        return StateHandle(digest, state)

    def windows(self, key: PlaneKey) -> Windows | None:
        """Return the windows that a plane's layer is drawn through, once it is embedded."""
        return self._windows.get(key.window_key)

    def lost(self, key: PlaneKey) -> None:
        """Take note that no store has the state of a plane any more."""
        if key not in self._states:
            self._digests.pop(key, None)

    def retain(
        self,
        keys: Iterable[PlaneKey],
        waiting: Iterable[PlaneKey],
        alive: Iterable[WindowKey],
    ) -> None:
        """Let go of all other states; the store keeps them while its budget lasts.

        Parameters
        ----------
        keys : iterable of PlaneKey
            Planes that are shown or picked.
        waiting : iterable of PlaneKey
            Planes that are not answered yet; those that lie on the disk are read from there.
        alive : iterable of WindowKey
            Layers and versions of pixels that still exist; of others, everything is forgotten.
        """
        present = set(alive)
        wanted = set(keys) | {k for k in waiting if not self._is_on_disk(k)}
        self._states = {key: state for key, state in self._states.items() if key in wanted}
        self._digests = {k: v for k, v in self._digests.items() if k.window_key in present}
        self._windows = {k: v for k, v in self._windows.items() if k in present}
        self._asked_for = {k: p for k, p in self._asked_for.items() if k.window_key in present}
        self._found_by_card = {
            k: p for k, p in self._found_by_card.items() if k.window_key in present
        }
        self._failed = {key for key in self._failed if key.window_key in present}
        self._cancelled = {key for key in self._cancelled if key.window_key in present}

    def _is_on_disk(self, key: PlaneKey) -> bool:
        digest = self._digests.get(key)
        return digest is not None and self._store.is_on_disk(digest)

    def insist(self, planes: Iterable[Plane]) -> None:
        """Read planes again and embed what is new in them, also where nothing has been asked.

        Pixels that were changed in place tell nobody; the store knows those that were not.
        """
        self._failed.clear()
        self.retry()
        self.model_failed = False
        self._asked_for = {plane.key: plane for plane in planes}
        again = {key.window_key for key in self._asked_for}
        self._states = {k: v for k, v in self._states.items() if k.window_key not in again}
        self._digests = {k: v for k, v in self._digests.items() if k.window_key not in again}
        self._windows = {k: v for k, v in self._windows.items() if k not in again}
        if self._queue is None or self._queue.is_started:
            self._trusted_from = self._job + 1
            self._stop()
        self.request([])

    @property
    def is_loading(self) -> bool:
        """Whether a job is loading the model, or looking for what is remembered of it."""
        return self._queue is not None and self.identity is None

    def retry(self) -> None:
        """Forget which planes were cancelled: the user has clicked again."""
        self._cancelled.clear()
        self._paused = False

    def is_coming(self, key: PlaneKey) -> bool:
        """Whether a plane is embedded, or will be if it is requested."""
        if self._paused or key in self._failed or key in self._cancelled:
            return self.handle(key) is not None
        return True

    def request(self, planes: Iterable[Plane]) -> None:
        """Embed the planes that have no state, in this order.

        A running job goes on with the plane it is at, if that is still wanted, and then takes
        these.
        """
        wanted = {plane.key: plane for plane in planes} | self._asked_for
        unwanted = self._failed | self._cancelled
        missing = tuple(
            plane
            for key, plane in wanted.items()
            if key not in unwanted and self.handle(key) is None
        )
        if self.model_failed or not self.model:
            return
        if self._queue is not None and self._queue.replace(missing):
            return
        if missing:
            self._submit(missing)

    def _submit(self, planes: tuple[Plane, ...]) -> None:
        self._stop()
        self._put_off_warm_up()
        self._job += 1
        self._queue = queue = PlaneQueue(planes)
        job = EmbedJob(
            self.model,
            self.backbone,
            self._card,
            self._load_model,
            queue,
            dict(self._windows),
            self._store,
            self._recipe,
        )
        number = self._job
        token = self._runner.submit("embed", job, partial(self._receive, number))
        if self._job == number and self._queue is not None:
            self._token = token

    def _stop(self) -> None:
        if self._token is not None:
            self._token.cancel()
        self._queue, self._token = None, None

    def cancel(self) -> None:
        """Stop the running job; what it has finished is kept, the rest waits to be asked for."""
        waiting = set(self._asked_for)
        if self._queue is not None:
            waiting |= self._queue.keys()
        self._cancelled |= {key for key in waiting if self.handle(key) is None}
        self._asked_for.clear()
        self._paused = True
        self._stop()
        self._job += 1

    def _receive(self, number: int, message: Message) -> None:
        if isinstance(message, PlaneEmbedded):
            if self._queue is not None:
                self._queue.release(message.plane)
            if number >= self._trusted_from:
                self._accept(message)
        elif isinstance(message, ModelLoaded):
            self._take_model(message)
        elif number != self._job:
            return
        elif isinstance(message, ModelKnown):
            self._card = message.card
        elif isinstance(message, Failure):
            self._give_up(message)
        elif isinstance(message, Finished):
            self._queue, self._token = None, None
            self._asked_for.clear()
            self.warm_up()
        self._notify(message)

    def _take_model(self, message: ModelLoaded) -> None:
        """Take the model, also from a job that was cancelled: loading it was the same work."""
        if message.model != self.model or self.backbone is not None:
            return
        self.backbone, card, self._card = message.backbone, self._card, None
        found, self._found_by_card = self._found_by_card, {}
        if card is not None and card.fingerprint != message.backbone.fingerprint:
            self._start_over(found)

    def _start_over(self, found: dict[PlaneKey, Plane]) -> None:
        """Drop what was found by the card of another model, and embed what was asked for."""
        self._states.clear()
        self._digests.clear()
        self._asked_for |= found
        self._stop()
        self._job += 1
        self.request([])

    def _accept(self, message: PlaneEmbedded) -> None:
        """Keep a state of the current model, whichever job it came from."""
        identity = self.identity
        if identity is None or message.state.fingerprint != identity.fingerprint:
            return
        self._states[message.plane] = message.state
        self._digests[message.plane] = message.digest
        self._windows[message.window_key] = message.windows
        plane = self._asked_for.pop(message.plane, None)
        if plane is not None and self.backbone is None:
            self._found_by_card[message.plane] = plane

    def _give_up(self, failure: Failure) -> None:
        if failure.plane is not None:
            self._failed.add(failure.plane)
            self._asked_for.pop(failure.plane, None)
        elif failure.kind == "model":
            self.model_failed = True
            self._asked_for.clear()

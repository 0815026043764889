"""Which planes are embedded, by which model, and the one job that embeds the others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from napari_dinov3_sim.session.embedding.embed_job import EmbedJob, PlaneQueue
from napari_dinov3_sim.session.embedding.model_loading import CachingLoader, EncoderPreload
from napari_dinov3_sim.session.embedding.plane_states import EmbeddingRequests, PlaneStates
from napari_dinov3_sim.session.worker_messages import (
    Failure,
    Finished,
    Message,
    ModelKnown,
    ModelLoaded,
    PlaneEmbedded,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_dinov3_sim.backbones import ModelIdentity
    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.core.protocols import Backbone
    from napari_dinov3_sim.session.embedding.model_loading import LoadModel
    from napari_dinov3_sim.session.images.planes import (
        IntensityWindows,
        Plane,
        PlaneKey,
        WindowKey,
    )
    from napari_dinov3_sim.session.runner import CancelToken, Runner
    from napari_dinov3_sim.session.worker_messages import StateHandle
    from napari_dinov3_sim.store import EmbeddingStore


LOST = (
    "An image was embedded several times, and each time the embeddings were gone or damaged when "
    "they were needed; check the disk with the embeddings, or choose another folder for them, and "
    "press Embed."
)


class Embedder:
    """Knows which planes are embedded, and runs at most one job that embeds others.

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

    Attributes
    ----------
    model : str
        Name of the model; empty if none is chosen.
    model_failed : bool
        Whether it could not be loaded.
    changes : int
        Another number after each change of the model, the recipe or the embeddings.
    busy : bool
        Whether a job runs whose results are wanted.
    paused : bool
        Whether planes were cancelled, and are not tried before `retry`.
    """

    def __init__(
        self,
        runner: Runner,
        load_model: LoadModel,
        store: EmbeddingStore,
        recipe: Recipe,
        notify: Callable[[Message], None],
    ) -> None:
        self._runner, self._load_model = runner, CachingLoader(load_model)
        self._store, self._recipe, self._notify = store, recipe, notify
        self.model = ""
        self.backbone: Backbone | None = None
        self._identity: ModelIdentity | None = None
        self._record = PlaneStates(store)
        self._requests = EmbeddingRequests()
        self.model_failed = False
        self.changes = 0
        self._found_by_identity: dict[PlaneKey, Plane] = {}
        self._job = self._trusted_from = 0
        self._queue: PlaneQueue | None = None
        self.busy = self.paused = False
        self._token: CancelToken | None = None
        self._warming = EncoderPreload(runner)

    @property
    def identity(self) -> Backbone | ModelIdentity | None:
        """The model, or what is remembered of it; None before it is first needed."""
        return self._identity if self.backbone is None else self.backbone

    @property
    def recipe(self) -> Recipe:
        """How pixels become embeddings."""
        return self._recipe

    @recipe.setter
    def recipe(self, recipe: Recipe) -> None:
        self._recipe, identity = recipe, self._identity
        self.set_model(self.model, self.backbone)
        self._identity = identity
        # A state of the same model and another recipe has the same fingerprint.
        self._trusted_from = self._job + 1

    def preload(self) -> None:
        """Import what a model needs in a lull, before it is needed."""
        self._warming.start()

    def set_model(self, model: str, backbone: Backbone | None = None) -> None:
        """Change the model; nothing embedded by another one is used any more."""
        self.cancel()
        self._load_model.forget()
        self.model, self.backbone, self._identity = model, backbone, None
        self.model_failed = False
        self._record.forget_embeddings()
        self.changes += 1
        self._found_by_identity.clear()
        self._requests.forget_failures()
        self.paused = False

    def model_getter(self) -> Callable[[], Backbone]:
        """Return a function for a worker that gives the model, and loads it if need be."""
        if self.backbone is None:
            return partial(self._load_model, self.model, _say_nothing)
        return partial(_same, self.backbone)

    def handle(self, key: PlaneKey) -> StateHandle | None:
        """Return where a worker finds the state of a plane; None if it must be embedded."""
        return self._record.handle(key)

    def embedded_planes(self) -> tuple[PlaneKey, ...]:
        """Return the planes that are embedded, whether or not they are held."""
        return self._record.embedded_planes()

    def windows(self, key: PlaneKey) -> IntensityWindows | None:
        """Return the windows that a plane's layer is drawn through, once it is embedded."""
        return self._record.windows_of(key)

    def forget_state(self, key: PlaneKey) -> None:
        """Take note that no store has the state of a plane any more."""
        self._record.forget_state(key)
        self.changes += 1
        self._count_loss(key)

    def note_use(self, key: PlaneKey) -> None:
        """Take note that the state of a plane was there when it was needed."""
        self._requests.found(key)

    def _count_loss(self, key: PlaneKey) -> None:
        """Give a plane up whose embeddings are gone each time; it would be embedded for ever."""
        if self.handle(key) is None and self._requests.lost(key):
            self._notify(Failure("plane", LOST, key))

    def keep_only(
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
        used = set(keys) | {key for key in waiting if not self._record.is_on_disk(key)}
        self._record.keep_only(used, present)
        self._requests.keep_only(present)
        self._found_by_identity = {
            k: p for k, p in self._found_by_identity.items() if k.window_key in present
        }

    def reembed(self, planes: Iterable[Plane]) -> None:
        """Read planes again and embed what is new in them, also where nothing has been requested.

        Pixels that were changed in place emit no event; the store knows those that were not.
        """
        self.model_failed = False
        self._requests.request(planes)
        self.paused = False
        self._record.forget()
        self.changes += 1
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
        self._requests.retry()
        self.paused = False

    def is_coming(self, key: PlaneKey) -> bool:
        """Whether a plane is embedded, or will be if it is requested."""
        return not self._requests.is_blocked(key) or self.handle(key) is not None

    def request(self, planes: Iterable[Plane]) -> None:
        """Embed the planes that have no state, in this order.

        A running job goes on with the plane it is at, if that is still wanted, and then takes
        these.
        """
        missing = self._requests.missing(planes, self.handle)
        if self.model_failed or not self.model:
            return
        if self._queue is not None:
            missing = self._queue.replace(missing)
        if missing:
            self._submit(missing)

    def _submit(self, planes: tuple[Plane, ...]) -> None:
        done = set() if self._queue is None else self._queue.done
        self._stop()
        self._warming.postpone()
        self._job += 1
        self._queue, self.busy = PlaneQueue(planes, done), True
        job = EmbedJob(
            self.model,
            self.backbone,
            self._identity,
            self._load_model,
            self._queue,
            self._record.windows,
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
        self._queue, self._token, self.busy = None, None, False

    def cancel(self) -> None:
        """Stop the running job; what it has finished is kept, the rest waits to be requested."""
        waiting = () if self._queue is None else self._queue.keys()
        self._requests.cancel(waiting, self.handle)
        self.paused = True
        self._stop()
        self._job += 1

    def _receive(self, number: int, message: Message) -> None:
        self._release(number, message)
        if isinstance(message, PlaneEmbedded):
            if number >= self._trusted_from:
                self._accept(message)
        elif isinstance(message, ModelLoaded):
            self._take_model(message)
        elif number != self._job:
            return
        elif isinstance(message, ModelKnown):
            self._identity = message.identity
            self.changes += 1
        elif isinstance(message, Failure):
            self._give_up(message)
        elif isinstance(message, Finished):
            self._queue, self._token, self.busy = None, None, False
            self._requests.clear_requests()
            self.preload()
        self._notify(message)

    def _release(self, number: int, message: Message) -> None:
        """Allow the plane of a message to be embedded again; one that failed may be by now."""
        key: PlaneKey | None = None
        if isinstance(message, PlaneEmbedded) or (
            isinstance(message, Failure) and number == self._job
        ):
            key = message.plane
        if key is not None and self._queue is not None:
            self._queue.release(key)

    def _take_model(self, message: ModelLoaded) -> None:
        """Take the model, also from a job that was cancelled: loading it was the same work."""
        if message.model != self.model or self.backbone is not None:
            return
        self.backbone, identity, self._identity = message.backbone, self._identity, None
        self.changes += 1
        found, self._found_by_identity = self._found_by_identity, {}
        if identity is not None and identity.fingerprint != message.backbone.fingerprint:
            self._start_over(found)

    def _start_over(self, found: dict[PlaneKey, Plane]) -> None:
        """Drop what was found by the identity of another model, and embed what was requested."""
        self._record.forget_embeddings()
        self.changes += 1
        self._requests.request_again(found)
        self._stop()
        self._job += 1
        self.request([])

    def _accept(self, message: PlaneEmbedded) -> None:
        """Keep a state of the current model, whichever job it came from."""
        identity = self.identity
        if identity is None or message.state.fingerprint != identity.fingerprint:
            self._count_loss(message.plane)
            return
        self._record.add(message)
        self.changes += 1
        plane = self._requests.done(message.plane)
        if plane is not None and self.backbone is None:
            self._found_by_identity[message.plane] = plane

    def _give_up(self, failure: Failure) -> None:
        if failure.plane is not None:
            self._requests.failed(failure.plane)
        elif failure.subject == "model":
            self.model_failed = True
            self._requests.clear_requests()


def _same(backbone: Backbone) -> Backbone:
    return backbone


def _say_nothing(what: str, done: int, total: int) -> None:
    del what, done, total

"""The loading of a session's model: once, and only when something must be embedded."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from napari_dinov3_sim.backbones import background_import
from napari_dinov3_sim.backbones.lazy_model import LazyModel
from napari_dinov3_sim.core.errors import EmbeddingCancelled
from napari_dinov3_sim.session.worker_messages import (
    Failure,
    Finished,
    ModelKnown,
    ModelLoaded,
    Progress,
)

if TYPE_CHECKING:
    from napari_dinov3_sim.backbones import ModelIdentity
    from napari_dinov3_sim.core.protocols import Backbone
    from napari_dinov3_sim.session.runner import CancelToken, Receive, Runner
    from napari_dinov3_sim.session.worker_messages import Message


LoadModel = Callable[[str, Callable[[str, int, int], None]], "Backbone"]
"""Loads a model by name, reporting (what, bytes done, bytes in all).

It may have a method `known_identity`, which returns the `ModelIdentity` of a name, or None.
"""


class CachingLoader:
    """Loads a model; a job behind a cancelled one takes what that one still loaded.

    Held weakly: a model that nobody uses any more does not stay in memory.

    Parameters
    ----------
    load : callable
    """

    def __init__(self, load: LoadModel) -> None:
        self._load = load
        self._model = ""
        self._find: Callable[[], Backbone | None] = _nothing

    def __call__(self, model: str, report: Callable[[str, int, int], None]) -> Backbone:
        """Return the model that was loaded last if it is this one, else load it."""
        backbone = self._find() if model == self._model else None
        if backbone is None:
            backbone = self._load(model, report)
            with suppress(TypeError):  # a backbone of one's own with slots
                self._model, self._find = model, weakref.ref(backbone)
        return backbone

    def known_identity(self, model: str) -> ModelIdentity | None:
        """Return what is remembered of a model; None where the loader remembers nothing."""
        known_identity = getattr(self._load, "known_identity", None)
        identity: ModelIdentity | None = None if known_identity is None else known_identity(model)
        return identity

    def forget(self) -> None:
        """Load anew: what lies under the name of the model may be something else by now."""
        self._model, self._find = "", _nothing


def _nothing() -> None:
    return None


def job_model(
    name: str,
    load: CachingLoader,
    post: Receive,
    token: CancelToken,
    *,
    backbone: Backbone | None,
    identity: ModelIdentity | None,
) -> LazyModel[Backbone]:
    """Return the model of a job, unread if something is remembered of it.

    Parameters
    ----------
    name : str
    load : CachingLoader
    post : callable
        Is sent `ModelKnown`, `ModelLoaded`, `Progress` and `Failure`.
    token : CancelToken
    backbone : Backbone or None
        The model, if it is loaded.
    identity : ModelIdentity or None
        What is remembered of it, if that is known already.

    Raises
    ------
    EmbeddingCancelled
        The job was cancelled, or the model cannot be loaded, as a message says.
    """
    if backbone is None and identity is None:
        identity = load.known_identity(name)
        if identity is not None:
            post(ModelKnown(name, identity))

    def report(what: str, done: int, total: int) -> None:
        if token.cancelled:
            raise EmbeddingCancelled
        post(Progress(what, done, total))

    def load_and_post() -> Backbone:
        post(Progress(f"Loading {name}", 0, 0))
        try:
            loaded = load(name, report)
        except EmbeddingCancelled:
            raise
        except Exception as error:
            post(Failure.of(error, "model"))
            raise EmbeddingCancelled from error
        post(ModelLoaded(name, loaded))
        return loaded

    return LazyModel(load_and_post, identity, backbone)


IDLE_SECONDS = 1.0
"""Seconds without a question after which a model is prepared for, in case it will be needed."""


class LibraryPreload:
    """Has pandas imported by a worker before the first Points layer needs it.

    Parameters
    ----------
    done : callable
        Bound method, called when a Points layer can be made without delay.

    Attributes
    ----------
    is_ready : bool
        Whether a Points layer can be made without delay.
    """

    def __init__(self, done: Callable[[], None]) -> None:
        self._done = done
        self.is_ready = "pandas" in sys.modules

    def start(self, runner: Runner) -> None:
        """Import what is missing, before any question is answered."""
        if not self.is_ready:
            runner.submit("answer", _import_pandas, self._on_message)

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Finished):
            self.is_ready = True
            self._done()


class EncoderPreload:
    """Has what models are built with imported in a lull, before one is needed.

    Parameters
    ----------
    runner : Runner
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._token: CancelToken | None = None

    def start(self) -> None:
        """Wait for a lull from now on; what fails in it is reported when a model is loaded."""
        if not background_import.is_imported():
            self.postpone()
            self._token = self._runner.submit("warm-up", _import_encoder, _ignore)

    def postpone(self) -> None:
        """Wait no longer: something is to be computed."""
        if self._token is not None:
            self._token.cancel()
            self._token = None


def _import_pandas(post: Receive, token: CancelToken) -> None:
    """Import what napari imports at its first Points layer: half a second, off the window."""
    del post, token
    background_import.import_without_gc("pandas")


def _import_encoder(post: Receive, token: CancelToken) -> None:
    """Import PyTorch and transformers when nothing else is computed for a while.

    It takes three seconds, and half of the time of every other thread meanwhile. Embeddings that
    are on disk are answered without it, and so it waits until they are.
    """
    del post
    if token.wait(IDLE_SECONDS):
        return
    background_import.import_torch()
    if not token.cancelled:  # something was requested meanwhile
        background_import.import_encoder()


def _ignore(message: Message) -> None:
    del message

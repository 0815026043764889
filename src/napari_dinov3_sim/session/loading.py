"""How a session comes to a model: loaded once, and only when something must be embedded."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import EmbeddingCancelled
from napari_dinov3_sim.session.messages import Failure, ModelKnown, ModelLoaded, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinov3_sim.backbones import ModelCard
    from napari_dinov3_sim.core.protocols import Backbone
    from napari_dinov3_sim.session.embed_job import LoadModel
    from napari_dinov3_sim.session.runner import CancelToken, Receive


class LoadOnce:
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

    def known_card(self, model: str) -> ModelCard | None:
        """Return what is remembered of a model; None where the loader remembers nothing."""
        known_card = getattr(self._load, "known_card", None)
        card: ModelCard | None = None if known_card is None else known_card(model)
        return card

    def forget(self) -> None:
        """Load anew: what lies under the name of the model may be something else by now."""
        self._model, self._find = "", _nothing


def _nothing() -> None:
    return None


class JobModel:
    """The model of a job: what is known of it, and itself once something must be embedded.

    Parameters
    ----------
    name : str
    load : LoadOnce
    post : callable
        Told `ModelKnown`, `ModelLoaded`, `Progress` and `Failure`.
    token : CancelToken
    backbone : Backbone or None
        The model, if it is loaded.
    card : ModelCard or None
        What is remembered of it, if that is known already.
    """

    def __init__(
        self,
        name: str,
        load: LoadOnce,
        post: Receive,
        token: CancelToken,
        *,
        backbone: Backbone | None,
        card: ModelCard | None,
    ) -> None:
        self._name, self._backbone, self._card = name, backbone, card
        self._load_once, self._post, self._token = load, post, token

    def fingerprint(self) -> str:
        """Return that of the model, from its card if there is one, else by loading the model."""
        if self._backbone is None and self._card is None:
            self._card = self._load_once.known_card(self._name)
            if self._card is not None:
                self._post(ModelKnown(self._name, self._card))
        return self.load().fingerprint if self._card is None else self._card.fingerprint

    def load(self) -> Backbone:
        """Return the model.

        Raises
        ------
        EmbeddingCancelled
            It cannot be loaded, as a message says, or is not the one that its card told of.
        """
        if self._backbone is None:
            backbone = self._load()
            self._post(ModelLoaded(self._name, backbone))
            if self._card is not None and self._card.fingerprint != backbone.fingerprint:
                raise EmbeddingCancelled
            self._backbone = backbone
        return self._backbone

    def _load(self) -> Backbone:
        self._post(Progress(f"Loading {self._name}", 0, 0))
        try:
            return self._load_once(self._name, self._report)
        except EmbeddingCancelled:
            raise
        except Exception as error:
            self._post(Failure.of(error, "model"))
            raise EmbeddingCancelled from error

    def _report(self, what: str, done: int, total: int) -> None:
        if self._token.cancelled:
            raise EmbeddingCancelled
        self._post(Progress(what, done, total))

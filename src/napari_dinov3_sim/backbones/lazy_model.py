"""A model that is loaded only when something must be embedded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from napari_dinov3_sim.backbones.errors import ModelChangedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinov3_sim.backbones.identity import ModelIdentity
    from napari_dinov3_sim.core.protocols import Backbone

AnyBackbone = TypeVar("AnyBackbone", bound="Backbone")


class LazyModel(Generic[AnyBackbone]):
    """A model that is loaded when it is first needed; until then its identity stands for it.

    Parameters
    ----------
    load : callable
        Returns the model.
    identity : ModelIdentity, optional
        What is remembered of it. Without, and without `backbone`, the model is loaded at once.
    backbone : Backbone, optional
        The model, if it is loaded already.
    """

    def __init__(
        self,
        load: Callable[[], AnyBackbone],
        identity: ModelIdentity | None = None,
        backbone: AnyBackbone | None = None,
    ) -> None:
        self._load, self._identity = load, identity
        self._backbone = load() if backbone is None and identity is None else backbone

    @property
    def identity(self) -> AnyBackbone | ModelIdentity:
        """What is remembered of the model, or the model itself; both have its fingerprint."""
        return self.load() if self._identity is None else self._identity

    @property
    def fingerprint(self) -> str:
        """That of the model."""
        return self.identity.fingerprint

    @property
    def patch_size(self) -> int:
        """That of the model."""
        return self.identity.patch_size

    def load(self) -> AnyBackbone:
        """Return the model.

        Raises
        ------
        ModelChangedError
            It is not the one whose identity was used to find stored embeddings.
        """
        if self._backbone is None:
            backbone = self._load()
            if self._identity is not None and backbone.fingerprint != self._identity.fingerprint:
                raise ModelChangedError(
                    backbone.name,
                    "it is not what it was when it was last loaded, and stored embeddings of "
                    "that model were used",
                    "start again",
                )
            self._backbone = backbone
        return self._backbone

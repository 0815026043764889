"""Errors of models: one sentence with the model, the reason and what to do."""

from __future__ import annotations

from napari_dinov3_sim.core.errors import BackboneError


class ModelError(BackboneError):
    """Base of every failure to load a model.

    Parameters
    ----------
    model : str
        What the user asked for.
    reason : str
        Why it failed, as a clause.
    cure : str
        What to do, as a clause, with the exact command where there is one.
    """

    def __init__(self, model: str, reason: str, cure: str) -> None:
        super().__init__(f"Cannot load {model}: {reason}; {cure}.")
        self.model = model
        self.reason = reason
        self.cure = cure

    def __reduce__(self) -> tuple[type[ModelError], tuple[str, str, str]]:
        """Survive a trip between processes, which rebuilds an exception from its arguments."""
        return type(self), (self.model, self.reason, self.cure)


class ModelNotFoundError(ModelError):
    """No such model, repository, folder or file."""


class GatedModelError(ModelError):
    """The repository is gated, and this account (or no account) has no access."""


class OfflineError(ModelError):
    """Not in the local cache, and the hub does not answer or may not be asked."""


class DownloadError(ModelError):
    """The hub answered, but the file could not be written here."""


class CorruptWeightsError(ModelError):
    """The file is truncated or is not what its name says."""


class WrongModelError(ModelError):
    """The file is sound, but does not hold a DINOv3 ViT."""

    def __init__(
        self,
        model: str,
        reason: str,
        cure: str = "choose a DINOv3 ViT, `napari-dinov3-sim models` lists them",
    ) -> None:
        super().__init__(model, reason, cure)


class DeviceError(ModelError):
    """The device or the arithmetic that was asked for is not to be had."""


class ModelChangedError(ModelError):
    """The model that was loaded is not the one that its identity described."""

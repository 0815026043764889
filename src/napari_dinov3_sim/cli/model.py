"""The model of a command: known by its card where there is one, loaded when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.backbones import ModelChangedError
from napari_dinov3_sim.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinov3_sim.backbones import DINOv3Backbone, ModelCard
    from napari_dinov3_sim.cli.terminal import Bars


class LazyModel:
    """A model that is loaded when the first plane is found in no store.

    Parameters
    ----------
    load : callable
    card : ModelCard or None
        What is remembered of it; without, it is loaded at once.
    """

    def __init__(self, load: Callable[[], DINOv3Backbone], card: ModelCard | None) -> None:
        self._load, self._card = load, card
        self._backbone = load() if card is None else None

    @property
    def identity(self) -> DINOv3Backbone | ModelCard:
        """The model, or what is remembered of it; both have the same fingerprint."""
        return self.load() if self._card is None else self._card

    def load(self) -> DINOv3Backbone:
        """Return the model.

        Raises
        ------
        ModelError
            It cannot be loaded, or is not the one whose stored embeddings were used.
        """
        if self._backbone is None:
            backbone = self._load()
            if self._card is not None and backbone.fingerprint != self._card.fingerprint:
                raise ModelChangedError(
                    backbone.name,
                    "it is not what it was when it was last loaded, and stored embeddings of "
                    "that model were used",
                    "run the command again",
                )
            self._backbone = backbone
        return self._backbone


def open_model(model: str, device: str, dtype: str, bars: Bars | None = None) -> LazyModel:
    """Return a model as `load_backbone` would, unread if something is remembered of it.

    Parameters
    ----------
    model, device, dtype
        As for `load_backbone`.
    bars : Bars, optional
        For the download, if there is one.

    Raises
    ------
    ModelError
        It cannot be loaded.
    """
    from napari_dinov3_sim.backbones import known_card

    def load() -> DINOv3Backbone:
        return load_model(model, device, dtype, bars)

    return LazyModel(load, known_card(model, device, dtype))


def load_model(model: str, device: str, dtype: str, bars: Bars | None = None) -> DINOv3Backbone:
    """Load a model, with a bar for its download."""
    from napari_dinov3_sim.backbones import load_backbone

    progress = None if bars is None else bars.download
    return load_backbone(model, device=device, dtype=dtype, progress=progress)


def describe_model(model: DINOv3Backbone | ModelCard) -> dict[str, Any]:
    """Return what a result must say about the model it came from."""
    return {
        "model": model.name,
        "label": model.label,
        "device": str(model.device),
        "dtype": str(model.dtype),
        "fingerprint": model.fingerprint,
        "licence": model.licence,
    }


def say_model(model: DINOv3Backbone | ModelCard) -> None:
    """Tell which model was used, by its full name."""
    say_description(describe_model(model))


def say_description(model: dict[str, Any]) -> None:
    """Tell which model was used; takes what `describe_model` returned, here or on a worker."""
    say("Model: {model}, {label}; {dtype} on {device}.".format(**model))

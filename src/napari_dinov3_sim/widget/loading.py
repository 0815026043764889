"""Loading a model on the device that the preferences name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinov3_sim.core.state import Backbone


@dataclass(frozen=True)
class ModelLoader:
    """Loads models on one device; called in the worker, where torch is imported.

    Attributes
    ----------
    device : str
        As for `load_backbone`.
    """

    device: str = "auto"

    def __call__(self, model: str, report: Callable[[str, int, int], None]) -> Backbone:
        """Load a model by name or path."""
        from napari_dinov3_sim.backbones import load_backbone

        return load_backbone(model, device=self.device, progress=report)

"""A loader of models on one device, for a session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinov3_sim.backbones.backbone import DINOv3Backbone
    from napari_dinov3_sim.backbones.identity import ModelIdentity


@dataclass(frozen=True)
class ModelLoader:
    """Loads models on one device; called in the worker, where torch is imported.

    Attributes
    ----------
    device : str
        As for `load_backbone`.
    """

    device: str = "auto"

    def __call__(self, model: str, report: Callable[[str, int, int], None]) -> DINOv3Backbone:
        """Load a model by name or path."""
        from napari_dinov3_sim.backbones.background_import import import_encoder

        import_encoder()
        from napari_dinov3_sim.backbones import load_backbone

        return load_backbone(model, device=self.device, progress=report)

    def known_identity(self, model: str) -> ModelIdentity | None:
        """Return what is known of a model without loading it; imports neither of its libraries."""
        from napari_dinov3_sim.backbones import known_identity

        return known_identity(model, self.device)

"""Ring 2, models: the registry, the files of their weights, and loading.

May import `core/` and `store/`; torch, transformers and the Hugging Face Hub inside functions.
Importing this package imports neither torch nor transformers, so that a list of models can be
shown at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.backbones.errors import (
    CorruptWeightsError,
    DeviceError,
    DownloadError,
    GatedModelError,
    ModelChangedError,
    ModelError,
    ModelNotFoundError,
    OfflineError,
    WrongModelError,
)
from napari_dinov3_sim.backbones.registry import (
    BUILTIN,
    DEFAULT_MODEL,
    MODELS,
    ModelRecord,
    Source,
    find_model,
    list_models,
)

if TYPE_CHECKING:
    from napari_dinov3_sim.backbones.backbone import DINOv3Backbone
    from napari_dinov3_sim.backbones.identity import ModelIdentity, known_identity
    from napari_dinov3_sim.backbones.loading import is_available, load_backbone

__all__ = [
    "BUILTIN",
    "DEFAULT_MODEL",
    "MODELS",
    "CorruptWeightsError",
    "DINOv3Backbone",
    "DeviceError",
    "DownloadError",
    "GatedModelError",
    "ModelChangedError",
    "ModelError",
    "ModelIdentity",
    "ModelNotFoundError",
    "ModelRecord",
    "OfflineError",
    "Source",
    "WrongModelError",
    "find_model",
    "is_available",
    "known_identity",
    "list_models",
    "load_backbone",
]

_HOMES = {
    "DINOv3Backbone": "backbone",
    "ModelIdentity": "identity",
    "is_available": "loading",
    "known_identity": "identity",
    "load_backbone": "loading",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Reads the preferences from napari's settings and checks them.

The dialog is defined in `napari.yaml` under ``configurations``: a new preference begins there. The
defaults are repeated here, for where the plugin is not installed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.backbones import MODELS
from napari_dinov3_sim.backbones.files.locate import first_choice
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore, default_folder
from napari_dinov3_sim.versions import plugin_preferences

if TYPE_CHECKING:
    from collections.abc import Callable


PLUGIN = "napari-dinov3-sim"
AUTO = "auto"
DEVICES = (AUTO, "cpu", "openvino", "cuda", "cuda:1", "mps")
GIB = 2**30

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preferences:
    """Start values of the dock.

    Attributes
    ----------
    model : str
        Name in the registry; "auto" is a DINOv3 model whose weights are on this computer, else
        the built-in one, so that the first click needs no download.
    device : str
        Where models run; "auto" takes the best there is.
    memory_gib : float
        GiB of embeddings to keep for planes that are not shown.
    disk_gib : float
        GiB of embeddings to keep on disk; 0 for none.
    store_folder : str
        Where they are; empty for the user's cache.
    """

    model: str = AUTO
    device: str = AUTO
    memory_gib: float = 2.0
    disk_gib: float = 10.0
    store_folder: str = ""

    @property
    def first_model(self) -> str:
        """The model that a dock starts with."""
        return first_choice() if self.model == AUTO else self.model

    @property
    def memory_budget(self) -> int:
        """The memory in bytes."""
        return int(self.memory_gib * GIB)

    @property
    def disk_budget(self) -> int:
        """The room on disk in bytes."""
        return int(self.disk_gib * GIB)


def read_preferences() -> Preferences:
    """Read napari's preferences for this plugin; a value that is missing or wrong is replaced."""
    default = Preferences()
    settings = _settings()
    model = getattr(settings, "model", default.model)
    device = getattr(settings, "device", default.device)
    memory = getattr(settings, "memory_gib", default.memory_gib)
    disk = getattr(settings, "disk_gib", default.disk_gib)
    folder = getattr(settings, "store_folder", default.store_folder)
    return Preferences(
        _checked("model", model, model in (AUTO, *MODELS), default.model),
        _checked("device", device, device in DEVICES, default.device),
        _checked("memory", memory, _is_size(memory, 1024), default.memory_gib),
        _checked("disk", disk, _is_size(disk, 2**20), default.disk_gib),
        _checked("store folder", folder, isinstance(folder, str), default.store_folder),
    )


def _settings() -> Any:
    try:
        return plugin_preferences(PLUGIN).start
    # There are none before napari 0.9, or where the plugin is disabled or not installed as one.
    except (KeyError, AttributeError):
        return None


def _is_size(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and 0 <= value <= most


def _checked(name: str, value: Any, valid: bool, default: Any) -> Any:
    if valid:
        return value
    _logger.warning(
        "The preference %s of DINOv3 similarity is %r; %r is used.", name, value, default
    )
    return default


def make_store(preferences: Preferences, warn: Callable[[str], object]) -> EmbeddingStore:
    """Return a store as the preferences say; no folder is made before something is kept.

    Parameters
    ----------
    preferences : Preferences
    warn : callable
        Told by worker threads, in one sentence, of damaged files and folders that cannot be
        written.

    Returns
    -------
    EmbeddingStore
    """
    memory = MemoryStore(preferences.memory_budget)
    if not preferences.disk_budget:
        return EmbeddingStore(memory)
    folder = preferences.store_folder
    path = Path(folder).expanduser() if folder else default_folder()
    return EmbeddingStore(memory, DiskStore(path, preferences.disk_budget, warn))

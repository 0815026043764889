"""From a plane that is searched to its embeddings: those of `embed`, or made now."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.errors import InputError
from napari_dinov3_sim._cli.tasks import PlaneFailed, failed, last_file
from napari_dinov3_sim._cli.terminal import FLAT, note
from napari_dinov3_sim.backbones import ModelError
from napari_dinov3_sim.core.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinov3_sim._cli.colours import ReadAs
    from napari_dinov3_sim._cli.embedding import Found, PlaneEmbedder
    from napari_dinov3_sim._cli.layers import Layer
    from napari_dinov3_sim._cli.places import Place
    from napari_dinov3_sim._cli.terminal import Bars
    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.core.images.sources import PixelSource


NOTHING = (
    "{folder} holds nothing for {name}, which is embedded now: what is there was made with "
    "another model, arithmetic, resolution, shifts, padding or --read-as, or of other pixels."
)


@dataclass(eq=False)
class Planes:
    """Opens the planes that are searched, each through the window of its layer.

    Attributes
    ----------
    read_as : {'auto', 'rgb', 'stack'}
        What 3 or 4 planes of a file are.
    """

    read_as: ReadAs
    _windows: dict[tuple[Path, int], IntensityWindow | None] = field(default_factory=dict)

    def source(self, place: Place) -> PixelSource:
        """Return a plane, unread.

        Raises
        ------
        InputError
            Its file was changed since it was looked into.
        """
        layer = self._layer(place)
        if (layer.plane_shape, layer.leading) != (place.plan.shape, place.plan.leading):
            raise InputError(f"{place.path} was changed in the meantime; run the command again.")
        return layer.plane(place.position)

    def window(self, place: Place) -> IntensityWindow | None:
        """Return the window of the layer of a plane; None for a single one, which has its own."""
        if not place.plan.is_stack:
            return None
        layer = place.path, place.layer
        if layer not in self._windows:
            self._windows[layer] = self._layer(place).window()
        return self._windows[layer]

    def _layer(self, place: Place) -> Layer:
        return last_file.layer(place.task(None), self.read_as)


@dataclass(eq=False)
class Finder:
    """Finds or makes the embeddings of planes.

    Attributes
    ----------
    planes : Planes
    embedder : PlaneEmbedder
    bars : Bars
    count : int
        How many planes there are, for the progress.
    """

    planes: Planes
    embedder: PlaneEmbedder
    bars: Bars
    count: int
    _found: int = 0
    _missing: set[Path] = field(default_factory=set)
    _flat: set[Path] = field(default_factory=set)

    def find(self, place: Place) -> Found:
        """Return the embeddings of a plane, computed if they are not stored."""
        self._found += 1
        which = f" ({self._found} of {self.count})" if self.count > 1 else ""
        progress = self.bars.tiles(f"Embedding {place.short_name}{which}")
        source, window = self.planes.source(place), self.planes.window(place)
        missing = partial(self._note_missing, place)
        found = self.embedder.find(source, place.short_name, window, progress, missing)
        if not found.contrast and (place.is_only or window is not None):
            self._note_once(place, FLAT.format(path=place.path), self._flat)
        return found

    def attempt(self, place: Place) -> Found | PlaneFailed:
        """Return the embeddings of a plane, or why it has none, which does not stop the others."""
        try:
            return self.find(place)
        except (ModelError, StoreError):  # no other plane would fare better
            raise
        except Exception as error:
            return failed(place.path, error)

    def _note_missing(self, place: Place) -> None:
        folder = None if self.embedder.store is None else self.embedder.store.folder
        self._note_once(place, NOTHING.format(folder=folder, name=place.name), self._missing)

    def _note_once(self, place: Place, text: str, told: set[Path]) -> None:
        """Tell something of the first plane of a file that it is true of."""
        if place.path not in told:
            note(f"note: {text}")
        told.add(place.path)

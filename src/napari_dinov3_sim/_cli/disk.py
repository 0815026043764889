"""A folder of embeddings: found by what they were made from, recognised by a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.store import SUFFIX, load_state, save_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_dinov3_sim.core.state import Backbone, PatchImageState

DIGITS = 16
"""Of the digest, in the name of the file."""

MAX_STEM = 60
"""Characters of the image's name that are kept; file systems allow about 255 bytes in all."""


@dataclass(frozen=True)
class Key:
    """What an embedding must be: its digest, its model, its grid.

    Attributes
    ----------
    digest : str
        From `store.digest_of`.
    fingerprint : str
        Fingerprint of the backbone.
    grid : PatchGrid
    """

    digest: str
    fingerprint: str
    grid: PatchGrid

    @classmethod
    def of(cls, digest: str, shape: tuple[int, ...], backbone: Backbone) -> Key:
        """Return the key of an image of this shape under a backbone."""
        grid = PatchGrid((shape[0], shape[1]), backbone.patch_size)
        return cls(digest, backbone.fingerprint, grid)

    def fits(self, state: PatchImageState) -> bool:
        """Whether a state can be the one that is meant."""
        return state.fingerprint == self.fingerprint and state.grid == self.grid


class DiskStore:
    """Embeddings in a folder, as ``<stem>-<digest>.embeddings.safetensors``.

    Parameters
    ----------
    folder : Path
    warn : callable
        Told of each damaged file, in one line.
    """

    def __init__(self, folder: Path, warn: Callable[[str], Any]) -> None:
        self._folder, self._warn = folder, warn

    def path_for(self, key: Key, stem: str) -> Path:
        """Return where the embeddings of an image go."""
        return self._folder / f"{stem[:MAX_STEM]}-{key.digest[:DIGITS]}{SUFFIX}"

    def get(self, key: Key) -> tuple[Path, PatchImageState] | None:
        """Return stored embeddings and their file, whatever the image was called then.

        A damaged file is renamed, and the user is told.
        """
        for path in sorted(self._folder.glob(f"*-{key.digest[:DIGITS]}{SUFFIX}")):
            try:
                state = load_state(path)
            except StoreError:
                self._set_aside(path, "is damaged")
                continue
            if key.fits(state):
                return path, state
            self._set_aside(path, "holds the embeddings of something else")
        return None

    def put(self, key: Key, stem: str, state: PatchImageState) -> Path:
        """Write embeddings, whole or not at all."""
        return save_state(state, self.path_for(key, stem))

    def _set_aside(self, path: Path, what: str) -> None:
        aside = path.with_name(f"{path.name}.damaged")
        try:
            path.replace(aside)
        except OSError as error:
            self._warn(f"{path} {what} and is not used ({error.strerror or error}).")
        else:
            self._warn(f"{path} {what}; it is now {aside.name} and the image is embedded again.")

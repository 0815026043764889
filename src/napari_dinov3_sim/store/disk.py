"""A folder of embeddings on disk: found by digest, with names for people.

What is removed first stands in `disk_folder.py`; how much the dock keeps is a preference, in
`napari.yaml` and `widget/preferences.py`.
"""

from __future__ import annotations

import logging
import os
import threading
from time import monotonic
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.store.atomic_files import cannot_write, explained, move
from napari_dinov3_sim.store.disk_folder import DAMAGED, SUFFIX, TILES, Folder, TrimResult
from napari_dinov3_sim.store.safetensors_io import (
    CACHED,
    OtherVersionError,
    is_cached,
    read_state,
    write_state,
)
from napari_dinov3_sim.store.tile_cache import DiskTileCache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.store.disk_folder import FolderEntry
    from napari_dinov3_sim.store.safetensors_io import Expected

_log = logging.getLogger(__name__)

RECOUNT = 60.0
"""Seconds after which a folder is measured again, because other processes write into it too."""


class DiskStore:
    """Embeddings in a folder, as ``<label>-<digest>.embeddings.safetensors``.

    Several threads and processes may use one folder: every file is written whole under a name of
    its own content, and what another process deletes counts as not there.

    Parameters
    ----------
    folder : Path
        Made when something is written.
    budget : int, optional
        Bytes that a cache may hold; the least recently used goes first, and that is told. None
        for embeddings that somebody asked for, which are marked so and never removed.
    warn : callable, optional
        Called with a sentence on each damaged file, on what is removed, and once on a folder that
        cannot be written
        or holds embeddings of another version of this package.
    must_write : bool, optional
        Whether `put` raises where embeddings cannot be written, instead of going on without; what
        is found of a cache then counts as asked for, too.
    """

    def __init__(
        self,
        folder: Path,
        budget: int | None = None,
        warn: Callable[[str], object] = _log.warning,
        *,
        must_write: bool = False,
    ) -> None:
        self.budget, self._must_write = budget, must_write
        self._folder, self._warn = Folder(folder), warn
        self._refused = self._cleared = self._is_of_other_version = False
        self._used: int | None = None
        self._counted = 0.0
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self._folder.path

    def path_of(self, digest: str) -> Path | None:
        """Return the file that is there under a digest, unread."""
        return next(iter(self._folder.find(digest, SUFFIX)), None)

    def __contains__(self, digest: str) -> bool:
        return self.path_of(digest) is not None

    def get(self, digest: str, expected: Expected | None = None) -> PatchImageState | None:
        """Return stored embeddings and mark them as used, or None.

        What does not match its name is renamed to ``….damaged``, with a warning. What another
        version of this package wrote counts as not there, and `put` replaces it.

        Parameters
        ----------
        digest : str
            From `digest_of`.
        expected : Expected, optional
            Compared with what the file says of itself.
        """
        for path in self._folder.find(digest, SUFFIX):
            state = self._read(path, digest, expected)
            if state is not None:
                self._take_over(path, digest, state)
                _touch(path)
                if self._folder.find(digest, TILES):  # of a run that was killed after `put`
                    self.tiles(digest).discard()
                return state
        return None

    def _take_over(self, path: Path, digest: str, state: PatchImageState) -> None:
        """Mark what a cache has as asked for, where it is asked for now."""
        if self._must_write and self.budget is None and is_cached(path):
            with explained(path):
                write_state(state, path, digest)

    @property
    def _marks(self) -> Mapping[str, str]:
        return {} if self.budget is None else CACHED

    def _read(self, path: Path, digest: str, expected: Expected | None) -> PatchImageState | None:
        try:
            return read_state(path, digest, expected)
        except FileNotFoundError:  # another process made room
            return None
        except OSError as error:
            self._warn(f"{path} cannot be read and is not used ({error.strerror or error}).")
        except OtherVersionError:
            self._tell_of_other_version()
        except StoreError:
            self._set_aside(path)
        return None

    def _tell_of_other_version(self) -> None:
        with self._lock:
            first, self._is_of_other_version = not self._is_of_other_version, True
        if first:
            self._warn(
                f"{self.folder} holds embeddings of another version of napari-dinov3-sim, which "
                "are not used; the images are embedded again."
            )

    def _set_aside(self, path: Path) -> None:
        aside = path.with_name(f"{path.name}{DAMAGED}")
        what = f"{path} is damaged, or holds the embeddings of something else"
        try:
            move(path, aside)
        except FileNotFoundError:
            return
        except OSError as error:
            self._warn(f"{what}, and is not used ({error.strerror or error}).")
        else:
            self._warn(f"{what}; it is now {aside.name} and the image is embedded again.")

    def put(self, digest: str, state: PatchImageState, label: str = "") -> Path | None:
        """Write embeddings, whole or not at all; their tiles are not needed any more.

        Parameters
        ----------
        digest : str
            From `digest_of`.
        state : PatchImageState
        label : str, optional
            By which a person recognises the file; two of the same label do not collide.

        Returns
        -------
        Path or None
            The file; None where it could not be written, which is reported once, or is larger
            than the whole budget.

        Raises
        ------
        StoreError
            The folder cannot be written, and the store must write.
        """
        if self.budget is not None and state.nbytes > self.budget:
            self.tiles(digest, label).discard()
            return None
        path = self.path_of(digest) or self._folder.place(digest, label, SUFFIX)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_state(state, path, digest, self._marks_of(path))
        except OSError as error:
            if self._must_write:
                raise cannot_write(path, error) from error
            self._warn_once(cannot_write(path, error))
            return None
        self._folder.forget()
        self.tiles(digest, label).discard()
        self._count(path, path)
        return path

    def _marks_of(self, path: Path) -> Mapping[str, str]:
        """Return the marks of what is written now: what is asked for stays so."""
        return {} if path.exists() and not is_cached(path) else self._marks

    def tiles(self, digest: str, label: str = "") -> DiskTileCache:
        """Return what is finished of an image that is not done yet, and where more is kept."""
        there = self._folder.find(digest, TILES)
        folder = there[0] if there else self._folder.place(digest, label, TILES)
        return DiskTileCache(
            folder,
            digest,
            lambda path: self._count(path, folder),
            lambda path, error: self._warn_once(cannot_write(path, error)),
            self._marks,
        )

    def _warn_once(self, error: StoreError) -> None:
        with self._lock:
            first, self._refused = not self._refused, True
        if first:
            self._warn(f"{error} Until then nothing is kept on disk.")

    def _count(self, written: Path, keep: Path) -> None:
        if self.budget is None:
            self._clear_once()
            return
        trimmed = TrimResult(0, (), ())
        with self._lock:
            if self._used is not None:
                self._used += _size(written)
            old = monotonic() - self._counted > RECOUNT
            if self._used is None or self._used > self.budget or old:
                trimmed = self._folder.trim(self.budget, keep)
                self._used, self._counted = trimmed.size, monotonic()
        if trimmed.removed:
            self._tell_of(trimmed, self.budget)

    def _tell_of(self, trimmed: TrimResult, budget: int) -> None:
        whole = [unit for unit in trimmed.removed if not unit.is_left_over]
        parts = [f"The cached embeddings of {plural(len(whole), 'image')} ({_mebibytes(whole)}), "]
        parts += ["the least recently used, were removed from "]
        if not whole:
            what = described(trimmed.removed)
            parts = [f"{what[:1].upper()}{what[1:]} ({_mebibytes(trimmed.removed)}) of the cache "]
            parts += ["were removed from "]
        parts += [f"{self.folder}, because a cache may have {budget / 2**30:.3g} GiB there; what "]
        parts += ["`embed` wrote stays."]
        if trimmed.left_over:
            parts.append(f" {self._of_left_over(trimmed.left_over)}")
        self._warn("".join(parts))

    def left_over(self) -> str:
        """Return a sentence on what stays in the folder and is of no use; empty for nothing."""
        found = self._folder.left_over()
        return self._of_left_over(found) if found else ""

    def _of_left_over(self, found: Sequence[FolderEntry]) -> str:
        tiles = any(unit.are_tiles for unit in found)
        goes_on = ", or embed the image again, which goes on from its tiles" if tiles else ""
        return (
            f"{self.folder} also holds {described(found)} ({_mebibytes(found)}), such as "
            f"{found[0].path.name}; delete what you do not need{goes_on}."
        )

    def _clear_once(self) -> None:
        with self._lock:
            first, self._cleared = not self._cleared, True
        if first:
            self._folder.clear_left_behind()


def described(entries: Sequence[FolderEntry]) -> str:
    """Return how many damaged files, and tiles of how many interrupted runs, there are."""
    damaged = sum(unit.is_damaged for unit in entries)
    runs = sum(unit.are_tiles for unit in entries)
    parts = [plural(damaged, "damaged file")] if damaged else []
    parts += [f"the tiles of {plural(runs, 'interrupted run')}"] if runs else []
    return " and ".join(parts)


def _mebibytes(entries: Sequence[FolderEntry]) -> str:
    return f"{sum(unit.size for unit in entries) / 2**20:.0f} MiB"


def _touch(path: Path) -> None:
    try:
        os.utime(path)
    except OSError:  # a folder that may only be read has no order of use
        return


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0

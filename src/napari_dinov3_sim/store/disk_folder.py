"""The entries of a folder of embeddings, and which of them is removed first.

Only what was kept unasked is ever removed: what `embed` wrote stays until the user deletes it.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.text import file_name_part
from napari_dinov3_sim.store.safetensors_io import PART, is_cached

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".embeddings.safetensors"
TILES = ".tiles"
"""End of the name of a folder with the finished tiles of one image."""

DIGITS = 32
"""Of the digest, in a name; the whole of it is in the file."""

MAX_LABEL = 100
"""Bytes of a label that are kept; file systems allow 255 for a whole name."""

STALE = 24 * 3600.0
"""Seconds after which the tiles of an interrupted run leave before any finished embedding."""

LEFT_BEHIND = 3600.0
"""Seconds after which a file that is still being written belongs to a process that was killed."""

ROOM = 0.9
"""Part of the budget that a full folder is brought down to, so that not every file fills it."""

SETTLED = 2 * 10**9
"""Nanoseconds; a folder changed more recently may change again within one tick of its clock."""

_OWN = re.compile(
    rf"(?:.*-)?(?P<digits>[0-9a-f]{{{DIGITS}}})(?:{re.escape(SUFFIX)}|{re.escape(TILES)})", re.S
)


@dataclass(frozen=True)
class FolderEntry:
    """What is kept or let go as one: a file of embeddings, or the tiles of an image.

    Attributes
    ----------
    path : Path
    size : int
        In bytes.
    used : float
        When it was last used, in seconds since the epoch.
    inode : int
        By which the file system tells files apart.
    """

    path: Path
    size: int
    used: float
    inode: int = 0

    @property
    def key(self) -> tuple[str, int, int]:
        """By what a file is known as long as its marks stay the same."""
        return self.path.name, self.inode, self.size

    @property
    def is_stale(self) -> bool:
        """Whether these are the tiles of a run that nobody has gone on with."""
        return self.path.name.endswith(TILES) and time.time() - self.used > STALE

    def remove(self) -> None:
        """Delete it; what another process has open or deleted is left to that process."""
        if self.path.name.endswith(TILES):
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            _unlink(self.path)


class Folder:
    """A folder of embeddings, listed only when it has changed. Safe to use from several threads.

    Parameters
    ----------
    path : Path
        Need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._names: dict[str, list[str]] = {}
        self._stamp = -1
        self._cached: dict[tuple[str, int, int], bool] = {}
        self._lock = threading.Lock()

    def place(self, digest: str, label: str, suffix: str) -> Path:
        """Return where something new goes, under a name that a person recognises."""
        prefix = file_name_part(label, MAX_LABEL)
        return self.path / f"{prefix}{'-' if prefix else ''}{digest[:DIGITS]}{suffix}"

    def find(self, digest: str, suffix: str) -> list[Path]:
        """Return what is there under a digest, whatever it was called then."""
        with self._lock:
            self._refresh()
            names = self._names.get(digest[:DIGITS], [])
            return [self.path / name for name in names if name.endswith(suffix)]

    def _refresh(self) -> None:
        try:
            stamp = self.path.stat().st_mtime_ns
            if stamp == self._stamp:
                return
            names = sorted(path.name for path in self.path.iterdir())
        except OSError:
            stamp, names = -1, []
        self._names = {}
        for name in names:
            if own := _OWN.fullmatch(name):
                self._names.setdefault(own["digits"], []).append(name)
        # Two changes within a tick of the clock leave the same stamp: list it again next time.
        self._stamp = stamp if time.time_ns() - stamp > SETTLED else -1

    def units(self) -> list[FolderEntry]:
        """Measure everything in the folder that was kept unasked."""
        found = [unit for path in _own_paths(self.path) if (unit := _measure(path)) is not None]
        marks = {unit: self._is_cached(unit) for unit in found}
        self._cached = {unit.key: mark for unit, mark in marks.items()}
        return [unit for unit, mark in marks.items() if mark]

    def _is_cached(self, unit: FolderEntry) -> bool:
        known = self._cached.get(unit.key)
        if known is None or not unit.path.is_file():
            tiles = [unit.path] if unit.path.is_file() else sorted(unit.path.glob("*.safetensors"))
            return any(is_cached(path) for path in tiles[:1])
        return known

    def clear_left_behind(self) -> None:
        """Delete what killed processes were writing."""
        for path in self.path.glob(f".*{SUFFIX}.*{PART}"):
            unit = _measure(path)
            if unit is not None and time.time() - unit.used > LEFT_BEHIND:
                shutil.rmtree(path, ignore_errors=True)

    def trim(self, budget: int, keep: Path) -> tuple[int, list[FolderEntry]]:
        """Delete the least recently used of the cache when it is more than a budget.

        Parameters
        ----------
        budget : int
            In bytes.
        keep : Path
            What was written just now, and goes last.

        Returns
        -------
        int, list of FolderEntry
            Bytes of the cache that remain, and what was deleted.
        """
        self.clear_left_behind()
        units = sorted(
            self.units(), key=lambda unit: (unit.path == keep, not unit.is_stale, unit.used)
        )
        total = sum(unit.size for unit in units)
        goal = budget if total <= budget else int(budget * ROOM)
        removed = []
        for unit in units:
            # The last file fits by itself; the tiles of one image need not.
            if total <= goal or (unit.path == keep and total <= budget):
                break
            unit.remove()
            removed.append(unit)
            total -= unit.size
        return total, removed


def _own_paths(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if _OWN.fullmatch(path.name)]
    except OSError:
        return []


def _measure(path: Path) -> FolderEntry | None:
    try:
        if not path.name.endswith(TILES):
            facts = path.stat()
            return FolderEntry(path, facts.st_size, facts.st_mtime, facts.st_ino)
        parts = [part.stat() for part in path.iterdir()]
        latest = max(part.st_mtime for part in [path.stat(), *parts])
        return FolderEntry(path, sum(part.st_size for part in parts), latest)
    except OSError:  # gone in the meantime
        return None


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return

"""The entries of a folder of embeddings, and which of them is removed first.

Only what was kept unasked is ever removed: what `embed` wrote stays until the user deletes it.
What an interrupted `embed` has left, and what turned out to be damaged, takes room of the limit
and is told.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.text import file_name_part
from napari_dinov3_sim.store.atomic_files import PART
from napari_dinov3_sim.store.safetensors_io import is_cached

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

DAMAGED = ".damaged"
"""Added to the name of a file that is not what its name says."""

LEFT_BEHIND = 3600.0
"""Seconds after which what is still being written belongs to a process that was killed."""

ROOM = 0.9
"""Part of the budget that a full folder is brought down to, so that not every file fills it."""

SETTLED = 2 * 10**9
"""Nanoseconds; a folder changed more recently may change again within one tick of its clock."""

_OWN = re.compile(
    rf"(?:.*-)?(?P<digits>[0-9a-f]{{{DIGITS}}})"
    rf"(?:{re.escape(SUFFIX)}(?:{re.escape(DAMAGED)})?|{re.escape(TILES)})",
    re.S,
)


@dataclass(frozen=True)
class FolderEntry:
    """What is kept or let go as one: a file of embeddings, or a damaged one, or tiles of an image.

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
    def are_tiles(self) -> bool:
        """Whether these are the tiles of a run that has not come to its end."""
        return self.path.name.endswith(TILES)

    @property
    def is_damaged(self) -> bool:
        """Whether this was set aside, because it is not what its name says."""
        return self.path.name.endswith(DAMAGED)

    @property
    def is_left_over(self) -> bool:
        """Whether it is of no use: damaged, or the tiles of a run that nobody has gone on with."""
        return self.is_damaged or (self.are_tiles and self.age > STALE)

    @property
    def is_being_written(self) -> bool:
        """Whether another process may be about to add tiles."""
        return self.are_tiles and self.age < LEFT_BEHIND

    @property
    def age(self) -> float:
        """Seconds since it was used, or until it will have been, where a clock was put back."""
        return abs(time.time() - self.used)

    def remove(self) -> bool:
        """Delete it, and return whether it is gone: what a process holds open may have to stay."""
        if self.are_tiles:
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            _unlink(self.path)
        return not self.path.exists()


@dataclass(frozen=True)
class TrimResult:
    """What became of a folder that was brought down to its limit.

    Attributes
    ----------
    size : int
        Bytes that count towards the limit and remain.
    removed : tuple of FolderEntry
        Of the cache, the first removed first.
    left_over : tuple of FolderEntry
        What `embed` has left and only the user deletes; it counts, too.
    """

    size: int
    removed: tuple[FolderEntry, ...]
    left_over: tuple[FolderEntry, ...]


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

    def forget(self) -> None:
        """List it again next time: disks formatted as FAT do not say that a folder has changed."""
        with self._lock:
            self._stamp = -1

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
        return [unit for unit, is_mine in self._measured().items() if is_mine]

    def left_over(self) -> list[FolderEntry]:
        """Measure what `embed` has left: tiles that nobody has gone on with, and damaged files."""
        measured = self._measured().items()
        return [unit for unit, is_mine in measured if unit.is_left_over and not is_mine]

    def _measured(self) -> dict[FolderEntry, bool]:
        """Return everything in the folder, and whether a cache has kept it."""
        found = [unit for path in _own_paths(self.path) if (unit := _measure(path)) is not None]
        marks = {unit: self._is_cached(unit) for unit in found}
        self._cached = {unit.key: mark for unit, mark in marks.items()}
        return marks

    def _is_cached(self, unit: FolderEntry) -> bool:
        if unit.path.is_file():
            known = self._cached.get(unit.key)
            return is_cached(unit.path) if known is None else known
        try:
            first = min(unit.path.glob("*.safetensors"), default=None)
        except OSError:  # another process has deleted it
            return False
        return first is not None and is_cached(first)

    def clear_left_behind(self) -> None:
        """Delete what killed processes were writing."""
        for path in self.path.glob(f".*{SUFFIX}.*{PART}"):
            unit = _measure(path)
            if unit is not None and unit.age > LEFT_BEHIND:
                shutil.rmtree(path, ignore_errors=True)

    def trim(self, budget: int, keep: Path) -> TrimResult:
        """Delete the least recently used of the cache when it is more than a budget.

        Damaged files and tiles that nobody has gone on with go first; tiles that another process
        may be adding to stay.

        Parameters
        ----------
        budget : int
            In bytes.
        keep : Path
            What was written just now, and goes last.
        """
        self.clear_left_behind()
        measured = self._measured()
        left_over = tuple(u for u, is_mine in measured.items() if u.is_left_over and not is_mine)
        units = sorted(
            (unit for unit, is_mine in measured.items() if is_mine),
            key=lambda unit: (unit.path == keep, not unit.is_left_over, unit.used),
        )
        total = sum(unit.size for unit in (*units, *left_over))
        goal = budget if total <= budget else int(budget * ROOM)
        removed = []
        for unit in units:
            # The last file fits by itself; the tiles of one image need not.
            if total <= goal or (unit.path == keep and total <= budget):
                break
            if (unit.path == keep or not unit.is_being_written) and unit.remove():
                removed.append(unit)
                total -= unit.size
        return TrimResult(total, tuple(removed), left_over)


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
        # Without the folder of the tile that is being written, or was when its process was killed.
        parts = [part.stat() for part in path.iterdir() if not part.name.endswith(PART)]
        latest = max(part.st_mtime for part in [path.stat(), *parts])
        return FolderEntry(path, sum(part.st_size for part in parts), latest)
    except OSError:  # gone in the meantime
        return None


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return

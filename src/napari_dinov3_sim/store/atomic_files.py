"""Files that are written whole or not at all, and what is said where they cannot be written."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = ".part"
"""End of the name of a folder in which a file is being written."""

MAX_PREFIX = 24
"""Bytes of a name that its folder begins with while it is written.

Few, because Windows counts the whole path, and the name of the file comes behind it once more.
"""

WAITS = (0.02, 0.04, 0.08, 0.16, 0.3)
"""Seconds between two tries to replace a file that another program has open.

A virus scanner or an indexer lets go of a new file within a fraction of a second. It may be the
thread of the window that waits, so that it is not longer.
"""

IN_USE = (errno.EBUSY, errno.ETXTBSY)
"""What network folders say of a file that another computer has open."""

IN_USE_ON_WINDOWS = (5, 32, 33, 1224)
"""Access denied (of a file that is mapped into memory, too), sharing violation, lock violation,
user-mapped section: https://learn.microsoft.com/windows/win32/debug/system-error-codes
"""

_CURES = {
    "close it in the program that has it open": (IN_USE, IN_USE_ON_WINDOWS),
    "free some space": ((errno.ENOSPC, errno.EDQUOT), ()),
    "change its permissions": ((errno.EACCES, errno.EPERM, errno.EROFS), ()),
    "choose a shorter name": ((errno.ENAMETOOLONG,), (111, 206)),
    "choose another name": ((), (123,)),
}
"""What a user can do, by numbers of errors: those of POSIX, and those of Windows."""

LONGEST_ON_WINDOWS = 259
"""Characters of a path that Windows takes unless long paths were enabled in its settings."""


@contextmanager
def explained(path: Path, what: str = "embeddings") -> Iterator[None]:
    """Turn an OSError into the `StoreError` that says why `what` did not get into its file."""
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error, what) from error


def cannot_write(path: Path, error: OSError, what: str = "embeddings") -> StoreError:
    """Return the error that a user is told when `what` did not get into its file."""
    reason, cure = error.strerror or error, cure_of(error)
    if isinstance(error, FileNotFoundError):
        # A folder that could not be made says why itself.
        if not path.absolute().parent.exists():
            reason, cure = f"there is no folder {path.parent}", "make it or choose another folder"
        elif is_too_long(path, error):
            reason = f"its path has more than the {LONGEST_ON_WINDOWS} characters of Windows"
            cure = "choose a shorter name or a folder nearer to the drive"
    return StoreError(f"The {what} cannot be written to {path} ({reason}); {cure}.")


def cure_of(error: OSError) -> str:
    """Return what a user can do when a file cannot be written."""
    found = [
        cure
        for cure, (numbers, of_windows) in _CURES.items()
        if error.errno in numbers or _winerror(error) in of_windows
    ]
    return " or ".join([*found, "choose another folder"])


def is_too_long(path: Path, error: OSError) -> bool:
    """Whether Windows cannot find a path because it is too long: it does not say so itself.

    A file is written in a folder beside it, whose path is the longer one.
    """
    beside = len(str(path.absolute())) + len(_prefix(path)) + len("12345678") + len(PART) + 1
    return _winerror(error) is not None and beside > LONGEST_ON_WINDOWS


def _winerror(error: OSError) -> int | None:
    number: int | None = getattr(error, "winerror", None)  # only Windows has it
    return number


def is_in_use(error: OSError) -> bool:
    """Whether a file could not be touched because a program may have it open.

    Windows does not let others rename, replace or delete a file that was not opened for sharing.
    """
    return error.errno in IN_USE or _winerror(error) in IN_USE_ON_WINDOWS


def move(source: Path, target: Path) -> None:
    """Rename a file or folder, replacing a file; try again for a moment where it is in use.

    Raises
    ------
    OSError
        It cannot be renamed, or is still in use.
    """
    for wait in WAITS:
        try:
            source.replace(target)
        except OSError as error:
            if not is_in_use(error):
                raise
        else:
            return
        time.sleep(wait)
    source.replace(target)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it into it; on failure nothing is left behind."""
    with replacing(path) as part:
        part.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a path whose file then replaces the one at `path`, unless an error is raised.

    It lies in a folder of its own beside it: on the same drive, since no file can be renamed onto
    another one; so that what writes there may need more than a file; and so that what a killed
    process leaves behind is known by its name.
    """
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix=_prefix(path), suffix=PART, ignore_cleanup_errors=True
    ) as folder:
        part = Path(folder) / path.name
        yield part
        move(part, path)


def _prefix(path: Path) -> str:
    # Cut from the left, because embeddings are known by the end of their names.
    return f".{os.fsencode(path.name)[-MAX_PREFIX:].decode(errors='ignore')}."

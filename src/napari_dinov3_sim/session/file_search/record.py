"""What a search of files needs to be taken up again, kept in the folder of its results."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.store.atomic_files import explained, write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

RECORD_FORMAT = "napari-dinov3-sim-file-search/1"


@dataclass(frozen=True)
class SearchFolder:
    """Where the parts of a search lie.

    Attributes
    ----------
    path : Path
        The folder of results.
    """

    path: Path

    @property
    def about(self) -> Path:
        """The folder that all besides results is kept in."""
        return self.path / "search"

    @property
    def query(self) -> Path:
        """The saved query."""
        return self.about / "search.query.safetensors"

    @property
    def files(self) -> Path:
        """The list of the images."""
        return self.about / "files.txt"

    @property
    def record(self) -> Path:
        """The record."""
        return self.about / "search.json"

    @property
    def embeddings(self) -> Path:
        """The folder of embeddings."""
        return self.about / "embeddings"


@dataclass(frozen=True)
class SearchRecord:
    """A search as it was started.

    Attributes
    ----------
    options : tuple of str
        Of the command line, but those that name files.
    count : int
        Number of images.
    finished : bool
        Whether all of them were searched.
    """

    options: tuple[str, ...]
    count: int
    finished: bool = False

    def write(self, folder: SearchFolder) -> None:
        """Write it, whole or not at all.

        Raises
        ------
        StoreError
            It cannot be written.
        """
        content = json.dumps({"format": RECORD_FORMAT, **asdict(self)}, indent=1)
        with explained(folder.record, "search"):
            folder.about.mkdir(parents=True, exist_ok=True)
            write_atomically(folder.record, content.encode())


def read_record(folder: SearchFolder) -> SearchRecord | None:
    """Return the record of a folder of results; None where there is none.

    Raises
    ------
    StoreError
        It is damaged, or cannot be read.
    """
    try:
        content = folder.record.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(folder.record, error.strerror or str(error)) from error
    try:
        return _record_of(json.loads(content))
    except (ValueError, KeyError, TypeError) as error:
        raise _unreadable(folder.record, "it is damaged") from error


def _record_of(found: dict[str, Any]) -> SearchRecord:
    options = found["options"]
    if found["format"] != RECORD_FORMAT or not all(isinstance(one, str) for one in options):
        raise ValueError
    return SearchRecord(tuple(options), int(found["count"]), bool(found["finished"]))


def _unreadable(path: Path, why: str) -> StoreError:
    return StoreError(f"{path} cannot be read ({why}); choose another folder for the results.")


def write_list(files: Sequence[Path], folder: SearchFolder) -> None:
    """Write which images are searched, each name ended by a NUL byte: names may be anything.

    Raises
    ------
    StoreError
        It cannot be written.
    """
    with explained(folder.files, "search"):
        folder.about.mkdir(parents=True, exist_ok=True)
        write_atomically(folder.files, b"".join(os.fsencode(file) + b"\0" for file in files))


def read_list(folder: SearchFolder) -> tuple[Path, ...]:
    """Return which images are searched.

    Raises
    ------
    StoreError
        The list cannot be read.
    """
    try:
        names = folder.files.read_bytes().split(b"\0")
    except OSError as error:
        raise _unreadable(folder.files, error.strerror or str(error)) from error
    return tuple(Path(os.fsdecode(name)) for name in names if name)

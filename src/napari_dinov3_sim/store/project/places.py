"""Where the images of a project are: paths as URIs, and a search for files that have moved."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes, urlsplit
from urllib.request import url2pathname

from napari_dinov3_sim.core.text import name_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from napari_dinov3_sim.store.project.records import FileRecord

MOST_SEARCHED = 1_000_000
"""Files and folders that are looked at when images are searched for."""


def absolute_uri(path: Path) -> str:
    """Return a ``file:`` URI; bytes of a name that are not UTF-8 are in it, too."""
    return path.absolute().as_uri()


def relative_uri(path: Path, folder: Path) -> str | None:
    """Return a path as a URI reference relative to a folder; None on another drive.

    Examples
    --------
    >>> relative_uri(Path("data/day 1/a.tif"), Path("data/projects"))
    '../day%201/a.tif'
    """
    try:
        found = os.path.relpath(path, folder)
    except ValueError:
        return None
    return "/".join(quote(os.fsencode(part), safe="") for part in Path(found).parts)


def path_of_relative(uri: str, folder: Path) -> Path:
    """Return the path that `relative_uri` was given."""
    return folder.joinpath(*parts_of(uri))


def parts_of(uri: str) -> list[str]:
    """Return the names that a relative reference, or the path of a URI, consists of."""
    return [os.fsdecode(unquote_to_bytes(part)) for part in uri.split("/") if part]


def path_of_absolute(uri: str) -> Path | None:
    """Return the path of a ``file:`` URI of this computer; None for any other."""
    split = urlsplit(uri)
    if split.scheme != "file" or split.netloc not in ("", "localhost"):
        return None
    if os.name == "nt":
        return Path(url2pathname(split.path))
    return Path(os.fsdecode(unquote_to_bytes(split.path)))


def candidates(file: FileRecord, folder: Path) -> list[Path]:
    """Return where a file may be: from the folder of the project, and where it was.

    Parameters
    ----------
    file : FileRecord
    folder : Path
        Of the project.

    Returns
    -------
    list of Path
        That exist, the likelier one first.
    """
    found: list[Path] = []
    for make in (_relative, _absolute):
        try:
            path = make(file, folder)
            if path is not None and _can_be_read(path) and path not in found:
                found.append(path)
        except (OSError, ValueError):  # a name that no file can have
            continue
    return found


def _can_be_read(path: Path) -> bool:
    """Whether something is there that ends: no device, and no pipe that would be waited for."""
    return path.is_file() or path.is_dir()


def _relative(file: FileRecord, folder: Path) -> Path | None:
    if file.relative is None:
        return None
    return Path(os.path.normpath(path_of_relative(file.relative, folder)))


def _absolute(file: FileRecord, folder: Path) -> Path | None:
    del folder
    return path_of_absolute(file.absolute)


def search_folder(
    folder: Path, files: Iterable[FileRecord], check: Callable[[], None]
) -> dict[FileRecord, list[Path]]:
    """Return the files of a folder, and of those in it, that may be those of a project.

    Parameters
    ----------
    folder : Path
    files : iterable of FileRecord
    check : callable
        Called now and then; what it raises ends the search.

    Returns
    -------
    dict of FileRecord to list of Path
        Those with its name, in upper or lower case, as some disks do not tell these apart; first
        the one with most folders of the same names above it.
    """
    wanted = {file: parts_of(urlsplit(file.absolute).path) for file in files}
    names = {name_key(parts[-1]) for parts in wanted.values() if parts}
    by_name: dict[str, list[Path]] = {}
    for path in _walk(folder, check):
        if (name := name_key(path.name)) in names:
            by_name.setdefault(name, []).append(path)
    found = {}
    for file, parts in wanted.items():
        paths = by_name.get(name_key(parts[-1]), []) if parts else []
        found[file] = sorted(paths, key=partial(_rank, parts=parts))
    return found


def _rank(path: Path, parts: list[str]) -> tuple[int, bool]:
    return -_common_end(path, parts), path.name != parts[-1]


def _walk(folder: Path, check: Callable[[], None]) -> Iterator[Path]:
    """Yield files and folders; a Zarr folder is one image, and not looked into."""
    seen = 0
    for root, folders, files in os.walk(folder):
        check()
        for name in sorted((*folders, *files)):
            yield Path(root, name)
            seen += 1
        folders[:] = [name for name in sorted(folders) if not name.lower().endswith(".zarr")]
        if seen > MOST_SEARCHED:
            return


def _common_end(path: Path, parts: list[str]) -> int:
    """Return how many names two paths share, counted from their ends."""
    count = 0
    for one, other in zip(reversed(path.parts), reversed(parts), strict=False):
        if name_key(one) != name_key(other):
            break
        count += 1
    return count

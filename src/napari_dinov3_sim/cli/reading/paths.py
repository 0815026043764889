"""Paths from the command line, with patterns that no shell has expanded."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinov3_sim.cli.errors import SeveralErrors, UsageError
from napari_dinov3_sim.cli.reading.numbered_files import (
    files_like,
    is_pattern,
    is_stack,
    planes_of,
    stem_of_stack,
)
from napari_dinov3_sim.cli.terminal import fetching
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.text import does_not_exist, name_key, plain_utf8
from napari_dinov3_sim.readers.addresses import Address, path_or_address
from napari_dinov3_sim.readers.errors import InputError
from napari_dinov3_sim.readers.reader import images_in
from napari_dinov3_sim.readers.zarr_folders import is_zarr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


_SERIES = re.compile(r"(?P<file>.+):series=(?P<number>\d+)")


def image_path(text: str) -> Path:
    """Return what the command line names as an image: a path, or the address of one."""
    return path_or_address(text, fetching)


def local_path(text: str) -> Path:
    """Return what the command line names as a file or folder of this computer.

    Raises
    ------
    UsageError
        It is an address, of which a path would lose a slash.
    """
    path = path_or_address(text)
    if isinstance(path, Address):
        raise UsageError(
            f"{text} is an address, and only images are read from one; name a file or a folder of "
            "this computer."
        )
    return path


def split_series(path: Path) -> tuple[Path, int | None]:
    """Return a file, and which of its images is meant by ``:series=`` behind it.

    Examples
    --------
    >>> split_series(Path("slide.ome.tif:series=2"))[1]
    2
    """
    found = _SERIES.fullmatch(str(path))
    if found is not None and isinstance(path, Address):
        return path.part(found["file"]), int(found["number"])
    if found is None or path.exists():
        return path, None
    return Path(found["file"]), int(found["number"])


def stem_of(path: Path) -> str:
    """Return by what the results of a file are called."""
    if is_stack(path):
        return stem_of_stack(path)
    return split_series(path)[0].stem


def files_of(path: Path) -> list[Path]:
    """Return what is read on this computer: a file, the files of a stack, none of an address."""
    if isinstance(path, Address):
        return []
    return planes_of(path) if is_stack(path) else [split_series(path)[0]]


def matching(name: Path) -> list[Path]:
    """Return the files that a name means; with ``*``, ``?`` or ``[`` it is a pattern.

    A folder means the images in it; folders that match a pattern are left out unless they are
    Zarr.

    Raises
    ------
    InputError
        Nothing matches.
    """
    with _looking_for(name):
        if is_stack(name):
            return [name]
        if name.is_dir() and not is_zarr(name) and name.suffix != ".zarr":
            images = images_in(name)
            if not images:
                raise InputError(
                    f"{name} is a folder without images; name the files that you mean."
                )
            return images
        if not is_pattern(split_series(name)[0]):
            return [name]
        found = sorted(files_like(name), key=str)
    matches = [match for match in found if match.is_file() or is_zarr(match)]
    if not matches:
        raise InputError(f"No image matches {name}; check the spelling and the folder.")
    return matches


def check_there(path: Path) -> None:
    """Raise `InputError` unless there is a file, or a Zarr folder, of this name."""
    path, _ = split_series(path)
    with _looking_for(path):
        if is_stack(path):
            planes_of(path)
            return
        is_folder, exists = path.is_dir() and not is_zarr(path), path.exists()
    if is_folder:
        raise InputError(f"{path} is a folder; name the image files in it, such as {path}/*.png.")
    if not exists:
        raise InputError(does_not_exist(path))


@contextmanager
def _looking_for(path: Path) -> Iterator[None]:
    """Turn what the file system says of a name, such as that it is too long, into a sentence."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path} cannot be looked for ({error.strerror or error}); check the spelling and the "
            "folder."
        ) from error


class InputPaths:
    """Files by the names that the user gave; what is wrong with any of them is told at once."""

    def __init__(self) -> None:
        self._errors: list[SimilarityError] = []

    def read(self, name: Path, meant: Callable[[Path], list[Path]] = matching) -> list[Path]:
        """Return the files that a name means and that are there; note why others are not.

        Parameters
        ----------
        name : Path
        meant : callable, optional
            From a name to files; may raise `SimilarityError`.
        """
        try:
            found = meant(name)
        except SimilarityError as error:
            self._errors.append(error)
            return []
        return [path for path in found if self._is_there(path)]

    def read_all(self, names: Iterable[Path]) -> list[Path]:
        """Return the files that several names mean."""
        return [path for name in names for path in self.read(name)]

    def _is_there(self, path: Path) -> bool:
        try:
            check_there(path)
        except InputError as error:
            self._errors.append(error)
            return False
        return True

    def check(self) -> None:
        """Raise what was wrong with the names, all of it."""
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise SeveralErrors(self._errors)


def listed_paths(path: Path) -> list[Path]:
    """Return the files that a list names; what is wrong with one of them is found when it is read.

    Parameters
    ----------
    path : Path
        Of the list: a name a line, or each ended by a NUL byte, where names may hold line breaks.
        They may be of any bytes; of text as Windows saves it, its mark is no part of a name.

    Raises
    ------
    InputError
        The list cannot be read.
    """
    try:
        content = plain_utf8(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"The list {path} cannot be read ({error.strerror or error}); check the spelling and "
            "the folder."
        ) from error
    names = content.split(b"\0") if b"\0" in content else content.splitlines()
    return [image_path(os.fsdecode(name)) for name in names if name]


def the_match(name: Path) -> list[Path]:
    """Return the one file that a name means, in a list.

    Raises
    ------
    UsageError
        It means several.
    """
    matches = matching(name)
    if len(matches) > 1:
        raise UsageError(
            f"{name} matches {len(matches)} images, and one is clicked; name that one first, and "
            "the pattern after it."
        )
    return matches


def without_repeats(paths: Iterable[Path]) -> list[Path]:
    """Return each file once, where and as it is named first, however it is spelled."""
    once: dict[Path, Path] = {}
    for path in paths:
        once.setdefault(path.resolve(), path)
    return list(once.values())


def unique_stems(
    stems: Sequence[str], endings: Sequence[Sequence[str]] | None = None
) -> list[str]:
    """Return a stem for each of several things under which no two results collide.

    Parameters
    ----------
    stems : sequence of str
    endings : sequence of sequence of str, optional
        What is added to each stem, such as ``-0`` and ``-1`` for two planes.

    Returns
    -------
    list of str
        The own stem for the first that has it; "-2", "-3", … is added for the others.
        Compared by `name_key`, because some file systems do not tell upper from lower case.
    """
    every = [[""]] * len(stems) if endings is None else endings
    own = {name for stem, ends in zip(stems, every, strict=True) for name in _names(stem, ends)}
    taken: set[str] = set()
    unique = []
    for stem, ends in zip(stems, every, strict=True):
        free, count = stem, 1
        while not taken.isdisjoint(_names(free, ends)) or (
            count > 1 and not own.isdisjoint(_names(free, ends))
        ):
            count += 1
            free = f"{stem}-{count}"
        taken.update(_names(free, ends))
        unique.append(free)
    return unique


def _names(stem: str, endings: Iterable[str]) -> set[str]:
    return {name_key(f"{stem}{ending}") for ending in endings}

"""From the names on the command line to files: patterns that no shell has expanded."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.errors import InputError, SeveralErrors, UsageError
from napari_dinov3_sim._cli.zarrs import is_zarr
from napari_dinov3_sim.core.errors import SimilarityError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def matching(name: Path) -> list[Path]:
    """Return the files that a name means; with ``*``, ``?`` or ``[`` it is a pattern.

    Folders that match a pattern are left out unless they are Zarr.

    Raises
    ------
    InputError
        Nothing matches.
    """
    if name.exists() or not glob.has_magic(str(name)):
        return [name]
    found = map(Path, sorted(glob.glob(str(name), recursive=True)))  # noqa: PTH207
    matches = [match for match in found if match.is_file() or is_zarr(match)]
    if not matches:
        raise InputError(f"No image matches {name}; check the spelling and the folder.")
    return matches


def check_there(path: Path) -> None:
    """Raise `InputError` unless there is a file, or a Zarr folder, of this name."""
    if path.is_dir() and not is_zarr(path):
        raise InputError(f"{path} is a folder; name the image files in it, such as {path}/*.png.")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the spelling and the folder.")


class Names:
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

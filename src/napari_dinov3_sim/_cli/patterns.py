"""From the names on the command line to files: patterns that no shell has expanded."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.errors import InputError, UsageError
from napari_dinov3_sim._cli.zarrs import is_zarr

if TYPE_CHECKING:
    from collections.abc import Iterable


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


def all_matching(names: Iterable[Path]) -> list[Path]:
    """Return the files that several names mean."""
    return [match for name in names for match in matching(name)]


def the_match(name: Path) -> Path:
    """Return the one file that a name means.

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
    return matches[0]

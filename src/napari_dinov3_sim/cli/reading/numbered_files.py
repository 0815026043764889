"""Names of stacks: a folder, or a pattern, whose files are the planes of one image."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinov3_sim.readers.errors import InputError
from napari_dinov3_sim.readers.reader import by_numbers, images_in
from napari_dinov3_sim.readers.zarr_folders import is_zarr

if TYPE_CHECKING:
    from collections.abc import Iterable

_STACK = ":stack"


def as_stacks(names: Iterable[Path]) -> list[Path]:
    """Return names with ``:stack`` behind those that mean several files: folders and patterns."""
    return [Path(f"{name}{_STACK}") if _means_several(name) else name for name in names]


def _means_several(name: Path) -> bool:
    if is_stack(name) or is_zarr(name) or name.suffix == ".zarr":
        return False
    return name.is_dir() or is_pattern(name)


def is_pattern(name: Path) -> bool:
    """Whether a name has ``*``, ``?`` or ``[``, and is not that of a file."""
    return glob.has_magic(_in_folder(name)[1]) and not name.exists()


def files_like(pattern: Path) -> list[Path]:
    """Return the files and folders that match a pattern, in no order."""
    folder, rest = _in_folder(pattern)
    return [folder / one for one in glob.glob(rest, root_dir=folder, recursive=True)]  # noqa: PTH207


def _in_folder(name: Path) -> tuple[Path, str]:
    """Return the innermost folder of a name that there is, and the rest, which may be a pattern.

    The name of a folder that there is, such as ``scans [1]``, is no pattern.
    """
    plain = Path(str(name))  # an address is in no folder
    folder = next((one for one in plain.parents if one.is_dir()), Path(plain.anchor))
    return folder, str(plain.relative_to(folder))


def is_stack(name: Path) -> bool:
    """Whether a name ends in ``:stack``, and is not that of a file."""
    return str(name).endswith(_STACK) and not name.exists()


def without_stack(name: Path) -> Path:
    """Return the folder or the pattern."""
    return Path(str(name).removesuffix(_STACK))


def planes_of(name: Path) -> list[Path]:
    """Return the files of a stack, in the order of the numbers in their names.

    Raises
    ------
    InputError
        There are none.
    """
    where = without_stack(name)
    if where.is_dir():
        found = images_in(where)
    else:
        found = sorted((one for one in files_like(where) if one.is_file()), key=by_numbers)
    if not found:
        raise InputError(f"{where} is no stack, because it has no images; check the spelling.")
    return found


def stem_of_stack(name: Path) -> str:
    """Return by what the results of a stack are called.

    Examples
    --------
    >>> stem_of_stack(Path("scans/cells_z*.tif:stack"))
    'cells_z'
    """
    where = without_stack(name)
    if where.is_dir():
        return where.resolve().name or "stack"
    return re.sub(r"\[[^]]*\]|[*?]", "", where.stem).strip(" -_.") or "stack"

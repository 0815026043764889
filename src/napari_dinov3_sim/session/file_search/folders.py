"""Which files are searched, and where their results go."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.text import does_not_exist
from napari_dinov3_sim.readers.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class ChosenFiles:
    """What was found at the places that a user chose.

    Attributes
    ----------
    sources : tuple of Path
        The folders and files that were chosen.
    files : tuple of Path
        The images.
    out : Path or None
        Where their results may go; None where there is no image.
    problem : str
        Why there are none.
    """

    sources: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()
    out: Path | None = None
    problem: str = ""

    @classmethod
    def at(cls, sources: Sequence[Path]) -> ChosenFiles:
        """Look for them; for worker threads."""
        try:
            files = find_files(sources)
        except SimilarityError as error:
            return cls(tuple(sources), problem=str(error))
        return cls(tuple(sources), files, suggest_folder(files))


def find_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the images that are meant, each once, as absolute paths.

    Parameters
    ----------
    paths : sequence of Path
        Files, of which nothing is read yet, and folders, which mean the images in them, not
        those in folders below.

    Raises
    ------
    InputError
        A place does not exist or cannot be looked at, or there are no images.
    """
    found = dict.fromkeys(file for path in paths for file in _images_at(path.absolute()))
    if not found:
        raise InputError("No image is chosen; choose a folder with images, or files.")
    return tuple(found)


def _images_at(path: Path) -> list[Path]:
    from napari_dinov3_sim.readers.reader import images_in
    from napari_dinov3_sim.readers.zarr_folders import is_zarr

    try:
        if not path.exists():
            raise InputError(does_not_exist(path))
        if not path.is_dir() or is_zarr(path) or path.suffix == ".zarr":
            return [path]
        images = images_in(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be looked at ({error.strerror or error}); check its name and its "
            "permissions."
        ) from error
    if not images:
        raise InputError(f"{path} is a folder without images; choose another one.")
    return images


def suggest_folder(files: Sequence[Path]) -> Path:
    """Return where results may go: a new folder beside that of the images.

    Where nothing can be written beside it, it lies within: a search of a folder does not look
    into the folders below.
    """
    home = files[0].parent
    beside = home.parent if home.name and os.access(home.parent, os.W_OK) else home
    name = f"{home.name} results" if beside != home else "results"
    found, count = beside / name, 1
    while found.exists() or found.is_symlink():
        count += 1
        found = beside / f"{name} {count}"
    return found


def check_folder(out: Path, files: Sequence[Path]) -> None:
    """Raise `SimilarityError` for a folder whose results would be taken for images to search."""
    place = out.resolve()
    within = {place, *place.parents}
    for file in files:
        if file.resolve() in within:
            raise SimilarityError(f"{out} is or lies in {file}, an image; choose another folder.")
    homes = {file.parent for file in files}
    if place in {home.resolve() for home in homes}:
        raise SimilarityError(
            f"{out} is where the images are, and their results would be searched with them the "
            f"next time; choose another folder, such as {suggest_folder(files)}."
        )

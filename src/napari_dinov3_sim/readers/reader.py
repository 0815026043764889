"""The reader: which function opens a path, by its content."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.readers.addresses import path_or_address
from napari_dinov3_sim.readers.errors import InputError, reading
from napari_dinov3_sim.readers.lazy import OpenFiles
from napari_dinov3_sim.readers.numpy_files import open_npy
from napari_dinov3_sim.readers.pictures import is_picture, open_picture
from napari_dinov3_sim.readers.tiff import open_tiff
from napari_dinov3_sim.readers.zarr_folders import is_zarr, open_zarr

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinov3_sim.readers.addresses import Meter
    from napari_dinov3_sim.readers.axes import ReadAs
    from napari_dinov3_sim.readers.image_layer import ImageFile

LayerTuple = tuple[Any, dict[str, Any], str]

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NPY = b"\x93NUMPY"
_DICOM = b"DICM"


def format_of(path: Path) -> str | None:
    """Return which function opens a path, by what it begins with; None for no one."""
    if path.is_dir():
        return "zarr" if is_zarr(path) else None
    with path.open("rb") as file:
        start = file.read(132)
    if start[128:] == _DICOM:  # which may begin as TIFF does
        return None
    if start.startswith(_TIFF):
        return "tiff"
    if start.startswith(_NPY):
        return "npy"
    return "picture" if is_picture(path) else None


def open_image_file(path: Path, read_as: ReadAs, files: OpenFiles) -> ImageFile:
    """Open the images of a path; their pixels are read where they are needed.

    Parameters
    ----------
    path : Path
    read_as : {'auto', 'rgb', 'stack', 'channels'}
        What the planes are, where the file does not say it.
    files : OpenFiles
        What has to stay open until the pixels have been read.

    Raises
    ------
    InputError
        It cannot be read; the message names the file and the cure.
    """
    with reading(path):
        if not path.is_dir() and path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes); copy or export the image again.")
        file_format = format_of(path)
        files.callback(_keep, path)
        if file_format == "zarr":
            return open_zarr(path, read_as)
        if file_format == "tiff":
            return open_tiff(path, read_as, files)
        if file_format == "npy":
            return open_npy(path, read_as, files)
        if file_format == "picture":
            return open_picture(path)
        raise ValueError("its content is none of a format that is known")


def _keep(_path: Path) -> None:
    """Hold what was fetched from an address as long as it is open."""


def get_reader(
    path: str | list[str], meter: Meter | None = None
) -> Callable[[str | list[str]], list[LayerTuple]] | None:
    """Return a function that reads a path for napari, or None where another reader should.

    Parameters
    ----------
    path : str or list of str
        Several are a stack, which napari's own reader makes.
    meter : callable, optional
        Shows what is fetched from an address.

    Raises
    ------
    InputError
        An address cannot be reached.
    """
    if not isinstance(path, str):
        return None
    found = path_or_address(path, meter)
    try:
        file_format = format_of(found)
    except OSError:  # another reader, or napari, says why
        return None
    if found.is_dir() and file_format is None:
        return read_folder if images_in(found) else None
    # The same address again, because it has the copy that was fetched.
    return None if file_format is None else lambda _path: _layers_of(found)


def images_in(folder: Path) -> list[Path]:
    """Return the files of a folder that are images by their content, in the order of numbers.

    A file of which nothing can be read is among them: whoever reads it says why it is left out.
    """
    found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return sorted(filter(_may_be_image, found), key=by_numbers)


def _may_be_image(path: Path) -> bool:
    try:
        return is_zarr(path) or (path.is_file() and format_of(path) is not None)
    except OSError:
        return True


def by_numbers(path: Path) -> list[tuple[int, str]]:
    """Return by what files are sorted so that the second comes before the tenth."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def read_folder(path: str | list[str]) -> list[LayerTuple]:
    """Return the layers of all images in a folder."""
    images = images_in(Path(str(path)))
    return [layer for image in images for layer in read_layers(str(image))]


def read_layers(path: str | list[str]) -> list[LayerTuple]:
    """Return the layers of a path as napari adds them; the file stays open while they are."""
    return _layers_of(path_or_address(str(path)))


def _layers_of(where: Path) -> list[LayerTuple]:
    files = OpenFiles()
    try:
        file = open_image_file(where, "auto", files)
    except BaseException:
        files.close()
        raise
    stem = re.sub(r"(\.ome)?\.[^.]*$", "", where.name) or where.name
    return [layer.as_tuple(stem) for layer in file.layers]

"""Numbered files as one stack: a plane is read from its file when it is needed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.readers.errors import InputError
from napari_dinov3_sim.readers.image_layer import Calibration, ImageFile, ImageLayer
from napari_dinov3_sim.readers.lazy import OpenFiles, PagedArray, as_dask
from napari_dinov3_sim.readers.reader import open_image_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinov3_sim.readers.axes import ReadAs


def open_stack(paths: Sequence[Path], read_as: ReadAs, files: OpenFiles) -> ImageFile:
    """Return the images of several files as one, with an axis before theirs.

    Parameters
    ----------
    paths : sequence of Path
        In the order of their planes.
    read_as : {'auto', 'rgb', 'stack', 'channels'}
        As for `open_image_file`.
    files : OpenFiles
        Kept open; the files of the planes are opened one after the other.

    Raises
    ------
    InputError
        One cannot be read, holds several images, or is unlike the first.
    """
    first = _only_layer(paths[0], read_as)
    for path in paths[1:]:
        _check_alike(first, _only_layer(path, read_as), paths[0], path)
    array = first.levels[0]

    def decode(number: int) -> NDArray[Any]:
        with OpenFiles() as opened:
            file = open_image_file(paths[number], read_as, opened)
            return np.asarray(file.layers[0].levels[0])

    pages = PagedArray((len(paths),), tuple(array.shape), np.dtype(array.dtype), decode)
    where = first.calibration
    stack = replace(
        first,
        levels=(as_dask(pages, (1, *array.shape), files),),
        axes=("file", *first.axes),
        calibration=Calibration(
            (1.0, *where.scale), (0.0, *where.translate), ("pixel", *where.units)
        ),
        title="",
    )
    return ImageFile((stack,))


def _only_layer(path: Path, read_as: ReadAs) -> ImageLayer:
    with OpenFiles() as files:
        layers = open_image_file(path, read_as, files).layers
    if len(layers) != 1:
        raise InputError(
            f"{path} holds {len(layers)} images or channels, and a stack is made of files of one; "
            "leave --stack out, or choose how it is read with --read-as."
        )
    return layers[0]


def _check_alike(first: ImageLayer, other: ImageLayer, path: Path, other_path: Path) -> None:
    facts = [
        (tuple(layer.levels[0].shape), str(layer.levels[0].dtype), layer.rgb)
        for layer in (first, other)
    ]
    if facts[0] != facts[1]:
        shapes = [f"{' × '.join(map(str, shape))} of {dtype}" for shape, dtype, _ in facts]
        raise InputError(
            f"{other_path} ({shapes[1]}) is unlike {path} ({shapes[0]}), and a stack is made of "
            "files of one size and type; leave it out, or leave --stack out."
        )

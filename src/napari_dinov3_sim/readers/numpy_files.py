"""NumPy's files of one array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images.intensity import check_dtype
from napari_dinov3_sim.readers.axes import parts_of_array
from napari_dinov3_sim.readers.image_layer import ImageFile, ImageLayer, is_colour
from napari_dinov3_sim.readers.lazy import (
    BoundedFile,
    MappedArray,
    OpenFiles,
    as_dask,
    chunks_of_planes,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinov3_sim.readers.axes import ReadAs


def open_npy(path: Path, read_as: ReadAs, files: OpenFiles) -> ImageFile:
    """Open a file of one array, mapped; pickles are never read."""
    file = files.enter_context(BoundedFile(path))
    # Not numpy.load, which would open an archive or a pickle under the name of an array.
    version = np.lib.format.read_magic(file)
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, fortran, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError("it is a pickle of Python objects, which is never opened")
    check_dtype(dtype)
    if len(shape) < 2:
        raise ImageError(f"An array of shape {shape} is no image; give one plane or more.")
    mapped: NDArray[Any]
    if 0 in shape:  # nothing can be mapped
        mapped = np.empty(shape, dtype)
    else:
        mapped = np.memmap(file, dtype, "r", file.tell(), shape, "F" if fortran else "C")
    mapped = mapped.reshape(squeezed(shape))
    behind = 2 if is_colour(mapped.shape) else 1
    chunks = chunks_of_planes(mapped.shape, dtype.itemsize, behind) if mapped.ndim > 1 else shape
    data = as_dask(MappedArray.of(file, mapped), chunks, files)
    parts, note = parts_of_array(ImageLayer.of(data, rgb=False), read_as)
    return ImageFile(tuple(parts), (note,) if note else ())


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop axes of length 1 before rows and columns, but none that makes up a plane."""
    while len(shape) > 2 and shape[0] == 1 and not (len(shape) == 3 and shape[2] in (3, 4)):
        shape = shape[1:]
    return shape[:2] if len(shape) == 3 and shape[2] == 1 else shape

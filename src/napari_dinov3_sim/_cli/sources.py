"""From a path to layers: pictures, TIFF and NumPy stacks, Zarr folders."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim._cli.images import is_stack, naming, read_image, reading, squeezed
from napari_dinov3_sim._cli.layers import Layer
from napari_dinov3_sim._cli.zarrs import is_zarr, open_zarr

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ARRAY_SUFFIXES = (".npy", ".tif", ".tiff")
"""Of files that may hold a stack."""

MIN_COLOUR_SIDE = 30
"""In a stack, a last axis of 3 or 4 is taken for channels if rows and columns are longer."""


class OpenFile:
    """The layers of a file; close it when they have been read.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        The file is missing or holds nothing that can be embedded.
    """

    def __init__(self, path: Path) -> None:
        self._stack = ExitStack()
        try:
            self.layers = self._open(path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _open(self, path: Path) -> list[Layer]:
        if is_zarr(path):
            return [
                Layer(path, level.data, level.shape, False, channel, level.number, level.count)
                for level, channel in open_zarr(path)
            ]
        with reading(path):
            data, colours = self._array(path)
            if data is not None and not is_stack(tuple(data.shape)):
                data = data.reshape(squeezed(data.shape)) if hasattr(data, "reshape") else None
            layer = _layer(path, read_image(path) if data is None else data, colours)
        with naming(path):
            layer.plane((0,) * len(layer.leading))
        return [layer]

    def _array(self, path: Path) -> tuple[Any, bool]:
        """Return an array that is read where it is needed, or None; and whether it has colours."""
        suffix = path.suffix.lower()
        if suffix == ".npy":
            return _map_npy(path), False
        if suffix in ARRAY_SUFFIXES:
            return self._open_tiff(path)
        return None, False

    def _open_tiff(self, path: Path) -> tuple[Any, bool]:
        from tifffile import PHOTOMETRIC, TiffFile

        tiff = self._stack.enter_context(TiffFile(path))
        series, photometric = tiff.series[0], tiff.pages.first.photometric
        if photometric not in (None, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB):
            return None, False
        colours = series.axes.endswith("S")
        if series.axes.startswith("S"):
            return None, False
        if series.dataoffset is not None:
            dtype = np.dtype(series.dtype).newbyteorder(tiff.byteorder)
            mapped = np.memmap(path, dtype, "r", series.dataoffset, series.shape)
            return (mapped if dtype.isnative else _Swapped(mapped)), colours
        return (_Pages(series), colours) if is_stack(series.shape) else (None, False)


def _layer(path: Path, data: Any, colours: bool) -> Layer:
    shape = tuple(int(n) for n in data.shape)
    rgb = shape[-1] in (3, 4) and (
        len(shape) == 3 or (len(shape) > 3 and (colours or min(shape[-3:-1]) > MIN_COLOUR_SIDE))
    )
    return Layer(path, data, shape[:-1] if rgb else shape, rgb)


def _map_npy(path: Path) -> NDArray[Any] | None:
    try:
        mapped: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
        return mapped
    except ValueError:  # empty or damaged: reading it as an image tells which
        return None


class _Swapped:
    """An array of the other byte order, as tifffile and napari read it: in that of the machine."""

    def __init__(self, data: NDArray[Any]) -> None:
        self._data = data
        self.shape, self.dtype = data.shape, data.dtype.newbyteorder("=")

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        return np.asarray(self._data[index]).astype(self.dtype)


class _Pages:
    """A TIFF whose pages are read one by one; what has other pages is read as a whole."""

    def __init__(self, series: Any) -> None:
        self._pages: Any = series.pages
        self.shape, self.dtype = series.shape, series.dtype
        self._page_ndim = len(series.keyframe.shape)
        self._leading = series.shape[: len(series.shape) - self._page_ndim]
        single = math.prod(self._leading) == len(series.pages) and None not in series.pages
        self._whole = None if single else series.asarray()

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        region: NDArray[Any]
        if self._whole is None:
            count = len(self._leading)
            page = int(np.ravel_multi_index(index[:count], self._leading)) if count else 0
            region = self._pages[page].asarray()[index[count:]]
        else:
            region = self._whole[index]
        return region

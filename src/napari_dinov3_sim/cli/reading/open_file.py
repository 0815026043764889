"""A file, opened as layers: images, TIFF and NumPy stacks, Zarr folders."""

from __future__ import annotations

import math
import os
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.cli.errors import InputError
from napari_dinov3_sim.cli.reading.axes import npy_order, tiff_order
from napari_dinov3_sim.cli.reading.images import (
    ARRAY_SUFFIXES,
    check_size,
    is_plain,
    is_stack,
    naming,
    read_image,
    reading,
    squeezed,
    unreadable,
)
from napari_dinov3_sim.cli.reading.layer import Layer
from napari_dinov3_sim.cli.reading.zarr_files import channels_doubt, is_zarr, open_zarr

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from napari_dinov3_sim.cli.reading.axes import ReadAs


@dataclass(frozen=True, eq=False)
class MappedArray:
    """A mapped array whose regions are copied, after a look at whether its file is still whole.

    A look at the mapped bytes of a file that another program has cut short ends this one without
    a word (SIGBUS).

    Attributes
    ----------
    file : file object
        What is mapped, open for as long as the array is needed.
    size : int
        Of the file when it was mapped, in bytes.
    array : ndarray
        A view of the mapped bytes.
    """

    file: BinaryIO = field(repr=False)
    size: int
    array: NDArray[Any] = field(repr=False)

    @classmethod
    def of(cls, file: BinaryIO, array: NDArray[Any]) -> MappedArray:
        """Return a mapped array with the file it was mapped from."""
        return cls(file, os.fstat(file.fileno()).st_size, array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.array.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.array.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the machine, also where the file has the other byte order."""
        return self.array.dtype.newbyteorder("=")

    def transpose(self, axes: Sequence[int]) -> MappedArray:
        """Return it with its axes in another order; `numpy.moveaxis` asks for this."""
        return replace(self, array=self.array.transpose(axes))

    def reshape(self, shape: tuple[int, ...]) -> MappedArray:
        """Return it without axes of length 1, which takes no copy."""
        return replace(self, array=self.array.reshape(shape))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if os.fstat(self.file.fileno()).st_size < self.size:
            raise EOFError("the file is shorter than it was")
        return np.array(self.array[index], self.dtype)


MIN_COLOUR_SIDE = 30
"""In a stack, a last axis of 3 or 4 is taken for channels if rows and columns are longer."""


class OpenFile:
    """The layers of a file; close it when they have been read.

    Parameters
    ----------
    path : Path
    read_as : {'auto', 'rgb', 'stack'}, optional
        What 3 or 4 planes of a file are.

    Attributes
    ----------
    layers : list of Layer
    doubt : str
        How the file was read, where it leaves that open; see `axes.AxisOrder`.

    Raises
    ------
    InputError
        The file is missing or holds nothing that can be embedded.
    """

    def __init__(self, path: Path, read_as: ReadAs = "auto") -> None:
        self._stack, self._read_as = ExitStack(), read_as
        self.doubt = ""
        try:
            self.layers = self._zarr(path) if is_zarr(path) else self._file(path)
            with naming(path):
                for layer in self.layers:
                    layer.check()
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

    def _file(self, path: Path) -> list[Layer]:
        with reading(path):
            data, colours = self._array(path)
            if data is not None and not is_stack(tuple(data.shape)):
                data = data.reshape(squeezed(data.shape)) if hasattr(data, "reshape") else None
            layer = _layer(
                path, read_image(path, self._read_as) if data is None else data, colours
            )
        return [layer]

    def _zarr(self, path: Path) -> list[Layer]:
        layers = [
            Layer(path, level.data, level.shape, False, channel, level.number, level.count)
            for level, channel in open_zarr(path, self._read_as)
        ]
        self.doubt = channels_doubt(len(layers))
        return layers

    def _array(self, path: Path) -> tuple[Any, bool]:
        """Return an array that is read where it is needed, or None; and whether it has colours."""
        suffix = path.suffix.lower()
        if suffix == ".npy":
            return self._open_npy(path), False
        if suffix in ARRAY_SUFFIXES:
            return self._open_tiff(path)
        return None, False

    def _open_npy(self, path: Path) -> Any:
        file = self._stack.enter_context(path.open("rb"))
        try:
            mapped = np.lib.format.open_memmap(path, mode="r")
        except ValueError:  # empty or damaged: reading it as an image tells which
            return None
        return npy_order(mapped.shape, self._read_as).applied(MappedArray.of(file, mapped))

    def _open_tiff(self, path: Path) -> tuple[Any, bool]:
        from tifffile import TiffFile

        tiff = self._stack.enter_context(TiffFile(path))
        if not is_plain(tiff):
            return None, False
        series, order = tiff.series[0], tiff_order(tiff, self._read_as)
        colours, self.doubt = series.axes.endswith("S"), order.doubt
        if series.dataoffset is not None:
            dtype = np.dtype(series.dtype).newbyteorder(tiff.byteorder)
            file = self._stack.enter_context(path.open("rb"))
            mapped = np.memmap(file, dtype, "r", series.dataoffset, series.shape)
            return order.applied(MappedArray.of(file, mapped)), colours
        if order.move is not None:
            check_size(series.nbytes, path)
            return order.applied(series.asarray()), colours
        return (_Pages(path, series), colours) if is_stack(series.shape) else (None, False)


def _layer(path: Path, data: Any, colours: bool) -> Layer:
    shape = tuple(int(n) for n in data.shape)
    rgb = shape[-1] in (3, 4) and (
        len(shape) == 3 or (len(shape) > 3 and (colours or min(shape[-3:-1]) > MIN_COLOUR_SIDE))
    )
    return Layer(path, data, shape[:-1] if rgb else shape, rgb)


class _Pages:
    """A TIFF whose pages are read one by one; what has other pages is read as a whole."""

    def __init__(self, path: Path, series: Any) -> None:
        self._path, self._pages = path, series.pages
        self.shape, self.dtype = series.shape, series.dtype
        self._page_ndim = len(series.keyframe.shape)
        self._leading = series.shape[: len(series.shape) - self._page_ndim]
        single = math.prod(self._leading) == len(series.pages) and None not in series.pages
        check_size(series.keyframe.nbytes if single else series.nbytes, path)
        self._whole = None if single else series.asarray()

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        region: NDArray[Any]
        if self._whole is None:
            count = len(self._leading)
            page = int(np.ravel_multi_index(index[:count], self._leading)) if count else 0
            region = self._page(page)[index[count:]]
        else:
            region = self._whole[index]
        return region

    def _page(self, number: int) -> NDArray[Any]:
        try:
            pixels: NDArray[Any] = self._pages[number].asarray()
        except Exception as error:  # every compression fails in its own way
            raise InputError(f"Page {number + 1} of {unreadable(self._path, error)}") from error
        return pixels

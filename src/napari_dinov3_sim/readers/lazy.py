"""Arrays that are read from a file where they are needed."""

from __future__ import annotations

import io
import itertools
import math
import os
import threading
import weakref
from collections import OrderedDict
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

CHUNK_BYTES = 2**25
"""A chunk of an array that can be read anywhere has about this many bytes."""

KEPT_BYTES = 2**28
"""Decoded pages that are kept for the next region; of larger ones the last alone."""


class Readable(Protocol):
    """What can become a dask array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the machine."""

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read a region."""


class BoundedFile(io.BufferedReader):
    """A file of which no more memory is asked than it has bytes.

    Libraries read at once as much as a header promises, up to 4 GiB.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most `size` bytes, or the rest of the file."""
        if size is not None and size > io.DEFAULT_BUFFER_SIZE:
            size = min(size, max(os.fstat(self.fileno()).st_size - self.tell(), 0))
        return super().read(size)


class OpenFiles(ExitStack):
    """The files that lazy arrays read from; closed when the last of these is gone."""

    _user: weakref.ref[_User] | None = None

    def user(self) -> _User:
        """Return what each array holds, so that the files stay open."""
        found = None if self._user is None else self._user()
        if found is None:
            found = _User()
            self._user = weakref.ref(found)
            # Held from outside: in a circle that is collected, files would be closed unasked.
            weakref.finalize(found, self.close)
        return found


class _User:
    """Lives as long as an array does that reads from files."""


class _Kept:
    """What is read, and what keeps its files open."""

    def __init__(self, data: Readable, files: OpenFiles) -> None:
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, len(data.shape)
        self._data, self._user = data, files.user()

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return self._data[index]


def as_dask(data: Readable, chunks: tuple[int, ...], files: OpenFiles) -> Any:
    """Return a dask array that reads `data` chunk by chunk; nothing is read yet.

    Parameters
    ----------
    data : Readable
    chunks : tuple of int
        At most so long.
    files : OpenFiles
        Kept as long as the array is.
    """
    import dask.array as da

    from_array: Any = da.from_array
    return from_array(
        _Kept(data, files),
        chunks=tuple(min(n, max(size, 1)) for n, size in zip(chunks, data.shape, strict=True)),
        name=f"file-{uuid4()}",  # else dask would hash the object
        asarray=True,
        meta=np.empty((0,) * len(data.shape), data.dtype),
    )


def chunks_of_planes(shape: tuple[int, ...], itemsize: int, behind: int) -> tuple[int, ...]:
    """Return chunks of single planes, or of some of their rows where these are large.

    Parameters
    ----------
    shape : tuple of int
    itemsize : int
        Bytes of a number.
    behind : int
        Axes behind the rows.
    """
    row = math.prod(shape[len(shape) - behind :]) * itemsize
    at = len(shape) - behind - 1
    rows = min(shape[at], max(1, CHUNK_BYTES // max(row, 1)))
    return (*(1,) * at, rows, *shape[at + 1 :])


GROUPED_SIDE = 1024
"""Tiles are read in groups of about this many pixels a side, so that there are not too many."""


def grouped(chunks: tuple[int, ...], sides: Sequence[int]) -> tuple[int, ...]:
    """Return chunks of several small ones along some axes."""
    return tuple(
        max(1, GROUPED_SIDE // one) * one if axis in sides else one
        for axis, one in enumerate(chunks)
    )


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

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if os.fstat(self.file.fileno()).st_size < self.size:
            raise EOFError("the file is shorter than it was")
        return np.array(self.array[index], self.dtype)


class PagedArray:
    """An array of pages that are decoded one by one; the last ones are kept.

    Parameters
    ----------
    leading : tuple of int
        Lengths of the axes along which the pages lie.
    page_shape : tuple of int
    dtype : dtype
    decode : callable
        From the number of a page to its pixels.
    """

    def __init__(
        self,
        leading: tuple[int, ...],
        page_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        decode: Callable[[int], NDArray[Any]],
    ) -> None:
        self.shape = (*leading, *page_shape)
        self.ndim, self.dtype = len(self.shape), dtype.newbyteorder("=")
        self._leading, self._page_shape, self._decode = leading, page_shape, decode
        self._kept: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __getitem__(self, index: Any) -> NDArray[Any]:
        index = index if isinstance(index, tuple) else (index,)
        index = (*index, *(slice(None),) * (self.ndim - len(index)))
        ahead, within = index[: len(self._leading)], index[len(self._leading) :]
        ranges = [
            [at] if isinstance(at, int | np.integer) else range(*at.indices(size))
            for at, size in zip(ahead, self._leading, strict=True)
        ]
        parts = [self._page(self._number(at))[within] for at in itertools.product(*ranges)]
        if not parts:
            empty = np.empty(self._page_shape, self.dtype)[within]
            lengths = [len(one) for one in ranges]
            return np.empty((*lengths, *empty.shape), self.dtype)
        lengths = [
            len(one)
            for at, one in zip(ahead, ranges, strict=True)
            if not isinstance(at, int | np.integer)
        ]
        if len(parts) == 1:  # a view: a page may be large
            only: NDArray[Any] = parts[0].reshape((*lengths, *parts[0].shape))
            return only
        return np.stack(parts).reshape((*lengths, *parts[0].shape))

    def _number(self, at: tuple[Any, ...]) -> int:
        return int(np.ravel_multi_index(at, self._leading)) if at else 0

    def _page(self, number: int) -> NDArray[Any]:
        with self._lock:
            page = self._kept.pop(number, None)
            if page is None:
                page = self._decode(number).astype(self.dtype, copy=False)
                if page.shape != self._page_shape:
                    page = page.reshape(self._page_shape)
            self._kept[number] = page
            while len(self._kept) > 1 and sum(p.nbytes for p in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)
            return page

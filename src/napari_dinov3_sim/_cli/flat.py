"""Arrays that lie in a file as they are: read region by region, and never mapped into memory.

A mapped file that another program cuts short ends this one without a word (SIGBUS); a file that is
read says so.
"""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class FlatArray:
    """An array in a file, with as much of NumPy's as is needed to slice it and move its axes.

    Attributes
    ----------
    file : file object
        Open for reading, in binary, until the array is not needed any more.
    dtype : numpy.dtype
    offset : int
        Where the first element lies, in bytes.
    shape : tuple of int
    strides : tuple of int
        In bytes; those of a contiguous array whose axes may have been moved.
    """

    file: BinaryIO = field(repr=False)
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def contiguous(
        cls, file: BinaryIO, dtype: np.dtype[Any], offset: int, shape: Sequence[int]
    ) -> FlatArray:
        """Return an array whose last axis is the fastest.

        Raises
        ------
        ValueError
            The file is too short for it.
        """
        if os.fstat(file.fileno()).st_size < offset + math.prod(shape) * dtype.itemsize:
            raise ValueError("the file is cut short")
        lengths = np.cumprod([dtype.itemsize, *reversed(shape[1:])])
        strides = tuple(int(n) for n in reversed(lengths))
        return cls(file, dtype, offset, tuple(int(n) for n in shape), strides)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def transpose(self, axes: Sequence[int]) -> FlatArray:
        """Return it with its axes in another order; `numpy.moveaxis` asks for this."""
        shape, strides = (tuple(of[axis] for axis in axes) for of in (self.shape, self.strides))
        return replace(self, shape=shape, strides=strides)

    def reshape(self, shape: tuple[int, ...]) -> FlatArray:
        """Return it without some of its axes of length 1, which is all that is ever asked for."""
        long = [n for n, size in zip(self.strides, self.shape, strict=True) if size != 1]
        strides = [0 if size == 1 else long.pop(0) for size in shape]
        return replace(self, shape=shape, strides=tuple(strides))

    def __getitem__(self, index: tuple[int | slice, ...]) -> NDArray[Any]:
        whole = [slice(None)] * (self.ndim - len(index))
        taken = [
            range(size)[at] if isinstance(at, slice) else range(size)[at : at + 1]
            for at, size in zip((*index, *whole), self.shape, strict=True)
        ]
        pixels = self._read(taken)
        kept = [slice(None) if isinstance(at, slice) else 0 for at in index]
        region: NDArray[Any] = pixels[tuple(kept)]
        return region

    def _read(self, taken: Sequence[range]) -> NDArray[Any]:
        order = sorted(range(self.ndim), key=lambda axis: -self.strides[axis])
        region = np.empty([len(taken[axis]) for axis in order], self.dtype)
        outer, length = self._run(taken, order)
        first = self.offset + sum(taken[n].start * self.strides[n] for n in order[outer:])
        places = itertools.product(*(taken[axis] for axis in order[:outer]))
        for run, place in zip(region.reshape(-1, length), places, strict=True):
            steps = zip(place, order[:outer], strict=True)
            self._fill(run, first + sum(at * self.strides[axis] for at, axis in steps))
        return region.transpose(np.argsort(order))

    def _run(self, taken: Sequence[range], order: Sequence[int]) -> tuple[int, int]:
        """Return behind how many axes elements lie one after the other, and how many do."""
        outer, length = len(order), 1
        while outer:
            outer -= 1
            axis = order[outer]
            length *= len(taken[axis])
            if len(taken[axis]) != self.shape[axis]:
                break
        return outer, length

    def _fill(self, run: NDArray[Any], start: int) -> None:
        buffer, done = run.view(np.uint8).data, 0
        while done < len(buffer):
            part = os.pread(self.file.fileno(), len(buffer) - done, start + done)
            if not part:
                raise EOFError("the file is shorter than it was")
            buffer[done : done + len(part)] = part
            done += len(part)


def open_npy(path: Path, file: BinaryIO) -> FlatArray:
    """Return the array of a .npy file.

    Raises
    ------
    ValueError
        The file is damaged, or holds no plain numbers.
    """
    mapped = np.lib.format.open_memmap(path, mode="r")  # for what its header says; not touched
    if mapped.flags.c_contiguous:
        return FlatArray.contiguous(file, mapped.dtype, mapped.offset, mapped.shape)
    return FlatArray(file, mapped.dtype, mapped.offset, mapped.shape, mapped.strides)

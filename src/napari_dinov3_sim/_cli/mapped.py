"""Arrays that lie in a file as they are, mapped into memory and watched while they are read."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

    from numpy.typing import NDArray


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

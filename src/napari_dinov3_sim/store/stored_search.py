"""A search over all embeddings of a folder, which streams through a few blocks of memory."""

from __future__ import annotations

import errno
import heapq
import os
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.errors import StateError, StoreError
from napari_dinov3_sim.core.state import same_weights
from napari_dinov3_sim.core.vectors import dot
from napari_dinov3_sim.store.disk_folder import SUFFIX
from napari_dinov3_sim.store.safetensors_io import (
    CHECKSUM,
    ArrayHeader,
    crc32,
    damaged,
    read_header,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.protocols import Notice, Progress

BLOCK_BYTES = 2**22
"""Of a file that each thread has in memory: 4 MiB, which stay in the cache of a processor."""

MOST_THREADS = 4
"""Files read at a time."""


@dataclass(frozen=True, order=True)
class StoredMatch:
    """A patch that a search of a folder has found.

    Attributes
    ----------
    score : float
        Cosine to the query.
    path : Path
        The file of embeddings.
    row, column : int
        Of the cell, in the grid of its image.
    point : tuple of float
        The middle of the cell: pixel column x and row y.
    """

    score: float
    path: Path
    row: int
    column: int
    point: tuple[float, float]


def search_embeddings(
    folder: str | os.PathLike[str],
    query: NDArray[np.floating],
    *,
    fingerprint: str | None = None,
    count: int = 100,
    per_image: int | None = None,
    verify: bool = True,
    progress: Progress | None = None,
    notice: Notice | None = None,
) -> list[StoredMatch]:
    """Find the patches of a whole folder of embeddings that resemble a query most.

    Each file is read once, in blocks, by a few threads. In memory are a block for each thread and
    the best patches, whatever the folder holds.

    Parameters
    ----------
    folder : path
        As the command line and the window write it.
    query : ndarray, shape (D,)
        Unit vector, for example from `query_vector`.
    fingerprint : str, optional
        Of the model that made the query; files of other weights are passed over.
    count : int, optional
        How many patches to return.
    per_image : int, optional
        At most so many of one file; by default as many as there are.
    verify : bool, optional
        Whether the checksum of each file is compared on the way.
    progress : callable, optional
        Called with (files done, files in all) on this thread; may raise `EmbeddingCancelled`.
    notice : callable, optional
        Called with a sentence about each file that cannot be used, and about how many were passed
        over.

    Returns
    -------
    list of StoredMatch
        The best first; of equal ones, in the order of files, rows and columns.

    Raises
    ------
    StateError
        No file has vectors as long as the query, though some are of its model.
    """
    paths = sorted(path for path in Path(folder).iterdir() if path.name.endswith(SUFFIX))
    column = np.asarray(query, np.float32)[:, np.newaxis]
    search = _Search(column, fingerprint, count, per_image, verify)
    _report(progress, 0, len(paths))
    with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1), "search-files") as pool:
        futures = [pool.submit(search.read, path) for path in paths]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                problem = future.result()
                if problem and notice is not None:
                    notice(problem)
                _report(progress, done, len(paths))
        finally:
            for future in futures:
                future.cancel()
    if search.lengths and len(query) not in search.lengths:
        raise StateError(
            f"The query has {len(query)} numbers per vector and the stored embeddings "
            f"{min(search.lengths)}; search with a query of the model that made them."
        )
    if search.passed_over and notice is not None:
        notice(
            f"{search.passed_over} of {len(paths)} files in {folder} are of another model and "
            "were not searched."
        )
    return search.matches()


def _report(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


@dataclass(eq=False)
class _Search:
    """What the threads share."""

    query: NDArray[np.float32]
    fingerprint: str | None
    count: int
    per_image: int | None
    verify: bool
    passed_over: int = 0
    lengths: set[int] = field(default_factory=set)
    _found: list[tuple[float, tuple[str, int], PatchGrid]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _buffers: threading.local = field(default_factory=threading.local)

    def read(self, path: Path) -> str:
        """Search a file; return why it cannot be, or nothing."""
        try:
            with path.open("rb", buffering=0) as file:
                self._search(file, path)
        except FileNotFoundError:  # another process made room
            return ""
        except OSError as error:
            return f"{path} cannot be read and is not searched ({error.strerror or error})."
        except StoreError as error:
            return str(error)
        return ""

    def _search(self, file: BinaryIO, path: Path) -> None:
        header = read_header(file, path)
        if self.fingerprint and not same_weights(header.fingerprint, self.fingerprint):
            with self._lock:
                self.passed_over += 1
            return
        rows, dim = header.shape
        self.lengths.add(dim)
        if dim != len(self.query):
            return
        scores = np.empty(rows, np.float32)
        checksum = header.checksum
        for first, block in self._blocks(file, header):
            if self.verify:
                checksum = crc32(block, checksum)
            scores[first : first + len(block)] = dot(block, self.query)[:, 0]
        if self.verify and f"{checksum:08x}" != header.metadata[CHECKSUM]:
            raise damaged(path)
        self._keep(scores, path, header.grid)

    def _blocks(self, file: BinaryIO, header: ArrayHeader) -> Iterator[tuple[int, NDArray[Any]]]:
        rows, dim = header.shape
        step = max(1, BLOCK_BYTES // (dim * header.dtype.itemsize))
        buffer = self._buffer(step * dim * header.dtype.itemsize)
        for first in range(0, rows, step):
            size = min(step, rows - first) * dim * header.dtype.itemsize
            _fill(file, buffer[:size])
            yield first, buffer[:size].view(header.dtype).reshape(-1, dim)

    def _buffer(self, size: int) -> NDArray[np.uint8]:
        buffer: NDArray[np.uint8] | None = getattr(self._buffers, "one", None)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers.one = np.empty(size, np.uint8)
        return buffer

    def _keep(self, scores: NDArray[np.float32], path: Path, grid: PatchGrid) -> None:
        most = min(self.count, self.per_image or self.count, len(scores))
        # Of equal scores the first cells: of all that reach the last place.
        least = np.partition(scores, len(scores) - most)[len(scores) - most]
        cells = np.flatnonzero(scores >= max(least, self._least()))
        cells = cells[np.lexsort((cells, -scores[cells]))][:most]
        found = [(-float(scores[cell]), (str(path), int(cell)), grid) for cell in cells]
        with self._lock:
            self._found = heapq.nsmallest(
                self.count, [*self._found, *found], key=lambda one: one[:2]
            )

    def _least(self) -> float:
        """Return the score that a patch needs to get among the best, as far as it is known."""
        found = self._found
        return -found[-1][0] if len(found) == self.count else -np.inf

    def matches(self) -> list[StoredMatch]:
        """Return the best of all files."""
        return [
            _match(-negative, Path(path), cell, grid)
            for negative, (path, cell), grid in self._found
        ]


def _fill(file: BinaryIO, buffer: NDArray[np.uint8]) -> None:
    """Read as many bytes as a buffer has; raises OSError where the file ends before."""
    view, done = buffer.data, 0
    while done < len(view):
        read = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not read:
            raise OSError(errno.EIO, "it was cut short")
        done += read


def _match(score: float, path: Path, cell: int, grid: PatchGrid) -> StoredMatch:
    row, column = divmod(cell, grid.columns)
    side = grid.patch_size
    return StoredMatch(score, path, row, column, ((column + 0.5) * side, (row + 0.5) * side))

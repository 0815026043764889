"""A cache for chunks of a lazy array, which neighbouring tiles share."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.images.sources import chunks_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.images.sources import Edges, PixelSource

Interval = tuple[int, int]
Chunk = tuple[Interval, Interval]
"""The rows and the columns of a chunk."""

CACHE_BYTES = 2**27
"""Pixels kept of one image while it is embedded: 128 MiB."""


class ChunkCache:
    """A source that reads whole chunks and keeps the last ones; others are passed through.

    Tiles go row by row. As long as the chunks under one row of tiles fit the budget, each chunk
    is read once; beyond that, once for each row of tiles that touches it.

    Parameters
    ----------
    source : PixelSource
    budget : int, optional
        Bytes of pixels to keep; each chunk counts as much as the largest one.
    """

    def __init__(self, source: PixelSource, budget: int = CACHE_BYTES) -> None:
        self._source = source
        edges = chunks_of(source)
        count = 0 if edges is None else budget // _largest(edges, source)
        # A chunk that does not fit is read in parts, as small as the tiles need.
        self._edges = edges if count else None
        self._chunk = lru_cache(count)(partial(_read, source))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self._source.shape

    @property
    def channels(self) -> int:
        """1 for grayscale, 3 for RGB, 4 for RGBA."""
        return self._source.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""
        return self._source.dtype

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return a region; see `PixelSource.read`."""
        if self._edges is None:
            return self._source.read(rows, columns)
        down, across = (
            _overlapping(edges, part)
            for edges, part in zip(self._edges, (rows, columns), strict=True)
        )
        colours = () if self.channels == 1 else (self.channels,)
        region = np.empty(
            (rows.stop - rows.start, columns.stop - columns.start, *colours), self.dtype
        )
        for chunk in itertools.product(down, across):
            self._copy(chunk, region, rows.start, columns.start)
        return region

    def _copy(self, chunk: Chunk, region: NDArray[Any], top: int, left: int) -> None:
        y, x = chunk
        height, width = region.shape[:2]
        y0, y1 = max(y[0], top), min(y[1], top + height)
        x0, x1 = max(x[0], left), min(x[1], left + width)
        pixels = self._chunk(y, x)[y0 - y[0] : y1 - y[0], x0 - x[0] : x1 - x[0]]
        region[y0 - top : y1 - top, x0 - left : x1 - left] = pixels


def _overlapping(edges: Edges, part: slice) -> Iterator[Interval]:
    """Yield the chunks along one axis that a part of it touches."""
    first, stop = bisect_right(edges, part.start) - 1, bisect_left(edges, part.stop)
    return itertools.pairwise(edges[first : stop + 1])


def _largest(edges: tuple[Edges, Edges], source: PixelSource) -> int:
    """Return the bytes of the largest chunk."""
    height, width = (max(np.diff(axis).tolist()) for axis in edges)
    return int(height * width * source.dtype.itemsize * source.channels)


def _read(source: PixelSource, rows: Interval, columns: Interval) -> NDArray[Any]:
    return source.read(slice(*rows), slice(*columns))

"""One pass over the pixels of a source: their digest and their intensity window."""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images import intensity
from napari_dinov3_sim.core.images.intensity import (
    IntensityWindow,
    compute_window,
    has_contrast,
    uses_window,
)
from napari_dinov3_sim.core.images.sources import ArraySource, chunks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.images.sources import Edges, PixelSource
    from napari_dinov3_sim.core.protocols import Progress

WINDOW_PLANES = 32
"""At most this many evenly spaced planes of a stack are sampled for its intensity window."""

BLOCK_BYTES = 2**25
"""A block that is read at once has about this many bytes, or is a single chunk."""

Block = tuple[slice, slice]


@dataclass(frozen=True)
class PixelScan:
    """What one pass over all pixels finds.

    Attributes
    ----------
    digest : str
        SHA-256, in hexadecimal, over shape, dtype and pixels; the same however they are chunked.
    window : IntensityWindow or None
        The intensity window of the plane; None for 8-bit colour, which is used as it is.
    contrast : bool
        Whether anything is visible in the plane, see `intensity.has_contrast`; of 8-bit
        colour the pixels themselves are compared.
    """

    digest: str
    window: IntensityWindow | None
    contrast: bool


def scan_pixels(source: PixelSource, progress: Progress | None = None) -> PixelScan:
    """Read every pixel once, and each chunk once, in bounded memory.

    Parameters
    ----------
    source : PixelSource
    progress : callable, optional
        Called with (blocks done, blocks in all); may raise `EmbeddingCancelled`.

    Returns
    -------
    PixelScan

    Raises
    ------
    ImageError
        The pixels cannot be read any more.
    """
    digest = _Digest(source)
    sample = _Sample(source) if _is_windowed(source) else None
    colours = _Colours()
    for block, pixels in _blocks(source, progress):
        digest.add(block, pixels)
        if sample is None:
            colours.add(pixels)
        else:
            sample.add(block, pixels)
    if sample is None:
        return PixelScan(digest.hexdigest(), None, colours.differ)
    window = sample.window()
    return PixelScan(digest.hexdigest(), window, has_contrast(window))


def hold(source: ArraySource) -> ArraySource:
    """Return a plane in memory, read at once, if it is no larger than a block; else itself.

    What is read is then scanned and embedded: a file is read once, and nobody can change it
    meanwhile.

    Parameters
    ----------
    source : ArraySource

    Raises
    ------
    ImageError
        The pixels cannot be read.
    """
    height, width = source.shape
    if height * width * source.channels * source.dtype.itemsize > BLOCK_BYTES:
        return source
    pixels = source.read(slice(0, height), slice(0, width)).copy()  # it may be a view of a file
    return ArraySource(pixels, channels_last=pixels.ndim == 3, name=source.name)


def source_window(source: PixelSource, progress: Progress | None = None) -> IntensityWindow | None:
    """Return the window of a plane, as `scan_pixels` does, without its digest.

    Parameters
    ----------
    source : PixelSource
    progress : callable, optional
        Called with (blocks done, blocks in all).

    Returns
    -------
    IntensityWindow or None
        None for 8-bit colour.
    """
    return stack_window(lambda _: source, (), progress) if _is_windowed(source) else None


def stack_window(
    plane_at: Callable[[tuple[int, ...]], PixelSource],
    shape: tuple[int, ...],
    progress: Progress | None = None,
) -> IntensityWindow | None:
    """Return the window of a whole stack, from at most 32 evenly spaced planes.

    Parameters
    ----------
    plane_at : callable
        Returns the plane at a position along the leading axes.
    shape : tuple of int
        Lengths of the leading axes, all but the last two; empty for a single plane.
    progress : callable, optional
        Called with (blocks done, blocks in all); may raise `EmbeddingCancelled`.

    Returns
    -------
    IntensityWindow or None
        None for 8-bit colour.

    Raises
    ------
    ImageError
        There are no planes, or none can be read. One that cannot is left out, and reported when
        it is embedded.
    """
    if 0 in shape:
        raise ImageError(f"The stack has no planes ({shape}); open one that has some.")
    positions = sampled_positions(shape)
    budget = intensity.MAX_WINDOW_SAMPLES // len(positions)
    values: list[NDArray[Any]] = []
    unreadable: list[ImageError] = []
    for number, position in enumerate(positions):
        plane = plane_at(position)
        if not _is_windowed(plane):
            return None
        try:
            values.append(_sampled(plane, budget, _part(progress, number, len(positions))))
        except ImageError as error:
            unreadable.append(error)
    if not values:
        raise unreadable[0]
    return compute_window(np.concatenate(values))


def _sampled(plane: PixelSource, budget: int, progress: Progress | None) -> NDArray[Any]:
    sample = _Sample(plane, budget)
    for block, pixels in _blocks(plane, progress):
        sample.add(block, pixels)
    return sample.values()


def _part(progress: Progress | None, number: int, count: int) -> Progress | None:
    """Count the blocks of one of `count` equal planes as part of all."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, count * total)


def sampled_positions(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return at most 32 evenly spaced positions along the leading axes of a stack."""
    count = math.prod(shape)
    flat = np.unique(np.linspace(0, count - 1, min(count, WINDOW_PLANES)).round().astype(int))
    return [tuple(int(n) for n in np.unravel_index(at, shape)) for at in flat] if shape else [()]


def _is_windowed(source: PixelSource) -> bool:
    return uses_window(source.dtype, source.channels)


class _Digest:
    """A hash for every row, and a hash of these: the same for blocks of any width.

    Blocks come as `_blocks` has them, all of the same rows one after the other, so that only the
    hashes of these rows are held.
    """

    def __init__(self, source: PixelSource) -> None:
        # In the byte order of the machine: a file and an array of it are one image.
        dtype = source.dtype.newbyteorder("=")
        head = repr((source.shape, source.channels, dtype.str)).encode()
        self._whole = hashlib.sha256(head)
        self._at = slice(0, 0)
        self._rows: list[Any] = []

    def add(self, block: Block, pixels: NDArray[Any]) -> None:
        if block[0] != self._at:
            self._finish_rows()
            self._at, self._rows = block[0], [hashlib.sha256() for _ in pixels]
        # Booleans have no buffer of their own format; bytes always have.
        lines = np.ascontiguousarray(_packed(pixels)).reshape(len(pixels), -1).view(np.uint8)
        for row, line in zip(self._rows, lines, strict=True):
            row.update(line.data)

    def _finish_rows(self) -> None:
        for row in self._rows:
            self._whole.update(row.digest())

    def hexdigest(self) -> str:
        self._finish_rows()
        self._rows = []
        return self._whole.hexdigest()


def _packed(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels in the byte order of the machine, and long doubles as pairs of doubles.

    What pads those in memory may be anything.
    """
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if not np.isdtype(pixels.dtype, "real floating") or pixels.dtype.itemsize <= 8:
        return pixels
    with np.errstate(over="ignore", invalid="ignore"):
        high = pixels.astype(np.float64)
        return np.stack([high, (pixels - high).astype(np.float64)], -1)


@dataclass
class _Colours:
    """Whether the pixels of a plane differ, alpha left out."""

    differ: bool = False
    _first: NDArray[Any] | None = None

    def add(self, pixels: NDArray[Any]) -> None:
        if self._first is None:
            self._first = pixels[0, 0, :3].copy()
        if not self.differ:
            self.differ = bool((pixels[..., :3] != self._first).any())


@dataclass
class _Sample:
    """Every n-th value of a plane, counted along its rows, alpha left out."""

    source: PixelSource
    budget: int = field(default_factory=lambda: intensity.MAX_WINDOW_SAMPLES)
    _parts: list[NDArray[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        height, width = self.source.shape
        self._colours = min(self.source.channels, 3)
        self._step = max(1, -(-height * width * self._colours // max(self.budget, 1)))

    def add(self, block: Block, pixels: NDArray[Any]) -> None:
        colour = pixels[..., : self._colours] if pixels.ndim == 3 else pixels
        if self._step == 1:
            self._parts.append(colour.ravel().copy())
            return
        for row, line in enumerate(colour, start=block[0].start):
            first = (row * self.source.shape[1] + block[1].start) * self._colours
            self._parts.append(line.reshape(-1)[-first % self._step :: self._step].copy())

    def values(self) -> NDArray[Any]:
        return np.concatenate(self._parts)

    def window(self) -> IntensityWindow:
        return compute_window(self.values())


def _blocks(
    source: PixelSource, progress: Progress | None
) -> Iterator[tuple[Block, NDArray[Any]]]:
    rows, columns = plan_blocks(source)
    total = len(rows) * len(columns)
    _report(progress, 0, total)
    for done, block in enumerate(itertools.product(rows, columns), start=1):
        yield block, source.read(*block)
        _report(progress, done, total)


def _report(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def plan_blocks(source: PixelSource) -> tuple[list[slice], list[slice]]:
    """Return the rows and columns of blocks that read each chunk once.

    Whole rows where they fit `BLOCK_BYTES`, whole chunks in any case.
    """
    height, width = source.shape
    pixel = source.dtype.itemsize * source.channels
    rows, columns = chunks_of(source) or (tuple(range(height + 1)), (0, width))
    tallest = max(np.diff(rows).tolist())
    columns = _grouped(columns, max(1, BLOCK_BYTES // (tallest * pixel)))
    widest = max(np.diff(columns).tolist())
    rows = _grouped(rows, max(1, BLOCK_BYTES // (widest * pixel)))
    return _slices(rows), _slices(columns)


def _grouped(edges: Edges, most: int) -> Edges:
    """Leave out edges as long as the parts between are no longer than `most`."""
    kept = [edges[0]]
    for edge, following in itertools.pairwise(edges[1:]):
        if following - kept[-1] > most:
            kept.append(edge)
    return (*kept, edges[-1])


def _slices(edges: Iterable[int]) -> list[slice]:
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]

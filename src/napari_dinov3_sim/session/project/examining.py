"""Which file each image is from, and the digest of its pixels; in the worker, before saving."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.session.gallery.stored_files import read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari_dinov3_sim.session.gallery.stored_files import FileLayer

    Check = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class ImageData:
    """What an image layer holds; no layer, so it may travel to a worker.

    Attributes
    ----------
    name : str
    levels : tuple of array_like
        The finest first.
    rgb : bool
    path : str or None
        Of the file that napari says it is from.
    reader : str
        The plugin that read it.
    before : ExaminedImage or None
        What was found when the same pixels were examined last.
    replaced : bool
        Whether the layer was given other pixels than it came with.
    """

    name: str
    levels: tuple[Any, ...] = field(repr=False)
    rgb: bool
    path: str | None = None
    reader: str = ""
    before: ExaminedImage | None = None
    replaced: bool = False

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of all levels, with channels."""
        return tuple(tuple(int(n) for n in level.shape) for level in self.levels)


@dataclass(frozen=True)
class ExaminedImage:
    """What was found of an image.

    Attributes
    ----------
    digest : str
    path : Path or None
        The file whose pixels it shows; None if there is none.
    reader : str
    layer : int
        Which of the image layers of the file.
    stamp : tuple of int or None
        When the file was changed last, and its size; None for a folder, which does not say so.
    """

    digest: str
    path: Path | None = None
    reader: str = ""
    layer: int = 0
    stamp: tuple[int, int] | None = None

    def still_holds(self, image: ImageData) -> bool:
        """Whether nothing can have changed since: the layer reads from the file alone."""
        if self.path is None or self.stamp is None or _is_in_memory(image):
            return False
        return image.path == str(self.path) and self.stamp == _stamp_of(self.path)


def digest_of_pixels(levels: Sequence[Any], rgb: bool, check: Check) -> str:
    """Return a digest of the level that is searched, and of the shapes of all.

    The other levels show the same, and the finest of a slide has 100 times as many pixels.

    Parameters
    ----------
    levels : sequence of array_like
        The finest first.
    rgb : bool
    check : callable
        Called with (planes done, planes in all); may raise `EmbeddingCancelled`.

    Returns
    -------
    str
        SHA-256, in hexadecimal; the same however the pixels are stored and read.

    Raises
    ------
    ImageError
        The pixels cannot be read.
    """
    from napari_dinov3_sim.core.images.levels import embedded_level
    from napari_dinov3_sim.core.images.scanning import scan_pixels
    from napari_dinov3_sim.core.images.sources import ArraySource

    shapes = [tuple(int(n) for n in level.shape) for level in levels]
    ndim = len(shapes[0]) - rgb
    level = embedded_level([shape[:ndim] for shape in shapes])
    data, leading = levels[level], shapes[level][: ndim - 2]
    positions = list(product(*(range(size) for size in leading)))
    whole = hashlib.sha256(repr((shapes, rgb)).encode())
    for number, position in enumerate(positions):
        check(number, len(positions))

        def within(_done: int, _total: int, number: int = number) -> None:
            check(number, len(positions))

        plane = ArraySource(data, (*position, slice(None), slice(None)), rgb)
        whole.update(scan_pixels(plane, within).digest.encode())
    return whole.hexdigest()


def examine_images(
    images: Sequence[ImageData], check: Check
) -> Iterator[tuple[ExaminedImage, ...]]:
    """Yield once what was found of all images; runs in the worker.

    Parameters
    ----------
    images : sequence of ImageData
    check : callable
        Called with (parts done, parts in all); may raise `EmbeddingCancelled`.
    """
    files = _Files()
    found = []
    for number, image in enumerate(images):

        def part(done: int, total: int, number: int = number) -> None:
            check(1000 * number + 1000 * done // max(1, total), 1000 * len(images))

        part(0, 1)
        if image.before is not None and image.before.still_holds(image):
            found.append(image.before)
            continue
        digest = digest_of_pixels(image.levels, image.rgb, part)
        found.append(files.examine(image, digest, part))
    yield tuple(found)


class _Files:
    """Compares images with the files they are from; each file is read once."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str], tuple[FileLayer, ...]] = {}
        self._digests: dict[tuple[str, str, int], str] = {}

    def examine(self, image: ImageData, digest: str, check: Check) -> ExaminedImage:
        """Return which layer of its file shows the pixels of an image."""
        if image.path is None or not Path(image.path).exists():
            return ExaminedImage(digest)
        alike = [n for n, layer in enumerate(self._layers(image)) if _is_alike(layer, image)]
        for number in alike:
            if self._shows(image, number, digest, check, is_only=len(alike) == 1):
                path = Path(image.path).absolute()
                return ExaminedImage(digest, path, image.reader, number, _stamp_of(path))
        return ExaminedImage(digest)

    def _layers(self, image: ImageData) -> tuple[FileLayer, ...]:
        key = str(image.path), image.reader
        if key not in self._read:
            try:
                self._read[key] = read_file(Path(key[0]), image.reader)[0]
            except ImageError:
                self._read[key] = ()
        return self._read[key]

    def _shows(
        self, image: ImageData, number: int, digest: str, check: Check, *, is_only: bool
    ) -> bool:
        """Whether a layer of the file has the pixels; one that still reads from it has, surely."""
        layer = self._layers(image)[number]
        if is_only and not image.replaced and _is_as_read(layer, image):
            return True
        key = str(image.path), image.reader, number
        if key not in self._digests:
            try:
                self._digests[key] = digest_of_pixels(layer.levels, layer.rgb, check)
            except ImageError:
                self._digests[key] = ""
        return self._digests[key] == digest


def _is_as_read(layer: FileLayer, image: ImageData) -> bool:
    """Whether nothing was done to the pixels of a file, such as to turn them, after reading."""
    here, there = (list(map(_steps, each.levels)) for each in (layer, image))
    return not _is_in_memory(image) and here == there


def _steps(level: Any) -> list[str]:
    """Return what a lazy array is computed by; the names in dask's graphs differ each time."""
    import dask.array as da

    if not isinstance(level, da.Array):
        return [type(level).__name__]
    return sorted(name.partition("-")[0] for name in level.dask.layers)


def _is_alike(layer: FileLayer, image: ImageData) -> bool:
    shapes = tuple(tuple(int(n) for n in level.shape) for level in layer.levels)
    dtypes = {str(level.dtype) for level in (layer.levels[0], image.levels[0])}
    return (shapes, layer.rgb, len(dtypes)) == (image.shapes, image.rgb, 1)


def _stamp_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if path.is_file() else None


def _is_in_memory(image: ImageData) -> bool:
    """Whether any level is an array that may have been written to since it was read."""
    import numpy as np

    return any(isinstance(level, np.ndarray) for level in image.levels)

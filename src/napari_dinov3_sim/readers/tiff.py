"""TIFF files through tifffile: series, pyramids, axes, samples, palettes."""

from __future__ import annotations

import logging
import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.images.intensity import check_shape
from napari_dinov3_sim.readers.axes import (
    Samples,
    are_planes_of_colour,
    channels_of,
    parts_of_samples,
    reordered,
)
from napari_dinov3_sim.readers.errors import InputError, unreadable
from napari_dinov3_sim.readers.image_layer import Calibration, ImageFile, ImageLayer
from napari_dinov3_sim.readers.lazy import (
    MappedArray,
    OpenFiles,
    PagedArray,
    as_dask,
    chunks_of_planes,
    grouped,
)
from napari_dinov3_sim.readers.tiff_metadata import SeriesMetadata, metadata_of_series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinov3_sim.readers.axes import Parts, ReadAs

MAX_RATIO = 2000
"""How many times its size a TIFF of many bytes may have as pixels; deflate reaches 1032."""

ALWAYS_READ = 2**26
"""Bytes of pixels for which the size of a file does not matter: a blank plane takes no room."""

MAX_TILE_BYTES = 2**30
"""Of a tile, which is decoded as a whole."""

MAX_SAMPLES = 2**12
"""Samples of a pixel; each that is no colour is a channel, and an image of its own."""

MAX_SERIES = 2**10

NOT_IMAGES = ("thumbnail", "label", "macro", "label image", "macro image", "map")
"""Names of series that belong to the scan of a slide, and are not what was scanned."""

# tifffile logs what it then raises; the user gets one line.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def open_tiff(path: Path, read_as: ReadAs, files: OpenFiles) -> ImageFile:
    """Open the images of a TIFF file; its pixels are read later."""
    from tifffile import TiffFile

    tiff = files.enter_context(TiffFile(path))
    found = _images(path, tiff)
    layers: list[ImageLayer] = []
    notes: list[str] = []
    for number, one in enumerate(found):
        series = None if len(found) == 1 else number
        parts, note = _Series(path, tiff, one, files).parts(read_as)
        title = one.metadata.name if series is not None else ""
        for part in parts:
            named = " ".join(text for text in (title, part.title) if text)
            layers.append(replace(part, series=series, title=named))
        notes += [note] * (bool(note) and note not in notes)
    missing = _missing_files(path, found)
    if missing:
        notes.append(missing)
    return ImageFile(tuple(layers), tuple(notes))


@dataclass(frozen=True, eq=False)
class _Image:
    """One image of a file: its levels, as series of tifffile, and what is known of it."""

    levels: tuple[Any, ...]
    metadata: SeriesMetadata


def _images(path: Path, tiff: Any) -> list[_Image]:
    if len(tiff.series) > MAX_SERIES:
        raise InputError(
            f"{path} holds {len(tiff.series)} images, and at most {MAX_SERIES} are read; write "
            "those that you mean into a file of their own."
        )
    series = [(number, one) for number, one in enumerate(tiff.series) if len(one.shape) >= 2]
    if not series:
        raise ValueError("it holds no image")
    mine = [(number, one) for number, one in series if _has_pages_of(one, tiff)]
    series = mine or series
    images = [
        (number, one) for number, one in series if str(one.name).lower() not in NOT_IMAGES
    ] or series
    if tiff.is_ome or tiff.is_imagej or tiff.is_shaped or len(images) == 1:
        return [_Image(_levels(s), metadata_of_series(tiff, n, s)) for n, s in images]
    return _pyramids(tiff, images)


def _levels(series: Any) -> tuple[Any, ...]:
    """Return the levels of a series; among those of a slide its label may be taken for one."""
    base, *others = series.levels
    names = _axis_names(base)
    rows, columns = names.index("y"), names.index("x")
    height, width = base.shape[rows], base.shape[columns]

    def shows_all(level: Any) -> bool:
        down, across = height / level.shape[rows], width / level.shape[columns]
        return bool(abs(height / across - level.shape[rows]) <= max(2, 0.02 * height / down))

    return (base, *(level for level in others if shows_all(level)))


def _has_pages_of(series: Any, tiff: Any) -> bool:
    """Whether pixels of a series lie in this file, rather than in others of its set."""
    pages: list[Any] = list(series.pages)
    return any(page is not None and page.parent is tiff for page in pages)


def _pyramids(tiff: Any, series: list[tuple[int, Any]]) -> list[_Image]:
    """Return the images of a file that says nothing of them: pages of less size may be levels.

    Where there are levels, other small pages are the label and the like of a slide.
    """
    (first, base), *others = series
    levels = list(_levels(base))
    rest = []
    for number, one in others:
        is_level = _is_reduced(base, one) and one.shape[0] < levels[-1].shape[0]
        if is_level and one.dtype == base.dtype and one.axes == base.axes:
            levels.append(one)
        else:
            rest.append((number, one))
    scale = metadata_of_series(tiff, first, base)
    images = [_Image(tuple(levels), scale)]
    if len(levels) == 1:
        images += [_Image(_levels(s), metadata_of_series(tiff, n, s)) for n, s in rest]
    return images


def _is_reduced(base: Any, other: Any) -> bool:
    """Whether a page shows all of another at a whole fraction of its size."""
    if len(other.shape) != len(base.shape) or not base.axes.startswith("YX"):
        return False
    (height, width), (rows, columns) = base.shape[:2], other.shape[:2]
    if min(rows, columns) < 1 or rows >= height or columns >= width:
        return False
    factor = height / rows
    whole = 1 << max(1, round(math.log2(factor)))
    lengths = ((height, rows), (width, columns))
    return all(abs(long / whole - short) <= 1 for long, short in lengths)


def _missing_files(path: Path, images: list[_Image]) -> str:
    lacking = [one for one in images if None in one.levels[0].pages]
    if not lacking:
        return ""
    names = sorted({name for one in lacking for name in one.metadata.files})
    gone = [name for name in names if not (path.parent / name).is_file()]
    which = ", ".join(gone) if gone else "another file"
    return (
        f"lacks planes that are in {which}, which is not there; they cannot be read. Copy it "
        "beside this file."
    )


@dataclass(frozen=True, eq=False)
class _Series:
    """An image on its way to layers."""

    path: Path
    tiff: Any
    image: _Image
    files: OpenFiles

    @property
    def _page(self) -> Any:
        return self.image.levels[0].keyframe

    def parts(self, read_as: ReadAs) -> Parts:
        series, known = self.image.levels[0], self.image.metadata
        names = _axis_names(series)
        layer = ImageLayer(
            tuple(map(self._level, self.image.levels)),
            rgb=False,
            axes=names,
            calibration=known.calibration(names),
            colormap=known.colormap,
        )
        layer, samples = self._with_plain_samples(layer)
        order = _order(layer.axes)
        layer = reordered(layer, order)
        if read_as == "rgb" and are_planes_of_colour(layer.levels[0].shape):
            return [layer.moved(0, is_rgb=True)], ""
        if samples is not None:
            return self._by_samples(layer, samples, read_as)
        return _by_channels(layer, read_as, known.channels)

    def _by_samples(self, layer: ImageLayer, samples: Samples, read_as: ReadAs) -> Parts:
        samples = replace(samples, axis=layer.axes.index("s"))
        channels = [at for at, name in enumerate(layer.axes) if name == "c"]
        if not channels:
            return parts_of_samples(layer, samples, read_as)
        parts, note = parts_of_samples(layer, samples, read_as)
        if read_as == "stack" or any(part.channel is not None for part in parts):
            return parts, note
        split = [_by_channels(part, read_as, self.image.metadata.channels) for part in parts]
        return [one for found, _ in split for one in found], note or split[0][1]

    def _with_plain_samples(self, layer: ImageLayer) -> tuple[ImageLayer, Samples | None]:
        """Return the layer with samples that are intensities or RGB, and what these are."""
        from tifffile import PHOTOMETRIC

        page = self._page
        photometric = page.photometric
        if photometric == PHOTOMETRIC.PALETTE and _is_palette(self.tiff, page, self.image):
            return _looked_up(layer, page.colormap), Samples(len(layer.axes), are_colours=True)
        if "s" not in layer.axes:
            if photometric in _REFUSED_COLOURS:
                raise _refused_colours(self.path, photometric)
            return layer, None
        axis = layer.axes.index("s")
        alpha = any(int(one) in (1, 2) for one in page.extrasamples)
        if photometric == PHOTOMETRIC.SEPARATED and layer.levels[0].shape[axis] >= 4:
            return _from_cmyk(layer, axis), Samples(len(layer.axes) - 1, are_colours=True)
        if photometric in _REFUSED_COLOURS:
            raise _refused_colours(self.path, photometric)
        is_rgb = photometric in (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR)
        return layer, Samples(axis, is_rgb, not _by_tifffile(self.tiff), alpha)

    def _level(self, series: Any) -> Any:
        """Return the pixels of a level, unread."""
        page = series.keyframe
        self._check(series, page)
        shape, behind = tuple(series.shape), _axes_behind_rows(series)
        dtype = np.dtype(series.dtype)
        if series.dataoffset is not None and series.pages[0].parent is self.tiff:
            stored = dtype.newbyteorder(self.tiff.byteorder)
            file = self.files.enter_context(self.path.open("rb"))
            mapped = np.memmap(file, stored, "r", series.dataoffset, shape)
            array = MappedArray.of(file, mapped)
            return as_dask(array, chunks_of_planes(shape, dtype.itemsize, behind), self.files)
        if _needs_pillow(page):
            return self._by_pillow(series)
        leading = shape[: len(shape) - len(page.shape)]
        if math.prod(leading) != len(series.pages):
            whole = PagedArray((), shape, dtype, lambda _: np.asarray(series.asarray()))
            return as_dask(whole, shape, self.files)
        if page.is_tiled:
            return self._tiled(series, dtype)
        pages = PagedArray(leading, page.shape, dtype, lambda n: self._decoded(series, n))
        return as_dask(pages, (*(1,) * len(leading), *page.shape), self.files)

    def _check(self, series: Any, page: Any) -> None:
        """Raise ValueError for a TIFF that promises more pixels than its bytes can hold."""
        if page.samplesperpixel > MAX_SAMPLES:
            raise ValueError(f"it promises {page.samplesperpixel} samples of each pixel")
        one_by_one = len(series.pages) > 1 or page.is_tiled
        nbytes = page.nbytes if one_by_one else series.nbytes
        size = self.path.stat().st_size
        if nbytes > max(ALWAYS_READ, MAX_RATIO * size):
            raise ValueError(f"it promises {nbytes / 2**30:.1f} GiB of pixels in {size} bytes")
        if page.dtype is None or 0 in series.shape:
            raise ValueError("it holds no pixels, or of an unknown type")
        check_shape((page.imagelength, page.imagewidth))
        tile = math.prod(page.chunks) * page.dtype.itemsize
        if page.is_tiled and tile > MAX_TILE_BYTES:
            raise ValueError(f"it has tiles of {tile / 2**30:.1f} GiB")

    def _decoded(self, series: Any, number: int) -> NDArray[Any]:
        page = _page_there(self.path, series, number)
        with _reading_page(self.path, number):
            _check_whole(page)
            return np.asarray(page.asarray())

    def _tiled(self, series: Any, dtype: np.dtype[Any]) -> Any:
        import zarr

        store = self.files.enter_context(series.aszarr(level=0))
        array = _TiledArray(self.path, series, zarr.open_array(store, mode="r"), dtype)
        columns = array.ndim - _axes_behind_rows(series)
        return as_dask(array, grouped(array.tiles, (columns - 1, columns)), self.files)

    def _by_pillow(self, series: Any) -> Any:
        """Return pages in colours that tifffile leaves as they are stored."""
        from PIL import Image

        numbers = [page.index for page in series.pages]

        def decode(number: int) -> NDArray[Any]:
            with Image.open(self.path) as picture:
                picture.seek(numbers[number])
                return np.asarray(picture.convert("RGB"))

        page = series.keyframe
        shape = (page.imagelength, page.imagewidth, 3)
        leading = series.shape[: len(series.shape) - len(page.shape)]
        array = PagedArray(leading, shape, np.dtype(np.uint8), decode)
        return as_dask(array, (*(1,) * len(leading), *shape), self.files)


class _TiledArray:
    """A tiled level, of which the tiles of a region are decoded."""

    def __init__(self, path: Path, series: Any, array: Any, dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = tuple(array.shape), dtype.newbyteorder("=")
        self.ndim, self.tiles = len(self.shape), tuple(array.chunks)
        self._path, self._series, self._array = path, series, array
        self._leading = self.shape[: self.ndim - len(series.keyframe.shape)]
        self._whole: set[int] = set()

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        ahead = np.arange(max(1, math.prod(self._leading))).reshape(self._leading or (1,))
        for number in np.atleast_1d(ahead[index[: len(self._leading)]]).ravel().tolist():
            if number not in self._whole:
                page = _page_there(self._path, self._series, number)
                with _reading_page(self._path, number):
                    _check_whole(page)
                self._whole.add(number)
        with _reading_page(self._path, number):
            return np.asarray(self._array[index]).astype(self.dtype, copy=False)


@contextmanager
def _reading_page(path: Path, number: int) -> Iterator[None]:
    """Say of which page the pixels cannot be read."""
    try:
        yield
    except Exception as error:  # every compression fails in its own way
        raise InputError(f"Page {number + 1} of {unreadable(path, error)}") from error


def _page_there(path: Path, series: Any, number: int) -> Any:
    page = series.pages[number]
    if page is None:
        raise InputError(
            f"Plane {number} of {path} is in another file, which is not there; copy it beside "
            "this one."
        )
    return page


def _check_whole(page: Any) -> None:
    """Raise EOFError for a page whose file ends before its pixels do."""
    handle = page.parent.filehandle
    offsets = np.asarray(page.dataoffsets, np.int64)
    counts = np.asarray(page.databytecounts, np.int64)
    if len(offsets) == 0 or len(offsets) != len(counts):
        raise ValueError("it does not say where its pixels are")
    if (offsets + counts).max() > handle.size or min(offsets.min(), counts.min()) < 0:
        raise EOFError("the file ends before its pixels do")


def _needs_pillow(page: Any) -> bool:
    """Whether the samples are a luminance and two colour differences, not made RGB by a codec."""
    from tifffile import COMPRESSION, PHOTOMETRIC

    makes_rgb = (
        COMPRESSION.JPEG,
        COMPRESSION.OJPEG,
        COMPRESSION.JPEG_2000_LOSSY,
        COMPRESSION.JPEG2000,
        COMPRESSION.APERIO_JP2000_YCBC,
        COMPRESSION.APERIO_JP2000_RGB,
        COMPRESSION.WEBP,
        COMPRESSION.JPEGXR,
        COMPRESSION.JPEGXL,
    )
    return page.photometric == PHOTOMETRIC.YCBCR and page.compression not in makes_rgb


_REFUSED_COLOURS = (8, 9, 10, 32844, 32845)
"""CIE L*a*b* in its three writings, and two of logarithms of light."""


def _refused_colours(path: Path, photometric: Any) -> InputError:
    name = getattr(photometric, "name", photometric)
    return InputError(
        f"{path} holds colours as {name}, which are not intensities; save it as RGB."
    )


def _axis_names(series: Any) -> tuple[str, ...]:
    names = [name.lower() for name in series.axes]
    if "y" not in names or "x" not in names:
        names[-2:] = "y", "x"
    return tuple(names)


def _axes_behind_rows(series: Any) -> int:
    names = _axis_names(series)
    return len(names) - 1 - names.index("y")


def _order(names: tuple[str, ...]) -> list[int]:
    """Return the axes with rows and columns behind all others but interleaved samples."""
    rows, columns = names.index("y"), names.index("x")
    rest = [at for at in range(len(names)) if at not in (rows, columns)]
    behind = [at for at in rest if names[at] == "s" and at > max(rows, columns)]
    return [*(at for at in rest if at not in behind), rows, columns, *behind]


def _by_channels(layer: ImageLayer, read_as: ReadAs, titles: tuple[str, ...]) -> Parts:
    channels = [at for at, name in enumerate(layer.axes) if name == "c"]
    if not channels or read_as == "stack":
        return [layer], ""
    (axis, *_) = channels
    if read_as == "rgb" and layer.levels[0].shape[axis] in (3, 4) and not layer.rgb:
        return [layer.moved(axis, is_rgb=True)], ""
    return channels_of(layer, axis, titles)


def _by_tifffile(tiff: Any) -> bool:
    # scikit-image and imageio write TIFF files with it, too.
    return bool(tiff.is_shaped or str(tiff.pages.first.software).startswith("tifffile"))


def _is_palette(tiff: Any, page: Any, image: _Image) -> bool:
    """Whether the colours of a palette are the image; a lookup table of a display is not.

    That one belongs to a file of a microscope, to a stack, or its brightness goes one way.
    """
    if page.colormap is None or tiff.is_ome or tiff.is_imagej or len(image.levels[0].shape) > 2:
        return False
    brightness = np.asarray(page.colormap, np.float64).T @ (0.299, 0.587, 0.114)
    steps = np.diff(brightness)
    return bool((steps < 0).any() and (steps > 0).any())


def _looked_up(layer: ImageLayer, colormap: NDArray[Any]) -> ImageLayer:
    colours = (np.asarray(colormap).T >> 8).astype(np.uint8)

    def look_up(block: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = colours[np.minimum(block, len(colours) - 1)]
        return found

    levels = tuple(
        level.map_blocks(
            look_up, dtype=np.uint8, chunks=(*level.chunks, (3,)), new_axis=level.ndim
        )
        for level in layer.levels
    )
    return _with_samples(layer, levels)


def _from_cmyk(layer: ImageLayer, axis: int) -> ImageLayer:
    """Return inks as red, green and blue, as Pillow does."""
    most = float(np.iinfo(layer.levels[0].dtype).max)

    def convert(block: NDArray[Any]) -> NDArray[Any]:
        light = most - block.astype(np.float64)
        return np.rint(light[..., :3] * light[..., 3:4] / most).astype(block.dtype)

    found = []
    for level in layer.levels:
        last = np.moveaxis(level, axis, -1).rechunk({-1: -1})
        chunks = (*last.chunks[:-1], (3,))
        found.append(last.map_blocks(convert, dtype=level.dtype, chunks=chunks))
    return _with_samples(layer.at(axis, 0), tuple(found))


def _with_samples(layer: ImageLayer, levels: tuple[Any, ...]) -> ImageLayer:
    """Return a layer with three samples of each pixel behind its axes."""
    where = layer.calibration
    more = Calibration((*where.scale, 1.0), (*where.translate, 0.0), (*where.units, "pixel"))
    return replace(layer, levels=levels, axes=(*layer.axes, "s"), calibration=more, colormap=None)

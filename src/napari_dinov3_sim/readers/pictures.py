"""Pictures through Pillow: PNG, JPEG, GIF, BMP, WebP and what else it knows.

Pillow has 8 bits for each colour; 16 bits come from imagecodecs.
"""

from __future__ import annotations

import threading
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.readers.errors import reading
from napari_dinov3_sim.readers.image_layer import ImageFile, ImageLayer
from napari_dinov3_sim.readers.lazy import BoundedFile, OpenFiles, PagedArray, as_dask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

MAX_RATIO = 2000
"""How many times its size a picture may have as pixels; deflate reaches 1032."""

ALWAYS_READ = 2**26
"""Bytes of pixels for which the size of a file does not matter."""

_ONE_PICTURE = ("MPO", "ICO", "ICNS", "CUR")
"""Formats whose other frames are previews, or the same at other sizes."""

_DTYPES = {"1": "?", "L": "u1", "I": "i4", "F": "f4", "I;16": "u2", "I;16L": "u2", "I;16B": "u2"}

_PNG, _JPEG2000 = b"\x89PNG\r\n\x1a\n", (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")

_lock = threading.RLock()


def is_picture(path: Path) -> bool:
    """Whether Pillow knows the format of a file."""
    from PIL.ImageFile import StubImageFile

    try:
        with _opened(path) as picture:  # of some formats, such as HDF5, it knows no more
            return not isinstance(picture, StubImageFile)
    except Exception:  # what is not known and what is damaged fail in many ways
        return _begins(path).startswith((_PNG, *_JPEG2000))


@dataclass(frozen=True)
class _Form:
    """What the pixels of a file become."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    decode: Callable[[Path, int], NDArray[Any]]
    frames: int = 1


def open_picture(path: Path) -> ImageFile:
    """Open a picture, or the frames of an animation; its pixels are read later."""
    form = _form(path)
    nbytes = int(np.prod(form.shape, dtype=object)) * form.dtype.itemsize
    size = path.stat().st_size
    if nbytes > max(ALWAYS_READ, MAX_RATIO * size):
        raise ValueError(f"it promises {nbytes / 2**30:.1f} GiB of pixels in {size} bytes")
    leading = () if form.frames == 1 else (form.frames,)

    def decode(number: int) -> NDArray[Any]:
        with reading(path):
            return form.decode(path, number)

    array = PagedArray(leading, form.shape, form.dtype, decode)
    data = as_dask(array, (*(1,) * len(leading), *form.shape), OpenFiles())
    return ImageFile((ImageLayer.of(data, len(form.shape) == 3),))


def _form(path: Path) -> _Form:
    start = _begins(path)
    if start.startswith(_PNG) and len(start) >= 26 and start[24] == 16 and start[25] in (2, 4, 6):
        width, height = (int.from_bytes(start[at : at + 4], "big") for at in (16, 20))
        samples = {2: (3,), 4: (), 6: (4,)}[start[25]]
        return _Form((height, width, *samples), np.dtype("u2"), _by_imagecodecs("png_decode"))
    if start.startswith(_JPEG2000):
        return _jpeg2000(path)
    with _opened(path) as picture:
        frames = 1 if picture.format in _ONE_PICTURE else getattr(picture, "n_frames", 1)
        size = (picture.height, picture.width)
        if picture.mode in _DTYPES and frames == 1:
            return _Form(size, np.dtype(_DTYPES[picture.mode]), _decoded)
        target = _target(picture)
        samples = () if target == "L" else (len(target),)
        decode = lambda where, number: _decoded(where, number, target)  # noqa: E731
        return _Form((*size, *samples), np.dtype("u1"), decode, frames)


def _target(picture: Image.Image) -> str:
    """Return the mode that the pixels get: that of their colours."""
    if picture.mode in ("RGB", "RGBA", "L"):
        return picture.mode if getattr(picture, "n_frames", 1) == 1 else _animated(picture)
    if picture.mode in ("LA", "La", "1"):
        return "L"
    if picture.mode == "P":
        return _animated(picture)
    if picture.mode == "RGBa":
        return "RGBA"
    if picture.mode in ("CMYK", "YCbCr", "RGBX", "PA", "HSV"):
        return "RGB"
    raise ValueError(f"its colours are stored as {picture.mode}")


def _animated(picture: Image.Image) -> str:
    if picture.mode == "L":
        return "L"
    has_alpha = picture.mode == "RGBA" or "transparency" in picture.info
    return "RGBA" if has_alpha else "RGB"


def _decoded(path: Path, number: int, target: str | None = None) -> NDArray[Any]:
    with _opened(path) as picture:
        if number:
            picture.seek(number)
        picture.load()
        return np.asarray(picture if target in (None, picture.mode) else picture.convert(target))


def _by_imagecodecs(name: str) -> Callable[[Path, int], NDArray[Any]]:
    def decode(path: Path, _number: int) -> NDArray[Any]:
        import imagecodecs

        pixels = np.asarray(getattr(imagecodecs, name)(path.read_bytes()))
        return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 2 else pixels

    return decode


def _jpeg2000(path: Path) -> _Form:
    """Return the form of a JPEG 2000, which only its decoder tells."""
    pixels = _by_imagecodecs("jpeg2k_decode")(path, 0)
    return _Form(pixels.shape, pixels.dtype, lambda *_: pixels)


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(32)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    from PIL import Image

    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what other writers have put into the file
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with BoundedFile(path) as file, Image.open(file) as picture:
                yield picture
        finally:
            Image.MAX_IMAGE_PIXELS = limit

"""Images of one plane from a file: PNG, JPEG, TIFF, .npy, or any format of Pillow."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.cli.errors import InputError
from napari_dinov3_sim.cli.reading.axes import has_planes_of_colour, npy_order, tiff_order
from napari_dinov3_sim.cli.reading.paths import check_there
from napari_dinov3_sim.core.errors import ImageError, SimilarityError
from napari_dinov3_sim.core.images.file_signatures import is_what_its_suffix_says
from napari_dinov3_sim.core.images.intensity import MAX_CHANNELS, check_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from napari_dinov3_sim.cli.reading.axes import ReadAs

ARRAY_SUFFIXES = (".npy", ".tif", ".tiff")
"""Of files that may hold a stack."""

MAX_RATIO = 2000
"""How many times its size a TIFF of many bytes may have as pixels; deflate reaches 1032."""

ALWAYS_READ = 2**28
"""Bytes of pixels for which the size of a file does not matter: a blank plane takes no room."""

_BEYOND = ("pickle", "imagecodecs")
"""Of errors about sound files that hold something else than is read here."""

_PLAIN_MODES = ("1", "L", "I", "F", "RGB", "RGBA")

# tifffile logs what it then raises; the user gets one line.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def read_image(path: Path, read_as: ReadAs = "auto") -> NDArray[Any]:
    """Read an image that can be embedded.

    Parameters
    ----------
    path : Path
        A PNG, JPEG, TIFF or .npy file, or another format that Pillow reads.
    read_as : {'auto', 'rgb', 'stack'}, optional
        What 3 or 4 planes of a TIFF or .npy file are.

    Returns
    -------
    ndarray, shape (H, W), (H, W, 3) or (H, W, 4)
        Axes of length 1 around one plane are dropped; so is the alpha of grayscale.

    Raises
    ------
    InputError
        The file is missing, not an image, or not one plane; the message names it and the cure.
    """
    with reading(path):
        image = _pixels(path, read_as)
    if is_stack(image.shape):
        raise _stack(path, image.shape)
    image = image.reshape(squeezed(image.shape))
    with naming(path):
        return check_image(image)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Say which file it is that cannot be embedded."""
    try:
        yield
    except InputError:
        raise
    except ImageError as error:
        raise InputError(f"{path}: {error}") from error


def squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop axes of length 1, but none that makes up a plane."""
    while len(shape) > 2 and shape[0] == 1 and not _is_colour(shape):
        shape = shape[1:]
    return shape[:2] if len(shape) == 3 and shape[2] == 1 else shape


def is_stack(shape: tuple[int, ...]) -> bool:
    """Whether an array holds several planes, rather than one with or without channels."""
    shape = squeezed(shape)
    if len(shape) < 3 or 0 in shape or _is_colour(shape):
        return False
    return len(shape) > 3 or shape[-1] > min(MAX_CHANNELS, *shape[:2])


def _is_colour(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[2] in (3, 4)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file into one `InputError` that names it and the cure."""
    check_there(path)
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy or export the image again.")
    try:
        yield
    except PermissionError as error:
        raise InputError(
            f"{path} may not be read ({error.strerror}); change its permissions, or copy it."
        ) from error
    except SimilarityError:
        raise
    except Exception as error:  # every format fails in its own way
        raise InputError(unreadable(path, error)) from error


def unreadable(path: Path, error: Exception) -> str:
    """Say why the reader of a file failed, and the cure."""
    why = _brief(error)
    if is_what_its_suffix_says(path) and not any(word in why for word in _BEYOND):
        return f"{path} seems damaged or cut short ({why}); copy or export the image again."
    return f"{path} is not an image that can be read ({why}); save it as PNG, JPEG, TIFF or .npy."


def _pixels(path: Path, read_as: ReadAs) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return _read_npy(path, read_as)
    if suffix in (".tif", ".tiff"):
        return _read_tiff(path, read_as)
    return _read_pillow(path)


def _read_npy(path: Path, read_as: ReadAs) -> NDArray[Any]:
    # Not numpy.load, which would open an archive or a pickle under the name of an array.
    with path.open("rb") as stream:
        pixels = np.lib.format.read_array(stream, allow_pickle=False)
    ordered: NDArray[Any] = npy_order(pixels.shape, read_as).applied(pixels)
    return ordered


def _read_tiff(path: Path, read_as: ReadAs) -> NDArray[Any]:
    from tifffile import TiffFile

    try:
        with TiffFile(path) as tiff:
            if is_plain(tiff):
                order = tiff_order(tiff, read_as)
                check_size(tiff.series[0].nbytes, path)
                pixels: NDArray[Any] = order.applied(tiff.series[0].asarray())
                return pixels
    except ValueError as error:
        # Without imagecodecs some compressions are beyond tifffile, but not beyond Pillow.
        if "imagecodecs" not in str(error):
            raise
        return _read_pillow_instead(path, error)
    return _read_pillow(path)


def check_size(nbytes: int, path: Path) -> None:
    """Raise ValueError for a TIFF that promises more pixels than its bytes can hold."""
    size = path.stat().st_size
    if nbytes > max(ALWAYS_READ, MAX_RATIO * size):
        raise ValueError(f"it promises {nbytes / 2**30:.1f} GiB of pixels in {size} bytes")


def _read_pillow_instead(path: Path, error: ValueError) -> NDArray[Any]:
    try:
        return _read_pillow(path)
    except OSError:
        raise error from None  # that says what is wanted, and Pillow only that it does not know


def is_plain(tiff: Any) -> bool:
    """Whether the samples of a TIFF are intensities; of others, such as CMYK, Pillow makes RGB."""
    from tifffile import PHOTOMETRIC

    return tiff.pages.first.photometric in (None, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB)


def _read_pillow(path: Path) -> NDArray[Any]:
    with _opened(path) as picture:
        if picture.mode in _PLAIN_MODES or picture.mode.startswith("I;16"):
            return np.asarray(picture)
        return np.asarray(picture.convert("L" if picture.mode in ("LA", "La") else "RGB"))


def picture_shape(path: Path) -> tuple[int, int]:
    """Return height and width of a picture from its header, without its pixels."""
    with _opened(path) as picture:
        return picture.height, picture.width


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path) as picture:
            frames = getattr(picture, "n_frames", 1)
            if frames > 1:
                raise _stack(path, (frames, picture.height, picture.width))
            yield picture


def _stack(path: Path, shape: tuple[int, ...]) -> InputError:
    colours = ""
    if path.suffix.lower() in ARRAY_SUFFIXES and has_planes_of_colour(shape):
        colours = "if its planes are the colours of one image, add --read-as rgb; else "
    return InputError(
        f"{path} is a stack of shape {shape}, not one plane; {colours}save the plane you mean as "
        "an image of its own (in napari: extract a slice), or open the stack in the plugin."
    )


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."

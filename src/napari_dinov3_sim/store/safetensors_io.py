"""Embeddings in one safetensors file: written whole or not at all, checked when read."""

from __future__ import annotations

import functools
import json
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.store.atomic_files import explained, replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.state import PatchImageState

FORMAT = "napari-dinov3-sim/3"
"""Its checksum covers the metadata, too; that of format 2 covered the vectors only."""

CHECKSUM = "crc32"
"""The entry of the metadata that holds the checksum of everything else."""

CACHED = {"kept_for": "cache"}
"""The entry of the metadata of what was kept unasked, and may be removed to make room."""

DTYPES = ("float32", "float16")
"""What embeddings may be kept in."""

LARGE = 2**21
"""Bytes from which on a faster checksum is worth its import."""

_KEY = "embeddings"

_CHANGED = "the content is not what was written"

_MALFORMED = (LookupError, ValueError, TypeError, ArithmeticError, RecursionError)
"""What reading the parts of a file may raise if they are not what they must be."""


class OtherVersionError(StoreError):
    """A sound file of this package's, written by another version of it."""


@dataclass(frozen=True)
class Expected:
    """What stored embeddings must have been made from.

    Attributes
    ----------
    image_shape : tuple of int
        Height and width, in pixels.
    patch_size : int
        Side of the square of pixels that has a vector.
    fingerprint : str
        Of the model.
    window : IntensityWindow or None
    """

    image_shape: tuple[int, int]
    patch_size: int
    fingerprint: str
    window: IntensityWindow | None

    def fits(self, state: PatchImageState) -> bool:
        """Whether a state was made from this."""
        return self == Expected(
            state.image_shape, state.grid.patch_size, state.fingerprint, state.window
        )


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """What a file of this package holds.

    Attributes
    ----------
    array : ndarray
    metadata : mapping of str to str
    """

    array: NDArray[np.float32 | np.float16]
    metadata: Mapping[str, str]


def save_state(state: PatchImageState, path: str | os.PathLike[str]) -> Path:
    """Write a patch state to a safetensors file, whole or not at all.

    Parameters
    ----------
    state : PatchImageState
    path : path-like
        The file to write; its folder must exist.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        The file cannot be written (no permission, disk full).
    """
    target = Path(path)
    with explained(target):
        write_state(state, target)
    return target


def load_state(path: str | os.PathLike[str]) -> PatchImageState:
    """Read a patch state that `save_state` wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    PatchImageState
        In the dtype it was written in.

    Raises
    ------
    StoreError
        The file is missing, damaged, or not one of this package's.
    """
    source = Path(path)
    try:
        return read_state(source)
    except FileNotFoundError as error:
        raise StoreError(f"{source} does not exist; embed the image first.") from error
    except OSError as error:
        raise StoreError(
            f"{source} cannot be read ({error.strerror or error}); change its permissions, or "
            "embed the image again."
        ) from error


def write_state(
    state: PatchImageState, path: Path, digest: str = "", marks: Mapping[str, str] | None = None
) -> None:
    """Write a state under the digest of what it was made from; raises OSError."""
    window = None if state.window is None else [state.window.low, state.window.high]
    metadata = {
        "image_shape": json.dumps(state.grid.image_shape),
        "patch_size": str(state.grid.patch_size),
        "fingerprint": state.fingerprint,
        "window": json.dumps(window),
        "digest": digest,
        **(marks or {}),
    }
    write_array(state.vectors, path, metadata)


def read_state(
    path: Path, digest: str | None = None, expected: Expected | None = None
) -> PatchImageState:
    """Read a state; raises OSError, or StoreError where the file is not what it must be."""
    content = read_array(path)
    if digest is not None and content.metadata.get("digest") != digest:
        raise _something_else(path)
    try:
        state = _state_of(content.array, content.metadata)
    except _MALFORMED as error:
        raise _damaged(path, error) from error
    if expected is not None and not expected.fits(state):
        raise _something_else(path)
    return state


def _something_else(path: Path) -> StoreError:
    return StoreError(f"{path} holds the embeddings of something else; embed the image again.")


def _state_of(
    embeddings: NDArray[np.float32 | np.float16], metadata: Mapping[str, str]
) -> PatchImageState:
    from napari_dinov3_sim.core.state import PatchImageState

    height, width = json.loads(metadata["image_shape"])
    grid = PatchGrid((int(height), int(width)), int(metadata["patch_size"]))
    if embeddings.ndim != 2 or embeddings.shape[0] != len(grid):
        raise ValueError(f"{embeddings.shape} embeddings for {len(grid)} patches")
    bounds = json.loads(metadata["window"])
    window = None if bounds is None else IntensityWindow(*bounds)
    return PatchImageState(embeddings, grid, metadata["fingerprint"], window)


def write_array(
    array: NDArray[np.float32 | np.float16], path: Path, metadata: Mapping[str, str]
) -> None:
    """Write an array with this package's marks and a checksum; raises OSError."""
    with replacing(path) as part:
        save_array(array, part, metadata)


def save_array(
    array: NDArray[np.float32 | np.float16], part: Path, metadata: Mapping[str, str]
) -> None:
    """Write what `write_array` writes to a place that nobody reads yet; raises OSError."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays = {_KEY: np.ascontiguousarray(array)}
    marks = with_checksum({"format": FORMAT, **metadata}, arrays)
    part.touch()  # safetensors makes files private; ours are as readable as any other
    mode = part.stat().st_mode
    try:
        save_file(arrays, part, marks)
    except SafetensorError as error:
        raise _as_os_error(error) from error
    part.chmod(mode)


def read_array(path: Path) -> ArrayFile:
    """Read what `write_array` wrote; raises OSError or StoreError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            _check_format(metadata.get("format", ""), path)
            array = file.get_tensor(_KEY)
        check_sum(metadata, {_KEY: array})
        if array.dtype not in DTYPES:
            raise ValueError(f"embeddings of {array.dtype}")
    except (SafetensorError, *_MALFORMED) as error:
        raise _damaged(path, error) from error
    return ArrayFile(array, metadata)


@dataclass(frozen=True)
class ArrayHeader:
    """What stands before the numbers of a file of embeddings.

    Attributes
    ----------
    metadata : dict of str to str
    dtype : numpy.dtype
    shape : (int, int)
        Of the embeddings, (rows * columns, D).
    grid : PatchGrid
    checksum : int
        CRC-32 of all but the numbers, with which that of the numbers goes on.
    """

    metadata: Mapping[str, str]
    dtype: np.dtype[Any]
    shape: tuple[int, int]
    grid: PatchGrid
    checksum: int

    @property
    def fingerprint(self) -> str:
        """Of the model."""
        return self.metadata["fingerprint"]


def read_header(file: BinaryIO, path: Path) -> ArrayHeader:
    """Read a file of embeddings up to its first number; raises OSError or StoreError.

    Parameters
    ----------
    file : file object
        Open for reading bytes, at its beginning.
    path : Path
        For messages.
    """
    try:
        size = int.from_bytes(file.read(8), "little")
        if size > MOST_METADATA:
            raise ValueError(f"a header of {size} bytes")
        header = json.loads(file.read(size))
        metadata: dict[str, str] = header.pop("__metadata__")
        _check_format(metadata["format"], path)
        entry = header[_KEY]
        rows, dim = (int(length) for length in entry["shape"])
        dtype = np.dtype({"F32": np.float32, "F16": np.float16}[entry["dtype"]])
        height, width = json.loads(metadata["image_shape"])
        grid = PatchGrid((int(height), int(width)), int(metadata["patch_size"]))
        if rows != len(grid) or entry["data_offsets"] != [0, rows * dim * dtype.itemsize]:
            raise ValueError(f"({rows}, {dim}) embeddings for {len(grid)} patches")
        checksum = _checksum_of_words(metadata, [(_KEY, dtype.str, (rows, dim))])
        metadata[CHECKSUM], metadata["fingerprint"]
    except _MALFORMED as error:
        raise _damaged(path, error) from error
    return ArrayHeader(metadata, dtype, (rows, dim), grid, checksum)


def damaged(path: Path) -> StoreError:
    """Return the error for a file whose content is not what was written."""
    return _damaged(path, ValueError(_CHANGED))


MOST_METADATA = 2**16
"""Bytes of a header of this package's that are looked at for a mark."""


def is_cached(path: Path) -> bool:
    """Whether a file says that it was kept unasked; what says nothing does not.

    Its header is enough: a file that was cut short belongs to the cache as well.
    """
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, MOST_METADATA)))
        return bool(header["__metadata__"].items() >= CACHED.items())
    except (OSError, AttributeError, *_MALFORMED):
        return False


def _check_format(found: str, path: Path) -> None:
    if found == FORMAT:
        return
    is_ours = re.fullmatch(rf"{re.escape(family(FORMAT))}/\d+", found)
    raise (OtherVersionError if is_ours else StoreError)(
        f"{path} holds no embeddings of this version; embed the image again."
    )


def family(file_format: str) -> str:
    """Return the name of a format, without its version."""
    return file_format.partition("/")[0]


def with_checksum(
    metadata: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, str]:
    """Return the metadata of a file with a checksum over them and over the arrays.

    Parameters
    ----------
    metadata : mapping of str to str
    arrays : mapping of str to ndarray
        All of the file, contiguous.
    """
    return {**metadata, CHECKSUM: _checksum(metadata, arrays)}


def check_sum(metadata: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError, or KeyError, unless this is what `with_checksum` was given."""
    if _checksum(metadata, arrays) != metadata[CHECKSUM]:
        raise ValueError(_CHANGED)


def _checksum(metadata: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the CRC-32 of all that a file says; it is far faster than a search for NaN."""
    shapes = [(name, array.dtype.str, array.shape) for name, array in sorted(arrays.items())]
    found = _checksum_of_words(metadata, shapes)
    for _, array in sorted(arrays.items()):
        found = crc32(array, found)
    return f"{found:08x}"


def crc32(array: NDArray[Any], start: int = 0) -> int:
    """Return the CRC-32 of a contiguous array, going on from `start`."""
    content = array.reshape(-1).view("u1").data
    compute = zlib.crc32 if len(content) < LARGE else _crc32_of_large()
    return compute(content, start)


@functools.cache
def _crc32_of_large() -> Callable[[Any, int], int]:
    # That of libdeflate gives the same number as zlib's, far faster.
    try:
        import imagecodecs

        imagecodecs.deflate_crc32(b"", 0)
    except ImportError:  # a build without it; the error of imagecodecs is one, too
        return zlib.crc32
    found: Callable[[Any, int], int] = imagecodecs.deflate_crc32
    return found


def _checksum_of_words(
    metadata: Mapping[str, str], shapes: list[tuple[str, str, tuple[int, ...]]]
) -> int:
    words = sorted(item for item in metadata.items() if item[0] != CHECKSUM)
    return zlib.crc32(json.dumps([words, shapes]).encode())


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path} is damaged ({error}); delete it and embed the image again.")


def _as_os_error(error: Exception) -> OSError:
    found = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(int(found[1]), os.strerror(int(found[1]))) if found else OSError(str(error))

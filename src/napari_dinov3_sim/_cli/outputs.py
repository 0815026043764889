"""Where results go: a folder that can be written, names that never collide, whole files."""

from __future__ import annotations

import io
import tempfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim._cli.errors import OutputError
from napari_dinov3_sim.store.safetensors_io import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid

FAST = 1
"""Level of compression: half the time of the usual one, for 5 to 10 % more bytes."""

STRIP_BYTES = 2**18
"""A strip of a TIFF has about this many bytes, as readers expect."""


@dataclass(frozen=True)
class OutputFolder:
    """A folder that exists and can be written; see `open_folder`."""

    path: Path

    def write(self, name: str, content: bytes) -> Path:
        """Write a file whole or not at all, and return its path."""
        with self.writing(name) as part:
            part.write_bytes(content)
        return self.path / name

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """Lend a path whose file then gets its name here, unless an error is raised."""
        target = self.path / name
        try:
            with replacing(target) as part:
                yield part
        except OSError as error:
            raise OutputError(
                f"{target} cannot be written ({error.strerror or error}); free some space or "
                "choose another folder with --out."
            ) from error


def open_folder(path: Path) -> OutputFolder:
    """Make a folder if need be, and find out now whether files can be written into it.

    Raises
    ------
    OutputError
        They cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except FileExistsError as error:
        raise OutputError(
            f"{path} is a file, not a folder; choose another folder with --out."
        ) from error
    except OSError as error:
        raise OutputError(
            f"The folder {path} cannot be written ({error.strerror or error}); choose another "
            "one with --out."
        ) from error
    return OutputFolder(path)


def without_repeats(paths: Iterable[Path]) -> list[Path]:
    """Return each file once, where and as it is named first, however it is spelled."""
    once: dict[Path, Path] = {}
    for path in paths:
        once.setdefault(path.resolve(), path)
    return list(once.values())


def unique_stems(
    stems: Sequence[str], endings: Sequence[Sequence[str]] | None = None
) -> list[str]:
    """Return a stem for each of several things under which no two results collide.

    Parameters
    ----------
    stems : sequence of str
    endings : sequence of sequence of str, optional
        What is added to each stem, such as ``-0`` and ``-1`` for two planes.

    Returns
    -------
    list of str
        The own stem for the first that has it; "-2", "-3", … is added for the others.
        Case does not tell stems apart, because some file systems do not.
    """
    every = [[""]] * len(stems) if endings is None else endings
    own = {name for stem, ends in zip(stems, every, strict=True) for name in _names(stem, ends)}
    taken: set[str] = set()
    unique = []
    for stem, ends in zip(stems, every, strict=True):
        free, count = stem, 1
        while not taken.isdisjoint(_names(free, ends)) or (
            count > 1 and not own.isdisjoint(_names(free, ends))
        ):
            count += 1
            free = f"{stem}-{count}"
        taken.update(_names(free, ends))
        unique.append(free)
    return unique


def _names(stem: str, endings: Iterable[str]) -> set[str]:
    return {f"{stem}{ending}".casefold() for ending in endings}


def check_inputs_survive(inputs: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Raise `OutputError` if a result would replace an image that is read."""
    read = {path.resolve(): path for path in inputs}
    for output in outputs:
        if output.resolve() in read:
            raise OutputError(
                f"The results would replace {read[output.resolve()]}, which is read as an image; "
                "choose another folder with --out, or leave that image out."
            )


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """Return an RGB picture as PNG, quickly rather than as small as possible."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", compress_level=FAST)
    return stream.getvalue()


def encode_tif(values: NDArray[Any]) -> bytes:
    """Return a plane of numbers as TIFF, losslessly compressed."""
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(stream, values, compression="zlib", photometric="minisblack")
    return stream.getvalue()


def write_map(path: Path, values: NDArray[Any], grid: PatchGrid) -> None:
    """Write a number for each patch as a TIFF of the size of the image, which is never whole.

    Parameters
    ----------
    path : Path
    values : ndarray, shape (rows, columns)
    grid : PatchGrid
    """
    import tifffile

    height, width = grid.image_shape
    step = max(1, STRIP_BYTES // (width * values.dtype.itemsize))
    columns = np.arange(width) // grid.patch_size

    def strip(top: int) -> bytes:
        rows = np.arange(top, min(top + step, height)) // grid.patch_size
        return zlib.compress(values[np.ix_(rows, columns)].tobytes(), FAST)

    tifffile.imwrite(
        path,
        map(strip, range(0, height, step)),
        shape=(height, width),
        dtype=values.dtype,
        rowsperstrip=step,
        compression="zlib",
        photometric="minisblack",
    )

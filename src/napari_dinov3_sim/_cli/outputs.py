"""Where results go: a folder that can be written, names that never collide, whole files."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim._cli.errors import OutputError
from napari_dinov3_sim.store import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class OutputFolder:
    """A folder that exists and can be written; see `open_folder`."""

    path: Path

    def write(self, name: str, content: bytes) -> Path:
        """Write a file whole or not at all, and return its path."""
        target = self.path / name
        try:
            write_atomically(target, content)
        except OSError as error:
            raise OutputError(
                f"{target} cannot be written ({error.strerror or error}); free some space or "
                "choose another folder with --out."
            ) from error
        return target


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


def unique_stems(paths: Sequence[Path]) -> list[str]:
    """Return a stem for each file under which no two results collide.

    Parameters
    ----------
    paths : sequence of Path

    Returns
    -------
    list of str
        The file's own stem for the first that has it; "-2", "-3", … is added for the others.
        Case does not tell stems apart, because some file systems do not.
    """
    own = {path.stem.casefold() for path in paths}
    taken: set[str] = set()
    stems = []
    for path in paths:
        stem, count = path.stem, 1
        while stem.casefold() in taken or (count > 1 and stem.casefold() in own):
            count += 1
            stem = f"{path.stem}-{count}"
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


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
    """Return an RGB picture as PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def encode_tif(values: NDArray[Any]) -> bytes:
    """Return a plane of numbers as TIFF, losslessly compressed."""
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(stream, values, compression="zlib", photometric="minisblack")
    return stream.getvalue()

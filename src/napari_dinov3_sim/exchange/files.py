"""Files that are written whole or not at all, and never in the place of another unasked."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.core.text import file_stem, name_key
from napari_dinov3_sim.exchange.shapes import ExchangeError
from napari_dinov3_sim.readers.tiff_metadata import SOFTWARE
from napari_dinov3_sim.store.atomic_files import MAX_PREFIX, PART, explained, move, replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_STEM = 100
"""Bytes of the name of an image in that of a file."""


@contextmanager
def written(path: Path, what: str, *, overwrite: bool = False) -> Iterator[Path]:
    """Lend a path whose file, or folder, then gets its name, unless an error is raised.

    Parameters
    ----------
    path : Path
    what : str
        What is written, for messages.
    overwrite : bool, optional
        Whether something that is there is replaced.

    Raises
    ------
    ExchangeError
        Something is there, and it is not to be replaced; or it is a folder of somebody else's.
    StoreError
        The file cannot be written (no permission, disk full).
    """
    if not overwrite and (path.exists() or path.is_symlink()):
        raise ExchangeError(f"{path} already exists; choose another name, or replace it.")
    with explained(path, what):
        if path.is_dir() and not path.is_symlink():
            _check_ours(path)
            with _away(path), replacing(path) as part:
                yield part
        else:
            with replacing(path) as part:
                yield part


def _check_ours(folder: Path) -> None:
    """Raise `ExchangeError` for a folder that this package has not written: it may be an image."""
    for name in ("zarr.json", ".zattrs"):
        about = folder / name
        if about.is_file() and SOFTWARE in about.read_text(encoding="utf-8", errors="replace"):
            return
    raise ExchangeError(
        f"{folder} is a folder that holds something else, and is not replaced; choose another "
        "name, or delete it yourself."
    )


@contextmanager
def _away(folder: Path) -> Iterator[None]:
    """Take a folder out of the way, and put it back if an error is raised."""
    with tempfile.TemporaryDirectory(
        dir=folder.parent,
        prefix=f".{folder.name[:MAX_PREFIX]}.",
        suffix=PART,
        ignore_cleanup_errors=True,
    ) as aside:
        former = Path(aside) / "former"
        move(folder, former)
        try:
            yield
        except BaseException:
            if folder.exists():
                shutil.rmtree(folder)
            move(former, folder)
            raise


def write_json(content: Any, path: Path, what: str, *, overwrite: bool = False) -> None:
    """Write JSON that people can read, too; see `written`."""
    text = json.dumps(content, indent=1, allow_nan=False)
    with written(path, what, overwrite=overwrite) as part:
        part.write_text(f"{text}\n", encoding="utf-8", newline="\n")


def file_names(
    names: Sequence[str],
    suffix: str,
    taken: Iterable[str] = (),
    *,
    most: int = MAX_STEM,
    otherwise: str = "image",
) -> list[str]:
    """Return a name of a file for each image: none twice, and such as every disk takes.

    Parameters
    ----------
    names : sequence of str
        Of images, which may be anything.
    suffix : str
        Such as ``.geojson``.
    taken : iterable of str, optional
        Names that are not to be used, such as those of files that are there.
    most : int, optional
        Bytes of a name that are kept.
    otherwise : str, optional
        The name where nothing of one is left.

    Examples
    --------
    >>> file_names(["a/b", "a_b", "..."], ".csv")
    ['a_b.csv', 'a_b-2.csv', 'image.csv']
    """
    found: list[str] = []
    used = {name_key(name) for name in taken}
    for name in names:
        stem = file_stem(name, most, otherwise)
        free, count = stem, 1
        while name_key(f"{free}{suffix}") in used:
            count += 1
            free = f"{stem}-{count}"
        found.append(f"{free}{suffix}")
        used.add(name_key(found[-1]))
    return found

"""Saved queries as files, and a folder of them as a library."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import StateError, StoreError
from napari_dinov3_sim.core.images.file_signatures import is_image_file
from napari_dinov3_sim.core.search.saved_query import SavedClass, SavedQuery
from napari_dinov3_sim.core.text import does_not_exist
from napari_dinov3_sim.store.atomic_files import explained, write_atomically
from napari_dinov3_sim.store.safetensors_io import (
    CHECKSUM,
    FORMAT,
    check_sum,
    family,
    with_checksum,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

QUERY_FORMAT = "napari-dinov3-sim-query/3"
FORMER_FORMAT = "napari-dinov3-sim-query/2"
"""It had no thresholds; such files go on being read."""

FIRST_FORMAT = "napari-dinov3-sim-query/1"
"""Its list of classes was called ``kinds``; such files go on being read."""

QUERY_SUFFIX = ".query.safetensors"

_CHOOSE = "choose a file that was saved as a query."


@dataclass(frozen=True)
class LibraryEntry:
    """A file of a library of queries.

    Attributes
    ----------
    path : Path
    query : SavedQuery or None
        None if the file cannot be used.
    problem : str
        Why not, and what to do; empty if it can.
    """

    path: Path
    query: SavedQuery | None
    problem: str = ""


def save_query(query: SavedQuery, path: str | os.PathLike[str]) -> Path:
    """Write a query to a safetensors file, whole or not at all.

    Parameters
    ----------
    query : SavedQuery
    path : path-like
        The file to write; its folder must exist. Nothing is appended to its name, and
        `list_queries` finds only files that end in ``.query.safetensors``. A saved query that is
        there is replaced, and nothing else.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        The file cannot be written (no permission, disk full), or is there and no saved query.
    """
    target = Path(path)
    check_replaceable(target)
    content = query_content(query)
    with explained(target, "query"):
        write_atomically(target, content)
    return target


def query_content(query: SavedQuery) -> bytes:
    """Return what the file of a query holds."""
    from safetensors.numpy import save

    arrays: dict[str, NDArray[Any]] = {}
    for number, saved_class in enumerate(query.classes):
        for name, array in _arrays_of(saved_class).items():
            arrays[f"{number}.{name}"] = np.ascontiguousarray(array)
    metadata = {"format": QUERY_FORMAT, "query": json.dumps(_description_of(query))}
    return save(arrays, with_checksum(metadata, arrays))


def check_replaceable(path: Path) -> None:
    """Raise `StoreError` if a file is there that is no saved query: it may be somebody's data.

    An empty one has nothing to lose; what ends in ``.query.safetensors`` may be a damaged query.
    """
    try:
        is_other = path.stat().st_size > 0 and not path.name.endswith(QUERY_SUFFIX)
    except OSError:  # it is not there, or writing it says why it cannot be
        return
    if path.is_file() and is_other and not _is_query(path):
        raise StoreError(
            f"{path} is there and is no saved query, so it is not replaced; choose another name, "
            f"such as {path.stem}{QUERY_SUFFIX}."
        )


def _is_query(path: Path) -> bool:
    from safetensors import safe_open

    try:
        with safe_open(path, framework="np") as file:
            return family((file.metadata() or {}).get("format", "")) == family(QUERY_FORMAT)
    except Exception:  # whatever it is, it is no file of ours
        return False


def _arrays_of(saved_class: SavedClass) -> dict[str, NDArray[Any]]:
    arrays = {"positives": saved_class.positives, "negatives": saved_class.negatives}
    if saved_class.background is not None:
        arrays["background"] = saved_class.background
    return arrays | {f"thumbnails.{n}": one for n, one in enumerate(saved_class.thumbnails)}


def _description_of(query: SavedQuery) -> dict[str, Any]:
    return {
        "classes": [
            {
                "name": saved_class.name,
                "colour": saved_class.colour,
                "thumbnails": len(saved_class.thumbnails),
                "threshold": saved_class.threshold,
            }
            for saved_class in query.classes
        ],
        "combination": query.combination,
        "fingerprint": query.fingerprint,
        "model": query.model,
        "cell_size": query.cell_size,
        "factor": query.factor,
    }


def load_query(path: str | os.PathLike[str]) -> SavedQuery:
    """Read a query that `save_query` wrote.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    SavedQuery

    Raises
    ------
    StoreError
        The file is missing, damaged, or no saved query.
    """
    from safetensors import safe_open

    source = Path(path)
    try:
        with safe_open(source, framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") not in (QUERY_FORMAT, FORMER_FORMAT, FIRST_FORMAT):
                raise _something_else(source, metadata)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        # The first format has no checksum.
        if metadata["format"] != FIRST_FORMAT or CHECKSUM in metadata:
            check_sum(metadata, arrays)
        return _query_of(json.loads(metadata["query"]), arrays)
    except FileNotFoundError as error:
        raise StoreError(does_not_exist(source)) from error
    except StoreError:
        raise
    except Exception as error:  # a damaged file fails in its own way
        raise _unreadable(source, error) from error


def _something_else(path: Path, metadata: Mapping[str, str]) -> StoreError:
    """Return the error for a file of this format that holds no query."""
    is_embedded = family(metadata.get("format", "")) == family(FORMAT)
    what = "holds embeddings, not a saved query"
    if not is_embedded:
        what = "is no saved query of this version"
    return StoreError(f"{path} {what}; {_CHOOSE}")


def _unreadable(path: Path, error: Exception) -> StoreError:
    """Return the error for a file that is damaged, or was never a query."""
    if is_image_file(path):
        return StoreError(f"{path} is a picture, not a saved query; {_CHOOSE}")
    reason = " ".join(str(error).split()).rstrip(".")
    return StoreError(f"{path} cannot be read as a saved query ({reason}); save the query again.")


def _query_of(description: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> SavedQuery:
    classes = []
    listed = description["classes" if "classes" in description else "kinds"]
    for number, saved_class in enumerate(listed):
        thumbnails = (arrays[f"{number}.thumbnails.{n}"] for n in range(saved_class["thumbnails"]))
        classes.append(
            SavedClass(
                saved_class["name"],
                saved_class["colour"],
                arrays[f"{number}.positives"],
                arrays[f"{number}.negatives"],
                arrays.get(f"{number}.background"),
                tuple(thumbnails),
                saved_class.get("threshold"),
            )
        )
    rest = {name: description[name] for name in ("combination", "fingerprint", "model")}
    if not all(isinstance(value, str) for value in rest.values()):
        raise StateError("A combination and a model are named by text.")
    cell_size, factor = int(description["cell_size"]), description.get("factor")
    return SavedQuery(tuple(classes), **rest, cell_size=cell_size, factor=factor)


def list_queries(folder: str | os.PathLike[str]) -> list[LibraryEntry]:
    """Return the saved queries of a folder.

    Parameters
    ----------
    folder : path-like
        One that does not exist is empty.

    Returns
    -------
    list of LibraryEntry
        By file name; files that end in ``.query.safetensors`` but cannot be used are listed
        with their problem.
    """
    entries = []
    for path in sorted(Path(folder).glob(f"*{QUERY_SUFFIX}")):
        try:
            entries.append(LibraryEntry(path, load_query(path)))
        except StoreError as error:
            entries.append(LibraryEntry(path, None, str(error)))
    return entries

"""The file of a project: a zip archive of a description and of arrays, written as a whole.

Nothing in it is ever run: the description is JSON that `records` checks, arrays are of NumPy's
format without objects. Nothing is unpacked into folders, so that names of members do no harm, and
every size is known before anything is read.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from napari_dinov3_sim.core.errors import EmbeddingCancelled, StoreError
from napari_dinov3_sim.core.images.file_signatures import is_image_file
from napari_dinov3_sim.core.text import does_not_exist, printable
from napari_dinov3_sim.store.atomic_files import explained, replacing
from napari_dinov3_sim.store.project.records import (
    MAX_ARRAY,
    MAX_ARRAYS,
    PROJECT_FORMAT,
    PROJECT_VERSION,
    ArrayRecord,
    MemberRecord,
    Project,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

PROJECT_SUFFIX = ".dinov3sim.zip"
DESCRIPTION = "project.json"
QUERY_MEMBER = "query.safetensors"

MAX_DESCRIPTION = 2**26
"""Bytes of the description."""

MAX_QUERY = 2**28
"""Bytes of a saved query in a project."""

HEADER = 4096
"""Bytes that the header of an array may have."""

BLOCK = 2**24
"""Bytes that are written or read at once."""

LEVEL = 1
"""Of compression: labels become as small as with any other, and it is fast."""

_DESCRIPTION = TypeAdapter(Project)


@checked_dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class _Head:
    """What any version of the format says."""

    format: str
    version: int


# --- writing -----------------------------------------------------------------------------------


def write_project(
    project: Project,
    arrays: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    query: bytes | None = None,
    overwrite: bool = False,
    report: Callable[[int, int], None] | None = None,
    finish: Callable[[Project], Project] | None = None,
) -> Path:
    """Write a project, whole or not at all.

    Parameters
    ----------
    project : Project
        Without `members`.
    arrays : mapping of str to array_like
        NumPy, dask or anything that is sliced alike, by the member they go into.
    path : path-like
        A project that is there is replaced.
    query : bytes, optional
        A saved query, as it is in a file.
    overwrite : bool, optional
        Whether a file that is no project is replaced, too.
    report : callable, optional
        Called with (bytes done, bytes in all); may raise `EmbeddingCancelled`.
    finish : callable, optional
        Given the project when all arrays are written, returns what is said of them.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    StoreError
        The file cannot be written, is there and no project, or the project is too large.
    EmbeddingCancelled
        As `report` says; the file is as it was.
    """
    if bool(project.query) != (query is not None):
        raise ValueError("the members are not those that are used")
    target = Path(path)
    if not overwrite:
        _check_replaceable(target)
    total = sum(array.nbytes for array in project.arrays)
    progress = _Progress(report, total)
    with (
        explained(target, "project"),
        replacing(target) as part,
        zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive,
    ):
        members = [
            _write_array(archive, array, arrays[array.member], progress)
            for array in project.arrays
        ]
        if query is not None:
            members.append(_write_bytes(archive, QUERY_MEMBER, query))
        project = replace(project if finish is None else finish(project), members=tuple(members))
        archive.writestr(DESCRIPTION, _described(project))
    return target


def _described(project: Project) -> bytes:
    text = _DESCRIPTION.dump_json(project)
    if len(text) > MAX_DESCRIPTION:
        raise StoreError(
            f"The project has too many points and regions for one file ({len(text) >> 20} MiB, "
            f"{MAX_DESCRIPTION >> 20} are possible); divide it into several."
        )
    return bytes(text)


def _check_replaceable(path: Path) -> None:
    """Raise `StoreError` if a file is there that is no project: it may be somebody's data."""
    if not path.is_file() or path.stat().st_size == 0 or path.name.endswith(PROJECT_SUFFIX):
        return
    try:
        with ProjectFile.open(path):
            return
    except StoreError as error:
        raise StoreError(
            f"{printable(str(path))} is there and is no project, so it is not replaced; choose "
            f"another name, such as {printable(path.stem)}{PROJECT_SUFFIX}."
        ) from error


@dataclass
class _Progress:
    """Counts bytes."""

    report: Callable[[int, int], None] | None
    total: int
    done: int = 0

    def show(self, of_this_one: int) -> None:
        """Report the bytes of an array that is being written."""
        if self.report is not None:
            self.report(min(self.done + of_this_one, self.total), self.total)

    def finish(self, size: int) -> None:
        """Count an array that is written."""
        self.done += size


def _write_bytes(archive: zipfile.ZipFile, name: str, content: bytes) -> MemberRecord:
    archive.writestr(name, content)
    return MemberRecord(name, len(content), hashlib.sha256(content).hexdigest())


def _write_array(
    archive: zipfile.ZipFile, record: ArrayRecord, array: Any, progress: _Progress
) -> MemberRecord:
    header = io.BytesIO()
    fields = {"descr": record.dtype, "fortran_order": False, "shape": record.shape}
    npy.write_array_header_1_0(header, fields)
    digest, size = hashlib.sha256(), 0
    with archive.open(record.member, "w", force_zip64=True) as file:
        blocks = _blocks_of(array, np.dtype(record.dtype))
        for block in chain([header.getvalue()], blocks):
            file.write(block)
            digest.update(block)
            size += len(block)
            progress.show(size)
    progress.finish(record.nbytes)
    return MemberRecord(record.member, size, digest.hexdigest())


def _blocks_of(array: Any, dtype: np.dtype[Any]) -> Iterator[bytes]:
    """Yield the elements of an array in order, in pieces that fit into memory."""
    shape = tuple(int(n) for n in array.shape)
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes <= BLOCK or len(shape) < 2:
        yield np.ascontiguousarray(np.asarray(array), dtype).tobytes()
        return
    step = max(1, BLOCK * shape[0] // nbytes)
    for start in range(0, shape[0], step):
        if step == 1:
            yield from _blocks_of(array[start], dtype)
        else:
            yield np.ascontiguousarray(np.asarray(array[start : start + step]), dtype).tobytes()


def array_record(member: str, array: Any) -> ArrayRecord:
    """Return how an array is written.

    Raises
    ------
    StoreError
        It is too large, or its elements are no numbers.
    """
    shape, dtype = tuple(int(n) for n in array.shape), np.dtype(array.dtype)
    if math.prod(shape) * dtype.itemsize > MAX_ARRAY:
        raise StoreError(f"It has more than {MAX_ARRAY >> 30} GiB.")
    try:
        return ArrayRecord(member, shape, dtype.str)
    except ValidationError as error:
        raise StoreError(f"Elements of type {dtype} cannot be saved.") from error


# --- reading -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ProjectFile:
    """A project that is open for reading.

    Attributes
    ----------
    path : Path
    project : Project
    """

    path: Path
    project: Project
    _archive: zipfile.ZipFile

    @classmethod
    @contextmanager
    def open(cls, path: str | os.PathLike[str]) -> Iterator[ProjectFile]:
        """Open a project and check what it says, for a ``with`` block.

        Raises
        ------
        StoreError
            The file is missing, damaged, no project, or one of a newer version.
        """
        source = Path(path)
        with _told(source):
            archive = _open_archive(source)
        with archive:
            with _told(source):
                project = _description_of(archive, source)
            yield cls(source, project, archive)

    def array(
        self, record: ArrayRecord, report: Callable[[int, int], None] | None = None
    ) -> NDArray[Any]:
        """Return an array.

        Raises
        ------
        StoreError
            It is damaged.
        """
        with _told(self.path), self._archive.open(record.member) as file:
            return _read_array(file, record, self._member(record.member), report)

    def query(self) -> bytes | None:
        """Return the saved query, or None.

        Raises
        ------
        StoreError
            It is damaged.
        """
        members = {member.name: member for member in self.project.members}
        member = members.get(QUERY_MEMBER)
        if member is None:  # also where there is its name alone, as was once written
            return None
        with _told(self.path), self._archive.open(QUERY_MEMBER) as file:
            content = file.read(member.size + 1)
            if hashlib.sha256(content).hexdigest() != member.sha256:
                raise ValueError("the saved query is not what was written")
            return content

    def _member(self, name: str) -> MemberRecord:
        return next(member for member in self.project.members if member.name == name)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file makes readers raise into one sentence."""
    try:
        yield
    except (StoreError, EmbeddingCancelled):
        raise
    except FileNotFoundError as error:
        raise StoreError(does_not_exist(path)) from error
    except OSError as error:
        raise StoreError(
            f"{printable(str(path))} cannot be read ({error.strerror or error}); change its "
            "permissions, or copy it to another folder."
        ) from error
    except Exception as error:  # a damaged file fails in its own way
        reason = " ".join(printable(str(error)).split()).rstrip(".")[:200]
        raise StoreError(
            f"{printable(str(path))} is damaged ({reason}); copy it again from where it came, or "
            "save the project again."
        ) from error


def _open_archive(path: Path) -> zipfile.ZipFile:
    if path.is_dir() or not zipfile.is_zipfile(path):
        what = "a picture" if path.is_file() and is_image_file(path) else "no project"
        if not path.is_dir():
            with path.open("rb"):  # it says why it cannot be read, if so
                pass
        raise StoreError(
            f"{printable(str(path))} is {what}; choose a file that was saved as a project "
            f"(*{PROJECT_SUFFIX})."
        )
    return zipfile.ZipFile(path)


def _description_of(archive: zipfile.ZipFile, path: Path) -> Project:
    infos = archive.infolist()
    by_name = {info.filename: info for info in infos}
    if DESCRIPTION not in by_name:
        raise StoreError(
            f"{printable(str(path))} is no project: it has no {DESCRIPTION}; choose a file that "
            f"was saved as a project (*{PROJECT_SUFFIX})."
        )
    if len(by_name) < len(infos):
        raise ValueError("two files in it have one name")
    info = by_name.pop(DESCRIPTION)
    _check_packing(info, MAX_DESCRIPTION)
    project = _parse(archive.read(info), path)
    members = {member.name: member for member in project.members}
    if set(by_name) != set(members):
        odd = sorted(set(by_name) ^ set(members))[0]
        raise ValueError(f"the file {odd[:60]!r} in it is missing, or does not belong to it")
    records = {array.member: array for array in project.arrays}
    for name, member in members.items():
        most = records[name].nbytes + HEADER if name in records else MAX_QUERY
        _check_packing(by_name[name], most)
        if by_name[name].file_size != member.size:
            raise ValueError(f"{name} is of another size than was written")
    if sum(info.file_size for info in by_name.values()) > MAX_ARRAYS + MAX_QUERY:
        raise ValueError("it is too large")
    return project


def _check_packing(info: zipfile.ZipInfo, most: int) -> None:
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename[:60]!r} is encrypted, or not packed as projects are")
    if info.file_size > most:
        raise ValueError(f"{info.filename[:60]!r} in it is too large")


def _parse(text: bytes, path: Path) -> Project:
    try:
        head = TypeAdapter(_Head).validate_json(text)
        if head.format != PROJECT_FORMAT:
            raise StoreError(
                f"{printable(str(path))} is no project of this plugin; choose a file that was "
                f"saved as a project (*{PROJECT_SUFFIX})."
            )
        if head.version > PROJECT_VERSION:
            raise StoreError(
                f"{printable(str(path))} was saved by a newer version of this plugin (format "
                f"{head.version}, and {PROJECT_VERSION} is known here); update "
                "napari-dinov3-sim to open it."
            )
        return _DESCRIPTION.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:80]
        raise ValueError(f"{where or DESCRIPTION}: {first['msg'][:100]}") from error


def _read_array(
    file: Any, record: ArrayRecord, member: MemberRecord, report: Callable[[int, int], None] | None
) -> NDArray[Any]:
    digest = hashlib.sha256()
    reader = _Hashed(file, digest)
    version = npy.read_magic(reader)
    if version != (1, 0):
        raise ValueError(f"{record.member} is of another version of NumPy's format")
    found = npy.read_array_header_1_0(reader, max_header_size=HEADER)
    if found != (record.shape, False, np.dtype(record.dtype)):
        raise ValueError(f"{record.member} holds another array than the description says")
    array = np.empty(record.shape, record.dtype)
    target = array.reshape(-1).view(np.uint8).data
    at = 0
    while at < len(target):
        content = reader.read(min(BLOCK, len(target) - at))
        if not content:
            raise ValueError(f"{record.member} ends too early")
        target[at : at + len(content)] = content
        at += len(content)
        if report is not None:
            report(at, len(target))
    if reader.read(1) or digest.hexdigest() != member.sha256:
        raise ValueError(f"{record.member} is not what was written")
    return array


@dataclass
class _Hashed:
    """A file whose bytes are hashed as they are read."""

    file: BinaryIO
    digest: Any

    def read(self, size: int = -1, /) -> bytes:
        content = self.file.read(size)
        self.digest.update(content)
        return content

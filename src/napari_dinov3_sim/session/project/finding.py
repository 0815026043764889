"""The images of a project, found, read and compared with what they were; in the worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.session.gallery.stored_files import read_file
from napari_dinov3_sim.session.project.examining import digest_of_pixels
from napari_dinov3_sim.store.project.places import candidates, search_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinov3_sim.session.gallery.stored_files import FileLayer
    from napari_dinov3_sim.store.project.archive import ProjectFile
    from napari_dinov3_sim.store.project.records import FileRecord, ImageRecord, Project

    Check = Callable[[int, int], None]

State = Literal["same", "changed", "missing"]
"""Of an image: as it was, with other pixels, or nowhere."""


@dataclass(frozen=True, eq=False)
class FoundImage:
    """An image of a project, ready to be shown.

    Attributes
    ----------
    state : {'same', 'changed', 'missing'}
    levels : tuple of array_like
        Empty if it is missing.
    path : Path or None
    reader : str
    """

    state: State
    levels: tuple[Any, ...] = field(default=(), repr=False)
    path: Path | None = None
    reader: str = ""


MISSING = FoundImage("missing")


@dataclass(frozen=True, eq=False)
class ReadProject:
    """A project with everything that is read of it.

    Attributes
    ----------
    path : Path
    project : Project
    images : tuple of FoundImage
        One for each image of the project.
    arrays : mapping of str to ndarray
        Of regions and results, by member.
    query : bytes or None
        A saved query, as it is in a file.
    """

    path: Path
    project: Project
    images: tuple[FoundImage, ...]
    arrays: Mapping[str, NDArray[Any]] = field(repr=False)
    query: bytes | None = field(repr=False)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the images that had a file, and were not found."""
        pairs = zip(self.project.images, self.images, strict=True)
        return tuple(record.name for record, found in pairs if record.file and _is_lost(found))


def _is_lost(found: FoundImage) -> bool:
    return found.state == "missing"


def read_project(path: Path, check: Check) -> Iterator[ReadProject]:
    """Yield a project with its images, those that are where they were; runs in the worker.

    Parameters
    ----------
    path : Path
    check : callable
        Called with (parts done, parts in all); may raise `EmbeddingCancelled`.

    Raises
    ------
    StoreError
        The file is missing, damaged, or no project.
    """
    from napari_dinov3_sim.store.project.archive import ProjectFile

    with ProjectFile.open(path) as file:
        project = file.project
        of_images = {array.member for image in project.images for array in image.arrays}
        arrays = {
            record.member: file.array(record)
            for record in project.arrays
            if record.member not in of_images
        }
        query = file.query()
        files = _Opener(path.parent, check, len(project.images))
        images = tuple(
            _stored(file, record) if record.arrays else files.open(number, record)
            for number, record in enumerate(project.images)
        )
    yield ReadProject(path, project, images, arrays, query)


def find_missing(read: ReadProject, folder: Path, check: Check) -> Iterator[ReadProject]:
    """Yield a project with the images that a folder has of those that are not as they were."""
    project = read.project
    wanted = [
        record.file
        for record, found in zip(project.images, read.images, strict=True)
        if record.file is not None and found.state != "same"
    ]
    by_file = search_folder(folder, wanted, lambda: check(0, 0))
    files = _Opener(folder, check, len(project.images), by_file)
    images = [
        files.better(number, record, found)
        for number, (record, found) in enumerate(zip(project.images, read.images, strict=True))
    ]
    yield ReadProject(read.path, project, tuple(images), read.arrays, read.query)


def _stored(file: ProjectFile, record: ImageRecord) -> FoundImage:
    return FoundImage("same", tuple(file.array(array) for array in record.arrays))


class _Opener:
    """Opens images from files; each file is read once.

    Parameters
    ----------
    folder : Path
        Of the project.
    check : callable
    total : int
        How many images there are.
    places : mapping of FileRecord to sequence of Path, optional
        Where to look for each file in place of where it was.
    """

    def __init__(
        self,
        folder: Path,
        check: Check,
        total: int,
        places: Mapping[FileRecord, Sequence[Path]] | None = None,
    ) -> None:
        self._folder, self._check, self._total, self._places = folder, check, total, places
        self._read: dict[tuple[Path, str], tuple[tuple[FileLayer, ...], str]] = {}
        self._digests: dict[tuple[Path, str, int], str] = {}

    def better(self, number: int, record: ImageRecord, found: FoundImage) -> FoundImage:
        """Return an image as it was, if it is found now; else what was found before."""
        if found.state == "same" or record.file is None:
            return found
        now = self.open(number, record)
        is_better = now.state == "same" or found.state == "missing"
        return now if is_better else found

    def open(self, number: int, record: ImageRecord) -> FoundImage:
        """Return an image from the first file that has its pixels, or one that has others."""

        def part(done: int, total: int) -> None:
            self._check(1000 * number + 1000 * done // max(1, total), 1000 * self._total)

        part(0, 1)
        if record.file is None:
            return MISSING
        found = MISSING
        for path in self._paths(record.file):
            one = self._from(path, record, record.file, part)
            if one.state == "same":
                return one
            found = found if found.state == "changed" else one
        return found

    def _paths(self, file: FileRecord) -> Sequence[Path]:
        if self._places is not None:
            return self._places.get(file, ())
        return candidates(file, self._folder)

    def _from(self, path: Path, record: ImageRecord, file: FileRecord, check: Check) -> FoundImage:
        try:
            layers, reader = self._layers(path, file.reader)
        except ImageError:
            return MISSING
        order = sorted(range(len(layers)), key=lambda number: number != file.layer)
        for number in order:
            layer = layers[number]
            shapes = tuple(tuple(int(n) for n in level.shape) for level in layer.levels)
            if (shapes, layer.rgb) != (record.levels, record.rgb):
                continue
            if self._digest((path, reader, number), layer, check) == record.digest:
                return FoundImage("same", layer.levels, path, reader)
        fitting = [layers[n] for n in order if _fits(layers[n], record)]
        if not fitting or file.layer >= len(layers):
            return MISSING
        return FoundImage("changed", fitting[0].levels, path, reader)

    def _layers(self, path: Path, reader: str) -> tuple[tuple[FileLayer, ...], str]:
        if (path, reader) not in self._read:
            try:
                found = read_file(path, reader)
            except ImageError:  # the plugin may not be here
                found = read_file(path)
            self._read[path, reader] = found
        return self._read[path, reader]

    def _digest(self, key: tuple[Path, str, int], layer: FileLayer, check: Check) -> str:
        if key not in self._digests:
            try:
                self._digests[key] = digest_of_pixels(layer.levels, layer.rgb, check)
            except ImageError:
                self._digests[key] = ""
        return self._digests[key]


def _fits(layer: FileLayer, record: ImageRecord) -> bool:
    """Whether what is known of an image can be said of a layer with other pixels."""
    return (len(layer.shape), layer.rgb) == (len(record.levels[0]) - record.rgb, record.rgb)

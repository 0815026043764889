"""A project is put together and written; in the worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.text import plural, writable
from napari_dinov3_sim.session.project.snapshot import MAX_INCLUDED
from napari_dinov3_sim.session.results.computations import checksum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_dinov3_sim.core.search.saved_query import SavedQuery
    from napari_dinov3_sim.session.project.examining import ExaminedImage, ImageData
    from napari_dinov3_sim.session.project.snapshot import SessionContent
    from napari_dinov3_sim.store.project.records import (
        FileRecord,
        ImageRecord,
        Project,
        ResultRecord,
    )


@dataclass(frozen=True)
class UnsavedImage:
    """An image that has no file, or other pixels than its file.

    Attributes
    ----------
    name : str
    nbytes : int
        Of all its levels.
    """

    name: str
    nbytes: int

    @property
    def fits(self) -> bool:
        """Whether it is small enough to be written into a project."""
        return self.nbytes <= MAX_INCLUDED


def unsaved_images(
    content: SessionContent, found: Sequence[ExaminedImage]
) -> tuple[UnsavedImage, ...]:
    """Return the images that have no file."""
    pairs = zip(content.images, found, strict=True)
    return tuple(UnsavedImage(i.name, _nbytes(i)) for i, one in pairs if one.path is None)


def _nbytes(image: ImageData) -> int:
    return sum(
        int(np.prod(shape)) * np.dtype(level.dtype).itemsize
        for shape, level in zip(image.shapes, image.levels, strict=True)
    )


@dataclass(frozen=True, eq=False)
class ProjectToWrite:
    """All that a project is written from.

    Attributes
    ----------
    path : Path
    content : SessionContent
    found : tuple of ExaminedImage
    query : SavedQuery or None
    include : bool
        Whether images without a file are written into it.
    overwrite : bool
        Whether a file that is no project is replaced.
    """

    path: Path
    content: SessionContent
    found: tuple[ExaminedImage, ...]
    query: SavedQuery | None
    include: bool
    overwrite: bool
    _arrays: dict[str, Any] = field(default_factory=dict, repr=False)

    def write(self, check: Callable[[int, int], None]) -> Iterator[str]:
        """Write the file, and give a sentence about it; runs in the worker.

        Raises
        ------
        StoreError
            It cannot be written.
        """
        from napari_dinov3_sim.store.project.archive import write_project
        from napari_dinov3_sim.store.project.records import Project
        from napari_dinov3_sim.store.query_files import query_content

        images = tuple(map(self._image, range(len(self.found))))
        project = Project(
            program=version("napari-dinov3-sim"), images=images, **self.content.parts
        )
        query = None if self.query is None else query_content(self.query)
        arrays = _AsWritten(self.content, self._arrays)
        write_project(
            project,
            arrays,
            self.path,
            query=query,
            overwrite=self.overwrite,
            report=check,
            finish=arrays.finish,
        )
        yield self._sentence(images)

    def _image(self, number: int) -> ImageRecord:
        from napari_dinov3_sim.store.project.archive import array_record
        from napari_dinov3_sim.store.project.records import ImageRecord

        content, found = self.content, self.found[number]
        image = content.images[number]
        arrays = []
        if found.path is None and self.include and _nbytes(image) <= MAX_INCLUDED:
            for level in image.levels:
                record = array_record(f"images/{len(self._arrays)}.npy", level)
                self._arrays[record.member] = level
                arrays.append(record)
        return ImageRecord(
            writable(image.name),
            image.shapes,
            str(image.levels[0].dtype),
            image.rgb,
            found.digest,
            self._file(found),
            tuple(arrays),
            content.placements[number],
            content.looks[number],
            content.ticked[number],
        )

    def _file(self, found: ExaminedImage) -> FileRecord | None:
        from napari_dinov3_sim.store.project.places import absolute_uri, relative_uri
        from napari_dinov3_sim.store.project.records import FileRecord

        if found.path is None:
            return None
        relative = relative_uri(found.path, self.path.parent)
        return FileRecord(relative, absolute_uri(found.path), found.reader, found.layer)

    def _sentence(self, images: Sequence[ImageRecord]) -> str:
        """Return what was saved, and what was not."""
        inside = [image.name for image in images if image.arrays]
        nowhere = [image.name for image in images if not image.arrays and image.file is None]
        said = [f"{plural(len(images), 'image')} saved to {writable(self.path.name)}."]
        if inside:
            said.append(f"{_listed(inside)} had no file and {_is_are(inside)} in the project.")
        if nowhere:
            said.append(
                f"{_listed(nowhere)} {_has_have(nowhere)} no file and {_is_are(nowhere)} not in "
                "the project; save the pixels as a file, open it, and save the project again."
            )
        if self.content.left_out:
            said.append(f"Left out: {' '.join(self.content.left_out)}")
        return " ".join(said)


class _AsWritten(Mapping[str, Any]):
    """The arrays of a project, and which results are still as they were made when written.

    The user may paint in labels for as long as a project is being saved. So each is copied before
    it is written, one at a time, and the copy says whether it is as it was made.
    """

    def __init__(self, content: SessionContent, images: Mapping[str, Any]) -> None:
        self._arrays = {**content.arrays, **images}
        self._painted_in, self._made = content.arrays.keys(), content.made
        self._changed: set[str] = set()

    def __getitem__(self, member: str) -> Any:
        array = self._arrays[member]
        if not isinstance(array, np.ndarray) or member not in self._painted_in:
            return array
        copied = array.copy()
        if member in self._made and checksum(copied) != self._made[member]:
            self._changed.add(member)
        return copied

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def finish(self, project: Project) -> Project:
        """Let results that were painted in belong to the user, without the numbers of before."""
        results = tuple(
            _painted(result) if result.array.member in self._changed else result
            for result in project.results
        )
        return replace(project, results=results)


def _painted(result: ResultRecord) -> ResultRecord:
    """Return a result that is the user's, without the columns that were made of other labels."""
    columns = tuple(column for column in result.columns if column.name not in result.made)
    return replace(result, unchanged=False, columns=columns, made=())


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _is_are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _has_have(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"

"""A cache of finished tiles, from which an interrupted run continues."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.store.atomic_files import PART, move
from napari_dinov3_sim.store.safetensors_io import read_array, save_array

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

TILE_SUFFIX = ".tile.safetensors"


class DiskTileCache:
    """Tiles of one image on disk, each in a file of its own.

    Parameters
    ----------
    folder : Path
        Made with the first tile.
    digest : str
        Of everything that decides the embeddings of the image.
    written : callable
        Called with each file written.
    failed : callable
        Called with a tile that could not be written; the run goes on without it.
    marks : mapping of str to str, optional
        More metadata of each tile.
    """

    def __init__(
        self,
        folder: Path,
        digest: str,
        written: Callable[[Path], object],
        failed: Callable[[Path, OSError], object],
        marks: Mapping[str, str] | None = None,
    ) -> None:
        self._folder, self._digest, self._marks = folder, digest, marks or {}
        self._written, self._failed = written, failed
        self._found: set[int] = set()
        self._made: set[int] = set()
        self._unfinished: Path | None = None

    @property
    def resumed(self) -> tuple[int, int]:
        """How many tiles an interrupted run has left, and of how many that were needed."""
        return len(self._found - self._made), len(self._found | self._made)

    def get(self, number: int) -> NDArray[np.float32 | np.float16] | None:
        """Return a finished tile, or None; what is damaged counts as not finished."""
        try:
            content = read_array(self._path(number))
        except (OSError, StoreError):
            return None
        mine = {"digest": self._digest, "tile": str(number)}
        if not mine.items() <= content.metadata.items():
            return None
        self._found.add(number)
        return content.array

    def put(self, number: int, embeddings: NDArray[np.float32 | np.float16]) -> None:
        """Keep the unit vectors that a tile owns."""
        path = self._path(number)
        self._made.add(number)
        part: Path | None = None
        try:
            part = self._working_folder() / path.name
            metadata = {"digest": self._digest, "tile": str(number), **self._marks}
            save_array(embeddings, part, metadata)
            move(part, path)
        except OSError as error:
            if part is not None:
                with suppress(OSError):
                    part.unlink()
            if not self._cleared_up(error):
                self._failed(path, error)
        else:
            self._written(path)

    def _working_folder(self) -> Path:
        # One for all tiles of this run: making and removing one takes longer than the tile.
        if self._unfinished is None or not self._unfinished.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            # Not by tempfile: others who use the store could not remove its private folder.
            self._unfinished = self._folder / f".{uuid4().hex}{PART}"
            self._unfinished.mkdir()
        return self._unfinished

    def _cleared_up(self, error: OSError) -> bool:
        """Whether another process has finished the image, and cleared up in the meantime.

        A folder that goes while it is made is told as one that exists and is none.
        """
        there = isinstance(error, FileExistsError) and not self._folder.is_file()
        return there or isinstance(error, FileNotFoundError)

    def discard(self) -> None:
        """Delete all tiles."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}{TILE_SUFFIX}"

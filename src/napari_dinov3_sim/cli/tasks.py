"""A task of `embed`, one plane: the same function here and on a cluster's workers."""

from __future__ import annotations

import functools
import os
import platform
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.cli.embeddings import find_embeddings, open_store
from napari_dinov3_sim.cli.errors import InputChangedError, PlaneFailed, failed, one_line
from napari_dinov3_sim.cli.model import describe_model, open_model
from napari_dinov3_sim.cli.reading.open_file import OpenFile
from napari_dinov3_sim.cli.reading.paths import files_of
from napari_dinov3_sim.cli.terminal import note
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.readers.errors import InputError
from napari_dinov3_sim.store.cached_embedding import CachedEmbedder

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dinov3_sim.cli.model import CommandModel
    from napari_dinov3_sim.cli.reading.layer import Layer
    from napari_dinov3_sim.cli.reading.options import ReadOptions
    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.core.images.levels import Position
    from napari_dinov3_sim.core.protocols import Progress


@dataclass(frozen=True)
class PlaneTask:
    """A plane to be embedded; holds no pixels, so that it can go to another machine.

    Attributes
    ----------
    path : Path
        Absolute.
    layer : int
        Which of the layers of the file.
    position : tuple of int
    window : IntensityWindow or None
        Of the layer; None for a single plane, which tells it by itself, and for 8-bit colour.
    megapixels : float
        By which progress is measured.
    """

    path: Path
    layer: int
    position: Position
    window: IntensityWindow | None
    megapixels: float


@dataclass(frozen=True)
class EmbedSettings:
    """What all tasks of a run have in common.

    Attributes
    ----------
    model, device, dtype : str
        As for `load_backbone`.
    recipe : Recipe
    folder : Path
        Absolute; where the embeddings go.
    how : ReadOptions
    """

    model: str
    device: str
    dtype: str
    recipe: Recipe
    folder: Path
    how: ReadOptions


@dataclass(frozen=True)
class PlaneDone:
    """A plane whose embeddings are on disk.

    Attributes
    ----------
    task : PlaneTask
    facts : dict
        What the report says of it.
    model : dict
        From `describe_model`.
    """

    task: PlaneTask
    facts: dict[str, Any]
    model: dict[str, Any]


class OpenFileCache:
    """The file of the last task, which stays open for the next one."""

    def __init__(self) -> None:
        self._file: OpenFile | None = None
        self._of: tuple[Path, float, ReadOptions] | None = None

    def layer(self, task: PlaneTask, how: ReadOptions) -> Layer:
        """Return the layer of a task."""
        of = (task.path, _changed(task.path), how)
        if self._file is None or self._of != of:
            self.close()
            self._file, self._of = OpenFile(task.path, how), of
        if task.layer >= len(self._file.layers):
            raise InputChangedError(task.path)
        return self._file.layers[task.layer]

    def close(self) -> None:
        """Close it."""
        if self._file is not None:
            self._file.close()
        self._file = self._of = None


def _changed(path: Path) -> float:
    try:
        return max((file.stat().st_mtime for file in files_of(path)), default=0.0)
    except (OSError, InputError):  # opening it says why
        return 0.0


class TaskRunner:
    """Does the tasks of a run, one after the other.

    Parameters
    ----------
    settings : EmbedSettings
    model : LazyModel
    files : OpenFileCache
    """

    def __init__(self, settings: EmbedSettings, model: CommandModel, files: OpenFileCache) -> None:
        self._model, self._files, self._how = model, files, settings.how
        store = open_store(settings.folder, must_write=True)
        self._embedder = CachedEmbedder(model, settings.recipe, store, note)

    def attempt(
        self, task: PlaneTask, progress: Progress | None = None
    ) -> PlaneDone | PlaneFailed:
        """Embed a plane and write it, unless that has been done; errors are returned."""
        try:
            facts = self._embed(task, progress)
        except Exception as error:
            return failed(task.path, error, task.megapixels)
        return PlaneDone(task, facts, describe_model(self._model.identity))

    def _embed(self, task: PlaneTask, progress: Progress | None) -> dict[str, Any]:
        layer = self._files.layer(task, self._how)
        source, label = layer.plane(task.position), layer.label(task.position)
        found, contrast = find_embeddings(
            self._embedder, source, label, task.window, progress=progress
        )
        return {
            "image": str(task.path),
            **({} if layer.series is None else {"series": layer.series}),
            "channel": layer.channel,
            "plane": list(task.position),
            "level": layer.level,
            "levels": layer.levels,
            "shape": list(found.state.image_shape),
            "patches": list(found.state.grid.shape),
            "dim": found.state.embeddings_normalized.shape[1],
            "embeddings": str(found.path),
            "skipped": found.was_stored,
            "resumed_tiles": list(found.resumed_tiles),
            "has_contrast": contrast,
            "process": f"{platform.node()}:{os.getpid()}",
        }


_one_at_a_time = threading.Lock()
"""A worker has one model and one file open, however many threads it has."""

_files_of_worker = OpenFileCache()


@functools.lru_cache(maxsize=1)
def _model(model: str, device: str, dtype: str) -> CommandModel:
    return open_model(model, device, dtype)


@functools.lru_cache(maxsize=1)
def _runner(settings: EmbedSettings) -> TaskRunner:
    model = _model(settings.model, settings.device, settings.dtype)
    return TaskRunner(settings, model, _files_of_worker)


def run_on_worker(task: PlaneTask, settings: EmbedSettings) -> PlaneDone | PlaneFailed:
    """Embed a plane on a cluster's worker, whose process loads the model once."""
    import dask

    # A worker would else give the reading of a region to the cluster, and open files cannot go.
    with _one_at_a_time, dask.config.set(scheduler="threads"):
        try:
            runner = _runner(settings)
        except SimilarityError as error:
            return PlaneFailed(task.path, one_line(error), ends_all=True)
        return runner.attempt(task)

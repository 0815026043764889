"""A task of `embed`, one plane: the same function here and on a cluster's workers."""

from __future__ import annotations

import functools
import os
import platform
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.cli.embeddings import ReadPlane, find_embeddings, open_store
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


@dataclass(frozen=True, eq=False)
class ReadTask:
    """A task whose plane was opened, and read unless it is large.

    Attributes
    ----------
    task : PlaneTask
    layer : Layer
    plane : ReadPlane
    """

    task: PlaneTask
    layer: Layer
    plane: ReadPlane


class OpenFileCache:
    """The files of the last two tasks: one may be read while the next one is opened."""

    def __init__(self) -> None:
        self._files: dict[tuple[Path, float, ReadOptions], OpenFile] = {}

    def layer(self, task: PlaneTask, how: ReadOptions) -> Layer:
        """Return the layer of a task."""
        of = (task.path, _changed(task.path), how)
        file = self._files.pop(of, None)
        if file is None:
            while len(self._files) > 1:
                self._files.pop(next(iter(self._files))).close()
            file = OpenFile(task.path, how)
        self._files[of] = file  # as the newest
        if task.layer >= len(file.layers):
            raise InputChangedError(task.path)
        return file.layers[task.layer]

    def close(self) -> None:
        """Close them."""
        while self._files:
            self._files.popitem()[1].close()


def _changed(path: Path) -> float:
    try:
        return max((file.stat().st_mtime for file in files_of(path)), default=0.0)
    except (OSError, InputError):  # opening it says why
        return 0.0


class TaskRunner:
    """Does the tasks of a run, one after the other; the next may be read meanwhile, on a thread.

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
        self._large: Path | None = None

    def read(self, task: PlaneTask) -> ReadTask | PlaneFailed:
        """Open the file of a task, and read its plane unless it is large; errors are returned."""
        try:
            layer = self._files.layer(task, self._how)
            source = layer.plane(task.position)
            # Not all readers can read two planes of a file at once.
            waits = self._large == task.path
            plane = ReadPlane(source, None) if waits else ReadPlane.of(source)
        except Exception as error:
            return failed(task.path, error, task.megapixels)
        self._large = task.path if plane.scan is None else None
        return ReadTask(task, layer, plane)

    def attempt(self, read: ReadTask, progress: Progress | None = None) -> PlaneDone | PlaneFailed:
        """Embed a plane and write it, unless that has been done; errors are returned."""
        task = read.task
        try:
            facts = self._embed(read, progress)
        except Exception as error:
            return failed(task.path, error, task.megapixels)
        return PlaneDone(task, facts, describe_model(self._model.identity))

    def _embed(self, read: ReadTask, progress: Progress | None) -> dict[str, Any]:
        task, layer = read.task, read.layer
        label = layer.label(task.position)
        found, contrast = find_embeddings(
            self._embedder, read.plane, label, task.window, progress=progress
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
        read = runner.read(task)
        return runner.attempt(read) if isinstance(read, ReadTask) else read

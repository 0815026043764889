"""Files that are not open, searched by embeddings that a folder has of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import EmbeddingCancelled, ImageError, SimilarityError
from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.session.answering.answer_job import TargetPlane
from napari_dinov3_sim.session.answering.answers import Answers
from napari_dinov3_sim.session.images.planes import LayerAxes, Plane, PlaneKey
from napari_dinov3_sim.session.results.computations import AnsweredImage
from napari_dinov3_sim.session.worker_messages import (
    Computed,
    Failure,
    Finished,
    Progress,
    StateGone,
    StateHandle,
)
from napari_dinov3_sim.store import DiskStore, EmbeddingStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from napari_dinov3_sim.core.embedding.recipe import Recipe
    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.session.answering.question import Question
    from napari_dinov3_sim.session.images.planes import IntensityWindows
    from napari_dinov3_sim.session.runner import CancelToken, Receive, Runner
    from napari_dinov3_sim.session.scene import Scene
    from napari_dinov3_sim.session.worker_messages import Message, PlaneMaps
    from napari_dinov3_sim.store.safetensors_io import Expected

SMALLEST_SIDE = 30
"""napari takes a last axis of 3 or 4 for colours if the two before it are at least so long."""


@dataclass(frozen=True, eq=False)
class FileLayer:
    """An image layer as napari would open it.

    Attributes
    ----------
    levels : tuple of array_like
        The finest first.
    rgb : bool
    """

    levels: tuple[Any, ...] = field(repr=False)
    rgb: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape at level 0, without the channels of a colour."""
        shape = tuple(int(size) for size in self.levels[0].shape)
        return shape[:-1] if self.rgb else shape


def read_file(path: Path, plugin: str = "") -> tuple[tuple[FileLayer, ...], str]:
    """Read the image layers of a file with napari's readers; for worker threads.

    Parameters
    ----------
    path : Path
    plugin : str, optional
        Whose reader is to be used.

    Returns
    -------
    tuple of FileLayer, str
        And the name of the plugin whose reader it was.

    Raises
    ------
    ImageError
        No reader can read it.
    """
    from napari.plugins.io import read_data_with_plugins

    try:
        found, reader = read_data_with_plugins([str(path)], plugin or None)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ImageError(f"{path.name} cannot be read ({reason}).") from error
    layers = [layer for each in found or () for layer in _image_layers(*_completed(each))]
    return tuple(layers), reader or ""


def _completed(found: tuple[Any, ...]) -> tuple[Any, dict[str, Any], str]:
    """Return data, metadata and sort of a layer; the last two may be left out."""
    meta = found[1] if len(found) > 1 else {}
    return found[0], meta or {}, str(found[2]).lower() if len(found) > 2 else "image"


def _image_layers(data: Any, meta: dict[str, Any], sort: str) -> Iterator[FileLayer]:
    if sort != "image":
        return
    levels = list(data) if isinstance(data, list | tuple) else [data]
    axis = meta.get("channel_axis")
    if axis is not None:
        before = (slice(None),) * (int(axis) % levels[0].ndim)
        for channel in range(levels[0].shape[axis]):
            yield FileLayer(tuple(level[(*before, channel)] for level in levels), False)
        return
    shape, rgb = levels[0].shape, meta.get("rgb")
    if rgb is None:
        sides = len(shape) > 2 and min(shape[-3:-1]) >= SMALLEST_SIDE
        rgb = bool(sides and shape[-1] in (3, 4))
    yield FileLayer(tuple(levels), bool(rgb))


@dataclass(frozen=True, eq=False)
class StoredPlane:
    """A plane of a file that has embeddings.

    Attributes
    ----------
    plane : Plane
        Its layer's id is the path of the file, and its data have the right shape and no pixels.
    digest : str
        Under which the folder has its embeddings.
    windows : tuple of IntensityWindow or None
        Those it was embedded through.
    layer : int
        Which of the file's image layers it belongs to.
    reader : str
        The plugin that reads the file.
    """

    plane: Plane
    digest: str
    windows: IntensityWindows
    layer: int
    reader: str


@dataclass(frozen=True, eq=False)
class FileRead:
    """What was found of a file."""

    path: Path
    planes: tuple[StoredPlane, ...]
    problem: str = ""


@dataclass(frozen=True, eq=False)
class ReadFiles:
    """Looks for the embeddings of files, by the digest of their pixels.

    Attributes
    ----------
    paths : tuple of Path
    store : EmbeddingStore
    fingerprint : str
        Of the model.
    patch_size : int
    recipe : Recipe
    """

    paths: tuple[Path, ...]
    store: EmbeddingStore
    fingerprint: str
    patch_size: int
    recipe: Recipe

    def __call__(self, post: Receive, token: CancelToken) -> None:
        """Send a `FileRead` for each file, and the progress."""
        for number, path in enumerate(self.paths):
            if token.cancelled:
                return
            post(Progress("Looking for embeddings of files", number, len(self.paths)))
            try:
                planes = tuple(self._planes(path, token))
            except EmbeddingCancelled:
                return
            except SimilarityError as error:
                post(Computed(FileRead(path, (), str(error))))
            else:
                post(Computed(FileRead(path, planes)))

    def _planes(self, path: Path, token: CancelToken) -> Iterator[StoredPlane]:
        layers, reader = read_file(path)
        for number, layer in enumerate(layers):
            name = path.name if len(layers) == 1 else f"{path.name} [{number}]"
            for plane, digest, windows in self._embedded(path, name, number, layer, token):
                yield StoredPlane(plane, digest, windows, number, reader)

    def _embedded(
        self, path: Path, name: str, number: int, layer: FileLayer, token: CancelToken
    ) -> Iterator[tuple[Plane, str, IntensityWindows]]:
        from napari_dinov3_sim.core.images.levels import embedded_level
        from napari_dinov3_sim.session.embedding.plane_reader import read_pixels
        from napari_dinov3_sim.store.digest import digest_of
        from napari_dinov3_sim.store.safetensors_io import Expected

        def check(_done: int, _total: int) -> None:
            if token.cancelled:
                raise EmbeddingCancelled

        shape = layer.shape
        axes = len(shape) - 2, len(shape) - 1
        level = embedded_level([one.shape for one in layer.levels], axes)
        data = layer.levels[level]
        empty = np.broadcast_to(np.zeros((), np.uint8), data.shape)
        windows = None
        for position in product(*(range(size) for size in shape[:-2])):
            # The version tells several layers of one file apart.
            key = PlaneKey(LayerAxes(path, number, axes), tuple(enumerate(position)))
            plane = Plane(key, name, shape, (data,), layer.rgb, level)
            read = read_pixels(plane, windows, check)
            windows = read.windows
            digest = digest_of(read.digest, self.fingerprint, read.window, self.recipe)
            cell = self.recipe.cell_size(self.patch_size)
            expected = Expected(plane.embedded_shape, cell, self.fingerprint, read.window)
            if self.store.fetch(digest, expected) is not None:
                yield replace(plane, data=(empty,)), digest, read.windows


class FilesStore(EmbeddingStore):
    """The embeddings in a folder, after those that a session has itself.

    Parameters
    ----------
    session : EmbeddingStore
    folder : Path or None
        None for the session's alone.
    """

    def __init__(self, session: EmbeddingStore, folder: Path | None) -> None:
        super().__init__(MemoryStore(0), None if folder is None else DiskStore(folder))
        self._session = session

    def fetch(self, digest: str, expected: Expected | None = None) -> PatchImageState | None:
        """Return a state from either, or None; for worker threads."""
        found = self._session.fetch(digest, expected)
        return super().fetch(digest, expected) if found is None else found


class StoredFiles:
    """Keeps the files that were added, and their answers to the present question.

    Parameters
    ----------
    scene : Scene
    runner : Runner
    store : EmbeddingStore
        The session's.
    changed : callable
        Bound method, called when there are other answers.
    tell : callable
        Called with a sentence when all files were looked for.
    """

    def __init__(
        self,
        scene: Scene,
        runner: Runner,
        store: EmbeddingStore,
        changed: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        self._scene, self._runner, self._session_store = scene, runner, store
        self._changed, self._tell = changed, tell
        self._job = 0
        self._token: CancelToken | None = None
        self._wanted: tuple[tuple[Path, ...], Path | None] = ((), None)
        self._found_with: object = None
        self._problems: list[str] = []
        self._files: dict[Path, tuple[StoredPlane, ...]] = {}
        self._planes: dict[PlaneKey, StoredPlane] = {}
        self._answers = self._new_answers(None)

    def _new_answers(self, folder: Path | None) -> Answers:
        self._store = FilesStore(self._session_store, folder)
        return Answers(self._runner, self._store, self._on_answer)

    @property
    def pending(self) -> bool:
        """Whether files are looked for, or answers are on their way."""
        return self._token is not None or self._answers.pending

    @property
    def is_answering(self) -> bool:
        """Whether answers are on their way."""
        return self._answers.pending

    def of(self, key: PlaneKey) -> StoredPlane | None:
        """Return a plane of a file by its key."""
        return self._planes.get(key)

    def planes_of(self, path: Path) -> tuple[StoredPlane, ...]:
        """Return the planes of a file."""
        return self._files.get(path, ())

    def maps_of(self, key: PlaneKey) -> PlaneMaps | None:
        """Return the scores of a plane, if they are there."""
        return self._answers.maps_of(key) if key in self._planes else None

    def answered(self) -> tuple[AnsweredImage, ...]:
        """Return what is answered, each plane by itself."""
        found = []
        for key, stored in self._planes.items():
            maps = self._answers.maps_of(key)
            if maps is not None:
                found.append(AnsweredImage(stored.plane, {key: maps}))
        return tuple(found)

    # -- which files ---------------------------------------------------------------------------

    def add(self, paths: Sequence[Path], folder: Path | None) -> None:
        """Look for the embeddings of files, in the background.

        Raises
        ------
        SimilarityError
            The model is not known yet.
        """
        if self._scene.embedder.identity is None:
            raise SimilarityError(
                "The model is not loaded yet; click on what you mean first, and add the files "
                "when the images have lit up."
            )
        known = self._wanted[0] if folder == self._wanted[1] else ()
        self._wanted = tuple(dict.fromkeys((*known, *paths))), folder
        self._look_for_all()

    def _look_for_all(self) -> None:
        self._forget_answers()
        paths, folder = self._wanted
        self._files.clear()
        self._planes.clear()
        self._problems.clear()
        self._answers = self._new_answers(folder)
        model, recipe = self._scene.embedder.identity, self._scene.embedder.recipe
        if model is None or not paths:
            return
        self._found_with = (model.fingerprint, recipe)
        self._job += 1
        job = ReadFiles(paths, self._store, model.fingerprint, model.patch_size, recipe)
        number = self._job
        token = self._runner.submit("files", job, partial(self._receive, number))
        if number == self._job and not self._is_done:
            self._token = token

    @property
    def _is_done(self) -> bool:
        return len(self._files) + len(self._problems) >= len(self._wanted[0])

    def _receive(self, number: int, message: Message) -> None:
        if number != self._job:
            return
        if isinstance(message, Computed) and isinstance(message.value, FileRead):
            found = message.value
            if found.planes:
                self._files[found.path] = found.planes
                self._planes.update((stored.plane.key, stored) for stored in found.planes)
            else:
                self._problems.append(found.problem or f"{found.path.name} is not embedded.")
        elif isinstance(message, Failure):
            self._problems.append(message.message)
        elif isinstance(message, Finished):
            self._token = None
            self._tell(self._sentence())
            self._changed()

    def _sentence(self) -> str:
        paths, folder = self._wanted
        where = "" if folder is None else f" in {folder}"
        sentence = f"{len(self._files)} of {plural(len(paths), 'file')} have embeddings{where}"
        if not self._problems:
            return f"{sentence} and are searched."
        return (
            f"{sentence} from this model, at this resolution, and are searched; the others are "
            f"not, for example: {self._problems[0]}"
        )

    def take_out(self, path: Path) -> None:
        """Search a file no more: it is opened."""
        self._wanted = tuple(one for one in self._wanted[0] if one != path), self._wanted[1]
        for stored in self._files.pop(path, ()):
            del self._planes[stored.plane.key]

    # -- answers -------------------------------------------------------------------------------

    def ask(self, question: Question | None) -> None:
        """Have all files answer the present question; another model's are looked for anew."""
        model, recipe = self._scene.embedder.identity, self._scene.embedder.recipe
        is_known = model is not None and self._found_with == (model.fingerprint, recipe)
        if self._wanted[0] and model is not None and not is_known:
            self._look_for_all()
            return
        if question is None or not self._planes:
            self._forget_answers()
            return
        targets = tuple(
            TargetPlane(key, StateHandle(stored.digest), stored.plane.shape, visible=False)
            for key, stored in self._planes.items()
        )
        self._answers.ask(question, targets, {target.key.layer for target in targets})

    def _forget_answers(self) -> None:
        if self._answers.asked is not None:
            self._answers.forget()

    def _on_answer(self, message: Message) -> None:
        if isinstance(message, StateGone):
            self._planes.pop(message.plane, None)
        elif isinstance(message, Finished):
            self._changed()

    def close(self) -> None:
        """Give up what is on its way."""
        self._job += 1
        if self._token is not None:
            self._token.cancel()
        self._token = None
        self._forget_answers()

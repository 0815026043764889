"""The query of a session, written to a file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import PointError, StateError
from napari_dinov3_sim.session.answering.question import Pick, PolygonPick
from napari_dinov3_sim.session.layers.style import CLASS_COLOURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.images.sources import PixelSource
    from napari_dinov3_sim.core.search.saved_query import SavedQuery
    from napari_dinov3_sim.session.answering.question import Question
    from napari_dinov3_sim.session.images.planes import IntensityWindows, Plane
    from napari_dinov3_sim.session.query.loaded_query import Thumbnails
    from napari_dinov3_sim.session.scene import Scene
    from napari_dinov3_sim.store import EmbeddingStore

MAX_THUMBNAILS = 24
"""Per class; a thumbnail has 12 kB."""


@dataclass(frozen=True, eq=False)
class ThumbnailSource:
    """Where something was clicked, and how its pixels are read.

    Attributes
    ----------
    class_name : str
    plane : Plane
    windows : tuple of IntensityWindow or None
        Those the image was embedded through.
    x, y : float
        In pixels of the embedded level.
    """

    class_name: str
    plane: Plane
    windows: IntensityWindows = field(repr=False)
    x: float
    y: float

    def make(self) -> NDArray[np.uint8]:
        """Return what lies around, as the model saw it."""
        from napari_dinov3_sim.core.search.saved_query import make_thumbnail
        from napari_dinov3_sim.session.embedding.plane_reader import open_pixels

        source, window = open_pixels(self.plane, self.windows)
        return make_thumbnail(_Regions(source), window, (self.x, self.y))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class _Regions:
    """A source as an array that is sliced: only what is wanted is read."""

    source: PixelSource

    @property
    def shape(self) -> tuple[int, int]:
        return self.source.shape

    def __getitem__(self, region: tuple[slice, slice]) -> NDArray[Any]:
        return self.source.read(*region)


def thumbnail_sources(question: Question, scene: Scene) -> tuple[ThumbnailSource, ...]:
    """Return where the positive points and polygons of a question lie, as far as it is shown."""
    found: list[ThumbnailSource] = []
    for pick in question.picks:
        if not isinstance(pick, Pick | PolygonPick) or not pick.positive:
            continue
        plane = scene.plane(pick.plane)
        windows = scene.embedder.windows(pick.plane)
        if plane is not None and windows is not None:
            found.append(ThumbnailSource(pick.class_name, plane, windows, *_middle(pick)))
    return tuple(found)


def _middle(pick: Pick | PolygonPick) -> tuple[float, float]:
    if isinstance(pick, Pick):
        return pick.x, pick.y
    x, y = np.mean(pick.vertices, axis=0)
    return float(x), float(y)


@dataclass(frozen=True, eq=False)
class QuerySnapshot:
    """All that a file of a query is made from.

    Attributes
    ----------
    question : Question
    pictures : tuple of ThumbnailSource
    carried : mapping of str to tuple of ndarray
        Thumbnails of a loaded query, by class.
    colours : mapping of str to str
        As ``#rrggbb``, by class.
    thresholds : mapping of str to float
        Those that were set by hand, by class.
    fingerprint, model : str
    cell_size : int
    factor : float
    store : EmbeddingStore
    """

    question: Question
    pictures: tuple[ThumbnailSource, ...]
    carried: Mapping[str, Thumbnails]
    colours: Mapping[str, str]
    thresholds: Mapping[str, float]
    fingerprint: str
    model: str
    cell_size: int
    factor: float
    store: EmbeddingStore

    @property
    def content(self) -> tuple[object, ...]:
        """What a file of it is about; equal for two whose files would say the same."""
        asked = replace(self.question, thresholds=())  # which no file has
        colours = tuple(self.colours.get(name) for name in asked.classes)
        return asked, colours, self.fingerprint, self.cell_size, self.factor

    def save(self, path: Path) -> Iterator[SavedQuery]:
        """Write the file and give what is in it; runs in the worker."""
        from napari_dinov3_sim.store.query_files import save_query

        query = self._query()
        save_query(query, path)
        yield query

    def _query(self) -> SavedQuery:
        from napari_dinov3_sim.core.search.saved_query import SavedClass, SavedQuery
        from napari_dinov3_sim.session.answering.query_vectors import build_class_queries

        states = {key: handle.fetch(self.store) for key, handle in self.question.states}
        found = {key: state for key, state in states.items() if state is not None}
        if len(found) < len(states):
            raise StateError(
                "The embeddings of an image that was clicked are no longer kept; press Embed and "
                "save the query again."
            )
        # Asked for contrast, so that the background is there for negatives that come later.
        classes = build_class_queries(replace(self.question, combination="contrast"), found, {})
        if not classes:
            raise PointError("No class has a positive point; add a point on what is meant.")
        return SavedQuery(
            tuple(
                SavedClass.of(
                    class_name,
                    self._colour(class_name.name),
                    self._thumbnails(class_name.name),
                    self.thresholds.get(class_name.name),
                )
                for class_name in classes
            ),
            self.question.combination,
            self.fingerprint,
            self.model,
            self.cell_size,
            self.factor,
        )

    def _colour(self, class_name: str) -> str:
        return self.colours.get(class_name, CLASS_COLOURS[0])

    def _thumbnails(self, class_name: str) -> Thumbnails:
        carried = self.carried.get(class_name, ())
        new = [picture for picture in self.pictures if picture.class_name == class_name]
        room = max(0, MAX_THUMBNAILS - len(carried))
        return (*carried[:MAX_THUMBNAILS], *(picture.make() for picture in new[:room]))

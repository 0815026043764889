"""A query that outlives its images: asked of those that are open, and written to a file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import PointError, StateError
from napari_dinov3_sim.session.messages import Failure
from napari_dinov3_sim.session.palette import KIND_COLOURS
from napari_dinov3_sim.session.questions import Pick, PolygonPick, VectorPick

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.saved_query import SavedQuery
    from napari_dinov3_sim.core.sources import PixelSource
    from napari_dinov3_sim.session.atlas import Atlas
    from napari_dinov3_sim.session.embedder import Embedder
    from napari_dinov3_sim.session.pixels import Windows
    from napari_dinov3_sim.session.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.questions import AnyPick, Question
    from napari_dinov3_sim.store import EmbeddingStore

MAX_THUMBNAILS = 24
"""Per kind; a thumbnail has 12 kB."""

Thumbnails = tuple["NDArray[np.uint8]", ...]


class SavedPicks:
    """The kinds of a loaded query: picks that lie in none of the open images.

    A query of another model than the one that is loaded asks nothing, and that is told once.

    Parameters
    ----------
    embedder : Embedder
        Knows the model.
    fail : callable
        Bound method, called with a `Failure` when the query cannot be used.
    """

    def __init__(self, embedder: Embedder, fail: Callable[[Failure], None]) -> None:
        self._embedder, self._fail = embedder, fail
        self._query: SavedQuery | None = None
        self._name = ""
        self._picks: tuple[VectorPick, ...] = ()
        self._thumbnails: dict[str, Thumbnails] = {}
        self._told = False

    @property
    def query(self) -> SavedQuery | None:
        """The query as it was loaded."""
        return self._query

    @property
    def name(self) -> str:
        """What the query is called, for example by its file; empty if none is loaded."""
        return self._name

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds as they are called now."""
        return tuple(pick.kind for pick in self._picks)

    @property
    def thumbnails(self) -> Mapping[str, Thumbnails]:
        """What the loaded kinds looked like, by their present names."""
        return dict(self._thumbnails)

    @property
    def problem(self) -> str:
        """Why the query cannot be used with the model that is loaded; empty if it can."""
        return "" if self._query is None else self._problem_of(self._query)

    def _problem_of(self, query: SavedQuery) -> str:
        model = self._embedder.identity
        if model is None:
            return ""
        try:
            query.check_model(model.fingerprint, model.name)
        except StateError as error:
            return str(error)
        return ""

    def take(self, query: SavedQuery, name: str) -> None:
        """Ask a query in place of the one that was loaded before.

        Parameters
        ----------
        query : SavedQuery
        name : str
            What it is called, for example by its file.

        Raises
        ------
        StateError
            The model that is loaded is another one.
        """
        problem = self._problem_of(query)
        if problem:
            raise StateError(problem)
        self._query, self._name, self._told = query, name, False
        self._picks = tuple(
            VectorPick(
                kind.name, kind.positives, kind.negatives, kind.background, query.fingerprint
            )
            for kind in query.kinds
        )
        self._thumbnails = {kind.name: kind.thumbnails for kind in query.kinds}

    def drop(self) -> bool:
        """Ask it no more; return whether there was one."""
        had = self._query is not None
        self._query, self._name = None, ""
        self._picks, self._thumbnails = (), {}
        return had

    def rename_kind(self, old: str, new: str) -> None:
        """Give a kind another name; the file keeps the old one."""
        if old == new or old not in self._thumbnails:
            return
        self._picks = tuple(
            replace(pick, kind=new) if pick.kind == old else pick for pick in self._picks
        )
        pictures = self._thumbnails.pop(old)
        self._thumbnails[new] = (*self._thumbnails.get(new, ()), *pictures)

    @property
    def count(self) -> int:
        """How many kinds ask."""
        return 0 if self.problem else len(self._picks)

    def picks(self) -> tuple[tuple[AnyPick, ...], Mapping[PlaneKey, Plane]]:
        """Return the picks; none while another model is loaded."""
        problem = self.problem
        if problem and not self._told:
            self._told = True
            self._fail(Failure("model", problem, error=StateError(problem)))
        elif not problem:
            self._told = False
        return (() if problem else self._picks), {}


@dataclass(frozen=True, eq=False)
class Picture:
    """Where something was clicked, and how its pixels are read.

    Attributes
    ----------
    kind : str
    plane : Plane
    windows : tuple of IntensityWindow or None
        Those the image was embedded through.
    x, y : float
        In pixels of the embedded level.
    """

    kind: str
    plane: Plane
    windows: Windows = field(repr=False)
    x: float
    y: float

    def make(self) -> NDArray[np.uint8]:
        """Return what lies around, as the model saw it."""
        from napari_dinov3_sim.core.saved_query import make_thumbnail
        from napari_dinov3_sim.session.pixels import open_pixels

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


def pictures_of(question: Question, atlas: Atlas) -> tuple[Picture, ...]:
    """Return where the positive points and polygons of a question lie, as far as it is shown."""
    found: list[Picture] = []
    for pick in question.picks:
        if not isinstance(pick, Pick | PolygonPick) or not pick.positive:
            continue
        plane = atlas.plane(pick.plane)
        windows = atlas.embedder.windows(pick.plane)
        if plane is not None and windows is not None:
            found.append(Picture(pick.kind, plane, windows, *_middle(pick)))
    return tuple(found)


def _middle(pick: Pick | PolygonPick) -> tuple[float, float]:
    if isinstance(pick, Pick):
        return pick.x, pick.y
    x, y = np.mean(pick.vertices, axis=0)
    return float(x), float(y)


@dataclass(frozen=True, eq=False)
class QueryToSave:
    """All that a file of a query is made from.

    Attributes
    ----------
    question : Question
    pictures : tuple of Picture
    carried : mapping of str to tuple of ndarray
        Thumbnails of a loaded query, by kind.
    colours : mapping of str to str
        As ``#rrggbb``, by kind.
    fingerprint, model : str
    cell_size : int
    store : EmbeddingStore
    """

    question: Question
    pictures: tuple[Picture, ...]
    carried: Mapping[str, Thumbnails]
    colours: Mapping[str, str]
    fingerprint: str
    model: str
    cell_size: int
    store: EmbeddingStore

    def save(self, path: Path) -> Iterator[SavedQuery]:
        """Write the file and give what is in it; runs in the worker."""
        from napari_dinov3_sim.query_files import save_query

        query = self._query()
        save_query(query, path)
        yield query

    def _query(self) -> SavedQuery:
        from napari_dinov3_sim.core.saved_query import SavedKind, SavedQuery
        from napari_dinov3_sim.session.kinds import kind_queries

        states = {
            key: handle.state if handle.state is not None else self.store.fetch(handle.digest)
            for key, handle in self.question.states
        }
        found = {key: state for key, state in states.items() if state is not None}
        if len(found) < len(states):
            raise StateError(
                "The embeddings of an image that was clicked are no longer kept; press Embed and "
                "save the query again."
            )
        # Asked for contrast, so that the background is there for negatives that come later.
        kinds = kind_queries(replace(self.question, combination="contrast"), found, {})
        if not kinds:
            raise PointError("No kind has a positive point; add a point on what is meant.")
        return SavedQuery(
            tuple(
                SavedKind.of(kind, self._colour(kind.name), self._thumbnails(kind.name))
                for kind in kinds
            ),
            self.question.combination,
            self.fingerprint,
            self.model,
            self.cell_size,
        )

    def _colour(self, kind: str) -> str:
        return self.colours.get(kind, KIND_COLOURS[0])

    def _thumbnails(self, kind: str) -> Thumbnails:
        carried = self.carried.get(kind, ())
        new = [picture for picture in self.pictures if picture.kind == kind]
        room = max(0, MAX_THUMBNAILS - len(carried))
        return (*carried[:MAX_THUMBNAILS], *(picture.make() for picture in new[:room]))

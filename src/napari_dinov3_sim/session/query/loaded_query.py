"""A loaded query: the vectors of a file, which search the open images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.errors import ImageError, QueryModelError
from napari_dinov3_sim.session.answering.question import VectorPick
from napari_dinov3_sim.session.worker_messages import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.search.saved_query import SavedQuery
    from napari_dinov3_sim.session.answering.question import AnyPick
    from napari_dinov3_sim.session.embedding.embedder import Embedder
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey

Thumbnails = tuple["NDArray[np.uint8]", ...]


@dataclass(frozen=True, eq=False)
class LoadedClasses:
    """The classes of a loaded query as they are called now, to be restored.

    Attributes
    ----------
    query : SavedQuery or None
    picks : tuple of VectorPick
    thumbnails : mapping of str to tuple of ndarray
    """

    query: SavedQuery | None
    picks: tuple[VectorPick, ...]
    thumbnails: Mapping[str, Thumbnails]

    def same_as(self, other: LoadedClasses) -> bool:
        """Whether the same classes are asked under the same names."""
        return self.query is other.query and self.picks == other.picks


class LoadedQuery:
    """The classes of a loaded query: picks that lie in none of the open images.

    A query of another model than the one that is loaded asks nothing, and that is told once.

    Parameters
    ----------
    embedder : Embedder
        Knows the model.
    fail : callable
        Bound method, called with a `Failure` when the query cannot be used.

    Attributes
    ----------
    edited : bool
        See `Recorded`; classes are renamed and removed together with those of points.
    """

    def __init__(self, embedder: Embedder, fail: Callable[[Failure], None]) -> None:
        self._embedder, self._fail = embedder, fail
        self._query: SavedQuery | None = None
        self._name = ""
        self._picks: tuple[VectorPick, ...] = ()
        self._thumbnails: dict[str, Thumbnails] = {}
        self._told = self.edited = False

    @property
    def query(self) -> SavedQuery | None:
        """The query as it was loaded."""
        return self._query

    @property
    def name(self) -> str:
        """What the query is called, for example by its file; empty if none is loaded."""
        return self._name

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes as they are called now."""
        return tuple(pick.class_name for pick in self._picks)

    @property
    def thumbnails(self) -> Mapping[str, Thumbnails]:
        """What the loaded classes looked like, by their present names."""
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
        except QueryModelError as error:
            return str(error)
        return ""

    @property
    def can_be_asked_again(self) -> bool:
        """Whether the query is not asked, and has pictures from which it could be."""
        return bool(self.problem) and any(self._thumbnails.values())

    @property
    def remark(self) -> str:
        """How the query differs from the present resolution; empty if not, or not known yet."""
        query, embedder = self._query, self._embedder
        if query is None or embedder.identity is None or self.problem:
            return ""
        recipe = embedder.recipe
        try:
            cell_size = recipe.cell_size(embedder.identity.patch_size)
        except ImageError:  # nothing is embedded with it, and that says why
            return ""
        return query.remark(recipe.factor, cell_size)

    def take(self, query: SavedQuery, name: str) -> None:
        """Ask a query in place of the one that was loaded before.

        Parameters
        ----------
        query : SavedQuery
        name : str
            What it is called, for example by its file.

        Raises
        ------
        QueryModelError
            The model that is loaded is another one.
        """
        problem = self._problem_of(query)
        if problem:
            raise QueryModelError(problem)
        self.keep(query, name)

    def keep(self, query: SavedQuery, name: str) -> None:
        """Take a query, also one of another model: it is told of, and may be asked again."""
        self._query, self._name, self._told = query, name, False
        self._picks = tuple(
            VectorPick(
                saved_class.name,
                saved_class.positives,
                saved_class.negatives,
                saved_class.background,
                query.fingerprint,
            )
            for saved_class in query.classes
        )
        self._thumbnails = {
            saved_class.name: saved_class.thumbnails for saved_class in query.classes
        }

    def present(self, colours: Mapping[str, str]) -> SavedQuery | None:
        """Return the query with its classes as they are called now; None if none is asked.

        Parameters
        ----------
        colours : mapping of str to str
            As ``#rrggbb``, by class.
        """
        from napari_dinov3_sim.core.search.saved_query import SavedClass

        if self._query is None or not self._picks:
            return None
        by_name: dict[str, list[VectorPick]] = {}
        for pick in self._picks:
            by_name.setdefault(pick.class_name, []).append(pick)
        classes = tuple(
            SavedClass(
                name,
                colours[name],
                np.concatenate([pick.positives for pick in picks]),
                np.concatenate([pick.negatives for pick in picks]),
                picks[0].background,
                self._thumbnails.get(name, ()),
            )
            for name, picks in by_name.items()
        )
        return replace(self._query, classes=classes)

    def drop(self) -> bool:
        """Ask it no more; return whether there was one."""
        had = self._query is not None
        self._query, self._name = None, ""
        self._picks, self._thumbnails = (), {}
        return had

    def rename_class(self, old: str, new: str) -> None:
        """Give a class another name; the file keeps the old one."""
        if old == new or old not in self._thumbnails:
            return
        self._picks = tuple(
            replace(pick, class_name=new) if pick.class_name == old else pick
            for pick in self._picks
        )
        pictures = self._thumbnails.pop(old)
        self._thumbnails[new] = (*self._thumbnails.get(new, ()), *pictures)

    def remove_class(self, class_name: str) -> None:
        """Ask a class no more; the file keeps it."""
        self._picks = tuple(pick for pick in self._picks if pick.class_name != class_name)
        self._thumbnails.pop(class_name, None)

    def snapshot(self) -> LoadedClasses:
        """Return the classes as they are called now."""
        return LoadedClasses(self._query, self._picks, dict(self._thumbnails))

    def restore(self, snapshot: LoadedClasses) -> None:
        """Ask the classes that there were, unless another query has been loaded since."""
        if self._query is snapshot.query:
            self._picks, self._thumbnails = snapshot.picks, dict(snapshot.thumbnails)

    @property
    def count(self) -> int:
        """How many classes ask."""
        return 0 if self.problem else len(self._picks)

    def picks(self) -> tuple[tuple[AnyPick, ...], Mapping[PlaneKey, Plane]]:
        """Return the picks; none while another model is loaded."""
        problem = self.problem
        if problem and not self._told:
            self._told = True
            self._fail(Failure("model", problem, error=QueryModelError(problem)))
        elif not problem:
            self._told = False
        return (() if problem else self._picks), {}

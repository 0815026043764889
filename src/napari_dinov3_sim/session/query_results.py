"""Saved queries in a session: saving what is asked, and asking what was saved."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_dinov3_sim.core.errors import PointError
from napari_dinov3_sim.session.query_to_save import QueryToSave, pictures_of
from napari_dinov3_sim.session.result_layers import ResultLayers
from napari_dinov3_sim.session.result_sentences import tell_loaded, tell_saved
from napari_dinov3_sim.session.result_work import Work
from napari_dinov3_sim.session.saved import SavedPicks

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from napari_dinov3_sim.core.search.saved_query import SavedQuery
    from napari_dinov3_sim.session.atlas import Atlas
    from napari_dinov3_sim.session.messages import Failure
    from napari_dinov3_sim.session.palette import Palette
    from napari_dinov3_sim.session.runner import Runner
    from napari_dinov3_sim.session.saved import Thumbnails
    from napari_dinov3_sim.store import EmbeddingStore


class QueryResults:
    """The part of `Results` that saves and loads queries, and what all parts work with.

    Parameters
    ----------
    atlas : Atlas
    runner : Runner
    store : EmbeddingStore
    palette : Palette
    threshold : callable
        Returns the cosine below which nothing counts, or None.
    fail : callable
        Bound method, called with every `Failure`.
    adopt : callable
        Bound method, called when another query is asked, with the query, or None if it was
        dropped.

    Attributes
    ----------
    done : psygnal.Signal
        Emitted on the main thread with a sentence when a result is there.
    progressed : psygnal.Signal
        Emitted on the main thread with the `Progress` of what takes long, and None at the end.
    """

    done = Signal(str)
    progressed = Signal(object)

    def __init__(
        self,
        atlas: Atlas,
        runner: Runner,
        store: EmbeddingStore,
        palette: Palette,
        *,
        threshold: Callable[[], float | None],
        fail: Callable[[Failure], None],
        adopt: Callable[[SavedQuery | None], None],
    ) -> None:
        self._atlas, self._store, self._palette = atlas, store, palette
        self._threshold, self._adopt = threshold, adopt
        self._layers = ResultLayers(atlas, palette)
        self._work = Work(runner, fail, self.done.emit, self.progressed.emit)
        self.saved = SavedPicks(atlas.embedder, fail)

    @property
    def pending(self) -> bool:
        """Whether something is on its way."""
        return self._work.pending

    def cancel(self) -> None:
        """Give up what takes long, which is to match two large images."""
        self._work.stop_long()

    def close(self) -> None:
        """Give up what is on its way."""
        self._work.stop_all()

    def rename_kind(self, old: str, new: str) -> None:
        """Give a kind of a loaded query, and the objects of a kind, another name."""
        self.saved.rename_kind(old, new)
        self._layers.rename_kind(old, new)

    @property
    def query(self) -> SavedQuery | None:
        """The query that is loaded, as it is in its file."""
        return self.saved.query

    @property
    def thumbnails(self) -> Mapping[str, Thumbnails]:
        """What the loaded kinds looked like where they were clicked, by name: 8-bit RGB."""
        return self.saved.thumbnails

    @property
    def problem(self) -> str:
        """Why the loaded query is not asked of the images; empty if it is."""
        return self.saved.problem

    def save_query(self, path: str | os.PathLike[str]) -> None:
        """Write what is asked now to a file: points, regions and a loaded query together.

        Parameters
        ----------
        path : path-like
            Best ending in ``.query.safetensors``, which `list_queries` and the command line look
            for; the folder must exist.

        Raises
        ------
        PointError
            Nothing is asked, or what was clicked is not embedded yet.
        """
        question, model = self._atlas.answers.asked, self._atlas.embedder.identity
        if question is None or model is None:
            raise PointError(
                "There is no query to save yet; click on what you mean and wait until the images "
                "have lit up."
            )
        names = dict.fromkeys((*question.kinds, *self._palette.names))
        query = QueryToSave(
            question,
            pictures_of(question, self._atlas),
            self.saved.thumbnails,
            {name: self._palette.colour(name) for name in names},
            model.fingerprint,
            model.name,
            self._atlas.embedder.recipe.cell_size(model.patch_size),
            self._atlas.embedder.recipe.factor,
            self._store,
        )
        target = Path(path).absolute()  # a script may go elsewhere before it is written
        self._work.start("query", partial(query.save, target), of_use, partial(tell_saved, target))

    def load_query(self, path: str | os.PathLike[str]) -> None:
        """Ask a saved query of all images; points that are set add to it.

        Its combination becomes that of the session, and its kinds have their colours. Another
        one that was loaded before is dropped.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        StoreError
            The file is missing, damaged, or no saved query.
        StateError
            Another model made it than the one that is loaded. If none is loaded yet, that is a
            failure of the session when it is.
        """
        from napari_dinov3_sim.store.query_files import load_query

        query = load_query(path)
        self.saved.take(query, Path(path).name)
        for kind in query.kinds:
            self._palette.assign(kind.name, kind.colour)
        self._adopt(query)
        self.done.emit(tell_loaded(Path(path), query, self.saved.remark, self._threshold()))

    def drop_query(self) -> None:
        """Ask the loaded query no more; points and regions stay."""
        if self.saved.drop():
            self._adopt(None)
            self.done.emit("The saved query is not asked any more.")


def of_use(value: object) -> bool:
    """Show nothing: the result is a file, and always wanted."""
    del value
    return True

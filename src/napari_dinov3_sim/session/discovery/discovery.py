"""The suggestions of a session: what there is in the images, to be made classes of the query."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_dinov3_sim.core.errors import PointError, SimilarityError
from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS
from napari_dinov3_sim.session.discovery.suggested_classes import SuggestedClass, find_classes
from napari_dinov3_sim.session.discovery.suggestion_maps import SuggestionMaps
from napari_dinov3_sim.session.gallery.thumbnails import Thumbnails
from napari_dinov3_sim.session.images.planes import data_coordinates
from napari_dinov3_sim.session.interaction.best_match import BestMatch
from napari_dinov3_sim.session.layers.style import CLASS_COLOURS
from napari_dinov3_sim.session.query.point_features import PointRole
from napari_dinov3_sim.session.results.result_jobs import ResultJobs

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.discovery.suggested_classes import FoundClasses
    from napari_dinov3_sim.session.edits import Edits
    from napari_dinov3_sim.session.gallery.matches import ChosenPlace, PatchId
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.interaction.interaction import Interaction
    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.query.points import QueryPoints
    from napari_dinov3_sim.session.runner import Runner
    from napari_dinov3_sim.session.scene import Scene
    from napari_dinov3_sim.session.worker_messages import Failure, Progress
    from napari_dinov3_sim.store import EmbeddingStore

FEWEST, MOST = 2, 12
"""Classes that can be asked for."""

COUNT = 6
"""Classes that are suggested, unless told otherwise."""

POINTS = 3
"""Positive points of a class that is made of a suggestion: the combinations were measured with
three (docs/queries.md)."""

COLOURS = (*CLASS_COLOURS, "#999933", "#882255", "#bbbbbb", "#8c6bb1")
"""Of suggestions: those of classes, and four more that differ from them."""

Basis = tuple[object, ...]


class Discovery:
    """Suggests classes without a click; as ``session.discovery``.

    The embeddings of all ticked images are divided into clusters together. Each is shown on class
    maps and by its most typical places. Whoever chooses some makes them classes of the query: of
    ordinary positive points, which can be moved, deleted, saved and undone like any other.

    Parameters
    ----------
    scene : Scene
    runner : Runner
    store : EmbeddingStore
    queries : QueryPoints
    edits : Edits
    palette : Palette
    interaction : Interaction
    embed : callable
        Bound method, has all ticked images embedded.
    over : callable
        Returns what lies over an image, given its id.
    planes : callable
        Returns the planes that are searched: those shown, and all of stacks if that is wanted.
    is_loaded : callable
        Returns whether a class is one of a query that was loaded.
    fail : callable
        Bound method, called with every `Failure`.

    Attributes
    ----------
    changed : psygnal.Signal
        What is suggested has changed, or is on its way.
    thumbnail_ready : psygnal.Signal of PatchId
        The picture of a place that was asked for is there.
    progressed : psygnal.Signal of Progress or None
        None at the end.
    """

    changed = Signal()
    thumbnail_ready = Signal(object)
    progressed = Signal(object)

    def __init__(
        self,
        scene: Scene,
        runner: Runner,
        store: EmbeddingStore,
        queries: QueryPoints,
        edits: Edits,
        *,
        palette: Palette,
        interaction: Interaction,
        embed: Callable[[], None],
        over: Callable[[Hashable], Sequence[Layer]],
        planes: Callable[[], Sequence[Plane]],
        is_loaded: Callable[[str], bool],
        fail: Callable[[Failure], None],
    ) -> None:
        self._scene, self._store, self._queries, self._edits = scene, store, queries, edits
        self._palette, self._interaction = palette, interaction
        self._embed, self._over = embed, over
        self._planes, self._is_loaded = planes, is_loaded
        self._work = ResultJobs(runner, fail, _ignore, self._on_progress, lane="analysis")
        self._thumbnails = Thumbnails(scene, runner, None, fail, self.thumbnail_ready.emit)
        self._maps = SuggestionMaps(scene.viewer)
        self._count, self._is_due = COUNT, False
        self._basis: Basis | None = None
        self._asked_planes: frozenset[PlaneKey] = frozenset()
        self._suggestions: tuple[SuggestedClass, ...] = ()
        self._places: dict[PatchId, ChosenPlace] = {}
        self._made: dict[int, str] = {}
        self._published: object = None

    # -- what is shown -------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many classes were asked for last."""
        return self._count

    @property
    def suggestions(self) -> tuple[SuggestedClass, ...]:
        """What is suggested, the class that covers most first; empty before `suggest`."""
        return tuple(
            replace(one, class_name=self._made_of(one.number)) for one in self._suggestions
        )

    @property
    def is_waiting(self) -> bool:
        """Whether suggestions are on their way."""
        return self._is_due or self._work.pending

    @property
    def is_outdated(self) -> bool:
        """Whether the images, or the planes shown of them, are others than those looked at."""
        return bool(self._suggestions) and self._asked_planes != frozenset(
            plane.key for plane in self._scene.shown_planes().values()
        )

    @property
    def pending(self) -> bool:
        """Whether something is on its way."""
        return self._work.pending or self._thumbnails.pending

    def _made_of(self, number: int) -> str | None:
        name = self._made.get(number)
        counts = None if name is None else self._edits.class_counts().get(name)
        return name if counts is not None and counts.positive else None

    # -- suggesting ----------------------------------------------------------------------------

    def suggest(self, count: int | None = None) -> None:
        """Suggest classes of all ticked images, in the background; see `suggestions`.

        Images that are not embedded yet are embedded first. The planes that are shown are looked
        at, and all planes where stacks are searched as a whole (`SimilaritySession.all_planes`).

        Parameters
        ----------
        count : int, optional
            From 2 to 12; by default as the last time, at first 6.

        Raises
        ------
        SimilarityError
            `count` is another number, no model is chosen, or no image is ticked.
        """
        count = self._count if count is None else count
        if not FEWEST <= count <= MOST:
            raise SimilarityError(f"Choose from {FEWEST} to {MOST} classes, not {count}.")
        if not self._scene.embedder.model:
            raise SimilarityError("No model is chosen; choose one first.")
        planes = self._planes()
        if not planes:
            raise SimilarityError("No image is ticked and shown; tick one first.")
        self._work.stop("classes")
        self._count, self._is_due = count, True
        if any(self._scene.state_handle(plane.key) is None for plane in planes):
            self._embed()
        self.update()

    def update(self) -> None:
        """Follow what is open and embedded now."""
        if self._basis is not None and self._basis != self._model():
            self._forget()
        if self._is_due and not self._is_embedding():
            self._start()
        if self._suggestions:
            self._maps.keep_only(key for key in self._maps.layers if self._is_searched(key))
        self._publish()

    def _model(self) -> Basis:
        """Return what embeddings that are compared have in common."""
        model = self._scene.embedder.identity
        return None if model is None else model.fingerprint, self._scene.embedder.recipe

    def _is_embedding(self) -> bool:
        embedder = self._scene.embedder
        return embedder.busy and any(
            self._scene.state_handle(plane.key) is None and embedder.is_coming(plane.key)
            for plane in self._planes()
        )

    def _start(self) -> None:
        self._is_due = False
        handles = [(plane, self._scene.state_handle(plane.key)) for plane in self._planes()]
        planes = [(plane, handle) for plane, handle in handles if handle is not None]
        if not planes:
            return  # what failed has been told of, and what was cancelled was cancelled
        self._basis = self._model()
        shown = frozenset(plane.key for plane in self._scene.shown_planes().values())
        compute = partial(find_classes, planes, self._count, self._store)
        apply = partial(self._take, self._basis, shown)
        what = f"Looking for {self._count} classes"
        self._work.start_long("classes", what, compute, apply, _say_nothing)

    def _take(self, basis: Basis, shown: frozenset[PlaneKey], found: FoundClasses) -> bool:
        if basis != self._model():
            return False
        self._asked_planes, self._made = shown, {}
        colours = self._free_colours()
        self._suggestions = tuple(
            SuggestedClass(
                number + 1,
                colours[number],
                found.shares[number],
                found.images[number],
                tuple(place.id for place in places),
            )
            for number, places in enumerate(found.places)
        )
        self._places = {place.id: place for places in found.places for place in places}
        self._thumbnails.keep_only(self._places.keys())
        self._show_maps(found, colours)
        self._publish()
        return True

    def _free_colours(self) -> list[str]:
        """Return the colours of suggestions, those first that no class with points has."""
        counts = self._edits.class_counts()
        used = {self._palette[n] for n, one in counts.items() if one.positive or one.regions}
        return sorted(COLOURS, key=used.__contains__)

    def _show_maps(self, found: FoundClasses, colours: Sequence[str]) -> None:
        self._maps.keep_only(axes.layer_id for axes in found.maps)
        for axes, data in found.maps.items():
            record = self._scene.targets.get(axes.layer_id)
            top = self._scene.top(axes.layer_id)
            if record is None or top is None or record.version != axes.version:
                continue  # the pixels were replaced in the meantime
            over = [top, *self._over(axes.layer_id)]
            self._maps.show(record.layer, record.name, data, colours, over)

    def _on_progress(self, progress: Progress | None) -> None:
        self.progressed.emit(progress)
        if progress is None:
            self._publish()

    def hide(self) -> None:
        """Suggest nothing any more; classes that were made of suggestions stay."""
        self._is_due = False
        self._forget()
        self._publish()

    def _forget(self) -> None:
        self._work.stop("classes")
        self._basis, self._suggestions, self._made = None, (), {}
        self._places.clear()
        self._thumbnails.keep_only(set())
        self._maps.keep_only(())

    def _publish(self) -> None:
        now = (self.suggestions, self._count, self.is_waiting, self.is_outdated)
        if now != self._published:
            self._published = now
            self.changed.emit()

    # -- what the user does --------------------------------------------------------------------

    def make_classes(self, numbers: Sequence[int]) -> tuple[str, ...]:
        """Make suggestions classes of the query, of `POINTS` positive points each.

        They have the colours of the suggestions, and are the most typical places, of as many
        images as there are. All of it is one step of `SimilaritySession.undo`. The class maps of
        the suggestions are hidden, so that the heatmaps are seen.

        Parameters
        ----------
        numbers : sequence of int
            Of the suggestions.

        Returns
        -------
        tuple of str
            The names of the classes.

        Raises
        ------
        SimilarityError
            There is no such suggestion, or none of its images is there any more.
        """
        known = {one.number: one for one in self.suggestions}
        if not numbers or not set(numbers) <= known.keys():
            raise SimilarityError("Choose at least one of the suggested classes.")
        chosen = [known[number] for number in numbers if known[number].class_name is None]
        places = [self._points_of(one) for one in chosen]
        layer = next(
            (self._scene.image_of(p.id.plane.layer_id) for ps in places for p in ps), None
        )
        if not chosen:
            return tuple(known[number].class_name or "" for number in numbers)
        if layer is None or not all(places):
            raise PointError("The images have changed since; press Refresh and choose again.")
        self._queries.ensure(layer)
        names = self._free_names(len(chosen))
        with self._edits.step():
            for name, one, own in zip(names, chosen, places, strict=True):
                self._palette.assign(name, one.colour)
                for place in own:
                    self._queries.append(
                        self._world(place), place.id.plane.layer_id, PointRole(name)
                    )
            self._queries.set_role(PointRole(names[0]))
        self._made |= {one.number: name for name, one in zip(names, chosen, strict=True)}
        self._maps.hide()
        self._publish()
        return tuple(names)

    def _points_of(self, one: SuggestedClass) -> list[ChosenPlace]:
        places = [self._places[patch] for patch in one.places]
        return [place for place in places if self._is_there(place)][:POINTS]

    def _free_names(self, count: int) -> list[str]:
        """Return names of new classes; the present class is one if it says nothing yet."""
        current, counts = self._queries.role.class_name, self._edits.class_counts()
        says = counts.get(current)
        is_empty = says is None or not (says.positive or says.negative or says.regions)
        names = [current] if is_empty and not self._is_loaded(current) else []
        taken, number = {*counts, *names}, 1
        while len(names) < count:
            name = _numbered(number)
            if name not in taken:
                names.append(name)
            number += 1
        return names[:count]

    def _is_searched(self, image_id: Hashable) -> bool:
        target = self._scene.targets.get(image_id)
        return target is not None and target.ticked

    def _is_there(self, place: ChosenPlace) -> bool:
        """Whether the pixels of a place still exist, and are searched."""
        key = place.plane.key
        target = self._scene.targets.get(key.layer_id)
        return (
            target is not None
            and target.version == key.layer.version
            and self._is_searched(key.layer_id)
        )

    def _world(self, place: ChosenPlace) -> NDArray[np.float64]:
        """Return the middle of a patch in the world; its plane need not be shown."""
        data = data_coordinates(place.plane, place.plane.key, np.array([place.centre]))[0]
        return self._scene.targets.transform(place.plane.key).to_world(data)

    def go_to(self, patch: PatchId) -> None:
        """Move sliders and view to a place, and outline it.

        Raises
        ------
        PointError
            It is not there any more.
        """
        place = self._places.get(patch)
        if place is None or not self._is_there(place):
            raise PointError("The place is not there any more; press Refresh.")
        x, y = (int(np.floor(at + 0.5)) for at in place.centre)
        self._interaction.go_to(BestMatch(place.plane, x, y, place.score, place.plane.name))

    def thumbnail(self, patch: PatchId, size: int) -> NDArray[np.uint8] | None:
        """Return what lies around a place, as napari shows it, with the patch outlined.

        It is made in the background: where there is none yet, `thumbnail_ready` tells when.

        Parameters
        ----------
        patch : PatchId
        size : int
            Height and width, in pixels.

        Returns
        -------
        ndarray of uint8, shape (size, size, 3), or None
        """
        place = self._places.get(patch)
        colour = next((one.colour for one in self._suggestions if patch in one.places), None)
        if place is None or colour is None:
            return None
        return self._thumbnails.get(place, size, colour)

    def rename_class(self, old: str, new: str) -> None:
        """Know a class that was made by another name."""
        self._made = {n: new if name == old else name for n, name in self._made.items()}

    def cancel(self) -> None:
        """Give up what is on its way."""
        self._is_due = False
        self._work.stop_all()
        self._publish()

    def close(self) -> None:
        """Stop working and listening; nothing is suggested any more."""
        self._work.stop_all()
        self._thumbnails.close()
        self._maps.keep_only(())
        self._maps.close()


def _numbered(number: int) -> str:
    return f"{DEFAULT_CLASS.rpartition(' ')[0]} {number}"


def _ignore(_: object) -> None:
    return None


def _say_nothing(_: object) -> str:
    return ""

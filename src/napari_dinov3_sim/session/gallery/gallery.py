"""The gallery of a session: places of all images to be judged, round by round."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from itertools import count as numbers
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
from psygnal import Signal

from napari_dinov3_sim.core.errors import PointError, SimilarityError
from napari_dinov3_sim.core.search.teaching import Order
from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.session.answering.question import classes_with_positive
from napari_dinov3_sim.session.gallery.asked_places import AskedPlaces
from napari_dinov3_sim.session.gallery.choosing import Round, find_round
from napari_dinov3_sim.session.gallery.judgements import (
    Judgement,
    points_on,
    save_judgements,
    sign_of,
)
from napari_dinov3_sim.session.gallery.matches import (
    Certainty,
    GalleryMatch,
    JudgementCounts,
    PatchId,
)
from napari_dinov3_sim.session.gallery.stored_files import StoredFiles
from napari_dinov3_sim.session.gallery.thumbnails import Thumbnails
from napari_dinov3_sim.session.images.planes import data_coordinates, plane_at
from napari_dinov3_sim.session.interaction.best_match import BestMatch
from napari_dinov3_sim.session.query.point_features import PointRole
from napari_dinov3_sim.session.results.result_jobs import ResultJobs
from napari_dinov3_sim.session.results.summaries import known_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.answering.question import Pick
    from napari_dinov3_sim.session.gallery.choosing import FoundRound
    from napari_dinov3_sim.session.gallery.matches import ChosenPlace
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.interaction.interaction import Interaction
    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.query.points import QueryPoints
    from napari_dinov3_sim.session.resolved_state import ResolvedState
    from napari_dinov3_sim.session.results.computations import AnsweredImage
    from napari_dinov3_sim.session.runner import Runner
    from napari_dinov3_sim.session.scene import Scene
    from napari_dinov3_sim.session.worker_messages import Failure, PlaneMaps
    from napari_dinov3_sim.store import EmbeddingStore

COUNT = 10
"""Places in a round, unless told otherwise."""


class Gallery:
    """Shows places to be judged right or wrong; as ``session.gallery``.

    A judgement is an ordinary query point in the middle of the patch, positive or negative: it
    can be undone, moved and saved like any other, and whoever deletes the point takes the
    judgement back. The places of a round stay where they are while they are judged; their scores
    follow.

    Parameters
    ----------
    scene : Scene
    runner : Runner
    store : EmbeddingStore
    queries : QueryPoints
    picks_of_points : callable
        Returns the pick of each query point that lies on an image, by its number.
    interaction : Interaction
    palette : Palette
    thresholds : callable
        Returns the score from which a place counts as found, by class.
    fail : callable
        Bound method, called with every `Failure`.

    Attributes
    ----------
    changed : psygnal.Signal
        The matches, a judgement, a score or the certainty has changed.
    thumbnail_ready : psygnal.Signal of PatchId
        The picture of a match that was asked for is there.
    told : psygnal.Signal of str
        A sentence for the user about the files that were added.
    """

    changed = Signal()
    thumbnail_ready = Signal(object)
    told = Signal(str)

    def __init__(
        self,
        scene: Scene,
        runner: Runner,
        store: EmbeddingStore,
        queries: QueryPoints,
        *,
        picks_of_points: Callable[[], Mapping[int, Pick]],
        interaction: Interaction,
        palette: Palette,
        thresholds: Callable[[], Mapping[str, float]],
        fail: Callable[[Failure], None],
    ) -> None:
        self._scene, self._queries, self._palette = scene, queries, palette
        self._picks_of_points, self._interaction = picks_of_points, interaction
        self._thresholds = thresholds
        self._work = ResultJobs(runner, fail, _ignore, _ignore)
        self._files = StoredFiles(scene, runner, store, self._on_files, self._on_found)
        self._thumbnails = Thumbnails(scene, runner, self._files, fail, self.thumbnail_ready.emit)
        self._order: Order = "best"
        self._count: int | None = None
        self._seeds = numbers()
        self._asked = AskedPlaces()
        self._is_due = self._waits_for_files = False
        self._also_open = 0
        self._state: ResolvedState | None = None
        self._matches: tuple[GalleryMatch, ...] = ()
        self._certainty = Certainty(0, 0)
        self._counts = JudgementCounts()
        self._published: object = None

    # -- what is shown -------------------------------------------------------------------------

    @property
    def matches(self) -> tuple[GalleryMatch, ...]:
        """The places of this round, in an order that judging does not change."""
        return self._matches

    @property
    def order(self) -> Order:
        """'best' for the best places first, 'teach' for those that teach most."""
        return self._order

    @property
    def certainty(self) -> Certainty:
        """How the judgements of the last round that is over agree with the scores before it."""
        return self._certainty

    @property
    def counts(self) -> JudgementCounts:
        """How many places were judged right and wrong, of the current class."""
        return self._counts

    @property
    def is_waiting(self) -> bool:
        """Whether places are to be shown as soon as there are scores."""
        return self._count is not None and self._asked.page is None

    @property
    def is_looking(self) -> bool:
        """Whether places are to be shown as soon as all files that were added are known."""
        return self.is_waiting and self._waits_for_files

    @property
    def pending(self) -> bool:
        """Whether something is on its way."""
        return self._work.pending or self._thumbnails.pending or self._files.pending

    def show(self, order: Order = "best", count: int = COUNT) -> None:
        """Show places of the current class, from the first on; see `matches`.

        Where there are no scores yet, they are shown when there are. Patches that were clicked
        are left out, and so are their neighbours.

        Parameters
        ----------
        order : {'best', 'teach'}
            The best ones; or, to teach fastest, some of all ranks: the first ranks are close to
            each other, the last far apart.
        count : int
            How many at a time.

        Raises
        ------
        SimilarityError
            There is no such order or number.
        """
        if order not in get_args(Order) or count < 1:
            raise SimilarityError(
                f"The gallery shows at least one place, in the order best or teach, not {count} "
                f"in the order {order}."
            )
        self._order, self._count = order, count
        self._waits_for_files = False
        self._start_over()
        if self._state is not None:
            self._files.ask(self._state.question)
        self._choose()

    def next_round(self) -> None:
        """Show the next places: none of those shown since `show`, none that was judged."""
        if self._asked.page is None:
            return  # the first ones are on their way
        certainty = self._asked.certainty(self._picks_of_points())
        if certainty.judged:
            self._certainty = certainty
        self._is_due = True
        self._choose()

    def add_files(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        """Search files that are not open, by the embeddings that a folder has of them.

        They are found by their pixels, in the background; `told` says how many were. Nothing is
        embedded here: ``napari-dinov3-sim embed --out FOLDER`` does that. A match of theirs opens
        its file when it is judged or gone to.

        Parameters
        ----------
        paths : path-like, or sequence of path-like
            Files, or one folder whose files are meant.
        folder : path-like, optional
            The folder of embeddings; by default the session's own.

        Raises
        ------
        SimilarityError
            The model is not loaded yet, or there are no files.
        """
        several = [paths] if isinstance(paths, str | os.PathLike) else paths
        files = [file for path in several for file in _files_of(Path(path).absolute())]
        wanted = self._not_open(files)
        if not wanted:
            raise SimilarityError("There are no files that are not open; choose others.")
        self._also_open = len(files) - len(wanted)
        self._files.add(wanted, None if folder is None else Path(folder).absolute())
        self.update(self._state)

    def _not_open(self, files: Sequence[Path]) -> list[Path]:
        """Return the files that are not open; those that are, are searched once, as layers."""
        opened = {layer.source.path for layer in self._scene.viewer.layers}
        for file in files:
            if str(file) in opened:
                self._files.take_out(file)
        return [file for file in files if str(file) not in opened]

    def show_files(
        self,
        paths: Sequence[str | os.PathLike[str]],
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        """Search files as `add_files` does, and show the best places of all images anew.

        Nothing is shown before all files were looked for, whatever was judged until then.

        Parameters
        ----------
        paths : sequence of path-like
            Those that are open are searched as they are open.
        folder : path-like, optional
            The folder of embeddings; by default the session's own.

        Raises
        ------
        SimilarityError
            The model is not loaded yet.
        """
        unopened = self._not_open([Path(path).absolute() for path in paths])
        self.show("best", self._count or COUNT)
        if unopened:
            # Before the files are added: they may be known before this returns.
            self._waits_for_files = True
            self._start_over()
            try:
                self.add_files(paths, folder)
            except SimilarityError:
                self.show("best", self._count or COUNT)
                raise

    def hide(self) -> None:
        """Show nothing, and choose no places, before `show` is called again."""
        self._count, self._waits_for_files = None, False
        self._start_over()
        self._publish()

    def _start_over(self) -> None:
        self._work.stop("places")
        self._asked.start_over(self._queries.role.class_name)
        self._is_due, self._certainty = self._count is not None, Certainty(0, 0)

    def _choose(self) -> None:
        """Have places chosen, if that is due and there are scores to choose by."""
        if self._count is None or not self._is_due or self.is_looking or not self._has_scores():
            self._publish()
            return
        self._is_due = False
        asked = Round(
            self._asked.class_name,
            self._order,
            self._count,
            frozenset(self._asked.seen | self._clicked()),
            next(self._seeds),
            self._thresholds().get(self._asked.class_name),
        )
        images = (*self._open_images(), *self._files.answered())
        compute = partial(find_round, asked, images)
        self._work.start("places", compute, self._take, _say_nothing)

    def _take(self, found: FoundRound) -> bool:
        self._asked.take(found.places)
        self._thumbnails.keep_only({place.id for place in found.places})
        self._publish()
        return True

    def _open_images(self) -> tuple[AnsweredImage, ...]:
        return known_images(self._scene)

    def _maps_of(self, key: PlaneKey) -> PlaneMaps | None:
        return self._scene.maps_of(key) or self._files.maps_of(key)

    def _has_scores(self) -> bool:
        """Whether everything that is shown and embedded, and every file, has its scores."""
        scene, answers = self._scene, self._scene.answers
        if answers.question != answers.asked or self._files.is_answering:
            return False
        shown = [plane.key for plane in scene.shown_planes().values()]
        waiting = any(
            scene.state_handle(key) is not None
            and scene.maps_of(key) is None
            and not answers.is_unanswerable(key)
            for key in shown
        )
        answered = (*self._open_images(), *self._files.answered())
        known = [maps for image in answered for maps in image.maps.values()]
        return bool(known) and not waiting and self._asked.class_name in known[0].cosines

    def _clicked(self) -> set[PatchId]:
        """Return the patches that query points lie in."""
        found = set()
        for pick in self._picks_of_points().values():
            maps = self._maps_of(pick.plane)
            if maps is not None:
                side = maps.grid.patch_size
                found.add(PatchId(pick.plane, pick.y // side, pick.x // side))
        return found

    # -- the present ---------------------------------------------------------------------------

    def update(self, state: ResolvedState | None) -> None:
        """Follow what is open, asked and answered now."""
        self._state = state
        if self._count is None or state is None or self._is_hovered():
            return
        self._files.ask(state.question)
        if self._is_outdated(state):
            self._start_over()
        self._asked.keep(self._is_there)
        self._choose()

    def _on_files(self) -> None:
        self.update(self._state)

    def _on_found(self, sentence: str) -> None:
        """Tell how many files were found, and show them too, unless the user is judging."""
        if self._also_open:
            verb = "is" if self._also_open == 1 else "are"
            sentence = (
                f"{sentence} {plural(self._also_open, 'more file')} {verb} open in napari, and "
                "searched there if ticked."
            )
        self.told.emit(sentence)
        waited, self._waits_for_files = self._waits_for_files, False
        judged = self._asked.certainty(self._picks_of_points()).judged
        if self._count is not None and (waited or not judged):
            self._start_over()

    def _is_hovered(self) -> bool:
        """Whether the scores are those of what lies under the mouse now."""
        return self._interaction.hovering and self._interaction.hovered is not None

    def _is_outdated(self, state: ResolvedState) -> bool:
        """Whether the places are of another class, of none any more, or of other patches."""
        if self._asked.class_name != self._queries.role.class_name:
            return True
        page = self._asked.page
        if page is None and not self._work.pending:
            return False
        return not self._is_asked(state) or not all(map(self._has_same_patches, page or ()))

    def _is_asked(self, state: ResolvedState) -> bool:
        """Whether the class of the places has an example; of single labels, scores tell it."""
        name = self._asked.class_name
        meant = classes_with_positive(state.picked.picks)
        if name in meant or None not in meant:
            return name in meant
        keys = {place.plane.key for place in self._asked.page or ()}
        if any(map(self._scene.answers.is_unanswerable, keys)):  # no label lies on an image
            return False
        known = map(self._maps_of, keys)
        return all(maps is None or name in maps.cosines for maps in known)

    def _has_same_patches(self, place: ChosenPlace) -> bool:
        maps = self._maps_of(place.plane.key)
        return maps is None or maps.grid == place.grid

    def _is_there(self, place: ChosenPlace) -> bool:
        """Whether the pixels of a place still exist, and are searched."""
        key = place.plane.key
        if isinstance(key.layer_id, Path):
            return self._files.of(key) is not None
        target = self._scene.targets.get(key.layer_id)
        if target is None or not target.ticked or target.version != key.layer.version:
            return False
        return self._has_same_patches(place)

    def _publish(self) -> None:
        """Tell of what has changed."""
        points = self._picks_of_points()
        counts = self._asked.counts(points)
        before = {match.id: match for match in self._matches}
        matches = tuple(self._match(p, points, before.get(p.id)) for p in self._asked.page or ())
        waiting = (self.is_waiting, self.is_looking)
        now = (matches, counts, self._certainty, self._order, waiting)
        if now != self._published:
            self._matches, self._counts, self._published = matches, counts, now
            self.changed.emit()

    def _match(
        self, place: ChosenPlace, points: Mapping[int, Pick], before: GalleryMatch | None
    ) -> GalleryMatch:
        maps = self._maps_of(place.plane.key)
        score = place.score if before is None else before.score
        if maps is not None and self._asked.class_name in maps.cosines:
            score = float(maps.cosines[self._asked.class_name][place.id.row, place.id.column])
        target = self._scene.targets.get(place.plane.key.layer_id)
        name = place.plane.name if target is None else target.name
        judgement = sign_of(place, self._asked.class_name, points)
        return GalleryMatch(place.id, name, score, place.rank, judgement, place.box)

    # -- what the user does --------------------------------------------------------------------

    def judge(self, match: GalleryMatch, right: bool | None) -> None:
        """Say whether a match is what is meant; each judgement is one step of `undo`.

        Parameters
        ----------
        match : GalleryMatch
        right : bool or None
            A positive point, a negative one, or none any more.

        Raises
        ------
        PointError
            The match is not there any more.
        """
        place = self._opened(self._place(match))
        mine = points_on(place, self._asked.class_name, self._picks_of_points())
        if right is None:
            self._queries.remove(mine)
        elif mine:
            self._queries.set_role_of(mine, PointRole(self._asked.class_name, right))
        else:
            self._add(place, right)

    def _add(self, place: ChosenPlace, right: bool) -> None:
        layer = self._scene.image_of(place.plane.key.layer_id)
        if layer is None:
            raise _gone(place.plane.name)
        self._queries.ensure(layer)
        role = PointRole(self._asked.class_name, right)
        self._queries.append(self._world(place), layer.unique_id, role)

    def _place(self, match: GalleryMatch) -> ChosenPlace:
        place = self._asked.find(match.id)
        if place is None or not self._is_there(place):
            raise _gone(match.image)
        return place

    def _opened(self, place: ChosenPlace) -> ChosenPlace:
        """Return a place in a layer: a file that is not open is opened, as napari opens it.

        Its matches stay where they are in the round, and are those of the layer from now on.
        """
        path = place.plane.key.layer_id
        if not isinstance(path, Path):
            return place
        planes = self._files.planes_of(path)
        images = self._open(path, planes[0].reader)
        moved: dict[PlaneKey, Plane] = {}
        for stored in planes:
            layer = images[stored.layer] if stored.layer < len(images) else None
            found = None if layer is None else self._plane_in(layer, stored.plane)
            if found is not None:
                moved[stored.plane.key] = found
        self._files.take_out(path)
        self._asked.move(moved)
        self._publish()
        found = moved.get(place.plane.key)
        if found is None:
            raise _gone(place.plane.name)
        return replace(place, id=place.id._replace(plane=found.key), plane=found)

    def _open(self, path: Path, reader: str) -> list[Image]:
        """Open a file; its channels were searched one by one, so they are not merged."""
        merging = self._scene.targets.merging
        before, merging.automatic = merging.automatic, False
        try:
            layers = self._scene.viewer.open(str(path), plugin=reader)
            images = [layer for layer in layers if self._scene.targets.get(layer.unique_id)]
            merging.settle(images)
        finally:
            merging.automatic = before
        return images

    def _plane_in(self, layer: Image, plane: Plane) -> Plane | None:
        record = self._scene.targets.get(layer.unique_id)
        if record is None or layer.ndim != len(plane.shape):
            return None
        coordinates = data_coordinates(plane, plane.key, np.zeros((1, 2)))[0]
        return plane_at(layer, plane.key.axes, coordinates, record.version)

    def _world(self, place: ChosenPlace) -> NDArray[np.float64]:
        """Return the middle of a patch in the world; its plane need not be shown."""
        key = place.plane.key
        data = data_coordinates(place.plane, key, np.array([place.centre]))[0]
        return self._scene.targets.transform(key).to_world(data)

    def go_to(self, match: GalleryMatch) -> None:
        """Move sliders and view to a match, and outline it.

        Raises
        ------
        PointError
            The match is not there any more.
        """
        place = self._opened(self._place(match))
        x, y = (int(np.floor(at + 0.5)) for at in place.centre)
        found = BestMatch(place.plane, x, y, match.score, match.image)
        self._interaction.go_to(found)

    def thumbnail(self, match: GalleryMatch, size: int) -> NDArray[np.uint8] | None:
        """Return what lies around a match, as napari shows it, with the patch outlined.

        It is made in the background: where there is none yet, `thumbnail_ready` tells when.

        Parameters
        ----------
        match : GalleryMatch
        size : int
            Height and width, in pixels.

        Returns
        -------
        ndarray of uint8, shape (size, size, 3), or None
        """
        place = self._asked.find(match.id)
        if place is None:
            return None
        return self._thumbnails.get(place, size, self._palette[self._asked.class_name])

    # -- what is kept --------------------------------------------------------------------------

    def judgements(self) -> tuple[Judgement, ...]:
        """Return all places that are judged, of all classes."""
        return self._asked.judgements(self._picks_of_points())

    def judged_places(self) -> tuple[tuple[str, ChosenPlace], ...]:
        """Return the class and the place of all that are judged, to be kept in a project."""
        return self._asked.judged(self._picks_of_points())

    def adopt_places(self, class_name: str, places: Iterable[ChosenPlace]) -> None:
        """Take places of a class for some that were judged in an earlier session."""
        self._asked.adopt(class_name, places)
        self._publish()

    def save_judgements(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> int:
        """Write all places that are judged to a JSON file.

        Parameters
        ----------
        path : path-like
            The folder must exist.
        overwrite : bool, optional
            Whether a file that is there is replaced.

        Returns
        -------
        int
            How many judgements were written.

        Raises
        ------
        SimilarityError
            Nothing is judged, the file exists, or it cannot be written.
        """
        found = self.judgements()
        save_judgements(found, Path(path), overwrite=overwrite)
        return len(found)

    def rename_class(self, old: str, new: str, number: int | None) -> None:
        """Give a class another name; its places stay."""
        self._asked.rename_class(old, new, number)

    def part_class(self, old: str, new: str, number: int) -> None:
        """Give a class its places again that are those of another since they were joined."""
        self._asked.part_class(old, new, number)

    def close(self) -> None:
        """Give up what is on its way."""
        self._work.stop_all()
        self._thumbnails.close()
        self._files.close()


def _files_of(path: Path) -> list[Path]:
    if not path.is_dir() or path.suffix.lower() == ".zarr":
        return [path]
    return sorted(f for f in path.iterdir() if f.is_file() and not f.name.startswith("."))


def _ignore(_: object) -> None:
    return None


def _say_nothing(_: object) -> str:
    return ""


def _gone(image: str) -> PointError:
    return PointError(f"The match in {image} is not there any more; refresh the gallery.")

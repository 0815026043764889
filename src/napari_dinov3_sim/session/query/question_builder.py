"""The builder of `ResolvedState`: from what is open, shown and picked now to the question."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.session.answering.answer_job import TargetPlane
from napari_dinov3_sim.session.answering.question import (
    Pick,
    Question,
    classes_without_positive,
    has_rivals,
    is_only_negative,
)
from napari_dinov3_sim.session.query.point_history import IGNORED, NEW
from napari_dinov3_sim.session.resolved_state import PickCounts, Picked, ResolvedState
from napari_dinov3_sim.versions import grid_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    import numpy as np
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.search.combine import Combination
    from napari_dinov3_sim.session.answering.answers import Answers
    from napari_dinov3_sim.session.embedding.embedder import Embedder
    from napari_dinov3_sim.session.images.hit_testing import PlanePixel, ResolvedImages
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.images.targets import Targets
    from napari_dinov3_sim.session.interaction.interaction import Interaction
    from napari_dinov3_sim.session.query.loaded_query import LoadedQuery
    from napari_dinov3_sim.session.query.points import QueryPoints
    from napari_dinov3_sim.session.query.regions import Regions
    from napari_dinov3_sim.session.worker_messages import StateHandle


AHEAD = 128
"""Planes out of sight that are dealt with at a time: every refresh looks at all of them."""

Planes = dict["PlaneKey", "Plane"]


NOTHING = Picked((), {}, (), PickCounts())


class PickCollector:
    """Finds what is picked: points, regions, saved queries, or what is under the mouse.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    queries : QueryPoints
    regions : Regions
    saved : LoadedQuery
    embedder : Embedder
    interaction : Interaction
    """

    def __init__(
        self,
        viewer: ViewerModel,
        queries: QueryPoints,
        regions: Regions,
        saved: LoadedQuery,
        *,
        embedder: Embedder,
        interaction: Interaction,
    ) -> None:
        self._viewer, self._queries = viewer, queries
        self._regions, self._saved = regions, saved
        self._embedder, self._interaction = embedder, interaction
        self._region_changes = 0
        self._points: tuple[object, Picked] = (None, NOTHING)
        self._numbers: tuple[int, ...] = ()
        self._others: tuple[object, Picked] = (None, NOTHING)
        self._all: tuple[object, Picked] = (None, NOTHING)

    def regions_changed(self) -> None:
        """Take note that a region or the loaded query has changed."""
        self._region_changes += 1

    def collect(self, images: ResolvedImages) -> Picked:
        """Return what is picked now: the same value until something of it changes."""
        points, others = self._of_points(images), self._of_regions(images)
        if self._all[0] != (points, others):
            more = others.counts
            counts = replace(
                points.counts,
                regions=more.regions,
                regions_outside=more.regions_outside,
                saved=more.saved,
                saved_remark=more.saved_remark,
            )
            picks, planes = points.picks + others.picks, {**points.planes, **others.planes}
            if not all(getattr(pick, "positive", True) for pick in picks):
                counts = replace(
                    counts,
                    only_negative=is_only_negative(picks),
                    without_positive=classes_without_positive(picks),
                )
            self._all = (points, others), Picked(picks, planes, points.owners, counts)
        hovered = self._interaction.hovered if self._interaction.hovering else None
        if hovered is None:
            return self._all[1]
        pick = Pick(hovered.plane.key, hovered.x, hovered.y, self._queries.role.class_name)
        return replace(self._all[1], picks=(pick,), planes={hovered.plane.key: hovered.plane})

    def picks_of_points(self, images: ResolvedImages) -> dict[int, Pick]:
        """Return the pick of each query point that lies on an image, by its number."""
        picks = self._of_points(images).picks
        return dict(zip(self._numbers, picks, strict=True))  # type: ignore[arg-type]

    def _of_regions(self, images: ResolvedImages) -> Picked:
        now = (images, self._region_changes, self._embedder.changes)
        if self._others[0] != now:
            drawn, planes = self._regions.picks()
            loaded, _ = self._saved.picks()
            counts = PickCounts(
                regions=self._regions.count,
                regions_outside=self._regions.outside,
                saved=self._saved.count,
                saved_remark=self._saved.remark,
            )
            self._others = now, Picked(drawn + loaded, planes, (), counts)
        return self._others[1]

    def _of_points(self, images: ResolvedImages) -> Picked:
        queries, ignores = self._queries, self.ignores_clicks
        side_by_side = self._interaction.viewboxes is not None
        now = (images, queries.changes, ignores, side_by_side)
        if self._points[0] == now:
            return self._points[1]
        places: dict[int, PlanePixel] = {}
        hits = images.hits

        def image_of(
            number: int, world: NDArray[np.float64], remembered: Hashable | None
        ) -> Hashable | None:
            if remembered is IGNORED or (remembered is NEW and ignores):
                return IGNORED
            if remembered is NEW and side_by_side:
                place = self._interaction.clicked(world, hits)
            else:
                place = hits.hit(world, remembered)
            if place is None:
                return None
            places[number] = place
            return place.plane.key.layer.layer_id

        roles = queries.locate(image_of)
        self._numbers = tuple(places)
        picks = tuple(
            Pick(at.plane.key, at.x, at.y, roles[number].class_name, roles[number].positive)
            for number, at in places.items()
        )
        planes = {at.plane.key: at.plane for at in places.values()}
        counts = PickCounts(len(queries), queries.outside, queries.ignored)
        # To locate them may give the layer other units, which changes no place in the world.
        now = (images, queries.changes, ignores, side_by_side)
        self._points = now, Picked(picks, planes, queries.owners, counts)
        return self._points[1]

    @property
    def in_napari_grid(self) -> bool:
        """Whether napari's own grid is on, in which all images lie at the same place."""
        return bool(grid_of(self._viewer).enabled) and self._interaction.viewboxes is None

    @property
    def ignores_clicks(self) -> bool:
        """Whether a click says nothing about a plane: in 3-D it lands in the middle of it all."""
        return self._viewer.dims.ndisplay == 3 or self.in_napari_grid


class QuestionBuilder:
    """Builds the question of the present, and what is needed to answer it.

    Parameters
    ----------
    targets : Targets
    embedder : Embedder
    answers : Answers
    """

    def __init__(self, targets: Targets, embedder: Embedder, answers: Answers) -> None:
        self._targets, self._embedder, self._answers = targets, embedder, answers
        self._visible: tuple[object, tuple[TargetPlane, ...]] = (None, ())
        self._handles: dict[PlaneKey, StateHandle] = {}
        self._cell_size: int | None = None

    def build(
        self,
        images: ResolvedImages,
        picked: Picked,
        combination: Combination,
        thresholds: Mapping[str, float],
        *,
        all_planes: bool,
        three_d: bool,
        in_napari_grid: bool,
    ) -> ResolvedState:
        """Return the present state.

        Parameters
        ----------
        images : ResolvedImages
        picked : Picked
        combination : str
        thresholds : mapping of str to float
            Those set by hand: a class wins no patch below its own.
        all_planes : bool
            Whether stacks are answered on all planes.
        three_d, in_napari_grid : bool
            See `ResolvedState`.
        """
        hidden = self._next_hidden_planes(images) if all_planes and picked.picks else {}
        targets = self._target_planes(images, hidden)
        question = self._question(picked, combination, thresholds)
        wanted: tuple[Plane, ...] = ()
        if picked.picks:
            needed = {**picked.planes, **self._unanswered(question, images.planes), **hidden}
            wanted = tuple(plane for key, plane in needed.items() if self._handle(key) is None)
        return ResolvedState(
            images,
            picked,
            combination,
            question,
            hidden,
            wanted,
            targets,
            self._cell_size,
            three_d,
            in_napari_grid,
        )

    def _question(
        self, picked: Picked, combination: Combination, thresholds: Mapping[str, float]
    ) -> Question | None:
        """Return what is asked now; None while something that was picked is not embedded."""
        states = tuple((key, self._handle(key)) for key in picked.planes)
        known = tuple((key, handle) for key, handle in states if handle is not None)
        if not picked.picks or len(known) < len(states):
            return None
        # They decide between classes only; of one class a dragged threshold asks nothing anew.
        given = tuple(thresholds.items()) if has_rivals(picked.picks) else ()
        return Question(picked.picks, known, combination, given)

    def _next_hidden_planes(self, images: ResolvedImages) -> Planes:
        """Return the next planes out of sight that are to be answered and have not been yet."""
        others = self._targets.other_planes(images.planes.values())
        due = (plane for plane in others if self._is_due(plane.key))
        return {plane.key: plane for plane in islice(due, AHEAD)}

    def _is_due(self, key: PlaneKey) -> bool:
        if self._answers.maps_of(key) is not None or self._answers.is_unanswerable(key):
            return False
        return self._embedder.is_coming(key)

    def _unanswered(self, question: Question | None, shown: Mapping[PlaneKey, Plane]) -> Planes:
        """Return the planes that must be embedded: an answer is kept longer than embeddings."""
        if question is not None and question == self._answers.asked == self._answers.question:
            return {k: plane for k, plane in shown.items() if self._answers.maps_of(k) is None}
        return dict(shown)

    def _target_planes(
        self, images: ResolvedImages, hidden: Mapping[PlaneKey, Plane]
    ) -> tuple[TargetPlane, ...]:
        """Return the planes that are embedded, the visible ones first."""
        now = (images, self._embedder.changes)
        if self._visible[0] != now:
            self._visible = now, tuple(self._embedded(images.planes, visible=True))
            self._handles = {target.key: target.handle for target in self._visible[1]}
            self._cell_size = self._find_cell_size()
        return self._visible[1] + tuple(self._embedded(hidden, visible=False))

    def _embedded(
        self, planes: Mapping[PlaneKey, Plane], *, visible: bool
    ) -> Iterator[TargetPlane]:
        for key, plane in planes.items():
            handle = self._embedder.handle(key)
            if handle is not None:
                yield TargetPlane(key, handle, plane.shape, visible)

    def _handle(self, key: PlaneKey) -> StateHandle | None:
        return self._handles.get(key) or self._embedder.handle(key)

    def _find_cell_size(self) -> int | None:
        model = self._embedder.identity
        if model is None:
            return None
        try:
            return self._embedder.recipe.cell_size(model.patch_size)
        except ImageError:  # nothing is embedded with it, and that says why
            return None

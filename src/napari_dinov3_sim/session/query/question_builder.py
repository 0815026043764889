"""From what is picked and shown to a question, and to the planes that it needs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from napari_dinov3_sim.session.answering.answer_job import TargetPlane
from napari_dinov3_sim.session.answering.question import LabelsPick, Pick, PolygonPick, Question
from napari_dinov3_sim.session.query.point_history import IGNORED, NEW

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    import numpy as np
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.search.combine import Combination
    from napari_dinov3_sim.session.answering.answers import Answers
    from napari_dinov3_sim.session.answering.question import AnyPick, PickSource
    from napari_dinov3_sim.session.embedding.embedder import Embedder
    from napari_dinov3_sim.session.images.hit_testing import PlanePixel
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.images.targets import Targets
    from napari_dinov3_sim.session.interaction.interaction import Interaction
    from napari_dinov3_sim.session.query.point_features import PointRole
    from napari_dinov3_sim.session.query.points import QueryPoints


AHEAD = 128
"""Planes out of sight that are dealt with at a time: every refresh looks at all of them."""

Planes = dict["PlaneKey", "Plane"]


@dataclass(frozen=True, eq=False)
class QuestionBuilder:
    """Asks, as far as what is needed for it is embedded.

    Attributes
    ----------
    targets : Targets
    embedder : Embedder
    answers : Answers
    """

    targets: Targets
    embedder: Embedder
    answers: Answers

    def question(
        self,
        picks: tuple[AnyPick, ...],
        picked: Iterable[PlaneKey],
        combination: Combination,
        threshold: float | None,
    ) -> Question | None:
        """Return what is asked now; None while something that was picked is not embedded."""
        states = tuple((key, self.embedder.handle(key)) for key in picked)
        known = tuple((key, handle) for key, handle in states if handle is not None)
        if not picks or len(known) < len(states):
            return None
        return Question(picks, known, combination, threshold if has_rivals(picks) else None)

    def hidden(self, shown: Iterable[Plane]) -> Planes:
        """Return the next planes out of sight that are to be answered and have not been yet."""
        due = (plane for plane in self.targets.other_planes(shown) if self._is_due(plane.key))
        return {plane.key: plane for plane in islice(due, AHEAD)}

    def _is_due(self, key: PlaneKey) -> bool:
        if self.answers.known(key) is not None or self.answers.is_unanswerable(key):
            return False
        return self.embedder.is_coming(key)

    def unanswered(self, question: Question | None, shown: Planes) -> Planes:
        """Return the planes that must be embedded: an answer is kept longer than embeddings."""
        if question is not None and question == self.answers.asked == self.answers.question:
            return {k: plane for k, plane in shown.items() if self.answers.known(k) is None}
        return dict(shown)

    def ask(self, question: Question | None, shown: Planes, hidden: Planes) -> None:
        """Ask about all planes that are embedded, those that are seen first."""
        if question is None or not shown:
            self.answers.forget()
            return
        targets = tuple(self._target_planes(shown, visible=True))
        targets += tuple(self._target_planes(hidden, visible=False))
        self.answers.retain({key.layer for key in shown})
        self.answers.ask(question, targets)

    def _target_planes(
        self, planes: Mapping[PlaneKey, Plane], *, visible: bool
    ) -> Iterable[TargetPlane]:
        for key, plane in planes.items():
            handle = self.embedder.handle(key)
            if handle is not None:
                yield TargetPlane(key, handle, plane.shape, visible)


def has_rivals(picks: Iterable[AnyPick]) -> bool:
    """Whether there may be several classes, of which one wins each patch."""
    picks = tuple(picks)
    labelled = any(isinstance(pick, LabelsPick) for pick in picks)
    return labelled or len({getattr(pick, "class_name", pick) for pick in picks}) > 1


def is_only_negative(picks: tuple[AnyPick, ...]) -> bool:
    """Whether something is picked, and all of it says what is not meant."""
    return bool(picks) and not any(_is_positive(pick) for pick in picks)


def classes_without_positive(picks: tuple[AnyPick, ...]) -> tuple[str, ...]:
    """Return the classes of which only what is not meant is picked: they get no heatmap."""
    named = [pick for pick in picks if not isinstance(pick, LabelsPick)]
    meant = {pick.class_name for pick in named if _is_positive(pick)}
    return tuple(dict.fromkeys(pick.class_name for pick in named if pick.class_name not in meant))


def _is_positive(pick: AnyPick) -> bool:
    return not isinstance(pick, Pick | PolygonPick) or pick.positive


Picked = tuple[tuple["AnyPick", ...], dict["PlaneKey", "Plane"]]
"""The picks, and the planes that they lie on."""


@dataclass(frozen=True, eq=False)
class PickCollector:
    """Finds what is picked.

    Attributes
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    queries : QueryPoints
    targets : Targets
    looking : Interaction
    sources : sequence of PickSource
        Regions and saved queries.
    """

    viewer: ViewerModel
    queries: QueryPoints
    targets: Targets
    looking: Interaction
    sources: Sequence[PickSource]

    def find(self) -> Picked:
        """Return what is picked; under the mouse, when that is asked for, and nothing else."""
        places, roles = self._places()
        hovered = self.looking.hovered
        if hovered is not None:
            pick = Pick(hovered.plane.key, hovered.x, hovered.y, self.queries.role.class_name)
            return (pick,), {hovered.plane.key: hovered.plane}
        picks: tuple[AnyPick, ...] = tuple(
            Pick(at.plane.key, at.x, at.y, roles[number].class_name, roles[number].positive)
            for number, at in places.items()
        )
        planes = {at.plane.key: at.plane for at in places.values()}
        for source in self.sources:
            more, on = source.picks()
            picks, planes = picks + more, planes | dict(on)
        return picks, planes

    def _places(self) -> tuple[dict[int, PlanePixel], list[PointRole]]:
        """Return the pixel of each point that lies on a target, and what every point says."""
        places: dict[int, PlanePixel] = {}
        survey = self.targets.survey()

        def image_of(
            number: int, world: NDArray[np.float64], remembered: Hashable | None
        ) -> Hashable | None:
            if remembered is IGNORED or (remembered is NEW and self.clicks_mean_nothing):
                return IGNORED
            if remembered is NEW and self.looking.is_click(world):
                place = self.looking.place_at(world)
            else:
                place = survey.locate(world, remembered)
            if place is None:
                return None
            places[number] = place
            return place.plane.key.layer_id

        return places, self.queries.locate(image_of)

    @property
    def in_grid(self) -> bool:
        """Whether napari's own grid is on, in which all images lie at the same place."""
        return bool(self.viewer.canvas.grid.enabled) and not self.looking.side_by_side

    @property
    def clicks_mean_nothing(self) -> bool:
        """Whether a click says nothing about a plane: in 3-D it lands in the middle of it all."""
        return self.viewer.dims.ndisplay == 3 or self.in_grid

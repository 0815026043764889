"""The places that were asked about: those of this round, those seen, and all of a class."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.search.teaching import agreement
from napari_dinov3_sim.session.gallery.judgements import Judgement, sign_of
from napari_dinov3_sim.session.gallery.matches import Certainty, JudgementCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from napari_dinov3_sim.session.answering.question import Pick
    from napari_dinov3_sim.session.gallery.matches import ChosenPlace, PatchId
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey

    Picks = Mapping[int, Pick]
    Places = dict[PatchId, ChosenPlace]


class AskedPlaces:
    """Remembers places by class; what was judged is read from the query points.

    Attributes
    ----------
    class_name : str
        The class whose places are shown.
    page : tuple of ChosenPlace or None
        The places of this round; None before the first one.
    seen : set of PatchId
        All that were shown since the first round.
    """

    def __init__(self) -> None:
        self.class_name = ""
        self.page: tuple[ChosenPlace, ...] | None = None
        self.seen: set[PatchId] = set()
        self._of_class: dict[str, dict[PatchId, ChosenPlace]] = {}
        # By number: classes that follow each other may have the same name.
        self._joined: dict[int | None, tuple[Places, Places]] = {}

    def start_over(self, class_name: str) -> None:
        """Show places of a class, from the first on."""
        self.class_name, self.page = class_name, None
        self.seen.clear()

    def take(self, places: tuple[ChosenPlace, ...]) -> None:
        """Begin a round."""
        self.page = places
        known = self._of_class.setdefault(self.class_name, {})
        for place in places:
            self.seen.add(place.id)
            known[place.id] = place

    def keep(self, is_there: Callable[[ChosenPlace], bool]) -> None:
        """Take what is not there any more out of the round."""
        if self.page is not None:
            self.page = tuple(place for place in self.page if is_there(place))

    def find(self, patch: PatchId) -> ChosenPlace | None:
        """Return a place of the class by its id."""
        return self._of_class.get(self.class_name, {}).get(patch)

    def move(self, planes: Mapping[PlaneKey, Plane]) -> None:
        """Let all places of planes be places of others, which show the same."""

        def moved(place: ChosenPlace) -> ChosenPlace:
            plane = planes.get(place.plane.key)
            if plane is None:
                return place
            return replace(place, id=place.id._replace(plane=plane.key), plane=plane)

        def all_moved(places: Places) -> Places:
            return {place.id: place for place in map(moved, places.values())}

        if self.page is not None:
            self.page = tuple(map(moved, self.page))
        self.seen = {
            patch._replace(plane=planes[patch.plane].key) if patch.plane in planes else patch
            for patch in self.seen
        }
        self._of_class = {name: all_moved(places) for name, places in self._of_class.items()}
        self._joined = {
            number: (all_moved(old), all_moved(new)) for number, (old, new) in self._joined.items()
        }

    def rename_class(self, old: str, new: str, number: int | None) -> None:
        """Give a class another name."""
        former, other = self._of_class.pop(old, {}), self._of_class.get(new, {})
        self._joined[number] = former, other
        self._of_class[new] = {**other, **former}
        if self.class_name == old:
            self.class_name = new

    def part_class(self, old: str, new: str, number: int) -> None:
        """Give a class its places again, and leave the one it was joined with its own."""
        former, other = self._joined.pop(number, ({}, {}))
        rest = {i: p for i, p in self._of_class.get(new, {}).items() if i not in former}
        self._of_class[old], self._of_class[new] = former, {**rest, **other}

    # -- what was judged -----------------------------------------------------------------------

    def certainty(self, picks: Picks) -> Certainty:
        """Return how the judgements of this round agree with the scores before them."""
        signs = [(place, sign_of(place, self.class_name, picks)) for place in self.page or ()]
        judged = [(place, right) for place, right in signs if right is not None]
        if not judged:
            return Certainty(0, 0)
        share = agreement(
            [place.score for place, _ in judged],
            [right for _, right in judged],
            judged[0][0].threshold,
        )
        return Certainty(round(share * len(judged)), len(judged))

    def counts(self, picks: Picks) -> JudgementCounts:
        """Return how many places of the class were judged right, and how many wrong."""
        places = self._of_class.get(self.class_name, {}).values()
        signs = [sign_of(place, self.class_name, picks) for place in places]
        return JudgementCounts(signs.count(True), signs.count(False))

    def judgements(self, picks: Picks) -> tuple[Judgement, ...]:
        """Return all places that are judged, of all classes."""
        found = [
            (place, class_name, sign_of(place, class_name, picks))
            for class_name, place in self.judged(picks)
        ]
        return tuple(
            Judgement.of(place, class_name, right)
            for place, class_name, right in found
            if right is not None
        )

    def judged(self, picks: Picks) -> tuple[tuple[str, ChosenPlace], ...]:
        """Return the class and the place of all that are judged."""
        return tuple(
            (class_name, place)
            for class_name, places in self._of_class.items()
            for place in places.values()
            if sign_of(place, class_name, picks) is not None
        )

    def adopt(self, class_name: str, places: Iterable[ChosenPlace]) -> None:
        """Take places for some that were judged in an earlier session."""
        self._of_class.setdefault(class_name, {}).update({place.id: place for place in places})

"""The places of a round, chosen in the worker from the scores of all images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.search.teaching import choose_places
from napari_dinov3_sim.session.gallery.matches import ChosenPlace, PatchId
from napari_dinov3_sim.session.results.computations import thresholds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from napari_dinov3_sim.core.search.teaching import Order
    from napari_dinov3_sim.session.results.computations import AnsweredImage


@dataclass(frozen=True, eq=False)
class Round:
    """What is asked for: another handful of places of one class.

    Attributes
    ----------
    class_name : str
    order : {'best', 'teach'}
    count : int
    taken : set of PatchId
        Patches that were clicked, judged or shown before.
    seed : int
        Of the random choice.
    threshold : float or None
        Score from which a place counts as found; by default Otsu's.
    """

    class_name: str
    order: Order
    count: int
    taken: AbstractSet[PatchId]
    seed: int
    threshold: float | None


@dataclass(frozen=True, eq=False)
class FoundRound:
    """The places that were chosen, best first."""

    places: tuple[ChosenPlace, ...] = field(repr=False)


def find_round(asked: Round, images: Sequence[AnsweredImage]) -> Iterator[FoundRound]:
    """Give the places of a round.

    Parameters
    ----------
    asked : Round
    images : sequence of AnsweredImage
        With maps of the class.
    """
    maps = [
        (replace(image.plane, key=key), similarity)
        for image in images
        for key, similarity in image.of(asked.class_name).items()
    ]
    given = {} if asked.threshold is None else {asked.class_name: asked.threshold}
    level = thresholds(images, [asked.class_name], given)[asked.class_name]
    index = {plane.key: number for number, (plane, _) in enumerate(maps)}
    taken = {
        (index[patch.plane], patch.row, patch.column)
        for patch in asked.taken
        if patch.plane in index
    }
    places = choose_places(
        [similarity.cosine for _, similarity in maps],
        order=asked.order,
        count=asked.count,
        taken=taken,
        seed=asked.seed,
    )
    found = []
    for place in places:
        plane, similarity = maps[place.image]
        patch = PatchId(plane.key, place.row, place.column)
        found.append(ChosenPlace(patch, plane, similarity.grid, place.score, place.rank, level))
    yield FoundRound(tuple(found))

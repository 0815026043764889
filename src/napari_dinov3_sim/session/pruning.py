"""Which layers still say something true about their image, and the end of all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from napari_dinov3_sim.core.search.combine import Combination
    from napari_dinov3_sim.session.answers import Answers
    from napari_dinov3_sim.session.overlays import Overlays
    from napari_dinov3_sim.session.questions import AnyPick, Question
    from napari_dinov3_sim.session.shown import Place, Shown
    from napari_dinov3_sim.session.targets import Targets

Asked = tuple[tuple["AnyPick", ...], "Combination"]
"""What is picked, and how it is combined."""

Versions = dict["Hashable", int]
"""Of the pixels of each image that is searched, by its id."""


@dataclass(frozen=True)
class _Found:
    """What was asked, and which pixels were open, when the session began."""

    asked: Asked
    versions: Versions


class Pruning:
    """Removes heatmaps and winners that do not answer the present question.

    While work is under way, those of an earlier question stay until their answer comes. Those
    that an earlier session left stay too, and, as long as what is asked is what it was then,
    until there is a question.

    Parameters
    ----------
    targets : Targets
    answers : Answers
    overlays : Overlays
    """

    def __init__(self, targets: Targets, answers: Answers, overlays: Overlays) -> None:
        self._targets, self._answers, self._overlays = targets, answers, overlays
        self._found: _Found | None = None

    def prune(self, asked: Asked, *, busy: bool) -> None:
        """Remove what is no answer any more.

        Parameters
        ----------
        asked : Asked
            If nothing is picked, nothing stays.
        busy : bool
            Whether an answer may still come; until then an older one stays.
        """
        versions = self._versions()
        if self._found is None:
            self._found = _Found(asked, versions)
        found = self._found.versions if asked == self._found.asked else {}
        now = _Now(versions, found, self._answers.asked, busy)
        shown = self._overlays.heatmaps.shown()
        places = self._overlays.heatmaps.items() if asked[0] else ()
        self._overlays.keep_only({p for p in places if now.allows(p, shown.get(p))})

    def _versions(self) -> Versions:
        records = (self._targets.get(image.unique_id) for image in self._targets.layers())
        return {r.layer.unique_id: r.version for r in records if r is not None}


@dataclass(frozen=True)
class _Now:
    """What heatmaps are measured against.

    Attributes
    ----------
    versions : mapping of image id to int
        Of the pixels of the images that are searched.
    found : mapping of image id to int
        The same when the layers of an earlier session were found; empty if they are answers
        to something else than what is asked now.
    question : Question or None
        The present one.
    busy : bool
        Whether an answer may still come.
    """

    versions: Mapping[Hashable, int]
    found: Mapping[Hashable, int]
    question: Question | None
    busy: bool

    def allows(self, place: Place, shown: Shown | None) -> bool:
        """Whether a heatmap may stay."""
        if place.image not in self.versions:
            return False
        version = self.versions[place.image]
        if shown is None:
            return self.busy or (self.question is None and self.found.get(place.image) == version)
        answers = self.question is not None and shown.question == self.question
        return shown.layer.version == version and (self.busy or answers)

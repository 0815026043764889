"""Thresholds of the command line: one for all classes, or one for each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from napari_dinov3_sim.cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_dinov3_sim.core.search.combine import ClassQuery, Combination
    from napari_dinov3_sim.core.search.similarity import SimilarityMap

Level = float | Literal["otsu"]
"""A cosine, or that one is chosen from the maps."""


@dataclass(frozen=True)
class Threshold:
    """A threshold as it was given.

    Attributes
    ----------
    class_name : str or None
        None for that of all classes that have none of their own.
    level : float or 'otsu'
        A class of its own has a number.
    """

    class_name: str | None
    level: Level


@dataclass(frozen=True)
class Levels:
    """The thresholds that maps are compared with, in units of the cosine.

    Attributes
    ----------
    common : float or None
        Of classes that have none of their own; None where no other class is there.
    by_class : mapping of str to float
    """

    common: float | None = None
    by_class: Mapping[str, float] = field(default_factory=dict)

    def of(self, class_name: str) -> float | None:
        """Return the threshold of a class; None where none is wanted."""
        return self.by_class.get(class_name, self.common)


@dataclass(frozen=True, eq=False)
class AskedClasses:
    """What is asked, from which automatic thresholds follow.

    Attributes
    ----------
    queries : tuple of ClassQuery
    combination : str
    colours : mapping of str to str
        Of classes, in the files of other programs.
    """

    queries: tuple[ClassQuery, ...]
    combination: Combination
    colours: Mapping[str, str] = field(default_factory=dict)

    def levels(self, maps: Sequence[SimilarityMap]) -> dict[str, float]:
        """Return the automatic threshold of each class, as the dock has it.

        Parameters
        ----------
        maps : sequence of SimilarityMap
            Of all planes, plane by plane, in each in the order of the classes.
        """
        from napari_dinov3_sim.core.search.combine import resolve
        from napari_dinov3_sim.core.search.thresholds import automatic_threshold

        chosen = resolve(self.combination, sum(len(one.negatives) for one in self.queries))
        return {
            one.name: automatic_threshold(one, maps[at :: len(self.queries)], chosen)
            for at, one in enumerate(self.queries)
        }


@dataclass(frozen=True)
class WantedLevels:
    """The thresholds that were asked for.

    Attributes
    ----------
    common : float, 'otsu' or None
    by_class : mapping of str to float
    automatic : bool
        Whether the threshold of classes without one follows from the query.
    """

    common: Level | None = None
    by_class: Mapping[str, float] = field(default_factory=dict)
    automatic: bool = False

    @classmethod
    def of(
        cls,
        given: Sequence[Threshold] | None,
        saved: Mapping[str, float] | None = None,
        *,
        automatic: bool = False,
    ) -> WantedLevels:
        """Return what the command line asks for; of two for the same class the last one holds.

        Parameters
        ----------
        given : sequence of Threshold or None
        saved : mapping of str to float, optional
            Those of a saved query, by class: they come before automatic ones.
        automatic : bool, optional
            Whether classes are compared with a threshold where none is given.
        """
        common = [one.level for one in given or () if one.class_name is None]
        by_class = {
            one.class_name: one.level
            for one in given or ()
            if one.class_name is not None and one.level != "otsu"
        }
        if not automatic or common:
            return cls(common[-1] if common else None, by_class)
        return cls(None, {**(saved or {}), **by_class}, automatic=True)

    def __bool__(self) -> bool:
        return self.common is not None or bool(self.by_class) or self.automatic

    def given(self, class_name: str) -> float | None:
        """Return the number that was given for a class; None where it follows from the maps."""
        level = self.by_class.get(class_name, self.common)
        return None if level == "otsu" else level

    def check(self, classes: Sequence[str]) -> None:
        """Raise `UsageError` for the threshold of a class that is not searched."""
        others = [name for name in self.by_class if name not in classes]
        if others:
            raise UsageError(
                f"--threshold {others[0]}=…: the query has no such class; choose one of "
                f"{', '.join(classes)}."
            )

    def known(self, classes: Sequence[str]) -> Levels | None:
        """Return the thresholds if they do not depend on the maps, else None."""
        if all(name in self.by_class for name in classes):
            return Levels(None, self.by_class)
        if isinstance(self.common, float):
            return Levels(self.common, self.by_class)
        return None if self else Levels()

    def chosen(
        self,
        classes: Sequence[str],
        maps: Sequence[SimilarityMap],
        asked: AskedClasses | None = None,
    ) -> Levels:
        """Return the thresholds for these maps: where none was given, Otsu's of all of them."""
        if self.automatic and asked is not None:
            return Levels(None, {**asked.levels(maps), **self.by_class})
        from napari_dinov3_sim.core.search.thresholds import otsu_threshold

        known = self.known(classes) if self else None
        return known or Levels(otsu_threshold(maps), self.by_class)

"""What a search writes for each plane, and how the files are called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.errors import UsageError
from napari_dinov3_sim._cli.outputs import unique_stems

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Sequence

    from napari_dinov3_sim.core.search.similarity import SimilarityMap

COSINE, HEATMAP, LABELS = ".cosine.tif", ".heatmap.png", ".labels.tif"
WINNER, PEAKS = ".winner.tif", ".peaks.csv"
ENDS = (COSINE, HEATMAP, LABELS, WINNER, PEAKS)
"""Of the names of all results."""

MAX_KIND = 40
"""Characters of a kind's name in the name of a file."""


@dataclass(frozen=True)
class Wanted:
    """What is written besides maps and heatmaps.

    Attributes
    ----------
    threshold : float, 'otsu' or None
        In units of the cosine; None for no labels.
    min_area : float
        Pixels of the smallest object that is kept.
    peaks : bool
        Whether a table of peaks is written.
    """

    threshold: float | str | None
    min_area: float
    peaks: bool

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Wanted:
        """Return what the command line wants.

        Raises
        ------
        UsageError
            A least area of objects, where none are written.
        """
        if arguments.min_area is not None and arguments.threshold is None:
            raise UsageError(
                "--min-area drops small objects, and none are written without --threshold; add "
                "--threshold otsu or a cosine, or leave --min-area out."
            )
        return cls(arguments.threshold, arguments.min_area or 0.0, arguments.peaks)

    def level(self, maps: Sequence[SimilarityMap]) -> float | None:
        """Return the threshold for these maps; peaks have Otsu's if none was given."""
        from napari_dinov3_sim.core.search.thresholds import otsu_threshold

        if isinstance(self.threshold, float):
            return self.threshold
        return otsu_threshold(maps) if self.threshold or self.peaks else None


def output_names(stems: Iterable[str], kinds: Sequence[str], wanted: Wanted) -> list[str]:
    """Return the name of every file that will be written."""
    ends = [COSINE, HEATMAP] + [LABELS] * (wanted.threshold is not None)
    together = [WINNER] * (len(kinds) > 1) + [PEAKS] * wanted.peaks
    parts = [f"{part}{end}" for part in kind_parts(kinds) for end in ends]
    return [f"{stem}{name}" for stem in stems for name in (*parts, *together)]


def kind_parts(kinds: Sequence[str]) -> list[str]:
    """Return what tells the files of kinds apart; nothing for one."""
    if len(kinds) == 1:
        return [""]
    plain = [re.sub(r"\W+", "-", kind)[:MAX_KIND].strip("-") or "kind" for kind in kinds]
    return [f".{stem}" for stem in unique_stems(plain)]

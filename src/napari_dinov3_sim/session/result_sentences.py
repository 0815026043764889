"""One sentence for the user about each result."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_dinov3_sim.core.saved_query import SavedQuery
    from napari_dinov3_sim.session.result_jobs import (
        FoundColours,
        FoundLabels,
        FoundMatches,
        FoundPeaks,
    )


def tell_labels(found: Sequence[FoundLabels]) -> str:
    """Say how many objects there are, for example “3 objects in 2 images at cosine 0.61.”."""
    objects = sum(one.objects for one in found)
    images = len({one.layer for one in found})
    levels = {one.kind: one.threshold for one in found}
    return f"{count(objects, 'object')} in {count(images, 'image')} at {_levels(levels)}."


def tell_peaks(found: Sequence[FoundPeaks]) -> str:
    """Say how many peaks there are."""
    peaks = sum(len(one.peaks) for one in found)
    levels = _levels(found[0].thresholds)
    return f"{count(peaks, 'peak')} in {count(len(found), 'image')} from {levels} up."


def tell_table(path: Path, found: Sequence[int]) -> str:
    """Say how many peaks were written."""
    return f"{count(found[0], 'peak')} saved to {path}."


def tell_matches(names: tuple[str, str], found: Sequence[FoundMatches]) -> str:
    """Say how many pairs there are, and how good."""
    cosine = found[0].cosine
    return (
        f"{len(cosine)} mutual best {'match' if len(cosine) == 1 else 'matches'} between "
        f"{names[0]} and {names[1]}, from cosine {cosine[-1]:.2f} to {cosine[0]:.2f}."
    )


def tell_colours(missing: Sequence[str], found: Sequence[FoundColours]) -> str:
    """Say what has colours, and what is not embedded."""
    rest = f"; not embedded yet: {', '.join(missing)}" if missing else ""
    return f"Colours of the embeddings of {count(len(found), 'image')}{rest}."


def tell_saved(path: Path, found: Sequence[SavedQuery]) -> str:
    """Say what was saved."""
    return f"The query of {count(len(found[0].kinds), 'kind')} was saved to {path}."


def tell_loaded(path: Path, query: SavedQuery, cell_size: int | None) -> str:
    """Say what was loaded, and if it was made at another resolution."""
    names = ", ".join(kind.name for kind in query.kinds)
    sentence = f"{path.name} asks for {names}"
    if cell_size not in (None, query.cell_size):
        sentence += (
            f"; it was made at one vector per {query.cell_size} pixels, and now there is one per "
            f"{cell_size}"
        )
    return f"{sentence}."


def count(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _levels(levels: Mapping[str, float]) -> str:
    """Return the thresholds: one where all kinds have the same."""
    texts = {kind: f"{level:.2f}" for kind, level in levels.items()}
    if len(set(texts.values())) == 1:
        return f"cosine {next(iter(texts.values()))}"
    return "cosine " + ", ".join(f"{text} ({kind})" for kind, text in texts.items())

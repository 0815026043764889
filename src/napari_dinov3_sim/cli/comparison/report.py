"""A comparison as a table and as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.core.text import plural

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from napari_dinov3_sim.core.evaluation.comparison import Comparison, Difference

FEW_CLICKS = 10
"""Of fewer the intervals say little."""


def class_table(found: Comparison) -> list[tuple[str, ...]]:
    """Return a row of text for each class, the headings first."""
    rows: list[tuple[str, ...]] = [("class", "clicks", "chance", *found.ways)]
    for one in found.classes:
        name, clicks = f"{one.set_name}/{one.class_name}", len(one.scores[found.ways[0]])
        cells = (_pair(one.means(way)) for way in found.ways)
        rows.append((name, str(clicks), _figure(one.chance), *cells))
    return rows


def mean_table(
    found: Comparison, groups: Mapping[str, Collection[str]] | None = None
) -> list[tuple[str, ...]]:
    """Return a row of text for each way and group of sets, the headings first.

    Parameters
    ----------
    found : Comparison
    groups : mapping of str to collection of str, optional
        Names of sets that have a mean of their own.
    """
    first = found.ways[0]
    gain = f"more than {first}"
    rows: list[tuple[str, ...]] = [("", "", "within", gain, "across", gain)]
    for name, part in _parts(found, groups):
        for way in part.ways:
            means = map(_figure, part.means(way))
            gains = ("", "") if way == first else map(_gain, part.differences(way))
            cells = (cell for both in zip(means, gains, strict=True) for cell in both)
            count = plural(max(part.counts), "class")
            group = f"{name} ({count})" if way == first else ""
            rows.append((group, way, *cells))
    return rows


def as_object(
    found: Comparison, groups: Mapping[str, Collection[str]] | None = None
) -> dict[str, Any]:
    """Return what the table tells, with intervals, for JSON; what is not known is null."""
    return {
        "ways": list(found.ways),
        "classes": [
            {
                "set": one.set_name,
                "class": one.class_name,
                "clicks": len(one.scores[found.ways[0]]),
                "chance": _known(one.chance),
                "scores": {way: _pair_object(one.means(way)) for way in found.ways},
            }
            for one in found.classes
        ],
        "means": {
            name: {
                "classes": dict(zip(("within", "across"), part.counts, strict=True)),
                "scores": {way: _pair_object(part.means(way)) for way in part.ways},
                "differences": {
                    way: dict(zip(("within", "across"), map(_interval, both), strict=True))
                    for way in part.ways[1:]
                    for both in [part.differences(way)]
                },
            }
            for name, part in _parts(found, groups)
        },
    }


def _parts(
    found: Comparison, groups: Mapping[str, Collection[str]] | None
) -> list[tuple[str, Comparison]]:
    parts = [(name, found.of_sets(sets)) for name, sets in (groups or {}).items()]
    return [*((name, part) for name, part in parts if part.classes), ("all", found)]


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _pair(means: tuple[float, float]) -> str:
    return " / ".join(map(_figure, means))


def _gain(one: Difference) -> str:
    if math.isnan(one.mean):
        return "–"
    return f"{one.mean:+.3f} ({one.low:+.3f} to {one.high:+.3f})"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _pair_object(means: tuple[float, float]) -> dict[str, float | None]:
    return dict(zip(("within", "across"), map(_known, means), strict=True))


def _interval(one: Difference) -> dict[str, float | None]:
    return {"mean": _known(one.mean), "low": _known(one.low), "high": _known(one.high)}


def in_words(found: Comparison) -> str:
    """Return which way is best, and whether that may be chance."""
    parts = [_best(found, at, where) for at, where in enumerate(("within", "across"))]
    return " ".join(filter(None, parts))


def _best(found: Comparison, at: int, where: str) -> str:
    means = {way: found.means(way)[at] for way in found.ways}
    if math.isnan(means[found.ways[0]]):
        return f"Nothing could be measured {where} images."
    best = max(means, key=means.__getitem__)
    said = f"Best {where} images: {best}, {means[best]:.3f}"
    if best == found.ways[0]:
        return f"{said}."
    if found.differences(best)[at].low > 0 and found.clicks[at] >= FEW_CLICKS:
        return f"{said}, which is more than {found.ways[0]} beyond chance."
    return f"{said}, but the difference to {found.ways[0]} may be chance: annotate more images."

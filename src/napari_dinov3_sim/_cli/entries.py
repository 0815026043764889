"""What is reported of a search: of each plane and of each kind, as a table or for JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim._cli.places import level_lines
from napari_dinov3_sim._cli.terminal import say, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinov3_sim._cli.outputs import OutputFolder
    from napari_dinov3_sim._cli.overlay import Limits
    from napari_dinov3_sim._cli.places import Place
    from napari_dinov3_sim.core.search.similarity import SimilarityMap


@dataclass(frozen=True, eq=False)
class Entry:
    """What is reported of one plane: `about` the plane, and of each of its `kinds`."""

    place: Place
    about: dict[str, Any]
    kinds: list[dict[str, Any]]
    files: dict[str, str] = field(default_factory=dict)

    def flat(self) -> dict[str, Any]:
        """Return one object for an image with one kind."""
        only = {name: value for name, value in self.kinds[0].items() if name != "kind"}
        return {**self.about, **only, **self.files}

    def nested(self) -> dict[str, Any]:
        """Return one object with a list of kinds."""
        return {**self.about, "kinds": self.kinds, **self.files}

    def paths(self) -> Iterator[str]:
        """Return every file written."""
        for kind in self.kinds:
            yield from _files_of(kind)
        yield from self.files.values()


def _files_of(kind: dict[str, Any]) -> list[str]:
    return [kind[name] for name in ("cosine", "heatmap", "labels") if name in kind]


@dataclass(frozen=True, eq=False)
class Written:
    """What was written: entries in the order of the planes, and their common scale."""

    entries: list[Entry]
    limits: Limits | None
    threshold: float | None

    def summary(self) -> dict[str, Any]:
        """Return what concerns all images, for the report."""
        files = [path for entry in self.entries for path in entry.paths()]
        limits = None if self.limits is None else list(self.limits)
        return {"limits": limits, "threshold": self.threshold, "files": files}


def summarise(similarity: SimilarityMap, place: Place) -> dict[str, Any]:
    """Return range and mean of the cosine, and the middle of the best patch, as peaks have it."""
    from napari_dinov3_sim.core.search.peaks import patch_center

    cosine = similarity.cosine
    row, column = divmod(int(cosine.argmax()), similarity.grid.columns)
    x, y = place.full(*patch_center(row, column, similarity.grid))
    return {
        "min": float(cosine.min()),
        "max": float(cosine.max()),
        "mean": float(cosine.mean()),
        "best_match": {"x": x, "y": y, "cosine": float(cosine[row, column])},
    }


def say_results(written: Written, folder: OutputFolder) -> None:
    """Tell what was found and where it is."""
    say(_table(written))
    if written.threshold is not None:
        say(f"The threshold is {written.threshold:.3f}.")
    for line in level_lines(entry.place for entry in written.entries):
        say(line)
    say(f"The files are in {folder.path}; bright is similar, on one scale for all images.")


def _table(written: Written) -> str:
    rows = [("image", "kind", "size", "best match (x, y)", "cosine", "written")]
    for entry in written.entries:
        height, width = entry.place.plan.full_shape
        for kind in entry.kinds:
            best = kind["best_match"]
            click = ", the click" * entry.about["clicked"]
            where = f"({best['x']:.10g}, {best['y']:.10g}){click}"
            files = ", ".join(Path(p).name for p in _files_of(kind))
            row = (entry.place.name, kind["kind"], f"{width} × {height}", where)
            rows.append((*row, f"{best['cosine']:.3f}", files))
        rows += [("", "", "", "", "", Path(path).name) for path in entry.files.values()]
    return table(rows)

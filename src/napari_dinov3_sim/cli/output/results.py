"""Results of a search: what is written and reported for each plane and class."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.cli.errors import PlaneFailed, failed
from napari_dinov3_sim.cli.output.drawing import (
    NEGATIVE,
    OUTLINE,
    draw_plane,
    lay_heat,
    outline_patches,
    step_of,
)
from napari_dinov3_sim.cli.output.exports import SpreadLabels, export_objects
from napari_dinov3_sim.cli.output.files import (
    CLASS_MAP,
    COSINE,
    HEATMAP,
    LABELS,
    PEAKS,
    OutputFolder,
    OutputOptions,
    class_parts,
    encode_png,
    write_map,
)
from napari_dinov3_sim.cli.output.object_tables import ObjectTables
from napari_dinov3_sim.cli.output.objects import ObjectLabeller
from napari_dinov3_sim.cli.output.thresholds import Levels
from napari_dinov3_sim.cli.planes import level_lines
from napari_dinov3_sim.cli.terminal import say, say_table
from napari_dinov3_sim.core.geometry import convert_pixel_coordinates_to_patch_index
from napari_dinov3_sim.core.text import plural
from napari_dinov3_sim.store.peak_csv import PeakRow, peaks_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.cli.errors import Failures
    from napari_dinov3_sim.cli.output.drawing import Limits
    from napari_dinov3_sim.cli.output.thresholds import AskedClasses
    from napari_dinov3_sim.cli.planes import PlaneOpener, SearchPlane
    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.core.objects.guide import PixelGuide
    from napari_dinov3_sim.core.search.similarity import Point, SimilarityMap


@dataclass(frozen=True, eq=False)
class PlaneReport:
    """What is reported of one plane: `about` the plane, and of each of its `classes`.

    `clicks` are the middles of the patches that were clicked in it, as best matches have them.
    """

    place: SearchPlane
    about: dict[str, Any]
    classes: list[dict[str, Any]]
    files: dict[str, str] = field(default_factory=dict)
    clicks: frozenset[Point] = frozenset()

    def flat(self) -> dict[str, Any]:
        """Return one object for an image with one class."""
        only = {name: value for name, value in self.classes[0].items() if name != "class"}
        return {**self.about, **only, **self.files}

    def nested(self) -> dict[str, Any]:
        """Return one object with a list of classes."""
        return {**self.about, "classes": self.classes, **self.files}

    def paths(self) -> Iterator[str]:
        """Return every file written."""
        for report in self.classes:
            yield from _files_of(report)
        yield from self.files.values()


def _files_of(report: dict[str, Any]) -> list[str]:
    return [report[name] for name in ("cosine", "heatmap", "labels") if name in report]


@dataclass(frozen=True, eq=False)
class SearchReport:
    """What was written: entries in the order of the planes, their common scale, and tables."""

    entries: list[PlaneReport]
    limits: Limits | None = None
    levels: Levels = field(default_factory=Levels)
    tables: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return what concerns all images, for the report."""
        files = [path for entry in self.entries for path in entry.paths()]
        files += self.tables
        limits = None if self.limits is None else list(self.limits)
        by_class = {"thresholds": dict(self.levels.by_class)} if self.levels.by_class else {}
        return {"limits": limits, "threshold": self.levels.common, **by_class, "files": files}

    def objects(self) -> dict[str, int]:
        """Return how many objects each class has in all images; empty where none are sought."""
        found: dict[str, int] = {}
        for entry in self.entries:
            for report in entry.classes:
                if "objects" in report:
                    name = report["class"]
                    found[name] = found.get(name, 0) + report["objects"]
        return found


def summarise(similarity: SimilarityMap, place: SearchPlane) -> dict[str, Any]:
    """Return range and mean of the cosine, and the middle of the best patch, as peaks have it."""
    cosine = similarity.cosine
    best = int(cosine.argmax())
    x, y = _middle(best, similarity.grid, place)
    return {
        "min": float(cosine.min()),
        "max": float(cosine.max()),
        "mean": float(cosine.mean()),
        "best_match": {"x": x, "y": y, "cosine": float(cosine.flat[best])},
    }


def _middle(patch: int, grid: PatchGrid, place: SearchPlane) -> Point:
    from napari_dinov3_sim.core.search.peaks import patch_center

    return place.full(*patch_center(*divmod(patch, grid.columns), grid))


def _middle_of_click(point: Point, result: Result) -> Point:
    grid = result.maps[0].grid
    return _middle(convert_pixel_coordinates_to_patch_index(*point, grid), grid, result.place)


def say_results(written: SearchReport, folder: OutputFolder) -> None:
    """Tell what was found and where it is."""
    say_table(_rows(written))
    if written.levels.common is not None:
        say(f"The threshold is {written.levels.common:.3f}.")
    for name, level in written.levels.by_class.items():
        say(f"The threshold of {name} is {level:.3f}.")
    for line in level_lines(entry.place for entry in written.entries):
        say(line)
    counts = [f"{plural(count, 'object')} of {name}" for name, count in written.objects().items()]
    images = plural(len({entry.place.path for entry in written.entries}), "image")
    if counts:
        say(f"{images}: {', '.join(counts)}.")
    if written.tables:
        say(f"The measurements are in {_names(written.tables)}.")
    say(f"The files are in {folder.path}; bright is similar, on one scale for all images.")


MOST_TABLES = 3
"""Of which the names are told."""


def _names(paths: Sequence[str]) -> str:
    """Return the names of files, of many the first ones and the last, which is the summary."""
    names = [Path(path).name for path in paths]
    more = len(names) - 1 - MOST_TABLES
    others = [*names[:-1][:MOST_TABLES], *([f"{more} more"] if more > 0 else [])]
    return f"{', '.join(others)} and {names[-1]}"


def _rows(written: SearchReport) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("image", "class", "size", "best match (x, y)", "cosine", "written")
    ]
    for entry in written.entries:
        height, width = entry.place.plan.full_shape
        for report in entry.classes:
            best = report["best_match"]
            click = ", the click" * ((best["x"], best["y"]) in entry.clicks)
            where = f"({best['x']:.10g}, {best['y']:.10g}){click}"
            files = ", ".join(Path(p).name for p in _files_of(report))
            row = (entry.place.name, report["class"], f"{width} × {height}", where)
            rows.append((*row, f"{best['cosine']:.3f}", files))
        rows += [("", "", "", "", "", Path(path).name) for path in entry.files.values()]
    return rows


@dataclass(frozen=True, eq=False)
class Result:
    """The maps of one plane, and what is needed to draw them.

    Attributes
    ----------
    place : SearchPlane
    maps : tuple of SimilarityMap
        One per class.
    window : IntensityWindow or None
    stored : bool
        Whether stored embeddings were used.
    points, negatives : tuple of (x, y)
        The clicks, in embedded pixels of the plane that was clicked; empty elsewhere.
    """

    place: SearchPlane
    maps: tuple[SimilarityMap, ...]
    window: IntensityWindow | None
    stored: bool
    points: tuple[Point, ...] = ()
    negatives: tuple[Point, ...] = ()


def write_results(
    results: Iterable[Result],
    classes: Sequence[str],
    wanted: OutputOptions,
    folder: OutputFolder,
    planes: PlaneOpener,
    *,
    failures: Failures,
    asked: AskedClasses | None = None,
) -> SearchReport:
    """Write the files of all planes, on one scale and with the same thresholds.

    Where these are known, each plane is written as soon as it comes: an interrupted search
    leaves the planes that are done, and one of many images holds only one of them.

    Parameters
    ----------
    results : iterable of Result
    classes : sequence of str
        Names of the classes, in the order of the maps.
    wanted : OutputOptions
    folder : OutputFolder
    planes : PlaneOpener
        Of which the pixels are read again.
    failures : Failures
        Gets the planes that cannot be read any more.
    asked : AskedClasses, optional
        From which automatic thresholds follow.
    """
    scale = wanted.scale(classes)
    if scale is None:
        results = list(results)
        maps = [one for result in results for one in result.maps]
        scale = wanted.scale(classes, maps, asked)
    if scale is None:  # every image has failed
        return SearchReport([])
    colours = {} if asked is None else asked.colours
    labeller = ObjectLabeller(wanted.objects, planes)
    tables = ObjectTables(folder, classes, planes, failures) if wanted.measure else None
    writer = _Writer(folder, classes, wanted, *scale, labeller, tables, colours)
    entries = []
    for result in results:
        picture = _picture(result, planes) if wanted.heatmap else None
        guide = _guide(result, labeller) if wanted.seeks_objects else None
        if isinstance(picture, PlaneFailed):
            failures.add(picture)
        elif isinstance(guide, PlaneFailed):
            failures.add(guide)
        else:
            entries.append(writer.write(result, picture, guide))
    return SearchReport(entries, *scale, () if tables is None else tables.finish())


def _picture(result: Result, planes: PlaneOpener) -> NDArray[Any] | PlaneFailed:
    try:
        return draw_plane(planes.source(result.place), result.window)
    except Exception as error:  # as when it is embedded, it does not stop the others
        return failed(result.place.path, error)


def _guide(result: Result, labeller: ObjectLabeller) -> PixelGuide | PlaneFailed | None:
    try:
        return labeller.guide(result.place, result.maps[0].grid, result.window)
    except Exception as error:  # as when it is drawn
        return failed(result.place.path, error)


@dataclass(frozen=True, eq=False)
class _Writer:
    folder: OutputFolder
    classes: Sequence[str]
    wanted: OutputOptions
    limits: Limits | None
    levels: Levels
    labeller: ObjectLabeller
    tables: ObjectTables | None
    colours: Mapping[str, str]
    _objects: dict[str, SpreadLabels] = field(default_factory=dict)
    """Of the plane that is written, by class."""

    @cached_property
    def _parts(self) -> list[str]:
        return class_parts(self.classes)

    def write(
        self, result: Result, picture: NDArray[Any] | None, guide: PixelGuide | None
    ) -> PlaneReport:
        """Write the files of a plane.

        The picture is given if a heatmap is drawn, and the guide if objects have edges.
        """
        place = result.place
        self._objects.clear()
        about = {
            "image": str(place.path),
            **place.about(),
            "clicked": bool(result.points),
            "shape": list(result.maps[0].grid.image_shape),
            "stored_embeddings": result.stored,
        }
        parts = zip(self.classes, self._parts, result.maps, strict=True)
        classes = [
            {
                "class": class_name,
                **self._write_class(result, picture, one, f"{place.stem}{part}", class_name),
                **self._write_labels(one, place, f"{place.stem}{part}", class_name, guide),
            }
            for class_name, part, one in parts
        ]
        clicks = frozenset(_middle_of_click(point, result) for point in result.points)
        return PlaneReport(place, about, classes, self._write_together(result), clicks)

    def _write_class(
        self,
        result: Result,
        picture: NDArray[Any] | None,
        one: SimilarityMap,
        stem: str,
        title: str,
    ) -> dict[str, Any]:
        about, place = summarise(one, result.place), result.place
        if self.wanted.cosine:
            about["cosine"] = self._write_map(
                f"{stem}{COSINE}", one.cosine, one.grid, place, title
            )
        if picture is not None and self.limits is not None:
            name = f"{stem}{HEATMAP}"
            about["heatmap"] = self._write_heatmap(name, result, picture, one, self.limits)
        return about

    def _write_map(
        self, name: str, values: NDArray[Any], grid: PatchGrid, place: SearchPlane, title: str
    ) -> str:
        with self.folder.writing(name) as part:
            write_map(part, values, grid, place.pixel, title)
        return str(self.folder.path / name)

    def _write_heatmap(
        self,
        name: str,
        result: Result,
        picture: NDArray[Any],
        one: SimilarityMap,
        limits: Limits,
    ) -> str:
        step = step_of(one.grid.image_shape)
        drawn = lay_heat(picture, one, limits, step)
        drawn = outline_patches(drawn, one.grid, result.points, OUTLINE, step)
        drawn = outline_patches(drawn, one.grid, result.negatives, NEGATIVE, step)
        return str(self.folder.write(name, encode_png(drawn, result.place.pixel, step)))

    def _write_labels(
        self,
        one: SimilarityMap,
        place: SearchPlane,
        stem: str,
        title: str,
        guide: PixelGuide | None,
    ) -> dict[str, Any]:
        level = self.levels.of(title)
        if level is None or not self.wanted.seeks_objects:
            return {}
        labels, grid = self.labeller.label(one, level, place, guide)
        self._objects[title] = SpreadLabels(labels, grid)
        if self.tables is not None:
            self.tables.add(place, title, labels, grid, one)
        count = int(labels.max(initial=0))
        if not self.wanted.labels:
            return {"objects": count}
        path = self._write_map(f"{stem}{LABELS}", labels, grid, place, title)
        return {"labels": path, "objects": count}

    def _write_together(self, result: Result) -> dict[str, str]:
        from napari_dinov3_sim.core.search.combine import best_class

        files, stem = {}, result.place.stem
        if len(self.classes) > 1:
            wanted = bool(self.wanted.thresholds)
            levels = [self.levels.of(name) if wanted else None for name in self.classes]
            numbers = best_class(result.maps, levels)
            title = ", ".join(f"{at} {name}" for at, name in enumerate(self.classes, start=1))
            files["class_map"] = self._write_map(
                f"{stem}{CLASS_MAP}", numbers, result.maps[0].grid, result.place, title
            )
        if self.wanted.peaks:
            content = peaks_table(self._peaks(result)).encode()
            files["peaks"] = str(self.folder.write(f"{stem}{PEAKS}", content))
        if self.wanted.exports and self._objects:
            found, formats = self._objects, self.wanted.exports
            files |= export_objects(self.folder, result.place, found, self.colours, formats)
        return files

    def _peaks(self, result: Result) -> Iterator[PeakRow]:
        from napari_dinov3_sim.core.search.peaks import find_peaks

        place = result.place
        for class_name, one in zip(self.classes, result.maps, strict=True):
            for peak in find_peaks(one, self.levels.of(class_name)):
                x, y = place.full(peak.x, peak.y)
                yield PeakRow(place.short_name, class_name, x, y, peak.score)

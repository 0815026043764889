"""``napari-dinov3-sim embed``: embed images once, for many searches."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.cli.embeddings import recipe_of, tell_of_left_over
from napari_dinov3_sim.cli.errors import Failures, PlaneFailed
from napari_dinov3_sim.cli.model import open_model, say_description
from napari_dinov3_sim.cli.output.exports import EmbeddingExports
from napari_dinov3_sim.cli.output.files import lent_folder
from napari_dinov3_sim.cli.planes import FilePlan, expand, name_planes, plan, tasks_of
from napari_dinov3_sim.cli.reading.options import ReadOptions
from napari_dinov3_sim.cli.tasks import (
    EmbedSettings,
    OpenFileCache,
    PlaneDone,
    PlaneTask,
    TaskRunner,
)
from napari_dinov3_sim.cli.terminal import PlaneProgress, ProgressBars, note, say
from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.images.intensity import NO_CONTRAST
from napari_dinov3_sim.core.text import plural

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence


@dataclass(eq=False)
class _File:
    """The planes of a file, as far as they are done."""

    plan: FilePlan
    entries: list[dict[str, Any]] = field(default_factory=list)
    failures: int = 0
    is_flat: bool = False

    @property
    def is_done(self) -> bool:
        return len(self.entries) + self.failures >= self.plan.planes

    def line(self) -> str:
        written = sum(not entry["skipped"] for entry in self.entries)
        if self.plan.planes == 1:
            where = "written to" if written else "was already there,"
            what = f"{_patches(self.entries)}, {where} {self.entries[0]['embeddings']}"
        else:
            what = f"{self.plan.planes} planes of {_patches(self.entries)}, {written} written"
            there = len(self.entries) - written
            what += f", {there} were already there" if there else ""
            what += f", {self.failures} failed" if self.failures else ""
        return f"{self.plan.path}: {what}{_resumed(self.entries)}{_level(self.entries[0])}"


def _patches(entries: list[dict[str, Any]]) -> str:
    return "{} × {} patches".format(*entries[0]["patches"])


def _resumed(entries: list[dict[str, Any]]) -> str:
    tiles = [entry["resumed_tiles"] for entry in entries if entry["resumed_tiles"][0]]
    found, count = (sum(each[number] for each in tiles) for number in (0, 1))
    return f"; {found} of {count} tiles were already there" if found else ""


def _level(entry: dict[str, Any]) -> str:
    if entry["levels"] == 1:
        return ""
    height, width = entry["shape"]
    return f"; level {entry['level']} of 0 to {entry['levels'] - 1}, {width} × {height} pixels"


class EmbedReport:
    """Collects results and tells them.

    Parameters
    ----------
    folder : Path
        Where the embeddings go, as the user named it.
    files : int
        How many files were named.
    as_json : bool
    """

    def __init__(self, folder: Path, files: int, *, as_json: bool) -> None:
        self._folder, self._count, self._as_json = folder, files, as_json
        self._files: dict[Path, _File] = {}
        self._entries: list[dict[str, Any]] = []
        self._failures = Failures()
        self._model: dict[str, Any] | None = None
        self._meter: PlaneProgress | None = None

    def begin(self, plans: Sequence[FilePlan], meter: PlaneProgress) -> None:
        """Take note of what is to come."""
        self._files = {plan.path: _File(plan) for plan in plans}
        self._meter = meter

    def add(self, result: PlaneDone | PlaneFailed) -> None:
        """Take note of a result."""
        if isinstance(result, PlaneDone):
            self._add_done(result)
        else:
            self._add_failed(result)

    def _add_done(self, done: PlaneDone) -> None:
        if self._model is None:
            self._model = done.model
            if not self._as_json:
                self._pause()
                say_description(done.model)
        self._entries.append(done.facts)
        file = self._files[done.task.path]
        file.entries.append(done.facts)
        self._tell_if_flat(file, done)
        self._advance(file, done.task.megapixels)

    def _tell_if_flat(self, file: _File, done: PlaneDone) -> None:
        """Tell of an image without contrast; of a stack once, which has it or lacks it as one.

        The planes of a stack in colour have no window in common: one that is blank is no news.
        """
        as_one = done.task.window is not None or not done.task.position
        if as_one and not done.facts["has_contrast"] and not file.is_flat:
            file.is_flat = True
            self._pause()
            note(f"note: {NO_CONTRAST.format(name=done.task.path)}")

    def _add_failed(self, failed: PlaneFailed) -> None:
        self._pause()
        self._failures.add(failed)
        file = self._files.get(failed.path)
        if file is not None:
            file.failures += failed.planes
            self._advance(file, failed.megapixels, failed.planes)

    def _advance(self, file: _File, megapixels: float, planes: int = 1) -> None:
        if self._meter is not None:
            self._meter.finish(megapixels, planes)
        if file.is_done and file.entries and not self._as_json:
            self._pause()
            say(file.line())

    def _pause(self) -> None:
        if self._meter is not None:
            self._meter.pause()

    def close(self) -> int:
        """Tell the rest and return the exit code."""
        if self._as_json and (self._entries or self._count > 1):
            say(json.dumps(self._as_object()))
        elif self._count > 1 or len(self._entries) > 1:
            say(self._summary())
        return self._failures.close(self._count)

    def _as_object(self) -> dict[str, Any]:
        entries = sorted(self._entries, key=self._order)
        return {
            **(self._model or {}),
            "images": entries,
            "files": [entry["embeddings"] for entry in entries if not entry["skipped"]],
            "failures": self._failures.as_objects(),
        }

    def _order(self, entry: dict[str, Any]) -> tuple[int, int, int, list[int]]:
        paths = [str(path) for path in self._files]
        series = entry.get("series", 0)
        return paths.index(entry["image"]), series, entry["channel"] or 0, entry["plane"]

    def _summary(self) -> str:
        written = sum(not entry["skipped"] for entry in self._entries)
        there = len(self._entries) - written
        parts = [f"{written} written", f"{there} already there"]
        parts += [f"{len(self._failures)} failed"] if self._failures else []
        planes = plural(len(self._entries), "plane")
        images = plural(self._count, "image")
        return f"{planes} of {images} in {self._folder}: {', '.join(parts)}."


def run_embed(arguments: argparse.Namespace) -> int:
    """Run the command; each plane is written as soon as it is embedded."""
    recipe = recipe_of(arguments)
    # A worker of a cluster has another current folder.
    names = map(Path.absolute, arguments.images) if arguments.scheduler else arguments.images
    how = ReadOptions.of(arguments)
    found = [_planned(path, how) for path in expand(names)]
    plans = [file for file in found if isinstance(file, FilePlan)]
    report = EmbedReport(arguments.out, len(found), as_json=arguments.json)
    for file in found:
        if isinstance(file, PlaneFailed):
            report.add(file)
    if plans:
        exports = EmbeddingExports(name_planes(plans) if arguments.export else [], arguments)
        exports.check()
        with lent_folder(arguments.out) as folder:
            model, device, dtype = arguments.model, arguments.device, arguments.dtype
            settings = EmbedSettings(model, device, dtype, recipe, folder.path, how)
            _embed(plans, settings, arguments.scheduler, report, exports)
            tell_of_left_over(folder.path)
    return report.close()


def _planned(path: Path | PlaneFailed, how: ReadOptions) -> FilePlan | PlaneFailed:
    return path if isinstance(path, PlaneFailed) else plan(path, how)


def _embed(
    plans: Sequence[FilePlan],
    settings: EmbedSettings,
    scheduler: str | None,
    report: EmbedReport,
    exports: EmbeddingExports,
) -> None:
    planes, megapixels = sum(p.planes for p in plans), sum(p.megapixels for p in plans)
    with closing(PlaneProgress(planes, megapixels)) as meter:
        report.begin(plans, meter)
        if scheduler is None:
            results = _here(plans, settings, meter)
        else:
            results = _on_cluster(plans, settings, scheduler, meter)
        for result in results:
            if isinstance(result, PlaneFailed) and result.ends_all:
                raise StoreError(result.message)
            if isinstance(result, PlaneDone):
                exports.write(result)
            report.add(result)


def _here(
    plans: Sequence[FilePlan], settings: EmbedSettings, meter: PlaneProgress
) -> Iterator[PlaneDone | PlaneFailed]:
    with closing(ProgressBars()) as bars:
        model = open_model(settings.model, settings.device, settings.dtype, bars)
    with closing(OpenFileCache()) as files:
        runner = TaskRunner(settings, model, files)
        for task in tasks_of(plans, settings.how):
            if isinstance(task, PlaneTask):
                meter.start(task.path.name, task.megapixels)
                yield runner.attempt(task, meter.tile)
            else:
                yield task


def _on_cluster(
    plans: Sequence[FilePlan], settings: EmbedSettings, scheduler: str, meter: PlaneProgress
) -> Iterator[PlaneDone | PlaneFailed]:
    from napari_dinov3_sim.cli.cluster import connected

    there = replace(settings, folder=settings.folder.resolve())
    with connected(scheduler, there) as cluster:
        meter.start(f"on {scheduler}", 0.0)
        yield from cluster.run(tasks_of(plans, settings.how))

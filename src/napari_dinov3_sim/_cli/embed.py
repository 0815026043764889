"""``napari-dinov3-sim embed``: embed images now, search them later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.embedding import recipe_of
from napari_dinov3_sim._cli.meter import Meter
from napari_dinov3_sim._cli.model import open_model
from napari_dinov3_sim._cli.outputs import open_folder
from napari_dinov3_sim._cli.planning import FilePlan, expand, plan, tasks_of
from napari_dinov3_sim._cli.report import Report
from napari_dinov3_sim._cli.tasks import PlaneFailed, PlaneTask, Settings, attempt, last_file
from napari_dinov3_sim._cli.terminal import Bars
from napari_dinov3_sim.core.errors import StoreError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from napari_dinov3_sim._cli.colours import ReadAs
    from napari_dinov3_sim._cli.tasks import PlaneDone


def run(arguments: argparse.Namespace) -> int:
    """Run the command; each plane is written as soon as it is embedded."""
    recipe = recipe_of(arguments)
    # A worker of a cluster has another current folder.
    names = map(Path.absolute, arguments.images) if arguments.scheduler else arguments.images
    found = [_planned(path, arguments.read_as) for path in expand(names)]
    plans = [file for file in found if isinstance(file, FilePlan)]
    report = Report(arguments.out, len(found), as_json=arguments.json)
    for file in found:
        if isinstance(file, PlaneFailed):
            report.add(file)
    if plans:
        settings = Settings(
            arguments.model,
            arguments.device,
            arguments.dtype,
            recipe,
            open_folder(arguments.out).path,
            arguments.read_as,
        )
        _embed(plans, settings, arguments.scheduler, report)
    return report.close()


def _planned(path: Path | PlaneFailed, read_as: ReadAs) -> FilePlan | PlaneFailed:
    return path if isinstance(path, PlaneFailed) else plan(path, read_as)


def _embed(
    plans: Sequence[FilePlan], settings: Settings, scheduler: str | None, report: Report
) -> None:
    planes, megapixels = sum(p.planes for p in plans), sum(p.megapixels for p in plans)
    with Meter(planes, megapixels) as meter:
        report.begin(plans, meter)
        if scheduler is None:
            results = _here(plans, settings, meter)
        else:
            results = _on_cluster(plans, settings, scheduler, meter)
        for result in results:
            if isinstance(result, PlaneFailed) and result.ends_all:
                raise StoreError(result.message)
            report.add(result)


def _here(
    plans: Sequence[FilePlan], settings: Settings, meter: Meter
) -> Iterator[PlaneDone | PlaneFailed]:
    with Bars() as bars:
        model = open_model(settings.model, settings.device, settings.dtype, bars)
    try:
        for task in tasks_of(plans, settings.read_as):
            if isinstance(task, PlaneTask):
                meter.start(task.path.name, task.megapixels)
                yield attempt(task, settings, model, meter.tile)
            else:
                yield task
    finally:
        last_file.close()


def _on_cluster(
    plans: Sequence[FilePlan], settings: Settings, scheduler: str, meter: Meter
) -> Iterator[PlaneDone | PlaneFailed]:
    from napari_dinov3_sim._cli.cluster import connected

    there = replace(settings, folder=settings.folder.resolve())
    with connected(scheduler, there) as cluster:
        meter.start(f"on {scheduler}", 0.0)
        yield from cluster.run(tasks_of(plans, settings.read_as))

"""What `embed` has to do: the files meant, what is in them, and a task for each plane."""

from __future__ import annotations

import glob
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.errors import InputError
from napari_dinov3_sim._cli.images import picture_shape, reading
from napari_dinov3_sim._cli.outputs import without_repeats
from napari_dinov3_sim._cli.sources import ARRAY_SUFFIXES, OpenFile
from napari_dinov3_sim._cli.tasks import PlaneFailed, PlaneTask, failed
from napari_dinov3_sim._cli.zarrs import is_zarr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True)
class LayerPlan:
    """How many planes a layer has, and of how many megapixels each.

    Attributes
    ----------
    planes : int
    megapixels : float
    is_stack : bool
        Whether the intensity window is that of more than the plane itself.
    """

    planes: int
    megapixels: float
    is_stack: bool


@dataclass(frozen=True)
class FilePlan:
    """What there is to do for one file.

    Attributes
    ----------
    path : Path
    layers : tuple of LayerPlan
    """

    path: Path
    layers: tuple[LayerPlan, ...]

    @property
    def planes(self) -> int:
        """Planes in all layers."""
        return sum(layer.planes for layer in self.layers)

    @property
    def megapixels(self) -> float:
        """Megapixels in all planes."""
        return sum(layer.planes * layer.megapixels for layer in self.layers)


def expand(names: Iterable[Path]) -> Iterator[Path | PlaneFailed]:
    """Return the files that are meant, each once; a name with ``*``, ``?`` or ``[`` is a pattern.

    Folders that match a pattern are left out unless they are Zarr.
    """
    found: list[Path] = []
    for name in names:
        if name.exists() or not glob.has_magic(str(name)):
            found.append(name)
            continue
        matches = [Path(match) for match in sorted(glob.glob(str(name), recursive=True))]  # noqa: PTH207
        matches = [match for match in matches if match.is_file() or is_zarr(match)]
        found += matches
        if not matches:
            message = f"No image matches {name}; check the spelling and the folder."
            yield PlaneFailed(name, message)
    yield from without_repeats(found)


def plan(path: Path) -> FilePlan | PlaneFailed:
    """Return what there is to do for a file, from as little of it as possible."""
    try:
        return FilePlan(path, tuple(_layers(path)))
    except Exception as error:
        return failed(path, error)


def _layers(path: Path) -> list[LayerPlan]:
    if not is_zarr(path) and path.suffix.lower() not in ARRAY_SUFFIXES:
        with reading(path):
            return [LayerPlan(1, math.prod(picture_shape(path)) / 1e6, False)]
    with OpenFile(path) as file:
        return [
            LayerPlan(math.prod(layer.leading), layer.megapixels, bool(layer.leading))
            for layer in file.layers
        ]


def tasks_of(plans: Sequence[FilePlan]) -> Iterator[PlaneTask | PlaneFailed]:
    """Return the tasks file by file; a file is opened for its window when its turn has come."""
    for file in plans:
        try:
            yield from _tasks_of(file)
        except Exception as error:
            yield failed(file.path, error, file.megapixels, file.planes)


def _tasks_of(plan: FilePlan) -> list[PlaneTask]:
    if not any(layer.is_stack for layer in plan.layers):
        return [PlaneTask(plan.path, 0, (), None, plan.megapixels)]
    tasks = []
    with OpenFile(plan.path) as file:
        if len(file.layers) != len(plan.layers):
            raise InputError(f"{plan.path} was changed in the meantime; run the command again.")
        for number, layer in enumerate(file.layers):
            window = layer.window()
            tasks += [
                PlaneTask(plan.path, number, position, window, layer.megapixels)
                for position in layer.positions()
            ]
    return tasks

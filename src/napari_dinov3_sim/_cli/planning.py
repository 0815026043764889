"""What there is to do: the files meant, what is in them, and a task for each plane."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim._cli.errors import InputError
from napari_dinov3_sim._cli.images import ARRAY_SUFFIXES, picture_shape, reading
from napari_dinov3_sim._cli.outputs import without_repeats
from napari_dinov3_sim._cli.patterns import matching
from napari_dinov3_sim._cli.sources import OpenFile
from napari_dinov3_sim._cli.tasks import PlaneFailed, PlaneTask, failed
from napari_dinov3_sim._cli.terminal import note
from napari_dinov3_sim._cli.zarrs import is_zarr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from napari_dinov3_sim._cli.colours import ReadAs
    from napari_dinov3_sim._cli.layers import Layer


@dataclass(frozen=True)
class LayerPlan:
    """What planes a layer has.

    Attributes
    ----------
    shape : tuple of int
        Height and width of what goes through the model.
    full_shape : tuple of int
        Height and width in the finest level.
    leading, full_leading : tuple of int
        Lengths of the axes before rows and columns, in the embedded and in the finest level.
    channel : int or None
        For a file whose channels are layers of their own.
    level, levels : int
        Which level is embedded, 0 the finest, and of how many.
    """

    shape: tuple[int, int]
    full_shape: tuple[int, int]
    leading: tuple[int, ...] = ()
    full_leading: tuple[int, ...] = ()
    channel: int | None = None
    level: int = 0
    levels: int = 1

    @classmethod
    def of(cls, layer: Layer) -> LayerPlan:
        """Return the plan of a layer."""
        return cls(
            layer.plane_shape,
            (layer.shape[-2], layer.shape[-1]),
            layer.leading,
            layer.full_leading,
            None if layer.channel is None else layer.channel[1],
            layer.level,
            layer.levels,
        )

    @property
    def planes(self) -> int:
        """Number of planes."""
        return math.prod(self.leading)

    @property
    def megapixels(self) -> float:
        """Pixels of one plane, in millions."""
        return math.prod(self.shape) / 1e6

    @property
    def is_stack(self) -> bool:
        """Whether the intensity window is that of more than the plane itself."""
        return bool(self.leading)


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
    """Return the files that are meant, each once, after the patterns that match none."""
    found: list[Path] = []
    for name in names:
        try:
            found += matching(name)
        except InputError as error:
            yield failed(name, error)
    yield from without_repeats(found)


def plan(path: Path, read_as: ReadAs) -> FilePlan | PlaneFailed:
    """Return what there is to do for a file, or why nothing can be done; see `look_into`."""
    try:
        return look_into(path, read_as)
    except Exception as error:
        return failed(path, error)


def look_into(path: Path, read_as: ReadAs) -> FilePlan:
    """Return what there is to do for a file, from as little of it as possible.

    How it is read is told where the file leaves that open.
    """
    if not is_zarr(path) and path.suffix.lower() not in ARRAY_SUFFIXES:
        with reading(path):
            shape = picture_shape(path)
        return FilePlan(path, (LayerPlan(shape, shape),))
    with OpenFile(path, read_as) as file:
        if file.doubt:
            note(f"note: {path} {file.doubt}")
        return FilePlan(path, tuple(map(LayerPlan.of, file.layers)))


def tasks_of(plans: Sequence[FilePlan], read_as: ReadAs) -> Iterator[PlaneTask | PlaneFailed]:
    """Return the tasks file by file; a file is opened for its window when its turn has come."""
    for file in plans:
        try:
            yield from _tasks_of(file, read_as)
        except Exception as error:
            yield failed(file.path, error, file.megapixels, file.planes)


def _tasks_of(plan: FilePlan, read_as: ReadAs) -> list[PlaneTask]:
    if not any(layer.is_stack for layer in plan.layers):
        return [
            PlaneTask(plan.path, number, (), None, layer.megapixels)
            for number, layer in enumerate(plan.layers)
        ]
    tasks = []
    with OpenFile(plan.path, read_as) as file:
        if len(file.layers) != len(plan.layers):
            raise InputError(f"{plan.path} was changed in the meantime; run the command again.")
        for number, layer in enumerate(file.layers):
            window = layer.window()
            tasks += [
                PlaneTask(plan.path, number, position, window, layer.megapixels)
                for position in layer.positions()
            ]
    return tasks

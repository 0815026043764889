"""The planes of the files on the command line, and a task for each."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from math import floor
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.cli.errors import InputChangedError, PlaneFailed, failed
from napari_dinov3_sim.cli.reading.layer import NO_GRID, PixelGrid, ending
from napari_dinov3_sim.cli.reading.open_file import OpenFile
from napari_dinov3_sim.cli.reading.paths import matching, stem_of, unique_stems, without_repeats
from napari_dinov3_sim.cli.tasks import OpenFileCache, PlaneTask
from napari_dinov3_sim.cli.terminal import note
from napari_dinov3_sim.core.images.levels import coordinate_in_level, pixel_in_level
from napari_dinov3_sim.core.text import file_name_part
from napari_dinov3_sim.exchange.placement import named_axes
from napari_dinov3_sim.readers.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from napari_dinov3_sim.cli.reading.layer import Layer
    from napari_dinov3_sim.cli.reading.options import ReadOptions
    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.core.images.levels import Position
    from napari_dinov3_sim.core.images.sources import ArraySource
    from napari_dinov3_sim.core.search.similarity import Point


MAX_STEM = 100
"""Bytes of the name of a file in those of its results; plane, class and suffix follow."""


@dataclass(frozen=True)
class SearchPlane:
    """A plane that is searched.

    Attributes
    ----------
    path : Path
    layer : int
        Which of the layers of the file.
    position : tuple of int
        Along the axes before rows and columns, in the embedded level.
    plan : LayerPlan
        Of its layer.
    is_only : bool
        Whether the file has no other plane.
    stem : str
        By which its results are called.
    """

    path: Path
    layer: int
    position: Position
    plan: LayerPlan
    is_only: bool
    stem: str = ""

    @property
    def ending(self) -> str:
        """What tells the results of the planes of a file apart, as `embed` names them."""
        return ending(self.plan.series, self.plan.channel, self.position, self.plan.leading)

    @property
    def layer_ending(self) -> str:
        """What tells what is said of all planes of a layer apart from that of other layers."""
        return ending(self.plan.series, self.plan.channel, (), ())

    @property
    def image_stem(self) -> str:
        """By which is called what is said of all planes of its layer."""
        return f"{self.stem.removesuffix(self.ending)}{self.layer_ending}"

    @property
    def image_name(self) -> str:
        """What napari calls its layer."""
        return f"{self.stem.removesuffix(self.ending)} {self.plan.title}".strip()

    @property
    def name(self) -> str:
        """The file, and which plane it is where there are several."""
        return f"{self.path}{self._which}"

    @property
    def short_name(self) -> str:
        """The name without the folder."""
        return f"{self.path.name}{self._which}"

    @property
    def _which(self) -> str:
        if self.is_only:
            return ""
        series = "" if self.plan.series is None else f" image {self.plan.series}"
        channel = "" if self.plan.channel is None else f" channel {self.plan.channel}"
        plane = " ".join(map(str, self.position))
        return f"{series}{channel} plane {plane}" if plane else f"{series}{channel}"

    def about(self) -> dict[str, Any]:
        """Return what JSON says of it besides the file; nothing for a plain picture."""
        if self.is_only and self.plan.levels == 1:
            return {}
        series = {} if self.plan.series is None else {"series": self.plan.series}
        return {
            **series,
            "channel": self.plan.channel,
            "plane": list(self.position),
            "level": self.plan.level,
            "levels": self.plan.levels,
            "full_shape": list(self.plan.full_shape),
        }

    def task(self, window: IntensityWindow | None) -> PlaneTask:
        """Return it as `embed` has it."""
        return PlaneTask(self.path, self.layer, self.position, window, self.plan.megapixels)

    @property
    def ratios(self) -> tuple[float, float]:
        """How many pixels of the finest level an embedded one spans, along x and y."""
        (height, width), (full_height, full_width) = self.plan.shape, self.plan.full_shape
        return full_width / width, full_height / height

    @property
    def full_position(self) -> Position:
        """Where it lies in the finest level: the middle of the planes that it stands for."""
        lengths = zip(self.position, self.plan.leading, self.plan.full_leading, strict=True)
        return tuple(int((at + 0.5) * full / length) for at, length, full in lengths)

    @property
    def pixel(self) -> PixelGrid:
        """Where the pixels of its maps lie."""
        across, down = self.ratios
        return self.plan.pixel.coarser((down, across))

    def embedded(self, point: Point) -> Point:
        """Return the embedded pixel that holds the middle of a pixel of the finest level."""
        (height, width), (full_height, full_width) = self.plan.shape, self.plan.full_shape
        x, y = map(floor, point)
        return pixel_in_level(x, full_width, width), pixel_in_level(y, full_height, height)

    def full(self, x: float, y: float) -> Point:
        """Return where a place of the embedded plane lies in the finest level."""
        across, down = self.ratios
        return coordinate_in_level(x, across), coordinate_in_level(y, down)


def planes_of_file(plan: FilePlan) -> list[SearchPlane]:
    """Return all planes of a file, in the order in which `embed` takes them."""
    return [
        SearchPlane(plan.path, number, position, layer, plan.planes == 1)
        for number, layer in enumerate(plan.layers)
        for position in itertools.product(*map(range, layer.leading))
    ]


def name_planes(plans: Sequence[FilePlan]) -> list[SearchPlane]:
    """Return all planes of all files with names of their own; tell which files had to give way."""
    places = [planes_of_file(plan) for plan in plans]
    endings = [
        [*(place.ending for place in file), *{place.layer_ending for place in file}]
        for file in places
    ]
    names = [file_name_part(stem_of(plan.path), MAX_STEM) for plan in plans]
    stems = unique_stems(names, endings)
    for plan, name, stem in zip(plans, names, stems, strict=True):
        if stem_of(plan.path) != stem:
            why = f"{name} is taken"
            if name != stem_of(plan.path):
                why = "its own name is too long, or has characters that not every disk takes"
            note(f"note: the results of {plan.path} are called {stem}, because {why}.")
    pairs = zip(places, stems, strict=True)
    return [replace(place, stem=f"{stem}{place.ending}") for file, stem in pairs for place in file]


def level_lines(places: Iterable[SearchPlane]) -> list[str]:
    """Say of each file of which a coarser level was searched which one that was."""
    lines = {}
    for place in places:
        plan = place.plan
        if plan.level:
            height, width = plan.shape
            lines[place.path] = (
                f"{place.path}: level {plan.level} of 0 to {plan.levels - 1}, {width} × {height} "
                "pixels, was searched; its maps have that size, places are pixels of level 0."
            )
    return list(lines.values())


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
    series, channel : int or None
        Which image of the file, and which channel of it, where there are several.
    level, levels : int
        Which level is embedded, 0 the finest, and of how many.
    title : str
        What the file calls it.
    pixel : PixelGrid
        Where the pixels of the finest level lie.
    leading_names : tuple of str
        Names of the axes before rows and columns, where they are known.
    """

    shape: tuple[int, int]
    full_shape: tuple[int, int]
    leading: tuple[int, ...] = ()
    full_leading: tuple[int, ...] = ()
    series: int | None = None
    channel: int | None = None
    level: int = 0
    levels: int = 1
    title: str = ""
    pixel: PixelGrid = NO_GRID
    leading_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, layer: Layer) -> LayerPlan:
        """Return the plan of a layer."""
        return cls(
            layer.plane_shape,
            (layer.shape[-2], layer.shape[-1]),
            layer.leading,
            layer.full_leading,
            layer.series,
            layer.channel,
            layer.level,
            layer.levels,
            layer.title,
            layer.pixel,
            layer.axes[:-2],
        )

    @property
    def stack_axes(self) -> tuple[str, ...]:
        """What other programs call the axes before rows and columns; none where they are too many.

        Names and lengths are those of the finest level.
        """
        count = len(self.full_leading)
        labels = [*(self.leading_names or [""] * count), "y", "x"]
        try:
            return tuple(named_axes(labels, [""] * len(labels))[:-2])
        except ValueError:
            return ()

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


def plan(path: Path, how: ReadOptions) -> FilePlan | PlaneFailed:
    """Return what there is to do for a file, or why nothing can be done; see `inspect_file`."""
    try:
        return inspect_file(path, how)
    except Exception as error:
        return failed(path, error)


def inspect_file(path: Path, how: ReadOptions) -> FilePlan:
    """Return what there is to do for a file, from as little of it as possible.

    How it is read is told where the file leaves that open.
    """
    with OpenFile(path, how) as file:
        for text in file.notes:
            note(f"note: {path} {text}")
        return FilePlan(path, tuple(map(LayerPlan.of, file.layers)))


def tasks_of(plans: Sequence[FilePlan], how: ReadOptions) -> Iterator[PlaneTask | PlaneFailed]:
    """Return the tasks file by file; a file is opened for its window when its turn has come."""
    for file in plans:
        try:
            yield from _tasks_of(file, how)
        except Exception as error:
            yield failed(file.path, error, file.megapixels, file.planes)


def _tasks_of(plan: FilePlan, how: ReadOptions) -> list[PlaneTask]:
    if not any(layer.is_stack for layer in plan.layers):
        return [
            PlaneTask(plan.path, number, (), None, layer.megapixels)
            for number, layer in enumerate(plan.layers)
        ]
    tasks = []
    with OpenFile(plan.path, how) as file:
        if len(file.layers) != len(plan.layers):
            raise InputChangedError(plan.path)
        for number, layer in enumerate(file.layers):
            window = layer.window()
            tasks += [
                PlaneTask(plan.path, number, position, window, layer.megapixels)
                for position in layer.positions()
            ]
    return tasks


@dataclass(eq=False)
class PlaneOpener:
    """Opens the planes that are searched, each through the window of its layer; close it.

    Attributes
    ----------
    how : ReadOptions
    """

    how: ReadOptions
    _files: OpenFileCache = field(default_factory=OpenFileCache)
    _windows: dict[tuple[Path, int], IntensityWindow | None] = field(default_factory=dict)

    def source(self, place: SearchPlane) -> ArraySource:
        """Return a plane, unread.

        Raises
        ------
        InputChangedError
            Its file was changed since it was looked into.
        """
        layer = self._layer(place)
        if (layer.plane_shape, layer.leading) != (place.plan.shape, place.plan.leading):
            raise InputChangedError(place.path)
        return layer.plane(place.position)

    def window(self, place: SearchPlane) -> IntensityWindow | None:
        """Return the window of the layer of a plane; None for a single one, which has its own."""
        if not place.plan.is_stack:
            return None
        layer = place.path, place.layer
        if layer not in self._windows:
            self._windows[layer] = self._layer(place).window()
        return self._windows[layer]

    def _layer(self, place: SearchPlane) -> Layer:
        return self._files.layer(place.task(None), self.how)

    def close(self) -> None:
        """Close the file that was read last."""
        self._files.close()

"""The planes that are searched: which there are, what they are called, and where a pixel lies."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from math import floor
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim._cli.layers import ending
from napari_dinov3_sim._cli.outputs import unique_stems
from napari_dinov3_sim._cli.tasks import PlaneTask
from napari_dinov3_sim._cli.terminal import note

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from napari_dinov3_sim._cli.layers import Position
    from napari_dinov3_sim._cli.planning import FilePlan, LayerPlan
    from napari_dinov3_sim.core.images.intensity import IntensityWindow
    from napari_dinov3_sim.core.search.similarity import Point


@dataclass(frozen=True)
class Place:
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
        return ending(self.plan.channel, self.position, self.plan.leading)

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
        channel = "" if self.plan.channel is None else f" channel {self.plan.channel}"
        plane = " ".join(map(str, self.position))
        return f"{channel} plane {plane}" if plane else channel

    def about(self) -> dict[str, Any]:
        """Return what JSON says of it besides the file; nothing for a plain picture."""
        if self.is_only and self.plan.levels == 1:
            return {}
        return {
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

    def embedded(self, point: Point) -> Point:
        """Return the embedded pixel that holds the middle of a pixel of the finest level."""
        if self.plan.shape == self.plan.full_shape:
            return point
        x, y = ((floor(at) + 0.5) / r for at, r in zip(point, self.ratios, strict=True))
        return x, y

    def full(self, x: float, y: float) -> Point:
        """Return where a place of the embedded plane lies in the finest level.

        The centre of pixel i is at i in both, so that coarser pixels lie between finer ones.
        """
        across, down = self.ratios
        return (x + 0.5) * across - 0.5, (y + 0.5) * down - 0.5


def places_of(plan: FilePlan) -> list[Place]:
    """Return all planes of a file, in the order in which `embed` takes them."""
    return [
        Place(plan.path, number, position, layer, plan.planes == 1)
        for number, layer in enumerate(plan.layers)
        for position in itertools.product(*map(range, layer.leading))
    ]


def name_places(plans: Sequence[FilePlan]) -> list[Place]:
    """Return all planes of all files with names of their own; tell which files had to give way."""
    places = [places_of(plan) for plan in plans]
    endings = [[place.ending for place in file] for file in places]
    stems = unique_stems([plan.path.stem for plan in plans], endings)
    for plan, stem in zip(plans, stems, strict=True):
        if plan.path.stem != stem:
            note(
                f"note: the results of {plan.path} are called {stem}, because "
                f"{plan.path.stem} is taken."
            )
    pairs = zip(places, stems, strict=True)
    return [replace(place, stem=f"{stem}{place.ending}") for file, stem in pairs for place in file]


def level_lines(places: Iterable[Place]) -> list[str]:
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

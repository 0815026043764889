"""The threshold of each class, and what reaches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.images.planes import patch_borders
from napari_dinov3_sim.session.layers.contours import found_objects
from napari_dinov3_sim.session.results.summaries import known_images

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_dinov3_sim.session.images.planes import PlaneKey
    from napari_dinov3_sim.session.results.computations import AnsweredImage
    from napari_dinov3_sim.session.scene import Scene
    from napari_dinov3_sim.session.worker_messages import PlaneMaps


@dataclass(frozen=True)
class Found:
    """What reaches the threshold of a class, on all planes that are answered.

    Attributes
    ----------
    objects : int
        Connected patches, plane by plane.
    area : int
        Pixels of level 0.
    area_fraction : float
        Of the pixels of all these planes, from 0 to 1.
    images : int
        Images with at least one object.
    """

    objects: int
    area: int
    area_fraction: float
    images: int


@dataclass(frozen=True)
class _Part:
    """What reaches a threshold in one plane."""

    objects: int
    area: int
    pixels: int


_Counted = tuple["PlaneMaps", tuple[float, float], _Part]
"""Maps, threshold and minimum area, and what was counted with them."""


class Thresholds:
    """The threshold of each class: set by hand, or else the automatic one.

    Cosines of different classes are not comparable, so every class has its own.

    Parameters
    ----------
    scene : Scene

    Attributes
    ----------
    by_hand : dict of str to float
        Those that were set, by class.
    automatic : mapping of str to float
        Those of the newest answer, by class.
    min_area : float
        Smaller objects count as not found; in pixels of level 0.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.by_hand: dict[str, float] = {}
        self.automatic: Mapping[str, float] = {}
        self.min_area = 0.0
        self._parts: dict[tuple[PlaneKey, str], _Counted] = {}

    @property
    def in_force(self) -> dict[str, float]:
        """The threshold of each class that has one."""
        return {**self.automatic, **self.by_hand}

    def set_by_hand(self, class_name: str, threshold: float | None) -> None:
        """Set the threshold of a class; None goes back to the automatic one.

        Raises
        ------
        SimilarityError
            It is no cosine.
        """
        if threshold is None:
            self.by_hand.pop(class_name, None)
        else:
            self.by_hand[class_name] = checked_threshold(threshold)

    def rename_class(self, old: str, new: str) -> None:
        """Give the thresholds of a class to another, unless that has its own."""
        if old in self.by_hand:
            self.by_hand.setdefault(new, self.by_hand.pop(old))
        if old in self.automatic:
            rest = {name: level for name, level in self.automatic.items() if name != old}
            self.automatic = {new: self.automatic[old], **rest}

    def found(self) -> dict[str, Found]:
        """Return what reaches the threshold of each class that has one, and maps.

        Planes whose maps and thresholds are as before are not counted again, so that this
        follows a threshold that is dragged.
        """
        levels, images = self.in_force, known_images(self._scene)
        by_class: dict[str, list[list[_Part]]] = {}
        parts: dict[tuple[PlaneKey, str], _Counted] = {}
        for image in images:
            names = dict.fromkeys(name for maps in image.maps.values() for name in maps.cosines)
            for name in names:
                if name in levels:
                    counted = self._count(image, name, levels[name])
                    parts |= counted
                    by_class.setdefault(name, []).append([part for *_, part in counted.values()])
        self._parts = parts
        return {name: _sum_of(by_class[name]) for name in levels if name in by_class}

    def _count(
        self, image: AnsweredImage, class_name: str, level: float
    ) -> dict[tuple[PlaneKey, str], _Counted]:
        counted = {}
        for key, maps in image.maps.items():
            known = self._parts.get((key, class_name))
            if known is None or known[0] is not maps or known[1] != (level, self.min_area):
                part = _part_of(image, maps, class_name, level, self.min_area)
                known = maps, (level, self.min_area), part
            counted[key, class_name] = known
        return counted


def checked_threshold(threshold: float) -> float:
    """Return a threshold, or raise `SimilarityError` if it is no cosine."""
    if not -1 <= threshold <= 1:
        raise SimilarityError(f"A threshold is a cosine, from -1 to 1, and not {threshold:g}.")
    return float(threshold)


def _part_of(
    image: AnsweredImage, maps: PlaneMaps, class_name: str, level: float, min_area: float
) -> _Part:
    objects = found_objects(image.plane, maps, class_name, level, min_area)
    heights, widths = (np.diff(borders) for borders in patch_borders(image.plane, maps.grid))
    area = int(heights @ (objects > 0) @ widths)
    return _Part(int(objects.max()), area, int(heights.sum() * widths.sum()))


def _sum_of(images: list[list[_Part]]) -> Found:
    parts = [part for image in images for part in image]
    area = sum(part.area for part in parts)
    pixels = sum(part.pixels for part in parts)
    holding = sum(any(part.objects for part in image) for image in images)
    return Found(sum(part.objects for part in parts), area, area / max(1, pixels), holding)

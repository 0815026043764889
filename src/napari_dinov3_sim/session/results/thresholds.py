"""The threshold of each class, and what reaches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.objects.plane_objects import ObjectRequest
from napari_dinov3_sim.session.results.summaries import known_images

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_dinov3_sim.session.images.planes import PlaneKey
    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.objects.finder import ObjectFinder
    from napari_dinov3_sim.session.objects.plane_objects import PlaneObjects
    from napari_dinov3_sim.session.scene import Scene


@dataclass(frozen=True)
class Found:
    """What reaches the threshold of a class, on all planes that are answered.

    Attributes
    ----------
    objects : int
        Connected pixels or patches, plane by plane.
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
class Level:
    """A threshold that was set by hand, and whether it came with the loaded query."""

    threshold: float
    of_query: bool = False


class Thresholds:
    """The threshold of each class: set by hand, or else the automatic one.

    Cosines of different classes are not comparable, so every class has its own. That of a class
    that is removed, or joined with another, goes with it, and comes back with it by undo.

    Parameters
    ----------
    scene : Scene
    finder : ObjectFinder
        Knows what reaches them.
    palette : Palette
        Knows which classes there are.

    Attributes
    ----------
    automatic : mapping of str to float
        Those of the newest answer, by class.
    """

    def __init__(self, scene: Scene, finder: ObjectFinder, palette: Palette) -> None:
        self._scene, self._finder, self._palette = scene, finder, palette
        self._levels: dict[int, Level] = {}  # by the number of the class
        self.automatic: Mapping[str, float] = {}

    @property
    def by_hand(self) -> dict[str, float]:
        """Those that were set, by class: by the user, or by whoever saved the loaded query."""
        return {name: one.threshold for name, one in self._by_name().items()}

    @property
    def in_force(self) -> dict[str, float]:
        """The threshold of each class that has one."""
        return {**self.automatic, **self.by_hand}

    @property
    def of_query(self) -> dict[str, float]:
        """Those set by hand that came with the loaded query, by class."""
        return {name: one.threshold for name, one in self._by_name().items() if one.of_query}

    @property
    def of_user(self) -> dict[str, float]:
        """Those set by hand here, by class."""
        return {name: one.threshold for name, one in self._by_name().items() if not one.of_query}

    def _by_name(self) -> dict[str, Level]:
        levels = self._levels
        return {name: levels[n] for name, n in self._palette.numbers.items() if n in levels}

    def take_from_query(self, thresholds: Mapping[str, float]) -> None:
        """Set the thresholds of a query in place of those of the one that was loaded before.

        Parameters
        ----------
        thresholds : mapping of str to float
            By class. What the user has set stays.
        """
        self._levels = {n: one for n, one in self._levels.items() if not one.of_query}
        own = self.of_user
        for name, threshold in thresholds.items():
            if name not in own:
                self._set(name, Level(threshold, of_query=True))

    def set_by_hand(self, class_name: str, threshold: float | None) -> None:
        """Set the threshold of a class; None goes back to the automatic one.

        Raises
        ------
        SimilarityError
            It is no cosine.
        """
        if threshold is not None:
            self._set(class_name, Level(checked_threshold(threshold)))
        elif class_name in self._palette.numbers:
            self._levels.pop(self._palette.numbers[class_name], None)

    def _set(self, class_name: str, level: Level) -> None:
        self._palette.add(class_name)
        self._levels[self._palette.numbers[class_name]] = level

    def rename_class(self, old: str, new: str) -> None:
        """Give the automatic threshold of a class to another, unless that has its own."""
        if old in self.automatic:
            rest = {name: level for name, level in self.automatic.items() if name != old}
            self.automatic = {new: self.automatic[old], **rest}

    def requests(self) -> Iterator[ObjectRequest]:
        """Yield a request for each class with a threshold, in each plane that is answered."""
        levels = self.in_force
        for image in known_images(self._scene):
            searched = self._finder.searched(image.plane, image.maps)
            for key, maps in image.maps.items():
                shown = key == image.plane.key
                for name, cosine in maps.cosines.items():
                    if name in levels:
                        yield ObjectRequest(
                            searched[key], name, cosine, maps.grid, levels[name], shown
                        )

    def found_in(self, key: PlaneKey) -> dict[str, PlaneObjects] | None:
        """Return what is found in a plane, by class; None while it is not known of each class."""
        maps, levels = self._scene.maps_of(key), self.in_force
        if maps is None:
            return None
        names = [name for name in maps.cosines if name in levels]
        found = {name: self._finder.of(key, name) for name in names}
        known = {name: one for name, one in found.items() if one is not None}
        return known if len(known) == len(found) else None

    def found(self) -> dict[str, Found]:
        """Return what reaches the threshold of each class that has one, and maps.

        While a threshold is dragged, planes that were not looked into again count as before.
        """
        levels = self.in_force
        by_class: dict[str, list[list[PlaneObjects]]] = {}
        for image in known_images(self._scene):
            names = dict.fromkeys(name for maps in image.maps.values() for name in maps.cosines)
            for name in names:
                parts = [self._finder.of(key, name) for key in image.maps]
                known = [part for part in parts if part is not None]
                if name in levels and known:
                    by_class.setdefault(name, []).append(known)
        return {name: _sum_of(by_class[name]) for name in levels if name in by_class}


def checked_threshold(threshold: float) -> float:
    """Return a threshold, or raise `SimilarityError` if it is no cosine."""
    if not -1 <= threshold <= 1:
        raise SimilarityError(f"A threshold is a cosine, from -1 to 1, and not {threshold:g}.")
    return float(threshold)


def _sum_of(images: list[list[PlaneObjects]]) -> Found:
    parts = [part for image in images for part in image]
    area = sum(part.area for part in parts)
    pixels = sum(part.pixels for part in parts)
    holding = sum(any(part.objects for part in image) for image in images)
    return Found(sum(part.objects for part in parts), area, area / max(1, pixels), holding)

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


class Thresholds:
    """The threshold of each class: set by hand, or else the automatic one.

    Cosines of different classes are not comparable, so every class has its own. That of a class
    that is removed goes with it, and comes back with it when that is undone.

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
        self._set: dict[str, tuple[int, float]] = {}  # with the number of the class
        self._of_query: frozenset[str] = frozenset()
        self.automatic: Mapping[str, float] = {}

    @property
    def by_hand(self) -> dict[str, float]:
        """Those that were set, by class: by the user, or by whoever saved the loaded query."""
        numbers = self._palette.numbers
        return {
            name: level
            for name, (number, level) in self._set.items()
            if numbers.get(name) == number
        }

    @property
    def in_force(self) -> dict[str, float]:
        """The threshold of each class that has one."""
        return {**self.automatic, **self.by_hand}

    @property
    def of_query(self) -> dict[str, float]:
        """Those set by hand that came with the loaded query, by class."""
        return {name: level for name, level in self.by_hand.items() if name in self._of_query}

    @property
    def of_user(self) -> dict[str, float]:
        """Those set by hand here, by class."""
        return {name: level for name, level in self.by_hand.items() if name not in self._of_query}

    def take_from_query(self, thresholds: Mapping[str, float]) -> None:
        """Set the thresholds of a query in place of those of the one that was loaded before.

        Parameters
        ----------
        thresholds : mapping of str to float
            By class. What the user has set stays.
        """
        own, former = self.of_user, self.of_query
        self._set = {name: one for name, one in self._set.items() if name not in former}
        self._of_query = frozenset(thresholds.keys() - own.keys())
        for name in self._of_query:
            self._keep(name, thresholds[name])

    def set_by_hand(self, class_name: str, threshold: float | None) -> None:
        """Set the threshold of a class; None goes back to the automatic one.

        Raises
        ------
        SimilarityError
            It is no cosine.
        """
        if threshold is None:
            self._set.pop(class_name, None)
        else:
            self._keep(class_name, checked_threshold(threshold))
        self._of_query -= {class_name}

    def _keep(self, class_name: str, threshold: float) -> None:
        self._palette.add(class_name)
        self._set[class_name] = self._palette.numbers[class_name], threshold

    def rename_class(self, old: str, new: str) -> None:
        """Give the thresholds of a class to another, unless that has its own."""
        by_hand = self.by_hand
        if old in self._of_query and old != new:
            self._of_query = (self._of_query - {old}) | ({new} - by_hand.keys())
        if old in self._set:
            number, level = self._set[old]
            if self._palette.numbers.get(new) == number:
                del self._set[old]
                self._set[new] = number, level
            elif new not in by_hand:  # joined; what the former class had comes back with it
                self._keep(new, level)
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

"""The best match: the next best patch, from image to image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.answering.question import Pick
from napari_dinov3_sim.versions import camera_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.search.peaks import Peak
    from napari_dinov3_sim.session.answering.question import Question
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.scene import Scene


@dataclass(frozen=True, eq=False)
class BestMatch:
    """A place that was found.

    Attributes
    ----------
    plane : Plane
    x, y : int
        Pixel of the embedded plane, in the middle of the patch.
    score : float
        In units of the cosine.
    name : str
        Name of the image.
    """

    plane: Plane
    x: int
    y: int
    score: float
    name: str


class BestMatchFinder:
    """Goes through the images, and in each from its best match to the next best.

    Parameters
    ----------
    scene : Scene
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._question: Question | None = None
        self._seen: dict[PlaneKey, set[int]] = {}
        self._last: Hashable | None = None

    def next(self, class_name: str) -> BestMatch | None:
        """Return the next match of a class and remember it; None if there are no maps.

        The patches that were clicked do not count.
        """
        question = self._scene.answers.question
        if question != self._question:
            self._question, self._seen, self._last = question, {}, None
        if question is None:
            return None
        for image_id in self._images():
            found = self._best_in(image_id, class_name)
            if found is not None:
                self._last = image_id
                return found
        return None

    def _images(self) -> list[Hashable]:
        """Return the images in the order of the layer list, the one after the last first.

        The first one of a question is that after the image that was clicked.
        """
        ids = list(self._scene.shown_planes())
        if self._last is None and self._question is not None:
            picks = [pick for pick in self._question.picks if isinstance(pick, Pick)]
            self._last = picks[-1].plane.layer_id if picks else None
        at = ids.index(self._last) + 1 if self._last in ids else 0
        return ids[at:] + ids[:at]

    def _best_in(self, image_id: Hashable, class_name: str) -> BestMatch | None:
        """Return the best place of an image on any plane that is answered."""
        found = [
            (match.score, key, match)
            for key in self._answered_planes(image_id)
            if (match := self._best_on(key, class_name)) is not None
        ]
        if not found:
            return None
        _, key, peak = max(found, key=lambda each: each[0])
        plane = self._scene.plane(key)
        maps = self._scene.maps_of(key)
        if plane is None or maps is None:
            return None
        side = maps.grid.patch_size
        index = int(peak.y // side) * maps.grid.columns + int(peak.x // side)
        self._seen.setdefault(key, self._clicked(key, maps.grid.columns, side)).add(index)
        return BestMatch(plane, int(peak.x), int(peak.y), peak.score, plane.name)

    def _answered_planes(self, image_id: Hashable) -> list[PlaneKey]:
        shown = self._scene.shown_planes().get(image_id)
        if shown is None:
            return []
        return [key for key in self._scene.answers.planes() if key.layer == shown.key.layer]

    def _best_on(self, key: PlaneKey, class_name: str) -> Peak | None:
        from napari_dinov3_sim.core.search.peaks import best_match
        from napari_dinov3_sim.core.search.similarity import SimilarityMap

        maps = self._scene.maps_of(key)
        if maps is None or class_name not in maps.cosines:
            return None
        grid = maps.grid
        seen = self._seen.get(key) or self._clicked(key, grid.columns, grid.patch_size)
        return best_match(SimilarityMap(maps.cosines[class_name], grid), seen)

    def _clicked(self, key: PlaneKey, columns: int, side: int) -> set[int]:
        """Return the patches of a plane that were clicked."""
        picks = () if self._question is None else self._question.picks
        return {
            pick.y // side * columns + pick.x // side
            for pick in picks
            if isinstance(pick, Pick) and pick.plane == key
        }


def look_at(viewer: ViewerModel, world: NDArray[np.float64]) -> None:
    """Move sliders and camera so that a place of the world is in the middle of the view."""
    ndim = viewer.dims.ndim
    full = np.array(viewer.dims.point, float)
    full[ndim - len(world) :] = world
    displayed = list(viewer.dims.displayed)
    for axis in range(ndim):
        if axis not in displayed:
            viewer.dims.set_point(axis, full[axis])
    centre = np.array(camera_of(viewer).center, float)
    centre[-len(displayed) :] = full[displayed]
    camera_of(viewer).center = tuple(centre)

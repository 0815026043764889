"""What is where now: planes, pixels, patches and scores, for the rooms that only look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.session.answers import Answers
    from napari_dinov3_sim.session.embedder import Embedder
    from napari_dinov3_sim.session.messages import KindMaps
    from napari_dinov3_sim.session.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.questions import StateHandle
    from napari_dinov3_sim.session.targets import Place, Targets


@dataclass(frozen=True, eq=False)
class Atlas:
    """Answers questions about the present and changes nothing; main thread only.

    Attributes
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    targets : Targets
    embedder : Embedder
    answers : Answers
    """

    viewer: ViewerModel
    targets: Targets
    embedder: Embedder
    answers: Answers

    def shown(self) -> dict[Hashable, Plane]:
        """Return the shown plane of each ticked image that shows one, by the image's id."""
        return {plane.key.layer_id: plane for plane in self.targets.planes()}

    def image(self, image_id: Hashable) -> Image | None:
        """Return an image layer by its id."""
        record = self.targets.get(image_id)
        return None if record is None else record.layer

    def maps(self, key: PlaneKey) -> KindMaps | None:
        """Return the scores of a plane for the present question, if they are there."""
        return self.answers.known(key)

    def handle(self, key: PlaneKey) -> StateHandle | None:
        """Return where a worker finds the embeddings of a plane, if it is embedded."""
        return self.embedder.handle(key)

    def place(self, world: NDArray[np.float64]) -> Place | None:
        """Return the pixel of the topmost visible target under a point of the world."""
        return self.targets.locate(np.asarray(world, float), None)

    def grid(self, plane: Plane) -> PatchGrid | None:
        """Return the patch grid of a plane under the present model, None before it is loaded."""
        from napari_dinov3_sim.core.geometry import PatchGrid

        backbone = self.embedder.backbone
        if backbone is None:
            return None
        cell = self.embedder.recipe.cell_size(backbone.patch_size)
        return PatchGrid(plane.embedded_shape, cell)

    def world(self, plane: Plane, x: float, y: float) -> NDArray[np.float64]:
        """Return where a point of an embedded plane lies in the world.

        Parameters
        ----------
        plane : Plane
        x, y : float
            Column and row in pixels of the embedded level; whole numbers are pixel centres.

        Returns
        -------
        ndarray, shape (ndim of the layer,)
            In the units of the viewer.
        """
        data = np.zeros(len(plane.shape))
        for axis, index in plane.key.position:
            data[axis] = index
        for axis, coordinate in zip(plane.key.axes, (y, x), strict=True):
            # A coarser level has its pixel centres between those of level 0.
            ratio = plane.shape[axis] / plane.level_shape[axis]
            data[axis] = (coordinate + 0.5) * ratio - 0.5
        return self.targets.placement(plane.key).to_world(data)

    def outline(self, plane: Plane, x: int, y: int) -> NDArray[np.float64] | None:
        """Return the corners of the patch over a pixel, in the world.

        Returns
        -------
        ndarray, shape (4, ndim of the layer), or None
            None before the model is loaded.
        """
        grid = self.grid(plane)
        if grid is None:
            return None
        side = grid.patch_size
        left, top = x // side * side - 0.5, y // side * side - 0.5
        right = min(left + side, grid.image_shape[1] - 0.5)
        bottom = min(top + side, grid.image_shape[0] - 0.5)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        return np.array([self.world(plane, *corner) for corner in corners])

    def score(self, place: Place, kind: str) -> float | None:
        """Return the score of a kind at a pixel, in units of the cosine."""
        maps = self.maps(place.plane.key)
        if maps is None or kind not in maps.cosines:
            return None
        side = maps.grid.patch_size
        return float(maps.cosines[kind][place.y // side, place.x // side])

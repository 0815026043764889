"""The present scene, read-only: which plane, pixel, patch and score is where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_dinov3_sim.session.images.planes import data_coordinates

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.session.answering.answers import Answers
    from napari_dinov3_sim.session.embedding.embedder import Embedder
    from napari_dinov3_sim.session.images.hit_testing import PlanePixel
    from napari_dinov3_sim.session.images.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.images.targets import Targets
    from napari_dinov3_sim.session.worker_messages import PlaneMaps, StateHandle


@dataclass(frozen=True, eq=False)
class Scene:
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

    def shown_planes(self) -> dict[Hashable, Plane]:
        """Return the shown plane of each ticked image that shows one, by the image's id."""
        return {key.layer_id: plane for key, plane in self.targets.resolve().planes.items()}

    def plane(self, key: PlaneKey) -> Plane | None:
        """Return a plane of an image by its key; None if its pixels exist no more."""
        shown = self.shown_planes().get(key.layer_id)
        if shown is None or shown.key.layer != key.layer:
            return None
        return replace(shown, key=key)

    def image_of(self, image_id: Hashable) -> Image | None:
        """Return an image layer by its id."""
        record = self.targets.get(image_id)
        return None if record is None else record.layer

    def layers_of(self, image_id: Hashable) -> tuple[Image, ...]:
        """Return an image layer by its id, or all channels that are searched as one with it."""
        record = self.targets.get(image_id)
        return () if record is None else record.layers

    def top(self, image_id: Hashable) -> Image | None:
        """Return the layer that lies uppermost of those that are one image."""
        order = self.viewer.layers.index
        return max(self.layers_of(image_id), key=order, default=None)

    def is_visible(self, image: Image) -> bool:
        """Whether an image, or any channel that is searched as one with it, is shown."""
        return any(layer.visible for layer in self.layers_of(image.unique_id))

    def maps_of(self, key: PlaneKey) -> PlaneMaps | None:
        """Return the scores of a plane for the present question, if they are there."""
        return self.answers.maps_of(key)

    def state_handle(self, key: PlaneKey) -> StateHandle | None:
        """Return where a worker finds the embeddings of a plane, if it is embedded."""
        return self.embedder.handle(key)

    def pixel_at(self, world: NDArray[np.float64]) -> PlanePixel | None:
        """Return the pixel of the topmost visible target under a point of the world."""
        return self.targets.resolve().hits.hit(np.asarray(world, float), None)

    def hit_any(
        self, worlds: Sequence[NDArray[np.float64]], remembered: Hashable | None
    ) -> PlanePixel | None:
        """Return where something larger than a point lies.

        Parameters
        ----------
        worlds : sequence of ndarray
            Points of the world that belong to it, the one that counts most first.
        remembered : hashable or None
            Id of the image that it was on; it stays there for as long as one of its points does.

        Returns
        -------
        PlanePixel or None
            Of the first point that lies on the image remembered, else on the topmost visible
            target; None if none does.
        """
        hits, record = self.targets.resolve().hits, self.targets.get(remembered)
        if record is not None and record.ticked:
            for world in worlds:
                place = hits.pixel_at(record, world)
                if place is not None:
                    return place
        found = (hits.hit(world, None) for world in worlds)
        return next((place for place in found if place is not None), None)

    def full_position(self, world: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a point of the world with all its axes: where it lacks some, as shown now."""
        point = np.array(self.viewer.dims.point, float)
        return np.concatenate([point[: max(0, len(point) - len(world))], world])

    def pixels(self, plane: Plane, worlds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where points of the world lie in an embedded plane.

        Parameters
        ----------
        plane : Plane
        worlds : ndarray, shape (N, ndim)

        Returns
        -------
        ndarray, shape (N, 2)
            Column and row (x, y) in pixels of the embedded level, also outside of it; whole
            numbers are pixel centres.
        """
        axes = list(plane.key.axes)
        data = self.targets.transform(plane.key).to_data(worlds)[:, axes]
        full = np.array([plane.shape[axis] for axis in axes])
        return np.asarray((data + 0.5) * plane.embedded_shape / full - 0.5)[:, ::-1]

    def pixel_on(self, image_id: Hashable, world: NDArray[np.float64]) -> PlanePixel | None:
        """Return the pixel of an image under a point of the world; None outside of it."""
        record = self.targets.get(image_id)
        if record is None:
            return None
        return self.targets.resolve().hits.pixel_at(record, np.asarray(world, float))

    def grid(self, plane: Plane) -> PatchGrid | None:
        """Return the patch grid of a plane under the present model, None before it is known."""
        from napari_dinov3_sim.core.geometry import PatchGrid

        model = self.embedder.identity
        if model is None:
            return None
        cell = self.embedder.recipe.cell_size(model.patch_size)
        return PatchGrid(plane.embedded_shape, cell)

    def world_of(self, plane: Plane, x: float, y: float) -> NDArray[np.float64]:
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
        data = data_coordinates(plane, plane.key, np.array([[x, y]], float))[0]
        return self.targets.transform(plane.key).to_world(data)

    def outline(self, plane: Plane, x: int, y: int) -> NDArray[np.float64] | None:
        """Return the corners of the patch over a pixel, in the world.

        Returns
        -------
        ndarray, shape (4, ndim of the layer), or None
            None before the model is known.
        """
        grid = self.grid(plane)
        if grid is None:
            return None
        side = grid.patch_size
        left, top = x // side * side - 0.5, y // side * side - 0.5
        right = min(left + side, grid.image_shape[1] - 0.5)
        bottom = min(top + side, grid.image_shape[0] - 0.5)
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        return np.array([self.world_of(plane, *corner) for corner in corners])

    def score(self, place: PlanePixel, class_name: str) -> float | None:
        """Return the score of a class at a pixel, in units of the cosine."""
        maps = self.maps_of(place.plane.key)
        if maps is None or class_name not in maps.cosines:
            return None
        side = maps.grid.patch_size
        return float(maps.cosines[class_name][place.y // side, place.x // side])

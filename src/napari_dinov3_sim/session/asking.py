"""What is asked: points, kinds and signs, and how they are combined."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np

from napari_dinov3_sim.core.errors import PointError, SimilarityError
from napari_dinov3_sim.core.search.combine import Combination
from napari_dinov3_sim.session.coordinator import Coordinator
from napari_dinov3_sim.session.placement import placement_of
from napari_dinov3_sim.session.planes import levels_of
from napari_dinov3_sim.session.point_features import Role

if TYPE_CHECKING:
    from napari.layers import Image
    from numpy.typing import NDArray


class Asking(Coordinator):
    """The part of a session by which it is asked."""

    def add_query(
        self,
        layer: Image,
        x: float,
        y: float,
        *,
        kind: str | None = None,
        positive: bool | None = None,
    ) -> None:
        """Add a query point at a pixel of the plane of an image that is shown.

        Parameters
        ----------
        layer : napari.layers.Image
        x, y : float
            Pixel column and row at full resolution.
        kind : str, optional
            By default the current one, see `kind`.
        positive : bool, optional
            Whether this is what is meant, or what is not; by default as `positive` says.

        Raises
        ------
        PointError
            The point lies outside the image, or no plane of the image is shown.
        """
        record = self._targets.get(layer.unique_id)
        shown = {plane.key.layer_id: plane for plane in self._targets.planes()}
        plane = None if record is None else shown.get(record.layer.unique_id)
        if record is None or plane is None:
            raise PointError(f"{layer.name} shows no plane that is searched; tick it and show it.")
        data = np.zeros(layer.ndim)
        for axis, index in plane.key.position:
            data[axis] = index
        data[list(plane.key.axes)] = y, x
        units = self._viewer.layers.units
        world = placement_of(layer, plane.key.axes, units).to_world(data)
        if self._targets.pixel(record, world) is None:
            height, width = (levels_of(layer)[0].shape[axis] for axis in plane.key.axes)
            raise PointError(
                f"The point (x={x:g}, y={y:g}) lies outside {layer.name} of {width} × {height} "
                f"pixels; choose x from 0 to {width - 1} and y from 0 to {height - 1}."
            )
        self._queries.ensure(layer)
        role = self._queries.role
        chosen = Role(kind or role.kind, role.positive if positive is None else positive)
        self._queries.append(world, record.layer.unique_id, chosen)

    def new_queries(self) -> None:
        """Make the Points layer active and ready for clicks, and make it if it is gone."""
        self._make_queries()
        self._queries.activate()
        self._schedule()

    @property
    def kind(self) -> str:
        """Name of the kind that the next point belongs to."""
        return self._queries.role.kind

    @kind.setter
    def kind(self, kind: str) -> None:
        name = kind.strip()
        if not name:
            raise SimilarityError("A kind needs a name; give at least one letter.")
        self._palette.colour(name)
        self._queries.set_role(Role(name, self.positive))
        self.queried.emit()

    @property
    def positive(self) -> bool:
        """Whether the next point is an example of its kind, or of what is not meant."""
        return self._queries.role.positive

    @positive.setter
    def positive(self, positive: bool) -> None:
        self._queries.set_role(Role(self.kind, positive))
        self.queried.emit()

    @property
    def kinds(self) -> dict[str, str]:
        """All kinds there are and their colours, as ``#rrggbb``."""
        self._palette.colour(self.kind)
        return {name: self._palette.colour(name) for name in self._palette.names}

    def rename_kind(self, old: str, new: str) -> None:
        """Give a kind another name; it keeps its points and its colour."""
        name = new.strip()
        if not name:
            raise SimilarityError("A kind needs a name; give at least one letter.")
        self._overlays.heatmaps.rename_kind(old, name)
        self._queries.rename_kind(old, name)
        self.results.rename_kind(old, name)
        self._answers.forget()  # regions may still ask for the old one, whose layers are gone
        self._schedule()

    @property
    def combination(self) -> Combination:
        """How the points of a kind are combined: 'auto', 'mean', 'best' or 'contrast'."""
        return self._combination

    @combination.setter
    def combination(self, combination: Combination) -> None:
        if combination not in get_args(Combination):
            raise SimilarityError(
                f"There is no combination {combination!r}; choose auto, mean, best or contrast."
            )
        self._combination = combination
        self._schedule()

    @property
    def threshold(self) -> float | None:
        """Cosine below which nothing counts as found; None if there is none."""
        return self._threshold

    @threshold.setter
    def threshold(self, threshold: float | None) -> None:
        self._threshold = None if threshold is None else float(threshold)
        self._schedule()

    @property
    def histograms(self) -> dict[str, NDArray[np.intp]]:
        """How many patches of all maps have which cosine from -1 to 1, by kind."""
        return dict(self._deliveries.histograms)

    def undo(self) -> bool:
        """Take the last edit of the query points back; return whether there was one."""
        return self._queries.undo()

    @property
    def all_planes(self) -> bool:
        """Whether stacks are answered on all planes, or only on those that are shown."""
        return self._all_planes

    @all_planes.setter
    def all_planes(self, all_planes: bool) -> None:
        self._all_planes = all_planes
        self._schedule()

    @property
    def source(self) -> Image | None:
        """The image that clicks belong to wherever it lies; None for the topmost below them."""
        record = self._targets.get(self._targets.source)
        return None if record is None else record.layer

    @source.setter
    def source(self, layer: Image | None) -> None:
        self._targets.source = None if layer is None else layer.unique_id

"""Everything that is picked now: points, the patch under the mouse, regions, saved queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dinov3_sim.session.questions import Pick
from napari_dinov3_sim.session.sources import IGNORED, NEW

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import numpy as np
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.looking import Looking
    from napari_dinov3_sim.session.planes import Plane, PlaneKey
    from napari_dinov3_sim.session.point_features import Role
    from napari_dinov3_sim.session.queries import QueryPoints
    from napari_dinov3_sim.session.questions import AnyPick, PickSource
    from napari_dinov3_sim.session.survey import Place
    from napari_dinov3_sim.session.targets import Targets

Picked = tuple[tuple["AnyPick", ...], dict["PlaneKey", "Plane"]]
"""The picks, and the planes that they lie on."""


@dataclass(frozen=True, eq=False)
class Picking:
    """Finds what is picked.

    Attributes
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    queries : QueryPoints
    targets : Targets
    looking : Looking
    sources : sequence of PickSource
        Regions and saved queries.
    """

    viewer: ViewerModel
    queries: QueryPoints
    targets: Targets
    looking: Looking
    sources: Sequence[PickSource]

    def find(self) -> Picked:
        """Return what is picked; under the mouse, when that is asked for, and nothing else."""
        places, roles = self._places()
        hovered = self.looking.hovered
        if hovered is not None:
            pick = Pick(hovered.plane.key, hovered.x, hovered.y, self.queries.role.kind)
            return (pick,), {hovered.plane.key: hovered.plane}
        picks: tuple[AnyPick, ...] = tuple(
            Pick(at.plane.key, at.x, at.y, roles[number].kind, roles[number].positive)
            for number, at in places.items()
        )
        planes = {at.plane.key: at.plane for at in places.values()}
        for source in self.sources:
            more, on = source.picks()
            picks, planes = picks + more, planes | dict(on)
        return picks, planes

    def _places(self) -> tuple[dict[int, Place], list[Role]]:
        """Return the pixel of each point that lies on a target, and what every point says."""
        places: dict[int, Place] = {}
        survey = self.targets.survey()

        def image_of(
            number: int, world: NDArray[np.float64], remembered: Hashable | None
        ) -> Hashable | None:
            if remembered is IGNORED or (remembered is NEW and self.clicks_mean_nothing):
                return IGNORED
            if remembered is NEW and self.looking.is_click(world):
                place = self.looking.place_at(world)
            else:
                place = survey.locate(world, remembered)
            if place is None:
                return None
            places[number] = place
            return place.plane.key.layer_id

        return places, self.queries.locate(image_of)

    @property
    def in_grid(self) -> bool:
        """Whether napari's own grid is on, in which all images lie at the same place."""
        return bool(self.viewer.canvas.grid.enabled) and not self.looking.side_by_side

    @property
    def clicks_mean_nothing(self) -> bool:
        """Whether a click says nothing about a plane: in 3-D it lands in the middle of it all."""
        return self.viewer.dims.ndisplay == 3 or self.in_grid

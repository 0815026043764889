"""What is seen: heatmaps and how they are drawn, and looking around in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.coordinator import Coordinator
from napari_dinov3_sim.session.questions import DEFAULT_KIND

if TYPE_CHECKING:
    from napari.layers import Image, Labels

    from napari_dinov3_sim.session.contrast import Scaling
    from napari_dinov3_sim.session.look import Look


class Showing(Coordinator):
    """The part of a session by which answers are seen."""

    @property
    def heatmaps(self) -> dict[Image, Image]:
        """Each image layer's heatmap layer, that of the first kind where there are several."""
        kinds = self._overlays.heatmaps.kinds
        return self.heatmaps_of(kinds[0] if kinds else DEFAULT_KIND)

    def heatmaps_of(self, kind: str) -> dict[Image, Image]:
        """Return each image layer's heatmap layer of a kind, as they are in the viewer now."""
        items = self._overlays.heatmaps.items().items()
        found = {place.image: layer for place, layer in items if place.kind == kind}
        records = {image_id: self._targets.get(image_id) for image_id in found}
        return {r.layer: found[image_id] for image_id, r in records.items() if r is not None}

    @property
    def winners(self) -> dict[Image, Labels]:
        """Each image layer's Labels layer of winning kinds; empty with fewer than two kinds."""
        items = self._overlays.winners.items()
        records = {image_id: self._targets.get(image_id) for image_id in items}
        return {r.layer: items[image_id] for image_id, r in records.items() if r is not None}

    @property
    def show_winners(self) -> bool:
        """Whether the layers of winning kinds are shown, also those still to come."""
        return self._overlays.winners.visible

    @show_winners.setter
    def show_winners(self, show: bool) -> None:
        self._overlays.winners.visible = show
        self.restyled.emit()

    @property
    def hovering(self) -> bool:
        """Whether the map of the patch under the mouse is shown, without a click."""
        return self._looking.hovering

    @hovering.setter
    def hovering(self, hovering: bool) -> None:
        self._looking.hovering = hovering
        self._schedule()

    @property
    def outlines(self) -> bool:
        """Whether the patches that were clicked are outlined."""
        return self._looking.outlined

    @outlines.setter
    def outlines(self, outlined: bool) -> None:
        self._looking.outlined = outlined
        self._schedule()

    @property
    def side_by_side(self) -> bool:
        """Whether every target is shown in a viewbox of its own."""
        return self._looking.side_by_side

    @side_by_side.setter
    def side_by_side(self, wanted: bool) -> None:
        self._looking.show_side_by_side(wanted, self.queries)
        self._schedule()

    def go_to_best_match(self) -> bool:
        """Move the view to the best match in the next image that has not been seen yet.

        Returns
        -------
        bool
            False if there is no heatmap to go by.
        """
        kinds = self._overlays.heatmaps.kinds
        current = self._queries.role.kind
        kind = current if current in kinds else next(iter(kinds), current)
        match = self._looking.go_to_best_match(kind)
        if match is not None:
            self._viewer.status = f"{match.name}: similarity {match.score:.2f}"
        return match is not None

    @property
    def look(self) -> Look:
        """Colormap, opacity and blending of new heatmaps."""
        return self._overlays.heatmaps.look

    def style(
        self,
        *,
        colormap: str | None = None,
        opacity: float | None = None,
        blending: str | None = None,
    ) -> None:
        """Change how all heatmaps are drawn; see `Look`."""
        wanted = {"colormap": colormap, "opacity": opacity, "blending": blending}
        self._overlays.heatmaps.style(**{k: v for k, v in wanted.items() if v is not None})
        self.restyled.emit()

    @property
    def scaling(self) -> Scaling:
        """Contrast of the heatmaps.

        'shared' is one scale for all, 'each' its own minimum and maximum, 'fixed' the `limits`.
        """
        return self._overlays.heatmaps.scaling

    @scaling.setter
    def scaling(self, scaling: Scaling) -> None:
        self._overlays.heatmaps.scaling = scaling
        self.restyled.emit()

    @property
    def limits(self) -> tuple[float, float]:
        """The cosines drawn darkest and brightest on the common scale; setting them fixes it."""
        return self._overlays.heatmaps.limits

    @limits.setter
    def limits(self, limits: tuple[float, float]) -> None:
        low, high = (float(limit) for limit in limits)
        if not -1.0 <= low < high <= 1.0:
            raise SimilarityError(
                f"Limits go from the lower to the higher cosine, within -1 and 1, not {limits}."
            )
        self._overlays.heatmaps.limits = (low, high)
        self.restyled.emit()

"""Interaction besides clicks: hover, the next best match, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.interaction.best_match import BestMatch, BestMatchFinder, look_at
from napari_dinov3_sim.session.interaction.hover import Hover
from napari_dinov3_sim.session.interaction.side_by_side import SideBySide
from napari_dinov3_sim.session.layer_metadata import mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer, Points
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.images.hit_testing import HitTester, PlanePixel
    from napari_dinov3_sim.session.layers.overlays import Overlays
    from napari_dinov3_sim.session.scene import Scene

TAG = "similarity"
"""What the score under the mouse is called in napari's status bar."""


class Interaction:
    """Shows what was not clicked, and changes no query.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    scene : Scene
    overlays : Overlays
    changed : callable
        Bound method, called when there may be something else to ask.

    Attributes
    ----------
    viewboxes : SideBySide or None
        Not None while every image is shown in a viewbox of its own.
    hovering : bool
        Whether the map of the patch under the mouse is shown.
    match : BestMatch or None
        The match that the view was moved to, for the present question.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        scene: Scene,
        overlays: Overlays,
        changed: Callable[[], None],
    ) -> None:
        self._viewer, self._scene, self._overlays = viewer, scene, overlays
        self._changed = changed
        self._navigator = BestMatchFinder(scene)
        self._hover = Hover(viewer, self.place_at, scene, self._on_hover)
        self.match: BestMatch | None = None
        self.viewboxes: SideBySide | None = None
        self.hovering = False
        viewer.events.status.connect(self._on_status)

    # -- the mouse ------------------------------------------------------------------------------

    @property
    def hovered(self) -> PlanePixel | None:
        """The pixel under the mouse, whose map is shown without a click while `hovering`."""
        return self._hover.place

    def place_at(self, world: NDArray[np.float64]) -> PlanePixel | None:
        """Return the pixel under a point of the world, in the viewbox that the mouse is in."""
        image_id = self.image_under_mouse()
        if image_id is None:
            return None if self.side_by_side else self._scene.pixel_at(world)
        return self._scene.pixel_on(image_id, world)

    def image_under_mouse(self) -> Hashable | None:
        """Return the image whose viewbox the mouse is in; None when not side by side."""
        side = self.viewboxes
        if side is None:
            return None
        group = side.group_at(self._viewer.cursor.viewbox)
        ids = list(self._scene.shown_planes())
        return ids[group] if group is not None and group < len(ids) else None

    def clicked(self, world: NDArray[np.float64], hits: HitTester) -> PlanePixel | None:
        """Return the pixel of a new point while side by side: clicks count in their viewbox."""
        cursor = np.array(self._viewer.cursor.position, float)
        count = min(len(cursor), len(world))
        if count and np.allclose(cursor[-count:], world[-count:], atol=1e-6):
            return self.place_at(world)
        return hits.hit(world, None)

    def _on_hover(self) -> None:
        if self.hovering:
            self._changed()

    def _on_status(self, event: Any) -> None:
        """Add the score under the mouse to what napari says about the place."""
        del event
        status = self._viewer.status
        if not isinstance(status, dict) or TAG in status.get("coordinates", ""):
            return
        text = self._score_text()
        if text:
            more = {"coordinates": status.get("coordinates", "") + text}
            self._viewer.status = {**status, **more, "value": status.get("value", "") + text}

    def _score_text(self) -> str:
        place = self._hover.place
        maps = None if place is None else self._scene.maps_of(place.plane.key)
        if place is None or maps is None:
            return ""
        scores = {class_name: self._scene.score(place, class_name) for class_name in maps.cosines}
        if len(scores) == 1:
            return "".join(f"  {TAG} {value:.2f}" for value in scores.values())
        return f"  {TAG} " + ", ".join(
            f"{class_name} {value:.2f}" for class_name, value in scores.items()
        )

    # -- the best match -------------------------------------------------------------------------

    def go_to_best_match(self, class_name: str) -> BestMatch | None:
        """Move the view to the next best place in the next image."""
        match = self._navigator.next(class_name)
        if match is not None:
            self.go_to(match)
        return match

    def go_to(self, match: BestMatch) -> None:
        """Move the view to a match, and outline it."""
        self.match = match
        look_at(self._viewer, self._scene.world_of(match.plane, match.x, match.y))
        self._changed()

    # -- side by side -----------------------------------------------------------------------------

    @property
    def side_by_side(self) -> bool:
        """Whether every target has a viewbox of its own."""
        return self.viewboxes is not None

    def show_side_by_side(self, wanted: bool, queries: Points | None) -> None:
        """Put every target into a viewbox of its own, or all into one again."""
        if not wanted:
            self._leave()
        elif queries is not None and not self.side_by_side:
            self.viewboxes = SideBySide(self._viewer, queries, ended=self._on_ended)
            self._changed()

    def arrange(self, queries: Points | None, owners: Sequence[Hashable | None]) -> None:
        """Keep every target in its viewbox, with its points.

        Parameters
        ----------
        queries : Points or None
            The query layer: not the one it began with, if that was thrown away since.
        owners : sequence of hashable or None
            For each query point, the image that it lies on.
        """
        side = self.viewboxes
        if side is None:
            return
        if queries is not None and queries is not side.queries:
            side.leave()
            self.viewboxes = side = SideBySide(self._viewer, queries, ended=self._on_ended)
        ids = list(self._scene.shown_planes())
        results = self._results()
        side.arrange([self._group(image_id, results.get(image_id, [])) for image_id in ids])
        group_of = {image_id: group for group, image_id in enumerate(ids)}
        # One whose image shows no plane now is drawn nowhere, as the image itself.
        nowhere = len(ids)
        side.show_points([None if o is None else group_of.get(o, nowhere) for o in owners])

    def _results(self) -> dict[Hashable, list[Layer]]:
        """Return the layers of results, by the image that they lie over."""
        found: dict[Hashable, list[Layer]] = {}
        for layer in self._viewer.layers:
            mark = mark_of(layer, "result")
            if mark is not None:
                found.setdefault(mark["image"], []).append(layer)
        return found

    def _group(self, image_id: Hashable, results: Sequence[Layer]) -> list[Layer]:
        images = self._scene.layers_of(image_id)
        overlays = self._overlays
        drawn = (overlays.contours.over(image_id), overlays.outlines.over(image_id))
        over = [*overlays.over(image_id), *(layer for found in drawn for layer in found.values())]
        return sorted([*images, *over, *results], key=self._viewer.layers.index)

    def _on_ended(self) -> None:
        self.viewboxes = None
        self._changed()

    def _leave(self) -> None:
        side, self.viewboxes = self.viewboxes, None
        if side is not None:
            side.leave()

    # -- ending ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Listen no more, and leave side by side; the outlines stay."""
        self._hover.close()
        self._viewer.events.status.disconnect(self._on_status)
        self._leave()

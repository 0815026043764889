"""Interaction besides clicks: hover, outlines, best match, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.session.answering.question import Pick
from napari_dinov3_sim.session.interaction.best_match import BestMatch, BestMatchFinder, look_at
from napari_dinov3_sim.session.interaction.hover import Hover
from napari_dinov3_sim.session.interaction.side_by_side import SideBySide
from napari_dinov3_sim.session.layers.outlines import OutlineLayers

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from napari.components import ViewerModel
    from napari.layers import Layer, Points
    from numpy.typing import NDArray

    from napari_dinov3_sim.session.images.hit_testing import HitTester, PlanePixel
    from napari_dinov3_sim.session.images.planes import Plane
    from napari_dinov3_sim.session.layers.overlays import Overlays
    from napari_dinov3_sim.session.layers.style import Palette
    from napari_dinov3_sim.session.resolved import ResolvedState
    from napari_dinov3_sim.session.scene import Scene

TAG = "similarity"
"""What the score under the mouse is called in napari's status bar."""

MATCH_COLOUR = "#ffffff"
"""Outline of the match that was gone to."""


class Interaction:
    """What shows and asks, and changes no query.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    scene : Scene
    overlays : Overlays
    palette : Palette
    changed : callable
        Bound method, called when there may be something else to ask.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        scene: Scene,
        overlays: Overlays,
        palette: Palette,
        changed: Callable[[], None],
    ) -> None:
        self._viewer, self._scene, self._overlays = viewer, scene, overlays
        self._palette, self._changed = palette, changed
        self._outlines = OutlineLayers(viewer)
        self._navigator = BestMatchFinder(scene)
        self._hover = Hover(viewer, self.place_at, scene, self._on_hover)
        self._match: BestMatch | None = None
        self._side: SideBySide | None = None
        self._drawn: tuple[object, ...] = ()
        self.hovering = False
        self.outlined = True
        viewer.events.status.connect(self._on_status)

    # -- the mouse ------------------------------------------------------------------------------

    @property
    def hovered(self) -> PlanePixel | None:
        """The pixel whose map is shown without a click; None while that is off."""
        return self._hover.place if self.hovering else None

    def place_at(self, world: NDArray[np.float64]) -> PlanePixel | None:
        """Return the pixel under a point of the world, in the viewbox that the mouse is in."""
        image_id = self.image_under_mouse()
        if image_id is None:
            return None if self.side_by_side else self._scene.place(world)
        return self._scene.pixel_on(image_id, world)

    def image_under_mouse(self) -> Hashable | None:
        """Return the image whose viewbox the mouse is in; None when not side by side."""
        side = self._side
        if side is None:
            return None
        group = side.group_at(self._viewer.cursor.viewbox)
        ids = list(self._scene.shown())
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
        maps = None if place is None else self._scene.maps(place.plane.key)
        if place is None or maps is None:
            return ""
        scores = {class_name: self._scene.score(place, class_name) for class_name in maps.cosines}
        if len(scores) == 1:
            return "".join(f"  {TAG} {value:.2f}" for value in scores.values())
        return f"  {TAG} " + ", ".join(
            f"{class_name} {value:.2f}" for class_name, value in scores.items()
        )

    # -- the patches ----------------------------------------------------------------------------

    def apply(self, old: ResolvedState | None, new: ResolvedState, queries: Points | None) -> None:
        """Outline what is picked now, and keep every image in its viewbox, side by side.

        Parameters
        ----------
        old, new : ResolvedState
            Before and now.
        queries : Points or None
            The query layer.
        """
        if old is not None and old.picked.picks != new.picked.picks:
            self._match = None  # the question is another one
        picks = new.picked.picks
        colours = {pick.class_name: "" for pick in picks if isinstance(pick, Pick)}
        colours = {name: self._palette.colour(name) for name in colours}
        now = (picks, new.images, new.cell_size, self.outlined, self._match, colours)
        if now != self._drawn:
            self._drawn = now
            self._outline(new, colours)
        if self._side is not None:
            self._arrange(self._side, queries, new.picked.owners)

    def _outline(self, new: ResolvedState, colours: Mapping[str, str]) -> None:
        squares: dict[Hashable, list[tuple[Plane, int, int, int]]] = {}
        coloured: dict[Hashable, list[str]] = {}
        side = new.cell_size
        if side is not None:
            for plane, x, y, colour in self._outlined(new, colours):
                image_id = plane.key.layer_id
                squares.setdefault(image_id, []).append((plane, y // side, x // side, side))
                coloured.setdefault(image_id, []).append(colour)
        if self._outlines.layers.keys() - squares.keys():
            self._outlines.keep_only(set(squares))
        for image_id, found in squares.items():
            target = new.images.targets.get(image_id)
            if target is not None:
                over: list[Layer] = []
                if image_id not in self._outlines.layers:
                    over = [new.images.tops[image_id], *self._overlays.over(image_id)]
                self._outlines.show(target.layer, found, coloured[image_id], over)

    def _outlined(
        self, new: ResolvedState, colours: Mapping[str, str]
    ) -> list[tuple[Plane, int, int, str]]:
        if not self.outlined:
            return []
        planes = new.picked.planes
        found = [
            (planes[pick.plane], pick.x, pick.y, colours[pick.class_name])
            for pick in new.picked.picks
            if isinstance(pick, Pick)
        ]
        match = self._match
        if match is not None and match.plane.key.layer in self._answered_layers():
            found.append((match.plane, match.x, match.y, MATCH_COLOUR))
        return found

    def _answered_layers(self) -> set[object]:
        return {key.layer for key in self._scene.answers.planes()}

    def go_to_best_match(self, class_name: str) -> BestMatch | None:
        """Move the view to the next best place in the next image."""
        match = self._navigator.next(class_name)
        if match is not None:
            self._match = match
            look_at(self._viewer, self._scene.world(match.plane, match.x, match.y))
            self._changed()
        return match

    # -- side by side -----------------------------------------------------------------------------

    @property
    def side_by_side(self) -> bool:
        """Whether every target has a viewbox of its own."""
        return self._side is not None

    def show_side_by_side(self, wanted: bool, queries: Points | None) -> None:
        """Put every target into a viewbox of its own, or all into one again."""
        if not wanted:
            self._leave()
        elif queries is not None and not self.side_by_side:
            self._side = SideBySide(self._viewer, queries, ended=self._on_ended)
            self._changed()

    def _arrange(
        self, side: SideBySide, queries: Points | None, owners: Sequence[Hashable | None]
    ) -> None:
        """Keep every target in its viewbox, with its points.

        `queries` is not the layer that it began with, if that was thrown away since.
        """
        if queries is not None and queries is not side.queries:
            side.leave()
            self._side = side = SideBySide(self._viewer, queries, ended=self._on_ended)
        ids = list(self._scene.shown())
        side.arrange([self._group(image_id) for image_id in ids])
        side.show_points([ids.index(owner) if owner in ids else None for owner in owners])

    def _group(self, image_id: Hashable) -> list[Layer]:
        images = self._scene.layers(image_id)
        over = self._overlays.over(image_id)
        outlines = self._outlines.over(image_id).values()
        return sorted([*images, *over, *outlines], key=self._viewer.layers.index)

    def _on_ended(self) -> None:
        self._side = None
        self._changed()

    def _leave(self) -> None:
        side, self._side = self._side, None
        if side is not None:
            side.leave()

    # -- following and ending ---------------------------------------------------------------------

    def follow(self, image: Any, what: str) -> None:
        """Lay outlines over an image again that has moved or been hidden."""
        if what == "visible":
            self._outlines.follow_visibility(image, self._scene.visible(image))
        else:
            self._outlines.follow(image)

    def close(self) -> None:
        """Listen no more, and leave side by side; the outlines stay."""
        self._hover.close()
        self._outlines.close()
        self._viewer.events.status.disconnect(self._on_status)
        self._leave()

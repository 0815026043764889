"""All that is known of a user's deeds, and all that must hold after each of them."""

from __future__ import annotations

import numpy as np
from napari.layers.utils._link_layers import get_linked_layers

from napari_dinov3_sim.session.layer_metadata import mark_of

from .invariants import Invariants

OURS = "napari_dinov3_sim"


class Naive(Invariants):
    """Adds what must hold of what is the user's, and of the viewer as a whole."""

    def check_all(self) -> None:
        super().check_all()
        self.belongings.check()
        self.check_side_by_side()
        self.check_colours()
        assert self.viewer.dims.ndisplay == 2

    # -- side by side ----------------------------------------------------------------------------

    def check_side_by_side(self) -> None:
        shown = [image for image in self.session.targets if image in self.must_have()]
        points = self.session.queries
        wanted = self.session.side_by_side and shown and points is not None
        assert self.arranged == bool(wanted)
        if wanted:
            self.check_groups(shown, points)
        else:
            self.belongings.check_places()
            assert self.grid_now() == self.grid
            assert points is None or points.opacity == 1

    def check_groups(self, shown, points) -> None:
        """Each image and its points have a viewbox of their own, and nothing else is seen."""
        mirrors = self.session._coordinator.interaction.viewboxes._mirror_layers.mirrors
        assert len(mirrors) == len(shown)
        for target, mirror in zip(shown, mirrors, strict=True):
            rows = [n for n, owner in enumerate(self.owner) if owner in (target, None)]
            np.testing.assert_array_equal(mirror.data, points.data[rows])
        assert self.grid_now()["enabled"]
        assert points.opacity == 0
        grouped = {image for target in shown for image in self.channels(target)}
        shown_ids = {target.unique_id for target in shown}
        results = self.marked("result")
        grouped |= {la for la in results if mark_of(la, "result")["image"] in shown_ids}
        for layer, visible in self.belongings.visible.items():
            # The two layers of matches are shown and hidden together.
            pair = {layer, *get_linked_layers(layer)}
            assert layer.visible == (visible and pair <= grouped), layer

    # -- colours ---------------------------------------------------------------------------------

    def check_colours(self) -> None:
        """What is asked keeps its colour, until the user says otherwise."""
        colours = self.session.classes
        asked = {
            one.class_name for region in self.regions for one in region.asked(self) if one.named
        }
        for class_name in asked:
            assert self.colours.get(class_name, colours[class_name]) == colours[class_name], (
                class_name
            )
        self.colours = {class_name: colours[class_name] for class_name in asked}

    # -- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the session: the layers stay, but for those that were there for the time being."""
        mine = {layer for layer in self.viewer.layers if layer not in self.marked("mirror")}
        self.session.close()
        assert set(self.viewer.layers) == mine
        self.belongings.check()
        self.belongings.check_places()
        assert self.grid_now() == self.grid
        assert not self.listeners()

    def listeners(self) -> list:
        """Everything of this package that is called when something changes in the viewer."""
        viewer = self.viewer
        models = [viewer, viewer.layers, viewer.layers.selection, viewer.dims, viewer.cursor]
        models += [viewer.canvas.grid, viewer.scene.camera, *viewer.layers]
        groups = [model.events for model in models]
        emitters = [e for group in groups for e in (group, *group.emitters.values())]
        called = [callback for emitter in emitters for callback in emitter.callbacks]
        called += [*viewer.mouse_move_callbacks, *viewer.mouse_drag_callbacks]
        return [callback for callback in called if home_of(callback).startswith(OURS)]


def home_of(callback) -> str:
    """The module that a callback comes from; a method is known by its object, held weakly."""
    if isinstance(callback, tuple):
        return type(callback[0]()).__module__
    owner = getattr(callback, "__self__", callback)
    return getattr(callback, "__module__", type(owner).__module__) or ""

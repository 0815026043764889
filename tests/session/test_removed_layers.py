"""All layers, ours among them, are removed at once, in whatever order napari does it."""

from __future__ import annotations

import random

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.events.containers import Selection

from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layer_metadata import MARKER
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from patience import PATIENCE

from .brute_force import PATCH, PatchProjection

pytestmark = pytest.mark.slow

SIDE = 3 * PATCH
SORTS = {
    "heatmap",
    "class map",
    "contour",
    "outline",
    "suggestion",
    "query",
    "regions",
    "labels",
    "colours",
    "peaks",
    "matches",
    "tracks",
    "tracked objects",
}


class LaterRunner(InlineRunner):
    """Calls back later, as the event loop of a window does."""

    def __init__(self):
        super().__init__()
        self.waiting = []

    def call_soon(self, callback):
        if callback not in self.waiting:
            self.waiting.append(callback)

    def deliver(self, timeout=0.0):
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()
        return bool(waiting)


def sort_of(layer):
    """What a layer of ours is; None for an image."""
    found = layer.metadata.get(MARKER)
    if found is None:
        return None
    return found["what"][0] if found["role"] == "result" else found["role"]


def everything(runner):
    """A viewer with two images and a layer of ours of each sort over them, and its session."""
    viewer, rng = ViewerModel(), np.random.default_rng(3)
    session = SimilaritySession(viewer, backbone=PatchProjection(), runner=runner)
    session.outline = "patches"
    images = [
        viewer.add_image(
            rng.random((2, SIDE, SIDE)), name=name, axis_labels=("t", "y", "x"), units=("s", *"mm")
        )
        for name in "ab"
    ]
    session.wait(PATIENCE)
    viewer.dims.set_current_step(0, 0)
    session.all_planes = True
    session.discovery.suggest(3)
    session.wait(PATIENCE)
    session.discovery.make_classes([1, 2])
    session.start_box()
    corners = np.array([(0, 2, 2), (0, 2, 20), (0, 20, 20), (0, 20, 2)], float)
    session.drawn_regions.add([corners], shape_type="rectangle")
    session.wait(PATIENCE)
    session.results.labels()
    session.results.colours()
    session.results.peaks()
    session.wait(PATIENCE)
    session.results.matches(*images)
    session.tracking.follow()
    session.wait(PATIENCE)
    assert {sort_of(layer) for layer in viewer.layers} == {None, *SORTS}
    return viewer, session, images


def remove(viewer, layers, monkeypatch):
    """Remove layers as napari's button does, in an order of our own."""
    viewer.layers.selection = set(layers)
    place = {layer: at for at, layer in enumerate(layers)}

    def ordered(selection):
        return iter(sorted(selection._set, key=lambda layer: place.get(layer, len(place))))

    with monkeypatch.context() as patch:
        patch.setattr(Selection, "__iter__", ordered)
        viewer.layers.remove_selected()


def at_random(seed):
    def order(layers):
        return random.Random(seed).sample(list(layers), len(layers))

    return order


@pytest.mark.parametrize(
    ("runner", "class_maps", "order"),
    [
        (InlineRunner, False, list),
        (ThreadRunner, True, lambda layers: list(layers)[::-1]),
        (LaterRunner, True, list),
        (LaterRunner, False, at_random(0)),
    ],
)
def test_all_layers_can_be_removed_in_any_order(runner, class_maps, order, monkeypatch):
    viewer, session, _ = everything(runner())
    session.show_class_maps = class_maps
    failures = []
    session.failed.connect(failures.append)
    remove(viewer, order(viewer.layers), monkeypatch)
    session.wait(PATIENCE)
    assert list(viewer.layers) == []
    assert failures == []
    assert session.discovery.suggestions == () or session.discovery.is_outdated
    session.close()


@pytest.mark.parametrize(("runner", "seed"), [(InlineRunner, 0), (LaterRunner, 1)])
def test_what_lies_over_an_image_leaves_after_it_with_others(runner, seed, monkeypatch):
    viewer, session, (image, other) = everything(runner())
    failures = []
    session.failed.connect(failures.append)
    removed = [image, *random.Random(seed).sample(list(viewer.layers), 8)]
    removed = at_random(seed)(dict.fromkeys(one for one in removed if one is not other))
    remove(viewer, removed, monkeypatch)
    session.wait(PATIENCE)
    assert failures == []
    assert other in viewer.layers
    assert not set(removed) & set(viewer.layers)
    marks = [(one, one.metadata.get(MARKER, {})) for one in viewer.layers]
    gone = [one for one, mark in marks if mark.get("image") == image.unique_id]
    followers = {"heatmap", "class map", "contour", "outline", "suggestion"}
    assert not followers & {sort_of(one) for one in gone}
    session.close()

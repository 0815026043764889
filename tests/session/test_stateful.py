"""Whatever a user does, in whatever order: heatmaps equal brute force, images stay untouched."""

from __future__ import annotations

import os

import numpy as np
from brute_force import (
    PATCH,
    PatchProjection,
    reference_embeddings,
    reference_map,
    reference_query,
    reference_window,
)
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from napari.components import ViewerModel

from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner

MODELS = [PatchProjection("projection-1", 1.0), PatchProjection("projection-2", 1.0)]
FRACTION = st.floats(0.0, 0.999)
PICK = st.integers(0, 10**6)


class Session(RuleBasedStateMachine):
    """Drives a session and keeps a naive record of which image every point belongs to."""

    def __init__(self) -> None:
        super().__init__()
        self.viewer = ViewerModel()
        self.session = SimilaritySession(self.viewer, backbone=MODELS[0], runner=InlineRunner())
        self.images: list = []
        self.pixels: dict = {}
        self.owner: list = []
        self.ticked: set = set()
        self.seen: dict = {}

    def teardown(self) -> None:
        self.session.close()

    # -- helpers ---------------------------------------------------------------------------

    def pick(self, number: int):
        return self.images[number % len(self.images)]

    def data_of(self, image, world):
        return np.asarray(image.world_to_data(world))

    def inside(self, image, world) -> bool:
        pixel = np.floor(self.data_of(image, world) + 0.5)
        return bool((pixel >= 0).all() and (pixel < image.data.shape).all())

    def topmost(self, world):
        for layer in reversed(list(self.viewer.layers)):
            usable = layer in self.images and layer in self.ticked and layer.visible
            if usable and self.inside(layer, world):
                return layer
        return None

    def worlds(self):
        points = self.session.queries
        return [] if points is None else [points.data_to_world(p) for p in points.data]

    def settle(self) -> None:
        """Apply the rule of ownership after anything that may have changed it."""
        worlds = self.worlds()
        self.owner = [
            old
            if old in self.images and old in self.ticked and self.inside(old, world)
            else self.topmost(world)
            for old, world in zip(self.owner, worlds, strict=True)
        ]

    # -- what a user does --------------------------------------------------------------------

    @initialize(seed=PICK)
    def open_first(self, seed):
        self.open_image(seed, 0)

    @precondition(lambda self: len(self.images) < 4)
    @rule(seed=PICK, place=st.integers(0, 3))
    def open_image(self, seed, place):
        rng = np.random.default_rng(seed)
        data = rng.normal(size=tuple(rng.integers(1, 50, 2)))
        image = self.viewer.add_image(data, translate=(0, 60 * place))
        self.images.append(image)
        self.ticked.add(image)
        self.pixels[image] = data.copy()
        self.settle()

    @precondition(lambda self: self.images)
    @rule(number=PICK)
    def remove_image(self, number):
        image = self.pick(number)
        self.viewer.layers.remove(image)
        self.images.remove(image)
        self.ticked.discard(image)
        self.settle()

    @precondition(lambda self: self.images and self.session.queries is not None)
    @rule(number=PICK, fy=FRACTION, fx=FRACTION)
    def click(self, number, fy, fx):
        image = self.pick(number)
        # Off the borders of pixels, where two right ways of computing round apart.
        position = np.floor(np.array([fy, fx]) * image.data.shape) + 0.137
        world = image.data_to_world(position)
        points = self.session.queries
        self.owner.append(None)
        points.add(points.world_to_data(world))
        self.owner[-1] = self.topmost(points.data_to_world(points.data[-1]))
        self.settle()

    @precondition(lambda self: len(self.owner))
    @rule(number=PICK)
    def delete_point(self, number):
        index = number % len(self.owner)
        self.session.queries.selected_data = {index}
        self.session.queries.remove_selected()
        del self.owner[index]
        self.settle()

    @precondition(lambda self: len(self.owner))
    @rule(number=PICK, dy=st.floats(-80, 80), dx=st.floats(-80, 80))
    def move_point(self, number, dy, dx):
        points = self.session.queries
        data = points.data.copy()
        data[number % len(data)] += (dy, dx)
        points.data = data
        self.settle()

    @precondition(lambda self: len(self.owner) > 1)
    @rule()
    def reverse_points(self):
        points = self.session.queries
        points.data = points.data[::-1].copy()
        distinct = len({tuple(point) for point in points.data}) == len(points.data)
        self.owner = self.owner[::-1] if distinct else self.session_owner()
        self.settle()

    @precondition(lambda self: len(self.owner))
    @rule(move=st.tuples(st.floats(-30, 30), st.floats(-30, 30)))
    def move_points_layer(self, move):
        self.session.queries.translate = move
        self.settle()

    @precondition(lambda self: self.images)
    @rule(number=PICK, seed=PICK)
    def take_out_change_and_put_back(self, number, seed):
        image = self.pick(number)
        self.viewer.layers.remove(image)
        self.images.remove(image)
        self.settle()
        image.data = np.random.default_rng(seed).normal(size=image.data.shape)
        self.pixels[image] = image.data.copy()
        self.seen.pop(image, None)
        self.viewer.layers.insert(seed % (len(self.viewer.layers) + 1), image)
        self.images.append(image)
        self.ticked.add(image)
        self.settle()

    @precondition(lambda self: self.images)
    @rule(
        number=PICK,
        scale=st.tuples(st.floats(0.3, 3), st.floats(0.3, 3)),
        rotate=st.floats(-90, 90),
        shear=st.floats(-0.5, 0.5),
        move=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
    )
    def transform(self, number, scale, rotate, shear, move):
        image = self.pick(number)
        image.scale, image.rotate, image.shear = scale, rotate, [shear]
        # Ownership follows every single step, as a point may leave and come back in between.
        image.translate = move
        self.owner = self.session_owner()

    def session_owner(self):
        by_id = {image.unique_id: image for image in self.images}
        return [by_id.get(source.image) for source in self.session._queries._sources]

    @precondition(lambda self: self.images)
    @rule(number=PICK, seed=PICK)
    def replace_pixels(self, number, seed):
        image = self.pick(number)
        rng = np.random.default_rng(seed)
        data = rng.normal(size=tuple(rng.integers(1, 50, 2)))
        image.data = data
        self.pixels[image] = data.copy()
        self.settle()

    @precondition(lambda self: self.images)
    @rule(number=PICK)
    def toggle_tick(self, number):
        image = self.pick(number)
        self.ticked ^= {image}
        self.session.set_target(image, image in self.ticked)
        self.settle()

    @precondition(lambda self: self.images)
    @rule(number=PICK)
    def toggle_visibility(self, number):
        image = self.pick(number)
        image.visible = not image.visible
        self.settle()

    @precondition(lambda self: self.images)
    @rule(number=PICK, name=st.sampled_from(["a", "b", "DINOv3 query", "a similarity"]))
    def rename(self, number, name):
        self.pick(number).name = name

    @precondition(lambda self: len(self.images) > 1)
    @rule(number=PICK, to=PICK)
    def reorder(self, number, to):
        layers = self.viewer.layers
        layers.move(layers.index(self.pick(number)), to % len(layers))
        self.settle()

    @rule(number=st.integers(0, 1))
    def choose_model(self, number):
        self.session.set_model(MODELS[number])

    @precondition(lambda self: self.images)
    @rule()
    def embed(self):
        self.session.embed()

    @rule()
    def cancel(self):
        self.session.cancel()

    @rule(scaling=st.sampled_from(["shared", "each"]))
    def choose_scaling(self, scaling):
        self.session.scaling = scaling

    @precondition(lambda self: self.session.heatmaps)
    @rule()
    def reopen_session(self):
        before = list(self.viewer.layers)
        model = self.session.backbone
        sources = self.session_owner()
        ticked = set(self.ticked)
        self.session.close()
        self.session = SimilaritySession(self.viewer, backbone=model, runner=InlineRunner())
        self.ticked = set(self.images)
        self.owner = [None] * len(sources)
        self.settle()
        for image in self.images:
            if image not in ticked:
                self.session.set_target(image, False)
                self.ticked.discard(image)
                self.settle()
        assert {layer for layer in before if layer in self.images} <= set(self.viewer.layers)

    # -- what must always hold ---------------------------------------------------------------

    def picks(self):
        found = []
        for owner, world in zip(self.owner, self.worlds(), strict=True):
            if owner is not None:
                y, x = np.floor(self.data_of(owner, world) + 0.5).astype(int)
                found.append((owner, x, y))
        return found

    def embed_reference(self, image):
        return reference_embeddings(image.data, *reference_window(image.data))

    @invariant()
    def heatmaps_equal_brute_force(self):
        picks, heatmaps = self.picks(), self.session.heatmaps
        if not picks:
            assert heatmaps == {}
            return
        assert set(heatmaps) == self.ticked
        vectors = [self.embed_reference(i)[y // PATCH, x // PATCH] for i, x, y in picks]
        query = reference_query(vectors)
        for image, heatmap in heatmaps.items():
            wanted = reference_map(query, self.embed_reference(image), image.data.shape)
            np.testing.assert_allclose(np.asarray(heatmap.data), wanted, atol=2e-4)
            self.lies_over(image, heatmap)

    def lies_over(self, image, heatmap):
        for corner in ((-0.5, -0.5), np.array(image.data.shape) - 0.5, (0.0, 3.0)):
            np.testing.assert_allclose(
                heatmap.data_to_world(corner), image.data_to_world(corner), atol=1e-6
            )
        assert heatmap.visible == image.visible
        layers = self.viewer.layers
        assert layers.index(heatmap) > layers.index(image)

    @invariant()
    def one_heatmap_layer_an_image_and_no_other(self):
        ours = [layer for layer in self.viewer.layers if layer not in self.images]
        points = [] if self.session.queries is None else [self.session.queries]
        assert len(ours) == len(self.session.heatmaps) + len(points)

    @invariant()
    def nothing_of_the_users_has_changed(self):
        for image in self.images:
            np.testing.assert_array_equal(image.data, self.pixels[image])
        order = [layer for layer in self.viewer.layers if layer in self.images]
        for image in self.images:
            before = self.seen.setdefault(image, (image.contrast_limits[:], image.opacity))
            assert (image.contrast_limits, image.opacity) == before
        assert len(order) == len(self.images)


TestSession = Session.TestCase
TestSession.settings = settings(
    max_examples=int(os.environ.get("STATEFUL_EXAMPLES", "40")),
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    # Shrinking a failure takes minutes; add Phase.shrink to have it.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

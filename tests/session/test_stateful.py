"""Whatever a user does, in whatever order: heatmaps equal brute force, images stay untouched."""

from __future__ import annotations

import os
from itertools import count

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from naive import MODELS, Naive, Said
from napari.layers.base import ActionType

from napari_dinov3_sim.core.recipe import Recipe

FRACTION = st.floats(0.0, 0.999)
NUMBER = st.integers(0, 10**6)
KIND = st.sampled_from(["kind 1", "cell", "debris"])
SIGN = st.sampled_from([True, True, False])
STEP = st.floats(-80, 80)
SUBSET = st.sets(st.integers(0, 6), min_size=1, max_size=4)
RECIPES = [Recipe(), Recipe(factor=2.0), Recipe(padding="reflect")]

with_images = precondition(lambda self: self.naive.images)
with_stack = precondition(lambda self: self.stacks)
with_layer = precondition(lambda self: self.naive.session.queries is not None)
with_points = precondition(lambda self: self.naive.said)


class Flat(RuleBasedStateMachine):
    """Flat images and everything that can be done to them."""

    first_is_a_stack = False

    def __init__(self) -> None:
        super().__init__()
        self.naive = Naive()
        self.numbers = count()

    def teardown(self) -> None:
        self.naive.session.close()

    @property
    def session(self):
        return self.naive.session

    @property
    def stacks(self):
        return [image for image in self.naive.images if image.ndim == 3]

    def image(self, number: int):
        return self.naive.images[number % len(self.naive.images)]

    def pixels_of(self, seed, stack):
        rng = np.random.default_rng([seed, next(self.numbers)])
        shape = tuple(rng.integers(1, 50, 2))
        if stack:
            return rng.integers(0, 60000, (int(rng.integers(2, 5)), *shape)).astype(np.uint16)
        return rng.normal(size=shape)

    # -- images --------------------------------------------------------------------------------

    @initialize(seed=NUMBER)
    def open_first(self, seed):
        self.add(seed, 0, self.first_is_a_stack)

    @precondition(lambda self: len(self.naive.images) < 4)
    @rule(seed=NUMBER, place=st.integers(0, 3))
    def open_image(self, seed, place):
        self.add(seed, place, stack=self.first_is_a_stack and seed % 3 == 0)

    def add(self, seed, place, stack):
        naive, data = self.naive, self.pixels_of(seed, stack)
        scale, translate = ((2, 1, 1), (0, 0, 60 * place)) if stack else ((1, 1), (0, 60 * place))
        image = naive.viewer.add_image(data, scale=scale, translate=translate)
        naive.images.append(image)
        naive.order.append(image)
        naive.ticked.add(image)
        naive.forget_pixels(image)
        naive.settle()

    @with_images
    @rule(number=NUMBER)
    def remove_image(self, number):
        self.take_out(self.image(number))

    def take_out(self, image):
        self.naive.viewer.layers.remove(image)
        self.naive.images.remove(image)
        self.naive.order.remove(image)
        self.naive.ticked.discard(image)
        self.naive.settle()

    @with_images
    @rule(number=NUMBER, seed=NUMBER)
    def take_out_change_and_put_back(self, number, seed):
        naive, image = self.naive, self.image(number)
        self.take_out(image)
        image.data = self.pixels_of(seed, image.ndim == 3)
        naive.forget_pixels(image)
        naive.looks.pop(image, None)
        at = seed % (len(naive.viewer.layers) + 1)
        below = [layer for layer in naive.viewer.layers[:at] if layer in naive.images]
        naive.viewer.layers.insert(at, image)
        naive.images.append(image)
        naive.order.insert(len(below), image)
        naive.ticked.add(image)
        naive.settle()

    @with_images
    @rule(
        number=NUMBER,
        scale=st.tuples(st.floats(0.3, 3), st.floats(0.3, 3)),
        rotate=st.floats(-90, 90),
        shear=st.floats(-0.5, 0.5),
        move=st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
    )
    def transform(self, number, scale, rotate, shear, move):
        image = self.image(number)
        if image.ndim == 3:
            image.scale, image.rotate, image.translate = (2, *scale), rotate, (0, *move)
        else:
            image.scale, image.rotate, image.shear = scale, rotate, [shear]
            image.translate = move
        # Ownership follows every single step, as a point may leave and come back in between.
        self.naive.believe_the_session()

    @with_images
    @rule(number=NUMBER, seed=NUMBER)
    def replace_pixels(self, number, seed):
        image = self.image(number)
        image.data = self.pixels_of(seed, image.ndim == 3)
        self.naive.forget_pixels(image)
        self.naive.settle()

    @with_images
    @rule(number=NUMBER, seed=NUMBER)
    def write_into_pixels_and_embed(self, number, seed):
        image = self.image(number)
        rng = np.random.default_rng(seed)
        image.data[...] = rng.integers(0, 100, image.data.shape)
        self.naive.forget_pixels(image)
        self.session.embed()

    @with_images
    @rule(number=NUMBER)
    def toggle_tick(self, number):
        image = self.image(number)
        self.naive.ticked ^= {image}
        self.session.set_target(image, image in self.naive.ticked)
        self.naive.settle()

    @with_images
    @rule(number=NUMBER)
    def toggle_visibility(self, number):
        image = self.image(number)
        image.visible = not image.visible
        self.naive.settle()

    @with_images
    @rule(number=NUMBER, name=st.sampled_from(["a", "b", "DINOv3 query", "a similarity"]))
    def rename(self, number, name):
        self.image(number).name = name

    @precondition(lambda self: len(self.naive.images) > 1)
    @rule(number=NUMBER, to=NUMBER)
    def reorder(self, number, to):
        naive, layers, image = self.naive, self.naive.viewer.layers, self.image(number)
        wanted = list(layers)
        source, to = wanted.index(image), to % len(layers)
        wanted.remove(image)
        wanted.insert(to, image)
        naive.order = [layer for layer in wanted if layer in naive.images]
        layers.move(source, to if to <= source else to + 1)
        naive.settle()

    @with_images
    @rule(number=NUMBER)
    def choose_source(self, number):
        image = None if number % 3 == 0 else self.image(number)
        self.naive.source = self.session.source = image

    # -- points --------------------------------------------------------------------------------

    @with_images
    @with_layer
    @rule(number=NUMBER, fy=FRACTION, fx=FRACTION, kind=KIND, positive=SIGN)
    def click(self, number, fy, fx, kind, positive):
        naive, image = self.naive, self.image(number)
        # Off the borders of pixels, where two right ways of computing round apart.
        position = np.zeros(image.ndim)
        position[-2:] = np.floor(np.array([fy, fx]) * image.data.shape[-2:]) + 0.137
        world = np.array(naive.viewer.dims.point, float)
        world[-2:] = image.data_to_world(position)[-2:]
        self.session.kind, self.session.positive = kind, positive
        with naive.edit() as points:
            naive.owner.append(None)
            naive.said.append(Said(kind, positive))
            points.add(points.world_to_data(world))

    @with_images
    @with_layer
    @rule(number=NUMBER, fy=FRACTION, fx=FRACTION, kind=KIND, positive=SIGN)
    def add_query(self, number, fy, fx, kind, positive):
        naive, image = self.naive, self.image(number)
        if image not in naive.must_have():
            return
        y, x = np.floor(np.array([fy, fx]) * image.data.shape[-2:])
        with naive.edit():
            naive.owner.append(image)
            naive.said.append(Said(kind, positive))
            self.session.add_query(image, x, y, kind=kind, positive=positive)

    @with_points
    @rule(which=SUBSET)
    def delete_points(self, which):
        naive = self.naive
        gone = {number % len(naive.said) for number in which}
        with naive.edit() as points:
            points.selected_data = gone
            kept = [i for i in range(len(naive.said)) if i not in gone]
            naive.owner = [naive.owner[i] for i in kept]
            naive.said = [naive.said[i] for i in kept]
            points.remove_selected()

    @with_points
    @rule(number=NUMBER, dy=STEP, dx=STEP)
    def move_point(self, number, dy, dx):
        with self.naive.edit() as points:
            data = points.data.copy()
            data[number % len(data), -2:] += (dy, dx)
            points.data = data

    @with_points
    @rule(number=NUMBER, steps=st.lists(st.tuples(STEP, STEP), min_size=1, max_size=4))
    def drag_point(self, number, steps):
        """As napari does it: no data event before the button is released."""
        at = number % len(self.naive.said)
        with self.naive.edit() as points:
            for step in steps:
                points.data[at, -2:] += step
                points.refresh()
                self.naive.settle()
                self.naive.check_all()
            points.events.data(
                value=points.data,
                action=ActionType.CHANGED,
                data_indices=(at,),
                vertex_indices=((),),
            )

    @with_points
    @rule(which=SUBSET)
    def copy_and_paste(self, which):
        naive = self.naive
        # In a stack napari's own paste raises (0.9.2, `_ThickNDSlice.__getitem__`).
        if len(naive.said) > 8 or self.session.queries.ndim > 2:
            return
        with naive.edit() as points:
            points.selected_data = {number % len(naive.said) for number in which}
            chosen = list(points.selected_data)
            points._copy_data()
            naive.owner += [None] * len(chosen)
            naive.said += [naive.said[number] for number in chosen]
            points._paste_data()

    @precondition(lambda self: len(self.naive.said) > 1)
    @rule()
    def reverse_points(self):
        with self.naive.edit() as points:
            self.naive.owner.reverse()
            points.data = points.data[::-1].copy()

    @with_points
    @rule(move=st.tuples(st.floats(-30, 30), st.floats(-30, 30)))
    def move_points_layer(self, move):
        points = self.session.queries
        points.translate = (*[0] * (points.ndim - 2), *move)
        self.naive.settle()

    @with_points
    @rule(which=SUBSET, kind=KIND, positive=SIGN)
    def set_features(self, which, kind, positive):
        naive = self.naive
        with naive.edit() as points:
            features = points.features.copy()
            for number in {number % len(naive.said) for number in which}:
                naive.said[number] = Said(kind, positive)
                features.loc[number, "kind"] = kind
                features.loc[number, "sign"] = "positive" if positive else "negative"
            points.features = features

    @with_layer
    @rule(old=KIND, new=KIND)
    def rename_kind(self, old, new):
        naive = self.naive
        colour = self.session.kinds.get(old)
        with naive.edit():
            naive.said = [Said(new if s.kind == old else s.kind, s.positive) for s in naive.said]
            joined, current = new in self.session.kinds, self.session.kind
            self.session.rename_kind(old, new)
            assert self.session.kind == (new if current == old else current)
        if colour is not None and not joined:
            assert self.session.kinds[new] == colour

    @rule()
    def undo(self):
        naive = self.naive
        next_point = self.session.kind, self.session.positive
        assert self.session.undo() == bool(naive.past)
        if not naive.past:
            return
        before = naive.past.pop()
        points = self.session.queries
        np.testing.assert_array_equal(points.data, before.coordinates)
        naive.said, naive.owner = list(before.said), list(before.owner)
        naive.settle()
        assert (self.session.kind, self.session.positive) == next_point
        for said in naive.said:
            assert self.session.kinds[said.kind] == before.colours[said.kind]

    @with_layer
    @rule()
    def throw_the_points_away(self):
        naive = self.naive
        naive.viewer.layers.remove(self.session.queries)
        naive.owner, naive.said, naive.past = [], [], []
        naive.check_all()
        self.session.new_queries()

    # -- the dock ------------------------------------------------------------------------------

    @rule(combination=st.sampled_from(["auto", "mean", "best", "contrast"]))
    def choose_combination(self, combination):
        self.naive.combination = self.session.combination = combination

    @rule(threshold=st.none() | st.floats(-0.5, 1))
    def choose_threshold(self, threshold):
        self.naive.threshold = self.session.threshold = threshold

    @rule(number=st.integers(0, 1))
    def choose_model(self, number):
        self.naive.model = MODELS[number]
        self.session.set_model(MODELS[number])

    @rule(recipe=st.sampled_from(RECIPES))
    def choose_recipe(self, recipe):
        self.naive.recipe = self.session.recipe = recipe

    @with_images
    @rule()
    def embed(self):
        self.session.embed()

    @rule()
    def cancel(self):
        self.session.cancel()

    @rule(scaling=st.sampled_from(["shared", "each", "fixed"]))
    def choose_scaling(self, scaling):
        self.session.scaling = scaling

    @rule(low=st.floats(-1, 0), high=st.floats(0.1, 1))
    def choose_limits(self, low, high):
        self.session.limits = (low, high)
        for layer in self.session.heatmaps.values():
            np.testing.assert_allclose(layer.contrast_limits, (low, high))

    @with_images
    @rule(number=NUMBER)
    def delete_a_heatmap_and_embed(self, number):
        heatmap = self.session.heatmaps.get(self.image(number))
        if heatmap is not None:
            self.naive.viewer.layers.remove(heatmap)
        self.session.embed()

    @rule()
    def close_and_reopen(self):
        naive = self.naive
        ticked = set(naive.ticked)
        self.session.close()
        naive.open_session()
        naive.ticked = set(naive.images)
        naive.owner = [None] * len(naive.said)
        naive.settle()
        for image in naive.images:
            if image not in ticked:
                self.session.set_target(image, False)
                naive.ticked.discard(image)
                naive.settle()

    # -- what must always hold -----------------------------------------------------------------

    @invariant()
    def what_is_seen_is_true(self):
        self.naive.check_all()


class Stacks(Flat):
    """Stacks among them: planes, sliders, all planes at once, 3-D."""

    first_is_a_stack = True

    @with_stack
    @rule(number=NUMBER)
    def move_slider(self, number):
        dims = self.naive.viewer.dims
        dims.set_current_step(0, number % int(dims.nsteps[0]))
        self.naive.settle()

    @rule(all_planes=st.booleans())
    def answer_all_planes(self, all_planes):
        self.naive.all_planes = self.session.all_planes = all_planes

    @with_stack
    @rule()
    def look_at_it_in_3d(self):
        dims = self.naive.viewer.dims
        dims.ndisplay = 3
        dims.ndisplay = 2
        self.naive.settle()


def machine(number_of_examples: int) -> settings:
    return settings(
        max_examples=number_of_examples,
        stateful_step_count=50,
        deadline=None,
        derandomize="STATEFUL_RANDOM" not in os.environ,
        # Shrinking a failure takes minutes; add Phase.shrink to have it.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
        print_blob=False,
    )


EXAMPLES = int(os.environ.get("STATEFUL_EXAMPLES", "40"))

TestFlat = Flat.TestCase
TestFlat.settings = machine(EXAMPLES // 2)

TestStacks = Stacks.TestCase
TestStacks.settings = machine(EXAMPLES - EXAMPLES // 2)

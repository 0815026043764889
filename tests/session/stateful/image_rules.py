"""Images come, go, move, and get other pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from .choices import NAME, NUMBER, with_images, with_room, with_several


class ImageRules:
    """What is done to images."""

    first_is_a_stack = False

    def image(self, number: int):
        return self.naive.images[number % len(self.naive.images)]

    @property
    def stacks(self):
        return [image for image in self.naive.images if image.ndim == 3]

    def pixels_of(self, seed, stack):
        rng = np.random.default_rng([seed, next(self.numbers)])
        shape = tuple(rng.integers(1, 50, 2))
        if stack:
            return rng.integers(0, 60000, (int(rng.integers(2, 5)), *shape)).astype(np.uint16)
        return rng.normal(size=shape)

    def like(self, image, seed):
        """Other pixels for an image, of the same shape."""
        rng = np.random.default_rng([seed, next(self.numbers)])
        return rng.integers(0, 60000, image.data.shape).astype(np.uint16)

    @initialize(seed=NUMBER)
    def open_first(self, seed):
        self.add(seed, 0, self.first_is_a_stack)

    @with_room
    @rule(seed=NUMBER, place=st.integers(0, 3))
    def open_image(self, seed, place):
        self.add(seed, place, stack=self.first_is_a_stack and seed % 3 == 0)

    def add(self, seed, place, stack):
        data = self.pixels_of(seed, stack)
        scale, translate = ((2, 1, 1), (0, 0, 60 * place)) if stack else ((1, 1), (0, 60 * place))
        self.open(data, scale=scale, translate=translate)

    def open(self, data, **how):
        """Add an image of the user's, with something in its metadata."""
        naive, metadata = self.naive, {"mine": [1, {"two": 3}]}
        add = naive.viewer.add_image
        image = naive.bring(lambda: add(data, metadata=metadata, **how))
        self.now_there(image)

    def now_there(self, image):
        with self.naive.by_itself():
            self.naive.images.append(image)
            self.naive.ticked.add(image)
            self.naive.forget_pixels(image)
        self.naive.settle()

    @with_images
    @rule(number=NUMBER)
    def remove_image(self, number):
        self.take_out(self.image(number))

    def take_out(self, image):
        naive = self.naive
        naive.remove(image)
        self.now_gone(image)
        naive.settle()

    def now_gone(self, image):
        naive = self.naive
        with naive.by_itself():
            self.no_more_there(image)

    def no_more_there(self, image):
        naive = self.naive
        naive.images.remove(image)
        naive.belongings.forget(image)
        merge = naive.merge_of(image)
        if merge is not None:
            naive.part(merge)
        naive.ticked.discard(image)

    @with_images
    @rule(number=NUMBER, seed=NUMBER)
    def take_out_change_and_put_back(self, number, seed):
        naive, image = self.naive, self.image(number)
        self.take_out(image)
        image.data = self.pixels_of(seed, image.ndim == 3)
        image.visible = True
        at = seed % (len(naive.viewer.layers) + 1)

        def put_back():
            naive.viewer.layers.insert(at, image)
            return image

        naive.bring(put_back, at)
        self.now_there(image)

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
        self.naive.belongings.keep(image)
        self.naive.diverge()
        # Ownership follows every single step, as a point may leave and come back in between.
        self.naive.believe_the_session()
        self.naive.settle()

    @with_images
    @rule(number=NUMBER, seed=NUMBER, alike=st.booleans())
    def replace_pixels(self, number, seed, alike):
        image = self.image(number)
        stack = image.ndim == 3
        image.data = self.like(image, seed) if alike else self.pixels_of(seed, stack)
        self.naive.belongings.keep(image)
        self.naive.forget_pixels(image)
        self.naive.diverge()
        self.naive.settle()

    @with_images
    @rule(number=NUMBER, seed=NUMBER)
    def write_into_pixels_and_embed(self, number, seed):
        image = self.image(number)
        rng = np.random.default_rng(seed)
        image.data[...] = rng.integers(0, 100, image.data.shape)
        self.naive.belongings.keep(image)
        self.naive.forget_pixels(image)
        self.session.embed()

    @with_images
    @rule(number=NUMBER)
    def toggle_tick(self, number):
        image = self.image(number)
        if self.naive.target_of(image) is image:
            self.naive.ticked ^= {image}
            self.session.set_target(image, image in self.naive.ticked)
        else:  # it cannot be searched by itself
            self.session.set_target(image, True)
        self.naive.settle()

    @with_images
    @rule(number=NUMBER)
    def toggle_visibility(self, number):
        image, visible = self.image(number), self.naive.belongings.visible
        searched = self.naive.target_of(image) in self.naive.must_have()
        if searched or not self.naive.arranged:  # side by side hides what is not searched
            image.visible = visible[image] = not image.visible
            self.naive.settle()

    @with_images
    @rule(number=NUMBER, name=NAME)
    def rename(self, number, name):
        """An image, or any other layer of the user's."""
        layers = self.naive.belongings.order
        layer = layers[number % len(layers)]
        layer.name = name
        self.naive.belongings.keep(layer)
        self.naive.settle()

    @with_several
    @rule(number=NUMBER, to=NUMBER)
    def reorder(self, number, to):
        """An image, or any other layer of the user's."""
        naive, layers = self.naive, self.naive.viewer.layers
        layer = naive.belongings.order[number % len(naive.belongings.order)]
        wanted = list(layers)
        source, to = wanted.index(layer), to % len(layers)
        wanted.remove(layer)
        wanted.insert(to, layer)
        if not naive.arranged:  # what is done to the order side by side is undone with it
            naive.belongings.order = [layer for layer in wanted if layer in naive.belongings]
        layers.move(source, to if to <= source else to + 1)
        naive.settle()

    @with_images
    @rule(number=NUMBER)
    def choose_source(self, number):
        image = None if number % 3 == 0 else self.image(number)
        self.naive.source = self.session.source = image

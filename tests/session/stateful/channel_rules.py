"""Images are made the red, green and blue of one, and are parted again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from napari_dinov3_sim.core.errors import ImageError

from .choices import NUMBER, with_images, with_merged, with_room, with_several
from .record import congruent, members


class ChannelRules:
    """What is done to channels."""

    @with_images
    @with_room
    @rule(number=NUMBER, seed=NUMBER)
    def open_another_channel(self, number, seed):
        image = self.image(number)
        names = ("scale", "rotate", "shear", "translate")
        place = {name: getattr(image, name) for name in names}
        self.open(self.like(image, seed), **place)

    @with_images
    @rule(number=NUMBER, order=st.permutations(range(4)), gap=st.integers(0, 5))
    def merge(self, number, order, gap):
        """Up to three of those that lie together, the rest of the colours black."""
        naive, image = self.naive, self.image(number)
        alike = [other for other in naive.images if congruent(image, other)]
        chosen = [alike[at] for at in order if at < len(alike)][:3]
        if gap < 3 and len(chosen) < 3:
            chosen.insert(min(gap, len(chosen)), None)
        with naive.step():
            self.session.merge_channels(chosen)
            naive.join((*chosen, None, None)[:3], ticked=True)
            naive.decided.update(chosen)

    @with_several
    @rule(number=NUMBER, other=NUMBER)
    def merge_what_differs(self, number, other):
        one, two = self.image(number), self.image(other)
        if one is two or not congruent(one, two):
            with pytest.raises(ImageError):
                self.session.merge_channels([one, two])

    @with_images
    @rule(number=NUMBER)
    def split(self, number):
        self.split_one(self.image(number))

    @with_merged
    @rule(number=NUMBER, channel=NUMBER)
    def split_a_merged_one(self, number, channel):
        merge = members(self.naive.merges[number % len(self.naive.merges)])
        self.split_one(merge[channel % len(merge)])

    def split_one(self, image):
        naive, merge = self.naive, self.naive.merge_of(image)
        with naive.step():
            assert self.session.split_channels(image) == (merge is not None)
            if merge is not None:
                naive.part(merge)
                naive.decided.update(members(merge))

    @precondition(lambda self: len(self.naive.images) < 4)
    @rule(seed=NUMBER, count=st.integers(2, 4))
    def open_a_file_of_channels(self, seed, count):
        """Two or three are one image from the start, as one step; of four nobody knows which."""
        naive, data = self.naive, self.pixels_of(seed, stack=False)
        data = np.stack([data] + [self.like_pixels(data, [seed, n]) for n in range(1, count)])
        ours = len(naive.images)
        layers = naive.viewer.add_image(data, channel_axis=0, name=f"file {next(self.numbers)}")
        naive.files_of_channels.append(layers)
        with naive.by_itself():
            for layer in layers:
                naive.belongings.add(layer, newcomer=naive.arranged)
                naive.images.append(layer)
                naive.ticked.add(layer)
                naive.forget_pixels(layer)
        assert len(naive.images) == ours + count
        assert ((*layers, None)[:3] in naive.merges) == (count < 4)
        # They come one by one: two were one image before the fourth came.
        naive.believe_the_session()
        naive.settle()

    def like_pixels(self, data, seed):
        return np.random.default_rng(seed).normal(size=data.shape)

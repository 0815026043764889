"""Images are made the red, green and blue of one, and are parted again."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

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
        self.session.merge_channels(chosen)
        self.now_merged((*chosen, None, None)[:3])

    def now_merged(self, channels):
        naive = self.naive
        for image in members(channels):
            before = naive.merge_of(image)
            if before is not None:
                naive.part(before)
        naive.ticked -= set(members(channels))
        naive.ticked.add(members(channels)[0])
        naive.merges.append(channels)
        naive.settle()

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
        merge = self.naive.merge_of(image)
        assert self.session.split_channels(image) == (merge is not None)
        if merge is not None:
            self.naive.part(merge)
            self.naive.settle()

"""What is drawn at random, and when a rule can be used."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from napari_dinov3_sim.core.embedding.recipe import Recipe

FRACTION = st.floats(0.0, 0.999)
NUMBER = st.integers(0, 10**6)
CLASS = st.sampled_from(["class 1", "cell", "debris"])
SIGN = st.sampled_from([True, True, False])
STEP = st.floats(-80, 80)
MOVE = st.tuples(st.floats(-30, 30), st.floats(-30, 30))
SUBSET = st.sets(st.integers(0, 6), min_size=1, max_size=4)
NAME = st.sampled_from(["a", "b", "DINOv3 query", "a · class 1"])
RECIPES = [Recipe(), Recipe(factor=2.0), Recipe(padding="reflect")]

with_images = precondition(lambda self: self.naive.images)
with_room = precondition(lambda self: len(self.naive.images) < 5)
with_several = precondition(lambda self: len(self.naive.images) > 1)
with_stack = precondition(lambda self: self.stacks)
with_layer = precondition(lambda self: self.naive.session.queries is not None)
with_points = precondition(lambda self: self.naive.said)
with_merged = precondition(lambda self: self.naive.merges)
with_answer = precondition(lambda self: self.naive.session.heatmaps)

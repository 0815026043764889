"""What is chosen in the dock: combinations, models, resolutions, scales."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import rule

from .choices import NUMBER, RECIPES, with_images
from .record import MODELS


class DockRules:
    """What is chosen."""

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

    @rule(outlined=st.booleans())
    def choose_outlines(self, outlined):
        self.session.outlines = outlined

    @with_images
    @rule(number=NUMBER)
    def delete_a_heatmap_and_embed(self, number):
        heatmap = self.session.heatmaps.get(self.image(number))
        if heatmap is not None:
            self.naive.viewer.layers.remove(heatmap)
        self.session.embed()

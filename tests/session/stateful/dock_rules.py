"""What is chosen in the dock: combinations, models, resolutions, scales."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import rule

from .choices import CLASS, NUMBER, RECIPES, with_images
from .record import MODELS


class DockRules:
    """What is chosen."""

    @rule(combination=st.sampled_from(["auto", "mean", "best", "contrast", "learned"]))
    def choose_combination(self, combination):
        self.naive.combination = self.session.combination = combination

    @rule(outline=st.sampled_from(["edges", "patches"]))
    def choose_outline(self, outline):
        self.naive.outline = self.session.outline = outline

    @rule(threshold=st.none() | st.floats(-0.5, 1))
    def choose_threshold(self, threshold):
        self.session.threshold = threshold
        assert self.session.threshold == threshold

    @rule(number=st.integers(0, 1))
    def choose_model(self, number):
        self.naive.model = MODELS[number]
        self.session.set_model(MODELS[number])

    @rule(recipe=st.sampled_from(RECIPES))
    def choose_recipe(self, recipe):
        self.naive.recipe = self.session.recipe = recipe

    @with_images
    @rule(press=st.sampled_from(["embed", "cancel"]))
    def press(self, press):
        getattr(self.session, press)()

    @rule(
        scaling=st.sampled_from(["shared", "each", "fixed"]),
        limits=st.none() | st.tuples(st.floats(-1, 0), st.floats(0.1, 1)),
        outlined=st.booleans(),
    )
    def choose_how_it_looks(self, scaling, limits, outlined):
        self.session.scaling, self.session.outlines = scaling, outlined
        if limits is not None:
            self.session.limits = limits
            for layer in self.session.heatmaps.values():
                np.testing.assert_allclose(layer.contrast_limits, limits)

    @rule(class_maps=st.booleans(), hidden=st.none() | CLASS)
    def choose_what_is_shown(self, class_maps, hidden):
        self.session.show_class_maps = class_maps
        for class_name in self.session.hidden_classes - {hidden}:
            self.session.set_class_visible(class_name, True)
        if hidden is not None:
            self.session.set_class_visible(hidden, False)

    @with_images
    @rule(number=NUMBER)
    def delete_a_heatmap_and_embed(self, number):
        heatmap = self.session.heatmaps.get(self.image(number))
        if heatmap is not None:
            self.naive.remove(heatmap)
        self.session.embed()

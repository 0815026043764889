"""Results are made in between; they become the user's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from napari.layers import Labels

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.session.layer_metadata import mark_of

from .choices import NUMBER
from .oracle import TOLERANCE

LEVEL = st.floats(-0.5, 0.95)

with_results = precondition(lambda self: self.naive.marked("result"))


class ResultRules:
    """What is made of heatmaps and of embeddings."""

    def make(self, what, *arguments) -> dict:
        """Ask for a result, and return its layers, each with its image.

        What the user has edited is as it was; every other result is the user's from now on.
        """
        naive, edited = self.naive, list(self.edited_results)
        places = naive.belongings.order
        getattr(self.session.results, what)(*arguments)
        assert naive.belongings.order == places
        made = {}
        for layer in naive.marked("result"):
            if layer not in naive.belongings:
                naive.bring(lambda layer=layer: layer)
                naive.belongings.newcomers.add(layer)
            if layer not in edited:
                naive.belongings.keep(layer)
                mark = mark_of(layer, "result")
                made[layer] = mark["what"], self.image_by_id(mark["image"])
        naive.settle()
        return made

    def image_by_id(self, unique_id):
        return next((i for i in self.naive.images if i.unique_id == unique_id), None)

    def refuse_without_answer(self, what) -> bool:
        """Without a heatmap over an image that is shown, there is nothing to make it of."""
        naive = self.naive
        if naive.classes_of(naive.asked()) and naive.must_have():
            return False
        with pytest.raises(SimilarityError):
            getattr(self.session.results, what)()
        return True

    @rule(
        what=st.sampled_from(["labels", "peaks", "matches", "colours"]),
        level=LEVEL,
        numbers=st.tuples(NUMBER, NUMBER),
    )
    def make_a_result(self, what, level, numbers):
        getattr(self, f"make_{what}")(level, *numbers)

    def make_labels(self, level, *_):
        if self.refuse_without_answer("labels"):
            return
        asked = self.naive.asked()
        classes = self.naive.classes_of(asked)
        made = self.make("labels", level)
        found = {
            (what[1], image): layer
            for layer, (what, image) in made.items()
            if what[0] == "labels" and what[1] in classes and image in self.naive.must_have()
        }
        assert set(found) >= {(k, i) for k in classes for i in self.naive.must_have()}
        for (class_name, image), layer in found.items():
            self.check_labels(asked, class_name, image, np.asarray(layer.data), level)

    def check_labels(self, asked, class_name, image, data, level):
        naive = self.naive
        for z in naive.planes(image):
            if z is None or z == naive.shown_z(image):
                scores = naive.scores(asked, image, z)[class_name]
                wanted, certain = naive.objects(image, z, scores, level)
                objects = (data if z is None else data[z]) > 0
                np.testing.assert_array_equal(objects[certain], wanted[certain])

    def make_peaks(self, level, distance, _):
        if self.refuse_without_answer("peaks"):
            return
        naive, asked = self.naive, self.naive.asked()
        made = self.make("peaks", level, distance % 30)
        found = {
            image: layer
            for layer, (what, image) in made.items()
            if what == ("peaks",) and image in naive.must_have()
        }
        assert set(found) == naive.must_have()
        for image, layer in found.items():
            for place, score, class_name in zip(
                layer.data, layer.features["score"], layer.features["class"], strict=True
            ):
                z = None if image.ndim == 2 else int(place[0])
                y, x = np.floor((place[-2:] + 0.5) / naive.cell).astype(int)
                there = naive.scores(asked, image, z)[class_name][y, x]
                assert abs(score - there) < TOLERANCE
                assert score > level - TOLERANCE

    def make_matches(self, _, first, second):
        naive = self.naive
        shown = [image for image in self.session.targets if image in naive.must_have()]
        ready = [image for image in shown if naive.is_embedded(image)]
        if len(ready) < 2:
            return
        one = ready.pop(first % len(ready))
        two = ready[second % len(ready)]
        made = self.make("matches", one, two)
        sides = {(("matches", two.unique_id), one), (("matches", one.unique_id), two)}
        pair = {of[1]: layer for layer, of in made.items() if of in sides}
        assert set(pair) == {one, two}
        self.check_matches(one, two, pair)

    def check_matches(self, one, two, pair):
        naive = self.naive
        patches = []
        for image in (one, two):
            places = np.floor((pair[image].data[:, -2:] + 0.5) / naive.cell).astype(int)
            z = None if image.ndim == 2 else naive.shown_z(image)
            patches.append(naive.embeddings(image, z)[places[:, 0], places[:, 1]])
        cosine = pair[one].features["cosine"]
        np.testing.assert_allclose((patches[0] * patches[1]).sum(1), cosine, atol=TOLERANCE)

    def make_colours(self, *_):
        naive = self.naive
        if not any(map(naive.is_embedded, naive.must_have())):
            return
        made = self.make("colours")
        found = {image for what, image in made.values() if what == ("colours",)}
        assert found >= {image for image in naive.must_have() if naive.is_embedded(image)}

    @property
    def edited_results(self) -> list:
        return [layer for layer in self.touched if layer in self.naive.viewer.layers]

    @with_results
    @rule(number=NUMBER)
    def edit_a_result(self, number):
        """Paint over all of it, or take a point away: it is the user's altogether."""
        results = self.naive.marked("result")
        layer = results[number % len(results)]
        if isinstance(layer, Labels) and isinstance(layer.data, np.ndarray):
            layer.data = np.full_like(layer.data, 7)
            self.touched.append(layer)
            self.naive.belongings.keep(layer)

    @with_results
    @rule(number=NUMBER)
    def throw_a_result_away(self, number):
        results = self.naive.marked("result")
        layer = results[number % len(results)]
        self.naive.remove(layer)
        self.naive.belongings.forget(layer)

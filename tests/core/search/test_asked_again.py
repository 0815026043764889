"""A saved query that is asked again from its pictures."""

import numpy as np
import pytest
import skimage.data

from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.errors import QueryModelError, StateError
from napari_dinov3_sim.core.search.asked_again import MARGIN, ask_again, with_pictures
from napari_dinov3_sim.core.search.saved_query import SavedClass, SavedQuery, make_thumbnail

from ..backbones import FakeBackbone


class Patches(FakeBackbone):
    """The embedding of a patch is its pixels."""

    def __init__(self, patch_size=16):
        super().__init__(patch_size, 3 * patch_size**2)

    def embed_patches(self, pixel_values):
        self.seen.append(pixel_values)
        return self.patches(pixel_values) + 0.1


@pytest.fixture
def image():
    return skimage.data.astronaut()[:200, :240]


def saved(*pictures, **changes):
    vectors = np.eye(4, dtype=np.float32)
    classes = tuple(
        SavedClass(name, "#ff0000", vectors[:2], vectors[2:], vectors[0], shown, 0.4)
        for name, shown in pictures
    )
    about = {"combination": "auto", "fingerprint": "old", "model": "old", "cell_size": 16}
    return SavedQuery(classes, **about | changes)


@pytest.mark.parametrize("patch_size", [16, 8])
@pytest.mark.parametrize("at", [(100, 90), (8, 8), (231, 191), (9, 100), (120, 8)])
@pytest.mark.parametrize("shape", [(200, 240), (20, 31)])
def test_the_vector_is_that_of_what_was_clicked(image, patch_size, at, shape):
    """Of a model that sees each patch alone, a picture is as good as the image."""
    backbone = Patches(patch_size)
    image = image[: shape[0], : shape[1]]
    x, y = (min(one, size - 8) for one, size in zip(at, reversed(shape), strict=True))
    query = saved(("eye", (make_thumbnail(image, None, (x, y)),)))
    again = ask_again(query, lambda: backbone, Recipe())
    half = patch_size // 2
    patch = image[y - half : y + half, x - half : x + half] / 255
    rgb = ((patch - backbone.mean) / backbone.std).transpose(2, 0, 1).ravel() + 0.1
    np.testing.assert_allclose(again.classes[0].positives[0], rgb / np.linalg.norm(rgb), atol=1e-5)
    assert (again.fingerprint, again.model) == (backbone.fingerprint, backbone.name)
    assert (again.cell_size, again.factor) == (patch_size, 1)


def test_each_picture_is_one_vector_and_what_belongs_to_the_old_model_goes(image):
    pictures = tuple(make_thumbnail(image, None, (x, 90)) for x in (50, 100, 235))
    small = (image[:20, :31],)
    query = saved(("a", pictures), ("none", ()), ("b", small), combination="learned")
    seen = []
    again = ask_again(query, Patches, Recipe(), lambda *done: seen.append(done))
    assert [one.name for one in again.classes] == ["a", "b"]
    assert [len(one.positives) for one in again.classes] == [3, 1]
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert again.thresholds == {}
    assert again.combination == "learned"
    for one in again.classes:
        assert len(one.negatives) == 0
        assert one.background is None
    assert again.classes[0].thumbnails == pictures


def test_a_picture_is_mirrored_so_that_its_middle_is_the_middle_of_a_cell(image):
    backbone = Patches()
    for factor, cell in ((1, 16), (2, 8), (0.5, 32)):
        backbone.seen.clear()
        query = saved(("a", (image[:64, :64],)))
        again = ask_again(query, lambda: backbone, Recipe(factor=factor))
        assert (again.cell_size, again.factor) == (cell, factor)
        (batch,) = backbone.seen
        side = batch.shape[-1] / factor
        assert side >= 64 + 2 * MARGIN
        assert (side / cell) % 2 == 1


def test_without_pictures_there_is_nothing_to_ask():
    with pytest.raises(StateError, match="holds no pictures"):
        with_pictures(saved(("a", ())))
    with pytest.raises(StateError, match="holds no pictures"):
        ask_again(saved(("a", ())), Patches, Recipe())


def test_a_query_says_of_which_model_it_is():
    query = saved(("a", ()))
    query.check_model("old", "whatever it is called")
    with pytest.raises(QueryModelError, match="model old, which has other weights here"):
        query.check_model("new", "old")
    with pytest.raises(QueryModelError, match="model old, and this is new; load the former"):
        query.check_model("new", "new")

"""Saved queries in a session: what is saved is asked elsewhere, and nothing of another model."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel

from heatmap_values import over_image
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.errors import (
    PointError,
    QueryModelError,
    SimilarityError,
    StateError,
    StoreError,
)
from napari_dinov3_sim.core.state import LOW_PRECISION
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner, ThreadRunner
from napari_dinov3_sim.store.query_files import list_queries, load_query, save_query
from patience import PATIENCE

from ..brute_force import (
    PATCH,
    PatchProjection,
    reference_embeddings,
    reference_scores,
    reference_window,
)

pytestmark = pytest.mark.slow


def embed(image):
    return reference_embeddings(image.data, *reference_window(image.data))


def unit(vector):
    return vector / np.linalg.norm(vector)


def over(patches, image):
    """Values per patch at the resolution of the image."""
    height, width = image.data.shape
    return patches.repeat(PATCH, 0).repeat(PATCH, 1)[:height, :width]


def heatmap(session, image, class_name):
    return over_image(image, session.heatmaps_of(class_name)[image])


@pytest.fixture
def images(viewer, rng):
    first = viewer.add_image(rng.normal(size=(70, 100)), name="first")
    second = viewer.add_image(rng.normal(size=(90, 65)), name="second", translate=(200, 0))
    return first, second


@pytest.fixture
def path(session, images, tmp_path):
    """A saved query of two classes, one with a negative point."""
    first, second = images
    session.add_query(first, 40, 33, class_name="cell")
    session.add_query(second, 10, 70, class_name="cell")
    session.add_query(first, 5, 5, class_name="cell", positive=False)
    session.add_query(second, 50, 20, class_name="gap")
    session.results.save_query(tmp_path / "cells.query.safetensors")
    session.wait()
    return tmp_path / "cells.query.safetensors"


@pytest.fixture
def elsewhere(rng):
    """Another viewer with another image, and a session that has loaded no model yet."""
    viewer = ViewerModel()
    image = viewer.add_image(rng.normal(size=(50, 60)), name="other")
    session = SimilaritySession(viewer, backbone="projection", runner=InlineRunner(), **loading())
    yield session, image
    session.close()


def loading(fingerprint="projection-1"):
    return {"load_model": lambda name, report: PatchProjection(fingerprint)}


def test_a_saved_query_has_vectors_classes_signs_colours_and_thumbnails(session, images, path):
    query = load_query(path)
    first, second = images
    assert [class_name.name for class_name in query.classes] == ["cell", "gap"]
    assert (query.combination, query.fingerprint, query.model) == (
        "auto",
        "projection-1",
        "projection",
    )
    assert query.cell_size == PATCH
    cell, gap = query.classes
    expected = [embed(first)[2, 2], embed(second)[4, 0]]
    np.testing.assert_allclose(cell.positives, expected, atol=1e-5)
    np.testing.assert_allclose(cell.negatives, [embed(first)[0, 0]], atol=1e-5)
    np.testing.assert_allclose(gap.positives, [embed(second)[1, 3]], atol=1e-5)
    assert gap.negatives.shape == (0, 12)
    assert (cell.colour, gap.colour) == (session.classes["cell"], session.classes["gap"])
    mean = unit(embed(second).mean((0, 1)))
    np.testing.assert_allclose(gap.background, mean, atol=1e-5)
    assert len(cell.thumbnails) == 2
    low, high = reference_window(first.data)
    shown = np.clip((first.data[1:65, 8:72] - low) / (high - low), 0, 1)
    np.testing.assert_allclose(cell.thumbnails[0][..., 0], shown * 255, atol=1)


def test_a_loaded_query_is_asked_of_other_images_without_a_point(elsewhere, images, path):
    session, image = elsewhere
    said = []
    session.results.done.connect(said.append)
    assert session.combination == "auto"
    session.results.load_query(path)
    session.wait()
    query = load_query(path)
    assert said == ["cells.query.safetensors asks for cell, gap."]
    assert len(session.queries.data) == 0
    cell, gap = query.classes
    embedded = embed(image)
    # The negative of the one makes it learned for both, so that the best class is fair.
    for one in (cell, gap):
        expected = reference_scores(
            "learned", list(one.positives), list(one.negatives), one.background, embedded
        )
        found = heatmap(session, image, one.name)
        np.testing.assert_allclose(found, over(expected, image), atol=1e-5)
    assert session.class_maps
    assert session.status == "2 heatmaps for 2 saved classes."
    assert session.class_name == "cell"
    assert session.classes["gap"] == gap.colour
    assert len(session.results.thumbnails["cell"]) == 2


@pytest.mark.parametrize("arithmetic", ["", LOW_PRECISION])
def test_a_query_is_asked_of_embeddings_in_another_arithmetic(
    elsewhere, images, path, arithmetic, tmp_path
):
    """What a GPU embeds in bfloat16 and a CPU in float32 has the same weights."""
    query = load_query(path)
    save_query(replace(query, fingerprint=query.fingerprint + LOW_PRECISION), tmp_path / "low")
    viewer = ViewerModel()
    image = viewer.add_image(np.asarray(elsewhere[1].data), name="other")
    backbone = PatchProjection("projection-1" + arithmetic)
    session = SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())
    maps = []
    for name in (path, tmp_path / "low"):
        session.results.load_query(name)
        session.wait()
        maps.append(np.array(heatmap(session, image, "cell")))
    assert session.status == "2 heatmaps for 2 saved classes."
    assert np.ptp(maps[0]) > 0
    np.testing.assert_array_equal(*maps)
    session.close()


def test_what_another_resolution_means_for_a_loaded_query_is_told_while_it_lasts(elsewhere, path):
    session, _ = elsewhere
    said = []
    session.results.done.connect(said.append)
    session.results.load_query(path)
    session.wait()
    assert session.status == "2 heatmaps for 2 saved classes."
    for factor, shifts, remark in [
        (2.0, 1, "it was made at resolution 1, and this is 2"),
        (1.0, 2, f"it was made at one vector per {PATCH} pixels, and now there is one per"),
    ]:
        session.recipe = Recipe(factor=factor, shifts=shifts)
        session.wait()
        assert f"The saved query finds less: {remark}" in session.status
        session.results.load_query(path)
        assert f"asks for cell, gap; {remark}" in said[-1]
    session.recipe = Recipe()
    session.wait()
    assert session.status == "2 heatmaps for 2 saved classes."


def test_a_threshold_that_stays_is_told_of(elsewhere, path):
    session, _ = elsewhere
    said = []
    session.results.done.connect(said.append)
    for class_name, threshold in (("other", 0.2), ("gap", 0.61)):
        session.class_name, session.threshold = class_name, threshold
    session.results.load_query(path)
    kept = "the threshold stays at 0.61 (gap)"
    assert said == [f"cells.query.safetensors asks for cell, gap; {kept}."]


@pytest.fixture
def with_thresholds(session, path, tmp_path):
    """The saved query with a threshold for each class."""
    for class_name, threshold in (("cell", -0.05), ("gap", 0.25)):
        session.class_name, session.threshold = class_name, threshold
    session.results.save_query(tmp_path / "levels.query.safetensors")
    session.wait()
    return tmp_path / "levels.query.safetensors"


def test_thresholds_set_by_hand_come_with_a_query_unless_one_is_set_here(
    elsewhere, with_thresholds
):
    session, _ = elsewhere
    said, drawn = [], []
    session.results.done.connect(said.append)
    session.thresholded.connect(lambda: drawn.append(session.thresholds))
    session.class_name, session.threshold = "gap", 0.61
    session.results.load_query(with_thresholds)
    session.wait()
    assert session.thresholds == {"cell": -0.05, "gap": 0.61}
    assert drawn[-1] == session.thresholds
    assert said == [
        "levels.query.safetensors asks for cell, gap; the threshold is set to -0.05 (cell); "
        "the threshold stays at 0.61 (gap)."
    ]


def test_another_query_takes_the_thresholds_of_the_one_before_away(
    elsewhere, path, with_thresholds
):
    session, _ = elsewhere
    said = []
    session.results.done.connect(said.append)
    session.results.load_query(with_thresholds)
    session.class_name, session.threshold = "cell", 0.1
    session.rename_class("gap", "hole")
    assert session.thresholds == {"cell": 0.1, "hole": 0.25}
    session.results.load_query(path)
    session.wait()
    assert said[-1] == (
        "cells.query.safetensors asks for cell, gap; the threshold stays at 0.10 (cell)."
    )
    assert session.thresholds["cell"] == 0.1
    assert session.thresholds["gap"] == session.automatic_threshold("gap")
    session.results.load_query(with_thresholds)
    session.results.drop_query()
    session.wait()
    for class_name, threshold in (("cell", 0.1), ("gap", None)):
        session.class_name = class_name
        assert session.threshold == threshold


def test_points_add_to_a_loaded_query_and_dropping_it_leaves_them(elsewhere, images, path):
    session, image = elsewhere
    session.results.load_query(path)
    session.add_query(image, 20, 20, class_name="gap")
    gap = load_query(path).classes[1]
    own = embed(image)[1, 1]
    background = unit(gap.background + unit(embed(image).mean((0, 1))))
    plain = embed(image) @ unit(np.stack([*gap.positives, own]).mean(0))
    expected = np.clip(plain - 0.5 * embed(image) @ background, -1, 1)
    np.testing.assert_allclose(heatmap(session, image, "gap"), over(expected, image), atol=1e-5)

    session.results.drop_query()
    assert session.results.query is None
    assert session.heatmaps_of("cell") == {}
    np.testing.assert_allclose(
        heatmap(session, image, "gap"), over(embed(image) @ own, image), atol=1e-5
    )
    session.results.drop_query()


def test_dropping_the_only_query_takes_the_heatmaps_away(elsewhere, images, path):
    session, _ = elsewhere
    session.results.load_query(path)
    assert session.heatmaps_of("cell")
    session.results.drop_query()
    assert session.heatmaps == {}
    assert session.status == "Click on a structure in an image."


def test_a_loaded_query_that_is_saved_again_keeps_all_it_had(elsewhere, images, path, tmp_path):
    session, image = elsewhere
    session.results.load_query(path)
    session.add_query(image, 20, 20, class_name="gap")
    session.rename_class("cell", "nucleus")
    assert session.heatmaps_of("nucleus")
    session.results.save_query(tmp_path / "more.query.safetensors")
    before, after = load_query(path), load_query(tmp_path / "more.query.safetensors")
    gap, nucleus = sorted(after.classes, key=lambda class_name: class_name.name)
    assert (gap.name, nucleus.name) == ("gap", "nucleus")
    np.testing.assert_array_equal(nucleus.positives, before.classes[0].positives)
    np.testing.assert_array_equal(nucleus.negatives, before.classes[0].negatives)
    assert nucleus.colour == before.classes[0].colour
    assert (len(gap.thumbnails), len(nucleus.thumbnails)) == (2, 2)
    own = [embed(image)[1, 1], before.classes[1].positives[0]]
    np.testing.assert_allclose(gap.positives, own, atol=1e-5)
    assert [entry.problem for entry in list_queries(tmp_path)] == ["", ""]


def test_colours_of_classes_that_are_there_already_change_with_the_query(elsewhere, images, path):
    session, image = elsewhere
    session.add_query(image, 20, 20, class_name="gap")
    session.add_query(image, 40, 40, class_name="cell")
    session.results.load_query(path)
    for class_name in load_query(path).classes:
        assert session.classes[class_name.name] == class_name.colour
        (layer,) = session.heatmaps_of(class_name.name).values()
        assert layer.colormap.name == f"class {class_name.colour}"


def test_thumbnails_of_merged_channels_and_regions_show_them(viewer, rng, tmp_path):
    red, green = (viewer.add_image(rng.normal(size=(80, 80)), name=name) for name in "rg")
    session = SimilaritySession(viewer, backbone=PatchProjection(), runner=InlineRunner())
    session.merge_channels([red, None, green])
    session.add_query(red, 40, 40, class_name="point")
    square = [[16, 16], [16, 47], [47, 47], [47, 16]]
    drawn = viewer.add_shapes([square], shape_type="polygon", name="drawn")
    session.regions.add(drawn, red)
    session.results.save_query(tmp_path / "a.query.safetensors")
    session.wait()
    classes = {
        class_name.name: class_name
        for class_name in load_query(tmp_path / "a.query.safetensors").classes
    }
    for name, start in {"point": 8, "drawn": -1}.items():
        (thumbnail,) = classes[name].thumbnails
        assert not thumbnail[..., 1].any()
        for channel, image in ((0, red), (2, green)):
            low, high = reference_window(image.data)
            at = slice(1 + start, 65 + start)
            seen = np.pad(image.data, 1, mode="symmetric")[at, at]
            shown = np.clip((seen - low) / (high - low), 0, 1)
            np.testing.assert_allclose(thumbnail[..., channel], shown * 255, atol=1)
    session.close()


# -- another model --------------------------------------------------------------------------------


def test_a_query_of_another_model_is_refused_before_it_is_used(images, path):
    viewer = ViewerModel()
    image = viewer.add_image(np.random.default_rng(1).normal(size=(50, 60)))
    other = PatchProjection("projection-2")
    session = SimilaritySession(viewer, backbone=other, runner=InlineRunner())
    session.add_query(image, 20, 20)
    before = heatmap(session, image, "class 1").copy()
    with pytest.raises(QueryModelError, match="was made with the model projection"):
        session.results.load_query(path)
    assert session.results.query is None
    np.testing.assert_array_equal(heatmap(session, image, "class 1"), before)
    session.wait()
    session.close()


def test_a_query_of_another_model_is_refused_when_the_model_is_loaded(images, path):
    viewer = ViewerModel()
    image = viewer.add_image(np.random.default_rng(1).normal(size=(50, 60)))
    failures = []
    session = SimilaritySession(
        viewer, backbone="projection", runner=InlineRunner(), **loading("projection-2")
    )
    session.failed.connect(failures.append)
    session.results.load_query(path)
    with pytest.raises(SimilarityError, match="was made with the model projection"):
        session.wait()
    assert len(failures) == 1
    assert session.heatmaps == {}
    assert session.results.problem == failures[0].message
    # Points are answered as if there were no query.
    session.add_query(image, 20, 20)
    expected = over(embed(image) @ embed(image)[1, 1], image)
    np.testing.assert_allclose(heatmap(session, image, session.class_name), expected, atol=1e-5)
    assert len(failures) == 1
    # With its own model it is asked.
    session.set_model(PatchProjection())
    assert session.results.problem == ""
    assert session.heatmaps_of("gap")
    session.close()


def test_a_query_is_asked_no_more_when_the_model_is_changed(elsewhere, images, path):
    session, _ = elsewhere
    session.results.load_query(path)
    failures = []
    session.failed.connect(failures.append)
    session.set_model(PatchProjection("projection-2"))
    assert session.heatmaps == {}
    assert "was made with the model projection" in failures[0].message
    session.set_model(PatchProjection())
    assert session.heatmaps_of("cell")


def test_a_query_of_another_model_is_asked_again_from_its_pictures(images, path):
    """For a model that sees each patch alone, the pictures hold all it saw, but for scaling."""
    viewer = ViewerModel()
    image = viewer.add_image(np.asarray(images[0].data), name="the same")
    other = PatchProjection("projection-2")
    session = SimilaritySession(viewer, backbone=other, runner=InlineRunner())
    told = []
    session.results.done.connect(told.append)
    session.results.ask_again(path)
    session.wait()
    assert "is asked again with projection, from its pictures" in told[-1]
    query = session.results.query
    assert query.fingerprint == "projection-2"
    assert {one.name: len(one.positives) for one in query.classes} == {"cell": 2, "gap": 1}
    assert not any(len(one.negatives) for one in query.classes)
    assert session.heatmaps_of("cell")[image].data.max() > 0
    before = load_query(path)
    assert before.fingerprint == "projection-1"
    session.results.save_query(path)
    session.wait()
    assert load_query(path).fingerprint == "projection-2"
    session.close()


def test_a_loaded_query_is_asked_again_when_the_model_was_changed(elsewhere, images, path):
    session, _ = elsewhere
    session.results.load_query(path)
    session.rename_class("gap", "hole")
    assert not session.results.saved.can_be_asked_again
    session.set_model(PatchProjection("projection-2"))
    with pytest.raises(QueryModelError, match="which has other weights here"):
        session.wait()
    assert session.heatmaps == {}
    assert session.results.saved.can_be_asked_again
    session.results.ask_again()
    session.wait()
    assert session.results.problem == ""
    assert set(session.classes) >= {"cell", "hole"}
    assert session.heatmaps_of("hole")


def test_what_cannot_be_asked_again_is_told(session, images, path):
    with pytest.raises(StateError, match="No query is loaded"):
        session.results.ask_again()
    query = load_query(path)
    bare = replace(query, classes=tuple(replace(one, thumbnails=()) for one in query.classes))
    save_query(bare, path)
    with pytest.raises(StateError, match="holds no pictures"):
        session.results.ask_again(path)


# -- what can go wrong ----------------------------------------------------------------------------


def test_without_a_question_there_is_nothing_to_save(session, images, tmp_path):
    with pytest.raises(PointError, match="no query to save yet; click"):
        session.results.save_query(tmp_path / "a.query.safetensors")
    session.add_query(images[0], 5, 5, positive=False)
    session.results.save_query(tmp_path / "a.query.safetensors")
    with pytest.raises(PointError, match="No class has a positive point"):
        session.wait()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_query_is_refused_and_what_was_asked_stays(session, images, tmp_path):
    session.add_query(images[0], 5, 5)
    (tmp_path / "a.txt").write_text("nothing")
    for name in ("a.txt", "missing"):
        with pytest.raises(StoreError):
            session.results.load_query(tmp_path / name)
    assert session.heatmaps_of("class 1")


def test_a_query_that_cannot_be_written_is_a_failure(session, images, tmp_path):
    session.add_query(images[0], 5, 5)
    session.results.save_query(tmp_path / "missing" / "a.query.safetensors")
    with pytest.raises(StoreError, match="cannot be written"):
        session.wait()


@pytest.mark.parametrize("spoil", ["remove", "replace"])
def test_an_image_that_leaves_while_a_query_is_saved_does_no_harm(viewer, rng, tmp_path, spoil):
    image = viewer.add_image(rng.normal(size=(70, 100)), name="first")
    session = SimilaritySession(viewer, backbone=PatchProjection(), runner=ThreadRunner())
    session.add_query(image, 40, 33)
    session.wait(PATIENCE)
    vector, gate = embed(image)[2, 2], threading.Event()
    session._runner.submit(
        "answer", lambda post, token: gate.wait(PATIENCE) and None, lambda m: None
    )
    session.results.save_query(tmp_path / "a.query.safetensors")
    if spoil == "remove":
        viewer.layers.remove(image)
    else:
        image.data = np.zeros((40, 40))
    gate.set()
    session.wait(PATIENCE)
    (class_name,) = load_query(tmp_path / "a.query.safetensors").classes
    np.testing.assert_allclose(class_name.positives, [vector], atol=1e-5)
    session.close()

"""Saved queries: what comes back, and what every class of bad file says."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import load_file, save_file

from core.states import random_state
from napari_dinov3_sim.core.errors import StateError, StoreError
from napari_dinov3_sim.core.images.intensity import IntensityWindow
from napari_dinov3_sim.core.search.combine import query_from_points, score_classes
from napari_dinov3_sim.core.search.saved_query import SavedClass, SavedQuery, make_thumbnail
from napari_dinov3_sim.store import query_files, save_state
from napari_dinov3_sim.store.query_files import list_queries, load_query, save_query
from napari_dinov3_sim.store.safetensors_io import with_checksum

PICTURE = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


def classes_of(state):
    return [
        query_from_points("cell, “round”", [(state, (1, 1)), (state, (9, 9))], [(state, (20, 3))]),
        query_from_points("=rim", [(state, (29, 19))]),
    ]


@pytest.fixture
def state():
    return random_state(seed=1)


@pytest.fixture
def query(state):
    first, second = classes_of(state)
    classes = (
        SavedClass.of(first, "#ff8800", [PICTURE, PICTURE[:2]], -0.05),
        SavedClass.of(second, "#00ffff"),
    )
    return SavedQuery(classes, "auto", "model", "builtin", 16, 0.5)


def test_all_of_a_query_comes_back(query, tmp_path):
    path = save_query(query, tmp_path / "a.query.safetensors")
    found = load_query(path)
    for name in ("combination", "fingerprint", "model", "cell_size", "factor"):
        assert getattr(found, name) == getattr(query, name)
    for one, other in zip(found.classes, query.classes, strict=True):
        assert (one.name, one.colour) == (other.name, other.colour)
        assert one.threshold == other.threshold
        np.testing.assert_array_equal(one.positives, other.positives)
        np.testing.assert_array_equal(one.negatives, other.negatives)
        np.testing.assert_array_equal(one.background, other.background)
        assert len(one.thumbnails) == len(other.thumbnails)
    np.testing.assert_array_equal(found.classes[0].thumbnails[1], PICTURE[:2])
    assert found.thresholds == {"cell, “round”": -0.05}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.query.safetensors"]


def test_a_class_without_background_or_pictures_comes_back(query, tmp_path):
    bare = replace(query, classes=(replace(query.classes[1], background=None),))
    found = load_query(save_query(bare, tmp_path / "a"))
    assert found.classes[0].background is None
    assert found.classes[0].negatives.shape == (0, 6)


@pytest.mark.parametrize("combination", ["auto", "contrast"])
def test_a_saved_query_scores_as_the_points_did(query, state, tmp_path, combination):
    saved = load_query(save_query(replace(query, combination=combination), tmp_path / "a"))
    other = random_state((9, 30), seed=2)
    for one, live in zip(
        saved.score(other), score_classes(classes_of(state), other, combination), strict=True
    ):
        np.testing.assert_allclose(one.cosine, live.cosine, atol=1e-6)


def test_a_query_of_another_model_names_both_and_the_cure(query):
    stranger = random_state(fingerprint="other")
    with pytest.raises(StateError, match="model builtin, and this is dinov3-vits16"):
        query.score(stranger, "dinov3-vits16")
    with pytest.raises(StateError, match="load the former, ask the query again"):
        query.check_model("other", "x")


def test_a_file_of_the_first_format_is_read(query, state, tmp_path):
    """It listed its classes by another name."""
    path = tmp_path / "old.query.safetensors"
    first, second = query.classes
    arrays = {
        "0.positives": first.positives,
        "0.negatives": first.negatives,
        "0.background": first.background,
        "0.thumbnails.0": PICTURE,
        "1.positives": second.positives,
        "1.negatives": second.negatives,
    }
    kinds = [
        {"name": "gland", "colour": "#ff8800", "thumbnails": 1},
        {"name": "rim", "colour": "#00ffff", "thumbnails": 0},
    ]
    description = {
        "kinds": kinds,
        "combination": "mean",
        "fingerprint": "model",
        "model": "builtin",
        "cell_size": 16,
        "factor": None,
    }
    metadata = {"format": "napari-dinov3-sim-query/1", "query": json.dumps(description)}
    save_file(arrays, path, metadata)
    found = load_query(path)
    assert [(one.name, one.colour) for one in found.classes] == [
        ("gland", "#ff8800"),
        ("rim", "#00ffff"),
    ]
    np.testing.assert_array_equal(found.classes[0].positives, first.positives)
    np.testing.assert_array_equal(found.classes[0].background, first.background)
    np.testing.assert_array_equal(found.classes[0].thumbnails[0], PICTURE)
    assert (found.combination, found.cell_size, found.factor) == ("mean", 16, None)
    assert len(found.score(state)) == 2
    again = load_query(save_query(found, path))
    assert [one.name for one in again.classes] == ["gland", "rim"]
    (entry,) = list_queries(tmp_path)
    assert entry.problem == ""


def test_a_file_of_the_second_format_is_read_and_has_no_threshold(saved):
    """It had a checksum, and classes without a threshold."""
    file_format = "napari-dinov3-sim-query/2"
    (found,) = load_query(changed(saved, file_format=file_format)).classes
    assert (found.name, found.threshold) == ("a", None)
    content = saved.read_bytes()
    saved.write_bytes(content.replace(b"#112233", b"#112234"))
    assert "not what was written" in sentence(saved)


@pytest.mark.parametrize("threshold", [-1, -0.05, 0, 1.0, None])
def test_a_threshold_is_a_cosine_or_automatic(query, tmp_path, threshold):
    one = replace(query.classes[0], threshold=threshold)
    path = save_query(replace(query, classes=(one,)), tmp_path / "a")
    assert load_query(path).classes[0].threshold == threshold


@pytest.mark.parametrize(
    "threshold", [1.001, -2, float("nan"), float("inf"), True, "0.5", [0.5]], ids=json.dumps
)
def test_thresholds_that_cannot_be_are_refused(query, saved, threshold):
    with pytest.raises(StateError, match="“=rim” is not a cosine, from -1 to 1"):
        replace(query.classes[1], threshold=threshold)
    listed = {"name": "a", "colour": "#112233", "thumbnails": 0}
    valid = changed(saved, classes=[listed | {"threshold": 0.5}])
    assert load_query(valid).thresholds == {"a": 0.5}
    text = sentence(changed(saved, classes=[listed | {"threshold": threshold}]))
    assert "cannot be read as a saved query" in text


# --- bad files ----------------------------------------------------------------------------------


def sentence(path):
    with pytest.raises(StoreError) as caught:
        load_query(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(str(path))
    return text


@pytest.fixture
def saved(query, tmp_path):
    return save_query(query, tmp_path / "a.query.safetensors")


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_file_cut_short_or_overwritten_is_told_in_one_sentence(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cut") / "a"
    first, second = classes_of(random_state(seed=1))
    classes = SavedClass.of(first, "#ff8800", [PICTURE]), SavedClass.of(second, "#00ffff")
    content = save_query(SavedQuery(classes, "auto", "m", "builtin", 16), path).read_bytes()
    if data.draw(st.booleans()):
        path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        sentence(path)
        return
    at, byte = data.draw(st.integers(0, 1200)), data.draw(st.integers(0, 255))
    path.write_bytes(content[:at] + bytes([byte]) + content[at + 1 :])
    with contextlib.suppress(StoreError):  # and no other error
        load_query(path)


def test_files_that_are_something_else(tmp_path):
    assert "does not exist" in sentence(tmp_path / "none")
    (tmp_path / "text").write_text("no query")
    assert "cannot be read as a saved query" in sentence(tmp_path / "text")
    (tmp_path / "empty").write_bytes(b"")
    assert "cannot be read as a saved query" in sentence(tmp_path / "empty")
    assert "cannot be read as a saved query" in sentence(tmp_path)
    embeddings = save_state(random_state(), tmp_path / "x.embeddings.safetensors")
    assert "holds embeddings, not a saved query" in sentence(embeddings)
    save_file({"w": UNITS}, tmp_path / "weights")
    assert "is no saved query of this version" in sentence(tmp_path / "weights")
    save_file({"w": UNITS}, tmp_path / "later", {"format": "napari-dinov3-sim-query/9"})
    assert "is no saved query of this version" in sentence(tmp_path / "later")


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "gif", "npy"])
def test_a_picture_is_called_one(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    if ending == "npy":
        np.save(path, PICTURE)
    else:
        Image.fromarray(PICTURE).save(path)
    text = sentence(path)
    assert "is a picture, not a saved query; choose a file that was saved as a query" in text


def changed(saved, arrays=(), file_format=query_files.QUERY_FORMAT, **description):
    """Write the query again, with some of its arrays and words replaced; None leaves them out."""
    about = {
        "classes": [{"name": "a", "colour": "#112233", "thumbnails": 0}],
        "combination": "auto",
        "fingerprint": "f",
        "model": "m",
        "cell_size": 16,
    } | description
    held = {k: v for k, v in (load_file(saved) | dict(arrays)).items() if v is not None}
    metadata = {"format": file_format, "query": json.dumps(about)}
    save_file(held, saved, with_checksum(metadata, held))
    return saved


UNITS = np.eye(2, 6, dtype=np.float32)


@pytest.mark.parametrize(
    "arrays",
    [
        {"0.positives": None},
        {"0.positives": UNITS[:0]},
        {"0.positives": UNITS * 3},
        {"0.positives": UNITS * np.float32(np.nan)},
        {"0.positives": UNITS.astype(np.float64)},
        {"0.positives": UNITS[0]},
        {"0.positives": UNITS[:, :5]},
        {"0.negatives": UNITS[:, :5]},
        {"0.background": UNITS[0, :3]},
        {"0.background": UNITS},
    ],
    ids=lambda arrays: " ".join(f"{k} {getattr(v, 'shape', v)}" for k, v in arrays.items()),
)
def test_vectors_that_cannot_be_are_refused(saved, arrays):
    assert "cannot be read as a saved query" in sentence(changed(saved, arrays.items()))


@pytest.mark.parametrize(
    "description",
    [
        {"classes": []},
        {"classes": 3},
        {"classes": [{"name": "a"}]},
        {"classes": [{"name": "", "colour": "#112233", "thumbnails": 0}]},
        {"classes": [{"name": "a", "colour": "red", "thumbnails": 0}]},
        {"classes": [{"name": "a", "colour": "#112233", "thumbnails": 9}]},
        {"classes": [{"name": "a", "colour": "#112233", "thumbnails": 0}] * 2},
        {"combination": "worst"},
        {"combination": None},
        {"fingerprint": ""},
        {"model": 3},
        {"cell_size": 0},
        {"factor": 3},
        {"factor": [1]},
        {"factor": float("nan")},
        {"cell_size": float("inf")},
    ],
    ids=json.dumps,
)
def test_words_that_cannot_be_are_refused(saved, description):
    assert load_query(changed(saved)).classes[0].colour == "#112233"
    assert "cannot be read as a saved query" in sentence(changed(saved, **description))


def test_a_file_that_does_not_know_its_resolution_is_of_use(saved):
    query = load_query(changed(saved))
    assert query.factor is None
    assert query.remark(2, 16) == ""
    assert query.remark(2, 8).startswith("it was made at one vector per 16 pixels, and now")


def test_pictures_that_cannot_be_are_refused(query):
    with pytest.raises(StateError, match="not an 8-bit RGB picture"):
        replace(query.classes[0], thumbnails=(PICTURE[..., 0],))


def test_a_folder_that_cannot_be_written_is_told(query, tmp_path):
    with pytest.raises(StoreError, match=r"cannot be written to .*choose another folder"):
        save_query(query, tmp_path / "none" / "a")


# --- the library --------------------------------------------------------------------------------


def test_a_folder_is_a_library_that_tells_of_broken_files(query, tmp_path):
    for name in ("b", "a"):
        save_query(query, tmp_path / f"{name}.query.safetensors")
    (tmp_path / "c.query.safetensors").write_text("broken")
    (tmp_path / "notes.txt").write_text("none of ours")
    found = list_queries(tmp_path)
    assert [entry.path.name[0] for entry in found] == ["a", "b", "c"]
    assert [entry.query is not None for entry in found] == [True, True, False]
    assert found[0].problem == ""
    assert "save the query again" in found[2].problem
    assert list_queries(tmp_path / "none") == []


# --- thumbnails ---------------------------------------------------------------------------------


def test_a_thumbnail_shows_the_point_in_the_middle_also_at_a_border():
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    np.testing.assert_array_equal(make_thumbnail(image, None, (30, 20), 8), image[16:24, 26:34])
    mirrored = np.pad(image, [(40, 40), (40, 40), (0, 0)], mode="symmetric")
    for x, y in ((0, 0), (69.5, 1), (3, 3), (40, 49.9), (68, 25)):
        column, row = int(x) + 40, int(y) + 40
        found = make_thumbnail(image, None, (x, y), 8)
        np.testing.assert_array_equal(found, mirrored[row - 4 : row + 4, column - 4 : column + 4])
        found = make_thumbnail(image, None, (x, y))
        expected = mirrored[row - 32 : row + 32, column - 32 : column + 32]
        np.testing.assert_array_equal(found, expected)


def test_a_thumbnail_is_drawn_through_the_window():
    image = np.array([[100, 200], [300, 400]], np.uint16)
    found = make_thumbnail(image, IntensityWindow(200, 400), (1, 1), 2)
    assert found[..., 0].tolist() == [[0, 0], [128, 255]]
    assert make_thumbnail(image[:1, :1], None, (0, 0)).shape == (64, 64, 3)

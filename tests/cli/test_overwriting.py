"""No output replaces an input, another output, or a file that is not one of its kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import napari_dinov3_sim as nds
from napari_dinov3_sim.cli.errors import OutputError
from napari_dinov3_sim.cli.output.files import check_inputs_survive, check_outputs_differ
from napari_dinov3_sim.core.errors import StoreError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.state import PatchImageState
from napari_dinov3_sim.store.query_files import load_query, save_query

pytestmark = pytest.mark.slow


@pytest.fixture
def images(folder, picture):
    for seed, name in enumerate("abc"):
        np.save(f"{name}.npy", picture(64, 64, seed=seed))
    return folder


def content_of(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_query_whose_name_was_forgotten_does_not_replace_an_image(search, images):
    before = content_of(images)
    text = search("a.npy", "--save-query", "b.npy", "c.npy").refusal
    assert "b.npy is there and is no saved query, so it is not replaced; choose another" in text
    assert content_of(images) == before


@pytest.mark.parametrize(
    "name",
    ["out/a.cosine.tif", "out/a.heatmap.png", "out/c.peaks.csv", "./out/../out/A.COSINE.tif"],
)
def test_a_query_is_not_replaced_by_a_result(search, images, name):
    (images / "out").mkdir()
    before = content_of(images)
    text = search("a.npy", "c.npy", "--peaks", "--save-query", name).refusal
    assert "The query would be replaced by the result out/" in text
    assert content_of(images) == before


def test_a_query_does_not_replace_what_is_read(search, images):
    text = search("a.npy", "c.npy", "--save-query", "c.npy").refusal
    assert "would replace c.npy" in text


def test_an_existing_query_is_replaced(search, images):
    for class_name in ("one", "two"):
        options = ("--class", class_name, "--save-query", "q.safetensors")
        assert search("a.npy", *options).code == 0
    assert load_query("q.safetensors").classes[0].name == "two"


def test_nothing_is_written_into_a_zarr_that_is_read(search, ome):
    outcome = search("a.zarr", "--channel", 0, "--plane", 0, "--save-query", "a.zarr/q")
    assert "would replace a.zarr, which is read as an image, or lie in it" in outcome.err
    assert outcome.code == 2


# --- the functions ------------------------------------------------------------------------------


@pytest.fixture
def query():
    units = np.eye(2, 6, dtype=np.float32)
    class_ = nds.SavedClass("gland", "#00ffff", units, units[:0])
    return nds.SavedQuery((class_,), "auto", "f" * 64, "builtin", 16, 1.0)


def write_picture(path):
    np.save(path.with_suffix(".npy"), np.zeros(9))
    path.with_suffix(".npy").rename(path)


@pytest.mark.parametrize(
    "write",
    [
        write_picture,
        lambda path: path.write_text("notes"),
        lambda path: path.write_bytes(bytes(9)),
        lambda path: nds.save_state(state_of_noise(), path),
    ],
    ids=["picture", "text", "zeros", "embeddings"],
)
def test_a_file_that_is_no_query_is_never_replaced_by_one(tmp_path, query, write):
    path = tmp_path / "file"
    write(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="no saved query, so it is not replaced; choose another"):
        save_query(query, path)
    assert path.read_bytes() == before


def state_of_noise():
    grid = PatchGrid((16, 32), 16)
    return PatchImageState(np.eye(2, 6, dtype=np.float32), grid, "f", None)


def test_a_query_empty_or_damaged_is_replaced(tmp_path, query):
    for name, content in (("empty", b""), ("a.query.safetensors", b"damaged")):
        (tmp_path / name).write_bytes(content)
        assert load_query(save_query(query, tmp_path / name)).model == "builtin"


def test_files_are_known_by_more_than_their_spelling(tmp_path):
    image = tmp_path / "image"
    image.write_bytes(b"pixels")
    (tmp_path / "link").symlink_to(image)
    (tmp_path / "twin").hardlink_to(image)
    for name in ("image", "./image", "link", "twin"):
        with pytest.raises(OutputError, match="would replace"):
            check_inputs_survive([image], [tmp_path / name])
    check_inputs_survive([image], [tmp_path / "other"])
    with pytest.raises(OutputError, match="would be replaced"):
        check_outputs_differ(tmp_path / "New.tif", [tmp_path / "new.tif"])
    check_outputs_differ(tmp_path / "new.tif", [tmp_path / "newer.tif", image])


# --- the demo -----------------------------------------------------------------------------------


def test_the_demo_replaces_its_own_pictures_and_no_others(cli, folder):
    assert cli("demo", "--no-gui", "--out", "own").code == 0
    assert cli("demo", "--no-gui", "--out", "own").code == 0
    name = sorted(Path("own").glob("*-query.png"))[0]
    name.write_bytes(Path("gray.png").read_bytes())
    before = name.read_bytes()
    assert f"{name} would be replaced" in cli("demo", "--out", "own").refusal
    assert name.read_bytes() == before


# --- folders ------------------------------------------------------------------------------------

SEARCH = ("gray.png", "--at", 5, 5)


@pytest.mark.parametrize(
    "command",
    [
        ("embed", "gray.png", "--model", "no-such-model"),
        ("similarity", *SEARCH, "--model", "no-such-model"),
        ("demo", "--no-gui", "--model", "no-such-model"),
    ],
    ids=lambda command: " ".join(map(str, command)),
)
def test_a_command_that_fails_leaves_no_empty_folder(cli, folder, command):
    Path("there").mkdir()
    for out in ("new/er", "there/too"):
        assert cli(*command, "--out", out).code == 2
        assert not Path(out).exists()
    assert not Path("new").exists()
    assert Path("there").exists()


def test_a_search_that_fails_leaves_no_empty_folder(cli, search, folder):
    assert search("gray.png", "--save-query", "q").code == 0
    assert cli("search", "q", "gray.png", "--model", "no-such-model", "--out", "new").code == 2
    assert not Path("new").exists()

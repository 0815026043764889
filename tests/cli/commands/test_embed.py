"""What `embed` writes, and that `similarity` finds it again."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from skimage.io import imread

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.embedding import embed as core_embed
from napari_dinov3_sim.core.images.intensity import compute_window
from napari_dinov3_sim.readers.errors import InputError, reading
from napari_dinov3_sim.store import cached_embedding

pytestmark = pytest.mark.slow

SUFFIX = ".embeddings.safetensors"


@pytest.fixture
def embed(cli, folder):
    def run(*images, out="store"):
        return cli("embed", *images, "--out", out, "--model", "builtin", "--json")

    return run


@pytest.fixture
def search_stored(cli, folder):
    def run(*images):
        options = ("--out", "out", "--model", "builtin", "--embeddings", "store", "--json")
        return cli("similarity", *images, "--at", 5, 5, *options)

    return run


@pytest.fixture
def computed(monkeypatch):
    """Count what is embedded instead of being read."""
    shapes, real = [], core_embed.create_patch_image_state

    def create(image, *arguments, **options):
        shapes.append(image.shape)
        return real(image, *arguments, **options)

    monkeypatch.setattr(core_embed, "create_patch_image_state", create)
    return shapes


def test_embeddings_are_those_of_the_library(embed, backbone):
    result = embed("gray.png", "rgb.png")
    assert result.err == ""
    for entry in result.json["images"]:
        stored = nds.load_state(entry["embeddings"])
        image = imread(entry["image"])
        expected = nds.create_patch_image_state(image, backbone)
        assert torch.equal(stored.embeddings_normalized, expected.embeddings_normalized)
        assert (stored.grid, stored.window) == (expected.grid, expected.window)
        assert entry["patches"] == list(expected.grid.shape)
        assert entry["dim"] == backbone.dim


def test_a_person_recognises_the_file(embed, folder):
    names = [Path(name).name for name in embed("gray.png").json["files"]]
    assert names == [path.name for path in (folder / "store").iterdir()]
    assert names[0].startswith("gray-")
    assert names[0].endswith(SUFFIX)


def test_what_is_done_is_skipped(embed, computed):
    first = embed("gray.png").json
    second = embed("gray.png", "rgb.png").json
    assert [entry["skipped"] for entry in second["images"]] == [True, False]
    assert second["images"][0]["embeddings"] == first["files"][0]
    assert computed == [(50, 70), (40, 64)]


def test_the_table_tells_written_from_skipped(cli, folder):
    options = ("--out", "store", "--model", "builtin")
    assert "written" in cli("embed", "gray.png", *options).out
    out = cli("embed", "gray.png", *options).out
    assert "was already there" in out
    assert "not a Meta checkpoint" in out


def test_similarity_reads_what_embed_wrote(embed, search_stored, search, computed):
    embed("gray.png", "rgb.png")
    computed.clear()
    report = search_stored("gray.png", "rgb.png").json
    assert [entry["stored_embeddings"] for entry in report["images"]] == [True, True]
    assert computed == []
    stored = tifffile.imread("out/rgb.cosine.tif")
    search("gray.png", "rgb.png")
    np.testing.assert_array_equal(stored, tifffile.imread("out/rgb.cosine.tif"))


def test_an_image_is_found_under_another_name(embed, search_stored, folder, computed):
    embed("gray.png")
    computed.clear()
    (folder / "gray.png").rename(folder / "renamed.png")
    assert search_stored("renamed.png").code == 0
    assert computed == []


def test_changed_pixels_are_embedded_again(embed, search_stored, computed, picture):
    embed("gray.png")
    computed.clear()
    Image.fromarray(picture(50, 70, seed=9)).save("gray.png")
    assert search_stored("gray.png").code == 0
    assert computed == [(50, 70)]


def test_another_model_is_embedded_again(embed, search_stored, computed, monkeypatch, backbone):
    embed("gray.png")
    computed.clear()
    monkeypatch.setattr(cached_embedding, "digest_of", lambda *_: "0" * 64)
    assert search_stored("gray.png").code == 0
    assert computed == [(50, 70)]


@pytest.mark.parametrize("damage", ["truncated", "foreign", "of another image"])
def test_a_damaged_file_is_set_aside(embed, search_stored, folder, computed, damage):
    file = Path(embed("gray.png").json["files"][0])
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:-100])
    elif damage == "foreign":
        file.write_bytes(b"not safetensors at all")
    else:
        file.write_bytes(Path(embed("rgb.png").json["files"][0]).read_bytes())
    computed.clear()
    result = search_stored("gray.png")
    assert result.code == 0
    assert computed == [(50, 70)]
    assert len(result.err.splitlines()) == 1
    assert str(file) in result.err
    assert f"is now {file.name}.damaged" in result.err
    assert not file.exists()
    assert file.with_name(f"{file.name}.damaged").exists()


def test_embed_replaces_a_damaged_file(embed, folder):
    file = Path(embed("gray.png").json["files"][0])
    file.write_bytes(file.read_bytes()[:-100])
    assert embed("gray.png").json["files"] == [str(file)]
    assert nds.load_state(file).image_shape == (50, 70)


def test_a_damaged_file_that_cannot_be_renamed(embed, search_stored, monkeypatch):
    file = Path(embed("gray.png").json["files"][0])
    file.write_bytes(b"")
    real = Path.replace

    def refuse(path, target):
        if str(target).endswith(".damaged"):
            raise PermissionError(13, "Permission denied")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    result = search_stored("gray.png")
    assert result.code == 0
    assert "something else, and is not used (Permission denied)" in result.err
    assert file.exists()


def test_what_was_done_before_a_failure_stays(embed, monkeypatch):
    real = core_embed.create_patch_image_state

    def fail_on_colour(image, *arguments, **options):
        if image.channels == 3:
            raise KeyboardInterrupt
        return real(image, *arguments, **options)

    monkeypatch.setattr(core_embed, "create_patch_image_state", fail_on_colour)
    assert embed("gray.png", "rgb.png").code == 130
    assert [path.name[:5] for path in Path("store").iterdir()] == ["gray-"]


def test_a_very_long_name(embed, folder):
    (folder / "gray.png").rename(folder / f"{'n' * 200}.png")
    assert embed(f"{'n' * 200}.png").code == 0


# --- several files, some of which fail ----------------------------------------------------------


def test_failures_do_not_stop_the_others(embed, folder):
    (folder / "notes.png").write_text("no image")
    result = embed("notes.png", "gray.png", "gone.png", "rgb.png")
    assert result.code == 2
    assert [entry["image"] for entry in result.json["images"]] == ["gray.png", "rgb.png"]
    assert [failure["image"] for failure in result.json["failures"]] == ["notes.png", "gone.png"]
    lines = result.err.splitlines()
    assert "notes.png is not an image" in lines[0]
    assert "gone.png does not exist" in lines[1]
    assert lines[2].endswith("error: 2 of 4 images failed: notes.png, gone.png.")
    assert len(lines) == 3


def test_a_single_failure_is_one_line(embed):
    assert "gone.png does not exist" in embed("gone.png").refusal
    assert not Path("store").exists()


def test_a_source_that_is_deleted_after_it_was_listed(embed, folder, monkeypatch):
    real = core_embed.create_patch_image_state

    def delete_the_next(*arguments, **options):
        Path("rgb.png").unlink(missing_ok=True)
        return real(*arguments, **options)

    monkeypatch.setattr(core_embed, "create_patch_image_state", delete_the_next)
    result = embed("gray.png", "rgb.png", "rgba.png")
    assert result.code == 2
    assert [entry["image"] for entry in result.json["images"]] == ["gray.png", "rgba.png"]
    assert "rgb.png does not exist" in result.err


@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.tif", "a.zarr"])
def test_a_source_that_is_deleted_while_it_is_opened(tmp_path, name):
    path = tmp_path / name
    with pytest.raises(InputError, match=rf"^{path} does not exist"), reading(path):
        path.open("rb")


def test_the_unforeseen_in_one_file_does_not_stop_the_others(embed, monkeypatch):
    real = core_embed.create_patch_image_state

    def fail_on_colour(image, *arguments, **options):
        if image.channels == 3:
            raise RuntimeError("out of\nsomething")
        return real(image, *arguments, **options)

    monkeypatch.setattr(core_embed, "create_patch_image_state", fail_on_colour)
    result = embed("rgb.png", "gray.png")
    assert result.code == 2
    assert "rgb.png: unexpected RuntimeError: out of something" in result.err
    assert len(result.json["images"]) == 1


def test_a_full_disk_ends_the_run(embed, computed, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("safetensors.numpy.save_file", refuse)
    result = embed("gray.png", "rgb.png")
    assert result.code == 2
    assert "No space left on device" in result.err.splitlines()[-1]
    assert len(computed) == 1


# --- patterns and stacks ------------------------------------------------------------------------


def test_a_pattern_that_the_shell_did_not_expand(embed, folder):
    (folder / "folder.png").mkdir()
    entries = embed("rgb*.png", "gray.png", "gr*y.png").json["images"]
    assert [entry["image"] for entry in entries] == ["rgb.png", "rgba.png", "gray.png"]


def test_a_pattern_without_a_match(embed):
    assert "No image matches *.tif; check the spelling" in embed("*.tif").refusal


def test_a_file_whose_name_looks_like_a_pattern(embed, folder):
    (folder / "gray.png").rename(folder / "gray[1].png")
    assert embed("gray[1].png").json["images"][0]["image"] == "gray[1].png"


def test_a_stack(cli, embed, folder, picture, backbone):
    stack = picture(2, 3, 33, 47, dtype=np.uint16)
    stack[0] //= 50  # dark planes must not be stretched
    np.save("stack.npy", stack)
    entries = embed("stack.npy").json["images"]
    assert [entry["plane"] for entry in entries] == [[t, z] for t in range(2) for z in range(3)]
    window = compute_window(list(stack.reshape(6, 33, 47)))
    for entry in entries:
        stored = nds.load_state(entry["embeddings"])
        plane = stack[tuple(entry["plane"])]
        expected = nds.create_patch_image_state(plane, backbone, window=window)
        torch.testing.assert_close(
            stored.embeddings_normalized, expected.embeddings_normalized, rtol=0, atol=1e-5
        )
        assert stored.window == window
        assert Path(entry["embeddings"]).name.startswith("stack-{}-{}-".format(*entry["plane"]))
    again = cli("embed", "stack.npy", "gray.png", "--out", "store", "--model", "builtin")
    assert "stack.npy: 6 planes of 3 × 3 patches, 0 written, 6 were already there" in again.out
    assert "7 planes of 2 images in store: 1 written, 6 already there." in again.out
    alone = cli("embed", "stack.npy", "--out", "store", "--model", "builtin")
    assert "6 planes of 1 image in store: 0 written, 6 already there." in alone.out


def test_a_plane_that_fails_does_not_stop_its_stack(cli, folder, picture, monkeypatch):
    np.save("stack.npy", picture(3, 33, 47, dtype=np.uint16))
    real, planes = core_embed.create_patch_image_state, itertools.count()

    def fail_once(source, *arguments, **options):
        if next(planes) == 1:
            raise nds.SimilarityError("plane 1 is broken.")
        return real(source, *arguments, **options)

    monkeypatch.setattr(core_embed, "create_patch_image_state", fail_once)
    result = cli("embed", "stack.npy", "--out", "store", "--model", "builtin")
    assert result.code == 2
    assert "2 written, 1 failed" in result.out
    assert "plane 1 is broken." in result.err


# --- resolution, shifts, padding ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "patches", "cell"),
    [
        (("--resolution", "2"), [7, 9], 8),
        (("--resolution", "½"), [2, 3], 32),
        (("--shifts", "2"), [7, 9], 8),
        (("--padding", "reflect"), [4, 5], 16),
    ],
)
def test_how_an_image_is_embedded_is_part_of_the_key(cli, folder, options, patches, cell):
    arguments = ("gray.png", "--out", "store", "--model", "builtin", "--json")
    assert not cli("embed", *arguments).json["images"][0]["skipped"]
    entry = cli("embed", *arguments, *options).json["images"][0]
    assert (entry["skipped"], entry["patches"]) == (False, patches)
    assert nds.load_state(entry["embeddings"]).grid.patch_size == cell
    search = cli(
        *("similarity", "gray.png", "--at", 5, 5, *options, "--embeddings", "store"),
        *("--out", "out", "--model", "builtin", "--json"),
    )
    assert search.json["images"][0]["stored_embeddings"]


def test_a_resolution_that_does_not_exist(cli, folder):
    line = cli("embed", "gray.png", "--out", "store", "--resolution", "3").refusal
    assert "--resolution: invalid choice: 3" in line
    assert (
        "none of 0.5, 1, 2 and 4" in cli("embed", "a", "--out", "b", "--resolution", "x").refusal
    )

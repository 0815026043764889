"""What `embed` writes, and that `similarity` finds it again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from skimage.io import imread

import napari_dinov3_sim as nds
from napari_dinov3_sim._cli import embedding
from napari_dinov3_sim.core import state as core_state

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
    shapes, real = [], core_state.create_patch_image_state

    def create(image, *arguments, **options):
        shapes.append(image.shape)
        return real(image, *arguments, **options)

    monkeypatch.setattr(core_state, "create_patch_image_state", create)
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
    assert computed == [(50, 70), (40, 64, 3)]


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
    monkeypatch.setattr(embedding, "digest_of", lambda *_: "0" * 64)
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
    assert "is damaged and is not used (Permission denied)" in result.err
    assert file.exists()


def test_what_was_done_before_a_failure_stays(embed, monkeypatch):
    real = core_state.create_patch_image_state

    def fail_on_colour(image, *arguments, **options):
        if image.ndim == 3:
            raise KeyboardInterrupt
        return real(image, *arguments, **options)

    monkeypatch.setattr(core_state, "create_patch_image_state", fail_on_colour)
    assert embed("gray.png", "rgb.png").code == 130
    assert [path.name[:5] for path in Path("store").iterdir()] == ["gray-"]


def test_a_very_long_name(embed, folder):
    (folder / "gray.png").rename(folder / f"{'n' * 200}.png")
    assert embed(f"{'n' * 200}.png").code == 0

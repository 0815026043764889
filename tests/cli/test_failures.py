"""What of a search fails on the way does not stop the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
import tifffile

from napari_dinov3_sim.backbones import OfflineError, loading
from napari_dinov3_sim.cli.errors import Failures, PlaneFailed
from napari_dinov3_sim.core.embedding import embed as core_embed

pytestmark = pytest.mark.slow

OPTIONS = ("--out", "out", "--model", "builtin", "--overwrite", "--json")
CLICK = ("--at", 20, 9)


@pytest.fixture
def query(cli, folder):
    assert cli("similarity", "gray.png", *CLICK, "--save-query", "q", *OPTIONS).code == 0
    return "q"


@pytest.mark.parametrize("command", ["similarity", "search"])
def test_a_target_that_cannot_be_read_keeps_the_rest(cli, query, command):
    Path("notes.png").write_text("no image", encoding="utf-8")
    Path("empty.tif").touch()
    what = ("similarity", "gray.png", *CLICK) if command == "similarity" else ("search", "q")
    result = cli(*what, "notes.png", "rgb.png", "empty.tif", *OPTIONS)
    assert result.code == 2
    asked = ["gray.png"] * (command == "similarity")
    assert [entry["image"] for entry in result.json["images"]] == [*asked, "rgb.png"]
    failures = result.json["failures"]
    assert [failure["image"] for failure in failures] == ["notes.png", "empty.tif"]
    lines = [line.removeprefix("napari-dinov3-sim: ") for line in result.err.splitlines()]
    assert lines[:2] == [f"error: {failure['error']}" for failure in failures]
    count = 3 + len(asked)
    assert lines[-1] == f"error: 2 of {count} images failed: notes.png, empty.tif."


def test_of_a_file_with_several_failures_one_is_told_and_the_others_are_counted(capsys):
    found = Failures()
    for path, what in (("a", "one"), ("a", "two"), ("b", "one"), ("a", "three"), ("a", "two")):
        found.add(PlaneFailed(Path(path), what))
    assert found.close(2) == 2
    said = [
        line.removeprefix("napari-dinov3-sim: ") for line in capsys.readouterr().err.splitlines()
    ]
    assert said == [
        "error: one",
        "note: a has 2 other failures; mend the first, and run this again.",
        "error: 2 of 2 images failed: a, b.",
    ]
    assert [entry["error"] for entry in found.as_objects()] == ["one", "two", "one", "three"]


def test_nothing_at_all_can_be_read(cli, query):
    Path("notes.png").write_text("no image", encoding="utf-8")
    result = cli("search", "q", "notes.png", "--out", "found")
    assert "notes.png is not an image" in result.refusal
    assert not Path("found").exists()
    assert cli("search", "q", "notes.png", "--out", "found", "--json").json["images"] == []


def test_a_page_that_is_damaged_keeps_the_other_planes(cli, folder, picture):
    tifffile.imwrite("stack.tif", picture(3, 64, 80), photometric="minisblack", compression="zlib")
    with tifffile.TiffFile("stack.tif") as tiff:
        offset = tiff.pages[1].dataoffsets[0]
    with Path("stack.tif").open("r+b") as file:
        file.seek(offset)
        file.write(b"no zlib")
    result = cli("similarity", "gray.png", "stack.tif", *CLICK, *OPTIONS)
    assert result.code == 2
    assert [entry.get("plane") for entry in result.json["images"]] == [None, [0], [2]]
    assert [failure["image"] for failure in result.json["failures"]] == ["stack.tif"]
    assert "Page 2 of stack.tif seems damaged or cut short" in result.err
    assert not Path("out/stack-1.cosine.tif").exists()


def test_an_image_that_vanishes_on_the_way_is_told_once(cli, stack, monkeypatch):
    real = core_embed.create_patch_image_state

    def delete(*arguments, **options):
        Path("stack.npy").unlink(missing_ok=True)
        return real(*arguments, **options)

    monkeypatch.setattr(core_embed, "create_patch_image_state", delete)
    result = cli("similarity", "gray.png", "stack.npy", "rgb.png", *CLICK, *OPTIONS)
    assert [entry["image"] for entry in result.json["images"]] == ["gray.png", "rgb.png"]
    assert len(result.json["failures"]) == 1
    lines = result.err.splitlines()
    assert ["stack.npy does not exist" in line for line in lines] == [True, False]
    assert "1 of 3 images failed: stack.npy." in lines[1]


def test_a_model_that_cannot_be_loaded_ends_the_search(cli, folder, unloadable, monkeypatch):
    cli("embed", "gray.png", "--out", "store", "--model", "builtin")
    unloadable()

    def refuse(model, **_options):
        raise OfflineError(model, "the hub does not answer", "connect")

    monkeypatch.setattr(loading, "load_backbone", refuse)
    stored = ("--embeddings", "store", *OPTIONS)
    result = cli("similarity", "gray.png", "rgb.png", "rgba.png", *CLICK, *stored)
    assert (result.code, result.out) == (2, "")
    missing, error = result.err.splitlines()
    assert "store holds nothing for rgb.png" in missing
    assert "error: Cannot load builtin: the hub does not answer" in error
    assert not Path("out").exists()

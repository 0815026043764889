"""Images by URL on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import numpy as np
import pytest
import tifffile
import zarr

BUILTIN = ("--model", "builtin")


@pytest.fixture
def remote(folder):
    """Put the files of the folder, and more, where only fsspec finds them."""
    memory = fsspec.filesystem("memory")
    values = np.random.default_rng(0).integers(0, 4000, (2, 48, 64)).astype("u2")
    with tifffile.TiffWriter("two.ome.tif") as tiff:
        for image in values:
            tiff.write(image, photometric="minisblack")
    zarr.create_array("array.zarr", data=values[0], chunks=(24, 32))
    for path in folder.rglob("*"):
        if path.is_file():
            memory.pipe(f"/box/{path.relative_to(folder).as_posix()}", path.read_bytes())
    yield "memory://box/"
    memory.rm("/box", recursive=True)


def stored(folder):
    return {path.name.split("-")[-1] for path in Path(folder).glob("*.safetensors")}


@pytest.mark.parametrize("name", ["rgb.png", "two.ome.tif:series=1", "array.zarr"])
def test_a_url_gets_what_its_file_gets(cli, remote, name):
    assert cli("embed", name, "--out", "here", *BUILTIN).code == 0
    report = cli("embed", f"{remote}{name}", "--out", "there", *BUILTIN, "--json").json
    assert [image["image"] for image in report["images"]] == [f"{remote}{name}"]
    assert stored("here") == stored("there") != set()


def test_a_click_and_results_under_the_name_of_the_file(cli, remote):
    options = ("--at", 5, 5, "--out", "out", *BUILTIN, "--json", "--embeddings", "kept")
    options = (*options, "--keep-embeddings")
    done = cli("similarity", f"{remote}gray.png", f"{remote}array.zarr", *options)
    assert done.code == 0, done
    assert {Path(one["cosine"]).name for one in done.json["images"]} == {
        "gray.cosine.tif",
        "array.cosine.tif",
    }
    assert not any("memory" in part for path in Path().rglob("*") for part in path.parts)


def test_a_list_of_urls(cli, remote):
    Path("list.txt").write_text(f"{remote}gray.png\n{remote}none.png\n", encoding="utf-8")
    clicked = ("similarity", "rgb.png", "--at", 5, 5, "--out", "out", *BUILTIN)
    assert cli(*clicked, "--save-query", "q").code == 0
    done = cli("search", "q", "--files-from", "list.txt", "--out", "found", *BUILTIN)
    assert done.code == 2
    assert f"{remote}none.png is not there; check the spelling." in done.err
    assert Path("found/gray.cosine.tif").exists()


@pytest.mark.parametrize(
    "option", ["--out", "--regions", "--save-query", "--embeddings"], ids=lambda one: one[2:]
)
def test_everything_else_is_on_this_computer(cli, folder, option):
    address = "https://example.org/x"
    options = {"--out": "out", option: address}
    words = [word for pair in options.items() for word in pair]
    line = cli("similarity", "gray.png", "--at", 5, 5, *words, *BUILTIN).refusal
    assert f"{address} is an address, and only images are read from one" in line


def test_a_file_of_this_computer_by_its_address(cli, folder):
    report = cli("embed", Path("gray.png").resolve().as_uri(), "--out", "e", *BUILTIN, "--json")
    assert report.json["images"][0]["image"] == str(Path("gray.png").resolve())


def test_a_reader_gets_the_copy(cli, remote):
    report = cli(
        "embed", f"{remote}rgb.png", "--out", "e", *BUILTIN, "--reader", "napari", "--json"
    )
    assert report.code == 0, report
    assert json.loads(report.out)["images"][0]["image"] == f"{remote}rgb.png"

"""``--stack``: the files of a folder or a pattern are the planes of one image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from imageio.v3 import imwrite

from napari_dinov3_sim.cli.reading.open_file import OpenFile
from napari_dinov3_sim.readers import file_stack

pytestmark = pytest.mark.slow

OPTIONS = ("--out", "e", "--model", "builtin", "--json")


@pytest.fixture
def planes(folder, picture):
    """Write twelve planes, of which the third comes before the tenth."""
    values = picture(12, 33, 47, dtype=np.uint16)
    Path("scan").mkdir()
    for number, plane in enumerate(values):
        tifffile.imwrite(f"scan/z{number}.tif", plane)
    return values


@pytest.mark.parametrize("name", ["scan", "scan/z*.tif", "scan/z[0-9]*.tif"])
def test_a_stack_of_files_is_that_of_one_file(cli, planes, name):
    np.save("whole.npy", planes)
    stack = cli("embed", name, "--stack", *OPTIONS).json["images"]
    assert [entry["plane"] for entry in stack] == [[number] for number in range(12)]
    # The same pixels in the same order, in one intensity window: nothing is embedded again.
    whole = cli("embed", "whole.npy", *OPTIONS).json["images"]
    assert all(entry["skipped"] for entry in whole)
    assert [one["embeddings"] for one in whole] == [one["embeddings"] for one in stack]


@pytest.mark.parametrize("name", ["scan [1]/z*.tif", "scan [1]/z*.tif:stack", "scan [1]"])
def test_brackets_of_a_folder_are_no_pattern(cli, planes, name):
    Path("scan 1").mkdir()
    Path("scan").rename("scan [1]")
    tifffile.imwrite("scan 1/z0.tif", planes[0])
    stack = cli("embed", name, *(() if name.endswith(":stack") else ("--stack",)), *OPTIONS)
    assert [entry["plane"] for entry in stack.json["images"]] == [[n] for n in range(12)]


def test_planes_are_read_when_they_are_needed(planes, monkeypatch):
    opened, real = [], file_stack.open_image_file
    monkeypatch.setattr(
        file_stack, "open_image_file", lambda path, *how: opened.append(path) or real(path, *how)
    )
    with OpenFile(Path("scan:stack")) as file:
        (layer,) = file.layers
        del opened[:]
        np.testing.assert_array_equal(np.asarray(layer.data[10]), planes[10])
    assert opened == [Path("scan/z10.tif")]


def test_a_click_in_a_stack(cli, planes):
    results = ("--out", "r", "--model", "builtin")
    done = cli("similarity", "scan", "--stack", "--plane", 10, "--at", 5, 5, *results)
    assert done.code == 0, done.err
    assert Path("r/scan-10.cosine.tif").exists()


def test_colours_are_colours(cli, folder, picture):
    Path("colours").mkdir()
    for number in range(3):
        imwrite(f"colours/{number}.png", picture(20, 30, 3, seed=number))
    entries = cli("embed", "colours", "--stack", *OPTIONS).json["images"]
    assert [entry["shape"] for entry in entries] == [[20, 30]] * 3


def test_what_is_no_stack_is_told(cli, planes, picture):
    imwrite("scan/z5.tif", picture(20, 30))
    text = cli("embed", "scan", "--stack", *OPTIONS).refusal
    assert "scan/z5.tif (20 × 30 of uint8) is unlike scan/z0.tif (33 × 47 of uint16)" in text
    assert "is no stack" in cli("embed", "nothing*.tif", "--stack", *OPTIONS).refusal
    tifffile.imwrite("scan/z0.tif", picture(2, 5, 6), photometric="minisblack", imagej=True)
    assert "scan/z0.tif holds 2 images" in cli("embed", "scan/*.tif", "--stack", *OPTIONS).refusal


def test_a_file_beside_a_stack_is_a_file(cli, planes):
    entries = cli("embed", "gray.png", "scan", "--stack", *OPTIONS).json["images"]
    assert len(entries) == 13

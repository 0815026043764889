"""Results of an earlier search in the same folder are named, and left where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

OPTIONS = ("--out", "out", "--model", "builtin", "--overwrite")


@pytest.fixture
def search(cli, folder):
    def run(*more):
        return cli("similarity", *more, "--at", 5, 5, *OPTIONS)

    return run


def test_files_of_the_same_images_are_named(search):
    assert search("gray.png", "rgb.png", "--threshold", "otsu", "--peaks").err == ""
    assert search("gray.png", "rgb.png", "--threshold", "otsu", "--peaks").err == ""
    before = sorted(Path("out").iterdir())
    result = search("gray.png")
    assert result.err == (
        "napari-dinov3-sim: note: out also holds gray.labels.tif, gray.peaks.csv of an earlier "
        "search; they do not belong to these results.\n"
    )
    assert (result.code, sorted(Path("out").iterdir())) == (0, before)


def test_those_of_other_images_and_other_files_are_not(search):
    search("rgb.png", "--threshold", "otsu", "--peaks")
    for name in ("gray.png", "gray.txt", "gray-2.cosine.tif", "notes.cosine.tif"):
        Path("out", name).touch()
    assert search("gray.png").err == ""


def test_those_of_a_class_are_named_and_many_are_counted(search):
    search("gray.png")
    for number in range(8):
        Path(f"out/gray.class-{number}.cosine.tif").touch()
    (line,) = search("gray.png").err.splitlines()
    assert "also holds gray.class-0.cosine.tif, " in line
    assert "gray.class-5.cosine.tif and 2 more of an earlier search" in line


def test_a_class_map_of_an_earlier_version_is_named(search):
    search("gray.png")
    Path("out/gray.winner.tif").touch()
    assert "also holds gray.winner.tif of an earlier search" in search("gray.png").err


def test_those_of_an_image_that_failed_are_named(search):
    search("gray.png", "rgb.png")
    Path("rgb.png").write_bytes(Path("rgb.png").read_bytes()[:200])
    result = search("gray.png", "rgb.png")
    assert result.code == 2
    assert "out also holds rgb.cosine.tif, rgb.heatmap.png of an earlier search" in result.err

"""Patterns that no shell has expanded, in `similarity` and `search` as in `embed`."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

OPTIONS = ("--out", "out", "--model", "builtin", "--overwrite", "--json")
CLICK = ("--at", 5, 5)


def images_of(result):
    return [entry["image"] for entry in result.json["images"]]


@pytest.fixture
def query(cli, folder):
    saved = ("--save-query", "q")
    assert cli("similarity", "gray.png", *CLICK, *OPTIONS, *saved).code == 0
    return "q"


def test_targets_may_be_patterns(cli, folder):
    (folder / "folder.png").mkdir()
    result = cli("similarity", "rgb.png", "*.png", *CLICK, *OPTIONS)
    assert images_of(result) == ["rgb.png", "gray.png", "rgba.png"]
    assert [entry["clicked"] for entry in result.json["images"]] == [True, False, False]


def test_the_clicked_image_stays_the_first_when_it_is_named_again(cli, folder):
    result = cli("similarity", "rgb.png", "gray.png", "./rgb.png", *CLICK, *OPTIONS)
    assert result.json["query"] == "rgb.png"
    assert images_of(result) == ["rgb.png", "gray.png"]


def test_targets_of_a_search_may_be_patterns(cli, query):
    assert images_of(cli("search", query, "rgb*.png", "gr?y.png", *OPTIONS)) == [
        "rgb.png",
        "rgba.png",
        "gray.png",
    ]


def test_the_clicked_image_may_be_a_pattern_of_one(cli, folder):
    result = cli("similarity", "gr*.png", "rgb.png", *CLICK, *OPTIONS)
    assert images_of(result) == ["gray.png", "rgb.png"]
    assert result.json["query"] == "gray.png"


def test_the_clicked_image_must_be_one(cli, folder):
    line = cli("similarity", "rgb*.png", "gray.png", *CLICK, *OPTIONS).refusal
    assert "rgb*.png matches 2 images, and one is clicked; name that one first" in line
    assert not (folder / "out").exists()


@pytest.mark.parametrize("names", [("*.tif",), ("gray.png", "*.tif"), ("gray.png", "no/*.png")])
def test_a_pattern_without_a_match(cli, folder, names):
    line = cli("similarity", *names, *CLICK, *OPTIONS).refusal
    assert f"No image matches {names[-1]}; check the spelling and the folder." in line


def test_a_pattern_without_a_match_in_a_search(cli, query):
    assert "No image matches *.tif" in cli("search", query, "*.tif", *OPTIONS).refusal


def test_a_file_whose_name_looks_like_a_pattern(cli, folder):
    (folder / "rgb.png").rename(folder / "rgb[1].png")
    result = cli("similarity", "gray.png", "rgb[1].png", *CLICK, *OPTIONS)
    assert images_of(result) == ["gray.png", "rgb[1].png"]


def test_a_folder_means_the_images_in_it(cli, folder, query):
    (folder / "scans").mkdir()
    for number in (10, 9):
        (folder / "scans" / f"{number}.png").write_bytes((folder / "rgb.png").read_bytes())
    (folder / "scans" / "notes.txt").write_text("no image")
    (folder / "scans" / ".hidden.png").write_bytes((folder / "rgb.png").read_bytes())
    expected = ["scans/9.png", "scans/10.png"]
    result = cli("similarity", "gray.png", "scans", *CLICK, *OPTIONS)
    assert images_of(result) == ["gray.png", *expected]
    assert images_of(cli("search", query, "scans", *OPTIONS)) == expected
    embedded = cli("embed", "scans", "--out", "store", "--model", "builtin", "--json")
    assert images_of(embedded) == expected
    assert "scans matches 2 images" in cli("similarity", "scans", *CLICK, *OPTIONS).refusal


@pytest.mark.parametrize("name", ["*.png", "a.png", "a?png", "{}/scans [1]/[a].png"])
def test_brackets_of_a_folder_are_no_pattern(cli, folder, query, name):
    """Without it, the images of another folder were searched, and nobody was told."""
    for scans in ("scans 1", "scans [1]"):
        (folder / scans).mkdir()
        (folder / scans / "a.png").write_bytes((folder / "rgb.png").read_bytes())
    pattern = f"scans [1]/{name}" if "{}" not in name else name.format(folder)
    (found,) = images_of(cli("search", query, pattern, *OPTIONS))
    assert (folder / found).samefile(folder / "scans [1]/a.png")


def test_a_missing_file_below_brackets_is_told_to_be_missing(cli, folder, query):
    (folder / "scans [1]").mkdir()
    line = cli("search", query, "scans [1]/gone.png", *OPTIONS).refusal
    assert "scans [1]/gone.png does not exist" in line


def test_an_image_of_a_file_with_brackets_is_no_pattern(cli, folder, query):
    (folder / "rgb.png").rename(folder / "rgb[1].png")
    line = cli("search", query, "rgb[1].png:series=0", *OPTIONS)
    assert "No image matches" not in line.err

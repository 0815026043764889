"""Negatives, thresholds, peaks, saved queries: what `similarity` and `search` add to maps."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage.io import imread
from skimage.measure import label

import napari_dinov3_sim as nds
from napari_dinov3_sim.cli.output.drawing import NEGATIVE, OUTLINE
from napari_dinov3_sim.core.search.combine import DEFAULT_CLASS, query_from_points, score_classes
from napari_dinov3_sim.core.search.thresholds import otsu_threshold
from napari_dinov3_sim.store.query_files import load_query, save_query

pytestmark = pytest.mark.slow

OPTIONS = ("--out", "out", "--model", "builtin", "--overwrite")
CLICKS = ("--at", 5, 5, "--at", 40, 20, "--not", 69, 49)


@pytest.fixture
def similarity(cli, folder):
    def run(*more):
        return cli("similarity", "gray.png", "rgb.png", *CLICKS, *OPTIONS, *more)

    return run


@pytest.fixture
def saved(similarity):
    assert similarity("--save-query", "a.query.safetensors").code == 0
    return "a.query.safetensors"


def live_maps(backbone, combination, *names):
    states = [nds.create_patch_image_state(imread(name), backbone) for name in names]
    positives, negatives = [(5, 5), (40, 20)], [(69, 49)]
    class_name = query_from_points(
        "gray",
        [(states[0], point) for point in positives],
        [(states[0], point) for point in negatives],
    )
    return [score_classes([class_name], state, combination)[0] for state in states]


def cosine(stem):
    return tifffile.imread(f"out/{stem}.cosine.tif")


@pytest.mark.parametrize("combination", [None, "mean", "best", "contrast", "learned"])
def test_negatives_and_combinations_are_those_of_the_library(similarity, backbone, combination):
    assert similarity(*(("--combine", combination) if combination else ())).code == 0
    expected = live_maps(backbone, combination or "auto", "gray.png", "rgb.png")
    for stem, one in zip(("gray", "rgb"), expected, strict=True):
        np.testing.assert_allclose(cosine(stem), one.full_resolution(), atol=1e-6)


def test_positives_and_negatives_are_framed_in_their_colours(similarity):
    similarity()
    picture = imread("out/gray.heatmap.png")
    assert np.argwhere((picture == OUTLINE).all(-1)).min(0).tolist() == [0, 0]
    assert np.argwhere((picture == NEGATIVE).all(-1)).min(0).tolist() == [48, 64]
    assert not (imread("out/rgb.heatmap.png") == NEGATIVE).all(-1).any()


def test_the_report_says_what_was_asked(similarity):
    report = similarity("--json", "--save-query", "q").json
    assert report["points"] == [[5, 5], [40, 20]]
    assert report["negatives"] == [[69, 49]]
    assert report["combination"] == "auto"
    assert report["saved_query"] == "q"
    assert report["threshold"] is None


def test_labels_are_the_objects_above_the_threshold_without_small_ones(similarity):
    options = ("--threshold", 0.3, "--min-area", 300, "--outline", "patches")
    report = similarity(*options, "--json").json
    assert report["threshold"] == 0.3
    for entry in report["images"]:
        found = tifffile.imread(entry["labels"])
        objects = label(tifffile.imread(entry["cosine"]) >= np.float32(0.3))
        areas = np.bincount(objects.ravel())
        kept = (areas >= 300) & (np.arange(len(areas)) > 0)
        assert entry["objects"] == kept.sum() == found.max()
        np.testing.assert_array_equal(found > 0, kept[objects])
        assert entry["labels"] in report["files"]


def test_otsu_is_one_threshold_for_all_images(similarity, backbone):
    report = similarity("--threshold", "otsu", "--json").json
    expected = otsu_threshold(live_maps(backbone, "auto", "gray.png", "rgb.png"))
    assert report["threshold"] == pytest.approx(expected, abs=1e-6)
    assert f"The threshold is {report['threshold']:.3f}." in similarity("--threshold", "otsu").out


def test_peaks_are_a_table_of_places_from_the_threshold_on(similarity):
    report = similarity("--peaks", "--threshold", 0.2, "--json").json
    for entry in report["images"]:
        with Path(entry["peaks"]).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        values = tifffile.imread(entry["cosine"])
        assert rows[0]["image"] == entry["image"]
        assert rows[0]["class"] == "class 1"
        assert float(rows[0]["score"]) == pytest.approx(entry["max"], abs=1e-6)
        for row in rows:
            x, y = (int(float(row[axis])) for axis in ("x_px", "y_px"))
            assert float(row["score"]) == pytest.approx(values[y, x], abs=1e-6)
            assert float(row["score"]) >= 0.2


def test_nothing_is_written_that_was_not_wanted(similarity, folder):
    similarity("--peaks")
    names = {path.name for path in (folder / "out").iterdir()}
    ends = (".cosine.tif", ".heatmap.png", ".peaks.csv")
    assert names == {f"{stem}{end}" for stem in ("gray", "rgb") for end in ends}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ((), DEFAULT_CLASS),
        (("--class", " gland cell "), "gland cell"),
        (("--save-query", "gland.query.safetensors"), "gland"),
        (("--save-query", "gland.safetensors"), "gland"),
        (("--save-query", "gland", "--class", "cell"), "cell"),
    ],
)
def test_the_class_is_called_as_the_user_calls_it(similarity, cli, options, name):
    result = similarity("--peaks", *options)
    assert re.findall(r"\.png +(.*?)  ", result.out) == [name, name]
    assert f"rgb.png,{name}," in Path("out/rgb.peaks.csv").read_text(encoding="utf-8")
    assert similarity(*options, "--json").json["class"] == name
    if "--save-query" in options:
        query = options[1]
        assert f"rgb.png  {name} " in cli("search", query, "rgb.png", "--out", "found").out


def test_the_class_may_be_given_as_in_an_earlier_version(similarity):
    now = similarity("--class", "gland", "--json", "--peaks")
    table = Path("out/rgb.peaks.csv").read_text(encoding="utf-8")
    former = similarity("--kind", "gland", "--json", "--peaks")
    assert (former.code, former.json["class"], former.json) == (0, "gland", now.json)
    assert Path("out/rgb.peaks.csv").read_text(encoding="utf-8") == table


# --- saved queries ------------------------------------------------------------------------------


def test_a_saved_query_finds_in_other_images_what_the_clicks_found(saved, cli):
    first = {name: cosine(name) for name in ("gray", "rgb")}
    assert (
        cli("search", saved, "rgb.png", "gray.png", "rgba.png", "--out", "out", "--overwrite").code
        == 0
    )
    for name, values in first.items():
        np.testing.assert_allclose(cosine(name), values, atol=1e-6)
    assert cosine("rgba").shape == (33, 47)
    assert not (imread("out/gray.heatmap.png") == OUTLINE).all(-1).any()


def test_a_saved_query_knows_class_model_and_what_was_clicked(saved, backbone):
    query = load_query(saved)
    assert (query.model, query.fingerprint) == ("builtin", backbone.fingerprint)
    assert (query.combination, query.cell_size) == ("auto", 16)
    (class_name,) = query.classes
    assert (class_name.name, len(class_name.positives), len(class_name.negatives)) == ("a", 2, 1)
    assert [one.shape for one in class_name.thumbnails] == [(64, 64, 3)] * 2


@pytest.fixture
def two_classes(saved):
    query = load_query(saved)
    other = replace(query.classes[0], name="the/other", positives=query.classes[0].negatives)
    save_query(replace(query, classes=(query.classes[0], other)), "two.query.safetensors")
    return "two.query.safetensors"


def test_each_class_has_its_files_and_the_best_class_is_the_greater(two_classes, cli):
    report = cli(
        "search", two_classes, "rgb.png", "--out", "two", "--threshold", 0.1, "--peaks", "--json"
    ).json
    (entry,) = report["images"]
    assert [class_name["class"] for class_name in entry["classes"]] == ["a", "the/other"]
    names = [Path(path).name for path in report["files"]]
    assert names == [
        *(f"rgb.a{end}" for end in (".cosine.tif", ".heatmap.png", ".labels.tif")),
        *(f"rgb.the-other{end}" for end in (".cosine.tif", ".heatmap.png", ".labels.tif")),
        "rgb.class-map.tif",
        "rgb.peaks.csv",
    ]
    maps = np.array([tifffile.imread(class_name["cosine"]) for class_name in entry["classes"]])
    expected = np.where(maps.max(0) >= np.float32(0.1), maps.argmax(0) + 1, 0)
    np.testing.assert_array_equal(tifffile.imread(entry["class_map"]), expected)
    table = Path(entry["peaks"]).read_text(encoding="utf-8")
    assert "rgb.png,a," in table
    assert "rgb.png,the/other," in table


def test_the_table_has_a_line_for_each_class(two_classes, cli):
    out = cli("search", two_classes, "rgb.png", "--out", "two").out
    assert "rgb.the-other.cosine.tif" in out
    assert out.count("64 × 40") == 2


@pytest.mark.parametrize(
    ("options", "remark"),
    [
        (("--resolution", 2), "it was made at resolution 1, and this is 2"),
        (("--shifts", 2), "it was made at one vector per 16 pixels, and now there is one per 8"),
    ],
)
def test_another_resolution_is_noted(saved, cli, options, remark):
    assert load_query(saved).factor == 1
    result = cli("search", saved, "rgb.png", "--out", "out", "--overwrite", *options)
    assert result.code == 0
    assert f"note: the query finds less: {remark}; choose --resolution and" in result.err


def test_shifts_are_not_taken_for_the_resolution_that_has_the_same_cells(saved, cli):
    ask = ("similarity", "gray.png", "--at", 5, 5, *OPTIONS)
    assert cli(*ask, "--resolution", 2, "--save-query", "two.query.safetensors").code == 0
    search = ("search", "two.query.safetensors", "rgb.png", "--out", "out", "--overwrite")
    assert "made at resolution 2, and this is 1" in cli(*search, "--shifts", 2).err
    assert cli(*search, "--resolution", 2).err == ""


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--threshold", "high"), "'high' is neither otsu nor a cosine from -1 to 1"),
        (("--threshold", 2), "'2' is neither otsu nor a cosine"),
        (("--threshold", "nan"), "'nan' is neither"),
        (("--min-area", -1), "'-1' is not an area; give pixels, as in 50, or"),
        (("--min-area", 5), "none are written without --objects or --threshold; add"),
        (("--min-area", 5, "--peaks"), "none are written without --objects"),
        (("--max-area", 5), "--max-area is about objects"),
        (("--split",), "--split is about objects"),
        (("--objects", "--min-area", "5 acres"), "'5 acres' is not an area"),
        (("--objects", "--outline", "lines"), "invalid choice: 'lines'"),
        (("--class", " "), "a name needs at least one letter"),
        (("--combine", "worst"), "invalid choice: 'worst'"),
        (("--not", 70, 0), "choose x from 0 to 69"),
        (("--save-query", "none/q"), "There is no folder for none/q; make it"),
        (("--save-query", "rgb.png"), "would replace rgb.png"),
    ],
)
def test_wrong_usage(similarity, options, words, folder):
    assert words in similarity(*options).refusal
    assert not (folder / "out").exists()


def test_results_of_a_search_never_replace_the_query(saved, cli):
    Path(saved).rename("rgb.cosine.tif")
    line = cli("search", "rgb.cosine.tif", "rgb.png", "--out", ".").refusal
    assert "would replace rgb.cosine.tif" in line

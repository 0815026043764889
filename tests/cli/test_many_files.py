"""A search of many files that a program watches: lists, progress, thresholds, going on."""

from __future__ import annotations

import codecs
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.measure import label

from napari_dinov3_sim.backbones import DINOv3Backbone
from napari_dinov3_sim.core.search.saved_query import SavedQuery
from napari_dinov3_sim.store.query_files import load_query, save_query
from patience import PATIENCE

pytestmark = pytest.mark.slow

SETTLED = ("--threshold", 0.3, "--limits", 0, 1)
NAMES = ["two words.npy", "größe 木.npy", "-x.npy", "100 %d.npy", "a\nb.npy", "[1].npy"]
NAMES += [os.fsdecode(b"caf\xe9.npy")]


@pytest.fixture
def query(cli, folder):
    out = ("--out", "made", "--model", "builtin")
    assert cli("similarity", "gray.png", "--at", 20, 9, "--save-query", "q", *out).code == 0
    return "q"


@pytest.fixture
def many(query, folder, picture):
    """Five images in a folder of their own."""
    Path("many").mkdir()
    for number in range(5):
        Image.fromarray(picture(48, 64, seed=number)).save(f"many/{number}.png")
    return [f"many/{number}.png" for number in range(5)]


@pytest.fixture
def embedded(monkeypatch):
    """Count the images that go through the model."""
    shapes, real = [], DINOv3Backbone.embed_patches

    def embed(self, pixels):
        shapes.append(pixels.shape)
        return real(self, pixels)

    monkeypatch.setattr(DINOv3Backbone, "embed_patches", embed)
    return shapes


def events(outcome):
    return [json.loads(line) for line in outcome.out.splitlines()]


def named(found, event):
    return [one for one in found if one["event"] == event]


def test_each_class_has_its_own_threshold(cli, many):
    query = load_query("q")
    one = query.classes[0]
    other = replace(one, name="other", positives=one.positives[:, ::-1].copy())
    save_query(replace(query, classes=(one, other)), "two")
    levels = {one.name: 0.4, "other": -0.05}
    given = [f"--threshold={name}={level}" for name, level in levels.items()]
    given += ["--outline", "patches"]
    report = cli("search", "two", "many", *given, "--out", "out", "--peaks", "--json").json
    assert (report["threshold"], report["thresholds"]) == (None, levels)
    for entry in report["images"]:
        for found in entry["classes"]:
            values = tifffile.imread(found["cosine"])
            expected = label(values >= np.float32(levels[found["class"]]))
            assert found["objects"] == expected.max()
            np.testing.assert_array_equal(tifffile.imread(found["labels"]) > 0, expected > 0)
    outcome = cli("search", "two", "many", *given, "--out", "out", "--overwrite")
    total = sum(entry["classes"][1]["objects"] for entry in report["images"])
    assert "The threshold of other is -0.050." in outcome.out
    assert f"{total} objects of other." in outcome.out
    assert "5 images: " in outcome.out


def test_a_class_without_a_threshold_has_the_common_one(cli, many):
    found = cli("search", "q", "many", "--threshold=0.2", "--threshold=q=0.4", "--out", "a")
    assert "The threshold of q is 0.400." in found.out
    assert (
        "no such class; choose one of q."
        in cli("search", "q", "many", "--threshold", "nobody=0.4", "--out", "b").refusal
    )
    wrong = cli("search", "q", "many", "--threshold", "q=otsu", "--out", "b").refusal
    assert "'q=otsu' is neither otsu nor a cosine" in wrong


def test_limits_are_those_of_the_heatmaps(cli, many):
    report = cli("search", "q", "many", "--limits", -0.25, 0.75, "--out", "out", "--json").json
    assert report["limits"] == [-0.25, 0.75]
    assert (
        "from the lower to the higher"
        in cli("search", "q", "many", "--limits", 1, 0, "--out", "other").refusal
    )


def test_areas_are_those_of_some_object(cli, many):
    asked = ("search", "q", "many", "--threshold", 0.3, "--out", "out")
    for least, most in (("500", "50"), ("2 um2", "3000 nm2"), ("1px", "0")):
        line = cli(*asked, "--min-area", least, "--max-area", most).refusal
        assert "give --max-area more than --min-area" in line
    # Whether one is larger than the other depends on the image.
    assert cli(*asked, "--min-area", "500", "--max-area", "50um2").code == 0
    assert cli(*asked, "--min-area", "50", "--max-area", "50", "--overwrite").code == 0


@pytest.mark.parametrize(
    ("maps", "ends"),
    [
        ("cosine", {".cosine.tif"}),
        ("heatmap", {".heatmap.png"}),
        ("none", set()),
        ("all", {".cosine.tif", ".heatmap.png"}),
    ],
)
def test_only_the_maps_that_are_wanted_are_written(cli, many, maps, ends):
    assert cli("search", "q", "many", "--maps", maps, "--peaks", "--out", "out").code == 0
    names = {path.name for path in Path("out").iterdir()}
    assert names == {f"{n}{end}" for n in range(5) for end in {*ends, ".peaks.csv"}}


def test_thresholds_of_peaks_alone_write_no_labels(cli, many):
    cli(
        "search", "q", "many", *SETTLED, "--peaks", "--no-labels", "--maps", "none", "--out", "out"
    )
    assert {path.suffix for path in Path("out").iterdir()} == {".csv"}
    scores = Path("out/0.peaks.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert all(float(line.split(",")[-1]) >= 0.3 for line in scores)


# --- lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [b"\n", b"\0"])
def test_a_list_names_files_of_any_name(cli, query, picture, end):
    names = [name for name in NAMES if end == b"\0" or "\n" not in name]
    for number, name in enumerate(names):
        np.save(name, picture(32, 48, seed=number))
    Path("list").write_bytes(b"".join(os.fsencode(name) + end for name in names))
    report = cli("search", "q", "--files-from", "list", "--out", "out", "--json").json
    assert [entry["image"] for entry in report["images"]] == names


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_list_may_be_text_as_windows_saves_it(cli, query, picture, encoding):
    names = ["a.npy", "größe 木.npy"]
    for name in names:
        np.save(name, picture(32, 48))
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    Path("list").write_bytes(mark + "".join(f"{name}\r\n" for name in names).encode(encoding))
    report = cli("search", "q", "--files-from", "list", "--out", "out", "--json").json
    assert [entry["image"] for entry in report["images"]] == names


def test_of_a_list_what_is_missing_or_damaged_is_left_out(cli, many):
    Path("many/2.png").write_bytes(b"no picture")
    Path("list").write_text("\n".join([*many, "gone.png"]), encoding="utf-8")
    outcome = cli("search", "q", "--files-from", "list", "--out", "out", "--progress", "json")
    assert outcome.code == 2
    assert "2 of 6 images failed: many/2.png, gone.png." in outcome.err
    assert named(events(outcome), "end")[0]["failed"] == ["many/2.png", "gone.png"]
    assert len(list(Path("out").glob("*.cosine.tif"))) == 4


def test_lists_that_help_nobody(cli, query):
    Path("empty").touch()
    assert "No image is named" in cli("search", "q", "--out", "out").refusal
    assert "No image is named" in cli("search", "q", "--files-from", "empty", "--out", "o").refusal
    gone = cli("search", "q", "--files-from", "gone", "--out", "out").refusal
    assert "The list gone cannot be read (No such file or directory)" in gone


def test_a_list_is_not_replaced_by_a_result(cli, query):
    Path("gray.heatmap.png").write_text("gray.png", encoding="utf-8")
    asked = ("search", "q", "--files-from", "gray.heatmap.png", "--out", ".", "--overwrite")
    assert "would replace gray.heatmap.png" in cli(*asked).refusal


# --- progress ------------------------------------------------------------------------------------


def test_progress_is_one_object_a_line(cli, many):
    outcome = cli("search", "q", "many", *SETTLED, "--out", "out", "--progress", "json")
    found = events(outcome)
    assert len(named(found, "look")) == 5
    assert named(found, "start") == [{"event": "start", "files": 5, "planes": 5}]
    assert [one["image"] for one in named(found, "plane")] == many
    assert [one["done"] for one in named(found, "plane")] == [*range(5)]
    assert [one["stored"] for one in named(found, "done")] == [False] * 5
    (end,) = named(found, "end")
    labels = [tifffile.imread(path) for path in Path("out").glob("*.labels.tif")]
    assert end["objects"] == {"q": sum(int(one.max()) for one in labels)}
    assert (end["files"], end["failed"], end["folder"]) == (5, [], "out")
    assert found[-1] == end


def test_the_report_is_the_last_line_where_it_is_asked_for(cli, many):
    outcome = cli("search", "q", "many", "--out", "out", "--progress", "json", "--json")
    assert [entry["image"] for entry in events(outcome)[-1]["images"]] == many


GONE = """
import os, sys
from napari_dinov3_sim.cli.parser import main
reading, writing = os.pipe()
os.close(reading)
os.dup2(writing, 1)
sys.exit(main(sys.argv[1:]))
"""


def test_a_search_ends_with_the_program_that_watches_it(many):
    options = ("--out", "out", "--progress", "json")
    command = [sys.executable, "-c", GONE, "search", "q", "many", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (130, "")
    assert not Path("out").exists()


# --- going on ------------------------------------------------------------------------------------


def interrupted(after, monkeypatch, run):
    """Run a search that somebody ends when so many images are scored."""
    real, count = SavedQuery.score, []

    def score(self, state, *rest):
        count.append(state)
        if len(count) > after:
            raise KeyboardInterrupt
        return real(self, state, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(SavedQuery, "score", score)
        assert run().code == 130


def test_an_interrupted_search_leaves_what_is_done_and_computes_the_rest(
    cli, many, embedded, monkeypatch
):
    asked = ("search", "q", "many", *SETTLED, "--embeddings", "kept", "--keep-embeddings")
    asked += ("--out", "out", "--overwrite", "--progress", "json")
    interrupted(2, monkeypatch, lambda: cli(*asked))
    assert {path.name[0] for path in Path("out").iterdir()} == {"0", "1"}
    assert len(embedded) == 3
    outcome = cli(*asked)
    assert len(embedded) == 5
    assert [one["stored"] for one in named(events(outcome), "done")] == [True] * 3 + [False] * 2
    assert outcome.err == ""
    before = tifffile.imread("out/3.cosine.tif")
    assert cli("search", "q", "many", "--out", "anew").code == 0
    np.testing.assert_allclose(before, tifffile.imread("anew/3.cosine.tif"), atol=1e-3)


def test_embeddings_are_kept_only_in_a_folder_that_is_named(cli, many):
    refusal = cli("search", "q", "many", "--keep-embeddings", "--out", "out").refusal
    assert "add --embeddings DIR" in refusal

"""A threshold that was set by hand goes with the query: dock, file, command line, dock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_dinov3_sim.cli.output.thresholds import Threshold, WantedLevels
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.runner import InlineRunner
from napari_dinov3_sim.store.query_files import load_query, save_query

pytestmark = pytest.mark.slow

OPTIONS = ("--out", "out", "--overwrite", "--maps", "cosine", "--json")
BY_HAND = 0.6
"""Above and below it there are scores, and the automatic one is another."""


@pytest.fixture
def blocks(tmp_path, monkeypatch):
    """An image of blocks, in the folder that we are in."""
    monkeypatch.chdir(tmp_path)
    coarse = np.random.default_rng(4).integers(0, 255, (5, 7)).astype(np.uint8)
    image = coarse.repeat(20, 0).repeat(20, 1)
    tifffile.imwrite("blocks.tif", image)
    return image


@pytest.fixture
def make_session(backbone, blocks):
    """Make a session on the image; all are closed."""
    made = []

    def make():
        viewer = ViewerModel()
        session = SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())
        made.append(session)
        return session, viewer.add_image(blocks, name="blocks")

    yield make
    for session in made:
        session.close()


def clicked(make_session):
    session, image = make_session()
    session.add_query(image, 30, 30, class_name="cell")
    session.add_query(image, 70, 70, class_name="cell")
    session.add_query(image, 110, 50, class_name="gap")
    session.wait()
    return session


def saved(session, name="q.query.safetensors"):
    session.results.save_query(name)
    session.wait()
    return name


def counts(session):
    return {name: found.objects for name, found in session.found.items()}


def test_search_finds_the_objects_of_the_dock(make_session, cli):
    session = clicked(make_session)
    automatic = counts(session)
    session.class_name, session.threshold = "cell", BY_HAND
    session.wait()
    shown = counts(session)
    assert shown["cell"] != automatic["cell"]
    assert load_query(saved(session)).thresholds == {"cell": BY_HAND}
    levels = session.thresholds
    for wanted in (["--objects"], ["--measure", "--export", "geojson"]):
        report = cli("search", "q.query.safetensors", "blocks.tif", *wanted, *OPTIONS).json
        (entry,) = report["images"]
        assert {one["class"]: one["objects"] for one in entry["classes"]} == shown
        assert report["thresholds"] == pytest.approx(levels, abs=1e-6)

    again, _ = make_session()
    again.results.load_query("q.query.safetensors")
    again.wait()
    assert again.thresholds == pytest.approx(levels, abs=1e-6)
    assert counts(again) == shown
    again.use_automatic_threshold()
    assert load_query(saved(again, "without")).thresholds == {}


def test_what_the_command_line_says_comes_first(make_session, cli):
    session = clicked(make_session)
    session.class_name, session.threshold = "cell", BY_HAND
    query = saved(session)
    automatic = session.automatic_threshold("cell")
    ask = ("search", query, "blocks.tif", "--objects", *OPTIONS)
    report = cli(*ask, "--threshold", "cell=0.3").json
    assert report["thresholds"]["cell"] == 0.3
    report = cli(*ask, "--threshold", "gap=0.3").json
    assert report["thresholds"] == {"cell": BY_HAND, "gap": 0.3}
    report = cli(*ask, "--threshold", 0.4).json
    assert (report["threshold"], "thresholds" in report) == (0.4, False)
    bare = load_query(query)
    classes = tuple(replace(one, threshold=None) for one in bare.classes)
    save_query(replace(bare, classes=classes), query)
    assert cli(*ask).json["thresholds"]["cell"] == pytest.approx(automatic, abs=1e-6)


def test_similarity_saves_the_number_it_was_given_and_search_says_it(blocks, cli):
    click = ("similarity", "blocks.tif", "--at", 30, 30, "--out", "first", "--model", "builtin")
    assert cli(*click, "--save-query", "q", "--class", "cell", "--threshold", 0.25).code == 0
    assert load_query("q").thresholds == {"cell": 0.25}
    report = cli("search", "q", "blocks.tif", "--objects", "--out", "out", "--maps", "none")
    assert "The threshold of cell is 0.250." in report.out
    first, second = (tifffile.imread(f"{name}/blocks.labels.tif") for name in ("first", "out"))
    assert first.max() > 0
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], None),
        ([Threshold(None, "otsu")], None),
        ([Threshold(None, -0.05)], -0.05),
        ([Threshold(None, "otsu"), Threshold("cell", 0.3)], 0.3),
        ([Threshold("gap", 0.3)], None),
    ],
)
def test_what_follows_from_the_maps_is_not_given(given, expected):
    assert WantedLevels.of(given, automatic=True).given("cell") == expected

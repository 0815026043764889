"""Objects of the command line are those of the dock, number by number."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from skimage.io import imread

from napari_dinov3_sim.core.objects import guide
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.runner import InlineRunner

pytestmark = pytest.mark.slow

OPTIONS = ("--model", "builtin", "--out", "out", "--overwrite", "--json")
CLICKS = [(20, 20), (70, 30)]


@pytest.fixture
def images(folder):
    """Two pictures of bright discs on noise, with pixels of half a micrometre."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[:96, :128]
    for name in ("one.tif", "two.tif"):
        image = rng.normal(60, 10, (96, 128))
        for y, x in [(20, 20), (30, 70), *rng.integers(0, 96, (5, 2))]:
            image[(rows - y) ** 2 + (columns - x) ** 2 < 13**2] = 180
        size = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        units = {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
        pixels = np.clip(image, 0, 255).astype(np.uint8)
        tifffile.imwrite(name, pixels, ome=True, metadata={"axes": "YX", **size, **units})
    return ["one.tif", "two.tif"]


@pytest.fixture
def docked(images, backbone):
    """A session with the same images and clicks."""
    viewer = ViewerModel()
    layers = [
        viewer.add_image(imread(name), name=name, scale=(0.5, 0.5), units=("um", "um"))
        for name in images
    ]
    session = SimilaritySession(viewer, backbone=backbone, runner=InlineRunner())
    for x, y in CLICKS:
        session.add_query(layers[0], x, y)
    yield session
    session.close()


def labels_of(session):
    session.results.labels()
    marks = [(layer, mark_of(layer, "result")) for layer in session._viewer.layers]
    by_image = {mark["image"]: layer.data for layer, mark in marks if mark}
    return [np.asarray(by_image[image.unique_id]) for image in session.images]


def run(cli, images, *more):
    clicks = [part for click in CLICKS for part in ("--at", *click)]
    report = cli("similarity", *images, *clicks, *OPTIONS, *more).json
    return report, [tifffile.imread(entry["labels"]) for entry in report["images"]]


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("outline", ["edges", "patches"])
def test_objects_are_those_of_the_dock(cli, images, docked, outline, split):
    docked.outline, docked.split_touching = outline, split
    docked.min_area, docked.max_area = "40 um2", 2500
    options = ("--outline", outline, "--min-area", "40um2", "--max-area", 2500)
    report, found = run(cli, images, "--objects", *options, *(["--split"] if split else []))
    level = docked.automatic_threshold()
    assert report["thresholds"]["class 1"] == pytest.approx(level, abs=1e-6)
    for ours, theirs in zip(found, labels_of(docked), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert sum(entry["objects"] for entry in report["images"]) == docked.found["class 1"].objects
    assert docked.found["class 1"].objects > 0


def test_a_threshold_that_is_given_goes_before_the_automatic_one(cli, images):
    given, _ = run(cli, images, "--objects", "--threshold", 0.3)
    assert given["threshold"] == 0.3


def test_what_is_too_large_has_patches_and_is_noted(cli, images, monkeypatch):
    monkeypatch.setattr(guide, "MAX_PIXELS", 1000)
    outcome = cli("similarity", "one.tif", "--at", 20, 20, *OPTIONS, "--objects")
    assert "note: one.tif has too many pixels for objects with edges" in outcome.err
    labels = tifffile.imread(outcome.json["images"][0]["labels"])
    assert not np.diff(labels.reshape(6, 16, 128), axis=1).any()


def test_an_area_with_a_unit_needs_a_pixel_size(cli, folder):
    options = ("--objects", "--min-area", "50um2")
    outcome = cli("similarity", "gray.png", "--at", 20, 20, *OPTIONS, *options)
    assert outcome.code == 0
    assert "note: gray.png has no pixel size, so objects of any size are kept" in outcome.err

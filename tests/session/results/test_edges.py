"""Objects with edges: contours, what is counted and Labels show the same pixels."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy.ndimage import label as label_objects

from heatmap_values import over_image
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.images.intensity import window_of
from napari_dinov3_sim.core.images.sources import as_source
from napari_dinov3_sim.core.objects import guide
from napari_dinov3_sim.core.objects.guide import read_guide
from napari_dinov3_sim.core.objects.refine import refine_scores
from napari_dinov3_sim.session import SimilaritySession
from napari_dinov3_sim.session.objects import finder
from napari_dinov3_sim.session.runner import ThreadRunner
from patience import PATIENCE

from .test_thresholds import contour_of, inside, labels_of, of_role

pytestmark = pytest.mark.slow


def discs(rng, shape, count=9, radius=9):
    """Bright discs on noise."""
    image = rng.normal(0, 0.1, shape)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    for _ in range(count):
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        image[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] += 1
    return image


@pytest.fixture
def two(viewer, rng):
    return [
        viewer.add_image(discs(rng, (70, 100)), name="plain"),
        viewer.add_image(discs(rng, (90, 65)), name="turned", scale=(0.5, 2), rotate=30),
    ]


def pixels_of(session, image, plane=None, side=16):
    """The refined scores of an image, computed again from the heatmap and the pixels."""
    heatmap = over_image(image, session.heatmaps[image])
    data = np.asarray(image.data)
    if plane is not None:
        heatmap, data = heatmap[plane], data[plane]
    guide = read_guide(
        as_source(data), window_of(np.asarray(image.data)), PatchGrid(data.shape, side)
    )
    return refine_scores(heatmap[::side, ::side], guide)


@pytest.mark.parametrize("threshold", [None, 0.2, 0.6])
@pytest.mark.parametrize("min_area", [0, 120])
def test_contours_found_and_labels_are_the_same_pixels(session, two, viewer, threshold, min_area):
    session.add_query(two[0], 40, 33)
    session.threshold, session.min_area = threshold, min_area
    found = session.found["class 1"]
    labels = [labels_of(session, viewer, image) for image in two]
    for image, one in zip(two, labels, strict=True):
        drawn = inside(contour_of(viewer, image), image.data.shape)
        np.testing.assert_array_equal(drawn, one > 0)
        assert (np.bincount(one.ravel())[1:] >= max(min_area, 64)).all()
    assert found.objects == sum(label_objects(one, np.ones((3, 3)))[1] for one in labels) > 0
    assert found.area == sum((one > 0).sum() for one in labels)
    assert found.images == sum(one.any() for one in labels)
    assert session.results.outdated == ()


def test_pixels_are_those_of_the_refined_scores(session, two, viewer):
    session.add_query(two[0], 40, 33)
    session.threshold = 0.3
    for image in two:
        expected = pixels_of(session, image) >= np.float32(0.3)
        shown = labels_of(session, viewer, image) > 0
        # Specks and pinholes apart, which are less than a quarter of a patch.
        assert (expected != shown).mean() < 0.05


def test_the_outline_can_be_that_of_patches_and_back(session, two, viewer):
    session.add_query(two[0], 40, 33)
    session.threshold = 0.3
    edges = inside(contour_of(viewer, two[0]), two[0].data.shape)
    session.results.labels()
    session.outline = "patches"
    assert session.results.outdated == ("labels",)
    patches = over_image(two[0], session.heatmaps[two[0]]) >= np.float32(0.3)
    np.testing.assert_array_equal(inside(contour_of(viewer, two[0]), patches.shape), patches)
    session.outline = "edges"
    np.testing.assert_array_equal(inside(contour_of(viewer, two[0]), edges.shape), edges)
    assert not np.array_equal(edges, patches)
    with pytest.raises(SimilarityError, match="'edges' or 'patches'"):
        session.outline = "lines"


def test_contours_of_a_coarse_level_part_pixels_of_the_finest(session, viewer, rng):
    fine = discs(rng, (150, 118), radius=20)
    image = viewer.add_image([fine, fine[::2, ::2]], multiscale=True)
    image.scale = (2, 3)
    session.add_query(image, 40, 33)
    session.threshold = 0.1
    pixels = labels_of(session, viewer, image) > 0
    assert pixels.any()
    np.testing.assert_array_equal(inside(contour_of(viewer, image), fine.shape), pixels)
    assert session.found["class 1"].area == pixels.sum()


def test_objects_are_connected_through_depth_and_through_time(session, viewer, rng):
    still = discs(rng, (64, 80), count=4)
    stack = viewer.add_image(
        np.stack([np.stack([still] * 3)] * 2), axis_labels=("t", "z", "y", "x")
    )
    session.all_planes = True
    session.add_query(stack, 40, 33)
    session.wait()
    session.threshold = 0.5
    counts = {}
    for connect in ("none", "depth", "all"):
        session.connect_planes = connect
        counts[connect] = int(labels_of(session, viewer, stack).max())
    labels = np.asarray(of_role(viewer, "result", stack)[-1].data)
    np.testing.assert_array_equal(labels[0, 0], labels[1, 2])
    assert counts["none"] == session.found["class 1"].objects == 6 * counts["all"] > 0
    assert counts["depth"] == 2 * counts["all"]
    with pytest.raises(SimilarityError, match="'none', 'depth' or 'all'"):
        session.connect_planes = "some"


def test_areas_may_have_units(session, viewer, rng):
    image = viewer.add_image(discs(rng, (90, 90)), scale=(0.5, 0.5), units=("um", "um"))
    session.add_query(image, 40, 33)
    session.threshold = 0.2
    session.min_area = 400
    few = session.found
    session.min_area = "100 um2"
    assert session.min_area == "100 µm²"
    assert session.found == few
    session.min_area, session.max_area = 0, "99.99 µm2"
    labels = labels_of(session, viewer, image)
    assert np.bincount(labels.ravel())[1:].max(initial=0) < 400
    told = []
    session.noticed.connect(told.append)
    image.units = ("pixel", "pixel")
    session.threshold = 0.25
    session.threshold = 0.3
    assert [sentence for sentence in told if "pixel size" in sentence] == told[:1]
    assert session.found["class 1"].objects > 0


TURNED = np.array([[np.cos(1), -np.sin(1), 3], [np.sin(1), np.cos(1), 9], [0, 0, 1]])


@pytest.mark.parametrize(
    "where",
    [
        {"affine": np.diag([0.5, 0.5, 1])},
        {"affine": np.diag([-0.25, 1, 1])},
        {"scale": (2, 2), "shear": [0.3], "affine": TURNED @ np.diag([0.25, 0.25, 1])},
        {"scale": (0.5, 0.5), "rotate": 33, "translate": (4e6, 2e5)},
    ],
)
def test_areas_with_units_are_those_of_the_table(session, viewer, rng, where):
    """However a pixel of a quarter of a square micrometre comes about."""
    image = viewer.add_image(discs(rng, (90, 90)), units=("um", "um"), **where)
    session.add_query(image, 40, 33)
    session.threshold = 0.2
    largest = np.bincount(labels_of(session, viewer, image).ravel())[1:].max() / 4
    session.measurements.measure()
    session.wait()
    areas = session.measurements.table.columns["area_um2"]
    np.testing.assert_allclose(areas.max(), largest, rtol=1e-6)
    for least, expected in ((largest, 1), (largest + 0.01, 0)):
        session.min_area = f"{least} µm2"
        assert session.found["class 1"].objects == expected


def test_what_is_too_large_has_patches_and_says_so(session, two, viewer, monkeypatch):
    monkeypatch.setattr(guide, "MAX_PIXELS", 6000)
    told = []
    session.noticed.connect(told.append)
    session.add_query(two[0], 40, 33)
    session.threshold = 0.3
    large = over_image(two[0], session.heatmaps[two[0]]) >= np.float32(0.3)
    np.testing.assert_array_equal(inside(contour_of(viewer, two[0]), large.shape), large)
    np.testing.assert_array_equal(labels_of(session, viewer, two[0]) > 0, large)
    assert [sentence for sentence in told if "too many pixels" in sentence] == [
        "plain has too many pixels for objects with edges; its objects are outlined along patches."
    ]


class Failing:
    """An array that can be read until it is told to fail."""

    def __init__(self, data):
        self.data, self.fails = data, False
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim

    def __getitem__(self, key):
        if self.fails:
            raise OSError("the disk is gone")
        return self.data[key]

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype)


def test_pixels_that_cannot_be_read_any_more_leave_patches(session, viewer, rng):
    data = Failing(discs(rng, (70, 100)))
    image = viewer.add_image(data, name="lazy", contrast_limits=(0, 1))
    session.threshold = 1.0
    session.embed()
    session.wait()
    data.fails = True
    told = []
    session.noticed.connect(told.append)
    session.add_query(image, 40, 33)
    session.threshold = 0.3
    patches = over_image(image, session.heatmaps[image]) >= np.float32(0.3)
    np.testing.assert_array_equal(inside(contour_of(viewer, image), patches.shape), patches)
    np.testing.assert_array_equal(labels_of(session, viewer, image) > 0, patches)
    (sentence,) = told
    assert sentence.startswith("The edges of lazy cannot be found (")
    assert sentence.endswith("its objects are outlined along patches; open it again for edges.")


@pytest.fixture
def threaded(viewer, backbone):
    session = SimilaritySession(viewer, backbone=backbone, runner=ThreadRunner())
    yield session
    session.close()


def test_nothing_of_edges_runs_on_the_main_thread(threaded, two, monkeypatch):
    from napari_dinov3_sim.core.objects import labelling, refine

    main, used = threading.get_ident(), set()

    def guarded(name, function):
        def call(*args, **kwargs):
            assert threading.get_ident() != main, name
            used.add(name)
            return function(*args, **kwargs)

        return call

    names = {guide: "read_guide", refine: "refine_scores", labelling: "label_objects"}
    for module, name in names.items():
        monkeypatch.setattr(module, name, guarded(name, getattr(module, name)))
    threaded.add_query(two[0], 40, 33)
    threaded.wait(PATIENCE)
    threaded.threshold = 0.3
    threaded.wait(PATIENCE)
    threaded.results.labels()
    threaded.wait(PATIENCE)
    assert used == set(names.values())


def test_pixels_replaced_in_mid_run_have_objects_of_their_own(threaded, two, viewer, rng):
    threaded.add_query(two[0], 40, 33)
    threaded.wait(PATIENCE)
    gate = threading.Event()
    threaded._runner.submit(
        "objects", lambda post, token: gate.wait(PATIENCE) and None, lambda m: None
    )
    threaded.threshold = 0.3
    two[1].data = discs(rng, (50, 120))
    gate.set()
    threaded.wait(PATIENCE)
    drawn = inside(contour_of(viewer, two[1]), (50, 120))
    threaded.results.labels()
    threaded.wait(PATIENCE)
    labels = np.asarray(of_role(viewer, "result", two[1])[-1].data)
    np.testing.assert_array_equal(labels > 0, drawn)


def test_answers_that_follow_one_another_are_searched_when_the_last_has_come(
    threaded, two, viewer, monkeypatch
):
    searched, gate, find = [], threading.Event(), finder.find_objects

    def gated(request, scores):
        searched.append(request)
        assert gate.wait(PATIENCE)
        return find(request, scores)

    def move(row):
        threaded.add_query(two[0], row, 33)
        while threaded._coordinator.busy:
            threaded._runner.deliver(PATIENCE)

    monkeypatch.setattr(finder, "find_objects", gated)
    monkeypatch.setattr(finder, "SETTLE", PATIENCE)
    for row in (5, 20, 35):  # the first plane of the first answer is being searched
        move(row)
    gate.set()
    while threaded._coordinator.finder._job < 2:  # which waits for more answers
        threaded._runner.deliver(PATIENCE)
    move(50)
    monkeypatch.setattr(finder, "SETTLE", 0.0)
    move(65)
    threaded.wait(PATIENCE)
    last = searched[1:]
    assert [one.key[0].layer_id for one in last] == [one.unique_id for one in two]
    for request in last:
        maps = threaded._coordinator.answers.maps_of(request.key[0])
        assert request.cosine is maps.cosines["class 1"]
    threaded.results.labels()
    threaded.wait(PATIENCE)
    for image in two:
        labels = np.asarray(of_role(viewer, "result", image)[-1].data)
        drawn = inside(contour_of(viewer, image), labels.shape)
        np.testing.assert_array_equal(drawn, labels > 0)


def test_a_drag_is_a_threshold_and_a_labelling(session, two, monkeypatch):
    from napari_dinov3_sim.core.objects import refine

    session.add_query(two[0], 40, 33)
    monkeypatch.setattr(refine, "refine_scores", None)
    for threshold in (0.1, 0.3, 0.5):
        session.threshold = threshold
        assert session.found["class 1"].objects >= 0
    session.results.labels()
    session.wait()


def test_what_is_kept_is_bounded(session, two, viewer):
    scores = session._coordinator.finder.scores
    scores._budget = 100_000
    session.add_query(two[0], 40, 33)
    for threshold in (0.1, 0.3):
        session.threshold = threshold
        labels = [labels_of(session, viewer, image) > 0 for image in two]
        for image, one in zip(two, labels, strict=True):
            np.testing.assert_array_equal(inside(contour_of(viewer, image), one.shape), one)
    assert sum(size for *_, size in scores._kept.values()) <= 100_000

"""What is saved in a project is there again when it is opened: all of it, bit by bit."""

from __future__ import annotations

import json
import threading
import zipfile

import numpy as np
import pytest

from heatmap_values import over_image
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling
from napari_dinov3_sim.core.errors import QueryModelError, SimilarityError
from napari_dinov3_sim.session.layer_metadata import mark_of
from napari_dinov3_sim.session.runner import ThreadRunner
from patience import PATIENCE

from .conftest import assert_same, heatmaps, open_file, reopen, save

pytestmark = pytest.mark.slow


@pytest.fixture
def full(make_session, folder, rng):
    """A session in which everything is set."""
    session = make_session()
    viewer = session.viewer
    a, stack = (open_file(session, folder / n)[0] for n in ("day 1/a.tif", "stack.ome.tif"))
    other = open_file(session, folder / "day 2" / "a.tif")[0]
    other.translate = (100, 0)
    colour = open_file(session, folder / "colour.tif")[0]
    colour.scale, colour.rotate, colour.visible = (2.0, 1.5), 30, False
    channels = open_file(session, folder / "channels.ome.tif")
    made = viewer.add_image(rng.normal(size=(50, 60)), name="made", translate=(0, 300))
    made.colormap, made.contrast_limits, made.gamma = "magma", (-1, 2), 0.7
    session.merge_channels([channels[2], channels[0]])
    session.set_target(colour, False)
    session.recipe = Recipe(Tiling(64, 16), factor=0.5, padding="reflect")
    viewer.dims.set_point(0, 2)
    session.add_query(a, 40, 33, class_name="cell")
    session.add_query(stack, 20, 20, class_name="cell", positive=False)
    session.add_query(other, 10, 50, class_name="gap")
    session.add_query(made, 30, 20, class_name="gap")
    viewer.dims.set_point(0, 1)
    session.add_query(stack, 50, 30, class_name="cell")
    session.wait()
    session.set_class_colour("gap", "#123456")
    return session, (a, stack, other, colour, channels, made)


def test_images_query_and_heatmaps_are_the_same(full, make_session, tmp_path):
    session, (_a, _stack, _other, _colour, _channels, _made) = full
    expected = heatmaps(session)
    path = save(session, tmp_path / "p.dinov3sim.zip")
    again = reopen(make_session, path)
    assert_same(heatmaps(again), expected)
    assert again.classes == session.classes
    assert again.class_counts == session.class_counts
    assert again.recipe == session.recipe
    assert again.viewer.dims.point == session.viewer.dims.point
    assert again.told == ["p.dinov3sim.zip is open: 8 images, 5 points."]
    images = [layer for layer in session.viewer.layers if layer in session.images]
    found = [layer for layer in again.viewer.layers if layer in again.images]
    for one, other in zip(images, found, strict=True):
        assert one.name == other.name
        np.testing.assert_array_equal(np.asarray(one.data), np.asarray(other.data))
        for name in ("scale", "translate", "rotate", "shear", "units", "axis_labels"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        for name in ("visible", "opacity", "blending", "rgb"):
            assert getattr(one, name) == getattr(other, name)
        assert one.source.path == other.source.path
        if not one.rgb:
            assert one.colormap.name == other.colormap.name
            assert one.contrast_limits == other.contrast_limits
            assert one.gamma == other.gamma
    targets = [[image.name for image in each.targets] for each in (session, again)]
    assert targets[0] == targets[1]
    merged = [
        {lead.name: [c and c.name for c in group] for lead, group in each.merged.items()}
        for each in (session, again)
    ]
    assert merged[0] == merged[1] != {}


def test_a_project_of_a_project_is_the_same(full, make_session, tmp_path):
    session, _ = full
    first = save(session, tmp_path / "p.dinov3sim.zip")
    again = reopen(make_session, first)
    second = save(again, tmp_path / "q.dinov3sim.zip")
    from napari_dinov3_sim.store.project.archive import ProjectFile

    with ProjectFile.open(first) as one, ProjectFile.open(second) as other:
        assert one.project == other.project


def test_points_stay_on_the_image_that_they_were_set_on(make_session, folder, tmp_path):
    """Also where another image lies above it, and on the plane that was shown."""
    session = make_session()
    low = open_file(session, folder / "day 1" / "a.tif")[0]
    session.add_query(low, 40, 33)
    high = open_file(session, folder / "day 2" / "a.tif")[0]
    session.add_query(high, 40, 33, class_name="b")
    session.wait()
    expected = heatmaps(session)
    again = reopen(make_session, save(session, tmp_path / "p.dinov3sim.zip"))
    assert_same(heatmaps(again), expected)
    again.add_query(again.images[0], 5, 5)  # numbers of points are not used twice
    again.wait()
    ids = list(again.queries.features["point id"])
    assert len(set(ids)) == 3


def test_columns_of_the_users_are_kept(make_session, folder, tmp_path):
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    session.add_query(image, 40, 33)
    session.add_query(image, 60, 13, class_name="b")
    session.queries.features = session.queries.features.assign(
        note=["first", None], number=[1, 2], part=[0.5, np.nan]
    )
    session.wait()
    again = reopen(make_session, save(session, tmp_path / "p.dinov3sim.zip"))
    found = again.queries.features
    assert found["note"][0] == "first"
    assert found["note"].isna()[1]
    assert list(found["number"]) == [1, 2]
    assert found["part"][0] == 0.5
    assert np.isnan(found["part"][1])


def test_regions_are_queries_again(make_session, folder, tmp_path):
    session = make_session()
    viewer = session.viewer
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    other = open_file(session, folder / "day 2" / "a.tif")[0]
    other.translate = (100, 0)
    session.wait()
    session.class_name = "drawn"
    session.start_box()
    box = [[20, 20], [20, 60], [50, 60], [50, 20]]
    session.drawn_regions.add([np.array(box, float)], shape_type="rectangle")
    session.positive = False
    session.drawn_regions.add([np.add(box, (100.0, 0.0))], shape_type="ellipse")
    session.positive = True
    shapes = viewer.add_shapes(
        [np.array([[5, 5], [5, 30], [30, 5]])], shape_type="polygon", name="mine"
    )
    session.regions.add(shapes, image, "mine too")
    labels = np.zeros((70, 100), np.uint8)
    labels[30:60, 40:70] = 3
    session.regions.add(viewer.add_labels(labels, name="spots"), image)
    session.wait()
    expected = heatmaps(session)
    assert {name for _, name in expected} == {"drawn", "mine too", "spots 3"}
    again = reopen(make_session, save(session, tmp_path / "p.dinov3sim.zip"))
    assert_same(heatmaps(again), expected)
    assert again.class_counts == session.class_counts
    assert list(again.drawn_regions.shape_type) == ["rectangle", "ellipse"]


def test_a_loaded_query_is_asked_again(make_session, folder, tmp_path):
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    session.add_query(image, 40, 33, class_name="cell")
    session.add_query(image, 4, 3, class_name="gap")
    session.wait()
    session.results.save_query(tmp_path / "cells.query.safetensors")
    session.wait()
    fresh = make_session()
    open_file(fresh, folder / "day 2" / "a.tif")
    fresh.results.load_query(tmp_path / "cells.query.safetensors")
    fresh.rename_class("cell", "cells")
    fresh.remove_class("gap")
    fresh.wait()
    expected = heatmaps(fresh)
    again = reopen(make_session, save(fresh, tmp_path / "p.dinov3sim.zip"))
    assert_same(heatmaps(again), expected)
    assert again.results.saved.name == "cells.query.safetensors"
    assert again.results.saved.classes == ("cells",)
    assert len(again.results.thumbnails["cells"]) == 1
    # Another model cannot answer it, and asks it again from its pictures.
    other = make_session("projection-2")
    other.project.open(tmp_path / "p.dinov3sim.zip")
    with pytest.raises(QueryModelError, match="which has other weights here"):
        other.wait()
    assert heatmaps(other) == {}
    assert other.results.saved.can_be_asked_again
    other.results.ask_again()
    other.wait()
    assert {name for _, name in heatmaps(other)} == {"cells"}


@pytest.mark.parametrize("labels", [False, True])
def test_a_loaded_query_whose_classes_were_all_deleted_is_none(
    make_session, folder, tmp_path, labels
):
    """With and without any array in the project."""
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    session.add_query(image, 40, 33, class_name="cell")
    session.wait()
    session.results.save_query(tmp_path / "cells.query.safetensors")
    session.wait()
    fresh = make_session()
    image = open_file(fresh, folder / "day 2" / "a.tif")[0]
    fresh.results.load_query(tmp_path / "cells.query.safetensors")
    fresh.remove_class("cell")
    fresh.add_query(image, 10, 10, class_name="mine")
    fresh.wait()
    if labels:
        fresh.results.labels()
        fresh.wait()
    again = reopen(make_session, save(fresh, tmp_path / "p.dinov3sim.zip"))
    assert again.results.saved.name == ""
    assert_same(heatmaps(again), heatmaps(fresh))


def test_settings_are_set_again(make_session, folder, tmp_path):
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    open_file(session, folder / "stack.ome.tif")
    session.add_query(image, 40, 33, class_name="cell")
    session.add_query(image, 60, 13, class_name="gap")
    session.wait()
    settings = {
        "combination": "contrast",
        "all_planes": True,
        "auto_merge": False,
        "outline": "patches",
        "split_touching": True,
        "connect_planes": "all",
        "min_area": 77.0,
        "max_area": 5000.0,
        "show_contours": False,
        "show_class_maps": True,
        "smooth": True,
        "outlines": False,
        "side_by_side": True,
        "class_name": "gap",
        "positive": False,
        "limits": (0.25, 0.75),
    }
    for name, value in settings.items():
        setattr(session, name, value)
    session.source = image
    session.style(colormap="magma", opacity=0.5, blending="additive")
    session.set_class_visible("cell", False)
    session.wait()
    session.class_name, session.threshold = "cell", 0.4
    session.class_name = "gap"
    again = reopen(make_session, save(session, tmp_path / "p.dinov3sim.zip"))
    for name, value in settings.items():
        assert getattr(again, name) == value, name
    assert again.scaling == "fixed"
    assert again.heatmap_style == session.heatmap_style
    assert again.hidden_classes == {"cell"}
    assert again.source.name == image.name
    assert again.threshold is None
    again.class_name = "cell"
    assert again.threshold == 0.4
    assert_same(heatmaps(again), heatmaps(session))


def test_images_that_are_hidden_only_side_by_side_are_saved_as_shown(
    make_session, folder, tmp_path
):
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    other = open_file(session, folder / "colour.tif")[0]
    session.set_target(other, False)
    session.add_query(image, 40, 33)
    session.wait()
    session.side_by_side = True
    session.wait()
    assert not other.visible
    again = reopen(make_session, save(session, tmp_path / "p.dinov3sim.zip"))
    again.side_by_side = False
    again.wait()
    assert [layer.visible for layer in again.images] == [True, True]


def test_results_are_there_as_they_are_painted(make_session, folder, tmp_path):
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    other = open_file(session, folder / "day 2" / "a.tif")[0]
    other.translate = (100, 0)
    session.add_query(image, 40, 33)
    session.wait()
    session.results.labels()
    session.results.peaks()
    session.results.colours()
    session.results.matches(image, other, 5)
    session.wait()
    made = {layer.name: layer for layer in session.viewer.layers if mark_of(layer, "result")}
    painted = made["a objects"]
    painted.data[:3, :3] = 7
    painted.refresh()
    again = reopen(make_session, save(session, tmp_path / "p.dinov3sim.zip"))
    found = {layer.name: layer for layer in again.viewer.layers if mark_of(layer, "result")}
    assert found.keys() == made.keys()
    for name, layer in made.items():
        np.testing.assert_array_equal(np.asarray(layer.data), np.asarray(found[name].data))
        assert type(layer) is type(found[name])
        np.testing.assert_array_equal(layer.translate, found[name].translate)
    assert (found["a objects"].data[:3, :3] == 7).all()
    peaks = found["a peaks"].features
    np.testing.assert_array_equal(peaks["score"], made["a peaks"].features["score"])
    again.results.labels()  # what was painted is the user's, and the other is renewed in place
    again.results.peaks()
    again.wait()
    after = [layer.name for layer in again.viewer.layers if mark_of(layer, "result")]
    assert (found["a objects"].data[:3, :3] == 7).all()
    assert sum(name.startswith("a objects") for name in after) == 2
    assert sum(name.startswith("a [1] objects") for name in after) == 1
    assert sum("peaks" in name for name in after) == 2


def test_numbers_are_of_the_labels_that_were_saved(make_session, folder, tmp_path):
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    session.outline = "patches"
    session.add_query(image, 40, 33)
    session.wait()
    low, high = np.quantile(over_image(image, session.heatmaps[image]), [0.6, 0.8])
    session.results.labels(low)
    session.wait()
    session.measurements.measure()
    session.wait()
    layer = session.viewer.layers["a objects"]
    layer.features = layer.features.assign(mine=1.5)
    again = reopen(make_session, save(session, tmp_path / "p.dinov3sim.zip"))
    found = again.viewer.layers["a objects"]
    assert found.features["area_px"].tolist() == layer.features["area_px"].tolist()
    again.results.labels(high)
    again.wait()
    assert set(found.features) == {"index", "mine"}
    layer.data[0, 0] = 77
    layer.refresh()
    again = reopen(make_session, save(session, tmp_path / "q.dinov3sim.zip"))
    assert set(again.viewer.layers["a objects"].features) == {"index", "mine"}


def without_planes(path):
    """A project as it was before it said which planes were searched."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    project = json.loads(members["project.json"]) | {"version": 1}
    for result in project["results"]:
        for name in ("made", "axes", "planes"):
            result.pop(name, None)
    members["project.json"] = json.dumps(project).encode()
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def measured(session):
    session.measurements.measure()
    session.wait()
    return session.measurements.table.columns, session.measurements.summary.columns


@pytest.mark.parametrize("older", [False, True])
def test_labels_are_measured_as_before(make_session, folder, tmp_path, older):
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    session.outline = "patches"
    session.add_query(image, 40, 33)
    session.results.labels()
    session.wait()
    before = measured(session)
    path = save(session, tmp_path / "p.dinov3sim.zip")
    after = measured(reopen(make_session, without_planes(path) if older else path))
    assert "score_mean" in before[0]
    for one, other in zip(before, after, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_which_planes_were_searched_is_known_again(make_session, folder, tmp_path):
    session = make_session()
    stack = open_file(session, folder / "stack.ome.tif")[0]
    session.outline = "patches"
    session.viewer.dims.set_current_step(0, 1)
    session.add_query(stack, 20, 20)
    session.results.labels()
    session.wait()
    before = measured(session)[1]
    assert before["planes"].tolist() == [1]
    again = reopen(make_session, save(session, tmp_path / "p.dinov3sim.zip"))
    after = measured(again)[1]
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    said = []
    again.tracking.done.connect(said.append)
    again.tracking.follow()
    again.wait()
    assert "the objects are of 1 of 3 planes" in said[-1]


@pytest.mark.parametrize("painted_before", [False, True])
def test_what_is_painted_while_a_project_is_saved_is_the_users(
    make_session, folder, tmp_path, painted_before
):
    """Images are read first, which takes long, and what is painted meanwhile is in the file.

    What was measured before is not of the labels in the file.
    """
    runner, go_on = ThreadRunner(), threading.Event()
    session = make_session(runner=runner)
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    other = open_file(session, folder / "day 2" / "a.tif")[0]
    other.translate = (100, 0)
    session.add_query(image, 40, 33)
    session.wait(PATIENCE)
    session.results.labels()
    session.wait(PATIENCE)
    labels = session.viewer.layers["a objects"]
    if painted_before:
        labels.data[-3:, -3:] = 8
        labels.refresh()
    session.measurements.measure()
    session.wait(PATIENCE)
    labels.features = labels.features.assign(mine=1.5)
    runner.submit("files", lambda *_: go_on.wait(PATIENCE), lambda _: None)
    session.project.save(tmp_path / "p.dinov3sim.zip")
    labels.data[:3, :3] = 7
    go_on.set()
    session.wait(PATIENCE)
    again = reopen(make_session, tmp_path / "p.dinov3sim.zip")
    painted, as_made = (again.viewer.layers[name] for name in ("a objects", "a [1] objects"))
    assert set(painted.features) == {"index", "mine"}
    assert "area_px" in as_made.features
    again.results.labels()
    again.wait()
    assert (painted.data[:3, :3] == 7).all()
    names = [layer.name for layer in again.viewer.layers if mark_of(layer, "result")]
    assert sum(name.startswith("a objects") for name in names) == 2
    assert sum(name.startswith("a [1] objects") for name in names) == 1  # renewed in place


def test_judgements_are_known_again(make_session, folder, tmp_path):
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    open_file(session, folder / "stack.ome.tif")
    session.all_planes = True
    session.add_query(image, 40, 33)
    session.wait()
    session.gallery.show()
    session.wait()
    for match, right in zip(session.gallery.matches, (True, False, True), strict=False):
        session.gallery.judge(match, right)
    session.wait()
    again = reopen(make_session, save(session, tmp_path / "p.dinov3sim.zip"))
    assert len(again.gallery.judgements()) == 3
    assert again.gallery.judgements() == session.gallery.judgements()
    again.gallery.show()
    again.wait()
    assert (again.gallery.counts.right, again.gallery.counts.wrong) == (2, 1)


def test_a_project_is_added_to_what_is_open(make_session, folder, tmp_path):
    session = make_session()
    image = open_file(session, folder / "day 1" / "a.tif")[0]
    session.add_query(image, 40, 33, class_name="saved")
    session.wait()
    path = save(session, tmp_path / "p.dinov3sim.zip")
    other = make_session()
    mine = open_file(other, folder / "stack.ome.tif")[0]
    other.add_query(mine, 20, 20, class_name="mine")
    other.wait()
    before = [layer.unique_id for layer in other.viewer.layers]
    place = np.array(other.queries.data)
    other.project.open(path)
    other.wait()
    now = [layer.unique_id for layer in other.viewer.layers]
    assert set(before) <= set(now)
    np.testing.assert_array_equal(other.queries.data[:1], place)
    assert other.class_counts["mine"].positive == other.class_counts["saved"].positive == 1
    found, expected = heatmaps(other)["a", "saved"], heatmaps(session)["a", "saved"]
    np.testing.assert_allclose(found, expected, atol=1e-6)  # of two classes, computed together


def test_a_project_that_is_added_leaves_the_loaded_query_and_its_classes(
    make_session, folder, tmp_path
):
    for name, threshold in (("a", 0.3), ("b", 0.6)):
        session = make_session()
        image = open_file(session, folder / "day 1" / "a.tif")[0]
        session.add_query(image, 40, 33, class_name=f"of {name}")
        session.add_query(image, 10, 20, class_name="both")
        session.class_name, session.threshold = "both", threshold
        session.set_class_colour("both", "#123456" if name == "a" else "#654321")
        session.wait()
        session.results.save_query(tmp_path / f"{name}.query.safetensors")
        session.wait()
    session = make_session()
    open_file(session, folder / "stack.ome.tif")
    session.results.load_query(tmp_path / "b.query.safetensors")
    session.wait()
    path = save(session, tmp_path / "p.dinov3sim.zip")
    other = make_session()
    open_file(other, folder / "day 2" / "a.tif")
    other.results.load_query(tmp_path / "a.query.safetensors")
    other.wait()
    other.project.open(path)
    other.wait()
    assert other.results.saved.name == "a.query.safetensors"
    assert set(other.results.saved.classes) == {"of a", "both"}
    assert other.classes["both"] == "#123456"
    assert other.thresholds["both"] == pytest.approx(0.3)
    assert "query b.query.safetensors was not loaded, because a.query.saf" in other.told.text
    assert reopen(make_session, path).results.saved.name == "b.query.safetensors"


def test_a_project_that_is_added_leaves_thresholds_that_are_set(make_session, folder, tmp_path):
    session = make_session()
    session.add_query(open_file(session, folder / "day 1" / "a.tif")[0], 40, 33)
    session.wait()
    path = save(session, tmp_path / "p.dinov3sim.zip")
    other = make_session()
    other.add_query(open_file(other, folder / "day 2" / "a.tif")[0], 40, 33)
    other.threshold = 0.4
    other.wait()
    other.project.open(path)
    other.wait()
    assert other.threshold == 0.4


def test_nothing_open_is_nothing_to_save(make_session, tmp_path):
    with pytest.raises(SimilarityError, match="open one first"):
        make_session().project.save(tmp_path / "p.dinov3sim.zip")

"""Regions of other programs as queries: the same heatmap comes out that went in."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from heatmap_values import over_image
from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.exchange.geojson import write_geojson
from napari_dinov3_sim.exchange.imagej import write_rois
from napari_dinov3_sim.exchange.outlines import trace_array
from napari_dinov3_sim.exchange.shapes import Polygon, Shape, StackPlace
from napari_dinov3_sim.session.exports import imported

pytestmark = pytest.mark.slow


@pytest.fixture
def image(viewer, rng):
    image = viewer.add_image(
        rng.random((64, 96)), name="a", scale=(2.0, 0.5), translate=(10, -3), units=["um", "um"]
    )
    image.rotate = 30
    return image


def maps(session, image):
    return {
        name: over_image(image, session.heatmaps_of(name)[image])
        for name in sorted(session.classes)
        if image in session.heatmaps_of(name)
    }


def clear(session, viewer, *kept):
    """A viewer with nothing but its images."""
    for layer in [layer for layer in viewer.layers if layer not in kept]:
        if layer in viewer.layers:  # contours go with their heatmap
            viewer.layers.remove(layer)
    session.wait()


def test_a_query_goes_out_and_comes_back(session, viewer, image, tmp_path):
    session.add_query(image, 3, 3, class_name="point")
    session.add_query(image, 90, 60, class_name="point", positive=False)
    shapes = viewer.add_shapes(
        [np.array([(5.2, 7.9), (40.4, 11.0), (22.0, 60.7)])],
        shape_type="polygon",
        features={"class": np.array(["area"], object), "sign": np.array(["positive"], object)},
        scale=image.scale,
        translate=image.translate,
        rotate=image.rotate,
        units=image.units,
    )
    session.regions.add(shapes, image)
    labels = np.zeros((64, 96), int)
    labels[30:50, 60:80] = 1
    labels[35:40, 65:70] = 0
    layer = viewer.add_labels(labels, name="cells")
    for name in ("scale", "translate", "rotate", "units"):
        setattr(layer, name, getattr(image, name))
    session.regions.add(layer, image, "cells")
    session.wait()
    before = maps(session, image)
    assert set(before) == {"point", "area", "cells"}
    path = tmp_path / "query.geojson"
    session.exports.query(path)
    session.wait()
    features = json.loads(path.read_text())["features"]
    assert {f["properties"]["objectType"] for f in features} == {"annotation"}
    clear(session, viewer, image)
    assert not maps(session, image)
    session.exports.import_regions(path, image)
    session.wait()
    after = maps(session, image)
    assert set(after) == set(before)
    for name in before:
        assert np.array_equal(after[name], before[name]), name


@pytest.mark.parametrize("write", [write_geojson, write_rois])
@pytest.mark.parametrize("most", [50, 1])
def test_shapes_and_labels_ask_the_same(
    session, viewer, image, tmp_path, write, most, monkeypatch
):
    """One outline is a shape that can be moved; many, and those with holes, are labels."""
    monkeypatch.setattr(imported, "MAX_SHAPES", most)
    labels = np.kron(np.random.default_rng(5).integers(0, 3, (8, 12)), np.ones((8, 8), int))
    labels[:, 70:] = 0
    labels[3:50, 75:83], labels[20:60, 88:95] = 3, 4
    shapes = [
        Shape(polygons=polygons, class_name=f"c{number}", colour="#123456")
        for number, polygons in trace_array(labels).items()
    ]
    path = tmp_path / "regions"
    write(shapes, path)
    sentences = []
    session.exports.done.connect(sentences.append)
    session.exports.import_regions(path, image)
    session.wait()
    order = (3, 4, 1, 2) if most == 50 else (1, 2, 3, 4)  # shapes before labels
    told = ", ".join(f"1 of c{number}" for number in order)
    assert sentences == [f"4 regions from regions: {told}."]
    assert ("regions" in viewer.layers) == (most == 50)
    assert session.classes["c1"] == "#123456"
    found = maps(session, image)
    clear(session, viewer, image)
    for number in order:
        layer = viewer.add_labels(labels == number, name="mask")
        for name in ("scale", "translate", "rotate", "units"):
            setattr(layer, name, getattr(image, name))
        session.regions.add(layer, image, f"mask {number}")
    session.wait()
    for number in order:
        expected = over_image(image, session.heatmaps_of(f"mask {number}")[image])
        assert np.array_equal(found[f"c{number}"], expected)


def test_a_label_image_is_a_class(session, viewer, image, tmp_path):
    labels = np.zeros((64, 96), np.uint8)
    labels[5:30, 5:30], labels[40:60, 50:90] = 1, 2
    tifffile.imwrite(tmp_path / "l.tif", labels, photometric="minisblack")
    session.class_name = "cells"
    session.exports.import_regions(tmp_path / "l.tif")
    session.wait()
    assert list(maps(session, image)) == ["cells"]
    assert session.class_counts["cells"].regions == 2


def test_a_region_lies_on_its_plane_of_a_stack(session, viewer, rng, tmp_path):
    image = viewer.add_image(rng.random((3, 32, 48)), name="z")
    viewer.dims.set_current_step(0, 1)
    ring = np.array([(2, 2), (20, 2), (20, 20), (2, 20)])
    shape = Shape(polygons=(Polygon(ring),), class_name="a", plane=StackPlace(z=2))
    write_geojson([shape, Shape(polygons=(Polygon(ring),), class_name="b")], tmp_path / "a.json")
    session.exports.import_regions(tmp_path / "a.json")
    session.wait()
    layer = viewer.layers["a"]
    assert [corners[0, 0] for corners in layer.data] == [2, 1]
    assert [str(name) for name in layer.features["class"]] == ["a", "b"]
    assert image in session.heatmaps_of("a")


@pytest.mark.parametrize("units", ["pixel", "second"])
@pytest.mark.parametrize("plane", [StackPlace(t=2), StackPlace(z=2), StackPlace(z=0, t=2)])
def test_slices_of_a_stack_of_one_axis_are_depth_and_time(
    session, viewer, rng, tmp_path, units, plane
):
    """A ROI of ImageJ has a number alone; QuPath knows the axis, which napari may not know."""
    viewer.add_image(rng.random((3, 32, 48)), units=(units, "um", "um"))
    viewer.dims.set_current_step(0, 1)
    ring = np.array([(2, 2), (20, 2), (20, 20), (2, 20)])
    write = write_rois if None in (plane.z, plane.t) else write_geojson
    write([Shape(polygons=(Polygon(ring),), class_name="a", plane=plane)], tmp_path / "a")
    session.exports.import_regions(tmp_path / "a")
    session.wait()
    assert [corners[0, 0] for corners in viewer.layers["a"].data] == [2]


def test_what_lies_beside_the_image_is_told(session, viewer, image, tmp_path):
    ring = np.array([(2, 2), (20, 2), (20, 20), (2, 20)])
    shapes = [Shape(polygons=(Polygon(ring + at),), class_name="a") for at in (0, 500)]
    write_geojson(shapes, tmp_path / "a.json")
    sentences = []
    session.exports.done.connect(sentences.append)
    session.exports.import_regions(tmp_path / "a.json")
    session.wait()
    assert sentences == ["1 region from a.json: 1 of a; 1 more lie beside the image."]
    write_geojson(shapes[1:], tmp_path / "b.json")
    session.exports.import_regions(tmp_path / "b.json")
    with pytest.raises(
        SimilarityError, match=r"None of the 1 regions of b\.json lies on a, which"
    ):
        session.wait()
    tifffile.imwrite(tmp_path / "l.tif", np.ones((5, 5), np.uint8), photometric="minisblack")
    session.exports.import_regions(tmp_path / "l.tif")
    with pytest.raises(SimilarityError, match=r"have the shape \(5, 5\).*choose the image"):
        session.wait()


def test_labels_of_a_stack_ask_on_every_plane_they_have(session, viewer, rng, tmp_path):
    image = viewer.add_image(rng.random((4, 32, 48)), name="z", scale=(3, 1, 1))
    viewer.dims.set_current_step(0, 1)
    labels = np.zeros((4, 32, 48), np.uint8)
    labels[0, 3:12, 4:30], labels[3, 18:30, 20:40] = 1, 2
    tifffile.imwrite(tmp_path / "l.tif", labels, photometric="minisblack")
    session.exports.import_regions(tmp_path / "l.tif")
    session.wait()
    (layer,) = session.regions.layers
    assert session.regions.count == 2
    found = maps(session, image)
    viewer.layers.remove(layer)
    for plane in (0, 3):
        one = viewer.add_labels(np.where(np.arange(4)[:, None, None] == plane, labels, 0))
        one.scale = image.scale
        viewer.dims.set_current_step(0, plane)
        session.regions.add(one, image, "class 1")
    viewer.dims.set_current_step(0, 1)
    session.wait()
    again = maps(session, image)
    assert np.array_equal(again["class 1"][1], found["class 1"][1])


def test_the_layer_in_hand_stays_in_hand(session, viewer, image, tmp_path):
    session.new_queries()
    before = viewer.layers.selection.active
    ring = np.array([(2, 2), (20, 2), (20, 20), (2, 20)])
    write_geojson([Shape(polygons=(Polygon(ring),))], tmp_path / "a.json")
    session.exports.import_regions(tmp_path / "a.json")
    session.wait()
    assert before is not None
    assert viewer.layers.selection.active == before

"""GeoJSON as QuPath writes and reads it, read with json and shapely."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dinov3_sim.exchange.geojson import read_geojson, write_geojson
from napari_dinov3_sim.exchange.outlines import mask_of, trace_array
from napari_dinov3_sim.exchange.shapes import ExchangeError, Polygon, Shape, StackPlace

from .masks import pixels_in, ring_with_island, shapes_or_sentence

SQUARE = np.array([(1, 1), (4, 1), (4, 3), (1, 3)])


def written(tmp_path, *shapes, **options):
    path = tmp_path / "regions.geojson"
    assert write_geojson(shapes, path, **options) == len(shapes)
    return path, json.loads(path.read_text(encoding="utf-8"))


def test_objects_are_features_of_which_shapely_has_the_same_pixels(tmp_path):
    labels = ring_with_island()
    shape = Shape(
        polygons=trace_array(labels)[1],
        class_name="Kern é",
        colour="#0a8cff",
        name="first",
        plane=StackPlace(z=2),
        measurements={"area µm²": 99.53999999999999, "broken": float("nan")},
    )
    path, content = written(tmp_path, shape, Shape(polygons=(Polygon(SQUARE),)))
    assert content["type"] == "FeatureCollection"
    feature, plain = content["features"]
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert feature["geometry"]["plane"] == {"c": -1, "z": 2, "t": 0}
    geometry = shapely.from_geojson(json.dumps(feature["geometry"]))
    assert np.array_equal(pixels_in(geometry, labels.shape), labels == 1)
    assert feature["properties"] == {
        "objectType": "detection",
        "name": "first",
        "classification": {"name": "Kern é", "color": [10, 140, 255]},
        "measurements": {"area µm²": 99.54},
    }
    assert plain["geometry"]["type"] == "Polygon"
    assert plain["properties"] == {"objectType": "detection"}
    ids = {each["id"] for each in content["features"]}
    assert len(ids) == 2

    back, _ = read_geojson(path)
    assert np.array_equal(mask_of(back.rings, labels.shape), labels == 1)
    assert (back.class_name, back.colour, back.name) == ("Kern é", "#0a8cff", "first")
    assert back.plane.z == 2
    assert back.measurements == {"area µm²": 99.54}


def test_annotations_points_lines_and_signs_come_back(tmp_path):
    shapes = (
        Shape(polygons=(Polygon(SQUARE),), class_name="a", positive=False),
        Shape("points", places=np.array([(3.5, 7.5)]), class_name="b"),
        Shape("line", places=np.array([(0.5, 0.5), (9.5, 4.5)])),
    )
    path, content = written(tmp_path, *shapes, object_type="annotation")
    assert [f["properties"]["objectType"] for f in content["features"]] == ["annotation"] * 3
    back = read_geojson(path)
    assert [shape.geometry for shape in back] == ["area", "points", "line"]
    assert [shape.positive for shape in back] == [False, True, True]
    assert [shape.class_name for shape in back] == ["a", "b", None]
    for before, after in zip(shapes[1:], back[1:], strict=True):
        assert np.array_equal(before.places, after.places)


RING = [[1, 1], [4, 1], [4, 3], [1, 3], [1, 1]]


def feature(geometry, **properties):
    return {"type": "Feature", "geometry": geometry, "properties": properties}


@pytest.mark.parametrize(
    ("classification", "name", "colour"),
    [
        ({"name": "Tumor", "color": [200, 0, 0]}, "Tumor", "#c80000"),
        ({"name": "Tumor", "colorRGB": -3670016}, "Tumor", "#c80000"),  # QuPath 0.3
        ({"names": ["Tumor", "Positive"], "color": [1, 2, 3, 255]}, "Tumor: Positive", "#010203"),
        ("Tumor", "Tumor", "#ffff00"),
        ({"name": " "}, None, "#ffff00"),
        (None, None, "#ffff00"),
        ([1], None, "#ffff00"),
    ],
)
def test_classes_of_every_version_are_understood(tmp_path, classification, name, colour):
    path = tmp_path / "old.geojson"
    polygon = {"type": "Polygon", "coordinates": [RING]}
    measured = [{"name": "Area", "value": 6}, {"name": "no", "value": "text"}]
    # A list of features, as QuPath until 0.2 has written it.
    content = [feature(polygon, classification=classification, measurements=measured)]
    path.write_text(json.dumps(content))
    (shape,) = read_geojson(path)
    assert (shape.class_name, shape.colour) == (name, colour)
    assert shape.measurements == {"Area": 6}
    assert len(shape.rings[0]) == 4


def test_collections_and_features_without_a_place(tmp_path):
    path = tmp_path / "mixed.geojson"
    parts = [
        {"type": "Point", "coordinates": [2.5, 3.5, 0]},
        {"type": "MultiPoint", "coordinates": [[1, 1], [2, 2]]},
        {"type": "MultiLineString", "coordinates": [[[0, 0], [1, 1]], [[2, 2], [3, 3]]]},
        {"type": "MultiPolygon", "coordinates": [[RING], [RING]]},
    ]
    collection = feature({"type": "GeometryCollection", "geometries": parts})
    path.write_text(json.dumps({"features": [collection, feature(None)]}), encoding="utf-8-sig")
    found = read_geojson(path)
    assert [shape.geometry for shape in found] == ["points", "points", "line", "line", "area"]
    assert len(found[-1].polygons) == 2


NESTED = {"type": "GeometryCollection", "geometries": []}

BROKEN = {
    "empty": "",
    "text": "hello",
    "cut short": '{"type":"FeatureCollection","features":[{"type":"Feat',
    "deep": "[" * 100_000,
    "no features": '{"a": 1}',
    "number": "12",
    "features of nothing": '{"features": [3]}',
    "NaN": json.dumps([feature({"type": "Polygon", "coordinates": [[[float("nan"), 1]] * 4]})]),
    "infinite": json.dumps([feature({"type": "Point", "coordinates": [1, 1e999]})]),
    "huge": json.dumps([feature({"type": "Point", "coordinates": [1, 10**400]})]),
    "digits": '[{"geometry":{"type":"Point","coordinates":[1,' + "9" * 10_000 + "]}}]",
    "far": json.dumps([feature({"type": "Point", "coordinates": [1, 1e300]})]),
    "two corners": json.dumps([feature({"type": "Polygon", "coordinates": [[[1, 1], [2, 2]]]})]),
    "flat": json.dumps([feature({"type": "Polygon", "coordinates": [1, 2, 3]})]),
    "ragged": json.dumps([feature({"type": "LineString", "coordinates": [[1, 2], [3]]})]),
    "circle": json.dumps([feature({"type": "Circle", "coordinates": [1, 2]})]),
    "no coordinates": json.dumps([feature({"type": "Polygon"})]),
    "nested": json.dumps([feature({"type": "GeometryCollection", "geometries": [NESTED]})]),
    "properties": '[{"geometry":{"type":"Point","coordinates":[1,2]},"properties":[1]}]',
    "names": '[{"geometry":{"type":"Point","coordinates":[1,2],"plane":{"z":"x"}}}]',
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_sentence_with_the_cure(tmp_path, name):
    path = tmp_path / "broken.geojson"
    path.write_text(BROKEN[name])
    with pytest.raises(ExchangeError) as caught:
        read_geojson(path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "export" in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 400


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_changed_bytes_give_shapes_or_one_sentence(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "a.geojson"
    shape = Shape(polygons=(Polygon(SQUARE),), class_name="a", measurements={"x": 1.0})
    write_geojson([shape] * 2, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    shapes, sentence = shapes_or_sentence(read_geojson, path)
    assert not sentence or str(path) in sentence
    assert all(np.isfinite(ring).all() for shape in shapes for ring in shape.rings)

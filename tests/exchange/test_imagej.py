"""ROI sets, read with roifile as its users do."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import roifile
from hypothesis import given, settings
from hypothesis import strategies as st
from roifile import ROI_TYPE, ImagejRoi

from napari_dinov3_sim.exchange.imagej import read_rois, write_rois
from napari_dinov3_sim.exchange.outlines import mask_of, trace_array
from napari_dinov3_sim.exchange.shapes import ExchangeError, Polygon, Shape, StackPlace

from .masks import random_labels, ring_with_island, shapes_or_sentence

SQUARE = np.array([(1, 1), (4, 1), (4, 3), (1, 3)])


def test_a_set_has_the_pixels_names_colours_and_places_of_the_objects(tmp_path):
    labels = random_labels(np.random.default_rng(1), 12, 14, 3)
    path = tmp_path / "objects.zip"
    shapes = [
        Shape(polygons=polygons, class_name=f"class {n}", colour="#0a8cff", plane=StackPlace(z=n))
        for n, polygons in trace_array(labels).items()
    ]
    assert write_rois(shapes, path) == 3
    rois = roifile.roiread(path)
    assert [roi.name for roi in rois] == ["class 1 1", "class 2 2", "class 3 3"]
    for number, roi in enumerate(rois, start=1):
        rings = roi.coordinates(multi=True)
        assert np.array_equal(mask_of(rings, labels.shape), labels == number)
        assert roi.stroke_color == bytes((255, 10, 140, 255))
        assert (roi.z_position, roi.position, roi.t_position) == (number + 1, number + 1, 0)
        box = np.argwhere(labels == number)
        assert (roi.top, roi.left) == tuple(box.min(0))
        assert (roi.bottom, roi.right) == tuple(box.max(0) + 1)
    back = read_rois(path)
    for number, shape in enumerate(back, start=1):
        assert np.array_equal(mask_of(shape.rings, labels.shape), labels == number)
        assert (shape.class_name, shape.colour) == (f"class {number}", "#0a8cff")
        assert shape.plane == StackPlace(z=number)


def test_one_outline_is_traced_and_holes_make_a_composite(tmp_path):
    path = tmp_path / "a.zip"
    plain = Shape(polygons=(Polygon(SQUARE),))
    write_rois([plain, Shape(polygons=trace_array(ring_with_island())[1])], path)
    first, second = roifile.roiread(path)
    assert first.roitype == ROI_TYPE.TRACED
    assert np.array_equal(first.coordinates(), SQUARE)
    assert second.composite
    assert len(second.coordinates(multi=True)) == 3


def test_far_from_the_corner_places_are_exact(tmp_path):
    path = tmp_path / "far.zip"
    ring = SQUARE + np.array([90_000, 40_000])
    write_rois([Shape(polygons=(Polygon(ring),))], path)
    assert np.array_equal(roifile.roiread(path)[0].coordinates(), ring)
    (shape,) = read_rois(path)
    assert np.array_equal(shape.rings[0], ring)


def test_points_lines_signs_and_names_that_the_format_cannot_count(tmp_path):
    path = tmp_path / "b.zip"
    shapes = [
        Shape("points", places=np.array([(3.5, 7.5), (8.5, 0.5)]), class_name="𝒳 \udce9"),
        Shape("line", places=np.array([(0.5, 0.5), (9.5, 4.5)]), positive=False),
    ]
    write_rois(shapes, path)
    points, line = read_rois(path)
    assert np.array_equal(points.places, shapes[0].places)
    assert points.class_name == "\ufffd \\udce9"
    assert np.array_equal(line.places, shapes[1].places)
    assert not line.positive
    assert line.class_name == "object"


def roi_file(tmp_path, roi):
    path = tmp_path / "one.roi"
    path.write_bytes(roi.tobytes())
    return path


def made(roitype, **values):
    roi = ImagejRoi(roitype=roitype, top=2, left=4, bottom=8, right=16)
    for name, value in values.items():
        setattr(roi, name, value)
    return roi


def test_a_rectangle_and_an_oval_of_imagej(tmp_path):
    (box,) = read_rois(roi_file(tmp_path, made(ROI_TYPE.RECT)))
    inside = mask_of(box.rings, (10, 20))
    assert inside.sum() == 6 * 12
    assert inside[2:8, 4:16].all()
    (oval,) = read_rois(roi_file(tmp_path, made(ROI_TYPE.OVAL)))
    area = mask_of(oval.rings, (10, 20)).sum()
    assert abs(area - np.pi * 3 * 6) < 4


@pytest.mark.parametrize(
    ("name", "group", "class_name"),
    [
        ("0012-0345", 0, None),
        ("0003-0012-0345", 0, None),
        ("", 0, None),
        ("nucleus 12", 0, "nucleus"),
        ("nucleus-3", 0, "nucleus"),
        ("nucleus", 3, "group 3"),
    ],
)
def test_classes_are_groups_or_names(tmp_path, name, group, class_name):
    (shape,) = read_rois(roi_file(tmp_path, made(ROI_TYPE.RECT, name=name, group=group)))
    assert shape.class_name == class_name


def test_a_slice_of_a_plain_stack_is_one_in_depth(tmp_path):
    (shape,) = read_rois(roi_file(tmp_path, made(ROI_TYPE.RECT, position=5)))
    assert shape.plane == StackPlace(z=4)


@pytest.mark.parametrize(
    "content",
    [b"Iout", b"Iout" + b"\xff" * 90, b"PK\3\4 nothing more", b"PK\5\6", b"Iout" + bytes(200)],
)
def test_a_broken_file_is_one_sentence_with_the_cure(tmp_path, content):
    path = tmp_path / "broken.roi"
    path.write_bytes(content)
    with pytest.raises(ExchangeError, match=r"broken\.roi.*save .*again"):
        read_rois(path)


def test_a_set_that_is_no_zip_inside(tmp_path):
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
        archive.writestr("a.roi", b"not a ROI")
    with pytest.raises(ExchangeError, match=r"a\.roi in .*other\.zip"):
        read_rois(path)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_changed_bytes_give_shapes_or_one_sentence(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "a.roi"
    composite = trace_array(ring_with_island())[1]
    source = tmp_path_factory.mktemp("made") / "a.zip"
    write_rois(
        [Shape(polygons=composite, class_name="a"), Shape(polygons=(Polygon(SQUARE),))], source
    )
    with zipfile.ZipFile(source) as archive:
        content = bytearray(archive.read(archive.namelist()[data.draw(st.integers(0, 1))]))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(5, len(content)))])
    shapes, sentence = shapes_or_sentence(read_rois, path)
    assert not sentence or "a.roi" in sentence
    assert all(np.isfinite(ring).all() for shape in shapes for ring in shape.rings)

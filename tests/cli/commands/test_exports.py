"""``--export`` and ``--regions``: files of other programs, out and back, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import roifile
import shapely
import tifffile
from PIL import Image

from napari_dinov3_sim.cli import regions
from napari_dinov3_sim.exchange.geojson import write_geojson
from napari_dinov3_sim.exchange.imagej import write_rois
from napari_dinov3_sim.exchange.outlines import mask_of, trace_array
from napari_dinov3_sim.exchange.shapes import Polygon, Shape, StackPlace

pytestmark = pytest.mark.slow

MODEL = ("--model", "builtin", "--out", "out")
ALL = "geojson,imagej,ome-tiff,ome-zarr,png"


def pixels(geometry, shape):
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return shapely.contains_xy(geometry, x.ravel(), y.ravel()).reshape(shape)


def test_every_format_has_the_objects_of_the_labels(cli, folder):
    zarr = pytest.importorskip("zarr")
    export = ("--threshold", 0.2, "--export", ALL, "--json")
    done = cli("similarity", "gray.png", "--at", 5, 5, *export, *MODEL)
    assert done.code == 0, done.err
    labels = tifffile.imread("out/gray.labels.tif")
    assert labels.max() == done.json["images"][0]["objects"] > 0
    seen = np.zeros_like(labels)
    for feature in json.loads((folder / "out/gray.geojson").read_text())["features"]:
        assert feature["properties"]["classification"]["name"] == "class 1"
        geometry = shapely.from_geojson(json.dumps(feature["geometry"]))
        seen[pixels(geometry, labels.shape)] = int(feature["properties"]["name"].split()[-1])
    assert np.array_equal(seen, labels)
    for number, roi in enumerate(roifile.roiread("out/gray.rois.zip"), start=1):
        assert np.array_equal(mask_of(roi.coordinates(multi=True), labels.shape), labels == number)
    assert np.array_equal(tifffile.imread("out/gray.labels.ome.tif"), labels)
    root = zarr.open_group("out/gray.ome.zarr", mode="r")
    assert np.array_equal(root["labels/class 1/0"][:], labels)
    with Image.open("out/gray.labels.png") as picture:
        assert np.array_equal(np.asarray(picture), labels)
    assert {name for name in done.json["files"] if "gray" in name} == {
        f"out/gray{end}"
        for end in (
            *(".cosine.tif", ".heatmap.png", ".labels.tif", ".geojson", ".rois.zip"),
            *(".labels.ome.tif", ".ome.zarr", ".labels.png"),
        )
    }


def test_exports_are_replaced_only_when_asked_folders_too(cli, folder):
    export = ("--threshold", 0.2, "--no-labels", "--maps", "none", "--export", "ome-zarr,geojson")
    click = ("similarity", "gray.png", "--at", 5, 5, *export, *MODEL)
    assert cli(*click).code == 0
    names = sorted(path.name for path in (folder / "out").iterdir())
    assert names == ["gray.geojson", "gray.ome.zarr"]
    assert "would be replaced" in cli(*click).refusal
    assert cli(*click, "--overwrite").code == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == names


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--at", 5, 5, "--export", "svg"), "'svg' is none of geojson, imagej"),
        (("--at", 5, 5, "--export", ","), "nothing is none of geojson"),
        ((), "Nothing is clicked; say where with --at X Y, or name a file of regions"),
        (("--regions", "gone.geojson"), "gone.geojson cannot be read"),
        (("--regions", "gray.png"), "None"),
    ],
)
def test_what_cannot_be_is_one_sentence(cli, folder, options, words):
    if words == "None":
        Image.fromarray(np.ones((5, 5), np.uint8)).save("gray2.png")
        options, words = ("--regions", "gray2.png"), r"have the shape (5, 5)"
    assert words in cli("similarity", "gray.png", *options, *MODEL).refusal


def cosine(name="gray"):
    return tifffile.imread(f"out/{name}.cosine.tif")


@pytest.mark.parametrize("most", [50, 1])
@pytest.mark.parametrize("write", [write_geojson, write_rois])
def test_regions_ask_what_labels_ask(cli, folder, write, most, monkeypatch):
    """A polygon, one with a hole, and the same as an image of labels; few and many."""
    monkeypatch.setattr(regions, "MOST_DRAWN", most)
    labels = np.zeros((50, 70), np.uint8)
    labels[3:30, 5:40] = 1
    labels[10:20, 10:20] = 0
    labels[35:48, 50:66] = 2
    shapes = [Shape(polygons=polygons) for polygons in trace_array(labels).values()]
    write(shapes, folder / "regions")
    Image.fromarray(labels).save("labels.png")
    options = ("--class", "cells", *MODEL, "--overwrite", "--json")
    done = cli("similarity", "gray.png", "rgb.png", "--regions", "regions", *options)
    assert done.code == 0, done.err
    # Without a class of its own, what ImageJ calls an object is the class of that name.
    assert done.json["class"] == ("cells" if write is write_geojson else "object")
    found = cosine(), cosine("rgb")
    assert cli("similarity", "gray.png", "rgb.png", "--regions", "labels.png", *options).code == 0
    assert np.array_equal(cosine(), found[0])
    assert np.array_equal(cosine("rgb"), found[1])


def test_points_and_classes_of_a_file_are_those_of_the_command(cli, folder):
    points = [
        Shape("points", places=np.array([(5.5, 5.5)]), class_name="a", colour="#112233"),
        Shape("points", places=np.array([(40.5, 40.5)]), class_name="a", positive=False),
        Shape("points", places=np.array([(40.5, 40.5)]), class_name="b"),
    ]
    write_geojson(points, folder / "p.geojson")
    save = ("--save-query", "two.query.safetensors", "--threshold", -1, "--export", "geojson")
    done = cli("similarity", "gray.png", "--regions", "p.geojson", *save, *MODEL, "--json")
    assert done.code == 0, done.err
    assert done.json["classes"] == ["a", "b"]
    found = tifffile.imread("out/gray.a.cosine.tif")
    features = json.loads((folder / "out/gray.geojson").read_text())["features"]
    colours = {tuple(f["properties"]["classification"]["color"]) for f in features}
    assert (0x11, 0x22, 0x33) in colours
    assert cli("search", "two.query.safetensors", "gray.png", "--out", "again").code == 0
    # The vectors in the file are normalised, and not each processor rounds their products alike.
    again = tifffile.imread("again/gray.a.cosine.tif")
    np.testing.assert_allclose(again, found, rtol=0, atol=1e-6)
    clicks = ("--at", 5, 5, "--not", 40, 40, "--class", "a")
    assert cli("similarity", "gray.png", *clicks, "--model", "builtin", "--out", "own").code == 0
    own = tifffile.imread("own/gray.cosine.tif")
    assert np.corrcoef(own.ravel(), found.ravel())[0, 1] > 0.99


def test_a_plane_of_a_stack_has_its_own_regions(cli, folder, stack):
    ring = np.array([(2, 2), (30, 2), (30, 20), (2, 20)])
    shapes = [
        Shape(polygons=(Polygon(ring),), class_name="a", plane=StackPlace(z=2)),
        Shape(polygons=(Polygon(ring + 5),), class_name="a"),
    ]
    write_geojson(shapes[:1], folder / "one.geojson")
    options = ("--regions", "one.geojson", *MODEL)
    assert cli("similarity", "plain.tif", "--plane", 2, *options).code == 0
    refused = cli("similarity", "plain.tif", "--plane", 1, *options, "--overwrite").refusal
    assert "None of the regions of one.geojson lies on plain.tif plane 1" in refused


@pytest.mark.parametrize("axes", ["TYX", "ZYX"])
@pytest.mark.parametrize(
    ("write", "plane"),
    [
        (write_geojson, StackPlace(z=0, t=3)),  # as QuPath and the dock write it
        (write_geojson, StackPlace(z=3, t=0)),
        (write_rois, StackPlace(t=3)),
        (write_rois, StackPlace(z=3)),  # as ImageJ numbers the slices of any stack
    ],
)
def test_a_region_counts_on_the_frame_that_it_was_drawn_on(
    cli, folder, picture, axes, write, plane
):
    tifffile.imwrite("movie.ome.tif", picture(5, 48, 64), ome=True, metadata={"axes": axes})
    ring = np.array([(2, 2), (30, 2), (30, 20), (2, 20)])
    write([Shape(polygons=(Polygon(ring),), class_name="a", plane=plane)], folder / "q")
    options = ("--regions", "q", *MODEL, "--overwrite")
    assert cli("similarity", "movie.ome.tif", "--plane", 3, *options).code == 0
    assert (
        "None of the regions" in cli("similarity", "movie.ome.tif", "--plane", 0, *options).refusal
    )


def test_a_region_of_time_and_depth_lies_on_its_own(cli, folder, picture):
    values = picture(3, 2, 48, 64)
    tifffile.imwrite("movie.ome.tif", values, ome=True, metadata={"axes": "ZTYX"})
    ring = np.array([(2, 2), (30, 2), (30, 20), (2, 20)])
    shape = Shape(polygons=(Polygon(ring),), class_name="a", plane=StackPlace(z=2, t=1))
    write_geojson([shape], folder / "q")
    options = ("--regions", "q", *MODEL)
    assert cli("similarity", "movie.ome.tif", "--plane", 2, 1, *options).code == 0
    assert (
        "None of the regions"
        in cli("similarity", "movie.ome.tif", "--plane", 1, 1, *options, "--overwrite").refusal
    )


def test_a_class_of_negative_regions_alone_is_refused(cli, folder):
    ring = np.array([(2, 2), (30, 2), (30, 20), (2, 20)])
    shapes = [Shape(polygons=(Polygon(ring),), class_name="a", positive=False)]
    write_geojson(shapes, folder / "n.geojson")
    said = cli("similarity", "gray.png", "--regions", "n.geojson", *MODEL).refusal
    assert "Nothing that is marked as a lies on gray.png" in said


def test_coarse_levels_have_outlines_in_pixels_of_the_finest(cli, coarse):
    click = ("--at", 5, 5, "--channel", 0, "--plane", 0, "--threshold", 0.0)
    done = cli("similarity", "a.zarr", *click, "--export", "geojson", *MODEL)
    assert done.code == 0, done.err
    labels = tifffile.imread("out/a-c0-0.labels.tif")
    assert labels.shape == (33, 47)
    features = json.loads(Path("out/a-c0-0.geojson").read_text())["features"]
    parts = [shapely.from_geojson(json.dumps(f["geometry"])) for f in features]
    assert shapely.union_all(parts).area == 4 * (labels > 0).sum()


@pytest.mark.parametrize(
    ("axes", "at", "plane", "slices"),
    [
        ("ZYX", (2,), {"c": -1, "z": 2, "t": 0}, (3, 0, 3)),
        ("TYX", (1,), {"c": -1, "z": 0, "t": 1}, (0, 2, 2)),
        ("TZYX", (1, 2), {"c": -1, "z": 2, "t": 1}, (3, 2, 0)),
    ],
)
def test_objects_of_a_stack_lie_on_their_slice(cli, folder, picture, axes, at, plane, slices):
    values = picture(*(3,) * len(at), 48, 64)
    tifffile.imwrite("stack.ome.tif", values, ome=True, metadata={"axes": axes})
    click = ("--at", 5, 5, "--plane", *at, "--threshold", 0.2, "--export", "geojson,imagej")
    done = cli("similarity", "stack.ome.tif", *click, *MODEL)
    assert done.code == 0, done.err
    stem = f"out/stack.ome-{'-'.join(map(str, at))}"
    features = json.loads(Path(f"{stem}.geojson").read_text())["features"]
    assert {tuple(f["geometry"]["plane"].items()) for f in features} == {tuple(plane.items())}
    rois = roifile.roiread(f"{stem}.rois.zip")
    assert {(roi.z_position, roi.t_position, roi.position) for roi in rois} == {slices}


def test_embeddings_are_written_with_their_places(cli, folder):
    zarr = pytest.importorskip("zarr")
    embed = ("embed", "gray.png", "rgb.png", "--export", "npz,zarr", *MODEL)
    assert cli(*embed).code == 0
    with np.load("out/gray.embeddings.npz") as arrays:
        assert arrays["grid_shape"].tolist() == [4, 5]
        assert arrays["pixels"][6].tolist() == [23.5, 23.5]
        assert str(arrays["model"]) == "builtin"
        vectors = arrays["vectors"]
    root = zarr.open_group("out/gray.embeddings.zarr", mode="r")
    assert np.array_equal(root["vectors"][:], vectors)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    # Another folder for the results would be one without embeddings.
    line = cli(*embed).refusal
    assert "would be replaced; add --overwrite, which embeds nothing again" in line
    again = cli(*embed, "--overwrite", "--json")
    assert [entry["skipped"] for entry in again.json["images"]] == [True, True]

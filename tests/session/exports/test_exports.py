"""What is in the viewer, in files that are read back with the libraries of their users."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import roifile
import shapely
import tifffile

from heatmap_values import over_image
from napari_dinov3_sim.core.errors import EmbeddingCancelled, SimilarityError
from napari_dinov3_sim.session.exports import writers
from napari_dinov3_sim.session.layer_metadata import mark_of

pytestmark = pytest.mark.slow

SCALE = (0.5, 0.325)


@pytest.fixture
def two(viewer, rng):
    """Two images of different size, one in micrometres and flipped."""
    first = viewer.add_image(rng.random((64, 96)), name="a/b", scale=SCALE, units=["um", "um"])
    second = viewer.add_image(rng.random((48, 80)), name="a_b", scale=(-1, 1))
    return first, second


def made(session, viewer):
    """The Labels layers over the images, painted in."""
    session.results.labels(threshold=0.5)
    layers = [layer for layer in viewer.layers if mark_of(layer, "result")]
    for layer in layers:
        layer.data[..., 3:40, 5:20] = 77
        layer.data[..., 10:20, 8:12] = 0
        layer.refresh()
    return layers


def said(signal):
    sentences = []
    signal.connect(sentences.append)
    return sentences


def read_features(path):
    return json.loads(path.read_text())["features"]


def pixels(geometry, shape):
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return shapely.contains_xy(geometry, x.ravel(), y.ravel()).reshape(shape)


def test_objects_are_those_of_the_layers_as_they_are_now(session, viewer, two, tmp_path):
    session.add_query(two[0], 3, 3, class_name="nuclei")
    layers = made(session, viewer)
    layers[0].features = pd.DataFrame({"label": [77], "area": [2.5], "image": ["a"]})
    sentences = said(session.exports.done)
    session.exports.objects(tmp_path, "geojson")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a_b-2.geojson", "a_b.geojson"]
    for layer, name in zip(layers, ("a_b.geojson", "a_b-2.geojson"), strict=True):
        seen = np.zeros(layer.data.shape, layer.data.dtype)
        for feature in read_features(tmp_path / name):
            geometry = shapely.from_geojson(json.dumps(feature["geometry"]))
            assert geometry.is_valid
            label = int(feature["properties"]["name"].split()[-1])
            seen[pixels(geometry, seen.shape)] = label
            assert feature["properties"]["classification"]["name"] == "nuclei"
        assert np.array_equal(seen, layer.data)
    painted = [
        f for f in read_features(tmp_path / "a_b.geojson") if "77" in f["properties"]["name"]
    ]
    assert painted[0]["properties"]["measurements"] == {"area": 2.5}
    count = sum(len(np.unique(layer.data)) - 1 for layer in layers)
    assert sentences == [f"{count} objects saved to 2 files in {tmp_path}."]


def exported(session, path):
    """The measurements of each object in a file, by its name and plane."""
    session.exports.objects(path, overwrite=True)
    session.wait()
    return {
        (f["properties"]["name"], *f["geometry"].get("plane", {}).values()): f["properties"].get(
            "measurements", {}
        )
        for f in read_features(path)
    }


@pytest.mark.parametrize("change", ["painted", "renewed", "renewed and measured"])
def test_numbers_of_other_labels_are_not_exported(session, viewer, two, tmp_path, change):
    viewer.layers.remove(two[1])
    session.outline = "patches"
    session.add_query(two[0], 40, 33)
    low, high = np.quantile(over_image(two[0], session.heatmaps[two[0]]), [0.6, 0.8])
    session.threshold = low
    session.results.labels()
    (layer,) = [layer for layer in viewer.layers if mark_of(layer, "result")]
    session.measurements.measure()
    session.wait()
    features = layer.features.copy()
    layer.features = features.assign(mine=np.arange(len(features)) + 0.5)
    before = exported(session, tmp_path / "o.geojson")
    assert all({"area_px", "score_mean", "mine"} <= found.keys() for found in before.values())
    session.results.renew()
    session.wait()
    assert exported(session, tmp_path / "o.geojson") == before  # they are the same objects
    if change == "painted":
        layer.data[np.flatnonzero((layer.data == 1).any(axis=1))[-1]] = 0
        layer.refresh()
    else:
        session.threshold = high
        session.results.renew()
        session.wait()
        assert set(layer.features) == {"index", "mine"}
    if "measured" in change:
        session.measurements.measure()
        session.wait()
    found = exported(session, tmp_path / "o.geojson")
    for (name,), numbers in found.items():
        area = (layer.data == int(name.split()[-1])).sum()
        assert numbers.get("area_px", area) == area
        assert ("area_px" in numbers) == ("measured" in change)
        assert numbers["mine"] == before[name,]["mine"]  # of the user


def test_what_is_there_is_left_alone_unless_told(session, viewer, two, tmp_path):
    viewer.layers.remove(two[1])
    session.add_query(two[0], 3, 3)
    (layer,) = made(session, viewer)
    session.exports.objects(tmp_path, "imagej")
    session.exports.objects(tmp_path, "imagej")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a_b-2.rois.zip", "a_b.rois.zip"]
    first = tmp_path / "a_b.rois.zip"
    before = first.read_bytes()
    session.exports.objects(first, "imagej")
    with pytest.raises(SimilarityError, match=r"a_b\.rois\.zip already exists; choose another"):
        session.wait()
    layer.data[:] = 0
    layer.data[0, 0] = 1
    session.exports.objects(first, "imagej", overwrite=True)
    session.wait()
    assert first.read_bytes() != before
    (roi,) = roifile.roiread(first)
    assert roi.coordinates().tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]


def test_labels_of_classes_are_channels_with_sizes(session, viewer, two, tmp_path):
    viewer.layers.remove(two[1])
    session.add_query(two[0], 3, 3, class_name="one")
    session.add_query(two[0], 40, 40, class_name="two")
    layers = made(session, viewer)
    session.exports.objects(tmp_path / "l.ome.tif", "ome-tiff")
    session.exports.objects(tmp_path / "l.ome.zarr", "ome-zarr")
    session.wait()
    with tifffile.TiffFile(tmp_path / "l.ome.tif") as tiff:
        assert tiff.series[0].axes == "CYX"
        assert np.array_equal(tiff.asarray(), [layer.data for layer in layers])
        about = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
    assert [channel["Name"] for channel in about["Channel"]] == ["one", "two"]
    assert (about["PhysicalSizeY"], about["PhysicalSizeX"]) == SCALE
    assert about["PhysicalSizeXUnit"] == "µm"
    zarr = pytest.importorskip("zarr")
    root = zarr.open_group(str(tmp_path / "l.ome.zarr"), mode="r")
    for layer, name in zip(layers, ("one", "two"), strict=True):
        assert np.array_equal(root[f"labels/{name}/0"][:], layer.data)


@pytest.mark.parametrize(
    ("affine", "origin"),
    [
        (np.array([[0.5, 0, 4], [0, 0.2, -1], [0, 0, 1]]), [5.0, -0.6]),
        (np.array([[0, -0.2, 4], [0.5, 0, -1], [0, 0, 1]]), [0.0, 0.0]),  # it turns the image
    ],
)
def test_sizes_are_those_of_the_world_that_an_affine_scales(
    session, viewer, rng, tmp_path, affine, origin
):
    image = viewer.add_image(rng.random((64, 96)), units=["um", "um"], translate=(2, 2))
    image.affine, image.scale = affine, (3.0, 0.1)
    session.add_query(image, 3, 3)
    made(session, viewer)
    session.exports.objects(tmp_path / "l.ome.tif", "ome-tiff")
    session.wait()
    with tifffile.TiffFile(tmp_path / "l.ome.tif") as tiff:
        about = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
    sizes = [about["PhysicalSizeY"], about["PhysicalSizeX"]]
    np.testing.assert_allclose(sizes, [1.5, 0.02], rtol=1e-11)
    places = [about["Plane"]["PositionY"], about["Plane"]["PositionX"]]
    np.testing.assert_allclose(places, origin, atol=1e-12)


def test_a_png_is_for_one_class(session, viewer, two, tmp_path):
    from PIL import Image

    viewer.layers.remove(two[1])
    session.add_query(two[0], 3, 3)
    (layer,) = made(session, viewer)
    session.exports.objects(tmp_path / "m.png", "png")
    session.wait()
    with Image.open(tmp_path / "m.png") as picture:
        assert np.array_equal(np.asarray(picture), layer.data)
    session.add_query(two[0], 40, 40, class_name="two")
    made(session, viewer)
    session.exports.objects(tmp_path / "n.png", "png")
    with pytest.raises(SimilarityError, match=r"2 classes.*export as OME-TIFF"):
        session.wait()
    assert not (tmp_path / "n.png").exists()


def test_planes_of_a_stack_are_slices(session, viewer, rng, tmp_path):
    image = viewer.add_image(rng.random((3, 32, 48)), name="z", scale=(2.0, 1.0, 1.0))
    image.units = ["um"] * 3
    viewer.dims.set_current_step(0, 1)
    session.all_planes = True
    session.add_query(image, 3, 3)
    session.wait()
    session.results.labels(threshold=0.3)
    (layer,) = [layer for layer in viewer.layers if mark_of(layer, "result")]
    layer.data[2, 4:9, 6:9] = 500
    session.exports.objects(tmp_path / "z.geojson")
    session.exports.objects(tmp_path / "z.zip", "imagej")
    session.exports.objects(tmp_path / "z.tif", "ome-tiff")
    session.exports.heatmaps(tmp_path / "h.tif")
    session.wait()
    seen = np.zeros(layer.data.shape, int)
    for feature in read_features(tmp_path / "z.geojson"):
        z = feature["geometry"].pop("plane")["z"]
        geometry = shapely.from_geojson(json.dumps(feature["geometry"]))
        seen[z][pixels(geometry, (32, 48))] = int(feature["properties"]["name"].split()[-1])
    assert np.array_equal(seen, layer.data)
    rois = roifile.roiread(tmp_path / "z.zip")
    assert {roi.z_position for roi in rois} == {1 + z for z in range(3) if layer.data[z].any()}
    with tifffile.TiffFile(tmp_path / "z.tif") as tiff:
        assert tiff.series[0].axes == "ZYX"
        assert np.array_equal(tiff.asarray(), layer.data)
        about = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
    assert about["PhysicalSizeZ"] == 2.0
    assert np.array_equal(
        tifffile.imread(tmp_path / "h.tif"), over_image(image, session.heatmaps[image])
    )


@pytest.mark.parametrize("name", ["t", "z"])
def test_numbers_of_another_plane_are_not_exported(session, viewer, rng, tmp_path, name):
    image = viewer.add_image(rng.random((3, 32, 48)), axis_labels=(name, "y", "x"))
    session.all_planes = True
    session.add_query(image, 3, 3)
    session.wait()
    session.results.labels(threshold=0.3)
    (layer,) = [layer for layer in viewer.layers if mark_of(layer, "result")]
    layer.data[...] = 0
    layer.data[0, 4:6, 6:8] = layer.data[1, 4:10, 6:12] = 500
    layer.data[2, 4:9, 6:9] = 501
    layer.refresh()
    session.measurements.measure(by_plane=True)
    session.wait()
    found = exported(session, tmp_path / "o.geojson")
    areas = [numbers.get("area_px") for numbers in found.values()]
    assert areas == [None, None, 15]
    column = "time" if name == "t" else "plane"
    assert [numbers.get(column) for numbers in found.values()] == [None, None, 2]
    assert next(iter(found.values()))["bbox_min_y_px"] == 4  # the same on both
    under = layer.get_status((0, 5, 7), world=True)["coordinates"]
    assert "500" in under
    assert "area_px" not in under


def test_heatmaps_are_the_raw_scores(session, viewer, two, tmp_path):
    session.add_query(two[0], 3, 3, class_name="one")
    session.exports.heatmaps(tmp_path)
    session.wait()
    for image, name in zip(two, ("a_b", "a_b-2"), strict=True):
        values = tifffile.imread(tmp_path / f"{name}.heatmap.ome.tif")
        assert values.dtype == np.float32
        assert np.array_equal(values, over_image(image, session.heatmaps[image]))


def test_embeddings_have_their_places(session, viewer, two, tmp_path):
    session.add_query(two[0], 3, 3)
    session.exports.embeddings(tmp_path, "npz")
    session.exports.embeddings(tmp_path, "zarr")
    session.wait()
    for image, name in zip(two, ("a_b", "a_b-2"), strict=True):
        with np.load(tmp_path / f"{name}.embeddings.npz") as arrays:
            rows, columns = arrays["grid_shape"]
            assert arrays["vectors"].shape == (rows * columns, 12)
            assert np.allclose(np.linalg.norm(arrays["vectors"], axis=1), 1)
            assert arrays["pixels"][columns + 1].tolist() == [23.5, 23.5]
            there = [image.data_to_world(place) for place in arrays["pixels"]]
            assert np.allclose(arrays["world"], there)
            assert (str(arrays["image"]), str(arrays["model"])) == (image.name, "projection")
        zarr = pytest.importorskip("zarr")
        root = zarr.open_group(str(tmp_path / f"{name}.embeddings.zarr"), mode="r")
        assert root["vectors"].shape == (rows * columns, 12)


@pytest.mark.parametrize(
    ("ask", "cure"),
    [
        (lambda exports, path: exports.objects(path), "press Make Labels"),
        (lambda exports, path: exports.heatmaps(path), "click on what you mean"),
        (lambda exports, path: exports.embeddings(path), "press Embed"),
        (lambda exports, path: exports.query(path), "click on what you mean"),
        (lambda exports, path: exports.names("geojson"), "press Make Labels"),
        (lambda exports, path: exports.names("svg"), "choose one of geojson"),
        (lambda exports, path: exports.objects(path, "svg"), "choose one of geojson"),
        (lambda exports, path: exports.import_regions(path), "open the one"),
    ],
)
def test_where_there_is_nothing_it_is_said(session, tmp_path, ask, cure):
    with pytest.raises(SimilarityError, match=cure):
        ask(session.exports, tmp_path / "a.geojson")


def test_several_images_need_a_folder(session, two, tmp_path):
    session.add_query(two[0], 3, 3)
    with pytest.raises(
        SimilarityError, match=r"2 images, and a\.tif is one file; choose a folder"
    ):
        session.exports.heatmaps(tmp_path / "a.tif")
    assert session.exports.names("heatmaps") == ["a_b.heatmap.ome.tif", "a_b-2.heatmap.ome.tif"]


def test_an_open_image_is_never_written_over(session, viewer, rng, tmp_path, monkeypatch):
    path = tmp_path / "source.tif"
    tifffile.imwrite(path, rng.random((48, 48)))
    image = viewer.add_image(tifffile.imread(path))
    session.add_query(image, 3, 3)
    source = SimpleNamespace(path=str(path))  # napari notes it where one of its readers opens
    monkeypatch.setattr(type(image), "source", property(lambda _: source))
    before = path.read_bytes()
    with pytest.raises(SimilarityError, match="is an image that is open; choose another name"):
        session.exports.heatmaps(path, overwrite=True)
    assert path.read_bytes() == before


def test_a_cancelled_export_leaves_whole_files_only(session, viewer, two, tmp_path, monkeypatch):
    session.add_query(two[0], 3, 3)
    made(session, viewer)
    seen = []

    def step(progress, *_):
        seen.append(progress.done)
        progress.done += 1
        if len(seen) == 2:
            raise EmbeddingCancelled

    monkeypatch.setattr(writers._Progress, "step", step)
    sentences = said(session.exports.done)
    session.exports.objects(tmp_path)
    session.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["a_b.geojson"]
    assert len(sentences) == 1
    assert not session.exports.pending

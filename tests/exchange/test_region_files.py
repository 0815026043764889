"""Regions are known by the content of their file; files are never replaced unasked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_dinov3_sim.exchange.files import file_names, write_json, written
from napari_dinov3_sim.exchange.geojson import write_geojson
from napari_dinov3_sim.exchange.imagej import write_rois
from napari_dinov3_sim.exchange.ome_tiff import PlaneStack, write_ome_tiff
from napari_dinov3_sim.exchange.ome_zarr import LabelImage, write_ome_zarr
from napari_dinov3_sim.exchange.placement import Axis
from napari_dinov3_sim.exchange.region_files import read_regions
from napari_dinov3_sim.exchange.shapes import ExchangeError, Polygon, Shape

SQUARE = Shape(polygons=(Polygon(np.array([(1, 1), (4, 1), (4, 3), (1, 3)])),), class_name="a")
AXES = (Axis("y"), Axis("x"))


def stack_of(values, axes=AXES, channels=()):
    return PlaneStack(values.shape, values.dtype, axes, lambda at, a, b: values[at][a:b], channels)


@pytest.fixture
def labels():
    return np.random.default_rng(0).integers(0, 4, (20, 30)).astype(np.uint16)


def test_what_a_file_is_does_not_hang_on_its_name(tmp_path):
    rois, geojson = tmp_path / "rois.dat", tmp_path / "annotations.txt"
    write_rois([SQUARE], rois)
    write_geojson([SQUARE, SQUARE], geojson)
    assert [len(read_regions(path).shapes) for path in (rois, geojson)] == [1, 2]
    assert read_regions(geojson).classes == ("a",)
    for encoding in ("utf-8-sig", "utf-16"):  # as Windows may save it
        text = geojson.read_text(encoding="utf-8")
        (tmp_path / encoding).write_text(text, encoding=encoding)
        assert len(read_regions(tmp_path / encoding).shapes) == 2


def test_label_images_of_every_format(tmp_path, labels):
    tifffile.imwrite(tmp_path / "plain.tif", labels, photometric="minisblack")
    Image.fromarray(labels).save(tmp_path / "l.png")
    np.save(tmp_path / "l.npy", labels > 1)
    write_ome_zarr(
        tmp_path / "l.ome.zarr",
        [LabelImage(name, "#ff0000", stack_of(labels)) for name in ("a/b", "other")],
    )
    for name in ("plain.tif", "l.png"):
        (found,) = read_regions(tmp_path / name).labels
        assert np.array_equal(found.labels, labels)
        assert found.class_name is None
    assert np.array_equal(read_regions(tmp_path / "l.npy").labels[0].labels, labels > 1)
    for place in ("l.ome.zarr", "l.ome.zarr/labels"):
        found = read_regions(tmp_path / place)
        assert found.classes == ("a/b", "other")
        assert all(np.array_equal(one.labels, labels) for one in found.labels)
    assert read_regions(tmp_path / "l.ome.zarr/labels/a_b").classes == ("a/b",)


def test_channels_of_an_ome_tiff_are_classes(tmp_path, labels):
    both = np.stack([labels, labels + 5])
    write_ome_tiff(tmp_path / "b.tif", stack_of(both, (Axis("c"), *AXES), ("one", "two")))
    found = read_regions(tmp_path / "b.tif")
    assert found.classes == ("one", "two")
    assert np.array_equal(found.labels[1].labels, labels + 5)


@pytest.mark.parametrize(
    ("values", "why"),
    [(np.zeros((40, 50, 3), np.uint8), "colours"), (np.zeros((40, 50), np.float32), "float32")],
)
def test_what_has_no_labels_is_said(tmp_path, values, why):
    np.save(tmp_path / "image.npy", values)
    with pytest.raises(ExchangeError, match=f"holds {why} and no labels; name a file"):
        read_regions(tmp_path / "image.npy")


def test_files_that_are_not_there_or_hold_nothing(tmp_path):
    with pytest.raises(ExchangeError, match=r"gone\.zip cannot be read .*check the spelling"):
        read_regions(tmp_path / "gone.zip")
    (tmp_path / "none.geojson").write_text('{"features": []}')
    with pytest.raises(ExchangeError, match="holds no regions"):
        read_regions(tmp_path / "none.geojson")
    (tmp_path / "noise").write_bytes(bytes(range(7, 90)))
    with pytest.raises(ExchangeError, match="GeoJSON"):
        read_regions(tmp_path / "noise")


@pytest.mark.parametrize(
    "attributes",
    [
        {"ome": []},
        {"ome": {"labels": ["../../elsewhere"]}},
        {"ome": {"labels": ["gone"]}},
        {"ome": {"image-label": {"properties": [{"class": "a"}]}, "multiscales": [{}]}},
    ],
)
def test_an_ome_zarr_that_says_anything_is_one_sentence(tmp_path, attributes):
    zarr = pytest.importorskip("zarr")
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w", attributes=attributes)
    with pytest.raises(ExchangeError, match=r"a\.zarr"):
        read_regions(tmp_path / "a.zarr")


# --- writing -------------------------------------------------------------------------------------


def write_half(path):
    with written(path, "regions", overwrite=True) as part:
        part.mkdir()
        (part / "half").write_text("half")
        raise KeyboardInterrupt


def test_a_file_is_whole_or_not_there_and_replaced_only_when_asked(tmp_path):
    path = tmp_path / "a.json"
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert list(tmp_path.iterdir()) == []
    write_json({"a": 1}, path, "regions")
    with pytest.raises(ExchangeError, match=r"a\.json already exists"):
        write_json({"a": 2}, path, "regions")
    assert json.loads(path.read_text()) == {"a": 1}
    write_json({"a": 2}, path, "regions", overwrite=True)
    assert json.loads(path.read_text()) == {"a": 2}


def test_a_folder_is_replaced_whole_or_stays(tmp_path):
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "old").write_text("old")
    with (
        pytest.raises(ExchangeError, match="holds something else, and is not replaced"),
        written(path, "labels", overwrite=True),
    ):
        pass
    (path / ".zattrs").write_text('{"creator": "napari-dinov3-sim"}')
    with pytest.raises(ExchangeError, match="already exists"), written(path, "labels"):
        pass
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert sorted(each.name for each in path.iterdir()) == [".zattrs", "old"]
    with written(path, "labels", overwrite=True) as part:
        part.mkdir()
        (part / "new").write_text("new")
    assert [each.name for each in path.iterdir()] == ["new"]
    assert [each.name for each in tmp_path.iterdir()] == ["a.zarr"]


def test_no_two_images_share_a_file():
    names = ["A", "a", "a-2", "x" * 300, "../up", "\n", "a"]
    found = file_names(names, ".geojson")
    assert len({name.casefold() for name in found}) == len(names)
    assert all(Path(name).name == name and len(name) < 130 for name in found)
    assert found[:2] == ["A.geojson", "a-2.geojson"]

"""Labels and heatmaps as OME-TIFF, OME-Zarr and PNG, read with the libraries of their users."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_dinov3_sim.exchange import ome_tiff, ome_zarr
from napari_dinov3_sim.exchange.ome_tiff import PlaneStack, write_ome_tiff
from napari_dinov3_sim.exchange.ome_zarr import LabelImage, write_ome_zarr
from napari_dinov3_sim.exchange.pictures import write_label_png
from napari_dinov3_sim.exchange.placement import Axis, named_axes
from napari_dinov3_sim.exchange.shapes import ExchangeError
from napari_dinov3_sim.readers.lazy import OpenFiles
from napari_dinov3_sim.readers.reader import open_image_file

Y, X = Axis("y", 0.325, 10.0, "micrometer"), Axis("x", 0.65, -4.0, "micrometer")
Z, T = Axis("z", 2.0, 1.0, "micrometer"), Axis("t", 30.0, 0.0, "second")


def stack_of(values, axes, channels=()):
    return PlaneStack(values.shape, values.dtype, axes, lambda at, a, b: values[at][a:b], channels)


@pytest.fixture
def labels():
    return np.random.default_rng(0).integers(0, 9, (2, 3, 40, 50)).astype(np.uint16)


def test_a_stack_of_labels_keeps_axes_sizes_and_channels(tmp_path, labels, monkeypatch):
    monkeypatch.setattr(ome_tiff, "STRIP_BYTES", 700)  # several strips a plane, the last shorter
    path, five = tmp_path / "a.ome.tif", np.stack([labels, labels + 10], axis=1)
    write_ome_tiff(path, stack_of(five, (T, Axis("c"), Z, Y, X), ("nuclei", "µ other")))
    with tifffile.TiffFile(path) as tiff:
        assert tiff.series[0].axes == "TCZYX"
        assert np.array_equal(tiff.asarray(), five)
        pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
        assert not tiff.is_bigtiff
    sizes = {name: float(pixels.get(f"PhysicalSize{name}")) for name in "XYZ"}
    assert sizes == {"X": 0.65, "Y": 0.325, "Z": 2.0}
    assert {pixels.get(f"PhysicalSize{name}Unit") for name in "XYZ"} == {"µm"}
    assert (pixels.get("TimeIncrement"), pixels.get("TimeIncrementUnit")) == ("30.0", "s")
    assert [c.get("Name") for c in pixels.findall("{*}Channel")] == ["nuclei", "µ other"]
    places = [float(plane.get("PositionZ")) for plane in pixels.findall("{*}Plane")]
    assert places == [1.0, 3.0, 5.0] * 4


def test_a_heatmap_is_float_and_lies_where_its_image_lies(tmp_path):
    path, values = tmp_path / "h.ome.tif", np.random.default_rng(1).random((5, 7), np.float32)
    write_ome_tiff(path, stack_of(values, (Y, X), ("class 1",)))
    files = OpenFiles()
    (layer,) = open_image_file(path, "auto", files).layers
    assert np.array_equal(np.asarray(layer.levels[0]), values)
    assert layer.levels[0].dtype == np.float32
    assert layer.calibration.scale == (0.325, 0.65)
    assert layer.calibration.translate == (10.0, -4.0)
    assert layer.calibration.units == ("micrometer", "micrometer")
    files.close()
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        assert tags["ResolutionUnit"].value == 3
        across, down = (tags[f"{axis}Resolution"].value for axis in "XY")
    # Ratios of integers, of which older releases of tifffile have fewer digits.
    assert across[1] / across[0] == pytest.approx(0.65e-4, rel=1e-5)
    assert down[1] / down[0] == pytest.approx(0.325e-4, rel=1e-5)


@pytest.mark.parametrize(
    ("size", "unit", "png", "tags"),
    [
        (0.5, "nanometer", True, True),
        (1.0, "angstrom", False, True),
        (1.0, "picometer", False, False),
    ],
)
def test_pixels_smaller_than_headers_say_are_told_by_ome_alone(tmp_path, size, unit, png, tags):
    axes, values = (Axis("y", size, 0.0, unit), Axis("x", size, 0.0, unit)), np.ones((5, 7), "u1")
    write_label_png(tmp_path / "m.png", values, axes)
    with Image.open(tmp_path / "m.png") as picture:
        assert np.array_equal(np.asarray(picture), values)
        assert ("dpi" in picture.info) is png
    write_ome_tiff(tmp_path / "a.ome.tif", stack_of(values, axes))
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        # Without a size, tifffile says 1 pixel, of no unit.
        assert (tiff.pages[0].tags["ResolutionUnit"].value == 3) is tags
        pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
    assert float(pixels.get("PhysicalSizeX")) == size
    assert pixels.get("PhysicalSizeXUnit") == ome_tiff.OME_UNITS[unit]


def test_writing_ends_where_the_check_raises_and_the_file_may_be_large(tmp_path, labels):
    seen = []

    def check(done, total):
        seen.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_ome_tiff(tmp_path / "a.tif", stack_of(labels, (T, Z, Y, X)), check)
    assert seen == [(0, 6), (1, 6), (2, 6)]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_is_read_by_zarr_with_colours_and_levels(tmp_path, labels, version, monkeypatch):
    zarr = pytest.importorskip("zarr")
    monkeypatch.setattr(ome_zarr, "SMALLEST", 20)
    monkeypatch.setattr(ome_zarr, "CHUNK", 16)
    path, stack = tmp_path / "a.ome.zarr", stack_of(labels[:, 0], (T, Y, X))
    images = [
        LabelImage("nuclei", "#0a8cff", stack, {3: {"area": 2.5, "no": float("nan")}}),
        LabelImage("Nuclei", "#ff0000", stack),
        LabelImage("a/b", "#00ff00", stack),
    ]
    write_ome_zarr(path, images, version)
    root = zarr.open_group(str(path), mode="r")
    assert root.metadata.zarr_format == (3 if version == "0.5" else 2)

    def about(node):
        return dict(node.attrs)["ome"] if version == "0.5" else dict(node.attrs)

    assert about(root["labels"])["labels"] == ["nuclei", "Nuclei-2", "a_b"]
    node = root["labels/nuclei"]
    (multiscale,) = about(node)["multiscales"]
    assert multiscale["axes"] == [
        {"name": "t", "type": "time", "unit": "second"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    every = 1
    for dataset in multiscale["datasets"]:
        level = node[dataset["path"]][:]
        assert np.array_equal(level, labels[:, 0, ::every, ::every])
        scale, translation = dataset["coordinateTransformations"]
        assert scale["scale"] == [30.0, 0.325 * every, 0.65 * every]
        half = (every - 1) / 2
        assert translation["translation"] == [0.0, 10 + 0.325 * half, -4 + 0.65 * half]
        every *= 2
    assert every == 8
    image_label = about(node)["image-label"]
    values = np.unique(labels[:, 0])[1:].tolist()
    assert [one["label-value"] for one in image_label["colors"]] == values
    assert image_label["colors"][0]["rgba"] == [10, 140, 255, 255]
    assert image_label["source"] == {"image": "../../"}
    assert {"label-value": 3, "class": "nuclei", "area": 2.5} in image_label["properties"]
    (whole,) = about(root)["multiscales"]
    assert [d["path"] for d in whole["datasets"]] == [
        "labels/nuclei/0",
        "labels/nuclei/1",
        "labels/nuclei/2",
    ]


def test_any_reader_of_images_opens_the_labels(tmp_path, labels):
    path = tmp_path / "a.ome.zarr"
    write_ome_zarr(path, [LabelImage("nuclei", "#0a8cff", stack_of(labels[0, 0], (Y, X)))])
    files = OpenFiles()
    (layer,) = open_image_file(path, "auto", files).layers
    assert np.array_equal(np.asarray(layer.levels[0]), labels[0, 0])
    assert layer.calibration.scale == (0.325, 0.65)
    files.close()


@pytest.mark.parametrize(("most", "mode"), [(255, "L"), (65_535, "I;16")])
def test_png_masks_have_8_or_16_bits_and_a_size(tmp_path, most, mode):
    path, labels = tmp_path / "m.png", np.array([[0, 1], [most, -1]])
    write_label_png(path, labels, (Y, X))
    with Image.open(path) as picture:
        assert picture.mode == mode
        assert np.array_equal(np.asarray(picture), [[0, 1], [most, 0]])
        assert picture.info["dpi"] == pytest.approx((25_400 / 0.65, 25_400 / 0.325), rel=1e-3)


def test_what_no_png_holds_is_said(tmp_path):
    with pytest.raises(ExchangeError, match="label 65536; write the labels as OME-TIFF"):
        write_label_png(tmp_path / "m.png", np.array([[65_536]]), (Y, X))


@pytest.mark.parametrize(
    ("labels", "units", "names"),
    [
        (["-2", "-1"], ["pixel", "pixel"], "yx"),
        (["-3", "-2", "-1"], ["pixel"] * 3, "zyx"),
        (["-3", "-2", "-1"], ["second", "micrometer", "micrometer"], "tyx"),
        (["-5", "-4", "-3", "-2", "-1"], ["pixel"] * 5, "ctzyx"),
        (["z", "t", "y", "x"], ["pixel"] * 4, "ztyx"),
        (["z", "z", "y", "x"], ["pixel"] * 4, "tzyx"),
        (["Channel", "Time", "y", "x"], ["pixel"] * 4, "ctyx"),
    ],
)
def test_axes_have_names_that_files_carry(labels, units, names):
    assert "".join(named_axes(labels, units)) == names

"""Every row of the page on file formats is true of a file that is written here."""

from __future__ import annotations

import gc
import re
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_dinov3_sim.cli.reading.open_file import OpenFile
from napari_dinov3_sim.readers.errors import InputError
from napari_dinov3_sim.readers.lazy import OpenFiles
from napari_dinov3_sim.readers.reader import open_image_file

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")


def table_after(heading):
    lines = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    rows = [line for line in lines if line.startswith("|")][2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


READ = {row[0]: row for row in table_after("What is read")}
PLUGINS = [
    (suffix, row[1].strip("`"))
    for row in table_after("What needs a plugin")
    for suffix in re.findall(r"`(\.\w+)`", row[0])
    or {"NRRD, MetaImage": [".nrrd", ".mha"], "NIfTI": [".nii", ".nii.gz"], "HDF5": [".h5"]}[
        row[0]
    ]
]

SIDE = 2100
"""Large enough for more than one group of tiles, and more than one of rows."""


def large(*leading, dtype=np.uint8):
    image = np.zeros((*leading, SIDE, SIDE), dtype)
    image[..., ::7, ::5] = 9
    return image


CENTIMETRE = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}


def tiff(path, image, **options):
    tifffile.imwrite(path, image, photometric="minisblack", **options)
    return path


def svs(path):
    rgb = np.stack([large()] * 3, -1)
    about = {"photometric": "rgb", "metadata": None, "tile": (256, 256)}
    text = "Aperio Image Library v1\r\n2100x2100 |MPP = 0.5|AppMag = 20"
    with tifffile.TiffWriter(path) as writer:
        writer.write(rgb, description=text, **about)
        writer.write(np.ascontiguousarray(rgb[::8, ::8]), description=text, **about)
        writer.write(np.ascontiguousarray(rgb[::4, ::4]), description=text, **about)
    return path


def animation(path):
    frames = [Image.fromarray(np.full((40, 40), n, np.uint8)) for n in (9, 99)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


def picture(path, *samples):
    image = np.random.default_rng(0).integers(0, 255, (40, 50, *samples), dtype=np.uint8)
    Image.fromarray(image).save(path)
    return path


def jpeg2000(path):
    path.write_bytes(imagecodecs.jpeg2k_encode(large()[:40, :50]))
    return path


def npy(path):
    np.save(path, large(2, dtype=np.float64))
    return path


def plain_zarr(path):
    zarr.create_array(path, data=large(), chunks=(700, 700))
    return path


def ome_zarr(path, *, plate):
    root = zarr.open_group(path, mode="w")
    if plate:
        root.attrs["ome"] = {"plate": {"wells": [{"path": "A/1"}]}}
        well = root.create_group("A").create_group("1")
        well.attrs["ome"] = {"well": {"images": [{"path": "0"}]}}
        root = well.create_group("0")
    root.create_array("0", data=large(2), chunks=(1, 700, 700))
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    where = [
        {"type": "scale", "scale": [1, 0.5, 0.5]},
        {"type": "translation", "translation": [0, 7, 8]},
    ]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": where}]}
    channels = [{"label": "DAPI"}, {"label": "GFP"}]
    root.attrs["ome"] = {"multiscales": [image], "omero": {"channels": channels}}
    return path


FILES = {
    "TIFF, BigTIFF": lambda at: tiff(at / "a.tif", large(dtype=np.float64), **CENTIMETRE),
    "TIFF, compressed in strips": lambda at: tiff(
        at / "a.tif", large(2), compression="lzw", **CENTIMETRE
    ),
    "TIFF, tiled": lambda at: tiff(
        at / "a.tif", large(), tile=(256, 256), compression="zlib", **CENTIMETRE
    ),
    "OME-TIFF": lambda at: tiff(
        at / "a.ome.tif",
        large(2, 2),
        compression="zlib",
        metadata={
            "axes": "TCYX",
            "PhysicalSizeX": 0.5,
            "PhysicalSizeY": 0.5,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeYUnit": "µm",
            "TimeIncrement": 2.0,
            "TimeIncrementUnit": "s",
            "Channel": {"Name": ["DAPI", "GFP"]},
        },
    ),
    "ImageJ TIFF": lambda at: tiff(
        at / "a.tif",
        large(3, dtype=np.float32),
        imagej=True,
        resolution=(2, 2),
        metadata={"axes": "ZYX", "unit": "um", "spacing": 3.0},
    ),
    "Aperio SVS and other scanned slides": lambda at: svs(at / "a.svs"),
    "PNG": lambda at: picture(at / "a.png", 4),
    "JPEG, MPO": lambda at: picture(at / "a.jpg", 3),
    "JPEG 2000": lambda at: jpeg2000(at / "a.jp2"),
    "GIF, WebP, APNG": lambda at: animation(at / "a.gif"),
    "BMP and others that Pillow knows": lambda at: picture(at / "a.bmp", 3),
    "NumPy `.npy`": lambda at: npy(at / "a.npy"),
    "Zarr array": lambda at: plain_zarr(at / "a.zarr"),
    "OME-Zarr": lambda at: ome_zarr(at / "a.zarr", plate=False),
    "OME-Zarr plate or well": lambda at: ome_zarr(at / "a.zarr", plate=True),
}


@pytest.mark.parametrize("row", READ)
def test_a_row_is_true(tmp_path, row):
    _, _, library, at_a_time, metadata = READ[row]
    path = FILES[row](tmp_path)
    layers = open_image_file(path, "auto", OpenFiles()).layers
    layer = layers[0]
    assert library
    assert np.asarray(layer.levels[-1]).max() > 0
    blocks, leading = layer.levels[0].numblocks, len(layer.shape) - 2
    rows, columns = blocks[leading : leading + 2]
    match at_a_time:
        case "rows":
            assert rows > 1 or leading > 0
            assert columns == 1
        case "tile":
            assert rows > 1
            assert columns > 1
        case "page" | "picture":
            assert (rows, columns) == (1, 1)
        case "frame":
            assert blocks[:3] == (2, 1, 1)
        case "chunk":
            assert np.prod(blocks) > 1
        case _:
            raise AssertionError(at_a_time)
    known = layer.calibration
    if "pixel size" in metadata:
        assert known.scale[-2:] == (0.5, 0.5)
        assert known.units[-2:] == ("micrometer", "micrometer")
    assert ("time step" in metadata) <= (known.scale[0] == 2.0 and known.units[0] == "second")
    assert ("z spacing" in metadata) <= (known.scale[0] == 3.0)
    assert ("names of images and channels" in metadata) <= (layer.title == "DAPI")
    if "scale, translation" in metadata:
        assert (known.scale, known.translate) == ((0.5, 0.5), (7, 8))
        assert layer.title.endswith("DAPI")
    if metadata == "–":
        assert not known.is_known


def test_no_row_is_left_out():
    assert set(FILES) == set(READ)


@pytest.mark.filterwarnings("ignore")  # napari's own reader leaves files open
@pytest.mark.parametrize(("suffix", "install"), PLUGINS)
def test_a_format_that_needs_a_plugin_says_which(tmp_path, suffix, install):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(bytes(range(256)) * 8)
    with pytest.raises(InputError) as caught:
        OpenFile(path)
    assert f"`{install}`" in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    del caught
    gc.collect()

"""A header says any size in a few bytes: it is refused before anything is made of that size."""

from __future__ import annotations

import json
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images import intensity
from napari_dinov3_sim.core.images.intensity import check_shape
from napari_dinov3_sim.core.images.scanning import scan_pixels
from napari_dinov3_sim.core.images.sources import ArraySource

MEBIBYTE = 2**20


def write_zarr(folder, shape, chunks, name="a.zarr", **attributes):
    metadata = {
        **{"zarr_format": 2, "shape": shape, "chunks": chunks, "dtype": "|u1", "order": "C"},
        **{"fill_value": 0, "compressor": None, "filters": None},
    }
    (folder / name).mkdir()
    (folder / name / ".zarray").write_text(json.dumps(metadata))
    return name


COMMANDS = {
    "embed": ("--out", "o", "--model", "builtin"),
    "similarity": ("--at", 5, 5, "--out", "o", "--model", "builtin"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("shape", "chunks", "reason"),
    [
        ([10**9, 64, 64], [1, 64, 64], "has 1000000000 planes, and at most"),
        ([2**63, 64, 64], [1, 64, 64], "planes, and at most"),
        ([1000, 1000, 64, 64], [1, 1, 64, 64], "has 1000000 planes, and at most"),
        ([2**40, 2**40], [64, 64], "more than can be embedded"),
        ([2**40, 64], [64, 64], "more than can be embedded"),
        ([64, 2**40], [64, 64], "more than can be embedded"),
        ([3, 10**30, 64], [1, 64, 64], "more than can be embedded"),
        ([2**20, 2**20], [64, 64], "more than can be embedded"),
        ([2**18, 2**18], [2**18, 2**18], "has chunks of 64.0 GiB"),
        ([64, 64], [2**62, 64], "has chunks of"),
        ([64, 64], [0, 64], "has chunks without pixels"),
        ([0, 2**63], [64, 64], "has no pixels"),
        ([0, 2**40, 64, 64], [1, 1, 64, 64], "planes, and at most"),
        ([1] * 100 + [64, 64], [1] * 100 + [64, 64], "has 102 axes"),
        ([64], [64], "has 1 axis"),
    ],
    ids=str,
)
def test_a_zarr_of_an_absurd_size(cli, folder, command, shape, chunks, reason):
    name = write_zarr(folder, shape, chunks)
    tracemalloc.start()
    try:
        text = cli(command, name, *COMMANDS[command]).refusal
        assert tracemalloc.get_traced_memory()[1] < 32 * MEBIBYTE
    finally:
        tracemalloc.stop()
    assert reason in text
    assert f"error: {name}" in text


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("where", ["array", "level", "consolidated"])
def test_a_zarr_of_absurdly_long_texts(cli, folder, version, where):
    """A fill value of a gigabyte would be made when it is opened."""
    group, array = ".zgroup", ".zarray"
    metadata = {"zarr_format": version, "shape": [64, 64], "fill_value": 0}
    if version == 2:
        metadata |= {"chunks": [64, 64], "dtype": "|S1000000000", "order": "C"}
        metadata |= {"compressor": None, "filters": None}
    else:
        group = array = "zarr.json"
        text = {"name": "null_terminated_bytes", "configuration": {"length_bytes": 10**9}}
        grid = {"name": "regular", "configuration": {"chunk_shape": [64, 64]}}
        metadata |= {"node_type": "array", "data_type": text, "chunk_grid": grid}
        metadata |= {"codecs": [{"name": "bytes"}], "fill_value": "", "attributes": {}}
        metadata |= {"chunk_key_encoding": {"name": "default"}}
    level = folder / "a.zarr" if where == "array" else folder / "a.zarr" / "0"
    level.mkdir(parents=True)
    (level / array).write_text(json.dumps(metadata))
    if where != "array":
        image = {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]}
        about = {"zarr_format": version, "node_type": "group", "attributes": {"ome": image}}
        if where == "consolidated" and version == 3:
            about["consolidated_metadata"] = {
                **{"kind": "inline", "must_understand": False, "metadata": {"0": metadata}}
            }
        (folder / "a.zarr" / group).write_text(json.dumps(about))
        (folder / "a.zarr" / ".zattrs").write_text(json.dumps(image))
        if where == "consolidated" and version == 2:
            all_of_it = {"0/.zarray": metadata, ".zattrs": image, ".zgroup": {"zarr_format": 2}}
            content = {"zarr_consolidated_format": 1, "metadata": all_of_it}
            (folder / "a.zarr" / ".zmetadata").write_text(json.dumps(content))
    tracemalloc.start()
    try:
        text = cli("embed", "a.zarr", *COMMANDS["embed"]).refusal
        assert tracemalloc.get_traced_memory()[1] < 32 * MEBIBYTE
    finally:
        tracemalloc.stop()
    assert "holds texts or bytes instead of numbers; name an array of numbers" in text


def test_an_ome_zarr_of_an_absurd_number_of_channels(cli, folder):
    write_zarr(folder, [1, 10**9, 64, 64], [1, 1, 64, 64], "0")
    (folder / "b.zarr").mkdir()
    (folder / "0").rename(folder / "b.zarr" / "0")
    (folder / "b.zarr" / ".zgroup").write_text('{"zarr_format": 2}')
    axes = [{"name": name} for name in "tcyx"]
    image = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    (folder / "b.zarr" / ".zattrs").write_text(json.dumps(image))
    assert "has 1000000000 planes" in cli("embed", "b.zarr", *COMMANDS["embed"]).refusal


@pytest.mark.parametrize("side", [2**17, 2**20, 2**31 - 1])
@pytest.mark.parametrize("planes", [1, 2, 3])
def test_a_tiff_that_promises_more_than_it_has_bytes_for(cli, folder, side, planes):
    tifffile.imwrite(
        "a.tif", np.zeros((planes, 64, 64), np.uint8), compression="zlib", photometric="minisblack"
    )
    content = bytearray((folder / "a.tif").read_bytes())
    with tifffile.TiffFile("a.tif") as tiff:
        for page in tiff.pages:
            for tag in (page.tags["ImageWidth"], page.tags["ImageLength"]):
                content[tag.offset + 2 : tag.offset + 4] = struct.pack("<H", 4)
                content[tag.valueoffset : tag.valueoffset + 4] = struct.pack("<I", side)
    (folder / "a.tif").write_bytes(content)
    assert (
        "seems damaged or cut short (it promises"
        in cli("embed", "a.tif", *COMMANDS["embed"]).refusal
    )


def test_a_tiff_of_an_absurd_number_of_samples(cli, folder):
    """Each would be a channel, and an image of its own."""
    tifffile.imwrite("a.tif", np.zeros((64, 64), np.uint8), tile=(16, 16), compression="zlib")
    content = bytearray((folder / "a.tif").read_bytes())
    with tifffile.TiffFile("a.tif") as tiff:
        at = tiff.pages.first.tags["SamplesPerPixel"].valueoffset
    content[at : at + 2] = struct.pack("<H", 2**15)
    (folder / "a.tif").write_bytes(content)
    text = cli("embed", "a.tif", *COMMANDS["embed"]).refusal
    assert "it promises 32768 samples of each pixel" in text


def test_a_picture_that_promises_much_more_than_its_bytes(cli, folder, picture):
    content = bytearray((folder / "rgb.png").read_bytes())
    content[16:24] = struct.pack(">II", 64, 2**20)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (folder / "rgb.png").write_bytes(content)
    assert "it promises 0.2 GiB of pixels" in cli("embed", "rgb.png", *COMMANDS["embed"]).refusal


def promise_of_a_frame(path):
    frames = [Image.fromarray(np.full((48, 64, 3), n, np.uint8)) for n in (0, 1, 2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    content = path.read_bytes()
    at = content.index(b"IDAT") - 4
    path.write_bytes(content[:at] + struct.pack(">I", 2**29) + content[at + 4 :])


def promise_of_a_header(path):
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.zeros((48, 64)), version=(2, 0))
    content = path.read_bytes()
    path.write_bytes(content[:8] + struct.pack("<I", 2**29) + content[12:])


@pytest.mark.parametrize(
    ("name", "damage"), [("a.png", promise_of_a_frame), ("a.npy", promise_of_a_header)]
)
def test_no_more_is_read_than_the_file_has(cli, folder, name, damage):
    """Pillow and NumPy read at once what a header promises, up to 4 GiB."""
    damage(folder / name)
    cli("embed", name, *COMMANDS["embed"])  # imports take memory too
    tracemalloc.start()
    try:
        outcome = cli("embed", name, *COMMANDS["embed"])
        assert tracemalloc.get_traced_memory()[1] < 64 * MEBIBYTE
    finally:
        tracemalloc.stop()
    assert outcome.code == 2
    assert f"{name} seems damaged or cut short" in outcome.err


# --- in the core --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2**20 + 1, 1), (1, 2**20 + 1), (2**19, 2**18), (2**70, 3, 3)])
def test_a_plane_that_no_memory_can_hold_is_refused(shape):
    with pytest.raises(ImageError, match=r"more than can be embedded .*; crop it, or"):
        check_shape(shape)


def test_a_plane_as_large_as_allowed_is_not():
    check_shape((intensity.MAX_SIDE, intensity.MAX_PIXELS // intensity.MAX_SIDE))
    check_shape((2**18, 2**18, 3))


class _Zeros:
    """An array of zeros that takes no memory."""

    dtype = np.dtype(np.uint8)

    def __init__(self, shape, chunks):
        self.shape, self.chunks = shape, chunks

    def __getitem__(self, index):
        lengths = (len(range(*one.indices(n))) for one, n in zip(index, self.shape, strict=True))
        return np.zeros(tuple(lengths), np.uint8)


def test_a_scan_holds_no_more_than_the_rows_it_is_at():
    source = ArraySource(_Zeros((2**16, 8), (2**10, 8)))
    tracemalloc.start()
    try:
        found = scan_pixels(source)
        # A hash for each of 65536 rows would be 10 MiB.
        assert tracemalloc.get_traced_memory()[1] < 8 * MEBIBYTE
    finally:
        tracemalloc.stop()
    assert found.digest == scan_pixels(ArraySource(np.zeros((2**16, 8), np.uint8))).digest

"""Files that are damaged anywhere: read, or refused in one line, in little memory.

``MUTATIONS=300`` tries more of each format than a run of all tests does.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

COUNT = int(os.environ.get("MUTATIONS", "6"))
MOST_BYTES = 2**30


def write_tiff(path, **options):
    image = np.random.default_rng(0).integers(0, 4000, (48, 64), dtype=np.uint16)
    tifffile.imwrite(path, image, photometric="minisblack", **options)


def write_picture(path, mode="RGB", **options):
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(image).convert(mode).save(path, **options)


def write_pyramid(path):
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    with tifffile.TiffWriter(path) as tiff:
        options = {"tile": (16, 16), "compression": "jpeg", "photometric": "rgb"}
        tiff.write(image, subifds=1, **options)
        tiff.write(image[::2, ::2], subfiletype=1, **options)


def write_deep_png(path):
    image = np.random.default_rng(0).integers(0, 60000, (48, 64, 3), dtype=np.uint16)
    path.write_bytes(imagecodecs.png_encode(image))


def write_npy(path):
    np.save(path, np.random.default_rng(0).random((48, 64)))


def write_zarr(path, version):
    array = zarr.create_array(
        path, shape=(48, 64), chunks=(24, 32), dtype="u2", zarr_format=version
    )
    array[:] = np.random.default_rng(0).integers(0, 4000, (48, 64), dtype=np.uint16)


FORMATS = {
    "plain.tif": write_tiff,
    "lzw.tif": lambda path: write_tiff(path, compression="lzw"),
    "tiles.tif": lambda path: write_tiff(path, compression="zlib", tile=(16, 16)),
    "a.ome.tif": lambda path: write_tiff(path, compression="zlib"),
    "ij.tif": lambda path: write_tiff(path, imagej=True),
    "pyramid.tif": write_pyramid,
    "a.png": write_picture,
    "deep.png": write_deep_png,
    "a.jpg": write_picture,
    "a.gif": lambda path: write_picture(path, "P"),
    "a.webp": write_picture,
    "a.bmp": write_picture,
    "a.jp2": write_picture,
    "a.npy": write_npy,
    "two.zarr": lambda path: write_zarr(path, 2),
    "three.zarr": lambda path: write_zarr(path, 3),
}


def mutate(content, random):
    """Return bytes with some of them changed, removed, or cut off."""
    found = bytearray(content)
    if random.random() < 0.3:
        return bytes(found[: random.integers(1, len(found))])
    # The beginning says how the rest is read.
    reach = len(found) if random.random() < 0.5 else min(len(found), 512)
    for _ in range(random.integers(1, 9)):
        found[random.integers(0, reach)] = random.integers(0, 256)
    return bytes(found)


def mutate_in(folder, random):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    chosen = files[random.integers(0, len(files))]
    chosen.write_bytes(mutate(chosen.read_bytes(), random))


def memory():
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


@pytest.mark.filterwarnings("ignore")  # of readers, about what they are given
@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_read_or_refused_in_one_line(cli, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    sound = Path("sound") / name
    sound.parent.mkdir()
    FORMATS[name](sound)
    options = ("--out", "store", "--model", "builtin")
    assert cli("embed", sound, *options).code == 0
    before = memory()
    for number in range(COUNT):
        random = np.random.default_rng(number)
        target = Path(f"{number}") / name
        target.parent.mkdir()
        if sound.is_dir():
            shutil.copytree(sound, target)
            mutate_in(target, random)
        else:
            target.write_bytes(mutate(sound.read_bytes(), random))
        result = cli("embed", target, *options)
        lines = [line for line in result.err.splitlines() if "error:" in line]
        assert result.code in (0, 2), (number, result)
        assert len(lines) == (result.code == 2), (number, result)
        assert "Traceback" not in result.err
        if lines:
            assert str(target) in lines[0], (number, lines)
    assert memory() - before < MOST_BYTES

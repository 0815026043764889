"""Headers that promise what cannot be, in a few bytes, of every format that has one."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from .children import GOOD, command, done, embed, some_of
from .image_files import FORMATS
from .stored_files import absurd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXTREMES = (0, 1, 2**15, 2**16 - 1, 2**17, 2**20, 2**31 - 1, 2**31, 2**32 - 1)


def npy() -> Iterator[bytes]:
    """Yield .npy files whose header lies."""
    shapes = ["(2**62,)", "(-1, 64)", "(64, 64, 2**40)", "(1000000000000, 64)", "(0, 0)", "()"]
    shapes += ["(64, 64.0)", "None", "(True, 64)", f"({'1, ' * 100})", f"({'9' * 400}, 64)"]
    shapes = [one.replace("2**62", str(2**62)).replace("2**40", str(2**40)) for one in shapes]
    types = ["|O", "<f8", "<U1000000000", "|V4000000000", "<M8[ns]", "c16", ",".join(["u1"] * 99)]
    types += ["", "x", "|b1", "<f2", ">u2"]
    headers = [f"{{'descr': '|u1', 'fortran_order': False, 'shape': {one}}}" for one in shapes]
    headers += [
        f"{{'descr': {one!r}, 'fortran_order': {order}, 'shape': (64, 64)}}"
        for one in types
        for order in (False, True)
    ]
    headers += ["", "{}", "[" * 5000, "__import__('os').abort()", "{'descr': '|u1'}", "\0" * 64]
    for text in headers:
        content = text.encode() + b"\n"
        for version, form in ((1, "<H"), (2, "<I")):
            if len(content) < 2**16:
                start = b"\x93NUMPY" + bytes((version, 0)) + struct.pack(form, len(content))
                yield start + content + bytes(4096)
    for size in (0, 2**16 - 1):
        yield b"\x93NUMPY\x01\x00" + struct.pack("<H", size) + bytes(64)
    yield b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + bytes(64)


def tiff(sound: bytes) -> Iterator[bytes]:
    """Yield TIFF files in which a number of a tag is an extreme one, or whose pages never end."""
    first = struct.unpack_from("<I", sound, 4)[0]
    count = struct.unpack_from("<H", sound, first)[0]
    for entry in range(first + 2, first + 2 + 12 * count, 12):
        tag, sort, number = struct.unpack_from("<HHI", sound, entry)
        for extreme in EXTREMES:
            changed = bytearray(sound)
            struct.pack_into("<HHII", changed, entry, tag, 4, 1, extreme)
            yield bytes(changed)
        for many in (0, 2**31, 2**32 - 1):
            changed = bytearray(sound)
            struct.pack_into("<HHI", changed, entry, tag, sort, many)
            yield bytes(changed)
        changed = bytearray(sound)
        struct.pack_into("<HHI", changed, entry, tag, 200, number)
        yield bytes(changed)
    behind = first + 2 + 12 * count
    for where in (4, behind):
        for offset in (first, 0, 1, 8, len(sound), 2**32 - 1):
            changed = bytearray(sound)
            struct.pack_into("<I", changed, where, offset)
            yield bytes(changed)
    for pages in (1, 2**16 - 1):
        changed = bytearray(sound)
        struct.pack_into("<H", changed, first, pages)
        yield bytes(changed)


def png(sound: bytes) -> Iterator[bytes]:
    """Yield PNG files with absurd sizes and depths, and with a text that unpacks to 1 GB."""
    for width in (*EXTREMES, 64):
        for height in (*EXTREMES, 48):
            for depth, colour in ((8, 2), (16, 6), (1, 0), (3, 9)):
                header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
                yield sound[:8] + chunk(b"IHDR", header) + sound[33:]
    packed = zlib.compress(bytes(2**26), 9)
    for name, begin in ((b"zTXt", b"a\0\0"), (b"iCCP", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0")):
        yield sound[:33] + chunk(name, begin + packed) + sound[33:]
    yield sound[:33] + struct.pack(">I", 2**31 - 1) + b"tEXt" + sound[33:]


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of PNG."""
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def small(sound: bytes, places: tuple[int, ...], form: str) -> Iterator[bytes]:
    """Yield a file in which the numbers at some places are extreme ones."""
    most = 256 ** struct.calcsize(form) - 1
    for one in EXTREMES:
        for two in EXTREMES:
            changed = bytearray(sound)
            for place, number in zip(places, (one, two), strict=True):
                struct.pack_into(form, changed, place, min(number, most))
            yield bytes(changed)


def jpeg(sound: bytes) -> Iterator[bytes]:
    """Yield JPEG files of an absurd size."""
    frame = sound.index(b"\xff\xc0")
    return small(sound, (frame + 5, frame + 7), ">H")


def pictures(folder: Path, share: float) -> Iterator[str]:
    """Embed files of every format whose headers promise what cannot be."""
    names = ("a.png", "plain.tif", "tiles.tif", "a.jpg", "a.bmp", "a.gif")
    for name in names:
        done(lambda name=name: FORMATS[name](folder / name))
    sound = {name: (folder / name).read_bytes() for name in names}
    versions = {
        "a.npy": list(npy()),
        "plain.tif": list(tiff(sound["plain.tif"])),
        "tiles.tif": list(tiff(sound["tiles.tif"])),
        "a.png": list(png(sound["a.png"])),
        "a.jpg": list(jpeg(sound["a.jpg"])),
        "a.bmp": list(small(sound["a.bmp"], (18, 22), "<I")),
        "a.gif": list(small(sound["a.gif"], (6, 8), "<H")),
    }
    for name, contents in versions.items():
        for content in some_of(contents, share):
            (folder / name).write_bytes(content)
            came = embed(folder / name, folder / "e")
            yield came if came in GOOD else f"{came} {name} {content[:40]!r}"


def zarrs(folder: Path, share: float) -> Iterator[str]:
    """Embed Zarr arrays of a few bytes with absurd shapes, chunks and types."""
    # An image of 2**20 rows is none that cannot be.
    lengths = (0, 1, 2**20 + 1, 2**40, 2**63, 10**30, -1)
    shapes = [
        (*ahead, y, x) for ahead in ((), (3,), (10**9,)) for y in lengths for x in (64, 2**40)
    ]
    cases = [
        (shape, chunks, dtype)
        for shape in shapes
        for chunks in ((64, 64), (2**40, 64), (0, 64), tuple(shape[-2:]))
        for dtype in ("|u1", "<f8", "|O", "|S1000000000", "<M8[ns]")
    ]
    for number, (shape, chunks, dtype) in enumerate(some_of(cases, share)):
        path = folder / f"{number}.zarr"
        path.mkdir()
        whole = [1] * (len(shape) - 2) + list(chunks)
        metadata = {"zarr_format": 2, "shape": list(shape), "chunks": whole, "dtype": dtype}
        metadata |= {"order": "C", "fill_value": 0, "compressor": None, "filters": None}
        (path / ".zarray").write_text(json.dumps(metadata))
        came = embed(path, folder / "e")
        yield came if came in GOOD else f"{came} {metadata}"
        shutil.rmtree(path)


def weights(folder: Path, share: float) -> Iterator[str]:
    """Load weights, search with a query and find embeddings whose headers lie."""
    from napari_dinov3_sim.backbones.files.locate import BUILTIN_FOLDER

    source = BUILTIN_FOLDER / "model.safetensors"
    np.save(folder / "a.npy", np.arange(4096, dtype=np.uint8).reshape(64, 64))
    here = folder / "weights.safetensors"
    for content in some_of(list(absurd(source.read_bytes())), share):
        here.write_bytes(content)
        yield embed(folder / "a.npy", folder / "o", model=here)
    options = ("--out", folder / "r", "--model", "builtin", "--overwrite")
    click = ("similarity", folder / "a.npy", "--at", 5, 5, *options)
    command(*click, "--save-query", folder / "q").wait()
    sound = (folder / "q").read_bytes()
    for content in some_of(list(absurd(sound)), share):
        (folder / "q").write_bytes(content)
        yield command("search", folder / "q", folder / "a.npy", *options).wait().verdict

"""Files of every sort: each property of a file together with each property of another sort."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import imagecodecs
import imageio.v3 as imageio
import numpy as np
import tifffile
import zarr
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEIGHT, WIDTH = 32, 48

Planes = list[np.ndarray]
"""What a file holds, plane by plane, in the order in which they are searched."""


@dataclass(frozen=True)
class Combination:
    """A file that is to be written.

    Attributes
    ----------
    container : str
    properties : dict
    write : callable
        Writes it into a folder; returns its path and the true planes.
    """

    container: str
    properties: dict[str, Any]
    write: Callable[[Path], tuple[Path, Planes]] = field(repr=False)

    def __str__(self) -> str:
        values = (str(value) for value in self.properties.values() if value is not None)
        return "-".join((self.container, *values))


def covering(values: dict[str, list[Any]], is_valid: Callable[..., bool]) -> list[dict[str, Any]]:
    """Return combinations among which every pair of values that may stand together does."""
    names = list(values)
    every = [dict(zip(names, one, strict=True)) for one in itertools.product(*values.values())]
    every = [one for one in every if is_valid(**one)]
    random.Random(0).shuffle(every)
    seen: set[frozenset[tuple[str, str]]] = set()
    chosen = []
    for one in every:
        items = [(name, str(value)) for name, value in one.items()]
        pairs = {frozenset(pair) for pair in itertools.combinations(items, 2)}
        if not pairs <= seen:
            seen |= pairs
            chosen.append(one)
    return chosen


def content(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    """Return spots that fill the range of a dtype, other ones in each plane and channel."""
    random_ = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]

    def plane() -> np.ndarray:
        spots = [
            np.exp(
                -((rows - random_.uniform(2, 30)) ** 2 + (columns - random_.uniform(2, 46)) ** 2)
                / random_.uniform(20, 70)
            )
            for _ in range(8)
        ]
        total = np.sum(spots, axis=0)
        return total / total.max()

    values = np.stack([plane() for _ in range(int(np.prod(shape, dtype=int)))])
    values = values.reshape(*shape, HEIGHT, WIDTH)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return values > 0.4
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        low, high = max(limits.min, -(2**31)), min(limits.max, 2**32 - 1)
        return (low + values * (high - low)).round().astype(kind)
    return (values * 3 - 1).astype(kind)


# --- TIFF ---------------------------------------------------------------------------------------

TIFF = {
    "dtype": ["bool", "u1", "i2", "u2", "u4", "f2", "f4"],
    "compression": [None, "lzw", "zstd", "packbits", "deflate+predictor"],
    "byteorder": ["<", ">"],
    "layout": [
        *("plane", "rgb", "rgba", "planar rgb", "z stack", "colour stack", "two samples"),
        *("five samples", "ImageJ channels", "OME channels", "OME images", "gray alpha"),
        *("miniswhite", "lookup table", "palette", "cmyk"),
    ],
    "storage": ["strips", "tiles", "pyramid", "bigtiff"],
}


def is_tiff(dtype, compression, byteorder, layout, storage) -> bool:
    kind = np.dtype(dtype)
    if compression == "deflate+predictor" and (kind.kind == "b" or dtype == "f2"):
        return False
    if dtype == "f2" and layout.startswith("OME"):  # tifffile writes none
        return False
    if dtype == "bool" and (layout not in ("plane", "z stack") or compression == "packbits"):
        return False
    if dtype == "bool" and storage in ("tiles", "pyramid"):
        return False
    if layout == "ImageJ channels":
        return dtype in ("u1", "u2", "f4") and storage == "strips" and compression is None
    if layout in ("lookup table", "palette"):
        return dtype == "u1" and storage != "pyramid"
    if layout == "cmyk":
        return dtype in ("u1", "u2") and storage != "pyramid"
    if layout == "miniswhite":
        return kind.kind in "iu"
    if storage == "pyramid":
        return layout in ("plane", "rgb", "z stack", "OME channels")
    return True


def write_tiff(folder, dtype, compression, byteorder, layout, storage) -> tuple[Path, Planes]:
    options: dict[str, Any] = {}
    if compression == "deflate+predictor":
        options |= {"compression": "zlib", "predictor": True}
    elif compression is not None:
        options["compression"] = compression
    if storage in ("tiles", "pyramid"):
        options["tile"] = (16, 16)
    is_ome = layout.startswith("OME")
    path = folder / ("a.ome.tif" if is_ome else "a.tif")
    file = {"byteorder": byteorder, "bigtiff": storage == "bigtiff"}
    if layout == "ImageJ channels":
        image = content((3,), dtype)
        tifffile.imwrite(path, image, imagej=True, byteorder=">", metadata={"axes": "CYX"})
        return path, list(image)
    with tifffile.TiffWriter(path, ome=is_ome, **file) as tiff:
        planes = _write_layout(tiff, layout, dtype, options, pyramid=storage == "pyramid")
    return path, planes


def _write_layout(tiff, layout, dtype, options, *, pyramid) -> Planes:
    levels = {"subifds": 1} if pyramid else {}

    def write(image, **more):
        tiff.write(image, **options, **levels, **more)
        if pyramid:
            rows = image.ndim - (3 if more.get("photometric") == "rgb" else 2)
            key = (*(slice(None),) * rows, slice(None, None, 2), slice(None, None, 2))
            more.pop("metadata", None)
            half = np.ascontiguousarray(image[key])
            tiff.write(half, **options, subfiletype=1, metadata=None, **more)

    interleaved = {"planarconfig": "contig"}
    match layout:
        case "plane" | "miniswhite":
            image = content((), dtype)
            photometric = "miniswhite" if layout == "miniswhite" else "minisblack"
            write(image, photometric=photometric)
            return [image]
        case "rgb" | "rgba":
            image = np.moveaxis(content((len(layout),), dtype), 0, -1)
            more = {"extrasamples": ["unassalpha"]} if layout == "rgba" else {}
            write(np.ascontiguousarray(image), photometric="rgb", **more)
            return [image]
        case "planar rgb":
            image = content((3,), dtype)
            options = {**options, "software": "vips", "metadata": None}
            write(image, photometric="rgb", planarconfig="separate")
            return [np.moveaxis(image, 0, -1)]
        case "z stack":
            image = content((3,), dtype)
            write(image, photometric="minisblack")
            return list(image)
        case "colour stack":
            image = np.moveaxis(content((2, 3), dtype), 1, -1)
            write(np.ascontiguousarray(image), photometric="rgb")
            return list(image)
        case "two samples" | "five samples":
            image = content((2 if layout == "two samples" else 5,), dtype)
            last = np.ascontiguousarray(np.moveaxis(image, 0, -1))
            write(last, photometric="minisblack", **interleaved)
            return list(image)
        case "gray alpha":
            image = content((2,), dtype)
            last = np.ascontiguousarray(np.moveaxis(image, 0, -1))
            alpha = {"extrasamples": ["unassalpha"]}
            write(last, photometric="minisblack", **interleaved, **alpha)
            return [image[0]]
        case "OME channels":
            image = content((2, 3), dtype)
            write(image, photometric="minisblack", metadata={"axes": "ZCYX"})
            return [image[z, c] for c in range(3) for z in range(2)]
        case "OME images":
            images = [content((), dtype, seed) for seed in range(2)]
            for number, image in enumerate(images):
                write(
                    image, photometric="minisblack", metadata={"axes": "YX", "Name": f"{number}"}
                )
            return images
        case "lookup table" | "palette":
            image = content((), dtype)
            steps = np.arange(256)
            green = np.stack([steps * 0, steps * 257, steps * 0]).astype("u2")
            several = (np.random.default_rng(1).integers(0, 256, (3, 256)) * 257).astype("u2")
            colormap = green if layout == "lookup table" else several
            write(image, photometric="palette", colormap=colormap)
            return [image if layout == "lookup table" else (colormap >> 8).astype("u1").T[image]]
        case "cmyk":
            image = np.ascontiguousarray(np.moveaxis(content((4,), dtype), 0, -1))
            write(image, photometric="separated", **interleaved)
            most = np.iinfo(image.dtype).max
            light = most - image.astype(float)
            return [np.rint(light[..., :3] * light[..., 3:] / most).astype(image.dtype)]
    raise AssertionError(layout)


# --- pictures -----------------------------------------------------------------------------------

PICTURES = {
    "format": ["png", "jpg", "bmp", "gif", "webp", "jp2", "ppm", "tga"],
    "mode": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "RGB;16", "RGBA;16", "LA;16", "CMYK"],
}
MODES = {
    "png": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "RGB;16", "RGBA;16", "LA;16"],
    "jpg": ["L", "RGB", "CMYK"],
    "bmp": ["1", "L", "P", "RGB"],
    "gif": ["P"],
    "webp": ["RGB", "RGBA"],
    "jp2": ["L", "RGB", "RGBA", "I;16", "RGB;16"],
    "ppm": ["L", "RGB"],  # of 16 bits napari makes labels
    "tga": ["L", "RGB", "RGBA"],
}


def is_written(format, mode) -> bool:
    return mode in MODES[format]


def write_picture(folder, format, mode) -> tuple[Path, Planes]:
    path = folder / f"a.{format}"
    deep, base = mode.endswith(";16"), mode.removesuffix(";16")
    samples = {"LA": 2, "P": 3, "RGB": 3, "RGBA": 4, "CMYK": 4}.get(base, 1)
    image = np.moveaxis(content((samples,), "u2" if deep else "u1"), 0, -1)
    image = np.ascontiguousarray(image[..., 0] if samples == 1 else image)
    if mode == "1":
        image = image > 100
    if format == "jp2" or (deep and samples > 1):
        encode = imagecodecs.png_encode if format == "png" else imagecodecs.jpeg2k_encode
        options = {} if format == "png" else {"reversible": True, "level": 0}
        path.write_bytes(encode(image, **options))
        return path, [image[..., 0] if base == "LA" else image]
    picture = Image.fromarray(image)
    if mode == "P":
        picture = picture.quantize(64)
        image = np.asarray(picture.convert("RGB"))
    elif mode in ("CMYK", "LA"):
        picture = Image.fromarray(image, mode)
    options = {"jpg": {"quality": 95}, "webp": {"lossless": True, "exact": True}}
    picture.save(path, **options.get(format, {}))
    if format == "jpg":
        image = np.asarray(Image.open(path).convert("RGB" if mode == "CMYK" else mode))
    return path, [image[..., 0] if mode == "LA" else image]


# --- NumPy and Zarr -----------------------------------------------------------------------------

NUMPY = {
    "dtype": ["?", "u1", ">u2", "<i4", ">f4", "f8", "f2"],
    "layout": ["plane", "rgb", "z stack", "channels last"],
    "order": ["C", "F"],
}


def always(**_properties) -> bool:
    return True


def _array(layout: str, dtype: str) -> tuple[np.ndarray, Planes]:
    native = np.dtype(dtype).newbyteorder("=")
    match layout:
        case "plane":
            image = content((), native)
            return image, [image]
        case "rgb":
            image = np.moveaxis(content((3,), native), 0, -1)
            return image, [image]
        case "z stack":
            image = content((4,), native)
            return image, list(image)
    image = content((2,), native)
    return np.moveaxis(image, 0, -1), list(image)


def write_npy(folder, dtype, layout, order) -> tuple[Path, Planes]:
    image, planes = _array(layout, dtype)
    np.save(folder / "a.npy", np.asarray(image.astype(dtype), order=order))
    return folder / "a.npy", planes


ZARR = {
    "dtype": ["bool", "u1", ">u2", "i4", "f4"],
    "layout": ["plane", "rgb", "z stack", "channels last"],
    "version": [2, 3],
    "storage": ["chunks", "raw", "shards"],
}


def is_zarr(dtype, layout, version, storage) -> bool:
    return not (version == 2 and storage == "shards") and not (version == 3 and ">" in dtype)


def write_zarr(folder, dtype, layout, version, storage) -> tuple[Path, Planes]:
    image, planes = _array(layout, dtype)
    chunks = tuple(16 if n in (HEIGHT, WIDTH) else n for n in image.shape)
    more: dict[str, Any] = {"compressors": None} if storage == "raw" else {}
    if storage == "shards":
        more["shards"] = tuple(n * 2 if n == 16 else n for n in chunks)
    shape = {"shape": image.shape, "chunks": chunks, "dtype": dtype}
    array = zarr.create_array(folder / "a.zarr", zarr_format=version, **shape, **more)
    array[:] = image
    return folder / "a.zarr", planes


OME_ZARR = {
    "version": ["0.4", "0.5"],
    "axes": ["yx", "zyx", "cyx", "czyx", "tczyx", "yxc"],
    "levels": [1, 3],
    "group": ["image", "plate"],
}


def write_ome_zarr(folder, version, axes, levels, group) -> tuple[Path, Planes]:
    lengths = {"t": 2, "c": 2, "z": 3}
    leading = "".join(axis for axis in axes if axis in lengths)
    image = content(tuple(lengths[axis] for axis in leading), "u2")
    planes = [image[at] for at in np.ndindex(*image.shape[:-2])]
    if "c" in leading:
        at = leading.index("c")
        by_channel = np.moveaxis(image, at, 0)
        planes = [by_channel[index] for index in np.ndindex(*by_channel.shape[:-2])]
    image = np.moveaxis(image, 0, -1) if axes == "yxc" else image
    path = folder / f"{group}.zarr"
    root = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)

    def note(node, about):
        node.attrs.update(about if version == "0.4" else {"ome": {"version": version, **about}})

    if group == "plate":
        note(root, {"plate": {"wells": [{"path": "A/1"}], "rows": [], "columns": []}})
        well = root.create_group("A").create_group("1")
        note(well, {"well": {"images": [{"path": "0"}]}})
        root = well.create_group("0")
    types = {"c": "channel", "t": "time"}
    datasets = []
    for number in range(levels):
        step = slice(None, None, 1 << number)
        key = tuple(step if axis in "yx" else slice(None) for axis in axes)
        root.create_array(f"{number}", data=np.ascontiguousarray(image[key]))
        scale = [float(1 << number) if axis in "yx" else 1.0 for axis in axes]
        transforms = [{"type": "scale", "scale": scale}]
        datasets.append({"path": f"{number}", "coordinateTransformations": transforms})
    named = [{"name": axis, "type": types.get(axis, "space")} for axis in axes]
    note(root, {"multiscales": [{"version": version, "axes": named, "datasets": datasets}]})
    return path, planes


# --- other writers ------------------------------------------------------------------------------

IMAGEIO = {"extension": ["tif", "png", "bmp", "jpg"], "channels": [1, 3]}


def write_imageio(folder, extension, channels) -> tuple[Path, Planes]:
    image = content((channels,), "u1")
    image = image[0] if channels == 1 else np.ascontiguousarray(np.moveaxis(image, 0, -1))
    path = folder / f"a.{extension}"
    imageio.imwrite(path, image)
    return path, [imageio.imread(path) if extension == "jpg" else image]


SORTS = (
    ("TIFF", TIFF, is_tiff, write_tiff),
    ("picture", PICTURES, is_written, write_picture),
    ("NumPy", NUMPY, always, write_npy),
    ("Zarr", ZARR, is_zarr, write_zarr),
    ("OME-Zarr", OME_ZARR, always, write_ome_zarr),
    ("imageio", IMAGEIO, always, write_imageio),
)


def combinations() -> Iterator[Combination]:
    """Yield the files of all sorts."""
    for container, values, is_valid, write in SORTS:
        for one in covering(values, is_valid):
            yield Combination(
                container, one, lambda folder, one=one, write=write: write(folder, **one)
            )

"""Zarr arrays and OME-Zarr images (versions 0.1 to 0.5): levels, channels, plates."""

from __future__ import annotations

import json
import math
import re
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import ImageError
from napari_dinov3_sim.core.images.intensity import check_shape
from napari_dinov3_sim.readers.addresses import ZARR_FILES, Address
from napari_dinov3_sim.readers.axes import Parts, channels_of, parts_of_array
from napari_dinov3_sim.readers.errors import InputError, brief
from napari_dinov3_sim.readers.image_layer import Calibration, ImageFile, ImageLayer
from napari_dinov3_sim.readers.lazy import OpenFiles, as_dask, grouped
from napari_dinov3_sim.readers.tiff_metadata import unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from napari_dinov3_sim.readers.axes import ReadAs

MAX_AXES = 32
"""Of an array; NumPy has no more than 64."""

MAX_CHUNK_BYTES = 2**30
"""Of a chunk, which is decompressed as a whole."""

MAX_PLANES = 2**18
"""Planes of a file; a list of them, with their names and results, still takes little memory."""

OBJECT_CODECS = (
    *("pickle", "json", "json2", "msgpack", "msgpack2", "categorize"),
    *("vlen-utf8", "vlen-bytes", "vlen-array"),
)
"""What makes Python objects of the bytes of a chunk; reading a pickle runs what is in it."""


def is_zarr(path: Path) -> bool:
    """Whether a path is the folder of a Zarr array or group."""
    if isinstance(path, Address):
        return path.is_dir()
    return path.is_dir() and any((path / mark).is_file() for mark in ZARR_FILES)


def check_plane_count(path: Path, leading: tuple[int, ...]) -> None:
    """Raise `InputError` for more planes than are listed; the lengths of their axes are given."""
    # An axis of none hides how many there are along another.
    count = math.prod(max(length, 1) for length in leading)
    if count > MAX_PLANES:
        raise InputError(
            f"{path} has {count} planes, and at most {MAX_PLANES} of a file are "
            "searched; write the planes you mean into a file of their own."
        )


def open_zarr(path: Path, read_as: ReadAs = "auto") -> ImageFile:
    """Open an array, an OME-Zarr image, or all fields of a well or of a plate.

    Raises
    ------
    InputError
        The folder is damaged, or a group without OME metadata.
    """
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what other writers have put into the folder
        try:
            _check_types(path)
            return _open(path, zarr.open(_store(path), mode="r"), read_as)
        except ImageError:  # `reading` names the file
            raise
        except Exception as error:
            raise InputError(
                f"{path} cannot be read as Zarr ({type(error).__name__}: {brief(error)}); write "
                "it again."
            ) from error


def _store(path: Path) -> Any:
    if not isinstance(path, Address):
        return str(path)
    from zarr.storage import FsspecStore

    return FsspecStore.from_url(path.without_query, path.options(), read_only=True)


def _open(path: Path, node: Any, read_as: ReadAs) -> ImageFile:
    if hasattr(node, "dtype"):
        _check_array(path, node)
        parts, note = parts_of_array(ImageLayer.of(_as_dask(node), rgb=False), read_as)
        return _file(parts, note)
    about = _ome(node)
    if "plate" in about:
        return _fields(path, node, _images_of_plate(path, node, about["plate"]), read_as)
    if "well" in about:
        fields = [str(one["path"]) for one in about["well"]["images"]]
        return _fields(path, node, fields, read_as)
    return _file(*_image(path, node, about, read_as))


def _file(parts: list[ImageLayer], note: str) -> ImageFile:
    return ImageFile(tuple(parts), (note,) if note else ())


def _ome(node: Any) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] = node.attrs
    found: Mapping[str, Any] = attributes.get("ome", attributes)
    return found


def _child(path: Path, node: Any, name: str) -> Any:
    _check_types(path / name)
    return node[name]


def _images_of_plate(path: Path, node: Any, plate: Mapping[str, Any]) -> list[str]:
    return [
        f"{well['path']}/{one['path']}"
        for well in plate["wells"]
        if well["path"] in node
        for one in _ome(_child(path, node, well["path"]))["well"]["images"]
    ]


def _fields(path: Path, node: Any, names: list[str], read_as: ReadAs) -> ImageFile:
    """Return the fields of view of a well or a plate, each an image of its own."""
    found = [(name, _child(path, node, name)) for name in names if name in node]
    if not found:
        raise InputError(f"{path} is a plate or a well without images; write it again.")
    check_plane_count(path, (len(found),))
    layers, notes = [], []
    for number, (name, field) in enumerate(found):
        parts, note = _image(path / name, field, _ome(field), read_as)
        layers += [
            replace(
                part,
                series=number if len(found) > 1 else None,
                title=f"{name} {part.title}".strip(),
            )
            for part in parts
        ]
        notes += [note] * (bool(note) and note not in notes)
    return ImageFile(tuple(layers), tuple(notes))


def _image(path: Path, node: Any, about: Mapping[str, Any], read_as: ReadAs) -> Parts:
    if not about.get("multiscales"):
        raise InputError(
            f"{path} is a Zarr group without an OME-Zarr image; name the image or the array in "
            f"it{_such_as(path, node)}."
        )
    image: Mapping[str, Any] = about["multiscales"][0]
    arrays = [_child(path, node, dataset["path"]) for dataset in image["datasets"]]
    for array in arrays:
        _check_array(path, array)
    names = _axes(image, arrays[0].ndim)
    where = _calibration(image, names, arrays[0].ndim)
    levels = tuple(map(_as_dask, arrays))
    layer = ImageLayer(levels, False, names, where)
    if "c" not in names:
        return [layer], ""
    axis, count = names.index("c"), int(arrays[0].shape[names.index("c")])
    if read_as == "rgb" and count in (3, 4):
        return [layer.moved(axis, is_rgb=True)], ""
    if read_as == "stack" and axis < len(names) - 2:
        return [layer], ""
    if axis >= len(names) - 2 and count in (3, 4) and read_as == "auto":
        return [layer.moved(axis, is_rgb=True)], ""
    return channels_of(layer, axis, _channel_names(about))


def _such_as(path: Path, node: Any) -> str:
    try:
        keys = sorted(node.keys())
    except Exception:  # not every server says what it has
        keys = []
    return f", such as {path / keys[0]}" if keys else ""


def _axes(image: Mapping[str, Any], ndim: int) -> tuple[str, ...]:
    if "axes" not in image:  # before version 0.3, which has named them, they are t, c, z, y, x
        return tuple("tczyx"[-ndim:]) if ndim == 5 else tuple(f"axis-{n}" for n in range(ndim))
    names = []
    for axis in image["axes"]:
        name, axis_type = (
            (axis, "") if isinstance(axis, str) else (axis["name"], axis.get("type", ""))
        )
        names.append("c" if axis_type == "channel" else str(name))
    if len(names) != ndim:
        raise ValueError(f"it names {len(names)} axes, and its array has {ndim}")
    return tuple(names)


def _calibration(image: Mapping[str, Any], names: tuple[str, ...], ndim: int) -> Calibration:
    none = Calibration.none(ndim)
    scale, translate = np.ones(ndim), np.zeros(ndim)
    finest = image["datasets"][0].get("coordinateTransformations", ())
    for step in (*finest, *image.get("coordinateTransformations", ())):
        if step.get("type") == "scale" and len(step.get("scale", ())) == ndim:
            scale, translate = scale * step["scale"], translate * step["scale"]
        elif step.get("type") == "translation" and len(step.get("translation", ())) == ndim:
            translate = translate + step["translation"]
    if not (np.isfinite(scale).all() and (scale > 0).all() and np.isfinite(translate).all()):
        return none
    axes = image.get("axes", ())
    units = tuple(unit_of(one.get("unit")) if isinstance(one, dict) else "pixel" for one in axes)
    return Calibration(
        tuple(scale.tolist()),
        tuple(translate.tolist()),
        units if len(units) == len(names) else none.units,
    )


def _channel_names(about: Mapping[str, Any]) -> tuple[str, ...]:
    channels = (about.get("omero") or {}).get("channels") or ()
    return tuple(str(one.get("label") or "") for one in channels)


def _as_dask(array: Any) -> Any:
    chunks = tuple(int(n) for n in array.shards or array.chunks)
    last = array.ndim - (2 if array.shape[-1] in (3, 4) and array.ndim > 2 else 1)
    return as_dask(_ZarrArray(array), grouped(chunks, (last - 1, last)), OpenFiles())


class _ZarrArray:
    """A Zarr array in the byte order of the machine."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape, self.ndim = tuple(int(n) for n in array.shape), array.ndim
        self.dtype = np.dtype(array.dtype).newbyteorder("=")

    def __getitem__(self, index: Any) -> Any:
        return np.asarray(self._array[index]).astype(self.dtype, copy=False)


_WIDE = re.compile(r"([<>|=]?[SUVa]|r)\d{4,}")
"""Types of texts and bytes of which one element has thousands of them, as Zarr writes them."""


def _check_types(path: Path) -> None:
    """Raise `InputError` where one element may have any size, of which zarr makes a fill value."""
    for name in (".zarray", ".zmetadata", "zarr.json"):
        try:
            content = json.loads(_metadata(path, name))
        except (OSError, ValueError):  # it is not there, or zarr says what is wrong with it
            continue
        if _is_wide(content):
            raise InputError(
                f"{path} holds texts or bytes instead of numbers; name an array of numbers."
            )


def _metadata(path: Path, name: str) -> bytes:
    if isinstance(path, Address):
        return path.zarr_file(name) or b""
    return (path / name).read_bytes()


def _is_wide(content: Any) -> bool:
    if isinstance(content, str):
        return _WIDE.fullmatch(content) is not None
    if isinstance(content, dict):
        return "length_bytes" in content or any(map(_is_wide, content.values()))
    return isinstance(content, list) and any(map(_is_wide, content))


def _check_array(path: Path, array: Any) -> None:
    """Raise `InputError` for more than can be read: a Zarr says any size in a few bytes."""
    _check_codecs(path, array)
    if not 2 <= array.ndim <= MAX_AXES:
        axes = "1 axis" if array.ndim == 1 else f"{array.ndim} axes"
        raise InputError(f"{path} has {axes}; name an array of 2 to {MAX_AXES} axes.")
    behind = 3 if array.shape[-1] in (3, 4) and array.ndim > 2 else 2
    check_plane_count(path, tuple(array.shape[:-behind]))
    check_shape(tuple(array.shape[-behind:][:2]))
    if 0 in array.chunks:
        raise InputError(f"{path} has chunks without pixels; write it again.")
    chunk = math.prod(array.chunks) * array.dtype.itemsize
    if chunk > MAX_CHUNK_BYTES:
        raise InputError(
            f"{path} has chunks of {chunk / 2**30:.1f} GiB, each of which must be read as a "
            "whole; write it again in smaller chunks, such as 1024 × 1024 pixels."
        )


def _check_codecs(path: Path, array: Any) -> None:
    """Raise `InputError` for an array of Python objects, whatever dtype it declares.

    Some versions of zarr and numcodecs refuse them by themselves, and some do not.
    """
    metadata = array.metadata.to_dict()
    named = _codec_names([metadata.get(key) for key in ("filters", "compressor", "codecs")])
    for name in named:
        if name.removeprefix("numcodecs.") in OBJECT_CODECS:
            raise InputError(
                f"{path} is not read, because its codec {name} makes Python objects and may run "
                "code; write it again as numbers."
            )


def _codec_names(config: Any) -> Iterator[str]:
    """Yield the names of all codecs in a configuration, also of those within others."""
    if hasattr(config, "codec_id"):  # what zarr before 3.1 has made of it already
        yield str(config.codec_id)
    elif isinstance(config, dict):
        yield from (str(config[key]) for key in ("id", "name") if key in config)
        yield from _codec_names(list(config.values()))
    elif isinstance(config, list | tuple):
        for part in config:
            yield from _codec_names(part)

"""Zarr arrays and OME-Zarr images: their levels and channels."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_dinov3_sim.cli.errors import InputError, UsageError
from napari_dinov3_sim.cli.reading.layer import check_plane_count
from napari_dinov3_sim.core.images.levels import embedded_level

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from napari_dinov3_sim.cli.reading.axes import ReadAs

MAX_AXES = 32
"""Of an array; NumPy has no more than 64."""

MAX_CHUNK_BYTES = 2**30
"""Of a chunk, which is decompressed as a whole."""

OBJECT_CODECS = (
    *("pickle", "json", "json2", "msgpack", "msgpack2", "categorize"),
    *("vlen-utf8", "vlen-bytes", "vlen-array"),
)
"""What makes Python objects of the bytes of a chunk; reading a pickle runs what is in it."""

_MARKS = (".zarray", ".zgroup", "zarr.json")

Channel = tuple[int, int]
"""The axis of the channels, and which of them."""


@dataclass(frozen=True, eq=False)
class ZarrLevel:
    """One level of an image.

    Attributes
    ----------
    data : zarr.Array
    shape : tuple of int
        Shape of the finest level.
    number, count : int
        Which level it is, 0 the finest, and of how many.
    """

    data: Any = field(repr=False)
    shape: tuple[int, ...]
    number: int
    count: int


def is_zarr(path: Path) -> bool:
    """Whether a path is the folder of a Zarr array or group."""
    return path.is_dir() and any((path / mark).is_file() for mark in _MARKS)


def channels_doubt(count: int) -> str:
    """Say how channels are read and what changes it; empty for one."""
    if count < 2:
        return ""
    return (
        f"has {count} channels; each is embedded as an image of its own, as napari-ome-zarr opens "
        "them. For napari's own reader, which opens them as one stack, add --read-as stack."
    )


def open_zarr(path: Path, read_as: ReadAs = "auto") -> list[tuple[ZarrLevel, Channel | None]]:
    """Return what is embedded of a Zarr folder: a level for each channel.

    Parameters
    ----------
    path : Path
        An array, or a group with OME metadata (versions 0.1 to 0.5).
    read_as : {'auto', 'rgb', 'stack'}, optional
        With 'stack' channels are planes of one layer, as napari's own reader opens them.

    Returns
    -------
    list of (Level, (axis, index) or None)
        Channels that the metadata declare are layers of their own, as napari-ome-zarr opens them.

    Raises
    ------
    UsageError
        zarr is not installed.
    InputError
        The folder is damaged, or a group without OME metadata.
    """
    try:
        import zarr
    except ImportError as error:
        raise UsageError(
            f"{path} is a Zarr folder, and zarr is not installed; install it with "
            '`pip install "napari-dinov3-sim[zarr]"`.'
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what other writers have put into the folder
        try:
            level, axis = _open(path, zarr.open(str(path), mode="r"))
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"{path} cannot be read as Zarr ({type(error).__name__}: {error}); write it again."
            ) from error
    return _layers(level, axis, read_as)


def _layers(
    level: ZarrLevel, axis: int | None, read_as: ReadAs
) -> list[tuple[ZarrLevel, Channel | None]]:
    if axis is None or read_as == "stack":
        return [(level, None)]
    return [(level, (axis, number)) for number in range(level.data.shape[axis])]


def _open(path: Path, node: Any) -> tuple[ZarrLevel, int | None]:
    if hasattr(node, "dtype"):
        arrays, axis = [node], None
    else:
        image = _multiscale(path, node.attrs)
        arrays = [node[dataset["path"]] for dataset in image["datasets"]]
        axis = _channel_axis(image, arrays[0].ndim)
    for array in arrays:
        _check_codecs(path, array)
        if not 2 <= array.ndim <= MAX_AXES:
            axes = "1 axis" if array.ndim == 1 else f"{array.ndim} axes"
            raise InputError(f"{path} has {axes}; name an array of 2 to {MAX_AXES} axes.")
    number = embedded_level([array.shape for array in arrays])
    shape = tuple(int(n) for n in arrays[0].shape)
    level = ZarrLevel(arrays[number], shape, number, len(arrays))
    _check_size(path, level)
    if axis is not None and axis >= level.data.ndim - 2:
        raise InputError(
            f"{path} has its channels behind its rows, on axis {axis + 1} of {level.data.ndim}; "
            "write them before rows and columns, as OME-Zarr wants it."
        )
    return level, axis


def _check_size(path: Path, level: ZarrLevel) -> None:
    """Raise `InputError` for more than can be read: a Zarr says any size in a few bytes."""
    for shape in (level.shape, level.data.shape):
        check_plane_count(path, tuple(shape[:-2]))
    if 0 in level.data.chunks:
        raise InputError(f"{path} has chunks without pixels; write it again.")
    chunk = math.prod(level.data.chunks) * level.data.dtype.itemsize
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


def _multiscale(path: Path, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    found = attributes.get("ome", attributes).get("multiscales")
    if not found:
        raise InputError(
            f"{path} is a Zarr group without an OME-Zarr image; name the image or the array in "
            f"it, such as {path}/0."
        )
    image: Mapping[str, Any] = found[0]
    return image


def _channel_axis(image: Mapping[str, Any], ndim: int) -> int | None:
    if "axes" not in image:  # before version 0.3, which has named them, they are t, c, z, y, x
        return 1 if ndim == 5 else None
    for number, axis in enumerate(image["axes"]):
        name, axis_type = (
            (axis, "") if isinstance(axis, str) else (axis["name"], axis.get("type", ""))
        )
        if axis_type == "channel" or name == "c":
            return number
    return None

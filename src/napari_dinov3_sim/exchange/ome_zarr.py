"""OME-Zarr of labels: a ``labels`` group, as NGFF 0.5 (Zarr 3) and 0.4 (Zarr 2) have it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_dinov3_sim.exchange.files import file_names
from napari_dinov3_sim.exchange.placement import METRES, SECONDS
from napari_dinov3_sim.exchange.shapes import rgb_of
from napari_dinov3_sim.readers.tiff_metadata import SOFTWARE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from napari_dinov3_sim.exchange.ome_tiff import PlaneStack
    from napari_dinov3_sim.exchange.placement import Axis

Version = Literal["0.4", "0.5"]

CHUNK = 1024
"""Side of a chunk, in pixels."""

SMALLEST = 512
"""A level of which both sides have at most so many pixels is the last."""

MAX_COLOURS = 2**20
"""Labels up to which each has an entry of its own for its colour."""

_TYPES = {"t": "time", "c": "channel"}


@dataclass(frozen=True, eq=False)
class LabelImage:
    """The labels of one class.

    Attributes
    ----------
    name : str
        Of the class.
    colour : str
        As ``#rrggbb``.
    stack : PlaneStack
        Without an axis of channels.
    measurements : mapping of int to mapping of str to float
        By label.
    """

    name: str
    colour: str
    stack: PlaneStack
    measurements: Mapping[int, Mapping[str, float]] = field(default_factory=dict)


def write_ome_zarr(
    path: Path,
    images: Sequence[LabelImage],
    version: Version = "0.5",
    check: Callable[[int, int], None] | None = None,
) -> None:
    """Write labels of several classes into one OME-Zarr.

    Each class is a label image of its own in the group ``labels``, with levels of half the size
    of which each pixel is one of the pixels above it. The image is not copied: the group itself
    shows the labels of the first class, so that every program that opens OME-Zarr opens it.
    Copied into the ``labels`` group of the image's own OME-Zarr, a class is a label image there.

    Parameters
    ----------
    path : Path
        A folder that is not there yet.
    images : sequence of LabelImage
    version : {'0.5', '0.4'}, optional
    check : callable, optional
        Called with (planes done, planes in all); may raise, which ends the writing.
    """
    import zarr

    root = zarr.open_group(str(path), mode="w", zarr_format=3 if version == "0.5" else 2)
    group = root.create_group("labels")
    names = file_names([image.name for image in images], "", most=60, otherwise="labels")
    total, done = sum(image.stack.planes for image in images), 0
    for image, name in zip(images, names, strict=True):
        node = group.create_group(name)
        levels = _levels(node, image.stack, version)
        found: set[int] = set()
        for plane in product(*map(range, image.stack.shape[:-2])):
            if check is not None:
                check(done, total)
            found |= _write_plane(levels, image.stack, plane)
            done += 1
        _describe(node, _multiscale(image, levels, ""), version, _image_label(image, found))
        if name == names[0]:
            _describe(root, _multiscale(image, levels, f"labels/{name}/"), version)
    _set(group, {"labels": names}, version)
    root.attrs["creator"] = SOFTWARE


def _levels(node: Any, stack: PlaneStack, version: Version) -> list[Any]:
    """Make the arrays of all levels, empty."""
    levels: list[Any] = []
    shape = tuple(stack.shape)
    while True:
        chunks = (1,) * (len(shape) - 2) + tuple(min(CHUNK, side) for side in shape[-2:])
        options: dict[str, Any] = {"dimension_names": [axis.name for axis in stack.axes]}
        if version == "0.4":
            options = {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        dtype, name = np.dtype(stack.dtype), str(len(levels))
        levels.append(
            node.create_array(
                name, shape=shape, chunks=chunks, dtype=dtype, fill_value=0, **options
            )
        )
        if max(shape[-2:]) <= SMALLEST:
            return levels
        shape = (*shape[:-2], *(math.ceil(side / 2) for side in shape[-2:]))


def _write_plane(levels: list[Any], stack: PlaneStack, plane: tuple[int, ...]) -> set[int]:
    """Write a plane to all levels, chunk row by chunk row; return which labels it has.

    A chunk of a coarser level is written to as often as there are rows of chunks in it, which is
    twice the work at most, and a plane is never whole in memory.
    """
    height, found = stack.shape[-2], set()
    for top in range(0, height, CHUNK):
        rows = np.asarray(stack.read(plane, top, min(top + CHUNK, height)), stack.dtype)
        # Counted: `np.unique` sorts all pixels, 20 times as long.
        found |= set(np.flatnonzero(np.bincount(np.maximum(rows, 0).ravel())).tolist())
        for number, level in enumerate(levels):
            every = 2**number
            part = rows[::every, ::every]
            start = top // every
            level[(*plane, slice(start, start + len(part)))] = part
    return {label for label in found if label > 0}


def _multiscale(image: LabelImage, levels: list[Any], folder: str) -> dict[str, Any]:
    axes, datasets = image.stack.axes, []
    for number in range(len(levels)):
        every = [2**number if axis.name in "yx" else 1 for axis in axes]
        scale = [axis.size * step for axis, step in zip(axes, every, strict=True)]
        # Each pixel is the first of those above it, and lies in the middle of all of them.
        place = [
            axis.origin + axis.size * (step - 1) / 2
            for axis, step in zip(axes, every, strict=True)
        ]
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        steps.append({"type": "translation", "translation": place})
        datasets.append({"path": f"{folder}{number}", "coordinateTransformations": steps})
    return {"name": image.name, "axes": [_axis(axis) for axis in axes], "datasets": datasets}


def _axis(axis: Axis) -> dict[str, Any]:
    found = {"name": axis.name, "type": _TYPES.get(axis.name, "space")}
    known = SECONDS if axis.name == "t" else METRES
    return {**found, "unit": axis.unit} if axis.unit in known else found


def _image_label(image: LabelImage, found: set[int]) -> dict[str, Any]:
    labels = sorted(found)[:MAX_COLOURS]
    rgba = [*rgb_of(image.colour), 255]
    properties = [
        {"label-value": label, "class": image.name, **_finite(image.measurements.get(label, {}))}
        for label in labels
    ]
    return {
        "colors": [{"label-value": label, "rgba": rgba} for label in labels],
        "properties": properties,
        "source": {"image": "../../"},
    }


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if np.isfinite(value)}


def _describe(
    node: Any,
    multiscale: dict[str, Any],
    version: Version,
    image_label: dict[str, Any] | None = None,
) -> None:
    about: dict[str, Any] = {"multiscales": [multiscale]}
    if image_label is not None:
        about["image-label"] = image_label
    if version == "0.4":
        multiscale["version"] = version
        if image_label is not None:
            image_label["version"] = version
    _set(node, about, version)


def _set(node: Any, about: dict[str, Any], version: Version) -> None:
    if version == "0.5":
        node.attrs["ome"] = {"version": version, **about}
    else:
        node.attrs.update(about)

"""OME-TIFF of any size, which is never whole in memory: labels, heatmaps, class maps."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from napari_dinov3_sim.core.text import writable
from napari_dinov3_sim.exchange.placement import METRES, pixels_along
from napari_dinov3_sim.readers.tiff_metadata import SOFTWARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

    from napari_dinov3_sim.exchange.placement import Axis

    ReadPart = Callable[[tuple[int, ...], int, int], NDArray[Any]]
    """Given the plane, and the first and the last but one row, returns these rows of it."""

FAST = 1
"""Level of compression: half the time of the usual one, for 5 to 10 % more bytes."""

STRIP_BYTES = 2**18
"""A strip of a TIFF has about this many bytes, as readers expect."""

CLASSIC_BYTES = 2**32 - 2**25
"""Uncompressed, above which a file is a BigTIFF."""


@dataclass(frozen=True, eq=False)
class PlaneStack:
    """Planes that are read when they are written.

    Attributes
    ----------
    shape : tuple of int
        Of the array; the last two axes are rows and columns.
    dtype : dtype
    axes : tuple of Axis
        One for each axis of the array.
    read : callable
        Given the place of a plane along the axes before, a first row and the row after the last,
        returns these rows.
    channels : tuple of str
        Names of the channels: as many as the axis c is long, else one.
    """

    shape: tuple[int, ...]
    dtype: DTypeLike
    axes: tuple[Axis, ...]
    read: ReadPart = field(repr=False)
    channels: tuple[str, ...] = ()

    @property
    def planes(self) -> int:
        """How many planes there are."""
        return math.prod(self.shape[:-2])

    @property
    def names(self) -> str:
        """The axes as OME names them, such as ZYX."""
        return "".join(axis.name for axis in self.axes).upper()


def write_ome_tiff(
    path: Path, stack: PlaneStack, check: Callable[[int, int], None] | None = None
) -> None:
    """Write planes as one OME-TIFF, losslessly compressed.

    Parameters
    ----------
    path : Path
        Written as it is; see `store.safetensors_io.replacing`.
    stack : PlaneStack
    check : callable, optional
        Called with (planes done, planes in all); may raise, which ends the writing.
    """
    import tifffile

    height, width = stack.shape[-2:]
    dtype = np.dtype(stack.dtype)
    step = min(height, max(1, STRIP_BYTES // (width * dtype.itemsize)))

    def strips() -> Iterator[bytes]:
        for done, plane in enumerate(product(*map(range, stack.shape[:-2]))):
            if check is not None:
                check(done, stack.planes)
            for top in range(0, height, step):
                part = stack.read(plane, top, min(top + step, height))
                yield zlib.compress(np.ascontiguousarray(part, dtype).tobytes(), FAST)

    tifffile.imwrite(
        path,
        strips(),
        shape=stack.shape,
        dtype=dtype,
        rowsperstrip=step,
        compression="zlib",
        photometric="minisblack",
        software=SOFTWARE,
        ome=True,
        bigtiff=math.prod(stack.shape) * dtype.itemsize > CLASSIC_BYTES,
        metadata=_metadata(path.name, stack),
        **_resolution(stack.axes),
    )


OME_UNITS = {"picometer": "pm", "angstrom": "Å", "nanometer": "nm", "micrometer": "µm"}
OME_UNITS |= {"millimeter": "mm", "centimeter": "cm", "inch": "in", "meter": "m"}
OME_UNITS |= {"millisecond": "ms", "second": "s", "minute": "min", "hour": "h"}
OME_UNITS |= {"pixel": "pixel"}


def _metadata(name: str, stack: PlaneStack) -> dict[str, Any]:
    """Return what a file says of itself; its identifier is that of its name, so that it can be
    made again.
    """  # noqa: D205
    about: dict[str, Any] = {
        "axes": stack.names,
        "Name": writable(name),
        "Channel": {"Name": [writable(channel) for channel in stack.channels or ("",)]},
        "UUID": f"urn:uuid:{uuid5(NAMESPACE_URL, writable(name))}",
    }
    axes = {axis.name: axis for axis in stack.axes}
    for name_of_axis, axis in axes.items():
        unit = OME_UNITS.get(axis.unit)
        if unit is None or not axis.is_placed:
            continue
        if name_of_axis == "t":
            about |= {"TimeIncrement": axis.size, "TimeIncrementUnit": unit}
        elif name_of_axis in "zyx":
            letter = name_of_axis.upper()
            about |= {f"PhysicalSize{letter}": axis.size, f"PhysicalSize{letter}Unit": unit}
    return about | _positions(axes, stack)


def _positions(axes: dict[str, Axis], stack: PlaneStack) -> dict[str, Any]:
    """Return where the planes lie, where rows and columns are placed."""
    if not any(axes[name].is_placed for name in "yx"):
        return {}
    planes: dict[str, Any] = {}
    for name in "yx":
        unit = OME_UNITS.get(axes[name].unit)
        if unit is None:
            return {}
        letter = name.upper()
        planes[f"Position{letter}"] = [axes[name].origin] * stack.planes
        planes[f"Position{letter}Unit"] = [unit] * stack.planes
    if "z" in axes and OME_UNITS.get(axes["z"].unit) and axes["z"].is_placed:
        z, at = axes["z"], [axis.name for axis in stack.axes].index("z")
        places = [plane[at] for plane in product(*map(range, stack.shape[:-2]))]
        planes["PositionZ"] = [z.origin + z.size * place for place in places]
        planes["PositionZUnit"] = [OME_UNITS[z.unit]] * stack.planes
    return {"Plane": planes}


def _resolution(axes: Sequence[Axis]) -> dict[str, Any]:
    """Return the pixel size as the tags of TIFF have it, for programs that know no OME."""
    sizes = [axis.size * METRES.get(axis.unit, 0.0) for axis in axes[-2:]]
    per_centimetre = pixels_along(METRES["centimeter"], sizes)
    if per_centimetre is None:
        return {}
    return {"resolution": per_centimetre, "resolutionunit": "CENTIMETER"}

"""What a TIFF file says of its images: pixel size, units, names, how it is shown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from napari_dinov3_sim.readers.image_layer import Calibration

if TYPE_CHECKING:
    from collections.abc import Mapping

SOFTWARE = "napari-dinov3-sim"
"""What the results of this package say of themselves; of these alone a position is believed."""

UNITS = {
    "µm": "micrometer",
    "μm": "micrometer",
    "um": "micrometer",
    "micron": "micrometer",
    "microns": "micrometer",
    "micrometer": "micrometer",
    "micrometre": "micrometer",
    "nm": "nanometer",
    "nanometer": "nanometer",
    "mm": "millimeter",
    "millimeter": "millimeter",
    "cm": "centimeter",
    "centimeter": "centimeter",
    "m": "meter",
    "meter": "meter",
    "pm": "picometer",
    "å": "angstrom",
    "angstrom": "angstrom",
    "inch": "inch",
    "s": "second",
    "sec": "second",
    "second": "second",
    "ms": "millisecond",
    "millisecond": "millisecond",
    "min": "minute",
    "minute": "minute",
    "h": "hour",
    "hour": "hour",
}
"""Units as files write them, and as napari knows them."""


def unit_of(text: object) -> str:
    """Return a unit as napari knows it; ``pixel`` for one that is not known."""
    written = re.sub(r"\\u00b5", "µ", str(text or ""), flags=re.I).strip()
    return UNITS.get(written) or UNITS.get(written.lower(), "pixel")


@dataclass(frozen=True)
class SeriesMetadata:
    """What is known of one image.

    Attributes
    ----------
    name : str
    sizes : mapping
        For each axis the distance of two pixels and its unit.
    origin : mapping
        For each axis where the first pixel lies.
    channels : tuple of str
        Names of the channels.
    colormap : str or None
    files : tuple of str
        The files that hold its planes, where it names them.
    """

    name: str
    sizes: Mapping[str, tuple[float, str]]
    origin: Mapping[str, float]
    channels: tuple[str, ...] = ()
    colormap: str | None = None
    files: tuple[str, ...] = ()

    def calibration(self, axes: tuple[str, ...]) -> Calibration:
        """Return it for some axes."""
        found = [self.sizes.get(name, (1.0, "pixel")) for name in axes]
        return Calibration(
            tuple(size for size, _ in found),
            tuple(self.origin.get(name, 0.0) for name in axes),
            tuple(unit for _, unit in found),
        )


def metadata_of_series(tiff: Any, number: int, series: Any) -> SeriesMetadata:
    """Return what is known of one image; what cannot be understood counts as not known."""
    page = series.keyframe
    colormap = "gray_r" if page.photometric == 0 else None
    name = str(series.name or "")
    if tiff.is_ome:
        try:
            return _of_ome(tiff, number, name, colormap)
        except (ElementTree.ParseError, ValueError, TypeError):
            return SeriesMetadata(name, {}, {}, colormap=colormap)
    sizes = _sizes_of_imagej(tiff, page) if tiff.is_imagej else _sizes_of_tags(tiff, page)
    channels: tuple[str, ...] = ()
    if tiff.is_imagej:
        labels = (tiff.imagej_metadata or {}).get("Labels")
        channels = tuple(map(str, labels)) if isinstance(labels, list | tuple) else ()
    elif tiff.is_lsm:
        colours = (tiff.lsm_metadata or {}).get("ChannelColors") or {}
        channels = tuple(map(str, colours.get("ColorNames", ())))
    return SeriesMetadata(name, sizes, {}, channels, colormap)


def _of_ome(tiff: Any, number: int, name: str, colormap: str | None) -> SeriesMetadata:
    root = ElementTree.fromstring(tiff.ome_metadata)  # noqa: S314
    images = root.findall("{*}Image")
    image = images[number] if number < len(images) else images[0]
    pixels = image.find("{*}Pixels")
    if pixels is None:
        return SeriesMetadata(name, {}, {}, colormap=colormap)
    sizes = {}
    for axis in "zyx":
        size = _positive(pixels.get(f"PhysicalSize{axis.upper()}"))
        if size is not None:
            unit = unit_of(pixels.get(f"PhysicalSize{axis.upper()}Unit", "µm"))
            sizes[axis] = size, unit
    step = _positive(pixels.get("TimeIncrement"))
    if step is not None:
        sizes["t"] = step, unit_of(pixels.get("TimeIncrementUnit", "s"))
    origin: dict[str, float] = {}
    plane = pixels.find("{*}Plane")
    if plane is not None and str(tiff.pages.first.software) == SOFTWARE:
        origin = {axis: float(plane.get(f"Position{axis.upper()}", 0.0)) for axis in "yx"}
    channels = tuple(str(one.get("Name") or "") for one in pixels.findall("{*}Channel"))
    files = tuple(str(one.get("FileName")) for one in pixels.iter() if one.tag.endswith("}UUID"))
    return SeriesMetadata(str(image.get("Name") or name), sizes, origin, channels, colormap, files)


def _positive(text: object) -> float | None:
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def _sizes_of_imagej(tiff: Any, page: Any) -> dict[str, tuple[float, str]]:
    known = tiff.imagej_metadata or {}
    unit = unit_of(known.get("unit"))
    sizes = _resolution(page, unit) if unit not in ("pixel", "inch") else {}
    spacing, step = _positive(known.get("spacing")), _positive(known.get("finterval"))
    if sizes and spacing is not None:
        sizes["z"] = spacing, unit
    if step is not None:
        sizes["t"] = step, "second"
    return sizes


def _sizes_of_tags(tiff: Any, page: Any) -> dict[str, tuple[float, str]]:
    if tiff.is_svs:
        found = re.search(r"\bMPP\s*=\s*([0-9.eE+-]+)", str(page.description))
        size = _positive(found[1]) if found else None
        return {} if size is None else dict.fromkeys("yx", (size, "micrometer"))
    if tiff.is_lsm:
        known = tiff.lsm_metadata or {}
        found_sizes = {axis: _positive(known.get(f"VoxelSize{axis.upper()}")) for axis in "zyx"}
        return {a: (size * 1e6, "micrometer") for a, size in found_sizes.items() if size}
    # Inches are those of a printer; centimetres are how microscopes write a pixel size.
    unit = page.tags.valueof("ResolutionUnit")
    if unit is None or int(unit) != 3:
        return {}
    return {
        axis: (size * 1e4, "micrometer")
        for axis, (size, _) in _resolution(page, "centimeter").items()
    }


def _resolution(page: Any, unit: str) -> dict[str, tuple[float, str]]:
    sizes = {}
    for axis in "yx":
        value = page.tags.valueof(f"{axis.upper()}Resolution")
        if isinstance(value, tuple) and len(value) == 2 and value[0] > 0 and value[1] > 0:
            sizes[axis] = value[1] / value[0], unit
    return sizes if len(sizes) == 2 else {}

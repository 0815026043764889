"""GeoJSON as QuPath writes and reads it: annotations and detections with classes and colours.

The form is that of ``qupath.lib.io.GsonTools``: a FeatureCollection whose features have a geometry
in pixels of level 0, with a ``plane`` in stacks, and ``properties`` with ``objectType``,
``classification`` (name and colour), ``measurements`` and ``metadata``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from napari_dinov3_sim.exchange.shapes import (
    ExchangeError,
    Polygon,
    Shape,
    StackPlace,
    colour_of_rgb,
    rgb_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from napari_dinov3_sim.exchange.shapes import Corners

ObjectType = Literal["annotation", "detection"]

SIGN = "sign"
"""The entry of ``metadata`` that tells examples of what is not meant."""

MAX_BYTES = 2**30
"""Of a file that is read: more is no list of regions."""

FAR = 2.0**31
"""Pixels beyond which no image reaches."""


def write_geojson(
    shapes: Iterable[Shape], path: Path, object_type: ObjectType = "detection"
) -> int:
    """Write shapes to a file, one feature a line.

    Parameters
    ----------
    shapes : iterable of Shape
        They are written one by one, and never all in memory.
    path : Path
        Written as it is; see `store.safetensors_io.replacing`.
    object_type : {'annotation', 'detection'}, optional
        What areas are in QuPath: what it has found, of which there may be very many, or what a
        person has drawn and may edit. Points and lines are annotations.

    Returns
    -------
    int
        How many there were.
    """
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for count, shape in enumerate(shapes, start=1):
            file.write(",\n" if count > 1 else "\n")
            feature = _feature(shape, object_type, count)
            file.write(json.dumps(feature, separators=(",", ":"), allow_nan=False))
        file.write("\n]}\n")
    return count


def _feature(shape: Shape, object_type: ObjectType, number: int) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "objectType": object_type if shape.geometry == "area" else "annotation"
    }
    if shape.name:
        properties["name"] = shape.name
    if shape.class_name is not None:
        colour = list(rgb_of(shape.colour))
        properties["classification"] = {"name": shape.class_name, "color": colour}
    if shape.measurements:
        # Twelve digits: the last ones are only how it was computed, as in 99.53999999999999.
        values = {name: float(f"{value:.12g}") for name, value in shape.measurements.items()}
        properties["measurements"] = {n: v for n, v in values.items() if np.isfinite(v)}
    if not shape.positive:
        properties["metadata"] = {SIGN: "negative"}
    geometry = {**_geometry(shape), **_plane_entry(shape.plane)}
    content = json.dumps([number, geometry, properties])
    return {
        "type": "Feature",
        "id": str(uuid5(NAMESPACE_URL, content)),
        "geometry": geometry,
        "properties": properties,
    }


def _plane_entry(plane: StackPlace) -> dict[str, Any]:
    if plane == StackPlace():
        return {}
    c, z, t = plane.c, plane.z or 0, plane.t or 0
    return {"plane": {"c": -1 if c is None else c, "z": z, "t": t}}


def _geometry(shape: Shape) -> dict[str, Any]:
    if shape.geometry != "area":
        places = [] if shape.places is None else np.asarray(shape.places).tolist()
        name = "LineString" if shape.geometry == "line" else "MultiPoint"
        return {"type": name, "coordinates": places}
    polygons = [[_closed(ring) for ring in polygon.rings] for polygon in shape.polygons]
    if len(polygons) == 1:
        return {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "MultiPolygon", "coordinates": polygons}


def _closed(ring: Corners) -> list[list[float]]:
    corners: list[list[float]] = np.asarray(ring).tolist()
    return [*corners, corners[0]]


# --- reading -----------------------------------------------------------------------------------


def read_geojson(path: Path) -> list[Shape]:
    """Read the features of a file: a FeatureCollection, a list of features, or a single one.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of Shape
        Class and colour are those of ``classification``; curves that QuPath has made polygons are
        polygons. Features without a geometry are left out.

    Raises
    ------
    ExchangeError
        The file is no GeoJSON, or damaged; the sentence says what is wrong with it.
    OSError
        It cannot be read.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ExchangeError(
            f"{path} has {path.stat().st_size / 2**30:.1f} GiB, which is more than regions take; "
            "export only the annotations that you mean."
        )
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ExchangeError(
            f"{path} is no GeoJSON that can be read ({_why(error)}); export the annotations again."
        ) from error
    shapes: list[Shape] = []
    for number, feature in enumerate(_features(content, path), start=1):
        try:
            shapes += _shapes_of(feature)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise ExchangeError(
                f"Feature {number} of {path} cannot be read ({_why(error)}); export the "
                "annotations again, or take that one out."
            ) from error
    return shapes


def _why(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 100 else f"{text[:97]}..."


def _features(content: Any, path: Path) -> Sequence[Any]:
    if isinstance(content, list):
        return content
    if isinstance(content, dict) and content.get("type") == "Feature":
        return [content]
    if isinstance(content, dict) and isinstance(content.get("features"), list):
        features: list[Any] = content["features"]
        return features
    raise ExchangeError(
        f"{path} is JSON without features; export annotations as GeoJSON, as QuPath does with "
        "File > Export objects as GeoJSON."
    )


def _shapes_of(feature: Mapping[str, Any]) -> Iterator[Shape]:
    geometry, properties = feature.get("geometry"), feature.get("properties") or {}
    if geometry is None:
        return
    name, colour = _classification(properties.get("classification"))
    metadata = properties.get("metadata") or {}
    for part in _parts(geometry):
        yield replace(
            part,
            class_name=name,
            colour=colour,
            name=str(properties.get("name") or ""),
            positive=not str(metadata.get(SIGN, "")).lower().startswith("neg"),
            plane=_plane_of(geometry.get("plane") or properties.get("plane")),
            measurements=_measurements(properties.get("measurements")),
        )


def _classification(found: Any) -> tuple[str | None, str]:
    """Return name and colour of a class, as any version of QuPath has written them."""
    default = Shape().colour
    if isinstance(found, str):
        return found.strip() or None, default
    if not isinstance(found, dict):
        return None, default
    names = found.get("names")
    name = ": ".join(map(str, names)) if isinstance(names, list) else str(found.get("name") or "")
    return name.strip() or None, _colour(found) or default


def _colour(found: Mapping[str, Any]) -> str | None:
    if isinstance(found.get("color"), list) and len(found["color"]) >= 3:
        red, green, blue = (min(255, max(0, int(part))) for part in found["color"][:3])
        return colour_of_rgb((red, green, blue))
    if "colorRGB" in found:  # until QuPath 0.3
        return f"#{int(found['colorRGB']) & 0xFFFFFF:06x}"
    return None


def _measurements(found: Any) -> dict[str, float]:
    """Return measurements; until QuPath 0.3 they are a list."""
    if isinstance(found, list):
        found = {str(one["name"]): one["value"] for one in found}
    values = found if isinstance(found, dict) else {}
    return {str(name): float(value) for name, value in values.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plane_of(found: Any) -> StackPlace:
    if not isinstance(found, dict):
        return StackPlace()
    z, t, c = (int(found.get(name) or 0) for name in "ztc")
    return StackPlace(z, t, c if "c" in found and c >= 0 else None)


def _parts(geometry: Mapping[str, Any]) -> Iterator[Shape]:
    """Yield one shape for each geometry, without class and name."""
    name = geometry["type"]
    if name == "GeometryCollection":
        for part in geometry["geometries"]:
            if part["type"] == "GeometryCollection":
                raise ValueError("a collection of collections")
            yield from _parts(part)
        return
    coordinates = geometry["coordinates"]
    if name in ("Polygon", "MultiPolygon"):
        several = coordinates if name == "MultiPolygon" else [coordinates]
        polygons = tuple(_polygon(rings) for rings in several if len(rings))
        if polygons:
            yield Shape(polygons=polygons)
    elif name in ("LineString", "MultiLineString"):
        for line in coordinates if name == "MultiLineString" else [coordinates]:
            yield Shape(geometry="line", places=_corners(line, least=2))
    elif name in ("Point", "MultiPoint"):
        places = coordinates if name == "MultiPoint" else [coordinates]
        if len(places):
            yield Shape(geometry="points", places=_corners(places, least=1))
    else:
        raise ValueError(f"a geometry of the type {str(name)[:40]!r}")


def _polygon(rings: Any) -> Polygon:
    exterior, *holes = (_corners(ring, least=3) for ring in rings)
    return Polygon(exterior, tuple(holes))


def _corners(places: Any, least: int) -> Corners:
    corners = np.asarray(places, float)
    if corners.ndim != 2 or corners.shape[1] < 2:
        raise ValueError("a place without x and y")
    return checked_corners(corners[:, :2], least)


def checked_corners(corners: Corners, least: int) -> Corners:
    """Return the corners of a ring or a line without the last one that closes it.

    Raises
    ------
    ValueError
        There are too few, or they lie where no image reaches.
    """
    if not np.isfinite(corners).all():
        raise ValueError("a corner that is not a finite number")
    if (np.abs(corners) > FAR).any():
        raise ValueError(f"a corner farther than {FAR:.0f} pixels from the image")
    if least > 2 and len(corners) > 1 and np.array_equal(corners[0], corners[-1]):
        corners = corners[:-1]
    if len(corners) < least:
        raise ValueError(f"{len(corners)} corners where {least} are needed")
    return corners

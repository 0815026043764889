"""ImageJ's regions of interest: single ``.roi`` files, and sets as ``.zip``.

Whole numbers are corners of pixels in ImageJ, too: a *traced* ROI around them is exact. What has
holes or several parts is a composite ROI.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.text import file_name_part, writable
from napari_dinov3_sim.exchange.geojson import checked_corners
from napari_dinov3_sim.exchange.shapes import (
    ExchangeError,
    Polygon,
    Shape,
    StackPlace,
    colour_of_rgb,
    rgb_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_dinov3_sim.exchange.shapes import Corners

MAX_ROIS = 2**18
MAX_ROI_BYTES = 2**26
"""Of one ROI that is read: a zip says any size in a few bytes."""

MOVE, LINE, CLOSE = 0.0, 1.0, 4.0
"""Segments of a path, as ``java.awt.geom.PathIterator`` has them."""

FARTHEST = 2**15 - 1
"""Pixels to which ImageJ's whole numbers reach; beyond, corners are floating point numbers."""

SIGN, CLASS = "sign", "class"
"""Properties of a ROI: ImageJ keeps them. Its groups would have colours of their own."""

ELLIPSE_CORNERS = 128


def write_rois(shapes: Iterable[Shape], path: Path) -> int:
    """Write shapes to a ROI set, which ImageJ opens with its ROI Manager.

    Parameters
    ----------
    shapes : iterable of Shape
    path : Path
        Best ending in ``.zip``; written as it is, see `store.safetensors_io.replacing`.

    Returns
    -------
    int
        How many there were. They are named after their class and numbered.
    """
    count = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for count, shape in enumerate(shapes, start=1):
            class_name = shape.class_name or "object"
            roi = _roi_of(shape)
            roi.name = _plain(shape.name or f"{class_name} {count}")
            entry = f"{count:06d} {file_name_part(class_name, 60).strip() or 'object'}.roi"
            file.writestr(zipfile.ZipInfo(entry), roi.tobytes(), zipfile.ZIP_DEFLATED)
    return count


def _plain(text: str) -> str:
    """Return text of characters that are one unit of UTF-16 each, as the format counts them."""
    return re.sub(r"[^\u0000-\uffff]", "\ufffd", writable(text))


def _roi_of(shape: Shape) -> Any:
    from roifile import ROI_TYPE, ImagejRoi

    rings = shape.rings
    if shape.geometry != "area":
        places = np.asarray(shape.places, float)
        roi = ImagejRoi.frompoints(places)
        roi.roitype = ROI_TYPE.POINT if shape.geometry == "points" else ROI_TYPE.POLYLINE
    elif len(rings) == 1:
        roi = ImagejRoi.frompoints(_whole(rings[0]))
        roi.roitype = ROI_TYPE.TRACED if roi.subpixel_coordinates is None else ROI_TYPE.POLYGON
    else:
        roi = _composite(rings)
    roi.stroke_color = bytes((255, *rgb_of(shape.colour)))
    plane = shape.plane
    roi.z_position = 0 if plane.z is None else plane.z + 1
    roi.t_position = 0 if plane.t is None else plane.t + 1
    roi.c_position = 0 if plane.c is None else plane.c + 1
    only = [at for at in (plane.z, plane.t) if at is not None]
    roi.position = only[0] + 1 if len(only) == 1 else 0  # of a stack that is no hyperstack
    known = {CLASS: _plain(shape.class_name or "")} if shape.class_name else {}
    roi.properties = known if shape.positive else {**known, SIGN: "negative"}
    return roi


def _whole(ring: Corners) -> NDArray[Any]:
    """Return corners as whole numbers if they are and ImageJ's reach so far, else as floats."""
    corners = np.asarray(ring)
    rounded = np.round(corners)
    near = np.abs(corners).max() <= FARTHEST
    return rounded.astype(int) if near and np.array_equal(rounded, corners) else corners + 0.0


def _composite(rings: tuple[Corners, ...]) -> Any:
    from roifile import ROI_TYPE, ImagejRoi

    path: list[float] = []
    for ring in rings:
        first, *others = np.asarray(ring, float).tolist()
        path += [MOVE, *first]
        for corner in others:
            path += [LINE, *corner]
        path.append(CLOSE)
    corners = np.concatenate([np.asarray(ring) for ring in rings])
    roi = ImagejRoi()
    roi.roitype = ROI_TYPE.RECT
    roi.left, roi.top = (int(at) for at in np.floor(corners.min(0)))
    roi.right, roi.bottom = (int(at) for at in np.ceil(corners.max(0)))
    roi.multi_coordinates = np.array(path, np.float32)
    roi.shape_roi_size = len(path)
    return roi


# --- reading -----------------------------------------------------------------------------------


def read_rois(path: Path) -> list[Shape]:
    """Read a ROI file, or a set of them.

    Parameters
    ----------
    path : Path
        ``.roi`` or ``.zip``, by content.

    Returns
    -------
    list of Shape
        The class is what this package has written, else the group, else the name without a number
        behind it; names that ImageJ has given by position, such as 0012-0345, say nothing.

    Raises
    ------
    ExchangeError
        The file is damaged or none of ImageJ's; the sentence says what is wrong with it.
    OSError
        It cannot be read.
    """
    shapes: list[Shape] = []
    for entry, content in _contents(path):
        try:
            shapes += _shapes_of(content)
        except Exception as error:  # of bytes that may be anything, each part fails in its own way
            raise ExchangeError(
                f"{entry} cannot be read as a region of ImageJ ({error}); save the ROIs again."
            ) from error
    return shapes


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"Iout":
        yield str(path), path.read_bytes()[:MAX_ROI_BYTES]
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith(".roi")]
            if len(names) > MAX_ROIS:
                raise ExchangeError(
                    f"{path} has {len(names)} ROIs, and at most {MAX_ROIS} are read; save fewer "
                    "in one set."
                )
            for name in names:
                with archive.open(name) as entry:
                    yield f"{name} in {path}", entry.read(MAX_ROI_BYTES)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise ExchangeError(
            f"{path} is no ROI set that can be read ({error}); save it again in ImageJ's ROI "
            "Manager with More > Save."
        ) from error


def _shapes_of(content: bytes) -> Iterator[Shape]:
    from roifile import ROI_TYPE, ImagejRoi

    roi = ImagejRoi.frombytes(content)
    known = {str(name): str(value) for name, value in roi.properties.items()}
    colour = Shape().colour
    if any(roi.stroke_color):
        _, red, green, blue = roi.stroke_color
        colour = colour_of_rgb((red, green, blue))
    about = Shape(
        class_name=known.get(CLASS) or _class_of(roi.group, roi.name),
        colour=colour,
        name=roi.name,
        positive=known.get(SIGN) != "negative",
        plane=_plane_of(roi),
    )
    if roi.composite:
        rings = [checked_corners(np.asarray(r, float), 3) for r in roi.coordinates(multi=True)]
        if rings:
            yield replace(about, polygons=(Polygon(rings[0], tuple(rings[1:])),))
        return
    if roi.roitype == ROI_TYPE.POINT:
        # A point is in the pixel that it has a whole number of.
        places = np.floor(checked_corners(_places(roi), 1)) + 0.5
        yield replace(about, geometry="points", places=places)
    elif roi.roitype in (ROI_TYPE.LINE, ROI_TYPE.POLYLINE, ROI_TYPE.FREELINE, ROI_TYPE.ANGLE):
        yield replace(about, geometry="line", places=checked_corners(_places(roi), 2))
    elif roi.roitype != ROI_TYPE.NOROI:
        yield replace(about, polygons=(Polygon(checked_corners(_outline(roi), 3)),))


def _class_of(group: int, name: str) -> str | None:
    if group > 0:
        return f"group {group}"
    if re.fullmatch(r"[FC\d\s._-]*", name):  # 0012-0345, or nothing
        return None
    return re.sub(r"[\s._-]*\d*$", "", name.strip()) or None


def _plane_of(roi: Any) -> StackPlace:
    z, t, c = (
        position - 1 if position > 0 else None
        for position in (roi.z_position, roi.t_position, roi.c_position)
    )
    if z is None and t is None and roi.position > 0:
        return StackPlace(z=roi.position - 1)
    return StackPlace(z, t, c)


def _places(roi: Any) -> NDArray[np.float64]:
    return np.asarray(roi.coordinates(), float).reshape(-1, 2)


def _outline(roi: Any) -> NDArray[np.float64]:
    from roifile import ROI_SUBTYPE, ROI_TYPE

    if roi.roitype in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        left, top, right, bottom = roi.left, roi.top, roi.right, roi.bottom
        if roi.subpixelrect:
            left, top = roi.xd, roi.yd
            right, bottom = left + roi.widthd, top + roi.heightd
        if roi.roitype == ROI_TYPE.OVAL:
            centre = np.array([(left + right) / 2, (top + bottom) / 2])
            return _ellipse(centre, np.array([(right - left) / 2, (bottom - top) / 2]))
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)
    if roi.subtype in (ROI_SUBTYPE.ELLIPSE, ROI_SUBTYPE.ROTATED_RECT) and not len(_places(roi)):
        raise ValueError("an ellipse without corners")
    return _places(roi)


def _ellipse(centre: NDArray[np.float64], radii: NDArray[np.float64]) -> NDArray[np.float64]:
    angles = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)
    return np.asarray(centre + radii * np.stack([np.cos(angles), np.sin(angles)], axis=1))

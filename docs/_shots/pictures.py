"""Pictures: cut, put together, and written small."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from napari_dinov3_sim.session.layers.style import CLASS_COLOURS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from qtpy.QtCore import QPoint, QRect

    Picture = NDArray[np.uint8]

FOLDER = Path(__file__).parent.parent / "images"
MOST_BYTES = 300_000
MOST_BYTES_ANIMATED = 3_000_000
LEAST = 12
"""Pixels of a row that is not empty; napari's round cursor has fewer."""
GROUND = 40
"""Gray between pictures that are put together, like that of napari's windows."""
ARROW = ((0, 0), (0, 16), (4, 12), (7, 18), (10, 17), (7, 11), (12, 11))


def rgb_of(picture: NDArray[Any]) -> Picture:
    """Return the first three channels."""
    return np.ascontiguousarray(picture[..., :3])


def crop(picture: Picture, box: QRect, margin: int = 4) -> Picture:
    """Cut a rectangle out of a picture."""
    top, left = max(0, box.top() - margin), max(0, box.left() - margin)
    return picture[top : box.bottom() + margin + 1, left : box.right() + margin + 1]


def trim(picture: Picture, margin: int = 6) -> Picture:
    """Cut off the empty border of a picture."""
    full = (picture != picture[0, 0]).any(-1)
    rows, columns = (np.flatnonzero(full.sum(axis) > LEAST) for axis in (1, 0))
    top, left = max(0, rows[0] - margin), max(0, columns[0] - margin)
    return picture[top : rows[-1] + margin + 1, left : columns[-1] + margin + 1]


def with_pointer(picture: Picture, place: QPoint) -> Picture:
    """Draw the mouse pointer, which is never on a screenshot."""
    drawn = Image.fromarray(picture)
    corners = [(x + place.x(), y + place.y()) for x, y in ARROW]
    ImageDraw.Draw(drawn).polygon(corners, fill="white", outline="black")
    return np.asarray(drawn)


def beside(*pictures: Picture, columns: int = 0, gap: int = 8) -> Picture:
    """Put pictures next to each other, in rows of so many."""
    columns = columns or len(pictures)
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    return _stack([_stack(list(row), 1, gap) for row in rows], 0, gap)


def _stack(pictures: list[Picture], axis: int, gap: int) -> Picture:
    across = 1 - axis
    widest = max(picture.shape[across] for picture in pictures)
    parts: list[Picture] = []
    for picture in pictures:
        pad = [(0, 0), (0, 0), (0, 0)]
        pad[across] = (0, widest - picture.shape[across])
        pad[axis] = (gap if parts else 0, 0)
        parts.append(np.pad(picture, pad, constant_values=GROUND))
    return np.concatenate(parts, axis)


def _palette(drawn: Image.Image, colours: int) -> Image.Image:
    """Return so many colours of a picture, and those of classes, which few pixels have."""
    found = drawn.quantize(colours).getpalette()[: 3 * colours]
    palette = Image.new("P", (1, 1))
    palette.putpalette(
        found + [part for class_name in CLASS_COLOURS for part in ImageColor.getrgb(class_name)]
    )
    return palette


def write(name: str, picture: Picture, width: int = 0, colours: int = 0) -> None:
    """Write a PNG, narrower if `width` says so, with a palette of so many colours if any."""
    drawn = Image.fromarray(picture)
    if width and width < drawn.width:
        drawn = drawn.resize((width, round(drawn.height * width / drawn.width)), Image.LANCZOS)
    if colours:
        drawn = drawn.quantize(palette=_palette(drawn, colours), dither=Image.Dither.NONE)
    path = FOLDER / f"{name}.png"
    drawn.save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.name}: {drawn.width} × {drawn.height}, {size / 1000:.0f} kB")
    if size > MOST_BYTES:
        raise ValueError(f"{path.name} has {size} bytes; crop it, or give it fewer colours.")


def write_animation(
    name: str, pictures: Sequence[Picture], seconds: Sequence[float], width: int
) -> None:
    """Write an animated WebP that repeats."""
    frames = []
    for picture in pictures:
        drawn = Image.fromarray(picture)
        height = round(drawn.height * width / drawn.width)
        frames.append(drawn.resize((width, height), Image.LANCZOS))
    path = FOLDER / f"{name}.webp"
    frames[0].save(
        path,
        save_all=True,
        append_images=frames[1:],
        duration=[round(1000 * second) for second in seconds],
        loop=0,
        quality=70,
        method=4,
    )
    size = path.stat().st_size
    print(f"{path.name}: {len(frames)} frames, {sum(seconds):.0f} s, {size / 1000:.0f} kB")
    if size > MOST_BYTES_ANIMATED:
        raise ValueError(f"{path.name} has {size} bytes; take fewer frames.")

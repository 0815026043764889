"""Reading real images and cutting crops of 256 × 256 pixels out of them."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from napari_dinov3_sim.core.images.intensity import convert_to_rgb, window_of
from napari_dinov3_sim.readers.lazy import OpenFiles
from napari_dinov3_sim.readers.reader import open_image_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Array = np.ndarray
Key = TypeVar("Key", str, Path)
CROP = 256
SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")


def files_below(folder: Path, pattern: str) -> list[Path]:
    """The files of that name in a folder and all folders below it, links to folders too, in order.

    Raises
    ------
    SystemExit
        There is none.
    """
    # Path.rglob does not follow links to folders.
    found = glob.glob(f"**/{pattern}", root_dir=folder, recursive=True)  # noqa: PTH207
    if not found:
        raise SystemExit(
            f"{folder} has no {pattern} in it or in its folders; see training/README.md."
        )
    return sorted(folder / name for name in found)


def image_files(folder: Path) -> list[Path]:
    """All images below a folder, without class and instance images, in order."""
    files = [p for p in files_below(folder, "*.*") if p.suffix.lower() in SUFFIXES]
    return [p for p in files if not p.name.endswith((".classes.png", ".instances.tif"))]


def by_folder(files: Iterable[Path]) -> dict[Path, list[Path]]:
    """The files of each folder: a set of images."""
    sets: dict[Path, list[Path]] = {}
    for path in files:
        sets.setdefault(path.parent, []).append(path)
    return sets


def drawn_sets(
    rng: np.random.Generator, sets: Mapping[Key, list[Path]], count: int
) -> list[list[Path]]:
    """The files of `count` sets; a set's weight grows with the root of its number of images.

    Raises
    ------
    SystemExit
        There is no set.
    """
    if not sets:
        raise SystemExit("No image is left to learn from: all are held out. Add images or sets.")
    names = sorted(sets)
    weights = np.sqrt([len(sets[name]) for name in names])
    drawn = rng.choice(len(names), count, p=weights / weights.sum())
    return [sets[names[k]] for k in drawn]


def read_rgb(path: Path) -> Array:
    """The image as uint8, shape (rows, columns, 3).

    Of a file with several planes or channels it is the first. What is not of 8 bits is drawn
    through an intensity window, as the plugin draws it.
    """
    with OpenFiles() as files:
        layer = open_image_file(path, "auto", files).layers[0]
        while len(layer.shape) > 2:
            layer = layer.at(0, 0)
        plane = np.asarray(layer.levels[0])
    window = None if plane.dtype == np.uint8 else window_of(plane)
    return np.round(255 * convert_to_rgb(plane, window)).astype(np.uint8)


def random_window(
    rng: np.random.Generator, shape: tuple[int, ...], smallest: float, largest: float
) -> tuple[slice, slice]:
    """A square window with a side between `smallest` and `largest` pixels, where there is room."""
    limit = min(shape[:2])
    side = np.exp(rng.uniform(np.log(min(smallest, limit)), np.log(min(largest, limit))))
    side = min(int(side), limit)
    top, left = (int(rng.integers(0, n - side + 1)) for n in shape[:2])
    return slice(top, top + side), slice(left, left + side)


def resized(image: Array, *, nearest: bool = False) -> Array:
    """An image or class image, resized to 256 × 256 pixels."""
    how = Image.Resampling.NEAREST if nearest else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize((CROP, CROP), how))

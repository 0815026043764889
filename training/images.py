"""Files of real images, crops of 256 × 256 pixels out of them, and writing what is made."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from napari_dinov3_sim.cli.comparison.annotated_sets import AnnotatedImage
from napari_dinov3_sim.readers.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
    images = [p for p in files if not p.name.endswith((".classes.png", ".instances.tif"))]
    if not images:
        raise SystemExit(f"{folder} has no image; they must end in {', '.join(SUFFIXES)}.")
    return images


def check_all(files: Iterable[Path], read: Callable[[Path], object]) -> None:
    """Read all files once, so that a bad one is told before hours of work, with all others.

    Raises
    ------
    SystemExit
        Some cannot be read.
    """
    problems = []
    for path in files:
        try:
            read(path)
        except InputError as error:
            problems.append(str(error))
    if problems:
        raise SystemExit("\n".join([*problems, "Mend or remove these files, and start again."]))


def save_whole(path: Path, array: Array) -> None:
    """Write an array under a name that is there only when all of it is."""
    part = path.with_name(f"{path.stem}.part.npy")
    np.save(part, array)
    part.replace(path)


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
    """The image as uint8, shape (rows, columns, 3), as compare-models reads it.

    Raises
    ------
    InputError
        It cannot be read, or has several planes.
    """
    return AnnotatedImage(path, None, None).read_pixels()


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

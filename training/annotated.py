"""Groups of real, annotated images, in the format of the drawings.

`python -m training.annotated --images FOLDER --out FOLDER`: below FOLDER one folder per set, with
NAME.png and NAME.classes.png (class per pixel: 1 to 14, 0 for everything else, 255 for what was
not judged). A group is four crops of one set. `--held-out FOLDER` links the images that were left
out, a quarter of each set and all of the sets that `--never` names, to measure on them while
training.
"""

from __future__ import annotations

import argparse
from hashlib import sha256
from pathlib import Path

import numpy as np

from napari_dinov3_sim.cli.comparison.annotated_sets import AnnotatedImage
from napari_dinov3_sim.core.evaluation.clicks import IGNORED
from napari_dinov3_sim.readers.errors import InputError
from training.drawings.groups import patch_shares
from training.drawings.scenes import CLASSES
from training.images import (
    SUFFIXES,
    check_all,
    drawn_sets,
    files_below,
    random_window,
    resized,
    save_whole,
)

BACKGROUND = CLASSES - 1
"""What is not annotated is a class of its own, with the last number: see `losses.py`."""


def held_out(path: Path) -> bool:
    """Whether an image is in the quarter that is not trained on; by its name alone."""
    return sha256(path.name.encode()).digest()[0] < 64


def annotated_files(folder: Path) -> dict[str, list[Path]]:
    """The images with classes, by set."""
    sets: dict[str, list[Path]] = {}
    for path in files_below(folder, "*.classes.png"):
        sets.setdefault(path.parent.name, []).append(path)
    return sets


def image_of(classes: Path) -> Path:
    """The image that a class image belongs to."""
    stem = classes.name.removesuffix(".classes.png")
    for suffix in SUFFIXES:
        if (path := classes.with_name(stem + suffix)).exists():
            return path
    raise InputError(f"{classes} has no image beside it; name one {stem}.png, .tif or .jpg.")


def read_pair(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The image that a class image belongs to, and the class of each of its pixels.

    Raises
    ------
    InputError
        One of them cannot be read, they differ in size, or a class is none of 1 to 14.
    """
    both = AnnotatedImage(image_of(path), path, None)
    pixels, classes = both.read_pixels(), both.read_annotation().classes
    wrong = classes[((classes < 0) | (classes >= BACKGROUND)) & (classes != IGNORED)]
    if wrong.size:
        raise InputError(
            f"{path} has the number {wrong[0]}; use 1 to {BACKGROUND - 1} for classes, 0 for "
            f"everything else, {IGNORED} for what was not judged."
        )
    return pixels, np.where(classes == 0, BACKGROUND, classes).astype(np.uint8)


def group(rng: np.random.Generator, files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Images and shares of four crops with a like magnification."""
    scale = np.exp(rng.uniform(np.log(0.5), np.log(1.6)))
    turn, images, shares = int(rng.integers(4)), [], []
    for k in rng.choice(len(files), 4, replace=len(files) < 4):
        image, classes = read_pair(files[k])
        side = 256 / scale
        window = random_window(rng, image.shape, 0.85 * side, 1.15 * side)
        labels = resized(classes[window], nearest=True)
        images.append(np.rot90(resized(image[window]), turn))
        shares.append(patch_shares(np.rot90(labels, turn).astype(np.int8)))
    return np.stack(images), np.stack(shares)


def link_held_out(sets: dict[str, list[Path]], never: list[str], out: Path) -> None:
    """Links to the images that are not trained on, in the format of bench_retrieval.py."""
    for name, files in sets.items():
        target = out / name
        target.mkdir(parents=True, exist_ok=True)
        for path in files:
            if name in never or held_out(path):
                objects = path.with_name(path.name.replace(".classes.png", ".instances.tif"))
                for source in (image_of(path), path, objects):
                    link = target / source.name
                    link.unlink(missing_ok=True)
                    if source.exists():
                        link.symlink_to(source.resolve())
        names = path.parent / "classes.json"
        if names.exists():
            (target / "classes.json").write_text(names.read_text())


def main() -> None:
    """Write groups, and links to what was left out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--held-out", type=Path)
    parser.add_argument("--never", nargs="*", default=[], help="sets that are not trained on")
    parser.add_argument("--groups", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    sets: dict[str, list[Path]] = {}
    for folder in options.images:
        sets.update(annotated_files(folder))
    check_all((path for files in sets.values() for path in files), read_pair)
    if options.held_out:
        link_held_out(sets, options.never, options.held_out)
    learned = {
        name: kept
        for name, files in sets.items()
        if name not in options.never and (kept := [f for f in files if not held_out(f)])
    }
    rng = np.random.default_rng(options.seed)
    images, shares = [], []
    for files in drawn_sets(rng, learned, options.groups):
        one, its_shares = group(rng, files)
        images.append(one)
        shares.append(its_shares)
    save_whole(options.out / "real-0000.shares.npy", np.stack(shares))
    save_whole(options.out / "real-0000.images.npy", np.stack(images))
    print({n: len(f) for n, f in learned.items()})


if __name__ == "__main__":
    main()

"""Mean average precision of one click on annotated images, within the image and across images.

Run `python benchmarks/bench_retrieval.py --data FOLDER [--model builtin] [--clicks 10]`. FOLDER
holds one folder per set of images: `NAME.png`, `NAME.classes.png` (class per pixel, 255 ignored),
`NAME.instances.tif` (object ids) and `classes.json` (class names by number).

A click is a patch that lies at least 75 % in a class. Patches at least 50 % in it are positive;
those of the clicked object are left out. The mean is taken over clicks, then over classes.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from skimage.io import imread
from skimage.transform import resize

import napari_dinov3_sim as nds

if TYPE_CHECKING:
    from collections.abc import Iterator

ENLARGED = {"nuclei_colour": 2, "nuclei_fluorescence": 3}
"""Sets whose objects are smaller than two patches."""


@dataclass(frozen=True, eq=False)
class Annotated:
    """An embedded image, and what its patches hold."""

    state: nds.PatchImageState
    shares: dict[str, np.ndarray]
    valid: np.ndarray
    instances: np.ndarray


def main() -> None:
    """Print one row per class and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--clicks", type=int, default=10, help="at most, per image and class")
    options = parser.parse_args()
    backbone = nds.load_backbone(options.model)
    within, across = [], []
    images = len(list(options.data.glob("*/*.classes.png")))
    print(f"model {backbone.name}; {images} images")
    print("set                    class           within  across")
    for folder, name, inside, outside in class_scores(options.data, backbone, options.clicks):
        within += inside[:1]
        across += outside[:1]
        cells = "".join(f"{v[0]:8.3f}" if v else "       –" for v in (inside, outside))
        print(f"{folder:22} {name:14}{cells}")
    name = f"all {len(within)} and {len(across)} classes"
    print(f"{name:37}{np.mean(within):8.3f}{np.mean(across):8.3f}")


def class_scores(
    data: Path, backbone: object, clicks: int, recipe: object = None
) -> Iterator[tuple[str, str, list[float], list[float]]]:
    """Yield set, class, and mean average precision within and across images of every class."""
    rng = np.random.default_rng(0)
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        images, classes = read_set(folder, backbone, recipe)
        for number, name in classes.items():
            yield folder.name, name, *precision(images, number, clicks, rng)


def read_set(
    folder: Path, backbone: object, recipe: object
) -> tuple[list[Annotated], dict[str, str]]:
    """Read and embed a set of images."""
    classes = json.loads((folder / "classes.json").read_text())
    names = sorted(p for p in folder.glob("*.png") if not p.name.endswith(".classes.png"))
    return [read_image(path, classes, backbone, recipe) for path in names], classes


def read_image(path: Path, classes: dict[str, str], backbone: object, recipe: object) -> Annotated:
    """Read, enlarge and embed one image with its annotation."""
    image = imread(path)
    label = imread(path.with_suffix(".classes.png"))
    instances = imread(path.with_suffix(".instances.tif"))
    factor = ENLARGED.get(path.parent.name, 1)
    if factor > 1:
        shape = (image.shape[0] * factor, image.shape[1] * factor)
        image = (resize(image, shape, order=1) * 255).astype(np.uint8)
        label, instances = (a.repeat(factor, 0).repeat(factor, 1) for a in (label, instances))
    state = nds.create_patch_image_state(image, backbone, recipe=recipe)
    shares = {number: share(label == int(number), state) for number in classes}
    return Annotated(state, shares, share(label == 255, state) < 0.5, instances)


def share(mask: np.ndarray, state: nds.PatchImageState) -> np.ndarray:
    """Return the share of each patch's pixels that lie in a mask, row by row."""
    grid = state.grid
    sums = []
    for values in (mask, np.ones_like(mask)):
        padded = np.zeros(grid.padded_shape)
        padded[: mask.shape[0], : mask.shape[1]] = values
        blocks = padded.reshape(grid.rows, grid.patch_size, grid.columns, grid.patch_size)
        sums.append(blocks.sum((1, 3)).ravel())
    return sums[0] / sums[1]


def precision(
    images: list[Annotated], number: str, clicks: int, rng: np.random.Generator
) -> tuple[list[float], list[float]]:
    """Return the mean average precision within and across images; empty where undefined."""
    inside, outside = [], []
    holders = [i for i, image in enumerate(images) if (image.shares[number] >= 0.5).any()]
    for at, image in enumerate(images):
        candidates = np.flatnonzero(image.shares[number] >= 0.75)
        others = [i for i in holders if i != at]
        for patch in rng.permutation(candidates)[:clicks]:
            y, x = (16 * n + 8 for n in divmod(int(patch), image.state.grid.columns))
            point = (
                min(x, image.state.image_shape[1] - 1),
                min(y, image.state.image_shape[0] - 1),
            )
            usable = image.valid & ~own_object(image, int(patch))
            inside += scored(image, image, point, number, usable)
            if others:
                other = images[rng.choice(others)]
                outside += scored(image, other, point, number, other.valid)
    return [[float(np.mean(v))] if v else [] for v in (inside, outside)]


def own_object(image: Annotated, patch: int) -> np.ndarray:
    """Mark the patches of the object that lies under most of a patch, and the patch itself."""
    row, column = divmod(patch, image.state.grid.columns)
    ids = image.instances[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
    most = int(np.bincount(ids.ravel()).argmax())
    own = (
        share(image.instances == most, image.state) > 0
        if most
        else np.zeros(len(image.valid), bool)
    )
    own[patch] = True
    return own


def scored(
    image: Annotated, target: Annotated, point: tuple[int, int], number: str, usable: np.ndarray
) -> list[float]:
    """Return the average precision of one heatmap in a list, empty without a positive."""
    (heatmap,) = nds.create_similarity_images(image.state, point, [target.state])
    scores = heatmap.cosine.ravel()[usable]
    positive = (target.shares[number] >= 0.5)[usable]
    if not positive.any():
        return []
    ranked = positive[np.argsort(-scores, stable=True)]
    hits = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return [float(hits[ranked].mean())]


if __name__ == "__main__":
    main()

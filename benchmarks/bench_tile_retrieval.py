"""How tile sides and overlaps change what one click finds in large annotated scenes.

Run `OMP_NUM_THREADS=1 python benchmarks/bench_tile_retrieval.py --data FOLDER [FOLDER ...]`.
FOLDER is that of `bench_retrieval.py`. Each set becomes two scenes of `--side` pixels, laid from
its images, turned and mirrored by chance. The same clicks are answered for each tiling: average
precision over patches within the scene and in the other one, the patches of the clicked object
left out. Printed are the means over clicks, then over classes, the difference from the first
tiling with the standard error of its mean over classes, and core-seconds per megapixel.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from common import ENLARGED, machine
from skimage.io import imread
from skimage.transform import resize

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling, plan_embedding
from napari_dinov3_sim.core.evaluation.clicks import PATCH, covered
from napari_dinov3_sim.core.evaluation.precision import average_precision

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, eq=False)
class Scene:
    """Pixels (N, N, 3), and class and object number of each pixel; class 255 is ignored."""

    pixels: np.ndarray
    classes: np.ndarray
    objects: np.ndarray


@dataclass(frozen=True, eq=False)
class Click:
    """A clicked patch of a scene, the class that is meant, and the patches of its object."""

    scene: int
    patch: int
    number: int
    own: np.ndarray


def main() -> None:
    """Print one row per set, and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--clicks", type=int, default=10, help="per scene and class")
    parser.add_argument(
        "--tilings",
        nargs="+",
        default=["1024/128", "768/64", "512/32", "512/64", "512/128"],
        help="tile side/overlap; the first is what the others are compared with",
    )
    options = parser.parse_args()
    backbone = nds.load_backbone(options.model, device="cpu")
    tilings = [Tiling(*map(int, text.split("/"))) for text in options.tilings]
    print(f"{options.side}²; model {backbone.name}; {machine()}")
    for text, tiling in zip(options.tilings, tilings, strict=True):
        plan = plan_embedding((options.side, options.side), PATCH, Recipe(tiling))
        print(f"{text:>9}: {len(plan.tiles)} tiles of {plan.tile_shape[0] * PATCH}")
    print("set                  scene   " + "".join(f"{text:>16}" for text in options.tilings))
    everything: list[list[np.ndarray]] = [[], []]
    costs = []
    folders = [one for data in options.data for one in sorted(data.iterdir()) if one.is_dir()]
    for folder in folders:
        scenes = [laid(folder, options.side, seed) for seed in (0, 1)]
        clicks = list(clicks_in(folder, scenes, options.clicks))
        costs.append([])
        found = []
        for tiling in tilings:
            start = time.process_time()
            recipe = Recipe(tiling)
            states = [
                nds.create_patch_image_state(s.pixels, backbone, recipe=recipe) for s in scenes
            ]
            costs[-1].append((time.process_time() - start) / len(scenes) / options.side**2 * 1e6)
            vectors = [state.embeddings_normalized.float().numpy() for state in states]
            found.append(precision(scenes, clicks, vectors))
        for where, name in enumerate(("within", "across")):
            each = np.array([[rows[where] for rows in one.values()] for one in found])
            each = each[:, ~np.isnan(each).any(0)]
            everything[where].append(each)
            cells = "".join(f"{value:16.3f}" for value in each.mean(1))
            print(f"{folder.name:20} {name:8}{cells}", flush=True)
    for each, name in zip(everything, ("within", "across"), strict=True):
        print(summary(np.concatenate(each, axis=1), name))
    print(f"{'core-s/MP':29}" + "".join(f"{value:16.2f}" for value in np.mean(costs, axis=0)))


def laid(folder: Path, side: int, seed: int) -> Scene:
    """Fill a scene row by row with the images of a set."""
    rng = np.random.default_rng(seed)
    names = sorted(p for p in folder.glob("*.png") if not p.name.endswith(".classes.png"))
    scene = Scene(
        np.zeros((side, side, 3), np.uint8),
        np.full((side, side), 255, np.uint8),
        np.zeros((side, side), np.int64),
    )
    row, number = 0, 0
    order: list[Path] = []
    while row < side:
        column, height = 0, 0
        while column < side:
            order = order or [names[n] for n in rng.permutation(len(names))]
            pixels, classes, objects = turned(read(order.pop()), rng)
            height = height or len(pixels)
            place = np.s_[row : row + min(height, len(pixels)), column : column + pixels.shape[1]]
            rows, columns = scene.classes[place].shape
            scene.pixels[place] = pixels[:rows, :columns]
            scene.classes[place] = classes[:rows, :columns]
            number += 100_000
            cut = objects[:rows, :columns].astype(np.int64)
            scene.objects[place] = np.where(cut > 0, cut + number, 0)
            column += pixels.shape[1]
        row += height
    return scene


def read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read an image as uint8 RGB, its classes and its objects."""
    image, classes = imread(path), imread(path.with_suffix(".classes.png"))
    objects = imread(path.with_suffix(".instances.tif"))
    image = np.stack([image] * 3, -1) if image.ndim == 2 else image[..., :3]
    factor = ENLARGED.get(path.parent.name, 1)
    if factor > 1:
        shape = (image.shape[0] * factor, image.shape[1] * factor)
        image = resize(image, shape, order=1, preserve_range=True).astype(np.uint8)
        classes, objects = (a.repeat(factor, 0).repeat(factor, 1) for a in (classes, objects))
    return image, classes, objects


def turned(arrays: tuple[np.ndarray, ...], rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Turn all by the same number of quarters, and mirror them or not."""
    quarters, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    found = [np.rot90(array, quarters) for array in arrays]
    return tuple(array[:, ::-1] if mirrored else array for array in found)


def share(mask: np.ndarray) -> np.ndarray:
    """Return the share of each patch's pixels that lie in a mask, row by row."""
    return covered(mask).ravel()


def clicks_in(folder: Path, scenes: list[Scene], most: int) -> Iterator[Click]:
    """Choose patches that lie at least 75 % in a class."""
    rng = np.random.default_rng(0)
    for name in json.loads((folder / "classes.json").read_text()):
        for at, scene in enumerate(scenes):
            candidates = np.flatnonzero(share(scene.classes == int(name)) >= 0.75)
            for patch in rng.permutation(candidates)[:most]:
                yield Click(at, int(patch), int(name), own_object(scene, int(patch)))


def own_object(scene: Scene, patch: int) -> np.ndarray:
    """Mark the patches of the object under most of a patch, and the patch itself."""
    row, column = (PATCH * n for n in divmod(patch, scene.objects.shape[1] // PATCH))
    square = scene.objects[row : row + PATCH, column : column + PATCH]
    numbers, counts = np.unique(square, return_counts=True)
    most = numbers[counts.argmax()]
    own = share(scene.objects == most) > 0 if most else np.zeros(len(share(scene.objects)), bool)
    own[patch] = True
    return own


def precision(
    scenes: list[Scene], clicks: list[Click], vectors: list[np.ndarray]
) -> dict[int, tuple[float, float]]:
    """Return the mean average precision within and across scenes, by class."""
    valid = [share(scene.classes == 255) < 0.5 for scene in scenes]
    found: dict[int, tuple[float, float]] = {}
    for number in sorted({click.number for click in clicks}):
        positive = [share(scene.classes == number) >= 0.5 for scene in scenes]
        within, across = [], []
        for click in (one for one in clicks if one.number == number):
            query = vectors[click.scene][click.patch]
            for target, scores in ((within, click.scene), (across, 1 - click.scene)):
                usable = valid[scores] & ~click.own if target is within else valid[scores]
                right = positive[scores][usable]
                if right.any():
                    target.append(average_precision(vectors[scores][usable] @ query, right))
        found[number] = tuple(np.mean(v) if v else np.nan for v in (within, across))
    return found


def summary(each: np.ndarray, name: str) -> str:
    """Return the row of means over classes, with their differences from the first tiling."""
    cells = f"{each[0].mean():16.3f}"
    for row in each[1:]:
        apart = row - each[0]
        error = apart.std(ddof=1) / len(apart) ** 0.5
        cells += f" {row.mean():.3f}{apart.mean():+.3f}±{error:.3f}"
    return f"{f'all {each.shape[1]} classes':20} {name:8}{cells}"


if __name__ == "__main__":
    main()

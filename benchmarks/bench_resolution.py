"""Resolution factors and shift-and-interleave against each other: cost, sharpness, a picture.

Run `OMP_NUM_THREADS=1 python benchmarks/bench_resolution.py [--data FOLDER] [--picture FILE]`. For
every factor ½, 1, 2, 4 and for 2 and 4 shifts it prints the core-seconds per megapixel of an image
of 1024² and, with the folder of `bench_retrieval.py`, the average precision of the heatmap per
*pixel* for nuclei and blood cells, over clicks on patches that lie at least half in one.
`--picture` draws the heatmaps of one click side by side.

The last two columns tell whether shifted passes show as a checkerboard, on the picture that is
drawn: the mean cosine of neighbouring cells, and the greatest distance between the mean vectors of
two passes.
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
from common import picture
from skimage import data
from skimage.io import imread, imsave

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.embedding.recipe import Recipe
from napari_dinov3_sim.core.evaluation.precision import average_precision

RECIPES = {
    "1/2": Recipe(factor=0.5),
    "1": Recipe(),
    "2": Recipe(factor=2.0),
    "4": Recipe(factor=4.0),
    "2 shifts, zeros": Recipe(shifts=2),
    "2 shifts, reflect": Recipe(shifts=2, padding="reflect"),
    "4 shifts, reflect": Recipe(shifts=4, padding="reflect"),
}
SETS = ("nuclei_colour", "nuclei_fluorescence", "nuclei_brightfield", "bccd")
CLICKS, IMAGES = 4, 2


def main() -> None:
    """Print one row per recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    backbone = nds.load_backbone(options.model, device="cpu")
    if options.picture is not None:
        draw(options.picture, backbone)
    sets = SETS if options.data is not None else ()
    print(f"model {backbone.name}")
    print("resolution         cell    cost  " + "  ".join((*sets, "neighbours", "passes apart")))
    for name, recipe in RECIPES.items():
        scores = [score(options.data / folder, backbone, recipe) for folder in sets]
        cells = "  ".join(f"{value:{len(n)}.3f}" for n, value in zip(sets, scores, strict=True))
        near, apart = checkerboard(backbone, recipe)
        cell = recipe.cell_size(backbone.patch_size)
        print(
            f"{name:17} {cell:5}  {cost(backbone, recipe):6.2f}  {cells}  {near:10.3f}  "
            f"{apart:>12}",
            flush=True,
        )


def cost(backbone: object, recipe: Recipe, side: int = 1024) -> float:
    """Return the processor time that an image takes, in seconds per megapixel; the less of two."""
    image, times = picture(side), []
    for _ in range(2):
        start = time.process_time()
        nds.create_patch_image_state(image, backbone, recipe=recipe)
        times.append(time.process_time() - start)
    return min(times) / (side * side / 1e6)


def checkerboard(backbone: object, recipe: Recipe) -> tuple[float, str]:
    """Return the mean cosine of neighbours, and how far apart the means of the passes are."""
    state = nds.create_patch_image_state(detail(), backbone, recipe=recipe)
    cells = state.vectors.reshape(*state.grid.shape, -1)
    pairs = [(cells[1:], cells[:-1]), (cells[:, 1:], cells[:, :-1])]
    near = float(np.concatenate([(a * b).sum(-1).ravel() for a, b in pairs]).mean())
    n = recipe.shifts
    means = [cells[y::n, x::n].mean((0, 1)) for y, x in np.ndindex(n, n)]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(means, 2)]
    return near, f"{max(distances):.3f}" if distances else "–"


def detail() -> np.ndarray:
    """Return the picture that is drawn."""
    return data.immunohistochemistry()[96:288, 64:256]


def score(folder: Path, backbone: object, recipe: Recipe) -> float:
    """Return the mean average precision per pixel of clicks in the first images of a set."""
    names = [p for p in sorted(folder.glob("*.png")) if not p.name.endswith(".classes.png")]
    return float(
        np.mean([ap for name in names[:IMAGES] for ap in precisions(name, backbone, recipe)])
    )


def precisions(path: Path, backbone: object, recipe: Recipe) -> list[float]:
    """Return the average precision of each click in one image."""
    image, label = imread(path), imread(path.with_suffix(".classes.png"))
    instances = imread(path.with_suffix(".instances.tif"))
    state = nds.create_patch_image_state(image, backbone, recipe=recipe)
    found = []
    for x, y in clicks(label):
        heatmap = nds.create_similarity_images(state, (x, y), [state])[0].full_resolution()
        own = (instances == instances[y, x]) & (instances > 0)
        usable = (label != 255) & ~own
        found.append(precision(heatmap[usable], label[usable] == label[y, x]))
    return found


def clicks(label: np.ndarray) -> list[tuple[int, int]]:
    """Return a few pixels that are the middle of a patch at least half of one class."""
    places = [
        (x + 8, y + 8)
        for y in range(0, label.shape[0] - 15, 16)
        for x in range(0, label.shape[1] - 15, 16)
        if label[y + 8, x + 8] not in (0, 255)
        and (label[y : y + 16, x : x + 16] == label[y + 8, x + 8]).mean() >= 0.5
    ]
    return [places[i] for i in np.random.default_rng(0).permutation(len(places))[:CLICKS]]


def precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the average precision; 0 where nothing is to be found."""
    return average_precision(scores, positive) if positive.any() else 0.0


def draw(path: Path, backbone: object) -> None:
    """Write the image and the heatmaps of one click in it, side by side."""
    image = detail()
    panels = [image]
    for recipe in RECIPES.values():
        state = nds.create_patch_image_state(image, backbone, recipe=recipe)
        heatmap = nds.create_similarity_images(state, (100, 60), [state])[0]
        shown = (255 * heatmap.full_resolution("display")).astype(np.uint8)
        panels.append(np.stack([shown] * 3, -1))
    rule = np.full((192, 4, 3), 255, np.uint8)
    rows = [np.hstack([part for p in panels[i : i + 4] for part in (p, rule)]) for i in (0, 4)]
    sheet = np.vstack([rows[0], np.full((4, rows[0].shape[1], 3), 255, np.uint8), rows[1]])
    imsave(path, sheet.repeat(2, 0).repeat(2, 1), check_contrast=False)


if __name__ == "__main__":
    main()

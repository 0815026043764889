"""What padding and positional debiasing do to seams, to stereo matches and to retrieval.

Run `python benchmarks/bench_position.py [--model builtin] [--side 2048] [--data FOLDER]`.

*Seams*: the picture goes through the model whole and in tiles. At the joints: the mean cosine
between a patch of the tiled and of the whole image, and how much more neighbours across a joint
differ (1 - cosine) than the same neighbours in the whole image. *Matches*: for each patch of the
left picture of `skimage.data.stereo_motorcycle`, the share whose most similar patch in the right
one lies within 8 and within 16 pixels of where the measured disparity says. *Retrieval*: the two
means of `bench_retrieval.py`, where `--data` names its folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from bench_retrieval import class_scores
from bench_tiles import at_joints
from common import picture
from skimage import data

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.plan import plan_embedding
from napari_dinov3_sim.core.recipe import Recipe
from napari_dinov3_sim.core.tiles import Tiling

OPTIONS = [("zeros", 0), ("reflect", 0), ("zeros", 5), ("zeros", 20)]


def main() -> None:
    """Print one row per option."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    backbone = nds.load_backbone(options.model)
    print(f"model {backbone.name}; seams on {options.side}²")
    print("padding  debias  joints  step  matches: ≤ 8 px  ≤ 16 px  retrieval: within  across")
    for padding, debias in OPTIONS:
        cells = [f"{value:.3f}" for value in matches(backbone, padding, debias)]
        if options.data is not None:
            cells += [
                f"{value:.3f}" for value in retrieval(options.data, backbone, padding, debias)
            ]
        joints, step = seams(backbone, options.side, padding, debias)
        print(f"{padding:8} {debias:5}  {joints:.3f}  {step:+.4f}  {'  '.join(cells)}", flush=True)


def seams(backbone: object, side: int, padding: str, debias: int) -> tuple[float, float]:
    """Return the cosine to the whole image beside the joints, and the step across them."""
    image = picture(side)
    recipes = [Recipe(t, padding=padding, debias=debias) for t in (Tiling(), Tiling(2**20, 0))]
    plan = plan_embedding(image.shape[:2], backbone.patch_size, recipes[0])
    tiled, whole = (
        nds.create_patch_image_state(image, backbone, recipe=recipe).embeddings_normalized.float()
        for recipe in recipes
    )
    return at_joints(whole, tiled, plan)


def matches(backbone: object, padding: str, debias: int) -> list[float]:
    """Return the shares of patches that are matched within 8 and within 16 pixels."""
    left, right, disparity = data.stereo_motorcycle()
    recipe = Recipe(padding=padding, debias=debias)
    states = [nds.create_patch_image_state(i, backbone, recipe=recipe) for i in (left, right)]
    grid = states[0].grid
    y, x = (16 * n + 8 for n in np.divmod(np.arange(len(grid)), grid.columns))
    inside = (y < left.shape[0]) & (x < left.shape[1])
    shift = np.full(len(grid), np.nan)
    shift[inside] = disparity[y[inside], x[inside]]
    usable = np.isfinite(shift) & (x - shift >= 0)
    cosine = states[0].embeddings_normalized @ states[1].embeddings_normalized.T
    best = cosine.argmax(1).numpy()
    found_y, found_x = (16 * n + 8 for n in np.divmod(best, grid.columns))
    distance = np.hypot(found_y - y, found_x - (x - shift))[usable]
    return [float((distance <= limit).mean()) for limit in (8.0, 16.0)]


def retrieval(folder: Path, backbone: object, padding: str, debias: int) -> list[float]:
    """Return the mean average precision within and across images, over all classes."""
    recipe = Recipe(padding=padding, debias=debias)
    scores = list(class_scores(folder, backbone, 10, recipe))
    return [float(np.mean([one[at][0] for one in scores if one[at]])) for at in (2, 3)]


if __name__ == "__main__":
    main()

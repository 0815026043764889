"""What padding, positional debiasing and shifts do to seams, to stereo matches and to retrieval.

Run `python benchmarks/bench_position.py [--model builtin] [--side 1088] [--data FOLDER]`.

*Seams*: the picture goes through the model whole and in tiles. At the joints: the mean cosine
between a patch of the tiled and of the whole image, and how much more neighbours across a joint
differ (1 - cosine) than the same neighbours in the whole image. *Nearest* and *mutual* are the
right shares of `bench_matches.py`. *Retrieval*: the two means of `bench_retrieval.py`, where
`--data` names its folder. Seams and retrieval are left out for shifted passes: their cells are
smaller than patches, and the numbers could not be compared.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from bench_matches import stereo_matches
from bench_tiles import at_joints
from common import ENLARGED, picture

import napari_dinov3_sim as nds
from napari_dinov3_sim.cli.comparison.annotated_sets import SetOptions, find_sets
from napari_dinov3_sim.cli.comparison.compare import compare
from napari_dinov3_sim.cli.comparison.ways import Way, embedding_features
from napari_dinov3_sim.core.embedding.recipe import Recipe, Tiling, plan_embedding

PADDINGS = ("zeros", "reflect")
OPTIONS = [
    *((padding, debias, 1) for padding, debias in itertools.product(PADDINGS, (0, 2, 5, 10, 20))),
    *((padding, 0, shifts) for shifts, padding in itertools.product((2, 4), PADDINGS)),
]
HEADINGS = (
    ("joints", "step"),
    ("nearest ≤ 8 px", "≤ 16 px"),
    ("mutual", "known", "≤ 8 px", "≤ 16 px"),
    ("retrieval within", "across"),
)


def main() -> None:
    """Print one row per option."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--side", type=int, default=1088, help="of the picture that is tiled")
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    backbone = nds.load_backbone(options.model)
    print(f"model {backbone.name}; seams on {options.side}²")
    names = list(itertools.chain(*HEADINGS))
    print("padding  debias  shifts  " + "  ".join(names))
    for padding, debias, shifts in OPTIONS:
        recipe = Recipe(padding=padding, debias=debias, shifts=shifts)
        row = cells(backbone, recipe, options)
        shown = "  ".join(f"{cell:>{len(name)}}" for cell, name in zip(row, names, strict=True))
        print(f"{padding:7}  {debias:6}  {shifts:6}  {shown}", flush=True)


def cells(backbone: object, recipe: Recipe, options: argparse.Namespace) -> list[str]:
    """Return a row; what is not measured is a dash."""
    matches = stereo_matches(backbone, recipe)[1]
    nearest, mutual = matches["nearest"], matches["mutual"]
    stereo = [
        *(f"{share:.3f}" for share in nearest.right),
        *(f"{mutual.number}", f"{mutual.known}"),
        *(f"{share:.3f}" for share in mutual.right),
    ]
    if recipe.shifts > 1:
        return ["–", "–", *stereo, "–", "–"]
    joints, step = seams(backbone, options.side, recipe)
    found = ["–", "–"] if options.data is None else retrieval(options.data, backbone, recipe)
    return [f"{joints:.3f}", f"{step:.3f}", *stereo, *found]


def seams(backbone: object, side: int, recipe: Recipe) -> tuple[float, float]:
    """Return the cosine to the whole image beside the joints, and the step across them."""
    image = picture(side)
    recipes = [
        Recipe(tiling, padding=recipe.padding, debias=recipe.debias)
        for tiling in (Tiling(), Tiling(2**20, 0))
    ]
    plan = plan_embedding(image.shape[:2], backbone.patch_size, recipes[0])
    tiled, whole = (
        nds.create_patch_image_state(image, backbone, recipe=one).embeddings_normalized.float()
        for one in recipes
    )
    return at_joints(whole, tiled, plan)


def retrieval(folder: Path, backbone: object, recipe: Recipe) -> list[str]:
    """Return the mean average precision within and across images, over all classes."""
    way = Way(backbone.name, lambda: embedding_features(backbone, recipe))
    found = compare(find_sets([folder], SetOptions(zoom=ENLARGED)), [way], 10)
    return [f"{mean:.3f}" for mean in found.means(way.name)]


if __name__ == "__main__":
    main()

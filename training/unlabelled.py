"""Groups of real images without annotations: four crops of one set.

`python -m training.unlabelled --images FOLDER --out FOLDER`. Writes unlabelled-0000.images.npy
(uint8, groups × 4 × 256 × 256 × 3). Images with an annotation beside them that `annotated` holds
out for measuring are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from training.annotated import held_out
from training.images import (
    by_folder,
    check_all,
    drawn_sets,
    image_files,
    random_window,
    read_rgb,
    resized,
    save_whole,
)


def main() -> None:
    """Write groups."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--never", nargs="*", default=[], help="sets that are not trained on")
    parser.add_argument("--groups", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    files = [path for folder in options.images for path in image_files(folder)]
    check_all(files, read_rgb)
    sets = by_folder(path for path in files if not _left_out(path, options.never))
    rng = np.random.default_rng(options.seed)
    groups = []
    for files in drawn_sets(rng, sets, options.groups):
        side = 256 / np.exp(rng.uniform(np.log(0.6), np.log(1.8)))
        crops = []
        for chosen in rng.choice(len(files), 4, replace=len(files) < 4):
            image = read_rgb(files[chosen])
            crops.append(resized(image[random_window(rng, image.shape, 0.9 * side, 1.1 * side)]))
        groups.append(np.stack(crops))
    save_whole(options.out / "unlabelled-0000.images.npy", np.stack(groups))
    print({folder.name: len(files) for folder, files in sorted(sets.items())})


def _left_out(path: Path, never: list[str]) -> bool:
    annotated = path.with_name(path.stem + ".classes.png")
    return path.parent.name in never or (annotated.exists() and held_out(annotated))


if __name__ == "__main__":
    main()

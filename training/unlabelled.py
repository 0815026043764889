"""Groups of real images without annotations: four crops of one set.

`python -m training.unlabelled --images FOLDER --out FOLDER`. Writes unlabelled-0000.images.npy
(uint8, groups × 4 × 256 × 256 × 3). Images that are held out for measuring are left out by the
same rule as in `annotated`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from training.annotated import held_out
from training.images import image_files, random_window, read_rgb, resized


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
    sets: dict[Path, list[Path]] = {}
    for folder in options.images:
        for path in image_files(folder):
            annotated = path.with_name(path.stem + ".classes.png")
            if path.parent.name in options.never or (annotated.exists() and held_out(annotated)):
                continue
            sets.setdefault(path.parent, []).append(path)
    rng = np.random.default_rng(options.seed)
    names = sorted(sets)
    weights = np.sqrt([len(sets[n]) for n in names])
    groups = []
    for k in rng.choice(len(names), options.groups, p=weights / weights.sum()):
        files = sets[names[k]]
        side = 256 / np.exp(rng.uniform(np.log(0.6), np.log(1.8)))
        crops = []
        for chosen in rng.choice(len(files), 4, replace=len(files) < 4):
            image = read_rgb(files[chosen])
            crops.append(resized(image[random_window(rng, image.shape, 0.9 * side, 1.1 * side)]))
        groups.append(np.stack(crops))
    np.save(options.out / "unlabelled-0000.images.npy", np.stack(groups))
    print({n.name: len(sets[n]) for n in names})


if __name__ == "__main__":
    main()

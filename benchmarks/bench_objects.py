"""How well objects follow the edges of the image, refined from patches to pixels.

Run `OMP_NUM_THREADS=1 python benchmarks/bench_objects.py --images FOLDER [FOLDER ...]
[--model builtin] [--draws 3]`. FOLDER holds one folder per set of images, as described in
`bench_retrieval.py`. Embeddings are kept in a folder for temporary files and used again.

A user says of three patches of every second image that they are of a class, and of three that
they are not. The measure is the intersection over union (IoU) of the pixels found with those
annotated, over all images of a set: at the automatic threshold, at the best one for all images,
and at the best one of each image, of which the mean is taken. The cost is the time of the
processor for each megapixel and class; what is found of the image alone is in it each time.

- `blocks`, `bilinear`: the scores of patches, and interpolated between their centres;
- `guided`: these through a guided filter (He et al. 2013) with the colours as guide;
- `logistic`: a classifier of pixels, taught by the tenth of the patches that is surest;
- `log.guided`: the same through a guided filter;
- `edges`: what the package does, see `core/objects/refine.py`;
- `edges+gf`: the mean of that and of `guided`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from bench_threshold import JUDGED_RIGHT, MEANT, PER_ROUND, Patches, read_patches, say
from common import ENLARGED
from scipy.ndimage import uniform_filter
from skimage.io import imread
from skimage.transform import resize

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.images.intensity import window_of
from napari_dinov3_sim.core.images.sources import as_source
from napari_dinov3_sim.core.objects.guide import pixel_features, read_guide
from napari_dinov3_sim.core.objects.refine import refine_scores
from napari_dinov3_sim.core.search.combine import resolve, score_vectors
from napari_dinov3_sim.core.search.similarity import SimilarityMap, upsample_nearest
from napari_dinov3_sim.core.search.thresholds import automatic_threshold
from napari_dinov3_sim.core.vectors import normalize_embeddings

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE = 16
BINS = 2000
RADIUS, EPSILON, EVERY = 16, 1e-4, 4
"""Of the guided filter, in pixels; it is fitted to every fourth pixel."""


class Curve:
    """The IoU at every threshold, from counts of pixels by score."""

    def __init__(self, scores: np.ndarray, meant: np.ndarray, known: np.ndarray) -> None:
        at = np.clip(((scores + 1) * (BINS / 2)).astype(int), 0, BINS - 1)
        self.counts = np.stack(
            [np.bincount(at[mask], minlength=BINS) for mask in (meant & known, known)]
        )

    @staticmethod
    def overlap(counts: np.ndarray) -> np.ndarray:
        """Return it for counts that may be the sum of those of several images."""
        right, found = counts[:, ::-1].cumsum(1)[:, ::-1]
        return right / np.maximum(1, found + counts[0].sum() - right)


def main() -> None:
    """Print a row for each class, and the means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--draws", type=int, default=3, help="per class")
    options = parser.parse_args()
    print("IoU at the automatic threshold / the best one / the best one of each image")
    print(f"{'':30}" + "".join(f"{name:>19}" for name in METHODS))
    cost, rows = defaultdict(float), []
    for folder in options.images:
        for name, row in measure(folder, options.model, options.draws, cost):
            rows.append(row)
            cells = ("{:7.3f}{:6.3f}{:6.3f}".format(*row[method]) for method in METHODS)
            print(f"{name:30}" + "".join(cells), flush=True)
    report(rows, cost)


def report(rows: list[dict[str, np.ndarray]], cost: dict[str, float]) -> None:
    """Print the means over classes, gains over blocks, and what they cost."""
    table = {name: np.array([row[name] for row in rows]) for name in METHODS}
    blocks = table["blocks"]
    print(f"{len(rows)} classes; gains over blocks; good: where blocks have .55 or more")
    for name, found in table.items():
        gain = found - blocks
        good = [gain[blocks[:, at] >= 0.55, at] for at in (1, 2)]
        print(
            f"{name:12}auto {found[:, 0].mean():.3f} ({gain[:, 0].mean():+.3f}, least "
            f"{gain[:, 0].min():+.3f}); best {found[:, 1].mean():.3f} ({gain[:, 1].mean():+.3f}, "
            f"good {good[0].mean():+.3f}, least {gain[:, 1].min():+.3f}); each image "
            f"{found[:, 2].mean():.3f} ({gain[:, 2].mean():+.3f}, good {good[1].mean():+.3f}, "
            f"least {gain[:, 2].min():+.3f}); {cost[name] / cost['megapixels']:.3f} core-s per "
            "megapixel"
        )


def measure(
    data: Path, model: str, draws: int, cost: dict[str, float]
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Yield the name of each class, and the three overlaps of each method."""
    for folder in sorted(path for path in data.iterdir() if (path / "classes.json").exists()):
        classes = json.loads((folder / "classes.json").read_text())
        names = sorted(folder.glob("*.classes.png"))
        parts = [read_patches(path, tuple(classes), model) for path in names]
        images, labels = zip(*map(read_pixels, names), strict=True)
        for number, name in classes.items():
            one = patches_of(parts, number)
            untouched = (one.image % 2 == 1) & (one.share >= JUDGED_RIGHT)
            if (one.searched & (one.share >= MEANT)).sum() < PER_ROUND or untouched.sum() < 3:
                continue
            rng, found = np.random.default_rng(0), defaultdict(list)
            for _ in range(draws):
                maps, level = answer(one, *say("3 + 3", one, rng))
                for method, refine in METHODS.items():
                    began = time.process_time()
                    scores = [refine(*pair) for pair in zip(maps, images, strict=True)]
                    cost[method] += time.process_time() - began
                    found[method].append(overlaps(scores, labels, int(number), level))
                cost["megapixels"] += sum(label.size for label in labels) / 1e6
            yield f"{folder.name} {name}", {m: np.mean(rows, 0) for m, rows in found.items()}


def patches_of(parts: list[dict[str, np.ndarray]], number: str) -> Patches:
    """Return the patches of all images of a set for one class."""
    image = np.repeat(np.arange(len(parts)), [len(one["area"]) for one in parts])
    joined = {key: np.concatenate([one[key] for one in parts]) for key in parts[0]}
    means = np.stack([one["vectors"].mean(0, dtype=float) for one in parts])
    vectors, area, known = joined["vectors"], joined["area"], joined["known"]
    backgrounds = normalize_embeddings(means.astype(np.float32))
    return Patches(vectors, image, area, known, joined[number], backgrounds)


def read_pixels(annotation: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return an image and the class of each of its pixels."""
    path = annotation.with_name(annotation.name.replace(".classes", ""))
    image, label = imread(path), imread(annotation)
    factor = ENLARGED.get(path.parent.name, 1)
    if factor > 1:
        shape = (image.shape[0] * factor, image.shape[1] * factor)
        image = (resize(image, shape, order=1) * 255).astype(np.uint8)
        label = label.repeat(factor, 0).repeat(factor, 1)
    return image, label


def answer(
    one: Patches, positives: np.ndarray, negatives: np.ndarray
) -> tuple[list[np.ndarray], float]:
    """Return the scores of the patches of each image, and the automatic threshold."""
    query = one.query(positives, negatives)
    combination = resolve("auto", len(negatives))
    scores = score_vectors(query, one.vectors, combination)
    pool = [SimilarityMap(scores[None], PatchGrid((SIDE, SIDE * len(scores)), SIDE))]
    maps = [scores[one.image == at] for at in range(one.image.max() + 1)]
    return maps, automatic_threshold(query, pool, combination)


def overlaps(
    scores: list[np.ndarray], labels: tuple[np.ndarray, ...], number: int, level: float
) -> tuple[float, float, float]:
    """Return the IoU at the automatic, the best, and the best threshold of each image."""
    curves = [
        Curve(one, label == number, label != 255)
        for one, label in zip(scores, labels, strict=True)
    ]
    together = Curve.overlap(np.sum([curve.counts for curve in curves], 0))
    each = [Curve.overlap(c.counts).max() for c in curves if c.counts[0].sum() >= SIDE**2 / 4]
    at = int(np.clip(round((level + 1) * BINS / 2), 0, BINS - 1))
    return together[at], together.max(), float(np.mean(each))


# --- the methods: from scores of patches and an image to scores of pixels ------------------------


def blocks(scores: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the score of the patch over each pixel."""
    grid = PatchGrid(image.shape[:2], SIDE)
    return upsample_nearest(scores.reshape(grid.shape), grid)


def bilinear(scores: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return scores interpolated between the centres of patches."""
    grid = PatchGrid(image.shape[:2], SIDE)
    return enlarge(scores.reshape(grid.shape), SIDE, grid.image_shape)


def guided(scores: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return these through a guided filter."""
    return guided_filter(bilinear(scores, image), colours(image))


def logistic(scores: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the probability that a pixel is one of a surely meant patch, from -1 to 1."""
    from sklearn.linear_model import LogisticRegression

    grid = PatchGrid(image.shape[:2], SIDE)
    features = pixel_features(image, window_of(image))
    low, high = np.quantile(scores, (0.5, 0.9))
    patchwise = upsample_nearest(scores.reshape(grid.shape), grid)
    sure = np.flatnonzero((patchwise <= low) | (patchwise >= high))
    sure = np.random.default_rng(0).choice(sure, min(len(sure), 20000), replace=False)
    told = patchwise.ravel()[sure] >= high
    rows = features.reshape(len(features), -1).T
    if told.all() or not told.any():
        return bilinear(scores, image)
    model = LogisticRegression(class_weight="balanced").fit(rows[sure], told)
    return (2 * model.predict_proba(rows)[:, 1] - 1).reshape(image.shape[:2])


def logistic_guided(scores: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the mean of both through a guided filter."""
    near = bilinear(scores, image)
    return guided_filter((logistic(scores, image) + near).astype(np.float32) / 2, colours(image))


def edges(scores: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return what the package makes of them."""
    grid = PatchGrid(image.shape[:2], SIDE)
    guide = read_guide(as_source(image), window_of(image), grid)
    return refine_scores(scores.reshape(grid.shape).astype(np.float32), guide)


def edges_guided(scores: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the mean of two methods."""
    return (edges(scores, image) + guided(scores, image)) / 2


METHODS = {
    "blocks": blocks,
    "bilinear": bilinear,
    "guided": guided,
    "logistic": logistic,
    "log.guided": logistic_guided,
    "edges": edges,
    "edges+gf": edges_guided,
}


def colours(image: np.ndarray) -> np.ndarray:
    """Return the colours of an image in [0, 1]; one for grey."""
    rgb = image[..., :3] if image.ndim == 3 else image[..., None]
    return rgb.astype(np.float32) / 255


def guided_filter(scores: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """Return scores filtered with an image as guide, fitted to every fourth pixel."""
    count = guide.shape[-1]
    small, target = shrink(guide), shrink(scores[..., None])[..., 0]
    mean, level = box(small), box(target)
    shared = box(small * target[..., None]) - mean * level[..., None]
    products = small[..., :, None] * small[..., None, :]
    variance = box(products) - mean[..., :, None] * mean[..., None, :]
    slopes = np.linalg.solve(variance + EPSILON * np.eye(count), shared[..., None])[..., 0]
    lines = np.concatenate([slopes, (level - (slopes * mean).sum(-1))[..., None]], -1)
    lines = enlarge(box(lines.astype(np.float32)), EVERY, scores.shape)
    return (lines[..., :-1] * guide).sum(-1) + lines[..., -1]


def box(values: np.ndarray) -> np.ndarray:
    """Return the mean over a window."""
    side = 2 * (RADIUS // EVERY) + 1
    return uniform_filter(values, (side, side) + (1,) * (values.ndim - 2), mode="nearest")


def shrink(values: np.ndarray) -> np.ndarray:
    """Return the means of squares of pixels."""
    height, width = values.shape[:2]
    padded = np.pad(values, ((0, -height % EVERY), (0, -width % EVERY), (0, 0)), mode="edge")
    rows, columns = padded.shape[0] // EVERY, padded.shape[1] // EVERY
    return padded.reshape(rows, EVERY, columns, EVERY, -1).mean((1, 3), dtype=np.float32)


def enlarge(values: np.ndarray, side: int, shape: tuple[int, int]) -> np.ndarray:
    """Interpolate between the centres of squares of pixels."""
    for axis in (0, 1):
        place = np.clip((np.arange(shape[axis]) + 0.5) / side - 0.5, 0, values.shape[axis] - 1)
        before = np.minimum(place.astype(int), max(values.shape[axis] - 2, 0))
        after = np.minimum(before + 1, values.shape[axis] - 1)
        weight = np.expand_dims(place - before, tuple(range(1, values.ndim))).astype(np.float32)
        weight = np.moveaxis(weight, 0, axis)
        one, other = values.take(before, axis), values.take(after, axis)
        values = one + (other - one) * weight
    return values


if __name__ == "__main__":
    main()

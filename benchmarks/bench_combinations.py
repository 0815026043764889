"""Mean average precision of ways to combine 3 positive and 3 negative points.

Run `python benchmarks/bench_combinations.py --data FOLDER [--model builtin] [--repeats 40]`.
FOLDER and the measure are those of `bench_retrieval.py`. Each draw takes three patches that lie at
least 75 % in a class, and from the same image three that hold none of it: anywhere, or with
`--mistakes` from the tenth of them that the mean of the positives takes for the class most. All
rows of the table answer the same draws on the same patches; clicked objects and negative patches
are left out.

The mean is taken over draws, then over classes. ± is the standard error from the draws: of the
precision itself, and of its difference to the single click. It says nothing about other images.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from common import Annotated, read_set

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.evaluation.precision import average_precision
from napari_dinov3_sim.core.search.combine import ClassQuery, background_vector, score_classes
from napari_dinov3_sim.core.vectors import normalize_embeddings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

POINTS = 3

Scores = np.ndarray
Variant = "Callable[[np.ndarray, np.ndarray, np.ndarray, nds.PatchImageState], Scores]"


def shipped(combination: str, *, first: bool = False, signs: bool = True) -> Variant:
    """Score with the package itself; perhaps with the first positive or without negatives."""

    def score(p: np.ndarray, n: np.ndarray, b: np.ndarray, state: object) -> Scores:
        class_name = ClassQuery("class", p[:1] if first else p, n if signs else n[:0], b)
        return score_classes([class_name], state, combination)[0].cosine.ravel()

    return score


def less(share: float, of: Callable[..., np.ndarray], whole: str = "mean") -> Variant:
    """Subtract a share of the greatest cosine with some vectors, from the mean or the best."""

    def score(p: np.ndarray, n: np.ndarray, b: np.ndarray, state: nds.PatchImageState) -> Scores:
        rows = state.vectors
        own = rows @ mean(p) if whole == "mean" else (rows @ p.T).max(1)
        return own - share * (rows @ of(n, b).T).max(1)

    return score


def without(of: Callable[..., np.ndarray]) -> Variant:
    """Project a direction out of the mean."""

    def score(p: np.ndarray, n: np.ndarray, b: np.ndarray, state: nds.PatchImageState) -> Scores:
        direction = mean(of(n, b))
        rest = mean(p) - (mean(p) @ direction) * direction
        return state.vectors @ normalize_embeddings(rest)

    return score


def mean(vectors: np.ndarray) -> np.ndarray:
    """Return the unit vector of the mean."""
    return normalize_embeddings(vectors.mean(0))


def negatives(n: np.ndarray, _: np.ndarray) -> np.ndarray:
    """Return the negatives."""
    return n


def mean_negative(n: np.ndarray, _: np.ndarray) -> np.ndarray:
    """Return the mean of the negatives."""
    return mean(n)[None]


def background(_: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the mean direction of the image that was clicked."""
    return b[None]


def both(n: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the negatives and the background."""
    return np.concatenate([n, b[None]])


VARIANTS: dict[str, Variant] = {
    "single click": shipped("mean", first=True, signs=False),
    "single click, contrast to background": shipped("contrast", first=True, signs=False),
    "mean": shipped("mean"),
    "best": shipped("best"),
    "contrast to background, no negatives": shipped("contrast", signs=False),
    "contrast": shipped("contrast"),
    "learned (the default with negatives)": shipped("learned"),
    "mean - 0.25 max(negatives, background)": less(0.25, both),
    "mean - 0.75 max(negatives, background)": less(0.75, both),
    "mean - 0.25 max(negatives)": less(0.25, negatives),
    "mean - 0.5 max(negatives)": less(0.5, negatives),
    "mean - 1.0 max(negatives)": less(1.0, negatives),
    "mean - 0.5 mean(negatives)": less(0.5, mean_negative),
    "best - 0.5 max(negatives)": less(0.5, negatives, "best"),
    "mean, negatives projected out": without(negatives),
    "mean, background projected out": without(background),
}


def main() -> None:
    """Print one row per variant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--repeats", type=int, default=40, help="draws per image and class")
    parser.add_argument("--mistakes", action="store_true", help="negatives where the mean errs")
    options = parser.parse_args()
    backbone = nds.load_backbone(options.model)
    rng = np.random.default_rng(0)
    within: list[np.ndarray] = []
    across: list[np.ndarray] = []
    for folder in sorted(path for path in options.data.iterdir() if path.is_dir()):
        images, classes = read_set(folder, backbone, nds.Recipe())
        for number in classes:
            draws = list(draw(images, number, options, rng))
            for column, found in zip((within, across), zip(*draws, strict=True), strict=False):
                rows = [row for row in found if row is not None]
                if rows:
                    column.append(np.array(rows))
    report(backbone.name, within, across)


def draw(
    images: list[Annotated], number: str, options: argparse.Namespace, rng: np.random.Generator
) -> Iterator[tuple[list[float] | None, list[float] | None]]:
    """Yield the precision of all variants within the image and in another, for each draw."""
    holders = [i for i, image in enumerate(images) if (image.shares[number] >= 0.5).any()]
    for at, image in enumerate(images):
        own = np.flatnonzero((image.shares[number] >= 0.75) & image.valid)
        others = np.flatnonzero((image.shares[number] == 0) & image.valid)
        if min(len(own), len(others)) < POINTS:
            continue
        elsewhere = [images[i] for i in holders if i != at]
        background = background_vector([image.state])
        for _ in range(options.repeats):
            positives = rng.choice(own, POINTS, replace=False)
            pool = mistakes(image, positives, others) if options.mistakes else others
            negatives = rng.choice(pool, POINTS, replace=False)
            usable = image.valid.copy()
            usable[negatives] = False
            for patch in positives:
                usable &= ~own_object(image, int(patch))
            vectors = image.state.vectors
            query = vectors[positives], vectors[negatives], background
            target = elsewhere[rng.integers(len(elsewhere))] if elsewhere else None
            yield (
                precisions(query, image, usable, number),
                None if target is None else precisions(query, target, target.valid, number),
            )


def own_object(image: Annotated, patch: int) -> np.ndarray:
    """Mark the patches of the object that lies under most of a patch, and the patch itself."""
    side, columns = image.state.grid.patch_size, image.state.grid.columns
    top, left = (side * n for n in divmod(patch, columns))
    ids = image.instances[top : top + side, left : left + side]
    covered = coverages(image).get(int(np.bincount(ids.ravel()).argmax()))
    own = np.zeros(len(image.valid), bool) if covered is None else covered > 0
    own[patch] = True
    return own


@functools.cache
def coverages(image: Annotated) -> dict[int, np.ndarray]:
    """Return which patches each object covers."""
    return nds.label_coverages(image.instances, image.state.grid)


def mistakes(image: Annotated, positives: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the tenth of the other patches that is most like the mean of the positives."""
    vectors = image.state.vectors
    order = (vectors[others] @ mean(vectors[positives])).argsort()[::-1]
    return others[order[: max(POINTS, len(others) // 10)]]


def precisions(
    query: tuple[np.ndarray, ...], target: Annotated, usable: np.ndarray, number: str
) -> list[float] | None:
    """Return the average precision of each variant; None without a positive patch."""
    positive = (target.shares[number] >= 0.5)[usable]
    if not positive.any():
        return None
    scores = (variant(*query, target.state)[usable] for variant in VARIANTS.values())
    return [average_precision(one, positive) for one in scores]


def report(model: str, within: list[np.ndarray], across: list[np.ndarray]) -> None:
    """Print the table."""
    draws = sum(map(len, within)), sum(map(len, across))
    print(f"model {model}; {len(within)} and {len(across)} classes, {draws} draws")
    heads = (f"{place:>14}{'against single':>18}" for place in ("within", "across"))
    print(" " * 40 + "".join(heads))
    for row, name in enumerate(VARIANTS):
        cells = (summary(classes, row) for classes in (within, across))
        print(f"{name:40}{''.join(cells)}")


def summary(classes: list[np.ndarray], row: int) -> str:
    """Return mean and difference to the first row, with their standard errors."""
    cells = []
    for values in ([c[:, row] for c in classes], [c[:, row] - c[:, 0] for c in classes]):
        average = np.mean([v.mean() for v in values])
        error = np.sqrt(sum(v.var(ddof=1) / len(v) for v in values)) / len(values)
        cells.append((average, error))
    (value, error), (gain, gain_error) = cells
    return f"  {value:.3f} ±{error:.3f}   {gain:+.3f} ±{gain_error:.3f}"


if __name__ == "__main__":
    main()

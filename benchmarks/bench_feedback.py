"""Mean average precision after rounds of judged places, on images in which nothing was judged.

Run `OMP_NUM_THREADS=1 python benchmarks/bench_feedback.py --images FOLDER [FOLDER ...]`. FOLDER is
that of `bench_retrieval.py`; a set may have a `set.json` with its `zoom`. The images of a set are
cut in two halves. One click is set in one half, on a patch that lies at least 75 % in a class; in
each round ten places of that half are judged, right where the patch lies at least 50 % in the
class; and all patches of the other half are ranked. Then the halves change places. Images with
fewer than five patches of the class are left out.

The mean is taken over images, clicks, halves and classes. ± is the standard error of the gain,
from the clicks. All methods have the same clicks; the vectors are computed once and kept.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from common import ENLARGED, share
from skimage.io import imread
from skimage.transform import resize

import napari_dinov3_sim as nds
from napari_dinov3_sim.core.evaluation.precision import average_precision
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.search.combine import ClassQuery, background_vector, score_classes
from napari_dinov3_sim.core.search.teaching import choose_places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dinov3_sim.core.search.teaching import Place

LEAST_PATCHES = 5
"""Of a class in an image, for the image to count."""

METHODS = {
    "the ten best, contrast": ("best", "contrast"),
    "half best, half least sure, contrast": ("half", "contrast"),
    "random places, contrast": ("random", "contrast"),
    "teach, contrast": ("teach", "contrast"),
    "the ten best, learned": ("best", "learned"),
    "half best, half least sure, learned": ("half", "learned"),
    "random places, learned": ("random", "learned"),
    "teach, learned": ("teach", "learned"),
}
"""Which places are judged, and what scores; before there is a negative, it is the cosine."""


@dataclass(frozen=True, eq=False)
class Annotated:
    """An embedded image, and what its patches hold."""

    state: nds.PatchImageState
    background: np.ndarray
    shares: dict[str, np.ndarray]
    valid: np.ndarray

    def holds(self, number: str, least: float = 0.5) -> np.ndarray:
        """Mark the patches that lie in a class."""
        return (self.shares[number] >= least) & self.valid

    def scores(self, query: ClassQuery, combination: str) -> np.ndarray:
        """Return the scores of the patches, NaN where nobody annotated anything."""
        combination = combination if len(query.negatives) else "mean"
        (found,) = score_classes([query], self.state, combination)
        return np.where(self.valid, found.cosine.ravel(), np.nan).reshape(found.grid.shape)


@dataclass(frozen=True)
class Split:
    """A class, the images in which it is judged, and those in which it is measured."""

    name: str
    number: str
    judged: list[Annotated]
    measured: list[Annotated]


def main() -> None:
    """Print one row per method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--clicks", type=int, default=6, help="at most, per class and half")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--places", type=int, default=10, help="judged in a round")
    parser.add_argument("--seed", type=int, default=0, help="of the clicks and the places")
    parser.add_argument("--cache", type=Path, help="folder for the embeddings; else a temporary")
    parser.add_argument("--only", nargs="+", default=[""], help="methods with these words")
    parser.add_argument("--by-class", action="store_true", help="print a row per class, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        splits = list(read_splits(options, options.cache or Path(temporary)))
    classes = len({split.name for split in splits})
    print(f"model {options.model}; {classes} classes; after 0 to {options.rounds} rounds")
    for name, (order, combination) in METHODS.items():
        if any(word in name for word in options.only):
            found: dict[str, list[list[float]]] = {}
            for number, split in enumerate(splits):
                runs = run(split, order, combination, options, number)
                found.setdefault(split.name, []).extend(runs)
            report(name, found, by_class=options.by_class)


def read_splits(options: argparse.Namespace, cache: Path) -> Iterator[Split]:
    """Yield each class twice, with the halves of its images exchanged."""
    backbone = nds.load_backbone(options.model)
    cache.mkdir(parents=True, exist_ok=True)
    folders = sorted(sub for root in options.images for sub in root.iterdir() if sub.is_dir())
    for folder in folders:
        classes = json.loads((folder / "classes.json").read_text())
        names = sorted(p for p in folder.glob("*.png") if not p.name.endswith(".classes.png"))
        images = [read_image(path, classes, backbone, cache) for path in names]
        for number, name in classes.items():
            for half in (0, 1):
                halves = images[half::2], images[1 - half :: 2]
                judged, measured = ([i for i in h if is_there(i, number)] for h in halves)
                if measured and any(one.holds(number, 0.75).any() for one in judged):
                    yield Split(f"{folder.name}, {name}", number, halves[0], measured)


def is_there(image: Annotated, number: str) -> bool:
    """Whether enough patches of an image lie in a class."""
    return int(image.holds(number).sum()) >= LEAST_PATCHES


def read_image(path: Path, classes: dict[str, str], backbone: object, cache: Path) -> Annotated:
    """Read an image with its annotation, and its embeddings from the cache or the model."""
    labels = imread(path.with_suffix(".classes.png"))
    setting = path.parent / "set.json"
    zoom = json.loads(setting.read_text())["zoom"] if setting.exists() else None
    factor = zoom or ENLARGED.get(path.parent.name, 1)
    labels = labels.repeat(factor, 0).repeat(factor, 1)
    kept = cache / f"{backbone.fingerprint[:16]}-{factor}-{path.parent.name}-{path.stem}.npy"
    if not kept.exists():
        image = imread(path)
        if factor > 1:
            shape = (*labels.shape, *image.shape[2:])
            image = (resize(image, shape, order=1) * 255).astype(np.uint8)
        np.save(kept, nds.create_patch_image_state(image, backbone).vectors)
    grid = PatchGrid(labels.shape, backbone.patch_size)
    state = nds.PatchImageState(np.load(kept), grid, backbone.fingerprint)
    shares = {number: share(labels == int(number), state) for number in classes}
    valid = share(labels == 255, state) < 0.5
    return Annotated(state, background_vector([state]), shares, valid)


def run(
    split: Split, order: str, combination: str, options: argparse.Namespace, number: int
) -> Iterator[list[float]]:
    """Yield the mean average precision after each round, for each click."""
    random = np.random.default_rng([options.seed, number])
    clickable = [
        (at, *divmod(int(patch), image.state.grid.columns))
        for at, image in enumerate(split.judged)
        if is_there(image, split.number)
        for patch in np.flatnonzero(image.holds(split.number, 0.75))
    ]
    for at in random.permutation(len(clickable))[: options.clicks]:
        seeds = random.integers(2**31, size=options.rounds)
        judged = {clickable[at]: True}
        query = query_of(split, judged)
        precisions = [precision(split, query, combination)]
        for seed in seeds:
            scores = [image.scores(query, combination) for image in split.judged]
            for place in ask(order, scores, judged, options.places, int(seed)):
                judged[place.image, place.row, place.column] = is_right(split, place)
            query = query_of(split, judged)
            precisions.append(precision(split, query, combination))
        yield precisions


def is_right(split: Split, place: Place) -> bool:
    """Judge a place."""
    image = split.judged[place.image]
    patch = place.row * image.state.grid.columns + place.column
    return bool(image.holds(split.number)[patch])


def query_of(split: Split, judged: dict[tuple[int, int, int], bool]) -> ClassQuery:
    """Return the query of the click and all places judged."""
    signs = np.array(list(judged.values()))
    images = [split.judged[at] for at, _, _ in judged]
    vectors = np.stack(
        [
            image.state.vectors[row * image.state.grid.columns + column]
            for image, (_, row, column) in zip(images, judged, strict=True)
        ]
    )
    background = np.mean([image.background for image in dict.fromkeys(images)], axis=0)
    return ClassQuery("class", vectors[signs], vectors[~signs], background)


def precision(split: Split, query: ClassQuery, combination: str) -> float:
    """Return the mean average precision over the images in which nothing was judged."""
    found = []
    for image in split.measured:
        scores = image.scores(query, combination).ravel()[image.valid]
        found.append(average_precision(scores, image.holds(split.number)[image.valid]))
    return float(np.mean(found))


def ask(
    order: str,
    scores: list[np.ndarray],
    judged: dict[tuple[int, int, int], bool],
    count: int,
    seed: int,
) -> list[Place]:
    """Return the places to be judged next."""
    if order in ("best", "teach"):
        return choose_places(scores, order=order, count=count, taken=judged.keys(), seed=seed)
    random = np.random.default_rng(seed)
    every = choose_places(scores, order="best", count=2**31, taken=judged.keys(), seed=seed)
    if order == "random":
        chosen = random.permutation(len(every))[:count]
        return [every[at] for at in chosen]
    own = {
        sign: [
            scores[i][row, column] for (i, row, column), right in judged.items() if right == sign
        ]
        for sign in (True, False)
    }
    # Least sure is what lies in the middle between right and wrong, or in the middle of all.
    between = np.mean([np.mean(values) for values in own.values()]) if own[False] else None
    middle = np.median([place.score for place in every]) if between is None else between
    best, rest = every[: count // 2], every[count // 2 :]
    return best + sorted(rest, key=lambda place: abs(place.score - middle))[: count - len(best)]


def report(name: str, found: dict[str, list[list[float]]], *, by_class: bool) -> None:
    """Print the means after each round, and the gain of all rounds with its standard error."""
    classes = {one: np.array(runs) for one, runs in found.items()}
    gains = [runs[:, -1] - runs[:, 0] for runs in classes.values()]
    error = np.sqrt(sum(g.var(ddof=1) / len(g) for g in gains if len(g) > 1)) / len(gains)
    means = np.mean([runs.mean(0) for runs in classes.values()], axis=0)
    print(f"{name:40}{cells(means)}  {means[-1] - means[0]:+.3f} ±{error:.3f}", flush=True)
    for one, runs in classes.items() if by_class else ():
        print(f"    {one:36}{cells(runs.mean(0))}  {np.mean(runs[:, -1] - runs[:, 0]):+.3f}")


def cells(values: np.ndarray) -> str:
    """Return numbers of equal width."""
    return "".join(f"{value:7.3f}" for value in values)


if __name__ == "__main__":
    main()

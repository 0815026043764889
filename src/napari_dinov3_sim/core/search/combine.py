"""Combinations of the positive and negative vectors of a class to one score per patch."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_dinov3_sim.core.errors import PointError, StateError
from napari_dinov3_sim.core.search.learning import learn_direction
from napari_dinov3_sim.core.search.similarity import (
    Point,
    SimilarityMap,
    check_same_model,
    cosines,
    products,
    prototype,
    vectors_at,
)
from napari_dinov3_sim.core.vectors import normalize_embeddings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.state import PatchImageState


DEFAULT_CLASS = "class 1"
"""The class of a point that was given none."""


Combination = Literal["auto", "mean", "best", "contrast", "learned"]
"""How the vectors of a class are combined; see `EXPLANATIONS`."""

EXPLANATIONS: Mapping[Combination, str] = {
    "auto": "The mean while there are positive points only, so that one click is its raw cosine; "
    "learned, for all classes, as soon as there is a negative point.",
    "mean": "The cosine with the mean of the positive points; negative points are ignored.",
    "best": "The greatest cosine with any of the positive points, for classes of several looks; "
    "negative points are ignored.",
    "contrast": "The mean, less half of the greatest cosine with the negative points and with "
    "the background of the images that were clicked.",
    "learned": "The mean, less half of the mean of the negative points and the background; with "
    "each further negative point, more and more what tells positive from negative points best.",
}
"""One sentence about each combination, for the user."""


CONTRAST = 0.5
"""Share of the negative score that is subtracted; chosen by ``bench_combinations.py``."""

HALF_LEARNED = 6
"""With so many negative points, half of the score is learned. Chosen by ``bench_feedback.py``,
where places are judged, and ``bench_combinations.py``, where three of each are set by hand."""


@dataclass(frozen=True, eq=False)
class ClassQuery:
    """What is searched under one name.

    Attributes
    ----------
    name : str
        Name of the class.
    positives : ndarray of float32, shape (n, D)
        Unit rows, at least one: points, regions or saved vectors.
    negatives : ndarray of float32, shape (m, D)
        Unit rows of what is not meant; m may be 0.
    background : ndarray of float32, shape (D,), or None
        Mean direction of the images that were clicked, see `background_vector`; of any length.

    Raises
    ------
    PointError
        There is no positive.
    """

    name: str
    positives: NDArray[np.float32] = field(repr=False)
    negatives: NDArray[np.float32] = field(repr=False)
    background: NDArray[np.float32] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not len(self.positives):
            raise PointError(f"“{self.name}” has no positive point; add a point on what is meant.")

    @cached_property
    def learned(self) -> tuple[NDArray[np.float64], float]:
        """Vector and offset of "learned": a patch x has the score ``x @ vector + offset``.

        Computed once, however many images are searched.
        """
        vector, offset = prototype(self.positives).astype(np.float64), 0.0
        unwanted = [prototype(self.negatives)] if len(self.negatives) else []
        if self.background is not None:
            unwanted.append(normalize_embeddings(self.background))
        if unwanted:
            vector -= CONTRAST * prototype(np.stack(unwanted))
        count = len(self.negatives)
        direction = learn_direction(self.positives, self.negatives) if count else None
        if direction is not None:
            # Squared: what is learned from three negatives finds less than the mean does.
            share = count**2 / (count**2 + HALF_LEARNED**2)
            vector = (1 - share) * vector + share * direction.vector
            offset = share * direction.offset
        return vector, offset


def resolve(combination: Combination, negatives: int) -> Combination:
    """Return the combination that "auto" stands for with so many negatives, or the one given."""
    if combination != "auto":
        return combination
    return "learned" if negatives else "mean"


def background_vector(states: Sequence[PatchImageState]) -> NDArray[np.float32]:
    """Return the mean direction of the patches of images, each image counting the same.

    Parameters
    ----------
    states : sequence of PatchImageState
        At least one.

    Returns
    -------
    ndarray of float32, shape (D,)
        Unit vector.
    """
    means = [state.vectors.mean(0, dtype=np.float64) for state in states]
    return normalize_embeddings(normalize_embeddings(np.stack(means)).mean(0))


def query_from_points(
    name: str,
    positives: Sequence[tuple[PatchImageState, Point]],
    negatives: Sequence[tuple[PatchImageState, Point]] = (),
) -> ClassQuery:
    """Return the query of clicked patches, with the background of the images clicked.

    Parameters
    ----------
    name : str
    positives, negatives : sequence of (PatchImageState, (x, y))
        Clicked pixels, each in its own image.

    Returns
    -------
    ClassQuery

    Raises
    ------
    PointError
        There is no positive point, or a point lies outside its image.
    StateError
        The images were embedded by different models.
    """
    states = list(dict.fromkeys(state for state, _ in (*positives, *negatives)))
    check_same_model(states)
    chosen = vectors_at(positives)
    unwanted = vectors_at(negatives) if negatives else chosen[:0]
    background = background_vector(states) if states else None
    return ClassQuery(name, chosen, unwanted, background)


def score_classes(
    classes: Sequence[ClassQuery], state: PatchImageState, combination: Combination = "auto"
) -> list[SimilarityMap]:
    """Return one map per class, from one matrix product of the image with all vectors.

    Parameters
    ----------
    classes : sequence of ClassQuery
    state : PatchImageState
        The image to search, embedded by the model that the vectors come from.
    combination : {'auto', 'mean', 'best', 'contrast', 'learned'}, optional
        See `EXPLANATIONS`. With "mean" the score is that of `similarity_map`.

    Returns
    -------
    list of SimilarityMap
        In the order of the classes; scores in units of the cosine, clipped to [-1, 1].

    Raises
    ------
    StateError
        The vectors are not as long as the embeddings: another model made them.
    """
    if not classes:
        return []
    # One for all: of a mean and a contrast, which is lower, neither could win fairly.
    chosen = resolve(combination, sum(len(class_query.negatives) for class_query in classes))
    if chosen == "learned":
        return _maps(_learned_scores(classes, state), state)
    rows = [_rows_of(class_query, chosen) for class_query in classes]
    ends = np.cumsum([len(row) for row in rows])
    parts = np.split(cosines(np.concatenate(rows), state), ends[:-1])
    return _maps([_combine(part, chosen) for part in parts], state)


def _maps(scores: Iterable[NDArray[np.float32]], state: PatchImageState) -> list[SimilarityMap]:
    return [SimilarityMap(one.reshape(state.grid.shape), state.grid) for one in scores]


def _learned_scores(classes: Sequence[ClassQuery], state: PatchImageState) -> NDArray[np.float32]:
    """Return the scores, shape (classes, patches): however many points, one vector per class."""
    vectors, offsets = zip(*(class_query.learned for class_query in classes), strict=True)
    found = products(np.stack(vectors), state)
    found += np.array(offsets, np.float32)[:, np.newaxis]
    return np.clip(found, -1.0, 1.0, out=found)


def score_vectors(
    class_query: ClassQuery, vectors: NDArray[np.float32], combination: Combination
) -> NDArray[np.float32]:
    """Return the score that patches with these vectors would have.

    Parameters
    ----------
    class_query : ClassQuery
    vectors : ndarray, shape (N, D)
        Unit rows.
    combination : {'mean', 'best', 'contrast', 'learned'}
        What `resolve` gives; see `EXPLANATIONS`.

    Returns
    -------
    ndarray of float32, shape (N,)
        In units of the cosine.
    """
    if combination == "learned":
        vector, offset = class_query.learned
        learned: NDArray[np.float32] = np.clip(vectors @ vector.astype(np.float32) + offset, -1, 1)
        return learned.astype(np.float32, copy=False)
    rows = _rows_of(class_query, combination) @ vectors.T
    return _combine(np.clip(rows, -1.0, 1.0), combination)


def _rows_of(class_query: ClassQuery, combination: Combination) -> NDArray[np.float32]:
    """Return the vectors that a class's score needs; for contrast, the mean comes first."""
    if combination == "best":
        return class_query.positives
    mean = prototype(class_query.positives)[None]
    if combination == "mean":
        return mean
    unwanted = [class_query.negatives.reshape(-1, mean.shape[1])]
    if class_query.background is not None:
        unwanted.append(normalize_embeddings(class_query.background)[None])
    return np.concatenate([mean, *unwanted])


def _combine(rows: NDArray[np.float32], combination: Combination) -> NDArray[np.float32]:
    """Return one score per patch from the cosines with each vector, shape (vectors, patches)."""
    scores: NDArray[np.float32] = rows[0]
    if combination == "best":
        scores = rows.max(0)
    elif len(rows) > 1:  # contrast with something
        scores = np.clip(scores - np.float32(CONTRAST) * rows[1:].max(0), -1.0, 1.0)
    return scores


def best_class(
    maps: Sequence[SimilarityMap], threshold: float | Sequence[float | None] | None = None
) -> NDArray[np.uint8 | np.uint16]:
    """Return which class is most similar to each patch.

    Parameters
    ----------
    maps : sequence of SimilarityMap
        One per class, at least one, all of the same image.
    threshold : float, or sequence of float or None, optional
        A class does not get patches whose score is below its threshold: one for all classes, or
        one for each, None for a class without. Of the classes that reach theirs the one with the
        greatest score gets the patch.

    Returns
    -------
    ndarray of uint8, or of uint16 for more than 255 classes, shape (rows, columns)
        The number of the class, from 1; 0 for none. Of equal scores the first wins.

    Raises
    ------
    StateError
        The maps are of different images.
    """
    if len({one.grid for one in maps}) != 1:
        raise StateError("The maps are of different images; compare the classes image by image.")
    levels: Sequence[float | None]
    if threshold is None or isinstance(threshold, float | int):
        levels = [threshold] * len(maps)
    else:
        levels = threshold
    best = np.full(maps[0].cosine.shape, -np.inf, np.float32)
    numbers = np.zeros(best.shape, np.uint16)
    for number, (one, level) in enumerate(zip(maps, levels, strict=True), start=1):
        better = one.cosine > best
        if level is not None:
            better &= one.cosine >= level
        best, numbers = np.where(better, one.cosine, best), np.where(better, number, numbers)
    return numbers.astype(np.uint8 if len(maps) <= 255 else np.uint16)

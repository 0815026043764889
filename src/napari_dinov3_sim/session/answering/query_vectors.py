"""The vectors of each class, computed from picks in the worker."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from napari_dinov3_sim.core.errors import PointError, StateError
from napari_dinov3_sim.core.state import same_weights
from napari_dinov3_sim.session.answering.question import (
    MAX_LABEL_CLASSES,
    LabelsPick,
    Pick,
    PolygonPick,
    VectorPick,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.search.combine import ClassQuery
    from napari_dinov3_sim.core.state import PatchImageState
    from napari_dinov3_sim.session.answering.question import AnyPick, Question
    from napari_dinov3_sim.session.images.planes import PlaneKey

    Vector = NDArray[np.float32]

Backgrounds = MutableMapping["PatchImageState", "Vector"]
"""Mean directions of images, kept for the next question: that of a large one takes long."""


_REGIONS: WeakKeyDictionary[
    PatchImageState,
    dict[PolygonPick | LabelsPick, tuple[tuple[str, bool, Vector], ...]],
] = WeakKeyDictionary()
"""Vectors of the regions of the last question, by the image they lie on: while a point is dragged
they stay what they are, and labels over 2048² pixels take 0.4 s."""

EXACT_IN_FLOAT64 = 2**53
"""Up to this number float64 holds every whole one; large segmentations have greater labels."""

LABELS_COUNTED = 2**20
"""Labels below this number are counted, the others sorted."""


@dataclass(eq=False)
class _Gathered:
    """What the picks of one class have brought so far; states once each, in order."""

    positives: list[Vector] = field(default_factory=list)
    negatives: list[Vector] = field(default_factory=list)
    states: dict[PatchImageState, None] = field(default_factory=dict)
    background: Vector | None = None


def build_class_queries(
    question: Question,
    states: Mapping[PlaneKey, PatchImageState],
    backgrounds: Backgrounds,
) -> tuple[ClassQuery, ...]:
    """Return the vectors of each class that has a positive pick.

    Parameters
    ----------
    question : Question
    states : mapping of PlaneKey to PatchImageState
        Of every plane that was picked on.
    backgrounds : mutable mapping of PatchImageState to ndarray
        Of images, filled as they are needed.

    Returns
    -------
    tuple of ClassQuery
        In the order in which the classes were first picked; those of labels last.

    Raises
    ------
    StateError
        A saved query comes from another model.
    PointError
        Labels cannot be read, or are more than `MAX_LABEL_CLASSES`.
    """
    from napari_dinov3_sim.core.search.combine import ClassQuery, resolve

    gathered = _gather(question, states)
    _forget_other_regions(question, states.values())
    found = []
    asked = {name: picked for name, picked in gathered.items() if picked.positives}
    chosen = resolve(question.combination, sum(len(picked.negatives) for picked in asked.values()))
    for name, picked in asked.items():
        negatives = np.stack(picked.negatives) if picked.negatives else picked.positives[0][:0]
        background = None
        if chosen in ("contrast", "learned"):
            background = _background(picked, backgrounds)
        positives = np.stack(picked.positives)
        negatives = negatives.reshape(-1, positives.shape[1])
        found.append(ClassQuery(name, positives, negatives, background))
    return tuple(found)


def _gather(
    question: Question, states: Mapping[PlaneKey, PatchImageState]
) -> dict[str, _Gathered]:
    gathered = {name: _Gathered() for name in question.classes}  # those of labels come last
    for pick in question.picks:
        for class_name, positive, vector in _vectors(pick, states):
            found = gathered.setdefault(class_name, _Gathered())
            (found.positives if positive else found.negatives).append(vector)
            if isinstance(pick, VectorPick):
                found.background = pick.background
            else:
                found.states[states[pick.plane]] = None
    return gathered


def _background(picked: _Gathered, backgrounds: Backgrounds) -> Vector | None:
    """Return what `core.combine.background_vector` does, from the means that are known."""
    from napari_dinov3_sim.core.search.combine import background_vector
    from napari_dinov3_sim.core.vectors import normalize_embeddings

    means = [] if picked.background is None else [picked.background]
    for state in picked.states:
        if state not in backgrounds:
            backgrounds[state] = background_vector([state])
        means.append(backgrounds[state])
    return normalize_embeddings(np.stack(means).mean(0)) if means else None


def _vectors(
    pick: AnyPick, states: Mapping[PlaneKey, PatchImageState]
) -> Iterable[tuple[str, bool, Vector]]:
    if isinstance(pick, VectorPick):
        return _saved_vectors(pick, states.values())
    state = states[pick.plane]
    if isinstance(pick, Pick):
        from napari_dinov3_sim.core.search.similarity import vector_at

        return [(pick.class_name, pick.positive, vector_at(state, (pick.x, pick.y)))]
    known = _REGIONS.setdefault(state, {})
    if pick not in known:
        known[pick] = tuple(_region_vectors(pick, state))
    return known[pick]


def _forget_other_regions(question: Question, states: Iterable[PatchImageState]) -> None:
    picks = set(question.picks)
    for state in states:
        known = _REGIONS.get(state, {})
        for pick in known.keys() - picks:
            del known[pick]


def _region_vectors(
    pick: PolygonPick | LabelsPick, state: PatchImageState
) -> Iterator[tuple[str, bool, Vector]]:
    """Yield one vector for each region; none for a polygon around the image, or beside it."""
    from napari_dinov3_sim.core.search.regions import coverage_of_polygon, region_vector

    if isinstance(pick, LabelsPick):
        for class_name, vector in _label_vectors(pick, state):
            yield class_name, pick.positive, vector
        return
    coverage = coverage_of_polygon(np.asarray(pick.vertices), state.grid)
    if coverage.any():
        yield pick.class_name, pick.positive, region_vector(state, coverage)


def _saved_vectors(
    pick: VectorPick, states: Iterable[PatchImageState]
) -> Iterator[tuple[str, bool, Vector]]:
    if not all(same_weights(state.fingerprint, pick.fingerprint) for state in states):
        raise StateError(
            f"The saved query {pick.class_name} was made with another model; choose that model, "
            "or set the points anew."
        )
    for positive, vectors in ((True, pick.positives), (False, pick.negatives)):
        for vector in vectors:
            yield pick.class_name, positive, np.asarray(vector, np.float32)


def _label_vectors(pick: LabelsPick, state: PatchImageState) -> Iterator[tuple[str, Vector]]:
    from napari_dinov3_sim.core.search.regions import label_shares, shares_vector

    labels = labels_over_image(pick, state.image_shape)
    _check_number(pick, labels)
    for number, patches, shares in label_shares(labels, state.grid):
        class_name = pick.class_of(number)
        if class_name not in pick.left_out:
            yield class_name, shares_vector(state, patches, shares)


def _check_number(pick: LabelsPick, labels: NDArray[np.intp]) -> None:
    """Raise `PointError` for more labels than can be classes."""
    found = len(_ids(labels)) if pick.class_name is None else 0
    if found > MAX_LABEL_CLASSES:
        raise PointError(
            f"{pick.name} has {found} labels, and each would be a class with heatmaps of its own; "
            f"use at most {MAX_LABEL_CLASSES} labels."
        )


def _ids(labels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the labels that occur; `np.unique` sorts all pixels, 20 times as long as to count."""
    positive = labels[labels > 0]
    if positive.size and positive.max() < LABELS_COUNTED:
        return np.flatnonzero(np.bincount(positive))
    return np.unique(positive)


def labels_over_image(pick: LabelsPick, shape: tuple[int, int]) -> NDArray[np.intp]:
    """Return the label under the centre of each pixel of the embedded plane, 0 outside.

    Parameters
    ----------
    pick : LabelsPick
    shape : (int, int)
        Height and width of the plane.

    Returns
    -------
    ndarray of int, shape (H, W)

    Raises
    ------
    PointError
        The labels cannot be read any more.
    """
    from scipy.ndimage import affine_transform

    try:
        labels = np.asarray(pick.labels)
    except Exception as error:
        raise PointError(
            f"The labels {pick.name} cannot be read ({type(error).__name__}: {error}); open them "
            "again."
        ) from error
    if labels.dtype == np.bool_:
        labels = labels.astype(np.uint8)
    matrix = np.reshape(pick.matrix, (2, 2))
    exactly = np.allclose(matrix, np.eye(2), atol=1e-9) and np.allclose(pick.offset, 0, atol=1e-6)
    if exactly and labels.shape == shape:
        return labels
    numbers = None
    if labels.size and labels.max() > EXACT_IN_FLOAT64:  # in which they are moved
        numbers, places = np.unique(labels, return_inverse=True)
        labels = places.reshape(labels.shape) + 1  # 0 is for what lies outside
    over: NDArray[np.intp] = affine_transform(
        labels,
        matrix,
        pick.offset,
        output_shape=shape,
        order=0,
        mode="grid-constant",  # a pixel at the border counts whole
        cval=0,
    )
    if numbers is None:
        return over
    return np.concatenate([np.zeros(1, numbers.dtype), numbers])[over]

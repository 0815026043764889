"""Place, area, mean embedding and mean score of labelled objects, from patches and pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

STRIP = 2**22
"""Pixels that are looked at at a time."""


@dataclass(frozen=True, eq=False)
class ObjectSums:
    """Sums over the pixels of each object; those of two planes can be added.

    Attributes
    ----------
    labels : ndarray of int, shape (n,)
        Ascending.
    areas : ndarray of int, shape (n,)
        Pixels.
    places : ndarray of float, shape (n, d)
        The sum of the pixels' coordinates.
    vectors : ndarray of float, shape (n, D)
        The sum of the embeddings of the patches over the pixels; 0 columns where none is known.
    scores : ndarray of float, shape (n,)
        The sum of their scores; NaN where none is known.
    """

    labels: NDArray[np.int64]
    areas: NDArray[np.int64]
    places: NDArray[np.float64] = field(repr=False)
    vectors: NDArray[np.float64] = field(repr=False)
    scores: NDArray[np.float64]

    @property
    def centroids(self) -> NDArray[np.float64]:
        """The mean coordinates, shape (n, d)."""
        return self.places / self.areas[:, None]

    @property
    def directions(self) -> NDArray[np.float32]:
        """The normalised mean embeddings, shape (n, D); NaN where none is known."""
        lengths = np.linalg.norm(self.vectors, axis=1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.vectors / lengths, np.float32)

    @property
    def mean_scores(self) -> NDArray[np.float64]:
        """The mean scores, shape (n,); NaN where none is known."""
        return self.scores / self.areas


def sum_objects(
    labels: Any,
    borders: tuple[NDArray[np.intp], NDArray[np.intp]],
    vectors: NDArray[Any] | None = None,
    scores: NDArray[Any] | None = None,
) -> ObjectSums:
    """Return the sums of all objects of a plane.

    Parameters
    ----------
    labels : array_like of int, shape (H, W)
        What is not above 0 is background. It is read in strips of rows, so that a lazy one need
        not fit in memory.
    borders : tuple of ndarray of int, shapes (rows + 1,) and (columns + 1,)
        Where the patches begin, in pixels, and where the last one ends.
    vectors : ndarray, shape (rows * columns, D), optional
        The embeddings, in row-major patch order. An object's is the mean of those of its patches,
        each weighted by how many pixels of the object lie in it.
    scores : ndarray, shape (rows, columns), optional

    Returns
    -------
    ObjectSums
        With places (y, x) in pixels; the centre of pixel i is at i.
    """
    height, width = labels.shape
    patches = [np.repeat(np.arange(len(one) - 1), np.diff(one)) for one in borders]
    columns = len(borders[1]) - 1
    step = max(1, STRIP // max(1, width))
    parts = [
        _sums_of_strip(
            np.asarray(labels[top : top + step]),
            top,
            patches[0][top : top + step, None] * columns + patches[1],
            vectors,
            scores,
        )
        for top in range(0, height, step)
    ]
    return add_sums(parts)


def _sums_of_strip(
    labels: NDArray[Any],
    top: int,
    patches: NDArray[np.intp],
    vectors: NDArray[Any] | None,
    scores: NDArray[Any] | None,
) -> ObjectSums:
    from scipy.sparse import coo_array

    rows, columns = np.nonzero(labels > 0)
    known, own = np.unique(labels[rows, columns], return_inverse=True)
    used, at = np.unique(patches[rows, columns], return_inverse=True)
    shape = len(known), len(used)
    counts = coo_array((np.ones(len(own)), (own, at)), shape=shape).tocsr()
    places = [np.bincount(own, axis, len(known)) for axis in (rows + float(top), columns)]
    no_vectors, no_scores = np.zeros((len(known), 0)), np.full(len(known), np.nan)
    return ObjectSums(
        known.astype(np.int64),
        np.bincount(own, minlength=len(known)),
        np.stack(places, axis=1),
        no_vectors if vectors is None else counts @ vectors[used].astype(np.float64),
        no_scores if scores is None else counts @ np.asarray(scores, float).ravel()[used],
    )


def add_sums(parts: Sequence[ObjectSums]) -> ObjectSums:
    """Return the sums over several parts, such as strips or planes; an object may be in many.

    Parameters
    ----------
    parts : sequence of ObjectSums
        At least one, with as many coordinates. Where one has no embeddings, its objects have
        those of the others, if they are in any.

    Returns
    -------
    ObjectSums
    """
    labels, own = np.unique(np.concatenate([part.labels for part in parts]), return_inverse=True)
    dim = max(part.vectors.shape[1] for part in parts)
    vectors = [part.vectors if part.vectors.shape[1] else _zeros(part, dim) for part in parts]
    return ObjectSums(
        labels,
        _added([part.areas for part in parts], own, len(labels)),
        _added([part.places for part in parts], own, len(labels)),
        _added(vectors, own, len(labels)),
        _added([part.scores for part in parts], own, len(labels)),
    )


def _zeros(part: ObjectSums, dim: int) -> NDArray[np.float64]:
    return np.zeros((len(part.labels), dim))


def _added(parts: Sequence[NDArray[Any]], own: NDArray[np.intp], count: int) -> NDArray[Any]:
    together = np.concatenate(parts)
    total = np.zeros((count, *together.shape[1:]), together.dtype)
    np.add.at(total, own, together)
    return total


def at_depth(sums: ObjectSums, axes: Sequence[int], coordinates: Sequence[float]) -> ObjectSums:
    """Return the sums of a plane with more coordinates: where it lies along other axes.

    Parameters
    ----------
    sums : ObjectSums
        With places (y, x).
    axes : sequence of two int
        Which axes these two are.
    coordinates : sequence of float
        One for each axis; those of `axes` are not looked at.
    """
    places = sums.areas[:, None] * np.asarray(coordinates, float)
    places[:, list(axes)] = sums.places
    return ObjectSums(sums.labels, sums.areas, places, sums.vectors, sums.scores)

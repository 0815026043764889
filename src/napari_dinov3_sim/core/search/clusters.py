"""Clusters of embeddings: what there is in images, before anything was asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.errors import SimilarityError
from napari_dinov3_sim.core.search.regions import is_mostly_image, patch_areas
from napari_dinov3_sim.core.search.similarity import check_same_model
from napari_dinov3_sim.core.search.teaching import Place, choose_places
from napari_dinov3_sim.core.vectors import dot, normalize_embeddings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.protocols import Progress
    from napari_dinov3_sim.core.state import PatchImageState

MOST_CLUSTERS = 255
"""They are numbered in 8 bits, from 1."""

MOST_VECTORS = 2**15
"""Embeddings that centres are found from, at most: 48 MiB with 384 numbers each."""

BATCH = 2**11
"""Embeddings in a mini-batch; also what is assigned at a time."""

STARTS = 3
"""Beginnings, of which the best is kept: each by k-means++ on a batch of its own."""

BATCHES = 16
"""Mini-batches of each beginning."""

ROUNDS = 20
"""Passes of the spherical k-means at the end, at most."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Directions that many embeddings have in common, the most frequent first.

    Attributes
    ----------
    centres : ndarray of float32, shape (K, D)
        Unit rows; a centre can be asked like any query vector.
    numbers : tuple of ndarray of uint8, shape (rows, columns)
        For each image, which centre each patch is nearest to: 1 for the first.
    cosines : tuple of ndarray of float32, shape (rows, columns)
        For each image, the cosine of each patch with that centre.
    shares : ndarray of float64, shape (K,)
        The share of the pixels of all images that lie in patches of each cluster; together 1.
    """

    centres: NDArray[np.float32]
    numbers: tuple[NDArray[np.uint8], ...] = field(repr=False)
    cosines: tuple[NDArray[np.float32], ...] = field(repr=False)
    shares: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.centres)


def find_clusters(
    states: Sequence[PatchImageState],
    count: int,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Clusters:
    """Divide the patches of all images into clusters of like embeddings.

    Mini-batch k-means (Sculley 2010, as in scikit-learn) finds centres, from `STARTS` beginnings;
    the best of them is refined by spherical k-means (Dhillon and Modha 2001), in which an
    embedding belongs to the centre with the greatest cosine, and a centre is the normalised mean
    of what belongs to it.

    Parameters
    ----------
    states : sequence of PatchImageState
        At least one; they share the centres. They are gone through several times, one after the
        other, so that a sequence may read each from disk when it is its turn. Of many patches,
        at most `MOST_VECTORS` are used to find the centres, drawn at random: as many from each
        image, so that a small image counts beside a large one, and all of an image that has
        fewer. Patches that are more padding than image are not used.
    count : int
        From 2 to `MOST_CLUSTERS`.
    seed : int, optional
        Of the random choices. With the same seed the result is the same.
    progress : callable, optional
        Called with (parts done, parts in all); may raise `EmbeddingCancelled`.

    Returns
    -------
    Clusters
        Fewer than `count` where there are not so many different embeddings.

    Raises
    ------
    StateError
        The images were embedded by different models.
    SimilarityError
        There cannot be so many clusters, or there are fewer patches.
    """
    if not 2 <= count <= MOST_CLUSTERS:
        raise SimilarityError(f"Choose from 2 to {MOST_CLUSTERS} classes, not {count}.")
    check_same_model(states)
    grids = [state.grid for state in states]
    vectors = _sample(states, grids, seed)
    if len(vectors) < count:
        raise SimilarityError(
            f"{len(vectors)} patches cannot be divided into {count} classes; choose fewer, or "
            "open larger images."
        )
    step = _Steps(progress, STARTS * BATCHES + 1 + len(states))
    centres = _refined(_best_start(vectors, count, seed, step), vectors)
    step()
    assigned = []
    for state in states:
        assigned.append(_assign(state, centres))
        step()
    return _ordered(centres, assigned, grids)


class _Steps:
    """Counts parts, and tells of each."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._done, self._total = progress, -1, total
        self()

    def __call__(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)


def _sample(
    states: Sequence[PatchImageState], grids: Sequence[PatchGrid], seed: int
) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    usable = [np.flatnonzero(is_mostly_image(grid)) for grid in grids]
    parts = [
        state.vectors[np.sort(random.permutation(places)[:size])].astype(np.float32)
        for state, places, size in zip(
            states, usable, fair_shares([len(one) for one in usable], MOST_VECTORS), strict=True
        )
    ]
    return np.concatenate(parts)


def fair_shares(sizes: Sequence[int], total: int) -> list[int]:
    """Return how many to take from each so that all take as much as there is for them.

    Examples
    --------
    >>> fair_shares([10, 100, 1000], 120)
    [10, 55, 55]
    >>> fair_shares([3, 4], 100)
    [3, 4]
    """
    shares = [0] * len(sizes)
    for left, number in enumerate(sorted(range(len(sizes)), key=sizes.__getitem__)):
        shares[number] = min(sizes[number], (total - sum(shares)) // (len(sizes) - left))
    return shares


def _best_start(
    vectors: NDArray[np.float32], count: int, seed: int, step: Callable[[], None]
) -> NDArray[np.float32]:
    """Return unit centres found by mini-batches: those of the best of several beginnings."""
    best, found = -np.inf, vectors[:count]
    for start in range(STARTS):
        centres = _by_mini_batches(vectors, count, seed + start, step)
        nearness = float(sum(part.max(axis=1).sum() for part in _products(vectors, centres)))
        if nearness > best:
            best, found = nearness, centres
    return found


def _by_mini_batches(
    vectors: NDArray[np.float32], count: int, seed: int, step: Callable[[], None]
) -> NDArray[np.float32]:
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    random = np.random.default_rng(seed)
    model: Any = MiniBatchKMeans(count, random_state=seed, n_init=1)
    # Batches are small: threads that wait for each other took 1.5 times the time of the cores.
    with threadpool_limits(1, user_api="openmp"):
        for _ in range(BATCHES):
            model.partial_fit(vectors[random.permutation(len(vectors))[:BATCH]])
            step()
    return normalize_embeddings(model.cluster_centers_)


def _refined(centres: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean directions of what is nearest to each centre, without empty ones."""
    before = None
    for _ in range(ROUNDS):
        nearest = np.concatenate([part.argmax(axis=1) for part in _products(vectors, centres)])
        if before is not None and np.array_equal(nearest, before):
            break
        before = nearest
        groups = [vectors[nearest == number] for number in range(len(centres))]
        if any(not len(group) for group in groups):
            before = None  # the numbers are others from now on
        centres = normalize_embeddings(
            np.stack([group.mean(axis=0) for group in groups if len(group)])
        )
    return centres


def _products(
    vectors: NDArray[Any], centres: NDArray[np.float32]
) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(vectors), BATCH):
        yield dot(vectors[start : start + BATCH], centres.T)


def _assign(
    state: PatchImageState, centres: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return the nearest centre of each patch and the cosine with it, row by row."""
    parts = [(part.argmax(1), part.max(1)) for part in _products(state.vectors, centres)]
    return np.concatenate([one for one, _ in parts]), np.concatenate([one for _, one in parts])


def _ordered(
    centres: NDArray[np.float32],
    assigned: Sequence[tuple[NDArray[np.intp], NDArray[np.float32]]],
    grids: Sequence[PatchGrid],
) -> Clusters:
    """Number clusters by how much they cover; those of no patch have no number."""
    pairs = list(zip(assigned, grids, strict=True))
    areas = np.sum(
        [
            np.bincount(nearest, patch_areas(grid).ravel(), len(centres))
            for (nearest, _), grid in pairs
        ],
        axis=0,
    )
    order = [number for number in np.argsort(-areas, stable=True) if areas[number] > 0]
    new = np.zeros(len(centres), np.uint8)
    new[order] = np.arange(1, len(order) + 1)
    numbers = [new[one].reshape(grid.shape) for (one, _), grid in pairs]
    cosines = [one.reshape(grid.shape) for (_, one), grid in pairs]
    shares = areas[order] / areas.sum()
    return Clusters(centres[order], tuple(numbers), tuple(cosines), shares)


def central_places(
    clusters: Clusters, grids: Sequence[PatchGrid], number: int, count: int
) -> list[Place]:
    """Return the places that are most typical of a cluster, from as many images as there are.

    Parameters
    ----------
    clusters : Clusters
    grids : sequence of PatchGrid
        Those of the images that it was found in.
    number : int
        Of the cluster, from 1.
    count : int
        The greatest number of places.

    Returns
    -------
    list of Place
        The best of each image, the image with the best one first; then the second of each, and
        so on. No two are neighbours. All are nearer to the centre than half of the cluster, so
        that an image that hardly has any of it gives none.
    """
    own = [
        np.where(numbers == number, cosine, np.nan)
        for numbers, cosine in zip(clusters.numbers, clusters.cosines, strict=True)
    ]
    inner = np.nanmedian(np.concatenate([one.ravel() for one in own]))
    images = [
        _typical(one, grid, image, count, inner)
        for image, (one, grid) in enumerate(zip(own, grids, strict=True))
    ]
    images.sort(key=lambda places: -places[0].score if places else np.inf)
    turns = chain.from_iterable(zip_longest(*images))
    return [place for place in turns if place is not None][:count]


def _typical(
    cosine: NDArray[np.float32], grid: PatchGrid, image: int, count: int, inner: float
) -> list[Place]:
    usable = (cosine >= inner) & is_mostly_image(grid).reshape(cosine.shape)
    if not usable.any():
        return []
    places = choose_places(
        [np.where(usable, cosine, np.nan)], order="best", count=count, taken=set(), seed=0
    )
    return [Place(image, one.row, one.column, one.score, one.rank) for one in places]

"""Tracks: which object of one plane is which of the next, in time or in depth.

Frames are linked two by two, then what ended is linked to what began a little later (Jaqaman and
others, Nature Methods 5, 695, 2008), each as a linear assignment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dinov3_sim.core.vectors import normalize_embeddings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.protocols import Progress

LIMIT = 2.0
"""Cost of an end and a beginning together: what links at a higher cost is not the same object.

The cost of a link has three parts: the square of the distance as a part of the greatest one, so
at most 1; the cosine distance as a part of that between two different objects, so 1 where they
look like any two; and `AREA` for each doubling of the area.
"""

AREA = 0.5
"""Cost of an area that is twice as large, or half as large."""

TYPICAL = 0.2
"""Cosine distance of two different objects, where no two are seen together."""

LEAST = 0.02
"""The same at least: what differs less than this differs by noise."""

MEMORY = 5
"""Frames before and after a gap whose looks, areas and movements are averaged."""

GROWN, TOGETHER = 1.3, 0.75
"""Two objects have become one that is larger than each by this factor, and has at least this part
of their areas together."""


@dataclass(frozen=True, eq=False)
class FrameObjects:
    """The objects of one frame: of one plane, or of all planes at one point in time.

    Attributes
    ----------
    places : ndarray of float, shape (n, d)
        Centroids; in a unit of length, the same along all axes.
    areas : ndarray of float, shape (n,)
        In the square of that unit; or volumes, in its cube, see `TrackSettings.depth`.
    vectors : ndarray of float32, shape (n, D)
        Unit rows, for example `ObjectSums.directions`; NaN where none is known, and the object
        then looks like any other.
    """

    places: NDArray[np.float64]
    areas: NDArray[np.float64]
    vectors: NDArray[np.float32] = field(repr=False)

    def __len__(self) -> int:
        return len(self.areas)


@dataclass(frozen=True)
class TrackSettings:
    """What may be one object.

    Attributes
    ----------
    max_distance : float
        From one frame to the next, in the unit of the places.
    max_gap : int
        Frames in which an object may be missing.
    look : float
        Weight of the embeddings; 0 goes by place and area alone.
    depth : bool
        Whether the areas of objects are volumes.
    """

    max_distance: float
    max_gap: int = 2
    look: float = 1.0
    depth: bool = False

    def radii(self, areas: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the radii of discs, or balls, of these sizes."""
        ball = np.cbrt(areas * 3 / (4 * np.pi))
        return np.asarray(ball if self.depth else np.sqrt(areas / np.pi))


@dataclass(frozen=True, eq=False)
class ObjectTracks:
    """The track of each object.

    Attributes
    ----------
    numbers : tuple of ndarray of int, shape (n,)
        For each frame, the track of each of its objects, from 1, in the order of beginning.
    parents : mapping of int to int
        The track that a track has split off from.
    """

    numbers: tuple[NDArray[np.int64], ...]
    parents: Mapping[int, int]

    def __len__(self) -> int:
        return max((int(one.max()) for one in self.numbers if len(one)), default=0)


def track_objects(
    frames: Sequence[FrameObjects], settings: TrackSettings, progress: Progress | None = None
) -> ObjectTracks:
    """Give the same number to what is the same object in different frames.

    Two frames are linked so that the costs of links, ends and beginnings together are least.
    Where two objects touch and are one for some frames, that one is an object of its own, and by
    what the two looked like before it is found which is which afterwards. The two objects that
    one has divided into are its children, and have numbers of their own.

    Parameters
    ----------
    frames : sequence of FrameObjects
    settings : TrackSettings
    progress : callable, optional
        Called with (frames done, frames in all) before the first and after each; may raise
        `EmbeddingCancelled`.

    Returns
    -------
    ObjectTracks
        Every object is in one track, if only by itself.
    """
    costs = _Costs(settings, _difference(frames))
    tell = progress or (lambda *_: None)
    links = []
    tell(0, len(frames))
    for number, (one, other) in enumerate(pairwise(frames), start=1):
        links.append(_link(one, other, costs))
        tell(number, len(frames))
    chains = _Chains(frames, links)
    joined = _close_gaps(chains, costs)
    tell(len(frames), len(frames))
    return _numbered(chains, joined)


# -- costs ----------------------------------------------------------------------------------------


def _difference(frames: Sequence[FrameObjects]) -> float:
    """Return the mean cosine distance of two objects of one frame."""
    total, pairs = 0.0, 0
    for frame in frames:
        known = frame.vectors[np.isfinite(frame.vectors).all(axis=1)].astype(float)
        count = len(known)
        if count > 1 and known.shape[1]:
            # The sum of all products is the square of the length of the sum.
            products = np.square(known.sum(axis=0)).sum() - np.square(known).sum()
            total += count * (count - 1) - float(products)
            pairs += count * (count - 1)
    return max(LEAST, total / pairs) if pairs else TYPICAL


@dataclass(frozen=True)
class _Costs:
    """What it costs to take an object for another one.

    Attributes
    ----------
    settings : TrackSettings
    difference : float
        Cosine distance of any two objects.
    """

    settings: TrackSettings
    difference: float

    def near(
        self, one: NDArray[np.float64], other: NDArray[np.float64], reach: float
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Return the pairs of places that are near enough, and their distances."""
        from scipy.spatial import cKDTree

        if not len(one) or not len(other):
            return np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0)
        found = cKDTree(one).sparse_distance_matrix(
            cKDTree(other), reach, output_type="coo_matrix"
        )
        return found.row.astype(np.intp), found.col.astype(np.intp), found.data

    def of(
        self, distance: NDArray[np.float64], one: FrameObjects, other: FrameObjects
    ) -> NDArray[np.float64]:
        """Return the costs of pairs; `distance` is a part of the greatest one."""
        ratio = np.abs(np.log2(one.areas / other.areas))
        return np.asarray(distance**2 + self.settings.look * self._look(one, other) + AREA * ratio)

    def _look(self, one: FrameObjects, other: FrameObjects) -> NDArray[np.float64]:
        if not one.vectors.shape[1] or not other.vectors.shape[1]:
            return np.ones(len(one))
        cosine = np.einsum("nd,nd->n", one.vectors, other.vectors, dtype=float)
        return np.where(np.isfinite(cosine), (1 - cosine) / self.difference, 1.0)


def _chosen(frame: FrameObjects, rows: NDArray[np.intp]) -> FrameObjects:
    return FrameObjects(frame.places[rows], frame.areas[rows], frame.vectors[rows])


def assign_cheapest(
    rows: NDArray[np.intp], columns: NDArray[np.intp], costs: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Return which pairs are links, so that links, ends and beginnings cost least together.

    An end and a beginning cost `LIMIT` together wherever they are, so that it suffices to assign
    by what a link saves: this is the assignment of Jaqaman and others without its auxiliary rows.

    Parameters
    ----------
    rows, columns : ndarray of int, shape (n,)
        Pairs that may be linked.
    costs : ndarray, shape (n,)

    Returns
    -------
    ndarray of int
        Indices of pairs; no row and no column is in two of them.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    worth = np.flatnonzero(costs < LIMIT)
    if not len(worth):
        return worth
    left, row = np.unique(rows[worth], return_inverse=True)
    right, column = np.unique(columns[worth], return_inverse=True)
    size = len(left) + len(right)
    graph = coo_array((np.ones(len(worth)), (row, len(left) + column)), shape=(size, size))
    _, parts = connected_components(graph, directed=False)
    # Part by part: a matrix of all would have as many entries as there are pairs of objects.
    order = np.argsort(parts[row], stable=True)
    found = []
    for group in np.split(order, np.flatnonzero(np.diff(parts[row][order])) + 1):
        own_rows, at_row = np.unique(row[group], return_inverse=True)
        own_columns, at_column = np.unique(column[group], return_inverse=True)
        saved = np.zeros((len(own_rows), len(own_columns)))
        which = np.full(saved.shape, -1)
        saved[at_row, at_column] = costs[worth[group]] - LIMIT
        which[at_row, at_column] = worth[group]
        best = which[linear_sum_assignment(saved)]
        found.append(best[best >= 0])
    return np.sort(np.concatenate(found))


# -- from one frame to the next -------------------------------------------------------------------


UNLIKE = 1.5
"""What grows or shrinks by this factor from one frame to the next may have been joined by
something that was not seen before, or left by something that is not seen any more."""

_Parts = tuple[int, tuple[int, ...]]
"""An object of one frame, and those of the other that are one in it."""


@dataclass(frozen=True, eq=False)
class _Links:
    """What was found between two frames.

    Attributes
    ----------
    same : dict of int to int
        Which object of the second frame an object of the first is.
    merged : list of (int, tuple of int)
        An object of the second frame, and those of the first that are one in it.
    split : list of (int, tuple of int)
        An object of the first frame, and those of the second that were one in it.
    doubtful : dict of int to int
        What may be the same, and may be one with something that was not seen.
    """

    same: dict[int, int]
    merged: list[_Parts]
    split: list[_Parts]
    doubtful: dict[int, int]


def _link(one: FrameObjects, other: FrameObjects, costs: _Costs) -> _Links:
    reach = costs.settings.max_distance
    rows, columns, distance = costs.near(one.places, other.places, reach)
    cost = costs.of(distance / reach, _chosen(one, rows), _chosen(other, columns))
    best = assign_cheapest(rows, columns, cost)
    links = {int(rows[at]): int(columns[at]) for at in best}
    merged = _meetings({after: before for before, after in links.items()}, other, one, costs)
    split = _meetings(links, one, other, costs)
    for _, parts in merged:
        for part in parts:
            links.pop(part, None)
    for whole, _ in split:
        links.pop(whole, None)
    doubtful: dict[int, int] = {}
    for before, after in list(links.items()):
        growth = other.areas[after] / one.areas[before]
        if max(growth, 1 / growth) >= UNLIKE:
            doubtful[before] = links.pop(before)
            (merged if growth > 1 else split).append(
                (after, (before,)) if growth > 1 else (before, (after,))
            )
    return _Links(links, merged, split, doubtful)


def _meetings(
    partner: Mapping[int, int], wholes: FrameObjects, parts: FrameObjects, costs: _Costs
) -> list[_Parts]:
    """Return what is one object in one frame and several in the other.

    Parameters
    ----------
    partner : mapping of int to int
        The part that a whole was linked to; those that none was linked to are looked at.
    wholes, parts : FrameObjects
    costs : _Costs
    """
    free = np.setdiff1d(np.arange(len(parts)), list(partner.values()))
    linked = np.array(sorted(partner), np.intp)
    reaches = costs.settings.max_distance + costs.settings.radii(wholes.areas)
    reach = float(reaches.max(initial=0))
    rows, columns, distance = costs.near(wholes.places[linked], parts.places[free], reach)
    found: dict[int, list[int]] = {}
    taken: set[int] = set()
    for at in np.argsort(distance, stable=True):
        whole, part = int(linked[rows[at]]), int(free[columns[at]])
        if part in taken or distance[at] > reaches[whole]:
            continue
        together = found.get(whole, [partner[whole]])
        areas = parts.areas[[*together, part]]
        if GROWN * areas.max() < wholes.areas[whole] >= TOGETHER * areas.sum():
            found[whole] = [*together, part]
            taken.add(part)
    return [(whole, tuple(several)) for whole, several in found.items()]


# -- over gaps ------------------------------------------------------------------------------------

_Object = tuple[int, int]
"""Number of the frame, and of the object in it."""


class _Chains:
    """What was linked from frame to frame, as chains of objects.

    Attributes
    ----------
    chains : list of list of (int, int)
        In the order of beginning.
    of : dict
        The chain of each object.
    merged : dict of int to int
        The chain that a chain has ended in, together with another.
    split : dict of int to int
        The chain that a chain has come from, together with another.
    doubtful : set of (int, int)
        Chains of which the second may go on with the first in the next frame.
    """

    def __init__(
        self,
        frames: Sequence[FrameObjects],
        links: Sequence[_Links],
    ) -> None:
        self.frames = frames
        self.chains: list[list[_Object]] = []
        self.of: dict[_Object, int] = {}
        for at, frame in enumerate(frames):
            before = {} if at == 0 else {b: a for a, b in links[at - 1].same.items()}
            for number in range(len(frame)):
                previous = before.get(number)
                if previous is None:
                    self.of[at, number] = len(self.chains)
                    self.chains.append([(at, number)])
                else:
                    self.of[at, number] = self.of[at - 1, previous]
                    self.chains[self.of[at, number]].append((at, number))
        self.merged: dict[int, int] = {}
        self.split: dict[int, int] = {}
        self.doubtful: set[tuple[int, int]] = set()
        for at, link in enumerate(links):
            for whole, parts in link.merged:
                for part in parts:
                    self.merged[self.of[at, part]] = self.of[at + 1, whole]
            for whole, parts in link.split:
                for part in parts:
                    self.split[self.of[at + 1, part]] = self.of[at, whole]
            self.doubtful |= {
                (self.of[at, before], self.of[at + 1, after])
                for before, after in link.doubtful.items()
            }

    def parted_again(self, joined: Mapping[int, int]) -> set[tuple[int, int]]:
        """Return chains that ended as one with others, and those that come from the same one.

        Parameters
        ----------
        joined : mapping of int to int
            Which chain goes on with which, as far as is known.
        """
        before = {after: chain for chain, after in joined.items()}
        root: list[int] = []
        for chain in range(len(self.chains)):
            root.append(root[before[chain]] if chain in before else chain)
        parts: dict[int, list[int]] = {}
        for part, whole in self.split.items():
            if part not in before:
                parts.setdefault(root[whole], []).append(part)
        return {
            (chain, part)
            for chain, whole in self.merged.items()
            if chain not in joined
            for part in parts.get(root[whole], ())
            if self.chains[part][0][0] > self.chains[chain][-1][0]
        }

    def still_doubtful(self, joined: Mapping[int, int]) -> set[tuple[int, int]]:
        """Return the doubtful links of chains that have not gone on, or come, otherwise."""
        taken = set(joined.values())
        return {(a, b) for a, b in self.doubtful if a not in joined and b not in taken}

    def sides(self) -> tuple[_Sides, _Sides]:
        """Return what all chains are like where they begin, and where they end."""
        begin = [self._side(chain[:MEMORY], 0) for chain in self.chains]
        end = [self._side(chain[-MEMORY:], -1) for chain in self.chains]
        firsts = np.array([chain[0][0] for chain in self.chains])
        lasts = np.array([chain[-1][0] for chain in self.chains])
        return _Sides.of(begin, firsts), _Sides.of(end, lasts)

    def _side(
        self, objects: Sequence[_Object], edge: int
    ) -> tuple[NDArray[np.float64], float, NDArray[np.float32], NDArray[np.float64]]:
        places = np.stack([self.frames[at].places[number] for at, number in objects])
        areas = np.array([self.frames[at].areas[number] for at, number in objects], float)
        vectors = np.stack([self.frames[at].vectors[number] for at, number in objects])
        vectors = vectors[np.isfinite(vectors).all(axis=1)]
        mean = normalize_embeddings(vectors.mean(axis=0)) if len(vectors) else self._unknown
        move = (places[-1] - places[0]) / max(1, len(places) - 1)
        return places[edge], float(areas.mean()), mean, move

    @property
    def _unknown(self) -> NDArray[np.float32]:
        return np.full(self.frames[0].vectors.shape[1], np.nan, np.float32)


@dataclass(frozen=True, eq=False)
class _Sides:
    """What chains are like at one side: in which frame, where, and how they move per frame."""

    frames: NDArray[np.intp]
    objects: FrameObjects
    moves: NDArray[np.float64]

    @classmethod
    def of(cls, sides: Sequence[tuple[Any, ...]], frames: NDArray[np.intp]) -> _Sides:
        places, areas, vectors, moves = zip(*sides, strict=True)
        objects = FrameObjects(np.stack(places), np.array(areas), np.stack(vectors))
        return cls(frames, objects, np.stack(moves))


def _close_gaps(chains: _Chains, costs: _Costs) -> dict[int, int]:
    """Return which chain goes on with which: over a gap, or after it was one with another."""
    if not chains.chains:
        return {}
    begins, ends = chains.sides()
    joined: dict[int, int] = {}
    pairs = {*chains.parted_again(joined), *_over_gaps(begins, ends, costs)}
    # What was one with others may have been one with more of them in the meantime. Last comes
    # what is in doubt: two links through a meeting save more than the one that is right.
    for more in (chains.parted_again, chains.parted_again, chains.still_doubtful):
        joined |= _joined(pairs, begins, ends, costs)
        pairs = more(joined)
    return joined | _joined(pairs, begins, ends, costs)


def _joined(
    pairs: set[tuple[int, int]], begins: _Sides, ends: _Sides, costs: _Costs
) -> dict[int, int]:
    if not pairs:
        return {}
    rows, columns = np.array(sorted(pairs), np.intp).T
    steps = begins.frames[columns] - ends.frames[rows]
    reach = costs.settings.max_distance * steps
    expected = _expected(ends, rows, steps, costs.settings.max_distance)
    # From one frame to the next, where it was tells more than where it was going.
    expected[steps == 1] = ends.objects.places[rows[steps == 1]]
    distance = np.linalg.norm(begins.objects.places[columns] - expected, axis=1) / reach
    cost = costs.of(distance, _chosen(ends.objects, rows), _chosen(begins.objects, columns))
    cost[distance > 1] = np.inf
    return {int(rows[at]): int(columns[at]) for at in assign_cheapest(rows, columns, cost)}


def _expected(
    ends: _Sides, chains: NDArray[np.intp], steps: Any, max_distance: float
) -> NDArray[np.float64]:
    """Return where chains would be some frames later if they went on moving."""
    moves = ends.moves[chains]
    lengths = np.linalg.norm(moves, axis=1, keepdims=True)
    slower = np.minimum(1, max_distance / np.maximum(lengths, 1e-300))
    return np.asarray(ends.objects.places[chains] + moves * slower * np.reshape(steps, (-1, 1)))


def _over_gaps(begins: _Sides, ends: _Sides, costs: _Costs) -> Iterator[tuple[int, int]]:
    for gap in range(1, costs.settings.max_gap + 1):
        steps = gap + 1
        for frame in np.unique(ends.frames):
            before = np.flatnonzero(ends.frames == frame)
            after = np.flatnonzero(begins.frames == frame + steps)
            expected = _expected(ends, before, steps, costs.settings.max_distance)
            reach = costs.settings.max_distance * steps
            rows, columns, _ = costs.near(expected, begins.objects.places[after], reach)
            yield from zip(before[rows].tolist(), after[columns].tolist(), strict=True)


# -- numbers --------------------------------------------------------------------------------------


def _numbered(chains: _Chains, joined: Mapping[int, int]) -> ObjectTracks:
    """Number the tracks, and find the children of those that have ended by parting."""
    before = {after: chain for chain, after in joined.items()}
    track: dict[int, int] = {}
    end: dict[int, int] = {}
    for chain in range(len(chains.chains)):
        previous = before.get(chain)
        track[chain] = len(end) + 1 if previous is None else track[previous]
        end[track[chain]] = chains.chains[chain][-1][0]
    numbers = tuple(
        np.array([track[chains.of[at, number]] for number in range(len(frame))], np.int64)
        for at, frame in enumerate(chains.frames)
    )
    parents = {
        track[part]: track[whole]
        for part, whole in chains.split.items()
        if part not in before and end[track[whole]] < chains.chains[part][0][0]
    }
    return ObjectTracks(numbers, parents)

"""Overlapping tiles joined to one array: weighted means, in little memory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dinov3_sim.core.embedding.preprocessing import lengths
from napari_dinov3_sim.core.vectors import storage_dtype

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_dinov3_sim.core.embedding.recipe import EmbeddingPlan, Joint

Interval = tuple[int, int]


@dataclass(frozen=True, eq=False)
class TileSpan:
    """The cells of a tile along one axis.

    Attributes
    ----------
    start, stop : int
        The first, and the one behind the last.
    shared : int
        How many of the first belong to the tile before, too.
    passed_on : int
        How many of the last belong to the next tile, too.
    weights : torch.Tensor, shape (stop - start,)
        Those of all tiles of the axis sum to 1 over each cell.
    """

    start: int
    stop: int
    shared: int
    passed_on: int
    weights: torch.Tensor

    @property
    def finished(self) -> int:
        """How many of the first cells no later tile has."""
        return self.stop - self.start - self.passed_on


def plan_spans_of_tiles(intervals: Sequence[Interval], joint: Joint) -> tuple[TileSpan, ...]:
    """Return what the tiles of one axis contribute to its cells.

    Parameters
    ----------
    intervals : sequence of (start, stop)
        The cells of each tile, in order; together they cover the axis.
    joint : {'blend', 'cut'}
        'blend' lets weights fall linearly over an overlap; 'cut' gives each half of it to the
        nearer tile.
    """
    shared = [0, *(left[1] - right[0] for left, right in itertools.pairwise(intervals)), 0]
    raw = [
        _falling_off(stop - start, shared[number], shared[number + 1], joint)
        for number, (start, stop) in enumerate(intervals)
    ]
    # Where three tiles meet, or more, the ramps alone do not sum to 1.
    total = torch.zeros(intervals[-1][1], dtype=torch.float64)
    for (start, stop), weights in zip(intervals, raw, strict=True):
        total[start:stop] += weights
    return tuple(
        TileSpan(
            start, stop, shared[number], shared[number + 1], (weights / total[start:stop]).float()
        )
        for number, ((start, stop), weights) in enumerate(zip(intervals, raw, strict=True))
    )


def _falling_off(length: int, before: int, after: int, joint: Joint) -> torch.Tensor:
    """Return weights that fall from 1 to 0 over the overlaps at both ends, (length,) float64."""
    middles = torch.arange(length, dtype=torch.float64) + 0.5
    rising = middles / before if before else torch.ones_like(middles)
    falling = (length - middles) / after if after else torch.ones_like(middles)
    if joint == "cut":  # the middle of an odd overlap goes to one of the two
        return ((rising >= 0.5) & (falling > 0.5)).double()
    return torch.minimum(rising, falling).clamp(max=1.0)


def spans_of_plan(
    plan: EmbeddingPlan, joint: Joint
) -> tuple[tuple[TileSpan, ...], tuple[TileSpan, ...]]:
    """Return what the tiles of a plan contribute, along the rows and along the columns."""
    cells = [plan.cells(tile) for tile in plan.tiles]
    down, across = (
        sorted({(part[axis].start, part[axis].stop) for part in cells}) for axis in (0, 1)
    )
    return plan_spans_of_tiles(down, joint), plan_spans_of_tiles(across, joint)


class TileStitcher:
    """Joins tiles into one array of unit vectors; they must come in the order of the plan.

    Each cell is the mean of the vectors of all tiles over it, weighted by how far it lies from
    their borders, normalised again. What one tile alone decides is taken as it is. Sums are kept
    in float32, and only of cells that a tile to come will add to: below the last row of tiles,
    and right of the last tile.

    Parameters
    ----------
    plan : EmbeddingPlan
    dim : int
        Length D of a vector.
    joint : {'blend', 'cut'}

    Attributes
    ----------
    embeddings : torch.Tensor, shape (rows, columns, D)
        Complete when all tiles are there.
    """

    def __init__(self, plan: EmbeddingPlan, dim: int, joint: Joint) -> None:
        dtype = storage_dtype(len(plan.grid), dim)
        self.embeddings = torch.from_numpy(np.empty((*plan.grid.shape, dim), dtype))
        self._down, self._across = spans_of_plan(plan, joint)
        self._undivided = [mark_undivided(axis) for axis in (self._down, self._across)]
        self._right = torch.empty(0)
        self._below = torch.empty(
            (max(span.shared for span in self._down), plan.grid.columns, dim)
        )

    def add_tile(self, number: int, vectors: torch.Tensor) -> None:
        """Add the next tile of the plan.

        Parameters
        ----------
        number : int
            In the order of the plan.
        vectors : torch.Tensor, shape (rows, columns, D)
            Unit vectors of all cells of the tile.
        """
        row, column = divmod(number, len(self._across))
        down, across = self._down[row], self._across[column]
        part = vectors.float() * (down.weights[:, None] * across.weights)[..., None]
        if across.shared:
            part[:, : across.shared] += self._right
        self._right = part[:, across.finished :].clone()
        self._finish_rows(part[:, : across.finished], down, across.start)

    def _finish_rows(self, part: torch.Tensor, down: TileSpan, left: int) -> None:
        columns = slice(left, left + part.shape[1])
        part[: down.shared] += self._below[: down.shared, columns]
        below = part[down.finished :]
        self._below[: len(below), columns] = below
        rows = slice(down.start, down.start + down.finished)
        undivided = self._undivided[0][rows][:, None] & self._undivided[1][columns]
        self.embeddings[rows, columns] = joined(part[: down.finished], undivided)


def joined(sums: torch.Tensor, undivided: torch.Tensor) -> torch.Tensor:
    """Return unit vectors of sums; what one tile alone decides is taken as it is.

    Parameters
    ----------
    sums : torch.Tensor, shape (rows, columns, D)
    undivided : torch.Tensor of bool, shape (rows, columns)
    """
    return sums / lengths(sums).masked_fill_(undivided[..., None], 1.0)


def mark_undivided(spans: Sequence[TileSpan]) -> torch.Tensor:
    """Mark the cells of an axis over which one tile has all the weight."""
    marked = torch.zeros(spans[-1].stop, dtype=torch.bool)
    for span in spans:
        marked[span.start : span.stop] |= span.weights == 1.0
    return marked

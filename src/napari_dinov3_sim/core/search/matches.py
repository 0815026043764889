"""Mutual matches: patches of two images that are most similar to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_dinov3_sim.core.search.peaks import patch_center
from napari_dinov3_sim.core.search.regions import is_mostly_image
from napari_dinov3_sim.core.search.similarity import check_same_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.protocols import Progress
    from napari_dinov3_sim.core.state import PatchImageState

BLOCK_BYTES = 64 * 2**20
"""Of products held at a time."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Pairs of places in two images, best first.

    Attributes
    ----------
    first, second : ndarray of float64, shape (n, 2)
        (x, y) of the patch centres in pixels; row i of one belongs to row i of the other.
    cosine : ndarray of float32, shape (n,)
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    cosine: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.cosine)


def mutual_matches(
    first: PatchImageState,
    second: PatchImageState,
    *,
    min_cosine: float = -1.0,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Matches:
    """Return the pairs of patches of which each is the other's nearest neighbour.

    Parameters
    ----------
    first, second : PatchImageState
    min_cosine : float, optional
        Pairs of less are left out.
    limit : int, optional
        The greatest number of pairs.
    progress : callable, optional
        Called with (blocks done, blocks in all) before the first and after each; may raise
        `EmbeddingCancelled`.

    Returns
    -------
    Matches
        Of equally near patches the first in reading order is the neighbour. Patches at a border
        that are more padding than image are left out: padding is like padding everywhere. Memory
        is bounded, whatever the images.

    Raises
    ------
    StateError
        The images were embedded by different models.
    """
    check_same_model([first, second])
    there, back, cosine = _neighbours(
        first.embeddings_normalized, second.embeddings_normalized, progress or (lambda *_: None)
    )
    own = np.arange(len(there))
    mutual = (back[there] == own) & (cosine >= np.float32(min_cosine))
    own = own[mutual & is_mostly_image(first.grid) & is_mostly_image(second.grid)[there]]
    own = own[np.argsort(-cosine[own], stable=True)][:limit]
    return Matches(
        _centers(own, first.grid), _centers(there[own], second.grid), np.clip(cosine[own], -1, 1)
    )


def _neighbours(
    rows: torch.Tensor, columns: torch.Tensor, progress: Progress
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return each row's nearest column, each column's nearest row, and the former's cosine."""
    there = torch.empty(len(rows), dtype=torch.int64)
    cosine = torch.empty(len(rows), dtype=torch.float32)
    back = torch.zeros(len(columns), dtype=torch.int64)
    greatest = torch.full((len(columns),), -torch.inf)
    columns = columns.float()
    step = max(1, BLOCK_BYTES // (4 * len(columns)))
    starts = range(0, len(rows), step)
    progress(0, len(starts))
    for number, start in enumerate(starts, start=1):
        block = slice(start, start + step)
        products = rows[block].float() @ columns.T
        cosine[block], there[block] = products.max(1)
        values, places = products.max(0)
        back = torch.where(values > greatest, places + start, back)
        greatest = torch.maximum(values, greatest)
        progress(number, len(starts))
    return there.numpy(), back.numpy(), cosine.numpy()


def _centers(indices: NDArray[np.int64], grid: PatchGrid) -> NDArray[np.float64]:
    places = [patch_center(*divmod(int(index), grid.columns), grid) for index in indices]
    return np.asarray(places, float).reshape(-1, 2)

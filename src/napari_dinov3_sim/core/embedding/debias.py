"""Positional debiasing: removes from embeddings what depends on position alone."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_dinov3_sim.core.protocols import Backbone

MAX_BASES = 8
"""Tile shapes whose basis is remembered for each model, the least recently used going first."""

Key = tuple[str, tuple[int, int], int]


class PositionalBases:
    """Positional bases by fingerprint, tile shape and number of directions; safe in threads.

    Parameters
    ----------
    limit : int, optional
        How many to keep.
    """

    def __init__(self, limit: int = MAX_BASES) -> None:
        self._limit = limit
        self._bases: OrderedDict[Key, torch.Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._bases)

    def get(self, key: Key, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the basis of a key, computed if it is not there."""
        with self._lock:
            if key not in self._bases:
                self._bases[key] = compute()
            self._bases.move_to_end(key)
            while len(self._bases) > self._limit:
                self._bases.popitem(last=False)
            return self._bases[key]


_BASES: WeakKeyDictionary[Backbone, PositionalBases] = WeakKeyDictionary()
"""A model takes its bases with it when it goes."""


def bases_of(backbone: Backbone) -> PositionalBases:
    """Return the bases that belong to a loaded model."""
    return _BASES.setdefault(backbone, PositionalBases())


def positional_basis(features: torch.Tensor, count: int) -> torch.Tensor:
    """Return the main directions in which the features of a content-free image vary.

    All that such an image can differ by from patch to patch is position (INSID3, CVPR 2026).

    Parameters
    ----------
    features : torch.Tensor, shape (N, D)
        Embeddings of the patches of a content-free image.
    count : int
        How many directions; fewer come back where the features do not vary in so many.

    Returns
    -------
    torch.Tensor, shape (D, at most `count`), float32
        Orthonormal columns: the first right singular vectors of the centred features.
    """
    centred = features.double() - features.double().mean(0)
    # The right singular vectors, from the small matrix of D × D instead of the one of N × D.
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    varies = values > values[-1].clamp(min=1e-12) * 1e-12
    main: torch.Tensor = vectors[:, varies][:, -count:].float()
    return main


def project_out(features: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Return features without their part in the space of an orthonormal basis.

    Parameters
    ----------
    features : torch.Tensor, shape (..., D)
    basis : torch.Tensor, shape (D, s)
    """
    return features - (features @ basis) @ basis.T

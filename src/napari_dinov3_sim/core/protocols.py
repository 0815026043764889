"""Protocols that several rings use: a backbone, progress, notices, a cache of tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


Progress = Callable[[int, int], None]
"""Called with (tiles done, tiles in all); may raise `EmbeddingCancelled`."""


class Backbone(Protocol):
    """What the mathematics needs of a model."""

    @property
    def name(self) -> str:
        """Name for messages."""

    @property
    def patch_size(self) -> int:
        """Side of a patch, in pixels."""

    @property
    def dim(self) -> int:
        """Length D of an embedding."""

    @property
    def mean(self) -> tuple[float, float, float]:
        """Channel means of the normalisation, for RGB in [0, 1]."""

    @property
    def std(self) -> tuple[float, float, float]:
        """Channel standard deviations of the normalisation, for RGB in [0, 1]."""

    @property
    def fingerprint(self) -> str:
        """Identifies weights and arithmetic; states of different fingerprints do not mix."""

    def embed_patches(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Embed a batch (B, 3, H', W') as (B, rows * columns, D), float32 on the CPU."""


Notice = Callable[[str], None]
"""Called with a sentence that the user should read."""


class TileCache(Protocol):
    """Keeps the tiles of one image, one model, one window and one recipe across runs."""

    def get(self, number: int) -> NDArray[np.float32 | np.float16] | None:
        """Return what `put` was given for a tile, or None."""

    def put(self, number: int, embeddings: NDArray[np.float32 | np.float16]) -> None:
        """Keep the unit vectors (rows, columns, D), float32 or float16, of a whole tile."""

"""The embeddings of all patches of one image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from napari_dinov3_sim.core.geometry import PatchGrid
    from napari_dinov3_sim.core.images.intensity import IntensityWindow


LOW_PRECISION = "+bfloat16"
"""End of the fingerprint of a model that computes in bfloat16; without it, it is float32."""


def same_weights(first: str, second: str) -> bool:
    """Whether two fingerprints are of the same weights, in whatever arithmetic.

    Vectors of both may be compared: what a query finds hardly depends on the rounding of its few
    vectors. The embeddings of one search are nevertheless all made in one arithmetic, and kept
    under its own fingerprint, so that what is stored does not depend on who was first.
    """
    return first.removesuffix(LOW_PRECISION) == second.removesuffix(LOW_PRECISION)


@dataclass(frozen=True, eq=False)
class PatchImageState:
    """The patch embeddings of one image.

    Attributes
    ----------
    vectors : ndarray, shape (rows * columns, D)
        Unit rows, in row-major patch order: float32 up to 2**24 numbers, float16 above (see
        `core.vectors.storage_dtype`).
    grid : PatchGrid
        The cells that have a vector: squares of P / (factor · shifts) pixels of the image.
        Padded pixels belong to it, wholly padded cells do not exist.
    fingerprint : str
        Fingerprint of the backbone.
    window : IntensityWindow or None
        The intensity window that was used; None for 8-bit RGB.
    """

    vectors: NDArray[np.float32 | np.float16] = field(repr=False)
    grid: PatchGrid
    fingerprint: str
    window: IntensityWindow | None = None

    @property
    def embeddings_normalized(self) -> torch.Tensor:
        """The vectors as a tensor, shape (rows * columns, D); both share their memory."""
        import torch

        return torch.from_numpy(self.vectors)

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the image, in pixels."""
        return self.grid.image_shape

    @property
    def nbytes(self) -> int:
        """Memory taken by the embeddings, in bytes."""
        return self.vectors.nbytes

"""From an image to the unit-norm embeddings of its patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.intensity import IntensityWindow
from napari_dinov3_sim.core.recipe import Recipe
from napari_dinov3_sim.core.sampling import source_window
from napari_dinov3_sim.core.sources import as_source
from napari_dinov3_sim.core.vectors import EPSILON, normalize_embeddings

if TYPE_CHECKING:
    import torch
    from numpy.typing import ArrayLike, NDArray

    from napari_dinov3_sim.core.batches import Notice
    from napari_dinov3_sim.core.embedding import TileCache
    from napari_dinov3_sim.core.sources import PixelSource

__all__ = [
    "EPSILON",
    "Backbone",
    "PatchImageState",
    "Progress",
    "create_patch_image_state",
    "normalize_embeddings",
    "pad_and_normalize_image",
]

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


@dataclass(frozen=True, eq=False)
class PatchImageState:
    """The patch embeddings of one image.

    Attributes
    ----------
    vectors : ndarray, shape (rows * columns, D)
        Unit rows, in row-major patch order: float32 up to 2**24 numbers, float16 above (see
        `core.product.storage_dtype`).
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


def pad_and_normalize_image(
    image: NDArray[np.float32],
    patch_size: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> torch.Tensor:
    """Pad an RGB image with black to multiples of the patch size, then normalise it.

    Parameters
    ----------
    image : ndarray of float32, shape (H, W, 3)
        RGB in [0, 1].
    patch_size : int
        Side P of a patch, in pixels.
    mean, std : tuple of float
        Statistics of the weights, per channel.

    Returns
    -------
    torch.Tensor, shape (1, 3, H', W'), float32
        The image at the top left; zeros at the right and the bottom *before* normalisation.
    """
    from napari_dinov3_sim.core.tensors import normalize_pixels

    height, width = PatchGrid((image.shape[0], image.shape[1]), patch_size).padded_shape
    padded = np.zeros((height, width, 3), np.float32)
    padded[: image.shape[0], : image.shape[1]] = image
    return normalize_pixels(padded, mean, std)[None]


def create_patch_image_state(
    image: ArrayLike | PixelSource,
    backbone: Backbone,
    *,
    window: IntensityWindow | tuple[float, float] | None = None,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
    tiles: TileCache | None = None,
    batch_size: int | None = None,
    notice: Notice | None = None,
) -> PatchImageState:
    """Embed the patches of an image.

    The image is read tile by tile, row by row of tiles. In memory are the embeddings, a batch of
    tiles, the next one, and at most 128 MiB of chunks.

    Parameters
    ----------
    image : array_like or PixelSource, shape (H, W), (H, W, 3) or (H, W, 4)
        Grayscale, RGB or RGBA of any real dtype. Dask, zarr and HDF5 arrays stay lazy.
    backbone : Backbone
        For example from `load_backbone`.
    window : IntensityWindow or tuple of float, optional
        Intensities drawn black and white. By default 8-bit RGB is divided by 255 and everything
        else is drawn from percentile 0.1 to 99.9 of the whole image, which is read once for it.
    recipe : Recipe, optional
        Tiling, resolution, padding and debiasing. By default images up to one tile go through
        the model whole, larger ones in overlapping tiles.
    progress : callable, optional
        Called with (tiles done, tiles in all) before the first and after each tile.
    tiles : TileCache, optional
        Keeps tiles of this very image, model, window and recipe, so that a run that was stopped
        can be resumed.
    batch_size : int, optional
        Tiles that go through the model together; by default what suits the device. The result
        does not depend on it beyond rounding.
    notice : callable, optional
        Called with a sentence when memory ran out and the work goes on with smaller batches or
        on the CPU.

    Returns
    -------
    PatchImageState

    Raises
    ------
    ImageError
        The pixels cannot be embedded, or cannot be read any more.
    OutOfMemoryError
        Not even the CPU has the memory for one tile.
    BackboneError
        The model returned values that are not finite, or the wrong number of them.
    """
    # Embeddings that are there already are looked at without PyTorch.
    from napari_dinov3_sim.core.embedding import embed_source

    source = as_source(image)
    if window is None:
        window = source_window(source)
    elif not isinstance(window, IntensityWindow):
        window = IntensityWindow(*window)
    vectors, grid, fingerprint = embed_source(
        source,
        backbone,
        window,
        recipe or Recipe(),
        progress=progress,
        tiles=tiles,
        batch_size=batch_size,
        notice=notice,
    )
    return PatchImageState(vectors, grid, fingerprint, window)

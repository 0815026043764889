"""From an image to the unit-norm embeddings of its patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from napari_dinov3_sim.core.errors import BackboneError
from napari_dinov3_sim.core.geometry import PatchGrid
from napari_dinov3_sim.core.intensity import (
    IntensityWindow,
    check_image,
    convert_to_rgb,
    window_of,
)
from napari_dinov3_sim.core.recipe import Recipe
from napari_dinov3_sim.core.tiles import Tile, plan_tiles

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

EPSILON = 1e-8
"""Added to a norm or a range before dividing by it."""

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
    embeddings_normalized : torch.Tensor, shape (rows * columns, D), float32
        Unit rows, in row-major patch order.
    grid : PatchGrid
        The patch grid; padded pixels belong to it, wholly padded patches do not exist.
    fingerprint : str
        Fingerprint of the backbone.
    window : IntensityWindow or None
        The intensity window that was used; None for 8-bit RGB.
    """

    embeddings_normalized: torch.Tensor = field(repr=False)
    grid: PatchGrid
    fingerprint: str
    window: IntensityWindow | None = None

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the image, in pixels."""
        return self.grid.image_shape

    @property
    def nbytes(self) -> int:
        """Memory taken by the embeddings, in bytes."""
        return self.embeddings_normalized.nbytes


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
    height, width = PatchGrid((image.shape[0], image.shape[1]), patch_size).padded_shape
    padded = np.zeros((height, width, 3), np.float32)
    padded[: image.shape[0], : image.shape[1]] = image
    normalized = (padded - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(normalized.transpose(2, 0, 1)[np.newaxis]))


def normalize_embeddings(embeddings: torch.Tensor) -> torch.Tensor:
    """Divide each row by its Euclidean norm plus 1e-8.

    Parameters
    ----------
    embeddings : torch.Tensor, shape (..., D)

    Returns
    -------
    torch.Tensor, shape (..., D)
    """
    norms: torch.Tensor = torch.linalg.vector_norm(embeddings, dim=-1, keepdim=True)
    return embeddings / (norms + EPSILON)


def create_patch_image_state(
    image: ArrayLike,
    backbone: Backbone,
    *,
    window: IntensityWindow | tuple[float, float] | None = None,
    recipe: Recipe | None = None,
    progress: Progress | None = None,
) -> PatchImageState:
    """Embed the patches of an image.

    Parameters
    ----------
    image : array_like, shape (H, W), (H, W, 3) or (H, W, 4)
        Grayscale, RGB or RGBA of any real dtype.
    backbone : Backbone
        For example from `load_backbone`.
    window : IntensityWindow or tuple of float, optional
        Intensities drawn black and white. By default 8-bit RGB is divided by 255 and everything
        else is drawn from percentile 0.1 to 99.9 of the whole image.
    recipe : Recipe, optional
        Images up to one tile go through the model whole, larger ones in overlapping tiles.
    progress : callable, optional
        Called with (tiles done, tiles in all) before the first and after each tile.

    Returns
    -------
    PatchImageState

    Raises
    ------
    ImageError
        The pixels cannot be embedded.
    BackboneError
        The model returned values that are not finite, or the wrong number of them.
    """
    array = check_image(image)
    if window is not None and not isinstance(window, IntensityWindow):
        window = IntensityWindow(*window)
    if window is None:
        window = window_of(array)
    grid = PatchGrid((array.shape[0], array.shape[1]), backbone.patch_size)
    tiles = plan_tiles(grid, (recipe or Recipe()).tiling)
    embeddings = torch.empty((*grid.shape, backbone.dim), dtype=torch.float32)
    _report(progress, 0, len(tiles))
    for done, tile in enumerate(tiles, start=1):
        patches = _embed_tile(array, window, tile, grid, backbone)
        embeddings[tile.rows.keep, tile.columns.keep] = patches
        _report(progress, done, len(tiles))
    rows = embeddings.reshape(len(grid), backbone.dim)
    return PatchImageState(normalize_embeddings(rows), grid, backbone.fingerprint, window)


def _report(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


def _embed_tile(
    array: NDArray[Any],
    window: IntensityWindow | None,
    tile: Tile,
    grid: PatchGrid,
    backbone: Backbone,
) -> torch.Tensor:
    side = grid.patch_size
    region = array[
        tile.rows.start * side : tile.rows.stop * side,
        tile.columns.start * side : tile.columns.stop * side,
    ]
    pixels = pad_and_normalize_image(
        convert_to_rgb(region, window), side, backbone.mean, backbone.std
    )
    shape = (tile.rows.stop - tile.rows.start, tile.columns.stop - tile.columns.start)
    patches = _checked(backbone.embed_patches(pixels), shape, backbone)
    return patches[tile.rows.keep_local, tile.columns.keep_local]


def _checked(embeddings: torch.Tensor, shape: tuple[int, int], backbone: Backbone) -> torch.Tensor:
    expected = (1, shape[0] * shape[1], backbone.dim)
    if embeddings.shape != expected:
        raise BackboneError(
            f"The model {backbone.name} returned embeddings of shape {tuple(embeddings.shape)} "
            f"instead of {expected}; it is not a DINOv3 ViT, choose another model."
        )
    if not bool(torch.isfinite(embeddings).all()):
        raise BackboneError(
            f"The model {backbone.name} returned values that are not finite; load it with "
            'dtype="float32".'
        )
    return embeddings.detach().reshape(*shape, backbone.dim)

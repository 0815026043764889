"""The patch grid of an image: padding, pixel to patch index, and back."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from napari_dinov3_sim.core.errors import ImageError, PointError


@dataclass(frozen=True)
class PatchGrid:
    """The grid of P × P patches that covers an image padded at the right and the bottom.

    Parameters
    ----------
    image_shape : tuple of int
        Height and width of the unpadded image, in pixels.
    patch_size : int
        Side P of a patch, in pixels.

    Raises
    ------
    ImageError
        The image has no pixels or the patch size is not positive.
    """

    image_shape: tuple[int, int]
    patch_size: int

    def __post_init__(self) -> None:
        if min(self.image_shape) < 1:
            raise no_pixels(self.image_shape)
        if self.patch_size < 1:
            raise ImageError(f"The patch size must be at least 1 pixel, not {self.patch_size}.")

    @property
    def rows(self) -> int:
        """Number of patch rows, ⌈H / P⌉."""
        return -(-self.image_shape[0] // self.patch_size)

    @property
    def columns(self) -> int:
        """Number of patch columns, ⌈W / P⌉."""
        return -(-self.image_shape[1] // self.patch_size)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, self.columns

    @property
    def padded_shape(self) -> tuple[int, int]:
        """Height and width of the padded image, in pixels."""
        return self.rows * self.patch_size, self.columns * self.patch_size

    def __len__(self) -> int:
        return self.rows * self.columns

    def contains(self, x: float, y: float) -> bool:
        """Whether pixel (x, y) lies inside the unpadded image."""
        height, width = self.image_shape
        return bool(0 <= y < height and 0 <= x < width)


def no_pixels(shape: tuple[int, ...]) -> ImageError:
    """Return the error for an image without rows or columns."""
    return ImageError(
        f"The image has no pixels (shape {shape}); open an image with at least one row and one "
        "column."
    )


def pixel_from_coordinate(coordinate: float) -> int:
    """Return the pixel that a napari data coordinate falls into.

    Pixel centres are at integers, so pixel i covers [i - 0.5, i + 0.5).

    Parameters
    ----------
    coordinate : float
        A data coordinate along one axis, in pixels.

    Returns
    -------
    int
        ``floor(coordinate + 0.5)``.
    """
    return floor(coordinate + 0.5)


def convert_pixel_coordinates_to_patch_index(x: float, y: float, grid: PatchGrid) -> int:
    """Return the row-major index of the patch that holds a pixel.

    Parameters
    ----------
    x, y : float
        Pixel column and row, counted from the top left of the unpadded image.
    grid : PatchGrid
        The grid of the image.

    Returns
    -------
    int
        ``floor(y / P) * columns + floor(x / P)``.

    Raises
    ------
    PointError
        The pixel lies outside the unpadded image.
    """
    if not grid.contains(x, y):
        height, width = grid.image_shape
        raise PointError(
            f"The point (x={x:g}, y={y:g}) lies outside the image of {width} × {height} pixels; "
            f"choose x from 0 to {width - 1} and y from 0 to {height - 1}."
        )
    row, column = int(y // grid.patch_size), int(x // grid.patch_size)
    return row * grid.columns + column

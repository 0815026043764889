"""What an array says of itself before it is read, and whether it gives that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_dinov3_sim.core.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def numpy_dtype(data: Any) -> np.dtype[Any]:
    """Return NumPy's dtype of an array-like, for tensors and the like that have their own.

    Raises
    ------
    ImageError
        There is none, as for bfloat16.
    """
    try:
        return cast("np.dtype[Any]", np.dtype(data.dtype))
    except TypeError:
        pass
    try:
        return np.asarray(data[(slice(0, 1),) * len(data.shape)]).dtype
    except Exception as error:
        raise ImageError(
            f"Pixels of dtype {data.dtype} cannot become a NumPy array ({error}); make one first, "
            "such as tensor.detach().cpu().float().numpy()."
        ) from error


def check_known(shape: tuple[Any, ...], name: str) -> None:
    """Raise `ImageError` for the shape of a lazy array that has to be computed first."""
    if any(size != size for size in shape):  # noqa: PLR0124 - NaN, for dask
        raise ImageError(
            f"The size of {name} is not known before it is computed; call its "
            "compute_chunk_sizes() first."
        )


def as_announced(
    pixels: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any], name: str
) -> NDArray[Any]:
    """Return a region in the dtype that its array says it has.

    Digest, window and how it is drawn go by that dtype, and lazy arrays may be wrong about it.

    Parameters
    ----------
    pixels : ndarray
        What was read.
    shape, dtype
        What was to be expected.
    name : str
        Of the image, for the message.

    Raises
    ------
    ImageError
        The shape is another one, or values would be lost in that dtype.
    """
    if pixels.shape == shape and np.can_cast(pixels.dtype, dtype, "same_kind"):
        return pixels.astype(dtype, copy=False)
    raise ImageError(
        f"A region of {name} should be {dtype} of shape {shape} and is {pixels.dtype} of shape "
        f"{pixels.shape}; give the lazy array its true dtype and chunks where it is made, or "
        "compute it first."
    )

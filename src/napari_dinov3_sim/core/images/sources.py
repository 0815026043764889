"""Sources of pixels, read region by region: arrays of all types, merged channels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

import numpy as np

from napari_dinov3_sim.core.errors import ImageError, SimilarityError
from napari_dinov3_sim.core.images.intensity import (
    IntensityWindow,
    check_dtype,
    check_image,
    check_shape,
    convert_to_rgb,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

COLOURS = ("red", "green", "blue")
"""The channels of an RGB image, by the names that the dock and tables give them."""


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


def check_known_shape(shape: tuple[Any, ...], name: str) -> None:
    """Raise `ImageError` for the shape of a lazy array that has to be computed first."""
    if any(size != size for size in shape):  # noqa: PLR0124 - NaN, for dask
        raise ImageError(
            f"The size of {name} is not known before it is computed; call its "
            "compute_chunk_sizes() first."
        )


def check_region(
    pixels: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any], name: str
) -> NDArray[Any]:
    """Return a region in the dtype that its array declares.

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


Edges = tuple[int, ...]
"""Where the chunks of an axis begin, and where the last one ends."""


@runtime_checkable
class PixelSource(Protocol):
    """A plane of pixels that is read region by region."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in pixels."""

    @property
    def channels(self) -> int:
        """1 for grayscale, 3 for RGB, 4 for RGBA."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels."""

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return a region, (h, w) for one channel and (h, w, C) for more.

        Raises
        ------
        ImageError
            The pixels cannot be read any more.
        """


@dataclass(frozen=True, eq=False)
class ArraySource:
    """A plane of an array that can be sliced: NumPy, dask, zarr, HDF5.

    A region is read with one index, so that a lazy array is computed only where it is needed.

    Parameters
    ----------
    data : array_like
        With `shape`, `dtype` and slicing.
    index : tuple of int or slice, optional
        For each axis without the channels a position, or ``slice(None)`` for the two axes of the
        plane. By default the array is one plane.
    channels_last : bool, optional
        Whether the last axis of `data` holds the 3 or 4 channels of a colour.
    name : str, optional
        For messages.

    Raises
    ------
    ImageError
        The plane has no pixels, another number of channels, or no real dtype.
    """

    data: Any = field(repr=False)
    index: tuple[int | slice, ...] = (slice(None), slice(None))
    channels_last: bool = False
    name: str = "the image"

    def __post_init__(self) -> None:
        is_plane = [at for at in self.index if isinstance(at, slice)] == [slice(None)] * 2
        if not is_plane or len(self.index) + self.channels_last != len(self.data.shape):
            raise ImageError(
                f"The index {self.index} does not choose a plane of {self.name} of shape "
                f"{tuple(self.data.shape)}; leave two axes open and give a position on the others."
            )
        check_known_shape(self.data.shape, self.name)
        colour = (self.data.shape[-1],) if self.channels_last else ()
        check_shape((*self.shape, *colour))
        check_dtype(self.dtype)

    @property
    def _axes(self) -> list[int]:
        return [axis for axis, at in enumerate(self.index) if isinstance(at, slice)]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        rows, columns = self._axes
        return int(self.data.shape[rows]), int(self.data.shape[columns])

    @property
    def channels(self) -> int:
        """1 for grayscale, 3 for RGB, 4 for RGBA."""
        return int(self.data.shape[-1]) if self.channels_last else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels, as NumPy knows it."""
        return numpy_dtype(self.data)

    @property
    def chunks(self) -> tuple[Edges, Edges] | None:
        """Chunk edges along rows and columns, where the array declares them."""
        chunks = getattr(self.data, "chunks", None)
        if not chunks:
            return None
        rows, columns = (_edges(chunks[axis], self.data.shape[axis]) for axis in self._axes)
        return rows, columns

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return a region; see `PixelSource.read`."""
        index = list(self.index)
        for axis, part in zip(self._axes, (rows, columns), strict=True):
            index[axis] = part
        try:
            pixels = np.asarray(self.data[tuple(index)])
        except SimilarityError:
            raise
        except Exception as error:
            raise ImageError(
                f"The pixels of {self.name} cannot be read any more ({type(error).__name__}: "
                f"{error}); open the image again."
            ) from error
        lengths = zip((rows, columns), self.shape, strict=True)
        shape = [len(range(*part.indices(size))) for part, size in lengths]
        colours = [self.channels] * self.channels_last
        return check_region(pixels, (*shape, *colours), self.dtype, self.name)


def _edges(chunks: Any, size: int) -> Edges:
    if isinstance(chunks, int):  # zarr and HDF5: all alike
        return (*range(0, size, chunks), size)
    return (0, *np.cumsum(chunks).tolist())  # dask: one length for each


def as_source(image: ArrayLike | PixelSource) -> PixelSource:
    """Return an image as a source; a lazy array stays lazy.

    Parameters
    ----------
    image : PixelSource or array_like, shape (H, W), (H, W, 3) or (H, W, 4)

    Raises
    ------
    ImageError
        The image has no such shape, or no real dtype.
    """
    if isinstance(image, PixelSource):
        return image
    data = image if _can_be_sliced(image) else check_image(image)
    shape = cast("NDArray[Any]", data).shape
    check_shape(tuple(shape))
    return ArraySource(data, channels_last=len(shape) == 3)


def _can_be_sliced(image: Any) -> bool:
    return all(hasattr(image, name) for name in ("shape", "dtype", "__getitem__"))


@dataclass(frozen=True, eq=False)
class _MergedSource:
    sources: tuple[PixelSource, ...]
    windows: tuple[IntensityWindow, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return self.sources[0].shape

    @property
    def channels(self) -> int:
        return 3

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    @property
    def chunks(self) -> tuple[Edges, Edges] | None:
        return chunks_of(self.sources[0])

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        height, width = (
            len(range(*part.indices(size)))
            for part, size in zip((rows, columns), self.shape, strict=True)
        )
        merged = np.zeros((height, width, 3), np.float32)
        for channel, (source, window) in enumerate(zip(self.sources, self.windows, strict=True)):
            merged[..., channel] = convert_to_rgb(source.read(rows, columns), window)[..., 0]
        return merged


def merge_channels(
    sources: Sequence[PixelSource], windows: Sequence[IntensityWindow]
) -> PixelSource:
    """Return one to three grayscale planes as the red, green and blue of one image.

    Parameters
    ----------
    sources : sequence of PixelSource
        Of one channel and of the same shape; missing ones are black.
    windows : sequence of IntensityWindow
        One for each source.

    Returns
    -------
    PixelSource
        RGB in [0, 1], float32; embed it with ``IntensityWindow(0, 1)``.

    Raises
    ------
    ImageError
        There are no sources or more than three, or they do not fit together.
    """
    if not 1 <= len(sources) <= 3 or len(windows) != len(sources):
        raise ImageError(
            f"{len(sources)} channels cannot be merged with {len(windows)} intensity windows; "
            "choose one to three channels, with one window each."
        )
    shapes = {source.shape for source in sources}
    if len(shapes) > 1 or any(source.channels != 1 for source in sources):
        raise ImageError(
            "Only grayscale channels of the same size can be merged; these have the sizes "
            f"{[source.shape for source in sources]} and "
            f"{[source.channels for source in sources]} channels."
        )
    return _MergedSource(tuple(sources), tuple(windows))


def chunks_of(source: PixelSource) -> tuple[Edges, Edges] | None:
    """Return the chunk edges of a source along rows and columns, or None where not known."""
    chunks: tuple[Edges, Edges] | None = getattr(source, "chunks", None)
    return chunks

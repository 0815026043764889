"""Maps of cosine similarity to clicked patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from napari_dinov3_sim.core.errors import PointError, StateError
from napari_dinov3_sim.core.geometry import PatchGrid, convert_pixel_coordinates_to_patch_index
from napari_dinov3_sim.core.vectors import EPSILON, dot, normalize_embeddings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from napari_dinov3_sim.core.state import PatchImageState

_Value = TypeVar("_Value", bound=np.generic)

Point = tuple[float, float]
"""Pixel column x and row y, counted from the top left of the image."""


@dataclass(frozen=True, eq=False)
class SimilarityMap:
    """How similar each patch of one image is to the query.

    Attributes
    ----------
    cosine : ndarray of float32, shape (rows, columns)
        Raw cosine, in [-1, 1].
    grid : PatchGrid
        The patch grid of the image.
    """

    cosine: NDArray[np.float32]
    grid: PatchGrid

    @property
    def display(self) -> NDArray[np.float32]:
        """The cosine, min-max normalised to [0, 1] over this map."""
        return min_max_normalize(self.cosine)

    def full_resolution(
        self, values: Literal["cosine", "display"] = "cosine"
    ) -> NDArray[np.float32]:
        """Return the map at the resolution of the image.

        Parameters
        ----------
        values : {'cosine', 'display'}, optional
            The raw cosine, or its min-max normalisation.

        Returns
        -------
        ndarray of float32, shape (H, W)
            Nearest-neighbour upsampled, cropped to the unpadded image.
        """
        return upsample_nearest(self.cosine if values == "cosine" else self.display, self.grid)


def min_max_normalize(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map values to [0, 1] by ``(s - min) / (max - min + 1e-8)``."""
    low, high = values.min(), values.max()
    scaled: NDArray[np.float32] = (values - low) / (high - low + np.float32(EPSILON))
    return scaled


def shared_limits(maps: Iterable[NDArray[np.float32]]) -> tuple[float, float]:
    """Return one pair of contrast limits for all maps, so that their brightness compares.

    Parameters
    ----------
    maps : iterable of ndarray of float32
        Raw cosines; at least one map.

    Returns
    -------
    tuple of float
        From cosine 0, which means unrelated, or the least cosine of all maps where none is
        below 0, to the greatest cosine of all maps.
    """
    ends = [(float(values.min()), float(values.max())) for values in maps]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return (max(low, 0.0) if high > 0 else low), high


def upsample_nearest(values: NDArray[_Value], grid: PatchGrid) -> NDArray[_Value]:
    """Repeat each patch's value over its P × P pixels and crop the padding.

    Parameters
    ----------
    values : ndarray, shape (rows, columns, ...)
        Numbers, labels or colours.
    grid : PatchGrid

    Returns
    -------
    ndarray, shape (H, W, ...)
    """
    height, width = grid.image_shape
    rows = np.arange(height) // grid.patch_size
    columns = np.arange(width) // grid.patch_size
    return values[np.ix_(rows, columns)]


def query_vector(picks: Sequence[tuple[PatchImageState, Point]]) -> NDArray[np.float32]:
    """Return the mean of the unit vectors of clicked patches, normalised again.

    Parameters
    ----------
    picks : sequence of (PatchImageState, (x, y))
        Clicked pixels, each in its own image.

    Returns
    -------
    ndarray of float32, shape (D,)

    Raises
    ------
    PointError
        There is no point, or one lies outside its image.
    StateError
        The images were embedded by different models.
    """
    check_same_model([state for state, _ in picks])
    return prototype(vectors_at(picks))


def vectors_at(picks: Sequence[tuple[PatchImageState, Point]]) -> NDArray[np.float32]:
    """Return the unit vectors of clicked patches.

    Parameters
    ----------
    picks : sequence of (PatchImageState, (x, y))
        Clicked pixels, each in its own image.

    Returns
    -------
    ndarray of float32, shape (n, D)

    Raises
    ------
    PointError
        There is no point, or one lies outside its image.
    """
    if not picks:
        raise PointError("There is no query point; give at least one point (x, y).")
    return np.stack([vector_at(state, point) for state, point in picks])


def vector_at(state: PatchImageState, point: Point) -> NDArray[np.float32]:
    """Return the unit vector of the patch that a pixel (x, y) lies in, shape (D,).

    Raises
    ------
    PointError
        The point lies outside its image.
    """
    index = convert_pixel_coordinates_to_patch_index(*point, state.grid)
    vector: NDArray[np.float32] = state.vectors[index].astype(np.float32)
    return vector


def prototype(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of unit vectors, normalised again.

    Parameters
    ----------
    vectors : ndarray, shape (n, D)

    Returns
    -------
    ndarray of float32, shape (D,)
    """
    return normalize_embeddings(vectors.mean(0))


def check_same_model(states: Sequence[PatchImageState]) -> None:
    """Raise `StateError` unless all states come from the same weights and arithmetic."""
    if len({state.fingerprint for state in states}) > 1:
        raise StateError(
            "The images were embedded by different models, so their embeddings cannot be "
            "compared; embed all of them with the same model."
        )


def similarity_map(query: NDArray[np.float32], state: PatchImageState) -> SimilarityMap:
    """Return the cosine of one query vector with every patch of an image.

    Parameters
    ----------
    query : ndarray, shape (D,)
        Unit vector, for example from `query_vector`.
    state : PatchImageState

    Returns
    -------
    SimilarityMap
    """
    (cosine,) = cosines(query[None], state)
    return SimilarityMap(cosine.reshape(state.grid.shape), state.grid)


def cosines(vectors: NDArray[np.float32], state: PatchImageState) -> NDArray[np.float32]:
    """Return the cosine of each vector with every patch of an image, in one matrix product.

    Parameters
    ----------
    vectors : ndarray, shape (k, D)
        Unit rows.
    state : PatchImageState

    Returns
    -------
    ndarray of float32, shape (k, rows * columns)
        In [-1, 1].

    Raises
    ------
    StateError
        The vectors are not as long as the embeddings: another model made them.
    """
    found = products(vectors, state)
    # Rounding can carry a product of unit vectors past 1 by an ulp or two.
    return np.clip(found, -1.0, 1.0, out=found)


def products(vectors: NDArray[np.floating], state: PatchImageState) -> NDArray[np.float32]:
    """Return the product of each vector with every patch of an image.

    Parameters
    ----------
    vectors : ndarray, shape (k, D)
        Of any length.
    state : PatchImageState

    Returns
    -------
    ndarray of float32, shape (k, rows * columns)

    Raises
    ------
    StateError
        The vectors are not as long as the embeddings: another model made them.
    """
    embeddings = state.vectors
    if vectors.shape[-1] != embeddings.shape[-1]:
        raise StateError(
            f"The query has {vectors.shape[-1]} numbers per vector and the image "
            f"{embeddings.shape[-1]}; embed the image with the model that made the query."
        )
    return dot(embeddings, vectors.T).T


def create_similarity_images(
    query_state: PatchImageState,
    points: Point | Sequence[Point],
    targets: Sequence[PatchImageState],
) -> list[SimilarityMap]:
    """Return, for each target image, how similar its patches are to the clicked ones.

    Parameters
    ----------
    query_state : PatchImageState
        The image that was clicked.
    points : (x, y) or sequence of (x, y)
        Clicked pixels; several are answered by the mean of their unit vectors.
    targets : sequence of PatchImageState
        Images to search, the clicked one among them if wanted.

    Returns
    -------
    list of SimilarityMap
        One per target, in order.

    Raises
    ------
    PointError
        There is no point, or one lies outside the image.
    StateError
        The images were embedded by different models.
    """
    check_same_model([query_state, *targets])
    query = query_vector([(query_state, point) for point in _as_points(points)])
    return [similarity_map(query, target) for target in targets]


def _as_points(points: Point | Sequence[Point]) -> list[Point]:
    array = np.asarray(points, dtype=float)
    if array.size and (array.ndim not in (1, 2) or array.shape[-1] != 2):
        raise PointError("Points must be (x, y) or a list of (x, y), in pixels.")
    return [(float(x), float(y)) for x, y in array.reshape(-1, 2)]
